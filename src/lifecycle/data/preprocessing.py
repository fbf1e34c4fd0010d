"""What the training rows taught, and travels with the weights: the inputs' transformer, the target's encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec, Target
from lifecycle.data.columns.features import as_known
from lifecycle.data.columns.targets import as_labels, as_numbers, classes
from lifecycle.errors import RequestError, Setting

ROUNDING = 10 * float(np.finfo(np.float64).eps)
"""A deviation of so little of the mean is that of one value, rounded in several ways."""


@dataclass(frozen=True)
class Preprocessing:
    """Fitted scikit-learn objects.

    Attributes:
        inputs: the transformer that the data plugin's ``learn`` returned.
        target: an ``OrdinalEncoder`` (classification), a ``StandardScaler`` (regression), or ``None`` (as it is).
        gaps: columns that missed a value in some row of the run; ``None``: there are no columns, or that is not known.
    """

    inputs: Any
    target: Any
    gaps: frozenset[str] | None = None

    def encode(self, targets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Turn labels into ``(n,) int64`` codes, or values into ``(n,) float32`` of the training scale."""
        if isinstance(self.target, OrdinalEncoder):
            return np.asarray(self.target.transform(_column(targets)).ravel(), dtype=np.int64)
        values = targets if self.target is None else self.target.transform(targets.reshape(-1, 1)).ravel()
        return np.asarray(values, dtype=np.float32)

    @property
    def target_scale(self) -> tuple[float, float]:
        """``(offset, scale)``: a value in the user's units is ``offset + scale * output``."""
        if not isinstance(self.target, StandardScaler):
            return 0.0, 1.0
        return float(self.target.mean_[0]), float(self.target.scale_[0])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes in the order of the codes; empty for a regression."""
        return tuple(map(str, self.target.categories_[0])) if isinstance(self.target, OrdinalEncoder) else ()


def clean_targets(targets: np.ndarray[Any, Any], target: Target) -> np.ndarray[Any, Any]:
    """Return targets as strings (classification) or float64 (regression); see :mod:`lifecycle.data.columns.targets`."""
    if target.task == "classification":
        return as_labels(targets, target.name)
    return as_numbers(targets, target.name, (", or add ", Setting("data.task", "classification")))


def learn_target(
    targets: np.ndarray[Any, Any],
    train: np.ndarray[Any, Any],
    target: Target,
    weights: np.ndarray[Any, Any] | None = None,
) -> tuple[str, Any]:
    """Return the task of a network and the target's encoder.

    The list of classes is that of all targets, so that a class of the held-out rows has a name; a regression's mean and
    scale are those of the rows ``train``, by their weights ``(train rows,)`` where there are such.
    """
    if target.task == "classification":
        names = classes(targets)
        encoder = OrdinalEncoder(categories=[np.array(names, dtype=object)]).fit(_column(targets))
        return (BINARY if len(names) == 2 else MULTICLASS), encoder
    return REGRESSION, _scaler(targets[train], weights) if target.scaled else None


def _scaler(values: np.ndarray[Any, Any], weights: np.ndarray[Any, Any] | None) -> StandardScaler:
    """Return the fitted scaler of values.

    scikit-learn holds a deviation for rounding that is small for the mean and the number of rows together, and leaves
    the scale at 1; here the number of rows plays no part.
    """
    scaler = StandardScaler().fit(values.reshape(-1, 1), sample_weight=weights)
    deviation = np.sqrt(scaler.var_)
    scaler.scale_ = np.where(deviation > ROUNDING * np.abs(scaler.mean_), deviation, 1.0)
    return scaler


def labels_like(targets: np.ndarray[Any, Any], learnt: Preprocessing, spec: DataSpec) -> np.ndarray[Any, Any]:
    """Return targets of other rows as :func:`clean_targets` does, the classes being those that were learnt.

    Raises:
        RequestError: a class was not there while learning, or a value is no number.
    """
    if spec.task == REGRESSION:
        return as_numbers(targets, spec.target_name)
    known = {str(value): as_known(str(value), learnt.class_names) for value in pd.unique(targets)}
    labels = np.array([known[str(value)] for value in targets])
    unknown = np.flatnonzero(~np.isin(labels, learnt.class_names))
    if len(unknown):
        problem = f"is {labels[unknown[0]]} in row {unknown[0]}, which is no class of the model"
        raise RequestError(spec.target_name, problem, remedy=f"Its classes: {', '.join(learnt.class_names)}.")
    return labels


def class_values(targets: np.ndarray[Any, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the classes as the source has them, a number as a number, in the order of their names."""
    if not names:
        return ()
    own = {str(value): value.item() if hasattr(value, "item") else value for value in pd.unique(targets)}
    return tuple(own[name] for name in names)


def _column(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return labels.astype(object).reshape(-1, 1)
