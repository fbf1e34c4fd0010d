"""The scores of all copies of a group in an epoch, as each copy's :class:`lifecycle.compile.scores.Scorer` has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lifecycle.compile.measures import Compared, MeanOfRows, Measure
from lifecycle.compile.scores import MOST_NUMBERS, Scorer
from lifecycle.fit.vectorised.rows import StackedRows


class CopyScores:
    """Computes loss and metrics of each copy.

    Args:
        scorers: of each copy.
        rows: what they score.
    """

    def __init__(self, scorers: Sequence[Scorer], rows: StackedRows) -> None:
        self._scorers, self._rows = scorers, rows
        first = _formula(scorers[0])
        # With one scale and one set of class weights, the rows of all copies are compared in one call.
        self._together = all(_formula(scorer) == first for scorer in scorers)

    def of(self, copies: Sequence[int], outputs: Tensor, numbers: Tensor) -> list[dict[str, float]]:
        """Return ``{"loss": ..., <metric>: ...}`` of each copy.

        Args:
            copies: numbers of the copies.
            outputs: ``(copies, rows, num_outputs)``.
            numbers: ``(copies, rows)`` of the rows, see :meth:`StackedRows.numbers`.
        """
        if self._together:
            at_once = max(1, MOST_NUMBERS // outputs[0].numel())
            parts = zip(torch.split(outputs, at_once), torch.split(numbers, at_once), strict=True)
            return [scores for part in parts for scores in self._of_all(*part)]
        found = []
        for copy, own, rows in zip(copies, outputs, numbers.unsqueeze(1), strict=True):
            found.append(self._scorers[copy].alone(own, self._rows.targets(rows)[0], self._rows.truth(rows)))
        return found

    def _of_all(self, outputs: Tensor, numbers: Tensor) -> list[dict[str, float]]:
        scorer, count = self._scorers[0], len(outputs)
        # To the CPU once: both of the functions below compute there.
        flat = (
            outputs.flatten(0, 1).cpu(),
            self._rows.targets(numbers).flatten(0, 1).cpu(),
            self._rows.truth(numbers),
        )
        with np.errstate(all="ignore"):
            losses, rows = scorer.losses_of_rows(*flat), scorer.compared(*flat)
            columns = {"loss": _values(scorer.mean_loss, losses, count)}
            columns |= {name: _values(metric, rows, count) for name, metric in scorer.metrics.items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(metric: Measure, rows: Compared, copies: int) -> list[float]:
    """Return a metric of each copy."""
    if not isinstance(metric, MeanOfRows) or metric.over is not None:
        return [metric.whole(part) for part in _parts(rows, copies)]
    by_row = np.asarray(metric.by_row(rows), dtype=np.float64).reshape(copies, -1)
    if rows.weights is None:
        means = by_row.sum(axis=1) / by_row.shape[1]
    else:
        weights = rows.weights.reshape(copies, -1)
        means = (by_row * weights).sum(axis=1) / weights.sum(axis=1)
    found: list[float] = (np.sqrt(means) if metric.root else means).tolist()
    return found


def _parts(rows: Compared, copies: int) -> list[Compared]:
    size = len(rows) // copies
    return [rows.take(np.arange(start, start + size)) for start in range(0, len(rows), size)]


def _formula(scorer: Scorer) -> tuple[Any, ...]:
    """Return what the scores of rows depend on besides the rows."""
    units, weights = scorer.units, scorer.loss.class_weights
    of_classes = weights.tolist() if isinstance(weights, torch.Tensor) and scorer.weighted else None
    return (
        units.task,
        units.offset,
        units.scale,
        units.link,
        units.transform,
        scorer.loss.name,
        scorer.loss.label_smoothing,
        of_classes,
    )
