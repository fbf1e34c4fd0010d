"""Weights of rows in loss, fitted statistics and scores, compared with scikit-learn and with repeated rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor
from torch import nn

from lifecycle.api.model import Model
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.losses import Loss
from lifecycle.compile.metrics import OURS, OURS_OF_CLASSES
from lifecycle.compile.output_units import Units
from lifecycle.compile.scores import Scorer
from lifecycle.config.tasks import TASKS
from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec
from lifecycle.data.batches import Truth
from lifecycle.data.columns.weights import median
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.array import Array
from lifecycle.data.kinds.table import Table
from lifecycle.errors import RequestError
from lifecycle.evaluate import baselines
from lifecycle.evaluate.intervals import RESAMPLES, intervals
from lifecycle.optimizers import Adam
from tests.conftest import Command, artifacts
from tests.rows import SeriesRows, TableRows, load_rows

ROWS = 40
WEIGHTS = np.random.default_rng(2).integers(0, 4, size=ROWS)
INPUTS = np.random.default_rng(0).normal(size=(ROWS, 3))
VALUES = 100 + INPUTS @ [1.0, 2.0, -1.0] + np.random.default_rng(1).normal(size=ROWS)
CLASSES = np.where(VALUES > 100.5, "a", np.where(VALUES > 99, "b", "c"))
TWO = np.where(VALUES > 100, "yes", "no")
Values = np.ndarray[Any, Any]


def made(task: str, seed: int) -> tuple[DataSpec, torch.Tensor, torch.Tensor, Truth]:
    """Return a task's outputs and targets, with weights; rows of a weight of 0 among them."""
    generator = np.random.default_rng(seed)
    classes = {BINARY: 2, MULTICLASS: 3, REGRESSION: 0}[task]
    spec = DataSpec(task, (3,), max(1, classes if classes > 2 else 1), class_names=tuple("abc"[:classes]))
    outputs = torch.from_numpy(generator.normal(size=(ROWS, spec.num_outputs))).float()
    weights = torch.from_numpy(generator.integers(0, 4, size=ROWS).astype(float))
    weights[:3] = 1.0
    codes = torch.from_numpy(
        np.append(np.arange(3) % max(classes, 1), generator.integers(max(classes, 1), size=ROWS - 3))
    )
    if task == REGRESSION:
        truth = Truth(torch.from_numpy(generator.normal(size=(ROWS, 1))).abs() + 3.0, None, weights)
        return spec, outputs, torch.zeros(ROWS, 1), truth
    return spec, outputs, codes if task == MULTICLASS else codes.float().reshape(-1, 1), Truth(weights=weights)


def scored(task: str, names: list[str], outputs: torch.Tensor, targets: torch.Tensor, truth: Truth) -> dict[str, float]:
    spec, *_ = made(task, 0)
    units = Units(task, 4.0, 0.5) if task == REGRESSION else Units(task)
    scores = Scorer(spec, names, units, Loss(TASKS[task].default_loss))
    for rows in (slice(0, 17), slice(17, 30), slice(30, len(outputs))):
        scores.add(outputs[rows], targets[rows], truth[rows])
        scores._fold()
    return scores.compute()


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([BINARY, MULTICLASS, REGRESSION]), st.integers(0, 10_000))
@example(BINARY, 12)  # a row and its copy at the end of a batch had probabilities that differed in the last digit
def test_every_score_by_weights_is_that_of_rows_repeated_so_often(task: str, seed: int) -> None:
    _, outputs, targets, truth = made(task, seed)
    assert truth.weights is not None
    times = truth.weights.long()
    names = list(OURS if task == REGRESSION else OURS_OF_CLASSES)
    values = None if truth.values is None else truth.values.repeat_interleave(times, dim=0)
    repeated = outputs.repeat_interleave(times, dim=0), targets.repeat_interleave(times, dim=0), Truth(values)
    wanted = scored(task, names, *repeated)
    assert scored(task, names, outputs, targets, truth) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_scores_by_fractional_weights_are_scikit_learns(seed: int) -> None:
    _, outputs, targets, truth = made(REGRESSION, seed)
    assert truth.values is not None
    weights = np.random.default_rng(seed).random(ROWS)
    truth = Truth(truth.values, None, torch.from_numpy(weights))
    values, predicted = truth.values.numpy()[:, 0], 4 + 0.5 * outputs.double().numpy()[:, 0]
    functions = {
        "mae": metrics.mean_absolute_error,
        "mse": metrics.mean_squared_error,
        "rmse": metrics.root_mean_squared_error,
        "mape": metrics.mean_absolute_percentage_error,
        "r2": metrics.r2_score,
        "explained_variance": metrics.explained_variance_score,
        "mean_squared_log_error": metrics.mean_squared_log_error,
    }
    found = scored(REGRESSION, list(functions), outputs, targets, truth)
    for name, function in functions.items():
        assert found[name] == pytest.approx(function(values, predicted, sample_weight=weights), rel=1e-9), name
    _, outputs, targets, _ = made(BINARY, seed)
    certain, codes = torch.sigmoid(outputs.double()).numpy()[:, 0], targets.numpy()[:, 0]
    of_classes = {
        "accuracy": metrics.accuracy_score,
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
        "f1": metrics.f1_score,
        "jaccard_index": metrics.jaccard_score,
        "cohen_kappa": metrics.cohen_kappa_score,
        "matthews_corr_coef": metrics.matthews_corrcoef,
    }
    found = scored(BINARY, [*of_classes, "auroc", "average_precision"], outputs, targets, Truth(weights=truth.weights))
    for name, function in of_classes.items():
        assert found[name] == pytest.approx(function(codes, certain > 0.5, sample_weight=weights), rel=1e-9), name
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(codes, certain, sample_weight=weights))
    wanted = metrics.average_precision_score(codes, certain, sample_weight=weights)
    assert found["average_precision"] == pytest.approx(wanted)
    assert found["loss"] == pytest.approx(metrics.log_loss(codes, certain, sample_weight=weights))


