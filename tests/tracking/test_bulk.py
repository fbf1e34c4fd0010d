"""The runs of a group are recorded as MLflow's client records single runs: row by row, and file by file."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest

from lifecycle import layout
from lifecycle.config.compose import compose
from lifecycle.config.request import Request
from lifecycle.errors import TrackingError
from lifecycle.tracking import sweep_runs
from lifecycle.tracking.database.tables import TABLES
from lifecycle.tracking.direct import bulk
from lifecycle.tracking.direct.bulk import WRITTEN, BulkStore
from lifecycle.tracking.messages import FailRun, FinishRun
from lifecycle.tracking.run import Run, log_record, log_settings, track
from lifecycle.tracking.store import close_dead_runs, database_uri, open_store
from tests.conftest import artifacts, ready

NOT_COMPARED = {"start_time", "end_time", "timestamp", "artifact_uri", "input_uuid", "run_uuid", "dataset_uuid"}


@pytest.fixture
def request_of_run(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    monkeypatch.chdir(tmp_path)
    ready(tmp_path, empty_database)
    request = compose(["data=iris", "verbose=0"])
    open_store(request.tracking)  # makes the experiment
    return request


def record(run: Run, request: Request) -> None:
    """Record a bit of everything."""
    log_settings(run, request)
    run.log_data("iris", "ab" * 32, "sklearn:iris", 150)
    run.log_resolved(request, loss="mse", trainer__batch_size=32)
    for epoch, value in enumerate((0.5, math.nan, math.inf, -math.inf, 0.25), start=1):
        run.log_epoch({"epoch": epoch, "train_loss": value, "val_loss": -value, "epoch_seconds": 0.1})
    run.log_scores({"test_loss": 0.125, "test_accuracy": 1.0})
    run.tag(stopped="max_epochs=5 was reached", long="x" * 9000)
    run.tag(stopped="it was replaced")
    run.log_text("one\ntwo\n", "summary.txt")
    run.scratch.mkdir(exist_ok=True)
    (run.scratch / "a.csv").write_text("a\n1\n")
    run.log_file(run.scratch / "a.csv")
    folder = run.scratch / "folder"
    folder.mkdir()
    (folder / "b.csv").write_text("b\n")
    run.log_folder(folder, "into")
    log_record(run, request)
    run.send()


def rows_of(table: str, columns: str, run: str) -> list[dict[str, Any]]:
    """Return the rows of a run, without ids and times, in an order that does not depend on them."""
    names = columns.split(", ")
    where = {
        "inputs": "destination_id = ?",
        "input_tags": "input_uuid IN (SELECT input_uuid FROM inputs WHERE destination_id = ?)",
        "datasets": "dataset_uuid IN (SELECT source_id FROM inputs WHERE destination_id = ?)",
    }.get(table, "run_uuid = ?")
    with closing(sqlite3.connect("mlruns/mlflow.db")) as database:
        found = database.execute(f"SELECT {columns} FROM {table} WHERE {where}", (run,)).fetchall()
    rows = [{n: v for n, v in zip(names, row, strict=True) if n not in NOT_COMPARED} for row in found]
    for row in rows:
        for name in ("source_id", "destination_id"):
            row.pop(name, None)
    return sorted(rows, key=str)


def test_the_rows_are_those_of_mlflows_client(request_of_run: Request) -> None:
    request = request_of_run
    with track(request) as single:
        record(single, request)
    assert bulk.is_known(request.tracking)
    with BulkStore(request.tracking).open([request, request]) as runs:
        for run in runs:
            record(run, request)
            run.recorder.ask(FinishRun())
    for table, columns in ((name, TABLES[name]) for name in (*WRITTEN, "inputs")):
        expected = rows_of(table, columns, single.id)
        assert expected, table
        for run in runs:
            found = rows_of(table, columns, run.id)
            for row in found if table in ("runs", "tags") else []:  # each name is another
                number = re.compile(r"^(mlp-iris-0)-\d$")
                row |= {name: number.sub(r"\1", str(row[name])) for name in ("name", "value") if name in row}
            assert found == expected, table
    client = mlflow.MlflowClient(database_uri(Path("mlruns")))
    ours, theirs = (client.get_run(run.id) for run in (runs[1], single))
    assert ours.data.params == theirs.data.params
    assert ours.data.metrics.keys() == theirs.data.metrics.keys()
    assert ours.inputs.dataset_inputs[0].dataset.name == "iris"
    files = {
        run.info.run_id: {str(file.relative_to(artifacts(run))) for file in artifacts(run).rglob("*") if file.is_file()}
        for run in (ours, theirs)
    }
    # The list of packages is the same for all, and is recorded with the sweep.
    assert files[ours.info.run_id] == files[theirs.info.run_id] - {layout.REQUIREMENTS}
    for name in files[ours.info.run_id]:
        assert (artifacts(ours) / name).read_bytes() == (artifacts(theirs) / name).read_bytes(), name


def test_runs_are_open_until_they_end_and_are_killed_with_the_group(request_of_run: Request) -> None:
    request = request_of_run
    runs: list[Run] = []

    def group() -> None:
        with BulkStore(request.tracking).open([request, request]) as opened:
            runs.extend(opened)
            check_that_they_are_open()
            opened[0].recorder.ask(FinishRun())
            raise ZeroDivisionError("stop")

    def check_that_they_are_open() -> None:
        assert {run.info.status for run in _all()} == {"RUNNING"}
        store = open_store(request.tracking)
        with store.lock():
            close_dead_runs(store)  # another process that opens the database leaves them alone
        assert {run.info.status for run in _all()} == {"RUNNING"}

    with pytest.raises(ZeroDivisionError):
        group()
    by_id = {run.info.run_id: run for run in _all()}
    assert by_id[runs[0].id].info.status == "FINISHED"
    assert by_id[runs[1].id].info.status == "KILLED"
    assert by_id[runs[1].id].data.tags[layout.ERROR] == "ZeroDivisionError: stop"
    assert not list(Path("mlruns/checkpoints").iterdir())


def test_points_are_written_while_the_group_is_running(
    request_of_run: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SECONDS_BETWEEN", 0.0)
    with BulkStore(request_of_run.tracking).open([request_of_run]) as (run,):
        run.log_epoch({"epoch": 1, "val_loss": 0.5})
        run.send()
        client = mlflow.MlflowClient(database_uri(Path("mlruns")))
        assert [point.value for point in client.get_metric_history(run.id, "val_loss")] == [0.5]
        assert client.get_run(run.id).info.status == "RUNNING"
        run.recorder.ask(FinishRun())


def test_a_run_that_was_killed_begins_again_under_its_id(request_of_run: Request) -> None:
    request = request_of_run
    runs: list[Run] = []

    def killed() -> None:
        with BulkStore(request.tracking).open([request]) as opened:
            runs.extend(opened)
            record(opened[0], request)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        killed()
    (first,) = runs
    with BulkStore(request.tracking).open([request], [first.id]) as (second,):
        second.log_epoch({"epoch": 1, "val_loss": 0.5})
        second.send()
        second.recorder.ask(FinishRun())
    (found,) = _all()
    assert (found.info.run_id, found.info.status) == (first.id, "FINISHED")
    assert found.data.metrics == {"val_loss": 0.5}
    assert layout.ERROR not in found.data.tags


def test_another_schema_and_a_new_folder_are_not_known(request_of_run: Request, tmp_path: Path) -> None:
    request = request_of_run
    with closing(sqlite3.connect("mlruns/mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'another'")
    assert not bulk.is_known(request.tracking)
    request.config.tracking.dir = str(tmp_path / "new")
    assert not bulk.is_known(request.tracking)


def test_a_database_that_cannot_be_written_is_one_message(request_of_run: Request) -> None:
    store = BulkStore(request_of_run.tracking)
    with closing(sqlite3.connect("mlruns/mlflow.db")) as database, database:
        database.execute("DROP TABLE tags")
    with pytest.raises(TrackingError, match=r"the runs of the group could not be recorded: no such table: tags"):
        store.open([request_of_run]).__enter__()


def test_the_state_of_runs_of_a_group_is_read_as_that_of_others(request_of_run: Request) -> None:
    tagged = request_of_run
    with BulkStore(tagged.tracking).open([tagged]) as (run,):
        run.tag(**{layout.SIGNATURE: "s1"})
        run.send()
        run.recorder.store.send()  # type: ignore[attr-defined]
        assert sweep_runs.runs_of(Path("mlruns"), "lifecycle", ["s1"])["s1"][0].status == "RUNNING"
        run.recorder.ask(FinishRun())
    assert sweep_runs.runs_of(Path("mlruns"), "lifecycle", ["s1"])["s1"][0].status == "FINISHED"


def _all() -> list[mlflow.entities.Run]:
    return list(mlflow.MlflowClient(database_uri(Path("mlruns"))).search_runs(["1"]))


@contextmanager
def locked() -> Iterator[None]:
    """Hold the database as another process would."""
    with closing(sqlite3.connect("mlruns/mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


def test_rows_that_could_not_be_written_are_written_the_next_time(
    request_of_run: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_WAIT", 0.1)
    store = BulkStore(request_of_run.tracking)
    with store.open([request_of_run, request_of_run]) as runs:
        record(runs[0], request_of_run)
        runs[0].recorder.ask(FinishRun())
        with locked(), pytest.raises(TrackingError, match="another process holds the database"):
            store.send()
        runs[1].log_epoch({"epoch": 1, "val_loss": 0.5})
    first, second = (mlflow.MlflowClient(database_uri(Path("mlruns"))).get_run(run.id) for run in runs)
    assert first.info.status == "FINISHED"
    assert first.data.params["data"] == "iris"
    assert first.data.metrics["test_loss"] == 0.125
    assert second.info.status == "KILLED"
    assert second.data.metrics == {"val_loss": 0.5}  # also the points that had not been sent


def test_runs_whose_end_cannot_be_written_are_ended_when_the_database_is_opened_next(
    request_of_run: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_WAIT", 0.1)
    runs: list[Run] = []

    def group() -> None:
        with BulkStore(request_of_run.tracking).open([request_of_run] * 3) as opened:
            runs.extend(opened)
            runs[0].recorder.ask(FinishRun())
            runs[1].recorder.ask(FailRun("FAILED", "val_loss is nan", None))
            waiting.enter_context(locked())

    with ExitStack() as waiting, pytest.raises(TrackingError, match="another process holds the database"):
        group()
    assert not list(Path("mlruns/checkpoints").glob("*"))
    open_store(request_of_run.tracking)
    by_id = {run.info.run_id: run for run in _all()}
    ended = [(by_id[run.id].info.status, by_id[run.id].data.tags[layout.ERROR]) for run in runs]
    # What had finished is incomplete without the rows that were lost.
    assert [status for status, _ in ended] == ["FAILED", "FAILED", "KILLED"]
    assert "another process holds the database" in ended[0][1]
    assert [error for _, error in ended[1:]] == ["val_loss is nan", "the group of the run ended before it"]


def test_two_groups_that_record_one_data_set_at_once_share_it(request_of_run: Request) -> None:
    with (
        BulkStore(request_of_run.tracking).open([request_of_run]) as first,
        BulkStore(request_of_run.tracking).open([request_of_run]) as second,
    ):
        for run in (*first, *second):
            run.log_data("iris", "ab" * 32, "sklearn:iris", 150)
            run.recorder.ask(FinishRun())
    client = mlflow.MlflowClient(database_uri(Path("mlruns")))
    used = [client.get_run(run.id).inputs.dataset_inputs[0].dataset.digest for run in (*first, *second)]
    assert used == [("ab" * 32)[:16]] * 2
    with closing(sqlite3.connect("mlruns/mlflow.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM datasets").fetchone() == (1,)


def test_runs_that_begin_again_keep_the_tags_of_the_new_start(
    request_of_run: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BulkStore(request_of_run.tracking).open([request_of_run] * 2, old="yes") as killed:
        killed[0].log_epoch({"epoch": 1, "val_loss": 0.5})
    monkeypatch.setattr(bulk, "SECONDS_BETWEEN", 0.0)  # as if its start had taken long
    ids = [run.id for run in killed]
    with BulkStore(request_of_run.tracking).open([request_of_run] * 2, ids, new="yes") as again:
        running = {run.info.run_id: run for run in _all()}
        for run in again:
            run.recorder.ask(FinishRun())
    for run_id in ids:
        assert running[run_id].info.status == "RUNNING"
        assert running[run_id].data.tags["new"] == "yes"
        assert "old" not in running[run_id].data.tags
        assert running[run_id].data.metrics == {}


def test_the_scores_of_a_running_member_are_seen_in_mlflow(request_of_run: Request) -> None:
    store = BulkStore(request_of_run.tracking)
    with store.open([request_of_run]) as runs:
        for epoch, value in enumerate((0.5, 0.25), start=1):
            runs[0].log_epoch({"epoch": epoch, "val_loss": value})
        runs[0].send()
        store.send()
        (running,) = _all()
        assert (running.info.status, running.data.metrics) == ("RUNNING", {"val_loss": 0.25})
        assert not store._unsent  # what is written is not written again
        runs[0].recorder.ask(FinishRun())
