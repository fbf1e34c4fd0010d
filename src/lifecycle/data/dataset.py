"""The rows of a data set as a network and its scores take them, by what they are for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lifecycle import layout
from lifecycle.contract import DataSpec
from lifecycle.data.batches import Truth
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.data.rows import Rows, WindowedRows
from lifecycle.errors import Setting, Text
from lifecycle.runtime.digests import rows_digest


@dataclass(frozen=True)
class Part:
    """One of the three parts.

    Attributes:
        inputs: ``(samples, *input_shape) float32``: a Tensor, unless they are on disk.
        targets: ``(samples,) int64`` class codes (multiclass), else ``(samples, 1) float32``.
        labels: the same targets in the user's own terms.
        rows: the row of the source that each target stands in.
        base: ``(samples, 1) float64`` in the user's units: what is added to a restored output; or ``None``.
        naive: forecasts without a network, by name: ``(samples,)`` in the user's units.
        times: when each target is; or ``None``.
        files: the file that each sample is; or ``None``.
        weights: ``(samples,) float64`` above 0: how much each counts; or ``None``.
    """

    inputs: Rows
    targets: Tensor
    labels: np.ndarray[Any, Any]
    rows: np.ndarray[Any, Any]
    base: Tensor | None = None
    naive: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    times: np.ndarray[Any, Any] | None = None
    files: np.ndarray[Any, Any] | None = None
    weights: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def truth(self) -> Truth | None:
        """What scores use in addition to the targets; ``None`` where there is nothing."""
        weights = None if self.weights is None else torch.from_numpy(self.weights)
        if self.labels.dtype.kind in "OU":
            return None if weights is None else Truth(weights=weights)
        return Truth(torch.from_numpy(np.asarray(self.labels, dtype=np.float64)).reshape(-1, 1), self.base, weights)

    @property
    def loss_weights(self) -> Tensor | None:
        """What the training loss of each row is multiplied by: its weight, over the mean of all; or ``None``."""
        return None if self.weights is None else torch.from_numpy(self.weights / self.weights.mean()).float()


@dataclass(frozen=True)
class Dataset:
    """What flows from data to network."""

    name: str
    kind: str
    spec: DataSpec
    preprocessing: Preprocessing
    train: Part
    val: Part | None
    test: Part | None
    num_rows: int
    num_missing: int  # values that the columns lack, and that are filled
    digest: str  # sha256 of names, types and values of the raw rows; of a large file: the file's own
    columns: tuple[str, ...]  # those of the raw rows that a prediction needs
    column_kinds: dict[str, str]  # what each column of the raw rows is taken for
    class_values: tuple[Any, ...] = ()  # the classes as the source has them, in the order of their names
    given: bool = False  # labelled rows that a model was not made with: all are scored, and nothing learnt from them
    notes: tuple[Text, ...] = ()  # warnings about the rows, a sentence each
    weight: str | None = None  # the column of weights
    time_step: dict[str, Any] | None = None  # how far the times of a series are apart, in plain values

    @property
    def window_rows(self) -> int | None:
        """Training rows that are shuffled together where rows are on disk; ``None``: all, they are in memory."""
        return self.train.inputs.window_rows if isinstance(self.train.inputs, WindowedRows) else None

    @property
    def split_digests(self) -> dict[str, str]:
        """Digests of the rows that validate and test, by their names in :mod:`lifecycle.tracking.provenance`."""
        parts = {layout.VALIDATION: self.val, layout.TEST: self.test}
        return {name: rows_digest(None if part is None else part.rows) for name, part in parts.items()}

    @property
    def weights_from(self) -> Setting:
        """What gives the rows their weights, for messages."""
        return Setting("data.weight", self.weight)

    @property
    def scored(self) -> Part:
        """The rows that the finished model is scored on: the test rows; the training rows where none are held out."""
        return self.train if self.test is None else self.test

    @property
    def scored_on(self) -> str:
        """What begins the names of those scores: ``"test"``, ``"training_set"``, or ``"given"``."""
        if self.given:
            return "given"
        return "training_set" if self.test is None else "test"
