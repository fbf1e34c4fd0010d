"""Processes that write at once, databases that another process has locked, and disks without locks."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import RequestError
from lifecycle.runtime.files import locks
from lifecycle.tracking.store import database_uri, open_store
from tests.conftest import Command
from tests.forked import Forks, Process
from tests.made import runs_in
from tests.postgresql_server import PostgreSQL

FIT = ("data=iris", "trainer.early_stopping=false", "tracking.figures=false", "verbose=0")
WRITE = """
import sys
from lifecycle.config.schema import TrackingConfig
from lifecycle.tracking.messages import CreateRun
from lifecycle.tracking.run import session
tracking = TrackingConfig(uri=sys.argv[1]).for_process()
with session(CreateRun(".", tracking, "writer " + sys.argv[2], {"lifecycle.command": "writer"}), "writer") as run:
    for step in range(200):
        run.log_epoch({"epoch": step, "loss": step / 7})
        run.send()
    run.log_text("done", "done.txt")
"""
"""A process that logs 200 points, each in a message of its own."""


def written(forks: Forks, folder: Path, uri: str) -> None:
    """Have eight processes write at once."""
    writers = [Process(forks, [uri, str(number)], folder, code=WRITE) for number in range(8)]
    assert [(writer.communicate(timeout=300), writer.wait()) for writer in writers] == [(("", ""), 0)] * 8


def losses(address: str) -> list[list[tuple[int, float]]]:
    """Return the points of each run."""
    client = mlflow.MlflowClient(address)
    (experiment,) = [one for one in client.search_experiments() if one.name == "lifecycle"]
    found = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in found} == {"FINISHED"}
    points = [client.get_metric_history(run.info.run_id, "loss") for run in found]
    return [sorted((point.step, point.value) for point in each) for each in points]


EACH = [[(step, step / 7) for step in range(200)]] * 8


@pytest.mark.slow
@pytest.mark.fault(17)
def test_eight_processes_of_200_points_lose_none(forks: Forks, folder: Path) -> None:
    written(forks, folder, "local")
    assert losses(database_uri(folder / "mlruns")) == EACH


@pytest.mark.longest
@pytest.mark.fault(17)
def test_eight_processes_of_200_points_lose_none_on_postgresql(
    forks: Forks, folder: Path, process: Command, postgresql: PostgreSQL
) -> None:
    # SQLAlchemy 2.1 takes another driver by default.
    address = postgresql.create_database("writers").replace("postgresql:", "postgresql+psycopg2:")
    subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", address], check=True, capture_output=True)
    written(forks, folder, address)
    ended = process("sync", f"tracking.uri={address}")
    assert (ended.code, ended.err) == (0, "")
    assert losses(address) == EACH
    assert not [file for file in (folder / "mlruns").rglob("*") if _has(file, postgresql.password)]


def _has(file: Path, word: str) -> bool:
    return file.is_file() and word.encode() in file.read_bytes()


@pytest.mark.longest
@pytest.mark.fault(16)
def test_four_processes_that_begin_in_an_empty_folder_at_once_all_succeed_five_times(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lifecycle", *FIT, "trainer.max_epochs=1"]
    for number in range(5):
        place = tmp_path / str(number)
        place.mkdir()
        started = [subprocess.Popen([*command, f"seed={seed}"], cwd=place) for seed in range(4)]
        assert [process.wait(timeout=300) for process in started] == [0] * 4
        assert [run.info.status for run in runs_in(place)] == ["FINISHED"] * 4


HOLD = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have another process lock the database during the block."""
    file = str(folder / "mlruns" / "mlflow.db")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, file], **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            other.kill()


def assert_complete(folder: Path, epochs: int) -> None:
    (run,) = runs_in(folder)
    assert run.info.status == "FINISHED"
    client = mlflow.MlflowClient(database_uri(folder / "mlruns"))
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")]
    assert steps == list(range(1, epochs + 1))
    assert run.data.params["trainer.max_epochs"] == str(epochs)
    assert len(client.search_logged_models([run.info.experiment_id])) == 1
    assert not list((folder / "mlruns" / "spool").glob("*.jsonl"))


