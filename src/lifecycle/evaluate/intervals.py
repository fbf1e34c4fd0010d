"""How far a score may be trusted: bootstrap intervals over the rows that were scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lifecycle.compile.measures import Array, Compared, MeanOfRows, Measure
from lifecycle.runtime.quiet import raised

if TYPE_CHECKING:
    from lifecycle.compile.scores import Scorer
    from lifecycle.data.batches import Truth

RESAMPLES, SLOW_RESAMPLES = 1000, 200
"""Resamples of a metric that is a mean over rows, and of one that must be computed anew on each."""
FEWEST_RESAMPLES = 100
MOST_DRAWS, MOST_SLOW_DRAWS = 50_000_000, 5_000_000
"""Rows times resamples; of more rows there are fewer resamples, which then differ less."""
DRAWS_AT_ONCE = 2_000_000
LEVEL = 0.95
ROUNDING = 1e-6


def intervals(
    scores: Scorer, outputs: Tensor, targets: Tensor, truth: Truth | None, seed: int
) -> dict[str, tuple[float, float]]:
    """Return the percentile bootstrap interval of each metric, ``{name: (low, high)}``.

    Rows are drawn with replacement, as if each were independent of the others. One row says nothing of how rows differ,
    and a metric that most resamples do not have (the area under a curve where a class is missing) has no interval.

    Args:
        scores: the metrics; their state is left alone.
        outputs: ``(rows, num_outputs)`` logits or values of the network.
        targets: as the loss takes them.
        truth: of values: in the user's units; see :meth:`lifecycle.compile.scores.Scorer.add`.
        seed: of the draws; the same seed gives the same intervals.
    """
    if len(outputs) < 2:
        return {}
    found = {}
    with np.errstate(all="ignore"):
        rows = scores.compared(outputs, targets, truth)
        for name, metric in scores.metrics.items():
            by_row = row_values(metric, rows)
            if by_row is None:
                samples = _anew(metric, rows, seed)
            else:
                means = _of_means(by_row, rows.weights, seed)
                samples = np.sqrt(means) if _is_root(metric) else means
            if samples is not None:
                low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
                # Resamples that all agree (no row was wrong) do not say how sure a score is.
                if high - low > ROUNDING * abs(high):
                    found[name] = (float(low), float(high))
    return found


def row_values(metric: Measure, rows: Compared) -> Array | None:
    """Return what a metric is the mean of (a root of a mean: the mean under it), ``(rows,) float64``; else ``None``."""
    if not isinstance(metric, MeanOfRows) or metric.over is not None:
        return None
    return np.asarray(metric.by_row(rows), dtype=np.float64)


def _is_root(metric: Measure) -> bool:
    return isinstance(metric, MeanOfRows) and metric.root


def _of_means(by_row: Array, weights: Array | None, seed: int) -> Array:
    wanted = min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_DRAWS // len(by_row)))
    draws = _draws(len(by_row), wanted, seed)
    if weights is None:
        return np.concatenate([by_row[rows].mean(axis=1) for rows in draws])
    weighted = by_row * weights
    return np.concatenate([weighted[rows].sum(axis=1) / weights[rows].sum(axis=1) for rows in draws])


def _anew(metric: Measure, rows: Compared, seed: int) -> Array | None:
    """Return the metric of each resample that has one; ``None`` where most have none."""
    wanted = min(SLOW_RESAMPLES, max(FEWEST_RESAMPLES, MOST_SLOW_DRAWS // len(rows)))
    samples = []
    for several in _draws(len(rows), wanted, seed):
        for drawn in several:
            try:
                with raised():  # how torchmetrics says that there is no such value
                    samples.append(metric.alone(rows.take(drawn)))
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
