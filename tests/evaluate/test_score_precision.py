"""Scores agree with scikit-learn in float64 on the same predictions, wherever a target lies and whatever its scale."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from torch import nn

from lifecycle.api.model import Model
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.losses import Loss
from lifecycle.compile.metrics import OURS
from lifecycle.compile.output_units import Units
from lifecycle.compile.scores import Scorer
from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec, Target
from lifecycle.data.batches import Truth
from lifecycle.data.dataset import Dataset
from lifecycle.data.preprocessing import learn_target
from lifecycle.evaluate import baselines
from lifecycle.evaluate.intervals import RESAMPLES, SLOW_RESAMPLES, intervals
from lifecycle.evaluate.scoring import judge
from lifecycle.optimizers import Adam
from lifecycle.predict.outputs import as_frame
from tests.conftest import Command, artifacts
from tests.rows import SeriesRows, TableRows, load_rows

ROWS = 60
SPEC = DataSpec(REGRESSION, (2,), 1, target_name="y")
NAMED = ["r2", "mae", "mse", "rmse", "mape"]
Values = np.ndarray[Any, Any]


def same(value: Any) -> Any:
    return pytest.approx(value, rel=1e-6, nan_ok=True)


def by_scikit_learn(truth: Values, predicted: Values) -> dict[str, float]:
    return {
        "r2": metrics.r2_score(truth, predicted),
        "mae": metrics.mean_absolute_error(truth, predicted),
        "mse": metrics.mean_squared_error(truth, predicted),
        "rmse": metrics.root_mean_squared_error(truth, predicted),
        "mape": metrics.mean_absolute_percentage_error(truth, predicted),
    }


def all_by_reference(truth: Values, predicted: Values) -> dict[str, float]:
    """Return all metrics of values that are computed here and not by torchmetrics."""
    error, size = np.abs(predicted - truth), np.abs(truth)
    around = truth - truth.mean()
    return by_scikit_learn(truth, predicted) | {
        "explained_variance": metrics.explained_variance_score(truth, predicted),
        "pearson_corr_coef": stats.pearsonr(truth, predicted)[0],
        "concordance_corr_coef": 2
        * (around @ (predicted - predicted.mean()))
        / (around @ around + len(truth) * (predicted.var() + (predicted.mean() - truth.mean()) ** 2)),
        "relative_squared_error": (error @ error) / (around @ around),
        "normalized_root_mean_squared_error": np.sqrt((error**2).mean()) / truth.mean(),
        "symmetric_mean_absolute_percentage_error": (2 * error / (size + np.abs(predicted))).mean(),
        "weighted_mean_absolute_percentage_error": error.sum() / size.sum(),
        "log_cosh_error": np.logaddexp(error, -error).mean() - np.log(2),
    }


def made(scale: float, ratio: float, seed: int, based: bool = False) -> tuple[Units, torch.Tensor, Truth]:
    """Return outputs and true values of a regression whose target lies ``ratio`` scales from zero."""
    generator = np.random.default_rng(seed)
    core = generator.normal(size=ROWS)
    base = ratio * scale + scale * generator.normal(size=ROWS) if based else None
    truth = scale * core + (ratio * scale if base is None else base)
    outputs = torch.from_numpy(core + 0.3 * generator.normal(size=ROWS)).float().reshape(-1, 1)
    column = None if base is None else torch.from_numpy(base).reshape(-1, 1)
    units = Units(REGRESSION, 0.0 if based else ratio * scale, scale)
    return units, outputs, Truth(torch.from_numpy(truth).reshape(-1, 1), column)


scales = st.floats(-9, 9).map(lambda power: 10**power)
ratios = st.floats(0, 9).flatmap(lambda power: st.sampled_from([10**power, -(10**power), 0.0]))


@settings(deadline=None, max_examples=60)
@given(scales, ratios, st.integers(0, 2**31), st.lists(st.integers(1, ROWS - 1)), st.booleans())
def test_every_score_of_values_is_scikit_learns(
    scale: float, ratio: float, seed: int, cuts: list[int], based: bool
) -> None:
    units, outputs, truth = made(scale, ratio, seed, based)
    names = [name for name in OURS if name != "mean_squared_log_error"]  # which is of values above -1 alone
    scores = Scorer(SPEC, names, units, Loss("mse"))
    targets = units.targets(truth.values, truth.base).float()
    for start, stop in pairwise(sorted({0, *cuts, ROWS})):
        rows = slice(start, stop)
        scores.add(outputs[rows], targets[rows], truth[rows])
        scores._fold()  # as after MOST_PENDING rows
    values = truth.values.numpy()[:, 0]
    written = as_frame(outputs, units, SPEC, truth.base)["predicted"].to_numpy()
    wanted = all_by_reference(values, written)
    assert set(wanted) == set(names)
    in_training_scale = units.targets(truth.values, truth.base).numpy()
    wanted["loss"] = metrics.mean_squared_error(in_training_scale, outputs.double().numpy())
    assert scores.compute() == same(wanted)


@settings(deadline=None, max_examples=8)
@given(scales, ratios, st.integers(0, 2**31))
def test_intervals_are_those_of_scikit_learns_scores_of_the_resamples(scale: float, ratio: float, seed: int) -> None:
    units, outputs, truth = made(scale, ratio, seed)
    scores = Scorer(SPEC, ["mae", "r2"], units, Loss("mse"))
    values, predicted = truth.values.numpy()[:, 0], as_frame(outputs, units, SPEC)["predicted"].to_numpy()
    found = intervals(scores, outputs, torch.zeros(ROWS, 1), truth, seed=1)
    drawn = np.random.default_rng(1).integers(ROWS, size=(RESAMPLES, ROWS))
    of_resamples = {
        "mae": np.abs(predicted - values)[drawn].mean(axis=1),
        "r2": [metrics.r2_score(values[rows], predicted[rows]) for rows in drawn[:SLOW_RESAMPLES]],
    }
    for name, samples in of_resamples.items():
        assert found[name] == same(tuple(np.quantile(samples, [0.025, 0.975])))


@settings(deadline=None, max_examples=15)
@given(scales, ratios, st.integers(0, 1000), st.integers(0, 3))
def test_baselines_and_naive_forecasts_are_scored_as_scikit_learn_scores_them(
    scale: float, ratio: float, seed: int, difference: int
) -> None:
    walk = np.random.default_rng(seed).normal(size=70)
    frame = pd.DataFrame({"y": ratio * scale + scale * walk})
    data = load_rows(SeriesRows(frame=frame, window=3, season=4, difference=difference))
    module = CompiledModel(nn.Linear(1, 1), data.spec, Adam(), None, NAMED, data.preprocessing.target_scale)
    found = {one.name: baselines.score(module, data, one) for one in baselines.baselines(data, module.units)}
    at, truth = data.scored.rows, data.scored.labels
    forecasts = {
        "value 4 steps before": frame["y"].to_numpy()[at - 4],
        "last value": frame["y"].to_numpy()[at - 1],
        "mean": np.full(len(at), data.train.labels.mean()),
        "median": np.full(len(at), np.median(data.train.labels)),
    }
    assert set(found) == set(forecasts)
    for name, forecast in forecasts.items():
        assert {metric: found[name][metric] for metric in NAMED} == same(by_scikit_learn(truth, forecast))


def test_a_model_is_judged_in_float64() -> None:
    data = table(5e4 + 1e-3 * np.random.default_rng(0).normal(size=80))
    network = nn.Linear(1, 1)
    module = CompiledModel(network, data.spec, Adam(), None, NAMED, data.preprocessing.target_scale)
    part = data.scored
    with torch.no_grad():
        outputs = network(part.inputs)
    module.test_scores.add(outputs, part.targets, part.truth)
    evaluation = judge(module, data, module.test_scores.compute(), outputs, seed=0)
    predicted = as_frame(outputs, module.units, data.spec)["predicted"].to_numpy()
    wanted = by_scikit_learn(part.labels, predicted)
    assert {name: evaluation.scores[name] for name in NAMED} == same(wanted)
    assert evaluation.baseline["mae"] == same(np.abs(part.labels - data.train.labels.mean()).mean())


def table(target: Values) -> Dataset:
    return load_rows(TableRows(frame=pd.DataFrame({"a": np.arange(len(target)) * 0.5, "y": target}), task="regression"))


@pytest.mark.parametrize("task", [BINARY, MULTICLASS])
def test_scores_of_classes_are_float64(task: str) -> None:
    classes = 2 if task == BINARY else 3
    spec = DataSpec(task, (2,), 1 if task == BINARY else 3, class_names=tuple("abc"[:classes]))
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(50, spec.num_outputs, generator=generator) * 30  # whose probabilities float32 rounds to 1
    codes = torch.arange(50) % classes
    targets = codes.float().reshape(-1, 1) if task == BINARY else codes
    names = ["accuracy", "precision", "recall", "f1", "auroc", "average_precision", "matthews_corr_coef", "specificity"]
    loss = Loss("binary_crossentropy" if task == BINARY else "categorical_crossentropy")
    scores = Scorer(spec, names, Units(task), loss)
    scores.add(outputs, targets)
    found = scores.compute()
    certain = as_frame(outputs, Units(task), spec).filter(like="probability_").to_numpy()
    predicted, truth = certain.argmax(axis=1), codes.numpy()
    average = {"average": "binary" if task == BINARY else "macro"}
    of_class = certain[:, 1] if task == BINARY else certain
    confusion = metrics.multilabel_confusion_matrix(truth, predicted)
    specificity = (confusion[:, 0, 0] / confusion[:, 0].sum(axis=1))[1 if task == BINARY else slice(None)]
    logits = outputs.double().numpy()
    logits = np.column_stack([0 * logits, logits]) if task == BINARY else logits
    assert found["accuracy"] == np.sum(predicted == truth) / 50  # to the last bit: 0.96, not 0.95999998
    assert found == {
        "loss": same((np.logaddexp.reduce(logits, axis=1) - logits[np.arange(50), truth]).mean()),
        "accuracy": metrics.accuracy_score(truth, predicted),
        "precision": pytest.approx(metrics.precision_score(truth, predicted, **average), rel=1e-12),
        "recall": pytest.approx(metrics.recall_score(truth, predicted, **average), rel=1e-12),
        "f1": pytest.approx(metrics.f1_score(truth, predicted, **average), rel=1e-12),
        "auroc": pytest.approx(metrics.roc_auc_score(truth, of_class, multi_class="ovr"), rel=1e-12),
        "average_precision": pytest.approx(metrics.average_precision_score(truth, of_class), rel=1e-12),
        "matthews_corr_coef": pytest.approx(metrics.matthews_corrcoef(truth, predicted), rel=1e-12),
        "specificity": pytest.approx(np.mean(specificity), rel=1e-12),
    }


def test_areas_leave_out_a_class_that_no_row_is_of() -> None:
    spec = DataSpec(MULTICLASS, (2,), 3, class_names=("a", "b", "c"))
    outputs = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [1.0, 1.5, 0.0], [3.0, 0.0, 0.0]])
    scores = Scorer(spec, ["auroc", "average_precision"], Units(MULTICLASS), Loss("categorical_crossentropy"))
    scores.add(outputs, torch.tensor([0, 1, 0, 1]))
    certain = torch.softmax(outputs.double(), dim=1).numpy()
    truth = np.array([0, 1, 0, 1])
    found = scores.compute()
    for name, function in (("auroc", metrics.roc_auc_score), ("average_precision", metrics.average_precision_score)):
        assert found[name] == pytest.approx(np.mean([function(truth == code, certain[:, code]) for code in (0, 1)]))
    scores.add(outputs[:1], torch.tensor([0]))
    assert np.isnan(scores.compute()["auroc"])


@pytest.mark.parametrize("rows", [1000, 3_000_000])
def test_the_scale_of_a_target_far_from_zero_is_learnt_for_any_number_of_rows(rows: int) -> None:
    """scikit-learn's scaler holds the deviation of so many rows for rounding."""
    target = 1e10 + np.tile([-1.0, 1.0], rows // 2)
    _, scaler = learn_target(target, np.arange(rows), Target("y", "regression"))
    assert scaler.mean_[0] == pytest.approx(1e10, rel=1e-15)
    assert scaler.scale_[0] == pytest.approx(1.0, rel=1e-6)
    _, constant = learn_target(
        np.full(9, 0.1) * np.array([1, 1 + 2e-16, 1] * 3), np.arange(9), Target("y", "regression")
    )
    assert constant.scale_[0] == 1.0


INPUTS = np.random.default_rng(5).normal(size=(300, 2))
CORE = INPUTS @ [1.5, -1.0] + np.random.default_rng(6).normal(size=300)
TARGETS = {
    "unix times": (1.7e9 + 600 * CORE).astype(np.int64),
    "years": 2026 + 1e-3 * CORE,
    "nanoseconds": (1.7e18 + 1e12 * CORE).astype(np.int64),
    "price": 50_000 + 2 * CORE,
    "tiny": 1 + 1e-9 * CORE,
    "far and large": 1e18 + 1e9 * CORE,
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_model_in_python_has_the_scores_of_its_predictions(name: str) -> None:
    """At a rate of almost 0 the weights stay, so that each step of training scores the same predictions."""
    y = TARGETS[name]
    model = Model("mlp", hidden=[8]).compile("sgd", metrics=NAMED, lr=1e-30)
    history = model.fit(
        INPUTS[:200], y[:200], epochs=2, validation_data=(INPUTS[200:250], y[200:250]), verbose=0, seed=3
    ).frame
    for part, rows in {"train": slice(200), "val": slice(200, 250), "test": slice(250, None)}.items():
        wanted = by_scikit_learn(y[rows].astype(float), model.predict(INPUTS[rows]))
        found = model.evaluate(INPUTS[rows], y[rows])
        assert {key: found[key] for key in NAMED} == same(wanted)
        if part != "test":
            assert {key: history[f"{part}_{key}"].iloc[-1] for key in NAMED} == same(wanted)


def test_the_epoch_that_is_best_by_r2_is_that_of_the_least_error() -> None:
    y = TARGETS["unix times"]
    model = Model("mlp", hidden=[8]).compile(metrics=["r2", "mse"], lr=0.02)
    history = model.fit(
        INPUTS, y, epochs=12, validation_split=0.3, monitor="val_r2", patience=12, batch_size=16, verbose=0
    )
    r2, mse = history.frame["val_r2"], history.frame["val_mse"]
    assert r2.nunique() == 12
    assert history.best_epoch == 1 + r2.argmax() == 1 + mse.argmin() > 1


def test_a_run_and_an_evaluation_record_the_scores_of_the_predictions_that_they_write(
    job: Command, runs: Callable[[], list[Any]], tmp_path: Path
) -> None:
    values = [f"{1_700_000_000 + round(2 * float(core), 3):.3f}" for core in CORE]  # as shared/cases/offset
    pd.DataFrame({"a": INPUTS[:, 0], "b": INPUTS[:, 1], "y": values}).to_csv(tmp_path / "rows.csv", index=False)
    words = ["data=table", "data.path=rows.csv", "data.target=y", "metrics=[r2,mae,mse,rmse,mape]"]
    assert job("model=mlp", *words, "trainer.max_epochs=15", "optimizer.lr=0.01").code == 0
    assert job("evaluate", "run=latest", "input=rows.csv").code == 0
    (run,) = runs()
    for name, file in {"test": "predictions.csv", "evaluate_rows": "evaluate/rows/predictions.csv"}.items():
        rows = pd.read_csv(artifacts(run) / file)
        wanted = by_scikit_learn(rows["actual"].to_numpy(), rows["predicted"].to_numpy())
        assert 0.5 < wanted["r2"] < 0.9
        assert {key: run.data.metrics[f"{name}_{key}"] for key in NAMED} == same(wanted)
        table = pd.read_csv((artifacts(run) / file).with_name("scores.csv"), index_col="score")
        for key in NAMED:
            assert table.loc[key, "low"] < wanted[key] < table.loc[key, "high"]
    assert table.loc["r2", "baseline"] == pytest.approx(0, abs=1e-12)
    mean = np.array(values, dtype=float).mean()
    assert table.loc["mae", "baseline"] == same(np.abs(rows["actual"] - mean).mean())