@pytest.mark.fault(18)
def test_a_run_begins_trains_and_ends_while_its_database_is_locked(folder: Path, process: Command) -> None:
    with held(folder):
        ended = process(*FIT, "trainer.max_epochs=3", "seed=5", "verbose=1")
        assert (ended.code, ended.err) == (0, "")
        said = " ".join(ended.out.split())
    assert re.search(r"Pending \d+ entries of the run \(scores, files\) are in mlruns/spool and not in its", said)
    cure = "Nothing is lost: the next command, or `lifecycle sync`"
    assert f"not in its database yet, since another process holds mlruns/mlflow.db. {cure}" in said
    assert runs_in(folder) == []
    synced = process("sync")
    assert (synced.code, synced.err) == (0, "")
    assert synced.out == "Recorded what was left of 1 run in mlruns.\nNothing waits: all runs are recorded.\n"
    assert_complete(folder, 3)
    (run,) = runs_in(folder)
    assert run.info.run_name == "mlp-iris-5"
    assert run.info.end_time > run.info.start_time
    assert list((folder / "mlruns" / "spool").iterdir()) == []
    predicted = process("evaluate", "run=latest", "verbose=0")
    assert (predicted.code, predicted.err) == (0, "")


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("epochs", "seconds"),
    [(300, 2), pytest.param(300, 90, marks=pytest.mark.longest)],
)
def test_a_database_that_is_locked_in_the_middle_and_at_the_end_of_a_run_loses_nothing(
    forks: Forks, folder: Path, process: Command, epochs: int, seconds: float
) -> None:
    with Process(forks, [*FIT, f"trainer.max_epochs={epochs}", "verbose=2"], folder) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("epoch 5/"):
                break
        with held(folder):
            time.sleep(seconds)
            if seconds > 60:  # longer than the end of a run waits
                out, err = run.communicate(timeout=60)
                assert "Nothing is lost" in " ".join(out.split())
        if seconds < 60:
            out, err = run.communicate(timeout=120)
        assert (run.wait(), err) == (0, "")
    if seconds > 60:
        assert process("sync").code == 0
    assert_complete(folder, epochs)


MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
server:/home {folder} {kind} rw,vers=4.2,{options} 0 0
"""


@pytest.mark.fault(19)
def test_a_network_disk_whose_locks_stay_on_one_machine_is_named(
    lifecycle: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = folder / "mounts"
    monkeypatch.setattr(locks, "MOUNTS", table)
    table.write_text(MOUNTS.format(folder=folder, kind="nfs4", options="local_lock=all"))
    ended = lifecycle(*FIT[:-1], "verbose=1", "trainer.max_epochs=1")
    assert (ended.code, ended.err) == (0, "")
    said = " ".join(ended.out.split())
    assert "mlruns is on a network disk (nfs4) whose locks hold on one machine only. Two machines" in said
    assert "(NFS: without nolock and local_lock), or choose a folder for each machine with tracking.dir." in said
    assert [run.info.status for run in runs_in(folder)] == ["FINISHED"]


@pytest.mark.parametrize(
    ("kind", "options", "only_here"),
    [
        ("nfs4", "local_lock=none", False),
        ("nfs", "nolock", True),
        ("cifs", "nobrl", True),
        ("cifs", "soft", False),
        ("lustre", "flock", False),
        ("lustre", "localflock", True),
        ("lustre", "lazystatfs", True),
        ("fuse.sshfs", "user_id=0", True),
        ("ext4", "nolock", False),
    ],
)
def test_the_options_of_a_mount_say_where_its_locks_hold(
    tmp_path: Path, kind: str, options: str, only_here: bool
) -> None:
    table = tmp_path / "mounts"
    table.write_text(MOUNTS.format(folder=str(tmp_path).replace(" ", "\\040"), kind=kind, options=options))
    assert locks.hold_here_only(tmp_path, table) == only_here
    assert locks.file_system(tmp_path, table) == kind
    assert not locks.hold_here_only(Path("/"), table)
    assert not locks.hold_here_only(tmp_path, tmp_path / "none")


@pytest.mark.fault(19)
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_refused(
    lifecycle: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)  # as the system answers there
    with pytest.raises(RequestError) as caught:
        open_store(TrackingConfig(dir=str(folder / "mlruns")))
    sentence = (
        rf"mlruns is on a file system without locks \(.+\): {re.escape(os.strerror(number))}\. Mount it with locks"
    )
    assert re.search(sentence, str(caught.value))
