"""Metrics in float64 with NumPy, over rows that may be added in several parts and by several processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np

AnyArray = np.ndarray[Any, Any]

EPSILON = float(np.finfo(np.float64).eps)
"""Smallest divisor of a percentage error, as in scikit-learn."""


@dataclass(frozen=True)
class Compared:
    """Predictions and truth of rows, as metrics take them.

    Attributes:
        predicted: ``(rows,) float64`` values in the user's units, or probabilities of the second of two classes;
            ``(rows, classes)`` or ``(rows, labels)`` probabilities.
        truth: ``(rows,)``: float64 values in the user's units, or int64 codes of classes; ``(rows, labels) int64``, 1
            where a row has a label.
        weights: ``(rows,) float64`` of 0 or more; ``None``: 1 each.
    """

    predicted: AnyArray
    truth: AnyArray
    weights: AnyArray | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: AnyArray) -> Compared:
        """Return some of the rows, by number."""
        return Compared(self.predicted[rows], self.truth[rows], None if self.weights is None else self.weights[rows])

    def sum(self, values: AnyArray) -> AnyArray:
        """Return the weighted sum of values over the rows, their last axis."""
        return np.asarray(values.sum(axis=-1) if self.weights is None else values @ self.weights)

    @property
    def weight(self) -> float:
        """The sum of the weights; without weights, the number of rows."""
        return float(len(self) if self.weights is None else self.weights.sum())

    @cached_property
    def codes(self) -> AnyArray:
        """The most probable class of each row, ``(rows,)``; of labels 1 where one is predicted, ``(rows, labels)``."""
        if self.truth.ndim == 2:
            return (self.predicted > 0.5).astype(np.int64)
        # 0.5 is the first class, as in predictions, whose label is the argmax() of both probabilities.
        return (self.predicted > 0.5).astype(np.int64) if self.predicted.ndim == 1 else self.predicted.argmax(axis=1)

    @cached_property
    def errors(self) -> AnyArray:
        """Predicted minus true values, ``(rows,)``."""
        found: AnyArray = self.predicted - self.truth
        return found


class Measure(ABC):
    """A metric of the rows since the last :meth:`reset`.

    Attributes:
        higher_is_better: ``None`` if that is not known.
        state: of these rows, to be sent to the other processes; ``None``: no rows, or the metric sends it itself.
    """

    def __init__(self, higher_is_better: bool | None) -> None:
        self.higher_is_better = higher_is_better
        self.state: Any = None

    @abstractmethod
    def update(self, rows: Compared) -> None:
        """Add rows."""

    @abstractmethod
    def reset(self) -> None:
        """Remove all rows."""

    @abstractmethod
    def compute(self, states: Sequence[Any] = ()) -> float:
        """Return the metric of all rows; ``states`` are those of all processes, if there are several."""

    @abstractmethod
    def alone(self, rows: Compared) -> float:
        """Return the metric of the given rows only; NaN where it is undefined."""

    def whole(self, rows: Compared) -> float:
        """Return what :meth:`compute` would of the given rows, without adding them."""
        return self.alone(rows)


class AdditiveMeasure(Measure):
    """A metric whose state can be added up over parts of the rows."""

    def update(self, rows: Compared) -> None:
        """Add rows."""
        more = self.of(rows)
        self.state = more if self.state is None else self.plus(self.state, more)

    def reset(self) -> None:
        """Remove all rows."""
        self.state = None

    def compute(self, states: Sequence[Any] = ()) -> float:
        """Return the metric of all rows."""
        # A process without rows has no state.
        known = [state for state in states or [self.state] if state is not None]
        return self.value(reduce(self.plus, known)) if known else float("nan")

    def alone(self, rows: Compared) -> float:
        """Return the metric of the given rows only."""
        return self.whole(rows)

    def whole(self, rows: Compared) -> float:
        """Return what :meth:`compute` would of the given rows, without adding them."""
        return self.value(self.of(rows))

    @abstractmethod
    def of(self, rows: Compared) -> Any:
        """Return the state of rows."""

    @abstractmethod
    def plus(self, some: Any, more: Any) -> Any:
        """Return the state of two sets of rows together."""

    @abstractmethod
    def value(self, state: Any) -> float:
        """Return the metric from its state."""


class MeanOfRows(AdditiveMeasure):
    """The mean of a value per row, or the square root of the mean.

    Args:
        by_row: rows to ``(rows,)`` values.
        root: whether to take the square root of the mean.
        over: rows to ``(rows,)`` values whose sum is the divisor; ``None``: the sum of the weights.
    """

    def __init__(
        self,
        by_row: Callable[[Compared], AnyArray],
        higher_is_better: bool = False,
        root: bool = False,
        over: Callable[[Compared], AnyArray] | None = None,
    ) -> None:
        super().__init__(higher_is_better)
        self.by_row, self.root, self.over = by_row, root, over

    def of(self, rows: Compared) -> AnyArray:
        """Return the sum of the values, and the divisor."""
        whole = rows.weight if self.over is None else rows.sum(self.over(rows))
        return np.array([rows.sum(self.by_row(rows)), whole], dtype=np.float64)

    def plus(self, some: AnyArray, more: AnyArray) -> AnyArray:
        """Return the sums of both sets of rows."""
        return np.asarray(some + more)

    def value(self, state: AnyArray) -> float:
        """Return the mean, or its root."""
        # The root of the mean of all rows, not the mean of the roots of batches.
        mean = state[0] / state[1]
        return float(np.sqrt(mean) if self.root else mean)


class CountMeasure(AdditiveMeasure):
    """A metric of the numbers of correct, predicted and true rows of each class.

    Args:
        of_counts: these, ``(classes,)`` each, to one value per class, which are averaged (macro); or to a single value.
        classes: number of classes; of two, the value is that of the second.
    """

    def __init__(self, of_counts: Callable[[AnyArray, AnyArray, AnyArray], Any], classes: int) -> None:
        super().__init__(higher_is_better=True)
        self.of_counts, self.classes = of_counts, classes

    def of(self, rows: Compared) -> AnyArray:
        """Return ``(3, classes)`` numbers of rows."""
        weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        correct = weights * (rows.codes == rows.truth)
        counted = ((rows.truth, correct), (rows.codes, weights), (rows.truth, weights))
        return np.array([np.bincount(codes, weights, self.classes) for codes, weights in counted])

    def plus(self, some: AnyArray, more: AnyArray) -> AnyArray:
        """Return the numbers of both."""
        return some + more

    def value(self, state: AnyArray) -> float:
        """Return the metric; the mean leaves out classes that are neither predicted nor true, as in torchmetrics."""
        values = np.asarray(self.of_counts(*state))
        if not values.ndim:
            return float(values)
        # Of two classes the second is the positive one, as in scikit-learn and torchmetrics.
        if self.classes == 2:
            return float(values[1])
        seen = (state[1] + state[2]) > 0
        return float(values[seen].mean())


class LabelMeasure(CountMeasure):
    """A metric of the numbers of correct, predicted and true rows of each of several labels that a row may have.

    Args:
        of_counts: these, ``(labels,)`` each, to one value per label.
        labels: number of labels.
        micro: whether the numbers of all labels are added up before the metric is computed; otherwise it is the mean of
            the labels (macro).
    """

    def __init__(
        self, of_counts: Callable[[AnyArray, AnyArray, AnyArray], Any], labels: int, micro: bool = False
    ) -> None:
        super().__init__(of_counts, labels)
        self.micro = micro

    def of(self, rows: Compared) -> AnyArray:
        """Return ``(3, labels)`` numbers of rows."""
        weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        return np.array([weights @ counted for counted in (rows.codes * rows.truth, rows.codes, rows.truth)])

    def value(self, state: AnyArray) -> float:
        """Return the metric; the mean leaves out labels that are neither predicted nor true, and is 0 if all are."""
        if self.micro:
            return float(self.of_counts(*state.sum(axis=1, keepdims=True))[0])
        seen = (state[1] + state[2]) > 0
        return float(np.asarray(self.of_counts(*state))[seen].mean()) if seen.any() else 0.0


def ratio(part: AnyArray, whole: AnyArray) -> AnyArray:
    """Return the quotient of each class, 0 where it is undefined."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def specificity(correct: AnyArray, predicted: AnyArray, true: AnyArray) -> AnyArray:
    """Return, for each class, the share of the rows of other classes that are predicted as such."""
    others = true.sum() - true
    return ratio(others - (predicted - correct), others)


