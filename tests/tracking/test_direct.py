"""A run that is recorded by SQL has the rows and files of one that MLflow's client records."""

from __future__ import annotations

import math
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml

from lifecycle import layout
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import TrackingError
from lifecycle.tracking.database.tables import TABLES
from lifecycle.tracking.direct import rows
from lifecycle.tracking.direct.client import DirectClient, is_possible
from lifecycle.tracking.messages import (
    LogDataset,
    LogFile,
    LogFolder,
    LogMetrics,
    LogModel,
    LogParams,
    LogRequest,
    LogTags,
    LogText,
    SetTags,
)
from lifecycle.tracking.models.logged import last_model
from lifecycle.tracking.store import Store, close_dead_runs, database_uri, open_store
from lifecycle.tracking.writer import DirectWriter, RunWriter, writer_of
from tests.conftest import artifacts, ready

OWN = {
    *("run_uuid", "model_id", "input_uuid", "source_id", "destination_id", "source_run_id", "run_id"),
    *("artifact_uri", "artifact_location", "start_time", "end_time", "timestamp"),
    *("creation_timestamp_ms", "last_updated_timestamp_ms", "dataset_uuid", "user_id"),
}
"""Columns that differ from run to run."""

OF_A_RUN = {
    "inputs": "source_id = ? OR destination_id = ?",
    "input_tags": "input_uuid IN (SELECT input_uuid FROM inputs WHERE source_id = ? OR destination_id = ?)",
    "datasets": "dataset_uuid IN (SELECT source_id FROM inputs WHERE source_id = ? OR destination_id = ?)",
    "logged_models": "source_run_id = ? OR source_run_id = ?",
    "logged_model_metrics": "run_id = ? OR run_id = ?",
    "logged_model_params": "model_id IN (SELECT model_id FROM logged_models WHERE source_run_id IN (?, ?))",
    "logged_model_tags": "model_id IN (SELECT model_id FROM logged_models WHERE source_run_id IN (?, ?))",
}

COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]

TAGS = {"mlflow.source.name": "lifecycle", "mlflow.source.type": "LOCAL", layout.COMMAND: "lifecycle data=iris"}


