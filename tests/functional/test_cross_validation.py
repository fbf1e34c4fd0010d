"""Cross-validation: a run for each fold; every row is a test row once, and configurations have the same folds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lifecycle.tracking.store import database_uri
from tests.conftest import Command, Ended, artifacts, ready

Run = mlflow.entities.Run
Runs = Callable[[], list[Run]]


@pytest.fixture
def sweep(process: Command, tmp_path: Path, empty_database: Path) -> Command:
    """Run cross-validations in processes of their own, with a database that is ready and without figures."""
    ready(tmp_path, empty_database)

    def run(*words: str) -> Ended:
        return process(*words, "verbose=1", "tracking.figures=false")

    return run


def predictions(run: Run) -> pd.DataFrame:
    return pd.read_csv(artifacts(run) / "predictions.csv")


def test_each_row_is_a_test_row_once_and_one_fold_alone_or_rerun_has_the_same_scores(
    sweep: Command, process: Command, runs: Runs
) -> None:
    words = ("data=iris", "trainer.max_epochs=2", "model.dropout=0.2")
    ended = sweep(*words, "cv=3", "sweep.vectorise=off")
    assert (ended.code, ended.err) == (0, "")
    folds = runs()
    assert [run.info.run_name for run in folds] == [f"mlp-iris-0-fold{fold}" for fold in range(3)]
    assert [(run.data.params["cv.folds"], run.data.params["cv.fold"]) for run in folds] == [("3", f) for f in "012"]
    tested = np.concatenate([predictions(run)["row"] for run in folds])
    assert np.sort(tested).tolist() == list(range(tested.min(), tested.min() + 150))
    for run in folds:
        assert run.data.tags["lifecycle.split_rows"] == "70,30,50"
        assert set(predictions(run)["actual"].value_counts()) <= {16, 17}
    # Mean, and the interval of Nadeau and Bengio: 2 training parts, so that test rows are half of the training rows.
    values = np.array([run.data.metrics["test_accuracy"] for run in folds])
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) * np.sqrt(1 / 3 + 1 / 2)
    (row,) = [line for line in ended.out.splitlines() if line.startswith("test_accuracy  ")]
    shown = [float(cell) for cell in re.split(r" {3,}| to ", row.strip())[1:]]
    expected = [values.mean(), values.std(ddof=1), values.mean() - half, values.mean() + half]
    np.testing.assert_allclose(shown, expected, atol=5.1e-5)

    alone = sweep(*words, "cv.folds=3", "cv.fold=1")
    assert (alone.code, alone.err) == (0, "")
    assert "Sweep " not in alone.out
    again = process("rerun", f"run={folds[1].info.run_id}")
    assert (again.code, again.out.splitlines()[-1]) == (0, "reproduced: all scores equal")
    *_, one, rerun = runs()
    assert len(runs()) == 5
    for run in (one, rerun):
        assert run.data.metrics == folds[1].data.metrics
        assert (artifacts(run) / "predictions.csv").read_bytes() == (
            artifacts(folds[1]) / "predictions.csv"
        ).read_bytes()
    assert "lifecycle.sweep" not in one.data.tags


def test_configurations_have_the_same_folds_and_are_compared_on_them(sweep: Command, runs: Runs) -> None:
    ended = sweep("-m", "data=iris", "optimizer.lr=0.001,0.05", "cv=3", "cv.repeats=2", "trainer.max_epochs=2")
    assert (ended.code, ended.err) == (0, "")
    assert len(runs()) == 12
    by_rate = {rate: [run for run in runs() if run.data.params["optimizer.lr"] == rate] for rate in ("0.001", "0.05")}
    digests = [[run.data.tags["split.test.sha256"] for run in found] for found in by_rate.values()]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 6  # the repetitions have other folds
    repeats = [run.data.params["cv.repeat"] for run in by_rate["0.05"]]
    assert repeats == ["0", "0", "0", "1", "1", "1"]
    for repeat in ("0", "1"):
        rows = [predictions(run)["row"] for run in by_rate["0.05"] if run.data.params["cv.repeat"] == repeat]
        assert len(set(np.concatenate(rows))) == 150
    assert "by the mean of test_loss (lower is better)" in ended.out
    lines = ended.out.partition("\nSweep ")[2].splitlines()
    heads, best, other = (re.split(r" {3,}", line.strip()) for line in lines[2:5])
    assert heads[:7] == ["optimizer.lr", "runs", "test_loss", "sd", "95% interval", "to the best", "p"]
    losses = {rate: np.array([run.data.metrics["test_loss"] for run in found]) for rate, found in by_rate.items()}
    assert [best[0], best[1], best[5]] == ["0.05", "6/6", "best"]
    assert float(best[2]) == pytest.approx(losses["0.05"].mean(), abs=5.1e-5)
    differences = losses["0.001"] - losses["0.05"]
    statistic = differences.mean() / (differences.std(ddof=1) * np.sqrt(1 / 6 + 1 / 2))
    assert float(other[5]) == pytest.approx(differences.mean(), abs=5.1e-5)
    assert float(other[6]) == pytest.approx(2 * stats.t.sf(statistic, 5), rel=0.06)


def test_the_best_of_a_cross_validation_is_by_the_mean_of_its_folds(
    sweep: Command, process: Command, runs: Runs, tmp_path: Path
) -> None:
    sweep("-m", "data=iris", "optimizer.lr=0.01,0.02", "cv=2", "trainer.max_epochs=1")
    client = mlflow.MlflowClient(database_uri(tmp_path / "mlruns"))
    for run, value in zip(runs(), (0.1, 0.9, 0.4, 0.3), strict=True):
        client.log_metric(run.info.run_id, "test_loss", value, step=10**6)
    shown = process("evaluate", "run=best", "sweep=latest")
    assert (shown.code, shown.err) == (0, "")
    assert any(run.info.run_id in shown.out or run.info.run_id[:8] in shown.out for run in runs()[2:])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("cv=1",), "cv.folds must be 2 or more, got 1. "),
        (("cv=60",), "cv.folds=60 is more than the 50 samples of class setosa. Use at most 50."),
        (("cv=3", "data.test_rows=last"), "data.test_rows=last fixes the test rows, and in cross-validation each row"),
        (("seeds=0",), "seeds must be 1 or more, got 0. Use for instance seeds=10."),
        (("cv=3", "cv.fold=3"), "cv.fold must be below cv.folds=3, got 3. The first one is 0."),
        (("cv.fold=1",), "cv.fold needs the number of folds, got 1. Add cv.folds=5, for instance."),
        (("cv=3", "cv.repeats=0"), "cv.repeats must be 1 or more, got 0."),
        (("cv=x",), "cv.folds"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
@pytest.mark.parametrize("many", [(), ("-m", "optimizer.lr=0.01,0.02")], ids=["one", "many"])
def test_folds_that_cannot_be_are_one_sentence_and_no_run(
    lifecycle: Command, tmp_path: Path, many: tuple[str, ...], words: tuple[str, ...], sentence: str
) -> None:
    ended = lifecycle(*many, "data=iris", *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"lifecycle: {sentence}")
    assert ended.err.count("\n") == 1
    assert not list(tmp_path.rglob("sweeps"))
    assert not list(tmp_path.rglob("mlflow.db"))


def test_folds_of_a_series_are_blocks_in_time_after_their_training_rows(sweep: Command, runs: Runs) -> None:
    ended = sweep(
        "data=airline_passengers", "data.difference=0", "data.season=null", "cv.folds=3", "trainer.max_epochs=1"
    )
    assert (ended.code, ended.err) == (0, "")
    assert len(runs()) == 3
    rows = [predictions(run)["row"].tolist() for run in runs()]
    together = [row for one in rows for row in one]
    assert together == list(range(together[0], together[0] + len(together)))  # in order, without a gap
    assert together[0] > len(rows[0])  # the first block is in no fold
    refused = sweep("data=airline_passengers", "cv.folds=3", "cv.repeats=2", "trainer.max_epochs=1")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("lifecycle: cv.repeats must be 1 for a series, which has one order of time")
    assert len(runs()) == 3


def test_folds_of_a_data_set_from_the_cache(sweep: Command, runs: Runs, cached: Callable[[str], None]) -> None:
    cached("monthly-car-sales.csv")
    ended = sweep("data=car_sales", "cv=2", "trainer.max_epochs=1")
    assert ended.code == 0
    assert [run.info.status for run in runs()] == ["FINISHED"] * 2
    assert len({run.data.tags["split.test.sha256"] for run in runs()}) == 2