def balanced_accuracy(correct: AnyArray, _: AnyArray, true: AnyArray) -> float:
    """Return the mean recall of the classes that some row has, as scikit-learn's ``balanced_accuracy_score``."""
    seen = true > 0
    return float(ratio(correct, true)[seen].mean())


def cohen_kappa(correct: AnyArray, predicted: AnyArray, true: AnyArray) -> float:
    """Return Cohen's kappa: the agreement of truth and predictions beyond chance."""
    rows = true.sum()
    chance = (predicted @ true) / rows**2
    return float((correct.sum() / rows - chance) / (1 - chance))


def matthews(correct: AnyArray, predicted: AnyArray, true: AnyArray) -> float:
    """Return Matthews' correlation coefficient; 0 if truth or predictions are of one class."""
    rows = true.sum()
    spread = np.sqrt(rows**2 - predicted @ predicted) * np.sqrt(rows**2 - true @ true)
    return float((correct.sum() * rows - predicted @ true) / spread) if spread else 0.0


class RankingMeasure(AdditiveMeasure):
    """An area under a curve over all thresholds; of several classes, the mean of the areas that are defined.

    Args:
        area: numbers of true and of false positives at each threshold, from the highest, to the area under the curve.
        classes: number of classes; of two, the area is that of the second.
    """

    def __init__(self, area: Callable[[AnyArray, AnyArray], float], classes: int) -> None:
        super().__init__(higher_is_better=True)
        self.area, self.classes = area, classes

    def of(self, rows: Compared) -> list[Compared]:
        """Return the rows: a ranking cannot be summarised."""
        return [rows]

    def plus(self, some: list[Compared], more: list[Compared]) -> list[Compared]:
        """Return the rows of both."""
        return some + more

    def value(self, state: list[Compared]) -> float:
        """Return the mean of the defined areas; NaN if none is defined."""
        areas = self._areas(state)
        known = areas[np.isfinite(areas)]
        return float(known.mean()) if len(known) else float("nan")

    def alone(self, rows: Compared) -> float:
        """Return the metric of the given rows only; NaN if the area of a class is undefined.

        A bootstrap sample in which a class is absent says nothing of the mean over all classes.
        """
        return float(self._areas([rows]).mean())

    def _areas(self, state: list[Compared]) -> AnyArray:
        predicted = np.concatenate([rows.predicted for rows in state])
        truth = np.concatenate([rows.truth for rows in state])
        weights = np.concatenate([np.ones(len(rows)) if rows.weights is None else rows.weights for rows in state])
        if truth.ndim == 2:
            return np.array([self._area(predicted[:, at], truth[:, at] == 1, weights) for at in range(self.classes)])
        if predicted.ndim == 1:
            return np.array([self._area(predicted, truth == 1, weights)])
        return np.array([self._area(predicted[:, code], truth == code, weights) for code in range(self.classes)])

    def _area(self, scores: AnyArray, is_class: AnyArray, weights: AnyArray) -> float:
        order = np.argsort(-scores, kind="stable")
        # Rows with equal scores are one threshold, which ends at the last of them.
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
        true_positives = np.cumsum((weights * is_class)[order])[ends]
        false_positives = np.cumsum((weights * ~is_class)[order])[ends]
        return self.area(true_positives, false_positives)


def roc_area(true_positives: AnyArray, false_positives: AnyArray) -> float:
    """Return the area under the receiver operating characteristic; NaN if all rows are of one class."""
    if not true_positives[-1] or not false_positives[-1]:
        return float("nan")
    area = np.trapezoid(np.append(0, true_positives), np.append(0, false_positives))
    return float(area / (true_positives[-1] * false_positives[-1]))


def average_precision(true_positives: AnyArray, false_positives: AnyArray) -> float:
    """Return the mean precision over thresholds, weighted by the gain in recall; NaN if no row is of the class."""
    if not true_positives[-1]:
        return float("nan")
    precisions = ratio(true_positives, true_positives + false_positives)
    return float(np.sum(np.diff(true_positives, prepend=0) * precisions) / true_positives[-1])
