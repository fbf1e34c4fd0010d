"""The verb evaluate: a run's own scores again, to the last digit; and those of other labelled rows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error

from lifecycle.api.model import Model
from lifecycle.data import external
from lifecycle.data.sources import files
from lifecycle.layout import TEST_DIGEST
from lifecycle.predict import saved_model
from lifecycle.predict.trained_model import TrainedModel
from lifecycle.tracking.pages.tags import stored
from tests.conftest import Command, Ended, artifacts
from tests.made import make, runs_in

SPECIES = ["setosa", "versicolor", "virginica"]
FLOWERS, IMAGES, PASSENGERS = range(3)
Evaluate = Callable[..., Ended]


def flowers() -> pd.DataFrame:
    """Return iris with short names, an identifier, and a value that is missing."""
    frame = load_iris(as_frame=True).frame.set_axis(["a", "b", "c", "d", "species"], axis=1)
    frame["species"] = [SPECIES[code] for code in frame["species"]]
    frame.insert(0, "number", [f"n{row}" for row in range(len(frame))])
    frame.loc[7, "b"] = np.nan
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Make a run of a table, of images and of a series."""
    folder = tmp_path_factory.mktemp("scored")
    flowers().to_csv(folder / "flowers.csv", index=False)
    table = ("data=table", "data.path=flowers.csv", "data.target=species", "data.drop=[number]")
    make(
        folder,
        empty_database,
        (*table, "trainer.max_epochs=8", "metrics=[accuracy,auroc]", "optimizer.lr=0.01", "label_smoothing=0.1"),
        ("data=digits", "model=cnn", "model.channels=[4]", "trainer.max_epochs=1", "trainer.batch_size=256"),
        ("data=airline_passengers", "model=lstm", "data.window=12", "data.difference=12", "trainer.max_epochs=2"),
    )
    return folder


@pytest.fixture
def evaluate(lifecycle: Command, folder: Path, tmp_path: Path) -> Evaluate:
    """Evaluate in an empty folder, one of the three runs, without pictures unless asked."""

    def run(which: int, *words: str) -> Ended:
        run_id = runs_in(folder)[which].info.run_id
        figures = [] if any("figures" in word for word in words) else ["tracking.figures=false"]
        return lifecycle("evaluate", f"run={run_id}", f"tracking.dir={folder / 'mlruns'}", *figures, *words)

    return run


@pytest.mark.parametrize("which", [FLOWERS, IMAGES, PASSENGERS])
def test_the_own_test_rows_have_the_same_scores_to_the_last_digit(evaluate: Evaluate, folder: Path, which: int) -> None:
    before = runs_in(folder)[which]
    ended = evaluate(which)
    assert (ended.code, ended.err) == (0, "")
    assert "(the same as the run recorded, to the last digit)" in ended.out
    after = runs_in(folder)[which]
    assert after.info.status == "FINISHED"
    assert after.info.end_time == before.info.end_time
    own = {name: value for name, value in before.data.metrics.items() if name.startswith("test_")}
    assert {name: after.data.metrics[f"evaluate_{name}"] for name in own} == own
    assert {name: after.data.metrics[name] for name in before.data.metrics} == before.data.metrics
    for name in ("predictions.csv", "scores.csv", "baselines.csv"):
        again = artifacts(after) / "evaluate" / "test" / name
        pd.testing.assert_frame_equal(pd.read_csv(again), pd.read_csv(artifacts(after) / name), check_exact=True)


def test_what_is_printed_is_what_training_printed(evaluate: Evaluate, folder: Path) -> None:
    ended = evaluate(FLOWERS)
    metrics = runs_in(folder)[FLOWERS].data.metrics
    assert "flowers.csv" not in ended.err
    assert f"Scores    test_loss {metrics['test_loss']:.4f}  test_accuracy {metrics['test_accuracy']:.4f}" in ended.out
    assert "on 30 test rows" in ended.out
    assert "(class shares of the training rows)" in ended.out
    assert evaluate(FLOWERS, "verbose=0").out == ""