def test_intervals_are_those_of_weighted_resamples() -> None:
    spec, outputs, targets, truth = made(REGRESSION, 1)
    assert truth.values is not None
    assert truth.weights is not None
    units = Units(REGRESSION, 4.0, 0.5)
    found = intervals(Scorer(spec, ["mae", "r2"], units, Loss("mse")), outputs, targets, truth, seed=3)
    errors = np.abs(4 + 0.5 * outputs.double().numpy() - truth.values.numpy())[:, 0]
    drawn = np.random.default_rng(3).integers(ROWS, size=(RESAMPLES, ROWS))
    samples = [np.average(errors[rows], weights=truth.weights.numpy()[rows]) for rows in drawn]
    assert found["mae"] == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])), rel=1e-9)
    assert found["r2"][0] < found["r2"][1]


def table(target: Values, **fields: Any) -> Dataset:
    frame = pd.DataFrame(INPUTS, columns=["p", "q", "r"]).assign(y=target, w=WEIGHTS)
    task = "classification" if target.dtype.kind in "OU" else "regression"
    return load_rows(TableRows(frame=frame, weight="w", task=task, **fields))


def scores_of_baselines(data: Dataset, names: list[str]) -> dict[str, dict[str, float]]:
    network = nn.Linear(3, data.spec.num_outputs)
    module = CompiledModel(network, data.spec, Adam(), None, names, data.preprocessing.target_scale)
    return {one.name: baselines.score(module, data, one) for one in baselines.baselines(data, module.units)}


def test_baselines_are_scikit_learns_dummies_by_weight() -> None:
    data = table(VALUES)
    assert data.test is not None
    train, test = data.train, data.test
    mean = DummyRegressor().fit(train.inputs, train.labels, sample_weight=train.weights).predict(test.inputs)
    found = scores_of_baselines(data, ["mae", "r2"])["mean"]
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(test.labels, mean, sample_weight=test.weights))
    assert found["r2"] == pytest.approx(metrics.r2_score(test.labels, mean, sample_weight=test.weights))
    data = table(CLASSES)
    assert data.test is not None
    train, test = data.train, data.test
    dummy = DummyClassifier(strategy="prior").fit(train.inputs, train.labels, sample_weight=train.weights)
    shares = dummy.predict_proba(test.inputs)
    wanted = metrics.log_loss(test.labels, shares, sample_weight=test.weights, labels=dummy.classes_)
    assert scores_of_baselines(data, ["accuracy"])["class shares"]["loss"] == pytest.approx(wanted)


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 3)), min_size=1).filter(lambda rows: any(w for _, w in rows))
)
def test_a_weighted_median_is_that_of_repeated_values(rows: list[tuple[float, int]]) -> None:
    values, weights = np.array([value for value, _ in rows]), np.array([weight for _, weight in rows], dtype=float)
    assert median(values, weights) == np.median(values.repeat(weights.astype(int)))


