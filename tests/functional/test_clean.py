"""What clean removes and keeps, and what doctor finds; doctor changes nothing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from filelock import FileLock

from lifecycle import layout
from lifecycle.runtime.files import disk, locks
from lifecycle.tracking.servers import outbox
from tests.conftest import Command, ready

NO_RUN, NO_MODEL = "f" * 32, "m-" + "f" * 32
DIRECTIONS = json.dumps({"loss": False, "accuracy": True})


def run_id(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Path:
    """Make a folder of runs by SQL: run 1 has the loss 0.1 and the checkpoint of 1000 bytes, 2 has 0.2 and 2000, ..."""
    ready(tmp_path, empty_database)
    mlruns = tmp_path / "mlruns"
    with closing(sqlite3.connect(mlruns / "mlflow.db")) as database, database:
        place = (mlruns / "artifacts" / "lifecycle").as_uri()
        database.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, workspace) "
            "VALUES (1, 'lifecycle', ?, 'active', 'default')",
            (place,),
        )
        for number in range(1, 7):
            add(database, mlruns, number)
    (mlruns / ".lock").touch()
    return mlruns


def add(database: sqlite3.Connection, mlruns: Path, number: int, **values: Any) -> None:
    run = run_id(number)
    row = {"status": "FINISHED", "lifecycle_stage": "active", "end_time": number * 1000, **values}
    uri = (mlruns / "artifacts" / "lifecycle" / run / "artifacts").as_uri()
    database.execute(
        "INSERT INTO runs (run_uuid, name, source_type, status, start_time, end_time, lifecycle_stage, artifact_uri, "
        "experiment_id) VALUES (?, ?, 'UNKNOWN', ?, ?, ?, ?, ?, 1)",
        (run, f"r{number}", row["status"], number * 1000, row["end_time"], row["lifecycle_stage"], uri),
    )
    tags = {layout.COMMAND: "lifecycle", layout.HIGHER_IS_BETTER: DIRECTIONS, layout.DATA_DIGEST: "a"}
    tags |= {layout.VALIDATION_DIGEST: "b", layout.TEST_DIGEST: "c", layout.SWEEP: "even" if number % 2 == 0 else "odd"}
    database.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(key, value, run) for key, value in tags.items()])
    for name, value in (("kept_val_loss", number / 10), ("test_accuracy", number / 10)):
        database.execute("INSERT INTO latest_metrics VALUES (?, ?, 0, 0, 0, ?)", (name, value, run))
    (mlruns / "checkpoints" / run).mkdir(parents=True)
    (mlruns / "checkpoints" / run / ".lock").touch()
    (mlruns / "checkpoints" / run / "last.ckpt").write_bytes(bytes(number * 1000))
    (mlruns / "artifacts" / "lifecycle" / run / "artifacts").mkdir(parents=True)
    (mlruns / "artifacts" / "lifecycle" / run / "artifacts" / "history.csv").write_bytes(bytes(number * 10))


def execute(store: Path, query: str, *values: Any) -> None:
    with closing(sqlite3.connect(store / "mlflow.db")) as database, database:
        database.execute(query, values)


def listed(out: str) -> list[str]:
    """Return the folders that are listed."""
    return [line.split()[2] for line in out.splitlines() if line.startswith(" ")]


def checkpoints(*numbers: int) -> list[str]:
    return [f"checkpoints/{run_id(number)}" for number in numbers]


@pytest.mark.parametrize(
    ("words", "removed", "size"),
    [
        (("keep=best:2",), (3, 4, 5, 6), "18.0 kB"),
        (("keep=best:1", "metric=test_accuracy"), (1, 2, 3, 4, 5), "15.0 kB"),
        (("keep=latest:4",), (1, 2), "3.0 kB"),
        (("keep=best:1", "sweep=even"), (4, 6), "10.0 kB"),
        (("keep=best:0",), (1, 2, 3, 4, 5, 6), "21.0 kB"),
        (("keep=latest:6",), (), ""),
        ((), (), ""),
    ],
)
def test_checkpoints_of_finished_runs_that_are_not_kept_are_listed_and_then_removed(
    lifecycle: Command, store: Path, words: tuple[str, ...], removed: tuple[int, ...], size: str
) -> None:
    ended = lifecycle("clean", *words)
    assert (ended.code, ended.err, listed(ended.out)) == (0, "", checkpoints(*removed))
    folders = f"{len(removed)} folder{'s' * (len(removed) != 1)}, {size}"
    wanted = f"In all {folders}. Nothing was removed: add yes=true to remove them." if removed else "Nothing to remove."
    assert ended.out.splitlines()[-1] == wanted
    assert len(list((store / "checkpoints").iterdir())) == 6
    ended = lifecycle("clean", *words, "yes=true")
    assert ended.out.splitlines()[-1] == (f"Removed {folders}." if removed else "Nothing to remove.")
    left = sorted(file.name for file in (store / "checkpoints").iterdir())
    assert left == [run_id(number) for number in range(1, 7) if number not in removed]
    assert len(list((store / "artifacts" / "lifecycle").iterdir())) == 6
    assert lifecycle("clean", *words).out == "Nothing to remove.\n"


def test_the_best_are_those_of_each_data_set_and_runs_without_the_score_stay(lifecycle: Command, store: Path) -> None:
    execute(store, "UPDATE tags SET value = 'z' WHERE key = ? AND run_uuid > ?", layout.DATA_DIGEST, run_id(3))
    execute(store, "DELETE FROM latest_metrics WHERE key = 'kept_val_loss' AND run_uuid = ?", run_id(6))
    execute(store, "UPDATE tags SET value = run_uuid WHERE key = ?", layout.VALIDATION_DIGEST)  # a split for each seed
    assert listed(lifecycle("clean", "keep=best:1").out) == checkpoints(2, 3, 5)


def test_what_is_running_or_registered_or_can_be_resumed_or_is_to_be_sent_is_kept(
    lifecycle: Command, store: Path
) -> None:
    execute(store, "UPDATE runs SET status = 'KILLED' WHERE run_uuid = ?", run_id(1))
    execute(store, "UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", run_id(2))
    execute(store, "INSERT INTO registered_models (name, workspace) VALUES ('m', 'default')")
    execute(
        store,
        "INSERT INTO model_versions (name, version, run_id, source, workspace) VALUES ('m', 1, ?, 'x', 'default')",
        run_id(3),
    )
    outbox.put(store, outbox.Entry(run_id(4), "http://h"))
    with FileLock(store / "checkpoints" / run_id(5) / ".lock"):
        ended = lifecycle("clean", "keep=best:0", "yes=true")
    assert listed(ended.out) == checkpoints(6)
    # The same runs, deleted in MLflow's UI: only what nothing needs is removed then.
    execute(store, "UPDATE runs SET lifecycle_stage = 'deleted'")
    ended = lifecycle("clean")
    gone = [f"artifacts/lifecycle/{run_id(number)}" for number in (1, 5, 6)]
    assert listed(ended.out) == [*checkpoints(1, 5), *gone]
    assert "run r1 was deleted" in ended.out


def test_a_run_that_was_deleted_is_gone_with_its_files_and_a_deleted_model_too(
    lifecycle: Command, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained / "mlruns", tmp_path / "mlruns")
    store = tmp_path / "mlruns"
    client = mlflow.MlflowClient(f"sqlite:///{store}/mlflow.db")
    ids = [one.experiment_id for one in client.search_experiments()]
    (run,) = client.search_runs(ids)
    (output,) = run.outputs.model_outputs
    assert listed(lifecycle("clean").out) == []
    client.delete_logged_model(output.model_id)
    assert listed(lifecycle("clean", "yes=true").out) == [f"artifacts/lifecycle/models/{output.model_id}"]
    client.delete_run(run.info.run_id)
    assert "no longer" not in lifecycle("clean").out
    ended = lifecycle("clean", "yes=true")
    assert len(listed(ended.out)) == 2  # checkpoints and artifacts
    assert ended.out.endswith("1 deleted run is no longer in the database.\n")
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = database.execute(f"SELECT * FROM {table}").fetchall()
            assert run.info.run_id not in str(rows), table
    assert lifecycle("clean", "yes=true").out == "Nothing to remove.\n"


def test_folders_without_a_run_are_removed_and_foreign_ones_stay(lifecycle: Command, store: Path) -> None:
    orphans = [f"checkpoints/{NO_RUN}", f"artifacts/lifecycle/{NO_RUN}", f"artifacts/lifecycle/models/{NO_MODEL}"]
    orphans += [".sending-abc", ".unpacking-abc"]
    mine = ["checkpoints/my_notes", "artifacts/lifecycle/my_notes", "artifacts/other", "my_notes"]
    for name in (*orphans, *mine):
        (store / name).mkdir(parents=True)
        (store / name / "file").write_bytes(bytes(500))
    (store / "checkpoints" / ("e" * 32)).symlink_to(store / "my_notes")
    ended = lifecycle("clean")
    assert listed(ended.out) == orphans
    assert ended.out.count("   500 B  ") == 5
    assert ended.out.splitlines()[-1].startswith("In all 5 folders, 2.5 kB. ")
    old = time.time() - 40 * 86_400
    for file in (store / orphans[0], store / orphans[0] / "file"):
        os.utime(file, (old, old))
    assert listed(lifecycle("clean", "older=30d").out) == orphans[:1]
    assert listed(lifecycle("clean", "older=6w").out) == []
    assert listed(lifecycle("clean", "yes=true").out) == orphans
    assert not [name for name in orphans if (store / name).exists()]
    assert all((store / name / "file").is_file() for name in mine)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("keep=20", "keep=20 does not say which runs keep their checkpoints. Write keep=best:20 or keep=latest:20."),
        ("older=soon", "older=soon is no time. Write older=30d, 12h or 8w."),
        ("metric=loss", "metric is about checkpoints of finished runs. Add keep=best:20, for instance."),
        ("tracking.dir=no", "tracking.dir=no has no runs. Name the folder of your runs."),
    ],
)
def test_options_that_cannot_be_read_are_refused(lifecycle: Command, store: Path, word: str, text: str) -> None:
    ended = lifecycle("clean", word)
    assert (ended.code, ended.err) == (2, f"lifecycle: {text}\n")


def test_a_metric_that_no_run_has_is_refused_and_nothing_is_removed(lifecycle: Command, store: Path) -> None:
    ended = lifecycle("clean", "keep=best:1", "metric=test_acuracy", "yes=true")
    assert (ended.code, "Did you mean test_accuracy?" in ended.err) == (2, True)
    assert len(list((store / "checkpoints").iterdir())) == 6


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return time of change, mode and content of all files and folders."""
    found = {}
    for file in sorted(folder.rglob("*")):
        about = file.lstat()
        found[str(file)] = (about.st_mtime_ns, about.st_mode, file.read_bytes() if file.is_file() else b"")
    return found


