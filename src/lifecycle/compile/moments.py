"""Metrics of values that are functions of means and sums of squares, such as R2.

Sums of squares are taken around the mean of each part of the rows, and combined by Chan's formula. Around zero, a
target far from zero (a time in seconds since 1970) would cost most digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lifecycle.compile.measures import AdditiveMeasure, AnyArray, Compared


@dataclass(frozen=True)
class Moments:
    """Means and sums of squared deviations of the true values, the predicted ones and the errors of some rows.

    Attributes:
        rows: number of rows.
        weight: sum of their weights; without weights, their number.
        means: ``(3,)`` of truth, predictions and errors.
        squares: ``(3,)`` sums of squared deviations from these means.
        products: sum of the products of the deviations of truth and predictions.
        error: sum of squared errors.
    """

    rows: int
    weight: float
    means: AnyArray
    squares: AnyArray
    products: float
    error: float


class MomentMeasure(AdditiveMeasure):
    """A metric of :class:`Moments`, such as R2."""

    def __init__(self, of_moments: Callable[[Moments], float], higher_is_better: bool) -> None:
        super().__init__(higher_is_better)
        self.of_moments = of_moments

    def of(self, rows: Compared) -> Moments:
        """Return the moments of rows."""
        values = np.stack([rows.truth, rows.predicted, rows.errors])
        first, weight = values[:, :1], rows.weight
        near = values - first  # exactly 0 for constant values, whose mean may be rounded
        means = (rows.sum(near) / weight)[:, np.newaxis]
        away = near - means
        squares, products, error = rows.sum(away**2), rows.sum(away[0] * away[1]), rows.sum(rows.errors**2)
        return Moments(len(rows), weight, (first + means)[:, 0], squares, float(products), float(error))

    def plus(self, some: Moments, more: Moments) -> Moments:
        """Return the moments of both, by Chan's formula."""
        weight, apart = some.weight + more.weight, more.means - some.means
        part = more.weight / weight if weight else 0.0
        return Moments(
            some.rows + more.rows,
            weight,
            some.means + apart * part,
            some.squares + more.squares + apart**2 * (some.weight * part),
            some.products + more.products + float(apart[0] * apart[1]) * (some.weight * part),
            some.error + more.error,
        )

    def value(self, state: Moments) -> float:
        """Return the metric."""
        return self.of_moments(state)


def r2(moments: Moments) -> float:
    """Return the coefficient of determination; of constant true values 1 if all errors are 0, else 0, as scikit-learn.

    Raises:
        ValueError: there are fewer than two rows.
    """
    # An error rather than NaN: of_one_row() finds by it that one row is too few.
    if moments.rows < 2:
        raise ValueError("R2 needs two rows or more")
    return _of_variance(moments.error, moments.squares[0])


def explained_variance(moments: Moments) -> float:
    """Return the share of the variance of the truth that the predictions explain."""
    return _of_variance(moments.squares[2], moments.squares[0])


def relative_squared_error(moments: Moments) -> float:
    """Return the sum of squared errors, divided by that of the mean of the truth."""
    return float(moments.error / moments.squares[0])


def pearson(moments: Moments) -> float:
    """Return the correlation of truth and predictions; NaN if one of them is constant."""
    # Rounding may exceed 1.
    return float(np.clip(moments.products / np.sqrt(moments.squares[0] * moments.squares[1]), -1.0, 1.0))


def concordance(moments: Moments) -> float:
    """Return Lin's concordance correlation coefficient."""
    spread = moments.squares[0] + moments.squares[1] + moments.weight * moments.means[2] ** 2
    return float(2 * moments.products / spread)


def normalized_rmse(moments: Moments) -> float:
    """Return the root mean squared error, divided by the mean of the truth."""
    return float(np.sqrt(moments.error / moments.weight) / moments.means[0])


def _of_variance(left: float, whole: float) -> float:
    return float(1 - left / whole) if whole else float(left == 0)