def test_rows_of_no_weight_are_left_out_before_anything_is_drawn_or_learnt() -> None:
    frame = pd.DataFrame(INPUTS, columns=["p", "q", "r"]).assign(y=VALUES, w=WEIGHTS)
    without = frame[frame["w"] > 0].reset_index(drop=True)
    some, other = (load_rows(TableRows(frame=rows, weight="w", task="regression")) for rows in (frame, without))
    for part, like in ((some.train, other.train), (some.val, other.val), (some.test, other.test)):
        assert part is not None
        assert like is not None
        assert torch.equal(torch.as_tensor(part.inputs), torch.as_tensor(like.inputs))
        assert part.labels.tolist() == like.labels.tolist() == VALUES[part.rows].tolist()
        assert part.weights is not None
        assert part.weights.tolist() == WEIGHTS[part.rows].tolist()


def test_fitted_statistics_are_weighted() -> None:
    """Scales, fill values, the target's scale; as if rows were repeated."""
    frame = pd.DataFrame(INPUTS, columns=["p", "q", "r"]).assign(y=VALUES)
    frame.loc[::7, "p"] = np.nan
    plugin = Table(path="memory", target="y")
    inputs = frame[["p", "q", "r"]]
    weights = WEIGHTS.astype(float)
    repeated = inputs.loc[inputs.index.repeat(WEIGHTS)]
    by_weight, by_rows = plugin.learn(inputs, weights=weights), plugin.learn(repeated)
    np.testing.assert_allclose(plugin.apply(by_weight, inputs), plugin.apply(by_rows, inputs), rtol=1e-6)
    images = INPUTS[:, :, np.newaxis] + np.arange(2)
    kind = Array(path="memory", target="y", shape=[3, 2])
    one, other = kind.learn(images, weights=weights), kind.learn(images.repeat(WEIGHTS, axis=0))
    np.testing.assert_allclose(one.mean_, other.mean_)
    np.testing.assert_allclose(one.scale_, other.scale_)


def fitted(y: Values, weights: Any, X: Values = INPUTS, **more: Any) -> Model:  # noqa: N803
    model = Model("mlp", hidden=[8]).compile(lr=0.01, **more)
    model.fit(X, y, epochs=8, sample_weight=weights, verbose=0)
    return model


@pytest.mark.parametrize(
    ("name", "more"), [("values", {}), ("classes", {}), ("classes", {"class_weights": "balanced"})]
)
def test_a_fit_by_whole_weights_is_that_of_repeated_rows(name: str, more: dict[str, Any]) -> None:
    """All rows in one step: then nothing depends on their order. Single precision leaves six digits."""
    y = VALUES if name == "values" else CLASSES
    rows = np.flatnonzero(WEIGHTS)[:14]  # repeated, they are a batch yet
    weights = WEIGHTS[rows]
    assert weights.sum() <= 32
    by_weight = fitted(y[rows], weights, INPUTS[rows], **more)
    repeated = fitted(y[rows].repeat(weights), None, INPUTS[rows].repeat(weights, axis=0), **more)
    for found, wanted in zip(by_weight.history.rows, repeated.history.rows, strict=True):  # type: ignore[union-attr]
        assert {**found, "epoch_seconds": 0} == pytest.approx({**wanted, "epoch_seconds": 0}, rel=1e-5)
    plain = fitted(y[rows], None, INPUTS[rows], **more)
    assert by_weight.history.rows[-1] != pytest.approx(plain.history.rows[-1], rel=1e-3)  # type: ignore[union-attr]
    predict = Model.predict if name == "values" else Model.predict_proba
    np.testing.assert_allclose(predict(by_weight, INPUTS), predict(repeated, INPUTS), rtol=1e-5, atol=1e-6)


def test_only_the_proportions_of_weights_count() -> None:
    weights = np.random.default_rng(5).random(ROWS)
    some, more = (fitted(VALUES, factor * weights) for factor in (1.0, 1024.0))
    assert some.predict(INPUTS).tolist() == more.predict(INPUTS).tolist()


