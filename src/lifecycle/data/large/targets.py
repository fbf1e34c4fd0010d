"""The targets of a large table, as labels and encoded for training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lifecycle.contract import Fold, Samples, Split, Target
from lifecycle.data.large.blocks import AnyArray
from lifecycle.data.large.table import LargeTable
from lifecycle.data.preprocessing import Preprocessing, clean_targets, learn_target
from lifecycle.data.splits import draw
from lifecycle.errors import RequestError


@dataclass(frozen=True)
class Labels:
    """The target of each row.

    Attributes:
        values: ``(rows,) float64`` of a regression; ``(rows,) int32`` positions in ``texts`` of a classification.
        texts: the classes, sorted as texts; ``None`` for a regression.
    """

    values: AnyArray
    texts: AnyArray | None

    def of(self, rows: AnyArray) -> AnyArray:
        """Return the labels or values of rows; all labels of a class are the same object, to save memory."""
        return self.values[rows] if self.texts is None else np.asarray(self.texts[self.values[rows]])

    def learn(self, train: AnyArray, target: Target, weights: AnyArray | None = None) -> tuple[str, Any]:
        """Return a network's task and the target's encoder; see :func:`lifecycle.data.preprocessing.learn_target`."""
        if self.texts is not None:
            return learn_target(self.texts, train, target)
        return learn_target(self.values, train, target, weights)

    def take(self, rows: AnyArray) -> Labels:
        """Return the targets of some rows."""
        return Labels(self.values[rows], self.texts)

    def encoded(self, preprocessing: Preprocessing, rows: AnyArray) -> AnyArray:
        """Return the encoded targets of rows: codes, ``int64``, or values on the training scale, ``float32``."""
        if self.texts is None:
            return preprocessing.encode(self.values[rows])
        return preprocessing.encode(self.texts)[self.values[rows]]


def labels(table: LargeTable, target: Target) -> Labels:
    """Return the checked targets of a table.

    Raises:
        RequestError: as in :mod:`lifecycle.data.columns.targets`.
    """
    if target.task == "classification":
        texts, codes = table.labels()
        return Labels(codes, clean_targets(texts, target).astype(object))
    if table.classes is None:
        table.target = clean_targets(table.target, target)  # in memory once
        return Labels(table.target, None)
    return Labels(clean_targets(table.classes, target)[table.target], None)


def split(
    table: LargeTable,
    found: Labels,
    target: Target,
    seed: int,
    fold: Fold | None = None,
    positions: AnyArray | None = None,
) -> Split:
    """Divide the rows as the plugin does, in increasing order within each part.

    Args:
        table: the rows.
        found: the targets of the rows to divide.
        target: its task.
        seed: of the split.
        fold: of a cross-validation; ``None``: one split.
        positions: the rows to divide; ``None``: all. The split has positions among them.
    """
    # Only the number of rows matters, and a broadcast zero needs no memory.
    rows = np.broadcast_to(np.int64(0), len(found.values))
    samples = Samples(np.empty((len(rows), 0)), found.values, rows, hashes=_some(table.hashes, positions))
    if len(table.of_split.columns):
        of_rows = table.of_split if positions is None else table.of_split.iloc[positions].reset_index(drop=True)
        samples = table.plugin.with_split(samples, of_rows)
    try:
        drawn = draw(table.plugin, samples, target.task, seed, fold)
    except RequestError:
        if found.texts is not None:  # again with labels, so that the message names the class rather than its code
            every = np.arange(len(rows))
            draw(table.plugin, replace(samples, targets=found.of(every), rows=every), target.task, seed, fold)
        raise
    report = drawn.report
    if report and found.texts is not None and "by class" in str(report[0]):
        every = np.arange(len(rows))
        named = draw(table.plugin, replace(samples, targets=found.of(every), rows=every), target.task, seed, fold)
        report = named.report
    return Split(np.sort(drawn.train), np.sort(drawn.val), np.sort(drawn.test), report)


def _some(values: AnyArray | None, positions: AnyArray | None) -> AnyArray | None:
    return values if values is None or positions is None else values[positions]
