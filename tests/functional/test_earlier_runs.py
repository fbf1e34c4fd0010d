"""Runs, checkpoints and models that were made before the packages were laid out can still be used."""

from __future__ import annotations

import contextlib
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from lifecycle.tracking import client
from lifecycle.tracking.pages import tags
from lifecycle.tracking.store import database_uri
from tests.conftest import Command, artifacts

KEPT = Path(__file__).parents[1] / "saved_runs" / "before_packages.tar.xz"
"""A folder of runs, which stood in /compat: one of each network, and one that was killed in its sixth epoch of 12."""

Runs = Callable[[], list[mlflow.entities.Run]]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the runs, and have their database name the folder that they are in now."""
    folder = tmp_path_factory.mktemp("kept")
    with tarfile.open(KEPT) as archive:
        archive.extractall(folder, filter="data")
    client.end_all()  # MLflow remembers where the artifacts of a run's id are
    columns = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}
    with contextlib.closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as database, database:
        for table, column in columns.items():
            database.execute(f"update {table} set {column} = replace({column}, '/compat', ?)", (str(folder),))
    return folder


def run_of(folder: Path, name: str) -> mlflow.entities.Run:
    (run,) = [
        run
        for run in mlflow.MlflowClient(database_uri(folder / "mlruns")).search_runs(["1"])
        if run.info.run_name == name
    ]
    return run


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "sequential"])
def test_a_model_of_each_kind_predicts_what_it_did(kept: Path, lifecycle: Command, name: str) -> None:
    run = run_of(kept, name)
    ended = lifecycle("evaluate", f"run={run.info.run_id}", f"tracking.dir={kept / 'mlruns'}", "verbose=0")
    assert (ended.code, ended.err) == (0, "")
    after = run_of(kept, name).data.metrics
    scored = {key: value for key, value in after.items() if f"evaluate_{key}" in after}
    assert "test_loss" in scored
    for key, value in scored.items():
        assert after[f"evaluate_{key}"] == pytest.approx(value, rel=1e-6), key


def test_the_model_in_mlflow_is_loaded_by_the_module_that_it_names(kept: Path) -> None:
    run = run_of(kept, "mlp")
    mlflow.set_tracking_uri(database_uri(kept / "mlruns"))
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    then = pd.read_csv(artifacts(run) / "predictions.csv")
    from sklearn.datasets import load_iris

    found = model.predict(load_iris(as_frame=True).data.iloc[then["row"]])
    assert found["predicted"].tolist() == then["predicted"].tolist()


def test_a_run_that_was_killed_is_resumed(kept: Path, lifecycle: Command) -> None:
    before = run_of(kept, "interrupted")
    assert before.info.status == "KILLED"
    words = (f"run={before.info.run_id}", f"tracking.dir={kept / 'mlruns'}", "verbose=0")
    ended = lifecycle("resume", *words)
    assert (ended.code, ended.err) == (0, "")
    after = run_of(kept, "interrupted")
    assert after.info.status == "FINISHED"
    assert pd.read_csv(artifacts(after) / "history.csv")["epoch"].tolist() == list(range(1, 13))
    assert tags.read(after.data.tags)["lifecycle.resumed"] == "1"
    assert "lifecycle.command" in after.data.tags  # as version 0.1 named it
    for name in ("lifecycle.saved", "lifecycle.streaming"):
        __import__(name)
