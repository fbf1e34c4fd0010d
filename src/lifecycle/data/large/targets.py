"""The targets of a large table, in the user's terms and as a network is trained on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lifecycle.contract import Samples, Split, Target
from lifecycle.data.large.table import LargeTable
from lifecycle.data.preprocessing import Preprocessing, clean_targets, learn_target
from lifecycle.errors import RequestError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Labels:
    """A target a row.

    Attributes:
        values: ``(rows,) float64`` of a regression; of classes the place of each among ``texts``, ``(rows,) int32``.
        texts: the classes, sorted as texts; ``None`` of a regression.
    """

    values: Array
    texts: Array | None

    def of(self, rows: Array) -> Array:
        """Return the labels or values of rows; every label of a class is the same text in memory."""
        return self.values[rows] if self.texts is None else np.asarray(self.texts[self.values[rows]])

    def learn(self, train: Array, target: Target, weights: Array | None = None) -> tuple[str, Any]:
        """Return a network's task and the target's encoder; see :func:`lifecycle.data.preprocessing.learn_target`."""
        if self.texts is not None:
            return learn_target(self.texts, train, target)
        return learn_target(self.values, train, target, weights)

    def take(self, rows: Array) -> Labels:
        """Return the targets of some rows."""
        return Labels(self.values[rows], self.texts)

    def encoded(self, preprocessing: Preprocessing, rows: Array) -> Array:
        """Return the codes of rows, ``int64``, or their values on the training scale, ``float32``."""
        if self.texts is None:
            return preprocessing.encode(self.values[rows])
        return preprocessing.encode(self.texts)[self.values[rows]]


def labels(table: LargeTable, target: Target) -> Labels:
    """Return the targets of a table, checked.

    Raises:
        RequestError: they cannot be learnt; see :mod:`lifecycle.data.columns.targets`.
    """
    if target.task == "classification":
        texts, codes = table.labels()
        return Labels(codes, clean_targets(texts, target).astype(object))
    if table.classes is None:
        return Labels(clean_targets(table.target, target), None)
    return Labels(clean_targets(table.classes, target)[table.target], None)


def split(table: LargeTable, found: Labels, target: Target, seed: int) -> Split:
    """Divide the rows as the plugin does, in rising order within each part."""
    rows = np.broadcast_to(np.int64(0), len(found.values))  # there are so many; nothing asks which
    inputs = np.empty((len(rows), 0))
    try:
        drawn = table.plugin.split(Samples(inputs, found.values, rows), target.task, seed)
    except RequestError:
        if found.texts is not None:  # so that it names the class, not its place
            every = np.arange(len(rows))
            table.plugin.split(Samples(inputs, found.of(every), every), target.task, seed)
        raise
    return Split(np.sort(drawn.train), np.sort(drawn.val), np.sort(drawn.test))
