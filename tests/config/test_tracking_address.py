"""Runs are recorded in a folder: an address in its place, or in the environment, is refused before any file exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.api.model import Model
from lifecycle.config.schema import TrackingConfig
from lifecycle.config.tracking_address import check_folder
from lifecycle.data.sources import files
from lifecycle.errors import DataWarning, RequestError
from lifecycle.tracking.servers import outbox
from lifecycle.tracking.store import database_uri
from tests.conftest import Command

VARIABLE = "MLFLOW_TRACKING_URI"
X, Y = np.arange(20.0).reshape(10, 2), ["a", "b"] * 5
SERVER = "A server is named by tracking.uri={}; the folder is for checkpoints and what waits to be sent."


@pytest.mark.parametrize(
    ("address", "shown", "cure"),
    [
        ("http://localhost:5000", "http://localhost:5000", SERVER.format("http://localhost:5000")),
        ("https://jane:secret@host/x", "https://***@host/x", SERVER.format("https://***@host/x")),
        ("postgresql+psycopg2://u:secret@h/db", "postgresql+psycopg2://***@h/db", "A server is named by tracking.uri="),
        ("databricks", "databricks", "tracking.uri=databricks, or ./databricks for a folder of that name;"),
        ("s3://bucket/x", "s3://bucket/x", "Write tracking.dir=<folder>, such as mlruns."),
        (
            "sqlite:///x.db",
            "sqlite:///x.db",
            "Runs are kept in mlflow.db within a folder: write",
        ),
        ("sqlite:////a/runs/mlflow.db", "sqlite:////a/runs/mlflow.db", "alone: tracking.dir=/a/runs."),
        ("file:///a/runs", "file:///a/runs", "Write the path alone: tracking.dir=/a/runs."),
        ("FILE:runs", "FILE:runs", "Write the path alone: tracking.dir=runs."),
    ],
)
def test_an_address_is_no_folder(lifecycle: Command, tmp_path: Path, address: str, shown: str, cure: str) -> None:
    ended = lifecycle("data=iris", "trainer.max_epochs=1", f"tracking.dir={address}")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"lifecycle: tracking.dir must be a folder, got {shown}. ")
    assert cure in ended.err
    assert "secret" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "data=iris", "seed=1,2"),
        ("evaluate", "run=latest"),
        ("compare", "run=latest"),
        ("resume", "run=latest"),
        ("serve", "run=latest"),
        ("ui",),
    ],
)
def test_every_entry_refuses_what_is_no_server(
    lifecycle: Command, tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = lifecycle(*words, "tracking.dir=http://host:5000")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("lifecycle: tracking.dir must be a folder, got http://host:5000. ")
    ended = lifecycle(*words, "tracking.uri=./runs")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "lifecycle: tracking.uri must be the address of an MLflow server or a database, got ./runs. A folder is named "
        "by tracking.dir=runs. Write http://host:5000, postgresql://host/name, mysql://host/name, sqlite:///file.db or "
        "databricks.\n"
    )
    monkeypatch.setenv(VARIABLE, "s3://jane:secret@bucket/runs")
    ended = lifecycle(*words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "lifecycle: MLFLOW_TRACKING_URI is set to s3://***@bucket/runs, which is no server. Unset it, or choose the "
        "folder with tracking.dir=./mlruns.\n"
    )
    monkeypatch.setenv(VARIABLE, "http://host:5000")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://other:5000")
    ended = lifecycle(*words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "lifecycle: MLFLOW_REGISTRY_URI is set to http://other:5000, and models are registered where the runs are. "
        "Unset it, or choose the folder with tracking.dir=./mlruns.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("-m", "seed=1,2"), ("compare", "run=latest")])
def test_what_could_never_be_sent_is_refused_before_anything_is_fitted(
    lifecycle: Command, tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ("data=iris",) if words[:1] != ("compare",) else ()
    ended = lifecycle(*words, *data, "tracking.uri=databricks://mine")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "lifecycle: tracking.experiment must be a path in the workspace, as Databricks asks for, got lifecycle. Write "
        "tracking.experiment=/Users/<your name>/lifecycle.\n"
    )
    ended = lifecycle(*words, *data, "tracking.uri=mysql+mysqldb://jane:secret@host/team")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "lifecycle: tracking.uri=mysql+mysqldb://***@host/team needs the driver mysqldb, which is not installed. Type "
        "pip install 'mysqlclient'.\n"
    )
    monkeypatch.setenv(VARIABLE, "mssql://jane:secret@host/team")
    ended = lifecycle(*words, *data)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"lifecycle: {VARIABLE}=mssql://***@host/team needs the driver pyodbc, which is not installed. Type "
        "pip install 'pyodbc'.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/Users/me@example.com/iris", "/Shared/a b"])
def test_an_experiment_may_be_a_path_of_a_workspace(name: str) -> None:
    TrackingConfig(uri="databricks", experiment=name).check()


@pytest.mark.parametrize("name", ["/iris", "/a/../b", "/a/.b", "a/b", "//a", "/a/"])
def test_other_paths_are_no_experiment(name: str) -> None:
    with pytest.raises(ValueError, match=r"^experiment must be a name of at most 200 characters, without slashes"):
        TrackingConfig(experiment=name)


def test_an_address_in_a_file_is_refused_in_a_multirun_too(lifecycle: Command, tmp_path: Path) -> None:
    (tmp_path / "conf" / "tracking").mkdir(parents=True)
    (tmp_path / "conf" / "tracking" / "server.yaml").write_text("defaults: [default, _self_]\ndir: http://host:5000\n")
    for words in ((), ("-m", "seed=1,2")):
        ended = lifecycle(*words, "data=iris", "tracking=server")
        assert (ended.code, ended.out) == (2, "")
        assert "tracking.dir must be a folder, got http://host:5000." in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]


def test_from_python_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, few = Model("mlp", hidden=[2]), {"epochs": 1, "verbose": 0}
    for place in ("s3://host/x", Path("http://host:5000")):
        with pytest.raises(RequestError, match=r"^tracking\.dir must be a folder, got (s3|http):/"):
            model.fit(X, Y, track=True, tracking=place, **few)  # type: ignore[arg-type]
        with pytest.raises(RequestError, match=r"^tracking\.dir must be a folder, got (s3|http):/"):
            Model.from_run("latest", tracking=place)
    with pytest.raises(ValueError, match=r"^dir must be a folder, got sqlite:x\."):
        TrackingConfig(dir="sqlite:x")
    for place in ("http://127.0.0.1:9", None):  # as MLflow's users name a server, or have named it
        mlflow.set_tracking_uri("http://127.0.0.1:9" if place is None else None)
        try:
            with pytest.warns(DataWarning, match=r"not yet in full on http://127\.0\.0\.1:9: it refuses connections"):
                model.fit(X, Y, track=True, tracking=place, **few)  # type: ignore[arg-type]
        finally:
            mlflow.set_tracking_uri(None)
    model.fit(X, Y, **few)  # type: ignore[arg-type]
    assert len(list(outbox.entries(tmp_path / "mlruns"))) == 2


@pytest.mark.parametrize(
    "own", ["sqlite:///mlruns/mlflow.db", "sqlite:///{}/mlruns/mlflow.db", "mlruns", "file://{}/mlruns"]
)
def test_the_address_of_the_own_database_is_no_other(
    job: Command, runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv(VARIABLE, own.format(tmp_path))
    assert job("data=iris", "trainer.max_epochs=1").code == 0
    assert len(runs()) == 1


def test_a_folder_that_was_chosen_goes_before_the_environment(
    job: Command, lifecycle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    assert job("data=iris", "trainer.max_epochs=1", "tracking.dir=./mlruns").code == 0
    ended = lifecycle("register", "run=latest", "name=iris", "tracking.dir=./mlruns")
    assert ended.code == 0, ended.err
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    uri = database_uri(tmp_path / "mlruns")
    assert [model.name for model in mlflow.MlflowClient(uri, uri).search_registered_models()] == ["iris"]
    (saved,) = (tmp_path / "mlruns").rglob("lifecycle.json")
    iris = files.read("sklearn:iris").drop(columns="species")
    iris.to_csv("in.csv", index=False)
    ended = lifecycle("predict", f"run={saved.parent}", "input=in.csv", "output=out.csv")  # it asks no database
    assert ended.code == 0, ended.err


def test_a_callers_own_run_is_recorded_where_mlflow_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/other.db")
    try:
        with mlflow.start_run() as active:
            Model("mlp", hidden=[2]).fit(X, Y, epochs=1, verbose=0)
        assert "train_loss" in mlflow.get_run(active.info.run_id).data.metrics
    finally:
        mlflow.set_tracking_uri(None)
    assert not list(tmp_path.rglob("mlflow.db"))


NAMES = st.text("abAB01_.- :", min_size=1, max_size=8).map(lambda name: f"x{name}")


@given(st.lists(NAMES, min_size=1, max_size=4).map("/".join))
def test_paths_are_folders_and_no_address(path: str) -> None:
    for folder in (path, f"./{path}", f"/{path}", f"~/{path}", "./databricks", "./file:x", "mlruns/http://x"):
        check_folder(folder)
    for address in (f"gopher://{path}", f"sqlite:{path}", f"FILE:/{path}", f"mysql+pymysql:{path}"):
        with pytest.raises(ValueError, match=r"^dir must be a folder, got "):
            check_folder(address)
