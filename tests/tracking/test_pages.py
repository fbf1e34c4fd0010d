"""What MLflow's pages show: names, tags and the view of an experiment; and that runs of version 0.1 are still read."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import layout
from lifecycle.config.compose import compose
from lifecycle.config.request import SweepJob
from lifecycle.tracking import sweep_runs
from lifecycle.tracking.pages import names, tags, view
from lifecycle.tracking.run import track
from lifecycle.tracking.store import database_uri, open_store
from tests.conftest import QUICK, Command, artifacts, ready
from tests.made import moved

OURS = [value for value in vars(layout).values() if str(value).startswith(("lifecycle.", "data."))]


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    ready(tmp_path, empty_database)
    return tmp_path


@given(st.lists(st.sampled_from(["a", "a-2", "b"]), max_size=8), st.sets(st.sampled_from(["a", "a-2", "a-3", "b-2"])))
def test_no_two_runs_get_one_name(asked: list[str], taken: set[str]) -> None:
    found = names.distinct(asked, taken)
    assert len(set(found) | taken) == len(found) + len(taken)
    assert all(given == name or given.startswith(f"{name}-") for given, name in zip(found, asked, strict=True))


def test_runs_are_numbered_unless_the_user_names_them(folder: Path) -> None:
    def name(*words: str) -> str:
        with track(compose(["data=iris", *words, *QUICK])) as run:
            return run.name

    assert [name(), name(), name("seed=1"), name()] == ["mlp-iris-0", "mlp-iris-0-2", "mlp-iris-1", "mlp-iris-0-3"]
    assert [name("tracking.run_name=mine"), name("tracking.run_name=mine")] == ["mine", "mine"]
    assert name("tracking.experiment=other") == "mlp-iris-0"  # the names of an experiment
    client = mlflow.MlflowClient(database_uri(folder / "mlruns"))
    found = client.search_runs(["1"], order_by=["attributes.start_time ASC"])
    assert [run.info.run_name for run in found][:4] == ["mlp-iris-0", "mlp-iris-0-2", "mlp-iris-1", "mlp-iris-0-3"]
    client.delete_run(found[1].info.run_id)
    assert name() == "mlp-iris-0-2"


@pytest.mark.parametrize(
    ("words", "label"),
    [
        (("optimizer.lr=0.1", "seed=1"), "lr=0.1"),
        (("model=mlp", "data=iris", "cv.fold=2"), ""),
        (("+model.hidden=[8,8]", "optimizer.lr=0.00123456789"), "hidden=[8,8]-lr=0.001235"),
        (("data.split_seed=1", "model.seed=2", "x.seed=3"), "split_seed=1-model.seed=2-x.seed=3"),
        (("model.activation=" + "a" * 200,), ("activation=" + "a" * 200)[:100]),
        (("trainer.max_epochs=5",), "max_epochs=5"),
    ],
)
def test_the_name_of_a_run_of_a_sweep_has_what_differs(words: tuple[str, ...], label: str) -> None:
    assert SweepJob("s", words=words).label == label


def test_each_of_our_tags_is_stored_and_read_under_its_name() -> None:
    assert len(OURS) > 25
    others = ["version.torch", "hardware.cpu", "git.dirty", "evaluate.rows.sha256", "split.test.sha256", "precision"]
    plain = ["stopped", "weights_epoch", "mlflow.source.name", "mlflow.note.content", "a tag of the user"]
    for name in [*OURS, *others, *plain]:
        assert tags.named(tags.stored(name)) == name
        assert tags.both(name)[0] == tags.stored(name)
    assert all(tags.stored(name).startswith(tags.HIDDEN) for name in others)
    assert all(tags.stored(name) == name for name in plain)
    both = {tags.stored(layout.BATCH_SIZE): "90", layout.BATCH_SIZE: "32"}  # resumed by this version
    assert tags.read(both) == tags.read(dict(reversed(both.items()))) == {layout.BATCH_SIZE: "90"}


def restored(text: str) -> dict[str, Any]:
    """Return the view of a tag, as MLflow's UI reads it."""
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text.removeprefix("deflate;"))))
    return found


def test_the_charts_are_in_the_order_in_which_a_fit_is_looked_at() -> None:
    metrics = [
        *("kept_val_loss", "test_accuracy", "test_loss", "train_accuracy", "train_loss", "val_accuracy", "val_loss"),
        *("own", "evaluate_other_loss", "lr"),
    ]
    found = restored(view.shortened(view.view_of(metrics)))
    fitted = ["val_loss", "train_loss", "val_accuracy", "train_accuracy", "lr"]
    scores = ["test_loss", "test_accuracy"]
    charts = found["compareRunCharts"]
    assert [chart["metricKey"] for chart in charts] == [*fitted, *scores, "kept_val_loss", "evaluate_other_loss", "own"]
    assert [chart["type"] for chart in charts] == ["LINE"] * 5 + ["BAR"] * 5
    by_id = {section["uuid"]: section for section in found["compareRunSections"]}
    of = {chart["metricKey"]: by_id[chart["metricSectionId"]] for chart in charts}
    assert (of["val_loss"]["name"], of["test_loss"]["name"]) == ("Learning curves", "Test scores")
    assert [of[name]["display"] for name in ("val_loss", "test_loss", "kept_val_loss")] == [True, True, False]
    columns = ["params.`model`", "params.`data`", "params.`seed`", "metrics.`test_loss`", "metrics.`test_accuracy`"]
    assert found["selectedColumns"] == columns
    # MLflow takes 5,000 characters of a tag.
    many = [f"{part}_f1_{number}" for part in ("train", "val", "test") for number in range(18)]
    assert len(view.shortened(view.view_of(many))) < 5000


