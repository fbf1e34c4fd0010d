"""Metrics in float64: NumPy on the rows of a pass, which may come in several parts and from several processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

EPSILON = float(np.finfo(np.float64).eps)
"""The smallest size of a true value that an error is divided by, as in scikit-learn."""


@dataclass(frozen=True)
class Compared:
    """Rows as a metric takes them.

    Attributes:
        predicted: ``(rows,) float64`` values in the user's units, or probabilities of the second of two classes;
            ``(rows, classes)`` probabilities.
        truth: ``(rows,)``: float64 values in the user's units, or int64 codes of classes.
        weights: ``(rows,) float64`` of 0 or more: how much each row counts; ``None``: all the same.
    """

    predicted: Array
    truth: Array
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: Array) -> Compared:
        """Return some of the rows, by number."""
        return Compared(self.predicted[rows], self.truth[rows], None if self.weights is None else self.weights[rows])

    def sum(self, values: Array) -> Array:
        """Return the weighted sum of values over the rows, their last axis."""
        return np.asarray(values.sum(axis=-1) if self.weights is None else values @ self.weights)

    @property
    def weight(self) -> float:
        """The sum of the weights; without any, the number of rows."""
        return float(len(self) if self.weights is None else self.weights.sum())

    @cached_property
    def codes(self) -> Array:
        """The predicted class of each row, ``(rows,)``: the most probable one."""
        return (self.predicted > 0.5).astype(np.int64) if self.predicted.ndim == 1 else self.predicted.argmax(axis=1)

    @cached_property
    def errors(self) -> Array:
        """Predicted less true value, ``(rows,)``."""
        found: Array = self.predicted - self.truth
        return found


class Measure(ABC):
    """A metric of the rows since the last :meth:`reset`.

    Attributes:
        higher_is_better: ``None`` where that is not known.
        state: what is known of these rows, for the other processes; ``None``: nothing, or the metric shares it itself.
    """

    def __init__(self, higher_is_better: bool | None) -> None:
        self.higher_is_better = higher_is_better
        self.state: Any = None

    @abstractmethod
    def update(self, rows: Compared) -> None:
        """Add rows."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all rows."""

    @abstractmethod
    def compute(self, states: Sequence[Any] = ()) -> float:
        """Return the metric of all rows; ``states`` are those of all processes where there are several."""

    @abstractmethod
    def alone(self, rows: Compared) -> float:
        """Return the metric of these rows alone; NaN where they have none."""


class Additive(Measure):
    """A metric of something that can be added up over parts of the rows."""

    def update(self, rows: Compared) -> None:
        """Add rows."""
        more = self.of(rows)
        self.state = more if self.state is None else self.plus(self.state, more)

    def reset(self) -> None:
        """Forget all rows."""
        self.state = None

    def compute(self, states: Sequence[Any] = ()) -> float:
        """Return the metric of all rows."""
        known = [state for state in states or [self.state] if state is not None]
        return self.value(reduce(self.plus, known)) if known else float("nan")

    def alone(self, rows: Compared) -> float:
        """Return the metric of these rows alone."""
        return self.value(self.of(rows))

    @abstractmethod
    def of(self, rows: Compared) -> Any:
        """Return what the metric needs to know of rows."""

    @abstractmethod
    def plus(self, some: Any, more: Any) -> Any:
        """Return what it needs to know of two sets of rows together."""

    @abstractmethod
    def value(self, state: Any) -> float:
        """Return the metric."""


class MeanOfRows(Additive):
    """The mean over the rows of a value of each, or its root.

    Args:
        by_row: rows to ``(rows,)`` values.
        root: whether to take the square root of the mean.
        over: rows to ``(rows,)`` values whose sum the sum is divided by; ``None``: that of the weights.
    """

    def __init__(
        self,
        by_row: Callable[[Compared], Array],
        higher_is_better: bool = False,
        root: bool = False,
        over: Callable[[Compared], Array] | None = None,
    ) -> None:
        super().__init__(higher_is_better)
        self.by_row, self.root, self.over = by_row, root, over

    def of(self, rows: Compared) -> Array:
        """Return the sum of the values, and what it is divided by."""
        whole = rows.weight if self.over is None else rows.sum(self.over(rows))
        return np.array([rows.sum(self.by_row(rows)), whole], dtype=np.float64)

    def plus(self, some: Array, more: Array) -> Array:
        """Return the sums of both."""
        return np.asarray(some + more)

    def value(self, state: Array) -> float:
        """Return the mean, or its root."""
        mean = state[0] / state[1]
        return float(np.sqrt(mean) if self.root else mean)


