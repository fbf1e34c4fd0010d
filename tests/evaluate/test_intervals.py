"""Bootstrap intervals against a plain loop and scipy; rows from which nothing can be drawn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from torch import Tensor

from lifecycle.compile.losses import Loss
from lifecycle.compile.output_units import Units
from lifecycle.compile.scores import Scorer
from lifecycle.config.tasks import TASKS
from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, REGRESSION, DataSpec
from lifecycle.data.batches import Truth
from lifecycle.evaluate import intervals as module
from lifecycle.evaluate.intervals import intervals, row_values
from tests.evaluate.test_scoring import outputs_and_targets, scores_of

MEANS = {
    BINARY: ["accuracy"],
    MULTICLASS: ["accuracy"],
    MULTILABEL: ["accuracy", "hamming_distance"],
    REGRESSION: ["mae", "mse", "rmse", "mape"],
}
SEED = 7


def found(task: str, names: list[str], outputs: Tensor, targets: Tensor, seed: int = SEED) -> dict[str, Any]:
    return intervals(scores_of(task, names), outputs, targets, None, seed)


def resamples(task: str, name: str, outputs: Tensor, targets: Tensor, count: int) -> list[float]:
    """Return the metric of each resample by a plain loop over the scores of a run."""
    scores = scores_of(task, [name])
    generator = np.random.default_rng(SEED)
    values = []
    for rows in generator.integers(len(outputs), size=(count, len(outputs))):
        scores.add(outputs[rows], targets[rows])
        values.append(scores.compute()[name])
    return values


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in TASKS for name in TASKS[task].metrics])
def test_the_ends_are_percentiles_of_a_plain_loop_over_resamples(
    task: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fewer resamples: the loop computes each of them anew.
    count = 150 if name in MEANS[task] else 100
    monkeypatch.setattr(module, "RESAMPLES", 150)
    monkeypatch.setattr(module, "SLOW_RESAMPLES", 100)
    outputs, targets = outputs_and_targets(task)
    low, high = np.quantile(resamples(task, name, outputs, targets, count), [0.025, 0.975])
    assert found(task, [name], outputs, targets)[name] == pytest.approx((low, high), rel=1e-12)
    assert low < high


def test_they_are_scipys_percentile_intervals_but_for_the_draws() -> None:
    outputs, targets = outputs_and_targets(REGRESSION, rows=400)
    errors = 40 * (outputs - targets).abs().numpy()[:, 0]
    theirs = stats.bootstrap((errors,), np.mean, n_resamples=5000, method="percentile", rng=0).confidence_interval
    assert found(REGRESSION, ["mae"], outputs, targets)["mae"] == pytest.approx(tuple(theirs), rel=0.01)


@pytest.mark.parametrize("task", MEANS)
def test_the_mean_of_the_rows_values_is_the_metric(task: str) -> None:
    outputs, targets = outputs_and_targets(task)
    scores = scores_of(task, MEANS[task])
    scores.add(outputs, targets)
    whole = scores.compute()
    for name, metric in scores.metrics.items():
        by_row = row_values(metric, scores.compared(outputs, targets))
        assert by_row is not None
        mean = np.sqrt(by_row.mean()) if name == "rmse" else by_row.mean()
        assert mean == pytest.approx(whole[name], rel=1e-12)


def test_a_metric_that_is_no_mean_over_rows_is_recomputed() -> None:
    for task in TASKS:
        scores = scores_of(task, [name for name in TASKS[task].metrics if name not in MEANS[task]])
        compared = scores.compared(*outputs_and_targets(task))
        assert [row_values(metric, compared) for metric in scores.metrics.values()] == [None] * len(scores.metrics)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_interval_around_the_score(seed: int) -> None:
    outputs, targets = outputs_and_targets(MULTICLASS)
    low, high = found(MULTICLASS, ["accuracy"], outputs, targets, seed)["accuracy"]
    assert (low, high) == found(MULTICLASS, ["accuracy"], outputs, targets, seed)["accuracy"]
    score = metrics.accuracy_score(targets, outputs.argmax(dim=1))
    assert low < score < high


def test_another_seed_draws_other_rows() -> None:
    outputs, targets = outputs_and_targets(REGRESSION)
    assert found(REGRESSION, ["mae"], outputs, targets, 1) != found(REGRESSION, ["mae"], outputs, targets, 2)


def test_values_are_in_the_users_units_with_their_base() -> None:
    scores = scores_of(REGRESSION, ["mape"], Units(REGRESSION, 0.0, 2.0))
    outputs, targets = torch.zeros(4, 1), torch.tensor([[1.0], [1.0], [1.0], [4.0]])
    base = torch.full((4, 1), 8.0, dtype=torch.float64)
    truth = Truth(base + 2 * targets, base)  # 8 + 2 or 8 + 8, predicted 8
    assert intervals(scores, outputs, targets, truth, 0)["mape"] == pytest.approx((0.2, 0.2 + 0.3 * 3 / 4))


def test_many_rows_are_drawn_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, targets = outputs_and_targets(REGRESSION)
    at_once = found(REGRESSION, ["mae", "r2"], outputs, targets)
    monkeypatch.setattr(module, "DRAWS_AT_ONCE", 3 * len(outputs))
    assert found(REGRESSION, ["mae", "r2"], outputs, targets) == at_once


def test_very_many_rows_have_fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, targets = outputs_and_targets(REGRESSION)
    monkeypatch.setattr(module, "MOST_DRAWS", 150 * len(outputs))
    low, high = np.quantile(resamples(REGRESSION, "mae", outputs, targets, 150), [0.025, 0.975])
    assert found(REGRESSION, ["mae"], outputs, targets)["mae"] == pytest.approx((low, high), rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_one_row_has_no_interval(task: str) -> None:
    outputs, targets = outputs_and_targets(task)
    names = [name for name in TASKS[task].metrics if name != "r2"]
    assert found(task, names, outputs[:1], targets[:1]) == {}


@pytest.mark.parametrize("task", TASKS)
def test_two_rows_neither_fail_nor_warn(task: str) -> None:
    outputs, targets = outputs_and_targets(task)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends = found(task, list(TASKS[task].metrics), outputs[:2], targets[:2])
    assert set(MEANS[task]) <= set(ends)
    assert all(low <= high for low, high in ends.values())


def test_resamples_without_a_class_are_left_out_of_an_area() -> None:
    """torchmetrics calls the area 0 there; such zeros would pull the lower end down."""
    targets = torch.tensor([[1.0], [1.0], [0.0], [0.0], [0.0]])
    outputs = torch.tensor([[3.0], [3.0], [3.0], [-1.0], [-2.0]])  # 1/2 or more wherever there is an area
    low, high = found(BINARY, ["auroc"], outputs, targets)["auroc"]
    assert 0.5 <= low < high <= 1.0


def test_a_metric_that_most_resamples_do_not_have_has_no_interval() -> None:
    spec = DataSpec(MULTICLASS, (4,), 10, class_names=tuple("abcdefghij"))
    scores = Scorer(spec, ["accuracy", "auroc"], Units(MULTICLASS), Loss("categorical_crossentropy"))
    ends = intervals(scores, torch.eye(10).roll(1, 1) + torch.eye(10) * torch.arange(10), torch.arange(10), None, 0)
    assert list(ends) == ["accuracy"]


def test_resamples_that_all_agree_give_no_interval() -> None:
    outputs, targets = torch.tensor([[3.0], [2.0], [-2.0], [-3.0]]), torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    assert found(BINARY, ["accuracy", "auroc"], outputs, targets) == {}
    assert list(found(BINARY, ["accuracy"], outputs, 1 - targets)) == []  # all of them wrong
    one_wrong = found(BINARY, ["accuracy"], outputs, torch.tensor([[1.0], [0.0], [0.0], [0.0]]))
    assert list(one_wrong) == ["accuracy"]
