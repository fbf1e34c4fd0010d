"""Bootstrap confidence intervals of scores, over the scored rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lifecycle.compile.measures import AnyArray, Compared, MeanOfRows, Measure
from lifecycle.runtime.quiet import raised

if TYPE_CHECKING:
    from lifecycle.compile.scores import Scorer
    from lifecycle.data.batches import Truth

RESAMPLES, SLOW_RESAMPLES = 1000, 200
"""Resamples for a metric that is a mean over rows, and for one that must be recomputed on each resample."""

FEWEST_RESAMPLES = 100
"""Below this, the 2.5% quantile would rest on one or two resamples."""

MOST_DRAWS, MOST_SLOW_DRAWS = 50_000_000, 5_000_000
"""Most rows times resamples. Of more rows there are fewer resamples, which then vary less."""

DRAWS_AT_ONCE = 2_000_000
"""Row numbers in memory at once, 16 MB."""

LEVEL = 0.95

ROUNDING = 1e-6
"""An interval that is narrower than this share of the score is rounding, not variation."""


def intervals(
    scores: Scorer, outputs: Tensor, targets: Tensor, truth: Truth | None, seed: int
) -> dict[str, tuple[float, float]]:
    """Return the percentile bootstrap interval of each metric, ``{name: (low, high)}``.

    Rows are drawn with replacement, as if they were independent. There are no intervals for a single row, nor for a
    metric that is undefined for most resamples, such as the area under a curve if one class is rare.

    Args:
        scores: the metrics; their state is not changed.
        outputs: ``(rows, num_outputs)`` logits or values of the network.
        targets: as the loss takes them.
        truth: of a regression: in the user's units; see :meth:`lifecycle.compile.scores.Scorer.add`.
        seed: of the draws; the same seed gives the same intervals.
    """
    if len(outputs) < 2:
        return {}
    ends = {}
    # A metric may divide by zero in some resamples; its NaN is dropped below.
    with np.errstate(all="ignore"):
        rows = scores.compared(outputs, targets, truth)
        for name, metric in scores.metrics.items():
            by_row = row_values(metric, rows)
            if by_row is None:
                samples = _recomputed(metric, rows, seed)
            else:
                means = _means(by_row, rows.weights, seed)
                samples = np.sqrt(means) if _is_root(metric) else means
            if samples is not None:
                low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
                # If all resamples agree (no row was wrong), their spread says nothing of the uncertainty.
                if high - low > ROUNDING * abs(high):
                    ends[name] = (float(low), float(high))
    return ends


def row_values(metric: Measure, rows: Compared) -> AnyArray | None:
    """Return the values of which a metric is the mean (or the root of the mean), ``(rows,) float64``; else ``None``."""
    # A metric that is divided by something else than the number of rows is no mean of them.
    if not isinstance(metric, MeanOfRows) or metric.over is not None:
        return None
    return np.asarray(metric.by_row(rows), dtype=np.float64)


def _is_root(metric: Measure) -> bool:
    return isinstance(metric, MeanOfRows) and metric.root


def _means(by_row: AnyArray, weights: AnyArray | None, seed: int) -> AnyArray:
    """Return the weighted mean of each resample, ``(resamples,) float64``."""
    resamples = min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_DRAWS // len(by_row)))
    draws = _draws(len(by_row), resamples, seed)
    if weights is None:
        return np.concatenate([by_row[rows].mean(axis=1) for rows in draws])
    weighted = by_row * weights
    return np.concatenate([weighted[rows].sum(axis=1) / weights[rows].sum(axis=1) for rows in draws])


def _recomputed(metric: Measure, rows: Compared, seed: int) -> AnyArray | None:
    """Return the metric of the resamples for which it is defined; ``None``: it is undefined for most of them."""
    resamples = min(SLOW_RESAMPLES, max(FEWEST_RESAMPLES, MOST_SLOW_DRAWS // len(rows)))
    samples = []
    for draws in _draws(len(rows), resamples, seed):
        for drawn in draws:
            try:
                with raised():  # torchmetrics warns, and returns 0, for an undefined metric
                    samples.append(metric.alone(rows.take(drawn)))
            except (UserWarning, ValueError):
                continue
    finite = np.array(samples)[np.isfinite(samples)]
    return finite if len(finite) > resamples / 2 else None


def _draws(rows: int, resamples: int, seed: int) -> Iterator[AnyArray]:
    """Yield the row numbers of the resamples, ``(several, rows) int64``, :data:`DRAWS_AT_ONCE` at a time."""
    generator = np.random.default_rng(seed)
    at_once = max(1, DRAWS_AT_ONCE // rows)
    for start in range(0, resamples, at_once):
        yield generator.integers(rows, size=(min(at_once, resamples - start), rows))
