"""How far a score may be trusted: bootstrap intervals over the rows that were scored."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
import torchmetrics
from torch import Tensor

if TYPE_CHECKING:
    from torchmetrics.classification import BinaryAccuracy

    from lifecycle.evaluate import Scores

Array = np.ndarray[Any, Any]

RESAMPLES, SLOW_RESAMPLES = 1000, 200
"""Resamples of a metric that is a mean over rows, and of one that must be computed anew on each."""
FEWEST_RESAMPLES = 100
MOST_DRAWS, MOST_SLOW_DRAWS = 50_000_000, 5_000_000
"""Rows times resamples; of more rows there are fewer resamples, which then differ less."""
DRAWS_AT_ONCE, AT_ONCE = 2_000_000, 65_536  # draws, and of millions of rows those whose errors are computed together
LEVEL = 0.95
ROUNDING = 1e-6


def intervals(
    scores: Scores, outputs: Tensor, targets: Tensor, base: Tensor | None, seed: int
) -> dict[str, tuple[float, float]]:
    """Return the percentile bootstrap interval of each metric, ``{name: (low, high)}``.

    Rows are drawn with replacement, as if each were independent of the others. One row says nothing of how rows differ,
    and a metric that most resamples do not have (the area under a curve where a class is missing) has no interval.

    Args:
        scores: the metrics; their state is left alone.
        outputs: ``(rows, num_outputs)`` logits or values of the network.
        targets: as the loss takes them.
        base: ``(rows, 1)`` that values are differences to, or ``None``.
        seed: of the draws; the same seed gives the same intervals.
    """
    if len(outputs) < 2:
        return {}
    predicted, truth = scores.as_compared(outputs, targets, base)
    found = {}
    for name, metric in scores.metrics.items():
        assert isinstance(metric, torchmetrics.Metric)  # noqa: S101 - for the types: Scores made them
        by_row = row_values(metric, predicted, truth)
        if by_row is None:
            samples = _anew(metric, predicted, truth, seed)
        else:
            is_root = getattr(metric, "squared", True) is False
            samples = np.sqrt(_of_means(by_row, seed)) if is_root else _of_means(by_row, seed)
        if samples is not None:
            low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            if high - low > ROUNDING * abs(
                high
            ):  # resamples that all agree (no row was wrong) do not say how sure a score is
                found[name] = (float(low), float(high))
    return found


def row_values(metric: torchmetrics.Metric, predicted: Tensor, truth: Tensor) -> Array | None:
    """Return what a metric is the mean of (a root of a mean: the mean under it), ``(rows,) float64``; else ``None``."""
    parts = [
        _row_values(metric, *some)
        for some in zip(torch.split(predicted, AT_ONCE), torch.split(truth, AT_ONCE), strict=True)
    ]
    return None if parts[0] is None else np.concatenate([part for part in parts if part is not None])


def _row_values(metric: torchmetrics.Metric, predicted: Tensor, truth: Tensor) -> Array | None:
    if _is_share_of_right_rows(metric):
        codes = predicted.argmax(dim=1) if predicted.dim() > 1 else (predicted > metric.threshold).long()
        right: Array = (codes == truth).double().numpy()
        return right
    if type(metric) not in OF_ERRORS or getattr(metric, "num_outputs", 1) != 1:
        return None
    error: Array = (predicted.double() - truth.double()).abs().numpy()
    return OF_ERRORS[type(metric)](error, truth.double().abs().numpy())


OF_ERRORS: dict[type, Callable[[Array, Array], Array]] = {
    torchmetrics.MeanAbsoluteError: lambda error, size: error,
    torchmetrics.MeanSquaredError: lambda error, size: error**2,
    torchmetrics.MeanAbsolutePercentageError: lambda error, size: error / np.maximum(size, 1.17e-06),  # their floor
}
"""The metrics of values that are means over rows, from each row's absolute error and size of the truth."""


def _is_share_of_right_rows(metric: Any) -> TypeGuard[BinaryAccuracy]:
    if type(metric) is torchmetrics.classification.MulticlassAccuracy:
        return metric.average == "micro" and metric.top_k == 1
    return type(metric) is torchmetrics.classification.BinaryAccuracy


def _of_means(by_row: Array, seed: int) -> Array:
    wanted = min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_DRAWS // len(by_row)))
    return np.concatenate([by_row[rows].mean(axis=1) for rows in _draws(len(by_row), wanted, seed)])


def _anew(metric: torchmetrics.Metric, predicted: Tensor, truth: Tensor, seed: int) -> Array | None:
    """Return the metric of each resample that has one; ``None`` where most have none."""
    wanted = min(SLOW_RESAMPLES, max(FEWEST_RESAMPLES, MOST_SLOW_DRAWS // len(truth)))
    metric = metric.clone().to(predicted.device)
    samples = []
    for several in _draws(len(truth), wanted, seed):
        for rows in torch.from_numpy(several):
            metric.reset()
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # how torchmetrics says that there is no such value
                try:
                    metric.update(predicted[rows], truth[rows])
                    samples.append(float(metric.compute()))
                except (UserWarning, ValueError):
                    continue
    finite = np.array(samples)[np.isfinite(samples)]
    return finite if len(finite) > wanted / 2 else None


def _draws(rows: int, resamples: int, seed: int) -> Iterator[Array]:
    """Yield the row numbers of the resamples, ``(some, rows) int64``, so many at a time that memory stays bounded."""
    generator = np.random.default_rng(seed)
    at_once = max(1, DRAWS_AT_ONCE // rows)
    for start in range(0, resamples, at_once):
        yield generator.integers(rows, size=(min(at_once, resamples - start), rows))
