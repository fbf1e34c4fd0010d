"""Runs of sweeps as they are read from the database: what MLflow's own client reads, and which are still open."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from filelock import FileLock
from mlflow.entities import Metric

from lifecycle import layout
from lifecycle.errors import RequestError, TrackingError
from lifecycle.tracking import search, sweep_runs
from lifecycle.tracking.database import faults
from lifecycle.tracking.store import Store, database_uri
from lifecycle.tracking.transfer.locations import Locations
from tests.conftest import artifacts, ready

A, B = "a" * 64, "b" * 64
HOLD = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(600)
"""
LOCK = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def other_process(code: str, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have another process hold a database or a lock until the block ends."""
    with subprocess.Popen([sys.executable, "-c", code, file], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        try:
            yield other
        finally:
            other.kill()


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    ready(tmp_path, empty_database)
    return tmp_path / "mlruns"


@pytest.fixture
def client(folder: Path) -> mlflow.MlflowClient:
    found = mlflow.MlflowClient(database_uri(folder))
    found.create_experiment("lifecycle", artifact_location=(folder / "arte fakte").as_uri())
    return found


def record(
    client: mlflow.MlflowClient, signature: str, experiment: str = "lifecycle", start: int | None = None, **tags: str
) -> str:
    of = client.get_experiment_by_name(experiment).experiment_id
    return str(client.create_run(of, start, {layout.SIGNATURE: signature, **tags}).info.run_id)


def test_a_run_is_read_as_mlflows_client_reads_it(folder: Path, client: mlflow.MlflowClient) -> None:
    run_id = record(client, A, start=1_000, note="ä = 'b'\n\"c\"", **{layout.ATTEMPT: "3"})
    for step, value in enumerate((3.0, 1.0, 2.0)):
        client.log_metric(run_id, "val_loss", value, step=step)
    values = {"test_loss": 0.1 + 0.2, "least": 5e-324, "nan": math.nan, "inf": math.inf, "minus": -math.inf, "zero": 0}
    client.log_batch(run_id, [Metric(name, value, 0, 0) for name, value in values.items()])
    client.set_terminated(run_id, "FINISHED", 4_500)
    (found,) = sweep_runs.runs_of(folder, "lifecycle", [A])[A]
    expected = client.get_run(run_id)
    assert (found.id, found.name, found.status) == (run_id, expected.info.run_name, "FINISHED")
    assert found.tags == expected.data.tags
    assert math.isnan(found.metrics.pop("nan"))
    assert math.isnan(expected.data.metrics.pop("nan"))
    assert found.metrics == expected.data.metrics
    assert (found.metrics["val_loss"], found.metrics["test_loss"]) == (2.0, 0.1 + 0.2)
    assert found.seconds == 3.5
    assert found.artifacts == artifacts(expected).parents[1].with_name("arte fakte") / run_id / "artifacts"
    assert found.attempt == 3


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_an_ended_run_has_its_status_even_where_its_lock_is_held(
    folder: Path, client: mlflow.MlflowClient, status: str
) -> None:
    run_id = record(client, A)
    client.set_terminated(run_id, status)
    (folder / "checkpoints" / run_id).mkdir(parents=True)
    with FileLock(folder / "checkpoints" / run_id / ".lock"):
        (found,) = sweep_runs.runs_of(folder, "lifecycle", [A])[A]
    assert (found.status, found.attempt) == (status, 1)


def test_a_run_that_a_process_has_open_is_running_and_dead_when_that_process_is(
    folder: Path, client: mlflow.MlflowClient
) -> None:
    run_id = record(client, A)
    lock = folder / "checkpoints" / run_id / ".lock"
    lock.parent.mkdir(parents=True)

    def read() -> sweep_runs.SweepRun:
        (found,) = sweep_runs.runs_of(folder, "lifecycle", [A])[A]
        return found

    assert read().status == sweep_runs.DEAD  # nobody has ever held it
    with other_process(LOCK, lock) as process:
        assert (read().status, read().seconds) == ("RUNNING", 0)
        process.kill()
        process.wait()
        assert read().status == sweep_runs.DEAD
    with FileLock(lock, timeout=0):  # to look does not keep the lock
        assert read().status == "RUNNING"
    assert client.get_run(run_id).info.status == "RUNNING"  # to look changes nothing


def test_a_run_without_checkpoints_that_nobody_has_open_is_dead_and_gets_no_folder(
    folder: Path, client: mlflow.MlflowClient
) -> None:
    record(client, A)
    (found,) = sweep_runs.runs_of(folder, "lifecycle", [A])[A]
    assert found.status == sweep_runs.DEAD
    assert not (folder / "checkpoints").exists()


def test_other_experiments_deleted_runs_and_other_signatures_do_not_count(
    folder: Path, client: mlflow.MlflowClient
) -> None:
    client.create_experiment("other")
    kept, elsewhere, deleted = record(client, A), record(client, A, "other"), record(client, A)
    record(client, "c" * 64)
    client.create_run(client.get_experiment_by_name("lifecycle").experiment_id)  # no job of a sweep
    client.delete_run(deleted)
    assert {key: [run.id for run in runs] for key, runs in sweep_runs.runs_of(folder, "lifecycle", [A, B]).items()} == {
        A: [kept]
    }
    assert [run.id for run in sweep_runs.runs_of(folder, "other", [A])[A]] == [elsewhere]
    assert sweep_runs.runs_of(folder, "none", [A]) == {}
    assert sweep_runs.runs_of(folder, "lifecycle", []) == {}
    client.restore_run(deleted)
    assert len(sweep_runs.runs_of(folder, "lifecycle", [A])[A]) == 2


def test_the_runs_of_a_job_are_in_the_order_that_they_started_in(folder: Path, client: mlflow.MlflowClient) -> None:
    second, third, first = (record(client, A, start=start) for start in (2_000, 3_000, 1_000))
    other = record(client, B, start=2_500)
    found = sweep_runs.runs_of(folder, "lifecycle", [B, A, A])
    assert [run.id for run in found[A]] == [first, second, third]
    assert [run.id for run in found[B]] == [other]
    at_once = [record(client, "c" * 64, start=9_000) for _ in range(3)]
    assert [run.id for run in sweep_runs.runs_of(folder, "lifecycle", ["c" * 64])["c" * 64]] == at_once


def test_more_runs_than_one_query_takes_are_all_read(
    folder: Path, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [record(client, A, start=start) for start in range(1, 8)]
    for run_id in ids:
        client.log_metric(run_id, "test_loss", float(ids.index(run_id)))
    monkeypatch.setattr(sweep_runs, "AT_ONCE", 3)
    found = sweep_runs.runs_of(folder, "lifecycle", [A])[A]
    assert [run.id for run in found] == ids
    assert [run.metrics for run in found] == [{"test_loss": float(at)} for at in range(7)]


def test_a_board_reads_only_what_it_needs_and_counts_are_those_of_mlflow(
    folder: Path, client: mlflow.MlflowClient
) -> None:
    tags = {layout.ERROR: "it broke.", layout.DATA_DIGEST: "d", "note": "long", layout.COMMAND: "lifecycle"}
    names = ("kept_val_loss", "test_loss", "test_loss_low", "test_loss_high", "test_baseline_loss", "val_loss")
    failed, finished, other = (record(client, of, start=at, **tags) for at, of in enumerate((A, A, B), start=1))
    client.log_batch(finished, [Metric(name, 0.5, 0, 0) for name in names])
    client.log_param(finished, "data.path", "x.csv")
    client.log_param(finished, "optimizer.lr", "1")
    for run_id, status in ((failed, "FAILED"), (finished, "FINISHED"), (other, "FAILED")):
        client.set_terminated(run_id, status)
    first, second = sweep_runs.runs_of(folder, "lifecycle", [A], for_board=True)[A]
    assert (first.id, second.id) == (failed, finished)
    assert second.tags == {layout.ERROR: "it broke.", layout.DATA_DIGEST: "d"}
    assert second.metrics == {"kept_val_loss": 0.5, "test_loss": 0.5}
    assert second.params == {}
    *_, second = sweep_runs.runs_of(folder, "lifecycle", [A, B], with_params=True)[A]
    assert (second.params, set(second.metrics)) == ({"data.path": "x.csv"}, set(names))
    assert sweep_runs.counts_of(folder, "lifecycle", [A, B, "c"]) == {"done": 1, "pruned": 0, "failed": 1, "left": 1}
    assert sweep_runs.finished_signatures(folder, "lifecycle", [A, B, "c"]) == {A}
    assert sweep_runs.finished_signatures(folder, "other", [A]) == set()


def test_a_folder_without_a_database_has_no_runs(tmp_path: Path) -> None:
    assert sweep_runs.runs_of(tmp_path, "lifecycle", [A]) == {}
    assert sweep_runs.runs_of(tmp_path / "nowhere", "lifecycle", [A]) == {}
    (tmp_path / layout.DATABASE).touch()  # empty, as SQLite leaves a file that was only opened
    assert sweep_runs.runs_of(tmp_path, "lifecycle", [A]) == {}
    assert [file.name for file in tmp_path.iterdir()] == [layout.DATABASE]
    assert not (tmp_path / layout.DATABASE).stat().st_size


def test_a_database_that_stays_locked_is_reported(
    folder: Path, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(client, A)
    # The 20 s of a real command, shortened; nothing else is replaced.
    monkeypatch.setattr(faults.wait_until_free, "__defaults__", (0.2,))
    with other_process(HOLD, folder / layout.DATABASE), pytest.raises(TrackingError) as caught:
        sweep_runs.runs_of(folder, "lifecycle", [A])
    assert str(caught.value).startswith("another process holds the database ")
    assert "trying again is safe" in str(caught.value)
    assert len(sweep_runs.runs_of(folder, "lifecycle", [A])[A]) == 1


def break_pages(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(60 * 4096))


def drop_tables(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE latest_metrics")
    database.close()


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        (lambda file: file.write_bytes(b"no database" * 999), RequestError, "holds an mlflow.db that is damaged or no"),
        (break_pages, RequestError, "holds an mlflow.db that is damaged or no database: "),
        (drop_tables, TrackingError, "cannot be read: no such table: latest_metrics"),
    ],
)
def test_a_damaged_database_is_reported(
    folder: Path, client: mlflow.MlflowClient, change: object, kind: type[Exception], sentence: str
) -> None:
    record(client, A)
    assert callable(change)
    change(folder / layout.DATABASE)
    before = (folder / layout.DATABASE).read_bytes()
    with pytest.raises(kind) as caught:
        sweep_runs.runs_of(folder, "lifecycle", [A])
    assert sentence in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "SELECT" not in str(caught.value)
    assert (folder / layout.DATABASE).read_bytes() == before


def test_a_folder_with_spaces_and_accents_in_its_name_is_read(tmp_path: Path, empty_database: Path) -> None:
    odd = tmp_path / "a b ä"
    odd.mkdir()
    ready(odd, empty_database)
    client = mlflow.MlflowClient(database_uri(odd / "mlruns"))
    of = client.create_experiment("lifecycle", artifact_location=(odd / "mlruns").as_uri())
    run_id = client.create_run(of, tags={layout.SIGNATURE: A}).info.run_id
    (found,) = sweep_runs.runs_of(odd / "mlruns", "lifecycle", [A])[A]
    assert (found.id, found.artifacts) == (run_id, odd / "mlruns" / run_id / "artifacts")


def stored(folder: Path, name: str, signatures: list[str], started: int) -> None:
    file = folder / layout.SWEEPS / name / layout.JOBS
    file.parent.mkdir(parents=True)
    file.write_text("\n".join([json.dumps({"format": 1}), *(json.dumps({"signature": one}) for one in signatures)]))
    os.utime(file, ns=(started, started))


def test_sweeps_are_listed_the_last_started_first(tmp_path: Path) -> None:
    assert sweep_runs.names(tmp_path) == []
    for at, name in enumerate(("ccc", "aaa", "bbb")):
        stored(tmp_path, name, [A], at + 1)
    (tmp_path / layout.SWEEPS / "half").mkdir()  # without jobs
    assert sweep_runs.names(tmp_path) == ["bbb", "aaa", "ccc"]


def test_the_signatures_of_a_sweep_are_found_by_its_name_or_the_beginning_of_it(tmp_path: Path) -> None:
    stored(tmp_path, "abc1", [A], 1)
    stored(tmp_path, "abc2", [A, B], 2)
    stored(tmp_path, "abc22", [], 3)
    assert sweep_runs.signatures_of(tmp_path, "abc1") == {A}
    assert sweep_runs.signatures_of(tmp_path, "abc2") == {A, B}
    assert sweep_runs.signatures_of(tmp_path, "abc22") == set()
    for name in ("abc", "x", "", "20240101-120000"):  # ambiguous, unknown, none
        assert sweep_runs.signatures_of(tmp_path, name) is None


def test_a_pruned_run_counts_in_the_sweep_that_pruned_it_only(folder: Path, client: mlflow.MlflowClient) -> None:
    tags = {layout.STATUS: layout.PRUNED, layout.SWEEP: "mine", layout.DATA_DIGEST: "d"}
    early, whole = record(client, A, start=1, **tags), record(client, B, start=2, **{layout.DATA_DIGEST: "d"})
    for run in (early, whole):
        client.set_terminated(run, "FINISHED")
    (found,) = sweep_runs.runs_of(folder, "lifecycle", [A], "mine")[A]
    assert (found.id, found.status) == (early, sweep_runs.PRUNED)
    assert sweep_runs.runs_of(folder, "lifecycle", [A], "other") == {}
    assert sweep_runs.standing([found]) is found
    # Nor has it a score that another search could begin with.
    other = record(client, B, start=3, **{layout.DATA_DIGEST: "e"})
    client.set_terminated(other, "FINISHED")
    assert [run.id for run in sweep_runs.finished(folder, "lifecycle", {"d"})] == [whole]
    assert [run.id for run in sweep_runs.finished(folder, "lifecycle", {"d", "e"})] == [whole, other]
    assert sweep_runs.finished(folder, "none", {"d"}) == []


@pytest.mark.parametrize("is_search", [False, True])
def test_the_best_run_of_a_sweep_is_best_by_the_score_of_the_sweep(
    folder: Path, client: mlflow.MlflowClient, is_search: bool
) -> None:
    def find(*metrics: str, metric: str | None = None) -> str:
        """Return the name of the best run of a sweep with a metric, or of a search with objectives."""
        head = {"settings": {"metric": None if is_search or not metrics else metrics[0]}}
        head |= {"search": {"objectives": [{"metric": name} for name in metrics]}} if is_search else {}
        (folder / "sweeps" / "s1").mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(head), *(json.dumps({"signature": signature}) for signature in (A, B))]
        (folder / "sweeps" / "s1" / "jobs.jsonl").write_text("\n".join(lines))
        return search.find(store, search.BEST, ["FINISHED"], metric, "latest").name

    store = Store(folder, client, client.get_experiment_by_name("lifecycle").experiment_id, Locations(folder))
    tags = {layout.COMMAND: "lifecycle", layout.HIGHER_IS_BETTER: json.dumps({"accuracy": True})}
    tags |= dict.fromkeys((layout.DATA_DIGEST, layout.VALIDATION_DIGEST, layout.TEST_DIGEST), "rows")
    scores = {"low loss": (0.1, 0.8), "high accuracy": (0.2, 0.9)}
    for signature, (name, (loss, accuracy)) in zip((A, B), scores.items(), strict=True):
        run = record(client, signature, **tags, **{layout.CONFIGURATION: name, "mlflow.runName": name})
        client.log_metric(run, "kept_val_loss", loss)
        client.log_metric(run, "test_accuracy", accuracy)
        client.set_terminated(run, "FINISHED")
    client.log_metric(run, "test_f1", 0.9)  # of one run only
    assert find("test_accuracy") == "high accuracy"
    assert find("test_accuracy", metric="kept_val_loss") == find("kept_val_loss") == find("test_f1") == "low loss"
    if not is_search:
        assert find() == "low loss"
        return
    with pytest.raises(RequestError) as caught:
        find("kept_val_loss", "test_accuracy")
    assert str(caught.value) == (
        "run=best is not defined in a search with 2 objectives. Name one: metric=kept_val_loss or metric=test_accuracy."
    )
    assert find("kept_val_loss", "test_accuracy", metric="test_accuracy") == "high accuracy"