class OfCounts(Additive):
    """A metric of how often each class is predicted rightly, predicted, and true.

    Args:
        of_counts: those three, ``(classes,)`` each, to a value a class, of which the plain mean is taken; or to one.
        classes: how many there are; of two, the value is that of the second.
    """

    def __init__(self, of_counts: Callable[[Array, Array, Array], Any], classes: int) -> None:
        super().__init__(higher_is_better=True)
        self.of_counts, self.classes = of_counts, classes

    def of(self, rows: Compared) -> Array:
        """Return ``(3, classes)`` numbers of rows."""
        weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        right = weights * (rows.codes == rows.truth)
        counted = ((rows.truth, right), (rows.codes, weights), (rows.truth, weights))
        return np.array([np.bincount(codes, weights, self.classes) for codes, weights in counted])

    def plus(self, some: Array, more: Array) -> Array:
        """Return the numbers of both."""
        return some + more

    def value(self, state: Array) -> float:
        """Return the metric; classes that are neither predicted nor true are left out of the mean."""
        values = np.asarray(self.of_counts(*state))
        if not values.ndim:
            return float(values)
        if self.classes == 2:
            return float(values[1])
        seen = (state[1] + state[2]) > 0
        return float(values[seen].mean())


def share(part: Array, whole: Array) -> Array:
    """Return a quotient a class, 0 where it has no value."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def specificity(right: Array, said: Array, true: Array) -> Array:
    """Return the share of the rows of other classes that are predicted so, a class."""
    others = true.sum() - true
    return share(others - (said - right), others)


def cohen_kappa(right: Array, said: Array, true: Array) -> float:
    """Return how far truth and predictions agree beyond chance."""
    rows = true.sum()
    chance = (said @ true) / rows**2
    return float((right.sum() / rows - chance) / (1 - chance))


def matthews(right: Array, said: Array, true: Array) -> float:
    """Return Matthews' correlation coefficient; 0 where truth or predictions are of one class."""
    rows = true.sum()
    spread = np.sqrt(rows**2 - said @ said) * np.sqrt(rows**2 - true @ true)
    return float((right.sum() * rows - said @ true) / spread) if spread else 0.0


class OfRanking(Additive):
    """An area under a curve of all thresholds; over several classes the mean over those that have one.

    Args:
        area: right and wrong rows at or above each threshold, from the highest, to the area under the curve.
        classes: how many there are; of two, it is that of the second.
    """

    def __init__(self, area: Callable[[Array, Array], float], classes: int) -> None:
        super().__init__(higher_is_better=True)
        self.area, self.classes = area, classes

    def of(self, rows: Compared) -> list[Compared]:
        """Return the rows: each takes part."""
        return [rows]

    def plus(self, some: list[Compared], more: list[Compared]) -> list[Compared]:
        """Return the rows of both."""
        return some + more

    def value(self, state: list[Compared]) -> float:
        """Return the mean of the areas that there are; NaN where there is none."""
        areas = self._areas(state)
        known = areas[np.isfinite(areas)]
        return float(known.mean()) if len(known) else float("nan")

    def alone(self, rows: Compared) -> float:
        """Return the metric of these rows; NaN where a class has no area."""
        return float(self._areas([rows]).mean())

    def _areas(self, state: list[Compared]) -> Array:
        predicted = np.concatenate([rows.predicted for rows in state])
        truth = np.concatenate([rows.truth for rows in state])
        weights = np.concatenate([np.ones(len(rows)) if rows.weights is None else rows.weights for rows in state])
        if predicted.ndim == 1:
            return np.array([self._area(predicted, truth == 1, weights)])
        return np.array([self._area(predicted[:, code], truth == code, weights) for code in range(self.classes)])

    def _area(self, scores: Array, is_class: Array, weights: Array) -> float:
        order = np.argsort(-scores, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last row of each threshold
        right = np.cumsum((weights * is_class)[order])[ends]
        wrong = np.cumsum((weights * ~is_class)[order])[ends]
        return self.area(right, wrong)


def under_roc(right: Array, wrong: Array) -> float:
    """Return the area under the receiver operating characteristic; NaN where all rows are of one class."""
    if not right[-1] or not wrong[-1]:
        return float("nan")
    return float(np.trapezoid(np.append(0, right), np.append(0, wrong)) / (right[-1] * wrong[-1]))


def average_precision(right: Array, wrong: Array) -> float:
    """Return the mean precision over thresholds, weighted by the recall gained; NaN where no row is of the class."""
    if not right[-1]:
        return float("nan")
    precisions = share(right, right + wrong)
    return float(np.sum(np.diff(right, prepend=0) * precisions) / right[-1])
