"""Means over seeds and folds with intervals, and paired differences between configurations.

Sources: C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52 (2003), 239-281;
S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979), 65-70.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL = 0.95
"""Confidence of the intervals."""

ROUNDING = 1e-12
"""Part of the values below which the spread of their differences is rounding."""


@dataclass(frozen=True)
class Estimate:
    """A mean over runs.

    Attributes:
        mean: of the values.
        sd: their sample standard deviation; NaN of one value.
        low, high: 95% interval of the mean; NaN of one value.
        count: number of values.
    """

    mean: float
    sd: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, and the two-sided p of a mean of 0.

    p is NaN of one pair, and where all differences are equal: they show no spread that the mean could be compared with.
    """

    mean: float
    p: float


def estimate(values: Sequence[float], overlap: float = 0.0) -> Estimate:
    """Return the mean of values with a t interval.

    Args:
        values: one per run, or per fold.
        overlap: 0 for independent runs (seeds); for folds the ratio of test to training rows, by which Nadeau and
            Bengio correct the variance, as the training rows of folds overlap.
    """
    return estimates([values], overlap)[0]


def estimates(rows: Sequence[Sequence[float]], overlap: float = 0.0) -> list[Estimate]:
    """Return :func:`estimate` of several scores of the same number of runs: ``(scores, runs)``."""
    array = np.asarray(rows, dtype=np.float64)
    means, count = array.mean(axis=1), array.shape[1]
    if count < 2:
        return [Estimate(float(mean), math.nan, math.nan, math.nan, count) for mean in means]
    sds = array.std(axis=1, ddof=1)
    sds[sds <= ROUNDING * np.abs(array).max(axis=1)] = 0.0  # equal values, such as an accuracy of 0.9333 three times
    halves = _quantile(count) * sds * math.sqrt(1 / count + overlap)
    lists = (values.tolist() for values in (means, sds, means - halves, means + halves))
    return [Estimate(mean, sd, low, high, count) for mean, sd, low, high in zip(*lists, strict=True)]


@lru_cache
def _quantile(count: int) -> float:
    """Return the half width of the interval of the mean of some runs, in standard errors."""
    return float(stdtrit(count - 1, (1 + LEVEL) / 2))


def difference(values: Sequence[float], others: Sequence[float], overlap: float = 0.0) -> Difference:
    """Return the mean of ``values - others`` on the same seeds or folds, with the p of a paired t test.

    Args:
        values: one per run, or per fold.
        others: of the other configuration, in the same order.
        overlap: see :func:`estimate`; with folds this is the corrected resampled t test.
    """
    found = np.asarray(values, dtype=np.float64) - np.asarray(others, dtype=np.float64)
    mean = float(found.mean())
    if len(found) < 2:
        return Difference(mean, math.nan)
    sd, least = float(found.std(ddof=1)), ROUNDING * float(np.abs([values, others]).max())
    if sd <= least:
        return Difference(mean, 1.0 if abs(mean) <= least else math.nan)
    spread = sd * math.sqrt(1 / len(found) + overlap)
    return Difference(mean, 2 * float(stdtr(len(found) - 1, -abs(mean / spread))))


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by Holm's method; NaN stays NaN and does not count."""
    known = sorted((p, at) for at, p in enumerate(ps) if not math.isnan(p))
    corrected = [math.nan] * len(ps)
    largest = 0.0
    for rank, (p, at) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[at] = largest
    return corrected
