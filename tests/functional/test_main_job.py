"""The main job: what is on disk and in MLflow when one command has taken a data set through a network's life."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error

from lifecycle.fit import checkpoints
from tests.conftest import Command, artifacts, history

Runs = Callable[[], list[mlflow.entities.Run]]
SPECIES = ["setosa", "versicolor", "virginica"]


@pytest.fixture
def git_commit(tmp_path: Path) -> str:
    """Make the working folder a git repository with a commit, and return its hash."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=me", "-c", "user.email=me@example.com"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.fault(45)
def test_one_command_leaves_all_that_is_promised_and_the_same_again_gives_the_same_to_the_last_bit(
    python: Command, lifecycle: Command, runs: Runs, tmp_path: Path, git_commit: str
) -> None:
    words = ["model=mlp", "data=iris", "model.dropout=0.2", "trainer.max_epochs=40"]
    ended = python(*words)
    assert (ended.code, ended.err) == (0, "")
    (run,) = runs()
    is_all_that_is_promised(run, tmp_path, git_commit)
    assert not list(tmp_path.glob("*.log"))
    assert not (tmp_path / "outputs").exists()

    assert lifecycle(*words, "verbose=0", "tracking.figures=false").code == 0  # in another process, which has done much
    scores = [{k: v for k, v in run.data.metrics.items() if k != "epoch_seconds"} for run in runs()]
    assert len(scores) == 2
    assert scores[0] == scores[1]
    weights = [file.read_bytes() for file in sorted(tmp_path.rglob("weights.safetensors"))]
    assert len(weights) == 2
    assert weights[0] == weights[1]


def is_all_that_is_promised(run: mlflow.entities.Run, tmp_path: Path, git_commit: str) -> None:
    """Look at all that a run leaves."""
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "mlp-iris-0"
    assert (tmp_path / "mlruns").stat().st_mode & 0o777 == 0o700

    params, tags = run.data.params, run.data.tags
    assert params["model"] == "mlp"
    assert params["model.hidden"] == "[64, 32]"
    assert params["optimizer.lr"] == "0.001"
    assert params["data.test_size"] == "0.2"
    assert params["seed"] == "0"
    assert params["loss"] == "categorical_crossentropy"
    assert params["metrics"] == "['accuracy']"
    assert params["trainer.batch_size"] == "32"
    assert tags["lifecycle.command"] == "lifecycle model=mlp data=iris model.dropout=0.2 trainer.max_epochs=40"
    assert tags["mlflow.source.git.commit"] == git_commit
    assert tags["version.torch"].startswith("2.")
    best = int(tags["best_epoch"])
    assert tags["best_epoch"] == tags["weights_epoch"]

    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "iris"
    assert tags["data.sha256"].startswith(dataset.dataset.digest)

    folder = artifacts(run)
    assert "\n# data=iris model=mlp optimizer=adam schedule=none tracking=" in (folder / "config.yaml").read_text()
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 40
    assert "torch==" in (folder / "requirements.txt").read_text()
    assert "total parameters: 2,499" in (folder / "summary.txt").read_text()
    pictures = {"curves.png", "model.svg", "confusion_matrix.png", "roc.png", "precision_recall.png"}
    tables = {"scores.csv", "baselines.csv", "classification_report.txt", "confusion_matrix.csv"}
    assert pictures | tables <= {file.name for file in folder.iterdir()}
    assert checkpoints.read(tmp_path / "mlruns" / "checkpoints" / run.info.run_id / "best.ckpt")["epoch"] == best - 1
    assert checkpoints.read(folder / "checkpoints" / "best.ckpt")["epoch"] == best - 1


