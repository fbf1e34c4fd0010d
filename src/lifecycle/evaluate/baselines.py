"""Baselines without a network: dummy predictions learnt from the training rows, and naive forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL
from lifecycle.data.columns.weights import median

if TYPE_CHECKING:
    from lifecycle.compile.compiled_model import CompiledModel
    from lifecycle.compile.output_units import Units
    from lifecycle.data.dataset import Dataset

LAST_VALUE = "last value"
"""The naive forecast without a season."""


@dataclass(frozen=True)
class Baseline:
    """A prediction without a network.

    Attributes:
        name: such as ``"class shares"`` or ``"last value"``.
        meaning: the same as a phrase, such as ``"mean of the training rows"``.
        outputs: ``(rows, num_outputs) float64``: the outputs of a network that would make the same predictions.
        values: of a regression: ``(rows,) float64`` predictions in the user's units.
    """

    name: str
    meaning: str
    outputs: Tensor
    values: np.ndarray[Any, Any] | None = None


def baselines(data: Dataset, units: Units) -> list[Baseline]:
    """Return the baselines for the scored rows, the one to beat first.

    The first is the naive forecast with a season, else the last value, else the dummy: the shares of the classes, or
    the mean, of the training rows. For external rows the dummy learns from these rows themselves, which is harder to
    beat.
    """
    return _naive(data, units) + (_values(data, units) if not data.spec.class_names else [_shares(data)])


def score(module: CompiledModel, data: Dataset, baseline: Baseline) -> dict[str, float]:
    """Return ``{"loss": ..., <metric>: ...}`` of a baseline on the scored rows, computed as the network's scores."""
    part = data.scored
    return module.test_scores.alone(baseline.outputs, part.targets, part.truth, baseline.values)


def _shares(data: Dataset) -> Baseline:
    """Predict the class shares of the training rows, as scikit-learn's ``DummyClassifier(strategy="prior")``."""
    weights = data.train.weights
    of_rows = torch.ones(len(data.train), dtype=torch.float64) if weights is None else torch.from_numpy(weights)
    if data.spec.task == MULTILABEL:
        of_labels = ((of_rows @ data.train.targets.double()) / of_rows.sum()).clamp(1e-12, 1 - 1e-12)
        logits = torch.logit(of_labels).repeat(len(data.scored), 1)
        return Baseline("label shares", f"label shares of {_whose(data)}", logits)
    targets = data.train.targets.flatten().long()
    counts = torch.bincount(targets, of_rows, minlength=len(data.spec.class_names))
    shares = (counts / counts.sum()).clamp(1e-12, 1 - 1e-12)  # a share of 0 has no finite logit
    # A binary network has one output, the logit of the second class.
    of_task = {MULTICLASS: shares.log(), BINARY: torch.logit(shares[1:])}[data.spec.task]
    return Baseline("class shares", f"class shares of {_whose(data)}", of_task.repeat(len(data.scored), 1))


def _values(data: Dataset, units: Units) -> list[Baseline]:
    """Predict the mean, or the median, of the training rows."""
    labels = np.asarray(data.train.labels, dtype=np.float64)  # not a copy: of millions of rows it fills the memory
    weights = data.train.weights
    constants = {"mean": np.average(labels, weights=weights), "median": median(labels, weights)}
    return [_of_value(data, units, name, f"{name} of {_whose(data)}", value) for name, value in constants.items()]


def _whose(data: Dataset) -> str:
    return "these rows" if data.is_external else "the training rows"


def _naive(data: Dataset, units: Units) -> list[Baseline]:
    """Return the naive forecasts that have a value for each row, those with a season first."""
    # The first rows of a series have no value a season before them.
    known = {name: values for name, values in data.scored.naive.items() if np.isfinite(values).all()}
    names = sorted(known, key=LAST_VALUE.__eq__)  # False sorts before True: the last value comes last
    return [_of_values(data, units, name, name, known[name]) for name in names]


def _of_value(data: Dataset, units: Units, name: str, meaning: str, value: float) -> Baseline:
    """Return the baseline that predicts the same value for all rows, which is in memory once."""
    rows = len(data.scored)
    if data.scored.base is not None:
        return _of_values(data, units, name, meaning, np.full(rows, value))
    output = units.outputs(torch.full((1, 1), value, dtype=torch.float64))
    return Baseline(name, meaning, output.expand(rows, 1), np.broadcast_to(np.float64(value), rows))


def _of_values(data: Dataset, units: Units, name: str, meaning: str, values: np.ndarray[Any, Any]) -> Baseline:
    """Return the baseline that predicts ``(rows,)`` values in the user's units."""
    outputs = units.outputs(torch.from_numpy(values).reshape(-1, 1), data.scored.base)
    return Baseline(name, meaning, outputs, values)
