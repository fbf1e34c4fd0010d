"""A preprocessed data set: its training, validation and test rows, and its description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lifecycle import layout
from lifecycle.contract import DataSpec
from lifecycle.data.audit.findings import Audit
from lifecycle.data.augmentation import Augmentation
from lifecycle.data.batches import Truth
from lifecycle.data.digests import rows_digest
from lifecycle.data.formats.text.dialect import Dialect
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.data.rows import Rows, WindowedRows
from lifecycle.errors import Setting, Text


@dataclass(frozen=True)
class Part:
    """The preprocessed training, validation or test samples.

    Attributes:
        inputs: ``(samples, *input_shape) float32``: a Tensor, unless they are on disk.
        targets: ``(samples,) int64`` class codes (multiclass), ``(samples, labels) float32`` (multilabel), else
            ``(samples, 1) float32``.
        labels: ``(samples,)`` the same targets as class names or in the user's units.
        rows: ``(samples,)`` the row of each target in the source.
        base: ``(samples, 1) float64`` in the user's units, added to a restored output; or ``None``.
        naive: name -> forecasts without a network, ``(samples,)`` in the user's units.
        times: ``(samples,)`` the time of each target; or ``None``.
        files: ``(samples,)`` the file of each sample; or ``None``.
        weights: ``(samples,) float64`` above 0; ``None``: all 1.
        about: further columns of the table of predictions, ``(samples,)`` each.
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
    about: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def truth(self) -> Truth | None:
        """The data of scores that the network does not see; ``None`` where the targets suffice."""
        weights = None if self.weights is None else torch.from_numpy(self.weights)
        if self.labels.dtype.kind in "OU":
            return None if weights is None else Truth(weights=weights)
        return Truth(torch.from_numpy(np.asarray(self.labels, dtype=np.float64)).reshape(-1, 1), self.base, weights)

    @property
    def loss_weights(self) -> Tensor | None:
        """Factors of the training loss of each row: the weights divided by their mean; or ``None``."""
        return None if self.weights is None else torch.from_numpy(self.weights / self.weights.mean()).float()


@dataclass(frozen=True)
class Dataset:
    """A data set that is ready to train on."""

    name: str
    kind: str
    spec: DataSpec
    preprocessing: Preprocessing
    train: Part
    val: Part | None
    test: Part | None
    num_rows: int
    num_missing: int  # missing values in the feature columns
    digest: str  # sha256 of names, types and values of the raw rows; for a large file: of the file
    columns: tuple[str, ...]  # those of the raw rows that a prediction needs
    column_kinds: dict[str, str]  # column of the raw rows -> its kind, for display
    class_values: tuple[Any, ...] = ()  # the classes with the types of the source, in the order of their names
    is_external: bool = False  # rows that the model was not fitted with: all are scored
    notes: tuple[Text, ...] = ()  # warnings about the rows, a sentence each
    weight: str | None = None  # the column of weights
    time_step: dict[str, Any] | None = None  # the step between the times of a series
    dialect: Dialect | None = None  # of the text file that the rows are from
    plugin: Any = None  # the data plugin with its inferred fields; None: as it was configured, or external data
    inferred: tuple[str, str] | None = None  # a title and a sentence on what was inferred, for the report
    task_choice: Text | None = None  # which task was inferred for few whole numbers, and how to choose the other
    split_report: tuple[Text, ...] = ()  # how the rows were divided, where not as usual, a sentence each
    audit: Audit | None = None  # what was found in the rows before training; None: they were not looked at
    test_digest: str | None = None  # sha256 of the rows of a separate file of test rows, which `digest` covers too
    augmentation: Augmentation | None = None  # random changes of the training images
    next_train: Callable[[], Part] | None = None  # training rows of the next epoch; None: they stay the same
    shards: tuple[tuple[int, int], ...] = ()  # number of files and rows that each process of a ddp fit has read

    @property
    def window_rows(self) -> int | None:
        """Number of training rows that are shuffled together where rows are on disk; ``None``: all rows."""
        return self.train.inputs.window_rows if isinstance(self.train.inputs, WindowedRows) else None

    @property
    def reading(self) -> str:
        """How the text file was read, in words; "" where it is a plain one, or none."""
        words = "" if self.dialect is None else self.dialect.described()
        return f"{self.dialect.file}: {words}" if self.dialect is not None and words else ""

    @property
    def split_digests(self) -> dict[str, str]:
        """Tag of :mod:`lifecycle.layout` -> digest of the validation or test rows."""
        parts = {layout.VALIDATION_DIGEST: self.val, layout.TEST_DIGEST: self.test}
        return {name: rows_digest(None if part is None else part.rows) for name, part in parts.items()}

    @property
    def split_rows(self) -> str:
        """Numbers of training, validation and test rows, as a tag of :mod:`lifecycle.layout`."""
        return ",".join(str(0 if part is None else len(part)) for part in (self.train, self.val, self.test))

    @property
    def weights_from(self) -> Setting:
        """What gives the rows their weights, for messages."""
        return Setting("data.weight", self.weight)

    @property
    def scored(self) -> Part:
        """The rows that the finished model is scored on: the test rows, or the training rows if there are none."""
        return self.train if self.test is None else self.test

    @property
    def scored_on(self) -> str:
        """The prefix of the names of those scores: ``"test"``, ``"training_set"``, or ``"given"``."""
        if self.is_external:
            return "given"  # stored in runs, so it keeps its first name
        return "training_set" if self.test is None else "test"
