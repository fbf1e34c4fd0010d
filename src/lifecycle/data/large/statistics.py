"""Statistics of a column in the training rows of a large table, and the scalers of scikit-learn that have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Statistics(NamedTuple):
    """Statistics of a column of numbers in the training rows, with missing values replaced by the median."""

    median: float
    mean: float
    variance: float
    low: float
    high: float

    def less(self, shift: float) -> Statistics:
        """Return the statistics of the values less a number."""
        return Statistics(self.median - shift, self.mean - shift, self.variance, self.low - shift, self.high - shift)


def set_scaler(scaler: Any, found: Sequence[Statistics], rows: float) -> None:
    """Set the fitted attributes of scikit-learn's scaler to those of all training rows.

    Args:
        scaler: fitted to a few rows.
        found: of each of its columns.
        rows: their number, or the sum of their weights.
    """
    if hasattr(scaler, "data_min_"):
        # A MinMaxScaler depends only on the least and the greatest value.
        scaler.fit(np.array([[one.low for one in found], [one.high for one in found]]))
    elif scaler.mean_ is not None:
        scaler.mean_ = np.array([one.mean for one in found])
        scaler.var_ = np.array([one.variance for one in found])
        # scikit-learn's bound: a deviation within the rounding error of the mean counts as 0, and the scale is 1.
        rounding = np.finfo(np.float64).eps * rows
        constant = scaler.var_ <= rounding * scaler.var_ + (rounding * scaler.mean_) ** 2
        scaler.scale_ = np.where(constant, 1.0, np.sqrt(scaler.var_))
    scaler.n_samples_seen_ = type(scaler.n_samples_seen_)(rows) if isinstance(rows, int) else np.float64(rows)