def test_the_history_has_one_point_per_epoch_and_metric(job: Command, runs: Runs, tmp_path: Path) -> None:
    assert job("trainer.max_epochs=7").code == 0
    (run,) = runs()
    frame = pd.read_csv(artifacts(run) / "history.csv")
    assert frame["epoch"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    for metric in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        points = history(tmp_path, run, metric)
        assert [step for step, _ in points] == frame["epoch"].tolist()
        assert [value for _, value in points] == pytest.approx(frame[metric].tolist())
    assert history(tmp_path, run, "test_loss") == [(0, run.data.metrics["test_loss"])]
    assert set(run.data.metrics) == {
        f"{part}_{score}" for part in ("train", "val", "kept_val", "test") for score in ("loss", "accuracy")
    }


def test_test_scores_are_those_of_the_predictions_file(job: Command, runs: Runs) -> None:
    assert job("data=iris", "seed=3").code == 0
    (run,) = runs()
    table = pd.read_csv(artifacts(run) / "predictions.csv")
    probabilities = table[[f"probability_{name}" for name in SPECIES]].to_numpy()
    assert len(table) == 30
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert table["predicted"].tolist() == [SPECIES[code] for code in probabilities.argmax(axis=1)]
    assert run.data.metrics["test_accuracy"] == pytest.approx(accuracy_score(table["actual"], table["predicted"]))
    expected = log_loss(table["actual"], probabilities, labels=SPECIES)
    assert run.data.metrics["test_loss"] == pytest.approx(expected, rel=1e-4)
    truth = load_iris()
    assert table["actual"].tolist() == [SPECIES[truth.target[row]] for row in table["row"]]


def test_a_regression_is_scored_and_predicted_in_its_own_units(job: Command, runs: Runs) -> None:
    assert job("data=diabetes", "trainer.max_epochs=30").code == 0
    (run,) = runs()
    table = pd.read_csv(artifacts(run) / "predictions.csv")
    assert list(table) == ["row", "actual", "predicted"]
    assert table["actual"].between(25, 346).all()
    assert run.data.metrics["test_mae"] == pytest.approx(
        mean_absolute_error(table["actual"], table["predicted"]), rel=1e-5
    )
    assert run.data.metrics["test_mae"] < 60


def test_tables_say_what_is_in_mlflow(job: Command, runs: Runs) -> None:
    assert job("trainer.max_epochs=30", "metrics=[accuracy,auroc]").code == 0
    (run,) = runs()
    folder, logged = artifacts(run), run.data.metrics
    scores = pd.read_csv(folder / "scores.csv", index_col="score")
    assert list(scores.index) == ["loss", "accuracy", "auroc"]
    for name, row in scores.iterrows():
        assert row["value"] == pytest.approx(logged[f"test_{name}"])
        if name == "loss":
            assert row[["low", "high"]].isna().all()
        else:
            assert row["low"] <= row["value"] <= row["high"]
    table = pd.read_csv(folder / "predictions.csv")
    priors = np.full((len(table), 3), 1 / 3)
    assert scores.loc["loss", "baseline"] == pytest.approx(log_loss(table["actual"], priors, labels=SPECIES))
    assert scores.loc["accuracy", "baseline"] == pytest.approx(1 / 3)
    baselines = pd.read_csv(folder / "baselines.csv", index_col="prediction")
    assert list(baselines.index) == ["network", "class shares"]
    assert baselines.loc["network"].to_dict() == pytest.approx(scores["value"].to_dict())
    matrix = pd.read_csv(folder / "confusion_matrix.csv", index_col=0)
    right = (table["actual"] == table["predicted"]).sum()
    assert (np.trace(matrix.to_numpy()), matrix.to_numpy().sum()) == (right, len(table))


def test_without_pictures_the_tables_stay(job: Command, runs: Runs) -> None:
    ended = job("data=diabetes", "trainer.max_epochs=2", "tracking.figures=false", "verbose=1")
    (run,) = runs()
    left = {file.name for file in artifacts(run).iterdir()}
    assert not {name for name in left if name.endswith((".png", ".svg"))}
    assert {"scores.csv", "baselines.csv"} <= left
    assert "beside it" not in ended.out


def test_the_report_says_how_far_a_score_may_be_trusted_and_what_needs_no_network(job: Command, runs: Runs) -> None:
    out = job("trainer.max_epochs=30", "verbose=1", "tracking.figures=true").out
    (run,) = runs()
    logged = run.data.metrics
    low, high = pd.read_csv(artifacts(run) / "scores.csv", index_col="score").loc["accuracy", ["low", "high"]]
    ends = f"(95% {low:.3f} to {high:.3f})"
    assert f"test_accuracy {logged['test_accuracy']:.4f} {ends}  on 30 test rows" in out
    assert "Baseline  loss 1.0986  accuracy 0.3333  (class shares of the training rows)\n" in out
    assert "not better" not in out
    assert re.search(r"^Files     mlruns\S*/artifacts$", out, re.MULTILINE)
    names = "predictions.csv, model.svg, curves.png, confusion_matrix.png, roc.png, precision_recall.png"
    assert f"          {names}\n" in out


def test_a_network_that_has_learnt_nothing_is_reported_as_no_better_than_the_mean(job: Command, runs: Runs) -> None:
    out = job("data=diabetes", "trainer.max_epochs=1", "optimizer.lr=1e-9", "verbose=1", "tracking.figures=true").out
    assert "(mean of the training rows)\n" in out
    assert "The network is not better than this baseline on mae.\n" in out
    assert sorted(file.name for file in artifacts(runs()[0]).glob("*.png")) == ["curves.png", "residuals.png"]


@pytest.mark.parametrize(
    ("model", "data"),
    [("mlp", "breast_cancer"), ("cnn", "digits"), ("lstm", "sequence"), ("lstm", "digits"), ("mlp", "digits")],
)
def test_three_architectures_run_on_tables_images_and_series(job: Command, runs: Runs, model: str, data: str) -> None:
    assert job(f"model={model}", f"data={data}", "trainer.max_epochs=2").code == 0
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert not pd.read_csv(artifacts(run) / "predictions.csv").isna().any(axis=None)


def test_a_binary_task_gives_a_probability_for_each_of_two_classes(job: Command, runs: Runs) -> None:
    assert job("data=breast_cancer", "trainer.max_epochs=20", "metrics=[accuracy,auroc]").code == 0
    (run,) = runs()
    table = pd.read_csv(artifacts(run) / "predictions.csv")
    assert list(table) == ["row", "actual", "predicted", "probability_benign", "probability_malignant"]
    assert run.data.metrics["test_accuracy"] == pytest.approx(accuracy_score(table["actual"], table["predicted"]))
    assert run.data.metrics["test_auroc"] > 0.95


def test_another_seed_is_another_run(job: Command, runs: Runs) -> None:
    for seed in (1, 2):
        assert job(f"seed={seed}", "trainer.max_epochs=3").code == 0
    first, second = runs()
    assert first.data.metrics["test_loss"] != second.data.metrics["test_loss"]


@pytest.mark.slow
def test_iris_reaches_the_accuracy_that_the_readme_claims(job: Command, runs: Runs) -> None:
    for seed in range(1, 4):
        assert job("model=mlp", "data=iris", f"seed={seed}").code == 0
    assert np.median([run.data.metrics["test_accuracy"] for run in runs()]) >= 0.93


def test_the_model_in_mlflow_predicts_raw_rows_as_the_run_did(job: Command, runs: Runs, tmp_path: Path) -> None:
    assert job("data=iris", "trainer.max_epochs=5").code == 0
    (run,) = runs()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    frame = load_iris(as_frame=True).data
    expected = pd.read_csv(artifacts(run) / "predictions.csv")
    predicted = model.predict(frame.iloc[expected["row"]])
    assert predicted["predicted"].tolist() == expected["predicted"].tolist()
    np.testing.assert_allclose(predicted["probability_setosa"], expected["probability_setosa"], atol=1e-6)
    assert not list(tmp_path.rglob("*.pkl"))


def test_the_model_in_mlflow_takes_whole_numbers_texts_and_missing_values(
    job: Command, runs: Runs, tmp_path: Path
) -> None:
    rows = range(60)
    table = {"rooms": list(rows), "town": [("a", "b", None)[row % 3] for row in rows], "age": [row / 7 for row in rows]}
    frame = pd.DataFrame({**table, "price": [row * 2.5 for row in rows]})
    frame.to_csv(tmp_path / "houses.csv", index=False)
    assert job("data=table", "data.path=houses.csv", "data.target=price", "trainer.max_epochs=2").code == 0
    (run,) = runs()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    expected = pd.read_csv(artifacts(run) / "predictions.csv")
    read = pd.read_csv(tmp_path / "houses.csv").iloc[expected["row"]]
    np.testing.assert_allclose(model.predict(read)["predicted"], expected["predicted"], rtol=1e-5)
    read.loc[read.index[0], "age"] = None  # missing for the first time
    with pytest.raises(mlflow.MlflowException, match=r"no value in row \d+, column age, .*, or add missing=impute to"):
        model.predict(read)
    assert model.predict(read, params={"missing": "impute"})["predicted"].notna().all()


def test_a_series_with_a_window_of_five_runs_to_its_end(job: Command, runs: Runs, tmp_path: Path) -> None:
    pd.DataFrame({"sales": [10.0 + (month % 12) for month in range(60)]}).to_csv(tmp_path / "sales.csv", index=False)
    words = ["model=lstm", "data=series", "data.path=sales.csv", "data.target=sales", "data.window=5"]
    words += ["data.difference=0", "data.season=null"]
    assert job(*words, "trainer.max_epochs=2").code == 0
    (run,) = runs()
    table = pd.read_csv(artifacts(run) / "predictions.csv")
    assert table["row"].tolist() == list(range(49, 60))
    assert table["actual"].tolist() == [10.0 + (month % 12) for month in range(49, 60)]


def test_verbose_0_is_silent_and_2_prints_a_line_an_epoch(job: Command) -> None:
    silent = job("trainer.max_epochs=3", "verbose=0")
    assert (silent.out, silent.err) == ("", "")
    spoken = job("trainer.max_epochs=3", "verbose=2").out.splitlines()
    assert [line.split("  ")[0] for line in spoken if line.startswith("epoch ")] == [
        "epoch 1/3",
        "epoch 2/3",
        "epoch 3/3",
    ]


def test_the_report_says_what_a_person_asks(job: Command) -> None:
    out = job("trainer.max_epochs=3", "verbose=1").out
    assert "iris: 150 rows, samples of 4, 3 classes of species; 90 train, 30 validation, 30 test" in out
    assert "mlp: 2,499 parameters" in out
    assert "loss categorical_crossentropy, optimizer adam (lr 0.001), metrics accuracy" in out
    assert "3 epochs, the weights are those of epoch 3; stopped because max_epochs=3 was reached" in out
    assert "test_accuracy" in out
    assert out.rstrip().endswith("lifecycle ui")


def test_early_stopping_says_why_and_restores_the_best_epoch(job: Command, runs: Runs) -> None:
    ended = job("optimizer.lr=0.05", "trainer.patience=3", "verbose=1")
    (run,) = runs()
    frame = pd.read_csv(artifacts(run) / "history.csv")
    best = int(frame.loc[frame["val_loss"].idxmin(), "epoch"])
    assert len(frame) == best + 3
    assert f"the weights are those of epoch {best}; stopped because val_loss had not improved for 3 epochs" in ended.out
    assert run.data.tags["best_epoch"] == str(best)
    assert run.data.tags["stopped"] == "val_loss had not improved for 3 epochs"


@pytest.mark.fault(44)
def test_a_loss_that_is_no_number_fails_the_run_and_says_what_to_lower(job: Command, runs: Runs) -> None:
    ended = job("optimizer=sgd", "optimizer.lr=1e30", "data=diabetes")
    assert ended.code == 1
    assert "training has diverged. Lower optimizer.lr (now 1e+30)" in ended.err
    assert "Traceback" not in ended.err
    (run,) = runs()
    assert run.info.status == "FAILED"
    assert "training has diverged" in run.data.tags["lifecycle.error"]


def test_without_validation_rows_the_last_epoch_is_used_and_reported(job: Command, runs: Runs) -> None:
    ended = job("data.val_size=0", "trainer.early_stopping=false", "trainer.max_epochs=3", "verbose=1")
    assert ended.code == 0
    assert "120 train, 0 validation, 30 test" in ended.out
    assert "the weights are those of epoch 3" in ended.out
    assert "val_loss" not in runs()[0].data.metrics
