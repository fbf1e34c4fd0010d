"""A database that another process holds, cannot be written, is damaged or of another version: said as such."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import LifecycleError, RequestError, TrackingError
from lifecycle.tracking.database import faults
from lifecycle.tracking.spool import end_notes
from lifecycle.tracking.store import database_uri, open_store
from tests.conftest import Command, artifacts, ready
from tests.forked import COMMAND, Forks, Process

Runs = Callable[[], list[mlflow.entities.Run]]
HOLD = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
database.execute("BEGIN " + sys.argv[3])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
database.execute("COMMIT")
"""
FIT = ("data=iris", "trainer.early_stopping=false", "verbose=0", "tracking.figures=false")


@contextmanager
def held(file: Path, seconds: float = 600, kind: str = "EXCLUSIVE") -> Iterator[None]:
    """Have another process hold a database, for so long or until the block ends; ``IMMEDIATE``: it can be read."""
    with subprocess.Popen([sys.executable, "-c", HOLD, file, str(seconds), kind], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            other.kill()


@contextmanager
def begun(forks: Forks, folder: Path, *words: str) -> Iterator[Process]:
    """Start a run in a process of its own, and give it when it has a checkpoint."""
    with Process(forks, [*FIT, *words], folder) as run:
        try:
            wanted = ("checkpoints/*/last.ckpt", "artifacts/*/*/artifacts/requirements.txt")
            while not all(list((folder / "mlruns").glob(pattern)) for pattern in wanted):
                assert run.poll() is None, run.communicate()
                time.sleep(0.05)
            yield run
        finally:
            run.kill()


def no_advice(said: str) -> None:
    assert "ove it away" not in said
    assert "SQL" not in said.replace("SQLite", "").replace("sqlite3 shell", "")
    assert len(said) <= 400 + len("lifecycle: \n")


def test_a_database_that_is_held_for_a_while_is_waited_for(job: Command, runs: Runs, tmp_path: Path) -> None:
    with held(tmp_path / "mlruns" / "mlflow.db", 1.5):
        ended = job("data=iris", "trainer.max_epochs=1")
    assert (ended.code, ended.err) == (0, "")
    assert [run.info.status for run in runs()] == ["FINISHED"]


def test_a_wait_is_bounded_and_a_free_database_costs_none(empty_database: Path, tmp_path: Path) -> None:
    ready(tmp_path, empty_database)
    file = tmp_path / "mlruns" / "mlflow.db"
    faults.wait_until_free(file, 0)
    faults.wait_until_free(tmp_path / "none.db", 0)
    with held(file), pytest.raises(sqlite3.OperationalError) as caught:
        faults.wait_until_free(file, 0.3)
    assert faults.is_busy(caught.value)


SOON = f"""
from lifecycle.tracking.database import faults
faults.wait_until_free.__defaults__ = faults.explained.__defaults__ = (1.5,)
{COMMAND}"""
"""The command, which waits for a locked database for a second and a half."""


@pytest.mark.slow
def test_a_database_that_stays_locked_is_reported_by_what_reads_it(
    script: Command, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    with held(tmp_path / "mlruns" / "mlflow.db"):
        ended = script(SOON, "compare", "run=latest", "output=null")
    assert (ended.code, ended.err) == (
        1,
        "lifecycle: another process holds the database mlruns/mlflow.db, for more than 1.5 s. The database is not "
        "damaged, and trying again is safe: do so when that process has ended, for instance a backup or an open "
        "sqlite3 shell.\n",
    )
    no_advice(ended.err)


IMPATIENT = f"""
import sys
from lifecycle.tracking.database import faults
from lifecycle.tracking.direct import client
faults.REOPENS, client.WAITS = float(sys.argv.pop(1)), 0.1
{COMMAND}"""
"""The command, of which a statement waits for a tenth of a second, and reopening a run for so many."""


@pytest.mark.slow
def test_a_run_is_resumed_when_its_database_is_free(job: Command, script: Command, runs: Runs, tmp_path: Path) -> None:
    assert job(*FIT, "trainer.max_epochs=2").code == 0
    file = tmp_path / "mlruns" / "mlflow.db"
    more = ("resume", "run=latest", "trainer.max_epochs=4", "verbose=0")
    with held(file, kind="IMMEDIATE"):
        ended = script(IMPATIENT, "0.5", *more)
    assert (ended.code, ended.out) == (1, "")
    assert "another process holds the database mlruns/mlflow.db, for more than 0.5 s." in ended.err
    no_advice(ended.err)
    with held(file, 4, kind="IMMEDIATE"):
        ended = script(IMPATIENT, "30", *more)
    assert (ended.code, ended.err) == (0, "")
    (run,) = runs()
    history = mlflow.MlflowClient(database_uri(tmp_path / "mlruns")).get_metric_history(run.info.run_id, "train_loss")
    assert (run.info.status, [point.step for point in history]) == ("FINISHED", [1, 2, 3, 4])


@pytest.mark.slow
def test_a_database_that_is_held_in_the_middle_of_a_run_loses_nothing(
    forks: Forks, runs: Runs, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    with begun(forks, tmp_path, "trainer.max_epochs=400") as run:
        with held(tmp_path / "mlruns" / "mlflow.db", 3):
            out, err = run.communicate()
        assert (run.returncode, out, err) == (0, "", "")
    (found,) = runs()
    assert found.info.status == "FINISHED"
    client = mlflow.MlflowClient(database_uri(tmp_path / "mlruns"))
    steps = [point.step for point in client.get_metric_history(found.info.run_id, "train_loss")]
    assert steps == list(range(1, 401))


@pytest.mark.longest
def test_a_run_that_is_ended_while_its_database_is_held_is_killed(
    forks: Forks, process: Command, runs: Runs, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    with begun(forks, tmp_path, "trainer.max_epochs=1000000") as run:
        with held(tmp_path / "mlruns" / "mlflow.db"):
            run.send_signal(signal.SIGTERM)
            _, err = run.communicate()
        assert (run.returncode, err) == (143, "lifecycle: stopped by SIGTERM\n")
    assert process("compare", "run=latest", "output=null").code == 0
    (found,) = runs()
    assert (found.info.status, found.data.tags["lifecycle.error"]) == ("KILLED", "stopped by SIGTERM")


def test_a_noted_end_is_recorded_by_the_next_and_one_that_went_on_is_left(
    job: Command, runs: Runs, tmp_path: Path
) -> None:
    store = open_store(TrackingConfig(dir=str(tmp_path / "mlruns")))
    ids = [store.client.create_run(store.experiment_id).info.run_id for _ in range(3)]
    store.client.set_terminated(ids[1], "FINISHED")
    for run_id in ids[:2]:
        end_notes.note(store.folder, run_id, "FAILED", "the disk is full")
    (store.folder / end_notes.FOLDER / "half.json").write_text("{")
    (store.folder / end_notes.FOLDER / f"{'0' * 32}.json").write_text('{"status": "FAILED", "error": ""}')
    open_store(TrackingConfig(dir=str(tmp_path / "mlruns")))
    found = {run.info.run_id: run for run in runs()}
    assert [found[run_id].info.status for run_id in ids] == ["FAILED", "FINISHED", "RUNNING"]
    assert found[ids[0]].data.tags["lifecycle.error"] == "the disk is full"
    assert not [run_id for run_id in ids if (store.folder / end_notes.FOLDER / f"{run_id}.json").exists()]


def test_an_end_that_is_recorded_leaves_no_note(job: Command, runs: Runs, tmp_path: Path) -> None:
    ended = job("data=iris", "optimizer=sgd", "optimizer.lr=1e9", "data.scaling=none", "trainer.max_epochs=3")
    assert ended.code == 1
    (found,) = runs()
    assert found.info.status == "FAILED"
    assert found.data.tags["lifecycle.error"] in ended.err
    assert not (tmp_path / "mlruns" / end_notes.FOLDER).exists()
    assert not (artifacts(found) / "error.txt").exists()


def break_bytes(file: Path) -> None:
    """Write over the middle of a database, as a disk that fails does."""
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(60 * 4096))


def set_schema(version: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        with sqlite3.connect(file) as database:
            database.execute("UPDATE alembic_version SET version_num = ?", (version,))
        database.close()

    return change


@pytest.mark.parametrize(
    ("change", "sentence", "moves"),
    [
        (lambda file: file.write_bytes(b"no database" * 999), "no database: file is not a database. Restore it", True),
        (break_bytes, "that is damaged or no database: database disk image is malformed. Restore it from", True),
        (set_schema("f" * 12), "of a newer MLflow (schema ffffffffffff, and ", False),
        (set_schema("0584bdc529eb"), "of an older MLflow (schema 0584bdc529eb, and ", False),
    ],
)
def test_a_database_that_cannot_be_used_is_reported(
    lifecycle: Command,
    tmp_path: Path,
    empty_database: Path,
    change: Callable[[Path], None],
    sentence: str,
    moves: bool,
) -> None:
    ready(tmp_path, empty_database)
    change(tmp_path / "mlruns" / "mlflow.db")
    before = (tmp_path / "mlruns" / "mlflow.db").read_bytes()
    for words in (("data=iris", "trainer.max_epochs=1", "verbose=0"), ("predict", "run=latest", "input=-", "output=-")):
        ended = lifecycle(*words, *(("format=csv",) if "input=-" in words else ()))
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("lifecycle: tracking.dir=mlruns holds an mlflow.db ")
        assert sentence in ended.err
        assert ("move it away" in ended.err) == moves
        assert "[SQL" not in ended.err
        assert len(ended.err) <= 400
    assert (tmp_path / "mlruns" / "mlflow.db").read_bytes() == before


def test_the_cure_of_an_older_database_works(lifecycle: Command, tmp_path: Path, empty_database: Path) -> None:
    ready(tmp_path, empty_database)
    set_schema("0584bdc529eb")(tmp_path / "mlruns" / "mlflow.db")
    ended = lifecycle("compare", "run=latest")
    assert f"`mlflow db upgrade {database_uri(tmp_path / 'mlruns')}`" in ended.err


def test_sqlites_faults_are_distinguished(tmp_path: Path) -> None:
    """Real faults, as SQLite raises them, behind an error of another library."""

    def fault(name: str) -> Exception:
        file = tmp_path / f"{name}.db"
        database = sqlite3.connect(file, timeout=0, isolation_level=None)
        database.execute("CREATE TABLE IF NOT EXISTS rows (text)")
        try:
            if name == "busy":
                with held(file):
                    database.execute("INSERT INTO rows VALUES (1)")
            elif name == "full":
                database.execute("PRAGMA max_page_count = 2")
                database.execute("INSERT INTO rows VALUES (zeroblob(100000))")
            elif name == "readonly":
                reading = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
                reading.execute("INSERT INTO rows VALUES (1)")
            elif name == "cantopen":
                sqlite3.connect(tmp_path / "no" / "such.db")
            elif name == "error":
                database.execute("SELECT missing FROM rows")
        except sqlite3.Error as error:
            wrapped = mlflow.exceptions.MlflowException(f"{error}\n[SQL: INSERT INTO rows VALUES (?)]")
            wrapped.__cause__ = error
            return wrapped
        raise AssertionError(name)

    expected: dict[str, tuple[type[LifecycleError], str]] = {
        "busy": (TrackingError, "another process holds the database"),
        "full": (TrackingError, "no space is left on the disk of the database"),
        "readonly": (RequestError, "can only be read (attempt to write a readonly database). Make the folder and the"),
        "cantopen": (RequestError, "can only be read (unable to open database file). Make the folder and the file"),
    }
    for name, (kind, sentence) in expected.items():
        found = faults.explained(fault(name), tmp_path)
        assert type(found) is kind, name
        assert sentence in str(found)
        assert "INSERT" not in str(found)
    assert faults.explained(fault("error"), tmp_path) is None
    assert faults.plain(fault("error")) == "no such column: missing"
    other = mlflow.exceptions.MlflowException("(sqlite3.X) wrong\n[SQL: SELECT 1]\n(Background on this error at: x)")
    assert faults.plain(other) == "(sqlite3.X) wrong"


def test_a_disk_that_fails_is_reported(tmp_path: Path) -> None:
    failing = sqlite3.OperationalError("disk I/O error")
    failing.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    found = faults.explained(failing, tmp_path)
    assert isinstance(found, TrackingError)
    assert "the disk failed under the database" in str(found)
    assert "(disk I/O error). Check the disk or the mount, and try again." in str(found)


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux'")
def test_a_read_only_database_is_reported(forks: Forks, tmp_path: Path, empty_database: Path) -> None:
    """Root may write any file, until it gives its capabilities up; then it is an owner like any other."""
    code = """
import ctypes, sys
from lifecycle.tracking import store
from lifecycle.config.schema import TrackingConfig
header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None, use_errno=True).capset(header, none) == 0
try:
    store.open_store(TrackingConfig(dir=sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
"""
    ready(tmp_path, empty_database)
    (tmp_path / "mlruns" / "mlflow.db").chmod(0o444)
    out, err = Process(forks, [str(tmp_path / "mlruns")], Path("/"), code=code).communicate(timeout=60)
    assert out.startswith("RequestError tracking.dir="), err
    assert (
        "/mlruns cannot be written: its database mlflow.db can only be read (attempt to write a readonly database)."
        in out
    )