def test_evaluate_takes_weights_and_validation_rows_may_have_them() -> None:
    weights = np.random.default_rng(5).random(ROWS)
    model = Model("mlp", hidden=[8]).compile(metrics=["mae", "r2"], lr=0.01)
    history = model.fit(
        INPUTS[:25], VALUES[:25], epochs=3, validation_data=(INPUTS[25:], VALUES[25:], weights[25:]), verbose=0
    )
    predicted = model.predict(INPUTS[25:])
    wanted = metrics.mean_absolute_error(VALUES[25:], predicted, sample_weight=weights[25:])
    assert model.evaluate(INPUTS[25:], VALUES[25:], sample_weight=pd.Series(weights[25:]))["mae"] == pytest.approx(
        wanted
    )
    assert history.rows[history.weights_epoch - 1]["val_mae"] == pytest.approx(wanted, rel=1e-6)
    plain = metrics.mean_absolute_error(VALUES[25:], predicted)
    assert model.evaluate(INPUTS[25:], VALUES[25:])["mae"] == pytest.approx(plain) != pytest.approx(wanted)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            np.ones(3),
            r"^sample_weight must have the shape \(40,\), a number for each row of X, got \(3,\)\. Reshape it\.$",
        ),
        (
            np.ones((ROWS, 2)),
            r"^sample_weight must have the shape \(40,\), a number for each row of X, got \(40, 2\)\. Reshape it\.$",
        ),
        (
            np.where(np.arange(ROWS) == 7, -1.0, 1.0),
            r"^sample_weight must be a finite number of 0 or more, got -1\.0 in row 7\. Change or remove it\.$",
        ),
        (np.where(np.arange(ROWS) == 5, np.nan, 1.0), r"got nan in row 5\. Change or remove it\.$"),
        (["heavy"] * ROWS, r"got heavy in row 0\. Change or remove it\.$"),
        (
            np.zeros(ROWS),
            r"^sample_weight is zero in all rows, which leaves nothing to train on\. Give a weight above 0 to some\.$",
        ),
    ],
)
def test_weights_that_cannot_be_are_refused_by_row(weights: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        fitted(VALUES, weights)


def test_metrics_that_cannot_be_weighted_are_refused() -> None:
    with pytest.raises(
        RequestError,
        match=r'^metrics="calibration_error" cannot be weighted, and sample_weight gives the rows weights\. '
        r"Choose from: accuracy, precision",
    ):
        fitted(TWO, np.ones(ROWS), metrics=["calibration_error"])
    model = fitted(TWO, None, metrics=["calibration_error"])
    with pytest.raises(RequestError, match=r"cannot be weighted, and sample_weight gives"):
        model.evaluate(INPUTS, TWO, sample_weight=np.ones(ROWS))
    with pytest.raises(ValueError, match=r"weight must be a column other than the target, got 'y'\. Leave it out"):
        Table(path="rows.csv", target="y", weight="y")


def test_a_series_keeps_the_values_before_a_target_of_no_weight() -> None:
    frame = pd.DataFrame({"y": np.arange(30.0), "w": np.where(np.arange(30) % 5 == 0, 0.0, 2.0)})
    data = load_rows(SeriesRows(frame=frame, window=3, weight="w", difference=0, season=None))
    parts = [part for part in (data.train, data.val, data.test) if part is not None]
    rows = np.concatenate([part.rows for part in parts])
    assert rows.tolist() == [row for row in range(3, 30) if row % 5]
    assert {float(weight) for part in parts for weight in part.weights} == {2.0}  # type: ignore[union-attr]
    assert parts[0].inputs[slice(2, 3)].shape == (1, 3, 1)


def test_a_column_of_weights_is_no_feature_and_is_used_where_it_is_there(
    job: Command, lifecycle: Command, runs: Callable[[], list[Any]], tmp_path: Path
) -> None:
    rows = pd.DataFrame(INPUTS, columns=["p", "q", "r"]).assign(w=WEIGHTS, y=VALUES)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    rows.drop(columns="w").to_csv(tmp_path / "plain.csv", index=False)
    words = ["data=table", "data.path=rows.csv", "data.target=y", "data.weight=w", "metrics=[mae,r2]"]
    ended = job("model=mlp", *words, "trainer.max_epochs=3", "verbose=2")
    assert ended.code == 0
    assert "3 numbers; weights: w" in ended.out
    for file in ("rows", "plain"):
        assert job("evaluate", "run=latest", f"input={file}.csv").code == 0
    (run,) = runs()
    assert run.data.params["data.weight"] == "w"
    for name, file in {"test": "", "evaluate_rows": "evaluate/rows/", "evaluate_plain": "evaluate/plain/"}.items():
        found = pd.read_csv(artifacts(run) / f"{file}predictions.csv")
        weights = None if name == "evaluate_plain" else WEIGHTS[found["row"]]
        assert weights is None or weights.all()
        for key, function in (("mae", metrics.mean_absolute_error), ("r2", metrics.r2_score)):
            wanted = function(found["actual"], found["predicted"], sample_weight=weights)
            assert run.data.metrics[f"{name}_{key}"] == pytest.approx(wanted, rel=1e-6)
    assert lifecycle("predict", "run=latest", "input=plain.csv", "output=out.csv").code == 0
    assert "predicted" in pd.read_csv(tmp_path / "out.csv")
    ended = job("model=mlp", *words, "data.weight=p")
    assert ended.code == 2
    assert "data.weight=p must be a finite number of 0 or more, got -" in ended.err
    assert "data.weight=ww is no column of rows.csv. Did you mean w?" in job("model=mlp", *words, "data.weight=ww").err