@pytest.fixture
def store(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    ready(tmp_path, empty_database)
    open_store(TrackingConfig())  # makes the experiment
    return open_store(TrackingConfig())


@pytest.fixture
def mlflows(store: Store) -> Any:
    """Return MLflow's own client, which Model.log finds too."""
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_experiment(experiment_id=store.experiment_id)
    return mlflow.MlflowClient(store.uri)


def record(writer: RunWriter, saved: Path, scratch: Path) -> None:
    """Record a bit of everything."""
    writer.write(LogRequest({"model": "mlp", "seed": "0", "long": "x" * 5000}, "# a configuration\n"))
    writer.write(SetTags({"stopped": "later", "long": "y" * 9000}))
    writer.write(SetTags({"stopped": "max_epochs=2 was reached"}))
    writer.write(LogDataset("iris", "ab" * 32, "sklearn:iris", 150))
    points: list[tuple[str, float, int, int]] = []
    for epoch, value in enumerate((0.5, math.nan, math.inf, -math.inf, 0.25), start=1):
        points += [("val_loss", value, 1000 + epoch, epoch), ("train_loss", -value, 1000 + epoch, epoch)]
    writer.write(LogMetrics([*points, ("test_loss", 0.125, 2000, 0), ("test_accuracy", 1.0, 2000, 0)]))
    writer.write(LogMetrics([("val_loss", 0.75, 1001, 1)]))  # an earlier step, later
    writer.write(LogText("one\ntwo é\n", "summary.txt"))
    (scratch / "a.csv").write_text("a\n1\n")
    writer.write(LogFile(str(scratch / "a.csv"), None))
    writer.write(LogFile(str(scratch / "a.csv"), "deep/er"))
    (scratch / "folder" / "within").mkdir(parents=True, exist_ok=True)
    (scratch / "folder" / "within" / "b.csv").write_text("b\n")
    writer.write(LogFolder(str(scratch / "folder"), "into"))
    outputs = {"predicted": "string", "probability_é": "double"}
    writer.write(SetTags({layout.SIGNATURE: "a", layout.AUDIT_TAG: "b"}))  # one that MLflow's pages leave out
    about = {"name": "mlp-iris: 1", "step": 5}
    writer.write(LogModel(str(saved), COLUMNS, outputs, {"missing": "refuse", "horizon": 0}, **about))
    writer.write(LogTags())


@pytest.fixture
def both(store: Store, mlflows: Any, trained: Path, tmp_path: Path) -> tuple[str, str]:
    """Record a run by MLflow and one by SQL; return their ids."""
    (saved,) = (path.parent for path in (trained / "mlruns").rglob("lifecycle.json"))
    found = []
    for client in (mlflows, store.client):
        run = client.create_run(store.experiment_id, tags=TAGS, run_name="mlp-iris-0").info.run_id
        writer = writer_of(client, run)
        assert isinstance(writer, DirectWriter) == isinstance(client, DirectClient)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in the process that records
            record(writer, saved, tmp_path)
        client.set_terminated(run, "FINISHED", 3000)
        found.append(run)
    return found[0], found[1]


def rows_of(table: str, run: str) -> list[dict[str, Any]]:
    """Return the rows of a run, without what differs from run to run."""
    columns = TABLES[table]
    where = OF_A_RUN.get(table, "run_uuid IN (?, ?)")
    with closing(sqlite3.connect("mlruns/mlflow.db")) as database:
        found = database.execute(f"SELECT {columns} FROM {table} WHERE {where}", (run, run)).fetchall()
    named = [dict(zip(columns.split(", "), row, strict=True)) for row in found]
    kept = [{name: value for name, value in row.items() if name not in OWN} for row in named]
    return sorted(kept, key=str)


def test_the_rows_and_the_files_are_those_of_mlflows_client(both: tuple[str, str], mlflows: Any) -> None:
    theirs, ours = both
    for table in TABLES:
        expected = rows_of(table, theirs)
        assert expected, table
        assert rows_of(table, ours) == expected, table
    then, now = (artifacts(mlflows.get_run(run)) for run in both)
    names = {str(file.relative_to(then)) for file in then.rglob("*") if file.is_file()}
    assert {"summary.txt", "tags.json", "a.csv", "deep/er/a.csv", "into/within/b.csv"} <= names
    assert names == {str(file.relative_to(now)) for file in now.rglob("*") if file.is_file()}
    for name in names:
        assert (then / name).read_bytes() == (now / name).read_bytes(), name


def test_the_model_is_mlflows_model(both: tuple[str, str], mlflows: Any) -> None:
    theirs, ours = (last_model(mlflows, mlflows.get_run(run)) for run in both)
    folders = [Path(model.artifact_location.removeprefix("file://")) for model in (theirs, ours)]
    files = [{str(file.relative_to(folder)) for file in folder.rglob("*")} for folder in folders]
    assert files[0] == files[1]
    for name in ("conda.yaml", "python_env.yaml", "requirements.txt", "data/saved/lifecycle.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    described = [yaml.safe_load((folder / "MLmodel").read_text()) for folder in folders]
    own = {"artifact_path", "model_id", "model_uuid", "run_id", "utc_time_created"}
    assert described[0].keys() == described[1].keys()
    for key in described[0].keys() - own:
        assert described[0][key] == described[1][key], key
    assert described[1]["model_id"] == described[1]["model_uuid"] == ours.model_id
    info = mlflow.models.get_model_info(f"models:/{ours.model_id}")
    assert info.signature.inputs.input_names() == COLUMNS
    loaded = mlflow.pyfunc.load_model(f"models:/{ours.model_id}")
    assert len(loaded.predict(pd.DataFrame([dict.fromkeys(COLUMNS, 1.5)]))) == 1


def test_what_is_recorded_twice_is_there_once(
    both: tuple[str, str], store: Store, trained: Path, tmp_path: Path
) -> None:
    _, run = both
    counted = {table: rows_of(table, run) for table in TABLES}
    (saved,) = (path.parent for path in (trained / "mlruns").rglob("lifecycle.json"))
    writer = writer_of(store.client, run)
    for message in (
        LogDataset("iris", "ab" * 32, "sklearn:iris", 150),
        LogMetrics([("val_loss", 0.5, 1001, 1), ("test_loss", 0.125, 2000, 0)]),
        LogParams({"seed": "0"}),
        LogModel(str(saved), COLUMNS, {"predicted": "string"}, {}),
    ):
        writer.write(message)
    assert {table: rows_of(table, run) for table in TABLES} == counted
    with pytest.raises(TrackingError, match=r"the parameter seed of run .* is 0 and cannot become 1"):
        writer.write(LogParams({"seed": "1"}))


def test_a_run_whose_process_is_gone_is_closed(store: Store, mlflows: Any) -> None:
    create: Callable[..., Any] = store.client.create_run
    run = create(store.experiment_id, tags=TAGS, run_name="gone").info.run_id
    other = create(store.experiment_id, tags={}, run_name="of another tool").info.run_id
    assert rows.running(store.folder / layout.DATABASE) == [run]
    with store.lock():
        close_dead_runs(store)
    assert mlflows.get_run(run).info.status == "KILLED"
    assert mlflows.get_run(other).info.status == "RUNNING"
    assert "kill -9" in mlflows.get_run(run).data.tags[layout.ERROR]


def test_a_database_of_another_schema_is_left_to_mlflow(store: Store, tmp_path: Path) -> None:
    file = store.folder / layout.DATABASE
    assert is_possible(file)
    assert not is_possible(tmp_path / "none.db")
    (tmp_path / "empty.db").touch()
    assert not is_possible(tmp_path / "empty.db")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'another'")
    assert not is_possible(file)
    # A file that is no database either.
    (tmp_path / "text.db").write_text("no database")
    assert not is_possible(tmp_path / "text.db")


def test_all_else_is_asked_of_mlflow(store: Store) -> None:
    assert isinstance(store.client, DirectClient)
    assert store.client.get_experiment_by_name("none") is None
    found = store.client.get_experiment_by_name("lifecycle")
    theirs = mlflow.MlflowClient(database_uri(store.folder)).get_experiment_by_name("lifecycle")
    assert vars(found) == {name: getattr(theirs, name) for name in vars(found)}
    assert [one.name for one in store.client.search_experiments()] == ["lifecycle", "Default"]
    with pytest.raises(AttributeError):
        store.client.__wrapped__  # noqa: B018 - of which MLflow is not imported