def lines(out: str) -> dict[str, str]:
    """Return name -> state of the checks."""
    return {line[9:].split()[0]: line[:8].strip() for line in out.splitlines() if line[:8].strip() in STATES}


STATES = ("ok", "warning", "error")


def test_a_folder_in_order_has_no_errors_and_is_not_changed(lifecycle: Command, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "mlruns", tmp_path / "mlruns")
    before = state(tmp_path)
    ended = lifecycle("doctor")
    assert (ended.code, ended.err) == (0, ""), ended
    assert state(tmp_path) == before
    found = lines(ended.out)
    names = ["disk", "locks", "database", "schema", "folder", "running", "models", "checkpoints", "artifacts"]
    assert list(found) == [*names, "orphans", "pending", "versions", "gpu"]
    assert found["folder"] == "warning"  # a copy, which nothing has opened yet
    assert {found[name] for name in ("database", "schema", "running", "models", "checkpoints", "orphans")} == {"ok"}
    assert "2 compared with their sha256, all equal" in ended.out
    assert "mlflow 3." in ended.out


def test_each_fault_is_found_and_named_with_a_cure(lifecycle: Command, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "mlruns", tmp_path / "mlruns")
    store = tmp_path / "mlruns"
    execute(store, "UPDATE runs SET status = 'RUNNING', end_time = NULL")
    execute(store, "UPDATE alembic_version SET version_num = 'feedbeef'")
    (weights,) = store.glob(f"artifacts/lifecycle/models/*/artifacts/data/saved/{layout.WEIGHTS}")
    weights.write_bytes(weights.read_bytes() + b"x")
    (last,) = store.glob("checkpoints/*/last.ckpt")
    last.write_bytes(last.read_bytes()[:-1])
    (store / "checkpoints" / NO_RUN).mkdir()
    (store / "spool").mkdir(exist_ok=True)
    (store / "spool" / "x.jsonl").touch()
    outbox.put(store, outbox.Entry("y", "http://h"))
    before = state(tmp_path)
    ended = lifecycle("doctor")
    assert (ended.code, state(tmp_path) == before) == (1, True)
    found = lines(ended.out)
    assert [name for name in found if found[name] == "error"] == ["schema", "models", "checkpoints"]
    assert {"running", "orphans", "pending"} <= {name for name in found if found[name] == "warning"}
    for text in (
        "feedbeef is of a newer MLflow than the installed one",
        "1 RUNNING without a process: mlp-iris-0 (",
        "`lifecycle resume` continues one.",
        "1 of 1 differ from their sha256: artifacts/lifecycle/models/m-",
        "1 of 2 differ from their sha256: checkpoints/",
        "1 folder without a run, 0 B",
        "1 still to be recorded: run x",
        "`lifecycle sync` or the next command does it.",
        "1 still to be sent: run y to http://h",
        "`lifecycle sync tracking.uri=http://h` does it.",
    ):
        assert text in ended.out, (text, ended.out)
    assert ended.err.startswith("lifecycle: 3 errors and ")


