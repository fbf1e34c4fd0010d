"""Metrics of values in float64 that follow from means and sums of squares, such as R2.

Sums of squares are taken around the mean of each part of the rows and combined by Chan's formula, so that a target far
from zero (a time in seconds since 1970) costs no digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lifecycle.compile.measures import Additive, Array, Compared


@dataclass(frozen=True)
class Moments:
    """Means and sums of squared deviations of the true values, the predicted ones and the errors of some rows.

    Attributes:
        rows: how many there are.
        weight: sum of their weights; without any, their number.
        means: ``(3,)``: of truth, predictions, errors.
        squares: ``(3,)``: sums of squared deviations from these.
        products: sum of the products of the deviations of truth and predictions.
        error: sum of squared errors.
    """

    rows: int
    weight: float
    means: Array
    squares: Array
    products: float
    error: float


class OfMoments(Additive):
    """A metric of :class:`Moments`, such as R2."""

    def __init__(self, of_moments: Callable[[Moments], float], higher_is_better: bool) -> None:
        super().__init__(higher_is_better)
        self.of_moments = of_moments

    def of(self, rows: Compared) -> Moments:
        """Return the moments of rows."""
        values = np.stack([rows.truth, rows.predicted, rows.errors])
        first, weight = values[:, :1], rows.weight
        near = values - first  # of values that are all equal exactly 0, whatever their mean is rounded to
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
    """Return the coefficient of determination; of equal true values 1 where all is right and else 0, as scikit-learn.

    Raises:
        ValueError: there are fewer than two rows.
    """
    if moments.rows < 2:
        raise ValueError("R2 needs two rows or more")
    return _of_variance(moments.error, moments.squares[0])


def explained_variance(moments: Moments) -> float:
    """Return the share of the variance of the truth that the predictions explain."""
    return _of_variance(moments.squares[2], moments.squares[0])


def relative_squared_error(moments: Moments) -> float:
    """Return the squared errors over those of the mean."""
    return float(moments.error / moments.squares[0])


def pearson(moments: Moments) -> float:
    """Return the correlation of truth and predictions; NaN where one of them is constant."""
    return float(np.clip(moments.products / np.sqrt(moments.squares[0] * moments.squares[1]), -1.0, 1.0))


def concordance(moments: Moments) -> float:
    """Return Lin's concordance correlation coefficient."""
    spread = moments.squares[0] + moments.squares[1] + moments.weight * moments.means[2] ** 2
    return float(2 * moments.products / spread)


def normalized_rmse(moments: Moments) -> float:
    """Return the root of the mean squared error over the mean of the truth."""
    return float(np.sqrt(moments.error / moments.weight) / moments.means[0])


def _of_variance(left: float, whole: float) -> float:
    return float(1 - left / whole) if whole else float(left == 0)
