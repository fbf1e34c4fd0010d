"""Metrics of a Python caller: a function of truth and predictions, or an object of torchmetrics."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torchmetrics

from lifecycle.compile.library_metrics import LibraryMeasure
from lifecycle.compile.measures import AnyArray, Compared, Measure
from lifecycle.compile.own_losses import truth_first

SCORES = ("y_score", "y_prob", "y_proba", "y_pred_proba", "probas_pred", "probabilities", "probs")
"""Names of a parameter that holds probabilities of classes; ``y_pred`` holds the predicted classes."""

OF_PROBABILITIES = ("log_loss", "d2_log_loss_score")
"""Functions of scikit-learn whose ``y_pred`` holds probabilities."""


def measure(given: Any) -> Measure:
    """Return the metric of a function, or of an object of torchmetrics, which is copied."""
    if isinstance(given, torchmetrics.Metric):
        metric = given.clone()
        metric.reset()
        return LibraryMeasure(metric)
    return FunctionMeasure(given)


class FunctionMeasure(Measure):
    """A metric that a function computes from all rows of a pass.

    Args:
        function: ``(y_true, y_pred)`` of NumPy arrays, as in scikit-learn: codes of classes, or values in the user's
            units; with ``y_score`` or the like in place of ``y_pred`` it gets probabilities. Without such names it is
            ``(outputs, targets)`` of tensors, as in torchmetrics: probabilities or values, and codes or values.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        inner = function.func if isinstance(function, functools.partial) else function
        super().__init__(_direction(inner))
        try:
            names = list(inspect.signature(function).parameters)
        except (ValueError, TypeError):  # a builtin without a signature
            names = []
        library = str(getattr(inner, "__module__", "")).startswith("sklearn.")
        self._truth_first = library or truth_first(inner)
        self._takes_scores = (len(names) > 1 and names[1] in SCORES) or (
            library and getattr(inner, "__name__", "") in OF_PROBABILITIES
        )
        self.takes_weights = "sample_weight" in names
        self._rows: list[Compared] = []

    def update(self, rows: Compared) -> None:
        """Add rows."""
        self._rows.append(rows)
        self.state = [(rows.predicted, rows.truth, rows.weights) for rows in self._rows]

    def reset(self) -> None:
        """Remove all rows."""
        self._rows, self.state = [], None

    def compute(self, states: Sequence[Any] = ()) -> float:
        """Return the metric of all rows."""
        known = [Compared(*part) for state in states or [self.state] for part in state or ()]
        return self.alone(_together(known)) if known else float("nan")

    def alone(self, rows: Compared) -> float:
        """Return the metric of the given rows only."""
        options = {"sample_weight": rows.weights} if self.takes_weights and rows.weights is not None else {}
        if not self._truth_first:
            found = self.function(torch.from_numpy(rows.predicted), torch.from_numpy(rows.truth), **options)
        else:
            is_class = rows.truth.dtype.kind == "i" and not self._takes_scores
            found = self.function(rows.truth, rows.codes if is_class else rows.predicted, **options)
        found = found.numpy() if isinstance(found, torch.Tensor) else found
        if np.size(found) != 1:
            raise ValueError(f"it returned {np.size(found)} numbers, and a metric is one")
        return float(found)


def _direction(function: Callable[..., Any]) -> bool | None:
    """Return whether higher is better, where scikit-learn's name of a function says it."""
    name = getattr(function, "__name__", "")
    if not str(getattr(function, "__module__", "")).startswith("sklearn."):
        return None
    return True if name.endswith("_score") else False if name.endswith(("_error", "_loss", "_deviance")) else None


def _together(parts: Sequence[Compared]) -> Compared:
    weights: list[AnyArray] = [part.weights for part in parts if part.weights is not None]
    return Compared(
        np.concatenate([part.predicted for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate(weights) if weights else None,
    )