def test_a_damaged_database_and_an_empty_folder(lifecycle: Command, store: Path) -> None:
    content = bytearray((store / "mlflow.db").read_bytes())
    content[4096 * 5 : 4096 * 9] = os.urandom(4096 * 4)
    (store / "mlflow.db").write_bytes(content)
    ended = lifecycle("doctor")
    assert (ended.code, lines(ended.out)["database"]) == (1, "error")
    ended = lifecycle("doctor", "tracking.dir=none")
    assert (ended.code, "has no runs yet" in ended.out) == (0, True)
    assert not (store.parent / "none").exists()


def test_a_file_system_without_locks_and_a_full_disk_are_errors(
    lifecycle: Command, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locks.work(store / ".lock")
    with FileLock(store / ".lock"):
        assert locks.work(store / ".lock")
        assert locks.is_locked(store / ".lock")
    assert not locks.is_locked(store / ".lock")
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, how: None)  # as NFS mounted with nolock
    monkeypatch.setattr(disk, "LEAST_FREE", 1 << 60)
    ended = lifecycle("doctor")
    assert (ended.code, lines(ended.out)["locks"], lines(ended.out)["disk"]) == (1, "error", "error")
    assert "two processes can lock one file, so they could damage the database" in ended.out


def test_the_type_of_a_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(
        f"a / ext4 rw 0 0\nb {str(tmp_path).replace(' ', chr(92) + '040')} nfs4 rw 0 0\nc /x tmpfs rw 0 0\n"
    )
    assert locks.file_system(tmp_path, table) == "nfs4"
    assert locks.file_system(Path("/"), table) == "ext4"
    assert locks.file_system(tmp_path, tmp_path / "none") == ""