def test_the_view_is_kept_with_the_experiment(folder: Path) -> None:
    with track(compose(["data=iris", *QUICK])) as run:
        run.log_scores({"test_loss": 1.0})
    store = open_store(compose(["data=iris"]).tracking)
    query = view.open_view(store.client, store.experiment_id)
    assert query.endswith("&viewStateShareKey=lifecycle")
    tag = store.client.get_experiment(store.experiment_id).tags["mlflow.sharedViewState.lifecycle"]
    assert [chart["metricKey"] for chart in restored(tag)["compareRunCharts"]] == ["test_loss"]
    assert view.address("http://host/", "1", query).startswith("http://host/#/experiments/1/runs?workflowType=")


@pytest.fixture
def earlier(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of a folder with a run whose tags have the names of version 0.1."""
    folder = tmp_path / "earlier"
    shutil.copytree(trained, folder)
    moved(folder, trained)
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as database, database:
        for (key,) in database.execute("SELECT DISTINCT key FROM tags").fetchall():
            database.execute("UPDATE tags SET key = ? WHERE key = ?", (tags.named(key), key))
        row = database.execute("SELECT run_uuid FROM runs").fetchone()
        for name in ("test_accuracy_low", "baseline_loss"):  # which it had as metrics too
            database.execute("INSERT INTO latest_metrics VALUES (?, 0.1, 0, 0, 0, ?)", (name, *row))
        assert not database.execute("SELECT 1 FROM tags WHERE key LIKE 'mlflow.lifecycle.%'").fetchall()
    monkeypatch.chdir(folder)
    return folder


def test_each_command_reads_a_run_of_version_0_1(earlier: Path, lifecycle: Command, monkeypatch: Any) -> None:
    monkeypatch.chdir(earlier)
    client = mlflow.MlflowClient(database_uri(earlier / "mlruns"))
    (run,) = client.search_runs(["1"])
    assert "lifecycle.command" in run.data.tags
    for words, said in (
        (("compare", "run=latest,best"), "mlp-iris-0"),
        (("evaluate", "run=best", "tracking.figures=false"), "the same as the run recorded"),
        (("rerun", "run=latest"), "reproduced: all scores equal"),
        (("doctor",), "no run is RUNNING whose process is gone"),
    ):
        ended = lifecycle(*words)
        assert (ended.code, said in ended.out) == (0, True), (words, ended)
    digest = run.data.tags[layout.DATA_DIGEST]
    found = sweep_runs.finished(earlier / "mlruns", "lifecycle", [digest])
    assert [one.name for one in found] == ["mlp-iris-0", "mlp-iris-0-2"]
    assert {one.tags[layout.SPLIT_ROWS] for one in found} == {"90,30,30"}


def test_a_job_of_a_sweep_of_version_0_1_counts_as_done(earlier: Path) -> None:
    with closing(sqlite3.connect(earlier / "mlruns" / "mlflow.db")) as database, database:
        (run,) = database.execute("SELECT run_uuid FROM runs").fetchone()
        own = {layout.SIGNATURE: "sig", layout.SWEEP: "s", layout.ATTEMPT: "3"}
        for key, value in own.items():
            database.execute("INSERT INTO tags VALUES (?, ?, ?)", (key, value, run))
    place = earlier / "mlruns"
    assert sweep_runs.finished_signatures(place, "lifecycle", ["sig"]) == {"sig"}
    ((found,),) = sweep_runs.runs_of(place, "lifecycle", ["sig"], for_board=True).values()
    assert json.loads(found.tags[layout.HIGHER_IS_BETTER]) == {"accuracy": True}
    ((found,),) = sweep_runs.runs_of(place, "lifecycle", ["sig"]).values()
    assert found.attempt == 3


def test_few_tags_are_shown_and_all_are_listed_in_a_file(tmp_path: Path, job: Command) -> None:
    assert job("data=iris", "trainer.max_epochs=1").code == 0
    (run,) = mlflow.MlflowClient(database_uri(tmp_path / "mlruns")).search_runs(["1"])
    shown = [name for name in run.data.tags if not name.startswith("mlflow.")]
    assert sorted(shown) == ["best_epoch", "lifecycle.audit", "stopped", "weights_epoch"]
    listed = json.loads((artifacts(run) / "tags.json").read_text())
    assert listed == tags.listed(run.data.tags)
    assert {"lifecycle.command", "data.sha256", "version.torch", "hardware.cpu", "stopped"} <= set(listed)
    assert run.data.tags["mlflow.user"]
    note = run.data.tags["mlflow.note.content"]
    score = f"{run.data.metrics['test_accuracy']:.4f}"
    assert note.startswith("| test&emsp; | score&emsp; | 95% interval&emsp; | baseline |")
    assert f"| accuracy&emsp; | {score}&emsp; |" in note
    assert "**Data** `iris`: 150 rows" in note
    assert "    lifecycle data=iris trainer.max_epochs=1" in note


def test_a_model_has_the_name_the_scores_and_the_data_of_its_run(tmp_path: Path, job: Command) -> None:
    assert job("data=iris", "trainer.max_epochs=3").code == 0
    client = mlflow.MlflowClient(database_uri(tmp_path / "mlruns"))
    (run,) = client.search_runs(["1"])
    model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert (model.name, run.outputs.model_outputs[0].step) == ("mlp-iris", int(run.data.tags["weights_epoch"]))
    scores = {one.key: one for one in model.metrics}
    assert scores["test_accuracy"].value == run.data.metrics["test_accuracy"]
    assert scores["test_accuracy"].dataset_name == "iris"
    assert scores["val_loss"].value == run.data.metrics["kept_val_loss"]
    mlflow.set_tracking_uri(database_uri(tmp_path / "mlruns"))
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/mlp-iris")
    assert loaded.metadata.signature is not None