def test_other_labelled_rows_are_all_scored_by_what_the_run_learnt(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    # Far from the scale of training, with columns in another order, an extra one, and without the dropped one.
    others = flowers().iloc[::4, ::-1].drop(columns="number").assign(extra=1.5)
    others[["a", "c"]] += 3
    others.to_csv(tmp_path / "other.csv", index=False)
    ended = evaluate(FLOWERS, "input=other.csv")
    assert (ended.code, ended.err) == (0, "")
    assert "on 38 given rows" in ended.out
    run = runs_in(folder)[FLOWERS]
    expected = _trained(run).predict(others)
    table = pd.read_csv(artifacts(run) / "evaluate" / "other" / "predictions.csv")
    assert table["predicted"].tolist() == expected["predicted"].tolist()
    assert table["actual"].tolist() == others["species"].tolist()
    probabilities = [f"probability_{name}" for name in SPECIES]
    np.testing.assert_allclose(table[probabilities], expected[probabilities], atol=1e-6)
    metrics = run.data.metrics
    assert metrics["evaluate_other_accuracy"] == pytest.approx(accuracy_score(table["actual"], table["predicted"]))
    scores = pd.read_csv(artifacts(run) / "evaluate" / "other" / "scores.csv", index_col="score")
    assert scores.loc["loss", "baseline"] == pytest.approx(_loss_of_shares(others), rel=1e-4)
    assert "(class shares of these rows)" in ended.out
    assert run.data.tags["evaluate.other.source"] == "other.csv"
    assert len(run.data.tags["evaluate.other.sha256"]) == 64
    assert run.info.status == "FINISHED"


def _trained(run: mlflow.entities.Run) -> TrainedModel:
    (model,) = run.outputs.model_outputs
    client = mlflow.MlflowClient(f"sqlite:///{artifacts(run).parents[3] / 'mlflow.db'}")
    location = client.get_logged_model(model.model_id).artifact_location
    return saved_model.load(Path(location.removeprefix("file://")) / "data" / "saved")


def _loss_of_shares(rows: pd.DataFrame) -> float:
    """Return the cross entropy of the class shares, a tenth of each label being spread evenly."""
    known = rows["species"].value_counts(normalize=True)[SPECIES].to_numpy()
    sharp = log_loss(rows["species"], np.tile(known, (len(rows), 1)), labels=SPECIES)
    return float(0.9 * sharp - 0.1 * np.log(known).mean())


def test_the_loss_of_other_rows_is_that_of_scikit_learn(evaluate: Evaluate, folder: Path, tmp_path: Path) -> None:
    flowers().to_csv(tmp_path / "again.csv", index=False)
    ended = evaluate(FLOWERS, "data.path=again.csv", "name=every")
    assert ended.code == 0
    assert "These are the rows of the run itself, its training rows included" in ended.out
    run = runs_in(folder)[FLOWERS]
    table = pd.read_csv(artifacts(run) / "evaluate" / "every" / "predictions.csv")
    probabilities = table[[f"probability_{name}" for name in SPECIES]].to_numpy()
    sharp = log_loss(table["actual"], probabilities, labels=SPECIES)
    smoothed = 0.9 * sharp - 0.1 * np.log(probabilities).mean()
    assert run.data.metrics["evaluate_every_loss"] == pytest.approx(smoothed, rel=1e-4)


def test_pixels_are_found_by_name_in_whatever_order_they_come(evaluate: Evaluate, folder: Path, tmp_path: Path) -> None:
    digits = files.read("sklearn:digits").iloc[:60]
    digits.to_csv(tmp_path / "straight.csv", index=False)
    digits.iloc[:, ::-1].to_csv(tmp_path / "reversed.csv", index=False)
    assert evaluate(IMAGES, "input=straight.csv").code == evaluate(IMAGES, "input=reversed.csv").code == 0
    metrics = runs_in(folder)[IMAGES].data.metrics
    assert metrics["evaluate_reversed_loss"] == metrics["evaluate_straight_loss"]


def test_rows_of_one_class_and_a_single_row_can_be_scored(evaluate: Evaluate, folder: Path, tmp_path: Path) -> None:
    flowers().iloc[:20].to_csv(tmp_path / "one.csv", index=False)
    flowers().iloc[:1].to_csv(tmp_path / "row.csv", index=False)
    assert evaluate(FLOWERS, "input=one.csv").code == 0
    table = pd.read_csv(artifacts(runs_in(folder)[FLOWERS]) / "evaluate" / "one" / "predictions.csv")
    assert len(table) == 20
    assert runs_in(folder)[FLOWERS].data.metrics["evaluate_one_accuracy"] == (
        table["predicted"] == "setosa"
    ).mean().astype(np.float32)
    assert evaluate(FLOWERS, "input=row.csv").code == 0


def test_a_file_called_test_is_not_taken_for_the_runs_own_rows(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    flowers().iloc[::3].to_csv(tmp_path / "test.csv", index=False)
    assert evaluate(FLOWERS, "input=test.csv").code == 0
    assert "evaluate_test_csv_accuracy" in runs_in(folder)[FLOWERS].data.metrics


def test_a_named_series_is_made_into_samples_as_the_runs_own_was(evaluate: Evaluate, folder: Path) -> None:
    ended = evaluate(PASSENGERS, "data=airline_passengers")  # whose own window is another, and without differences
    assert (ended.code, ended.err) == (0, "")
    run = runs_in(folder)[PASSENGERS]
    table = pd.read_csv(artifacts(run) / "evaluate" / "airline_passengers" / "predictions.csv")
    own = pd.read_csv(artifacts(run) / "predictions.csv")
    assert len(table) == 144 - 24
    np.testing.assert_allclose(table["predicted"].tail(24), own["predicted"], rtol=1e-6)
    error = mean_absolute_error(table["actual"], table["predicted"])
    assert run.data.metrics["evaluate_airline_passengers_mae"] == pytest.approx(error, rel=1e-5)
    naive = mean_absolute_error(table["actual"].iloc[1:], table["actual"].iloc[:-1])
    assert error < 3 * naive  # of differences that were not added up it would be far more


def test_pictures_are_as_in_training_but_for_the_curves(evaluate: Evaluate, folder: Path, tmp_path: Path) -> None:
    flowers().iloc[::2].to_csv(tmp_path / "half.csv", index=False)
    ended = evaluate(FLOWERS, "input=half.csv", "tracking.figures=true")
    assert "predictions.csv, confusion_matrix.png, roc.png, precision_recall.png" in ended.out
    found = {file.name for file in (artifacts(runs_in(folder)[FLOWERS]) / "evaluate" / "half").iterdir()}
    assert found == {
        *("confusion_matrix.png", "roc.png", "precision_recall.png", "confusion_matrix.csv"),
        *("classification_report.txt", "scores.csv", "baselines.csv", "predictions.csv"),
    }
    assert "forecast.png, residuals.png" in evaluate(PASSENGERS, "tracking.figures=true").out
    found = {file.name for file in (artifacts(runs_in(folder)[PASSENGERS]) / "evaluate" / "test").iterdir()}
    assert {"forecast.png", "residuals.png"} <= found
    assert "curves.png" not in found


def test_a_large_file_is_scored_as_a_small_one_is(evaluate: Evaluate, folder: Path, tmp_path: Path) -> None:
    flowers().iloc[::4].to_csv(tmp_path / "big.csv", index=False)
    assert evaluate(FLOWERS, "input=big.csv").code == 0
    assert evaluate(FLOWERS, "input=big.csv", "data.memory_gb=1e-9", "name=bigger").code == 0
    metrics = runs_in(folder)[FLOWERS].data.metrics
    assert metrics["evaluate_bigger_loss"] == metrics["evaluate_big_loss"]


def test_rows_that_have_changed_are_refused_with_both_digests(evaluate: Evaluate, folder: Path) -> None:
    then = runs_in(folder)[FLOWERS].data.tags["data.sha256"]
    shutil.copy(folder / "flowers.csv", folder / "kept.csv")
    try:
        changed = flowers()
        changed.loc[0, "a"] += 0.1
        changed.to_csv(folder / "flowers.csv", index=False)
        ended = evaluate(FLOWERS)
    finally:
        (folder / "kept.csv").replace(folder / "flowers.csv")
    assert (ended.code, ended.out) == (2, "")
    assert f"its rows had the sha256 {then[:16]}..., and have " in ended.err
    assert "or score all of them as other data, with data=table or input=<file>." in ended.err


def test_rows_that_are_split_in_another_way_are_refused(evaluate: Evaluate, folder: Path) -> None:
    run = runs_in(folder)[FLOWERS]
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    try:
        client.set_tag(run.info.run_id, stored(TEST_DIGEST), "0" * 64)
        ended = evaluate(FLOWERS)
    finally:
        client.set_tag(run.info.run_id, stored(TEST_DIGEST), run.data.tags[TEST_DIGEST])
    assert (ended.code, ended.out) == (2, "")
    assert f"lifecycle: data=table is split in another way than when run {run.info.run_name} (" in ended.err
    assert "was fitted (split.test.sha256 differs): rows that it learnt from would be scored. Score others" in ended.err


def test_a_score_that_is_another_by_now_is_named_with_what_changed(evaluate: Evaluate, folder: Path) -> None:
    run = runs_in(folder)[IMAGES]
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    was = run.data.metrics["test_loss"]
    try:
        client.log_metric(run.info.run_id, "test_loss", was + 1)
        client.set_tag(run.info.run_id, stored("version.torch"), "0.1")
        ended = evaluate(IMAGES)
    finally:
        client.log_metric(run.info.run_id, "test_loss", was)
        client.set_tag(run.info.run_id, stored("version.torch"), run.data.tags["version.torch"])
    assert ended.code == 0
    assert f"The scores differ from those that the run recorded: test_loss was {was + 1!r} and is {was!r}." in ended.out
    assert "Since then: torch was 0.1 and is 2." in ended.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("input=tulip.csv",), "species is tulip in row 3, which is no class of the model. Its classes: setosa, "),
        (("input=unlabelled.csv",), "data.target=species is no column of unlabelled.csv. Columns: number, a, b, c, d."),
        (("input=lacking.csv",), "data=lacking has no column c, got number, a, b, d, species. The model needs a, b, c"),
        (("input=texts.csv",), "column c holds numbers, got 'long' in row 0. Fix the value."),
        (("input=nowhere.csv",), "data.path=nowhere.csv is no file"),
        (("data=digits",), "data=digits is of the kind images, and run mlp-table-0 ("),
        (("data=iris",), "data=iris has no column a, b, c, d, got sepal length (cm), "),
        (("data=irys",), "data=irys is not known. Did you mean data=iris?"),
        (
            ("data.scaling=none",),
            "data.scaling=none would turn the rows into other samples than those that run mlp-table",
        ),
        (("data.paht=a.csv",), "data.paht is not a field of data=table, got a.csv. Did you mean data.path?"),
        (("model.hidden=[3]",), "model.hidden is not a field of lifecycle evaluate, got [3]."),
        (("trainer.accelerator=gpu",), "trainer.accelerator=gpu but torch sees no GPU."),
        (("input=tulip.csv", "name=test"), "neither test nor training_set, got test. Use for instance name="),
    ],
)
def test_what_cannot_be_scored_is_refused_with_value_and_remedy(
    evaluate: Evaluate, folder: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    frame = flowers()
    frame.assign(species=frame["species"].mask(frame.index == 3, "tulip")).to_csv(tmp_path / "tulip.csv", index=False)
    frame.drop(columns="species").to_csv(tmp_path / "unlabelled.csv", index=False)
    frame.drop(columns="c").to_csv(tmp_path / "lacking.csv", index=False)
    frame.assign(c="long").to_csv(tmp_path / "texts.csv", index=False)
    before = runs_in(folder)[FLOWERS].data.metrics
    ended = evaluate(FLOWERS, *words)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err
    assert runs_in(folder)[FLOWERS].data.metrics == pytest.approx(before, rel=0, abs=0, nan_ok=True)


def test_a_saved_model_by_itself_and_no_run_are_refused(lifecycle: Command, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "lifecycle.json").touch()
    where = f"tracking.dir={folder / 'mlruns'}"
    ended = lifecycle("evaluate", "run=model", where)
    assert ended.code == 2
    assert "model is a folder with a saved model and no run. Name its run." in ended.err
    ended = lifecycle("evaluate", where)
    assert ended.code == 2
    assert "run is not chosen. Add run=latest" in ended.err


def test_a_bad_request_imports_no_torch(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from lifecycle.cli.main import main; sys.argv[1:] = "
        f"['evaluate', 'run=latest', 'data=sequence', 'tracking.dir={folder / 'mlruns'}', 'data.window=3']; "
        "code = main(); sys.exit(code if 'torch' not in sys.modules else 99)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ended.returncode == 2, ended.stderr
    assert "data.window=3 would turn the rows into other samples" in ended.stderr


def test_a_model_that_was_fitted_from_python_is_scored_on_a_file(
    job: Command, lifecycle: Command, tmp_path: Path
) -> None:
    rows = flowers().drop(columns="number")
    model = Model("mlp", hidden=[4])
    model.fit(rows[["a", "b", "c", "d"]], rows["species"], epochs=2, verbose=0, track=True)
    ended = lifecycle("evaluate", "run=latest")
    assert ended.code == 2
    assert f"({model.run_id}) was fitted from Python to rows in memory, which are not kept." in ended.err
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert lifecycle("evaluate", "run=latest", "input=rows.csv", "tracking.figures=false", "verbose=0").code == 0
    (run,) = runs_in(tmp_path)
    assert run.data.metrics["evaluate_rows_accuracy"] == run.data.metrics["training_set_accuracy"]


def test_a_model_of_other_shapes_is_refused(folder: Path) -> None:
    trained = _trained(runs_in(folder)[PASSENGERS])
    plugin = type(trained.data)(path=trained.data.path, target=trained.data.target, window=5, difference=12)
    with pytest.raises(Exception, match=r"data=x has samples of 5 x 1, and the model takes 12 x 1. Give such rows."):
        external.load(plugin, "x", "series", trained.spec, trained.preprocessing, trained.columns)
