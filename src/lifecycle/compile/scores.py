"""The loss and the metrics of outputs, in float64."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lifecycle.compile.losses import Loss
from lifecycle.compile.measures import Array, Compared, MeanOfRows, Measure
from lifecycle.compile.metrics import build
from lifecycle.compile.output_units import Units
from lifecycle.contract import BINARY, MULTICLASS, DataSpec
from lifecycle.data.batches import Truth, together
from lifecycle.runtime.processes import gathered

MOST_PENDING, MOST_NUMBERS = 65_536, 2**21
"""Rows, and numbers in their outputs, that wait to be scored; then they are, so that memory stays bounded."""


class Scores:
    """Loss and metrics over one pass. A step only keeps its outputs; they are scored many rows at a time.

    Networks compute in float32. All that follows is float64 on the CPU: outputs are brought into the user's units and
    compared with the targets as the user gave them, and the loss is computed again. So a score is that of the
    predictions that are written, also where the target is far from zero or has a very small or large scale.

    Args:
        spec: the task and its classes.
        metrics: names, of :func:`lifecycle.config.tasks.metrics_of`.
        units: what makes predictions of outputs.
        loss: that is averaged over the rows.
        weighted: whether each row's loss is multiplied by the weight of its class, as in training.
    """

    def __init__(
        self, spec: DataSpec, metrics: Iterable[str], units: Units, loss: Loss, weighted: bool = False
    ) -> None:
        self.task, self.units, self.loss, self.weighted = spec.task, units, loss, weighted
        self.mean_loss = MeanOfRows(lambda losses: losses.predicted)
        self.metrics: dict[str, Measure] = {name: build(spec, name) for name in metrics}
        self._pending: list[tuple[Tensor, Tensor, Truth | None]] = []
        self._rows = self._numbers = 0

    def add(self, outputs: Tensor, targets: Tensor, truth: Truth | None = None) -> None:
        """Add a batch.

        Args:
            outputs: ``(batch, num_outputs)`` logits or values, on any device.
            targets: as the loss takes them.
            truth: values in the user's units, and weights of the rows; without values those are the targets restored,
                which have the digits of float32.
        """
        self._pending.append((outputs, targets, truth))
        self._rows += len(outputs)
        self._numbers += outputs.numel()
        if self._rows >= MOST_PENDING or self._numbers >= MOST_NUMBERS:
            self._fold()

    def compute(self) -> dict[str, float]:
        """Return ``{"loss": ..., <metric>: ...}`` of the rows since the last call, in all processes; start anew."""
        self._fold()
        with np.errstate(all="ignore"):
            states = zip(*gathered([measure.state for measure in self._measures.values()]), strict=True)
            pairs = zip(self._measures.items(), states, strict=True)
            scores = {name: measure.compute(state) for (name, measure), state in pairs}
        self.reset()
        return scores

    def reset(self) -> None:
        """Forget all rows since the last :meth:`compute`."""
        self._pending, self._rows, self._numbers = [], 0, 0
        for measure in self._measures.values():
            measure.reset()

    def compared(self, outputs: Tensor, targets: Tensor, truth: Truth | None = None) -> Compared:
        """Return predictions and truth as the metrics take them: probabilities and codes, or values in own units."""
        outputs, targets = outputs.cpu().double(), targets.cpu()
        weights = _weights(truth)
        if self.task == BINARY:
            # Equal outputs must tie in a ranking; torch's sigmoid depends on the place in the batch, in the last digit.
            return Compared(1 / (1 + np.exp(-outputs[:, 0].numpy())), targets[:, 0].long().numpy(), weights)
        predicted = self.units(outputs, None if truth is None else truth.base).numpy()
        if self.task == MULTICLASS:
            return Compared(predicted, targets.numpy(), weights)
        known = None if truth is None else truth.values
        values = self.units.restore(targets.double()) if known is None else known
        return Compared(predicted[:, 0], values[:, 0].numpy(), weights)

    def alone(
        self, outputs: Tensor, targets: Tensor, truth: Truth | None = None, predicted: Array | None = None
    ) -> dict[str, float]:
        """Return the scores of some rows alone; those of the pass are left as they are.

        Args:
            outputs: as :meth:`add` takes them, as the next two.
            targets: likewise.
            truth: likewise.
            predicted: ``(rows,) float64`` values in the user's units; ``None``: those that the outputs are.
        """
        with np.errstate(all="ignore"):
            rows = self.compared(outputs, targets, truth)
            rows = rows if predicted is None else replace(rows, predicted=predicted)
            scores = {"loss": self.mean_loss.alone(self._losses(outputs, targets, truth))}
            return scores | {name: measure.alone(rows) for name, measure in self.metrics.items()}

    @property
    def _measures(self) -> dict[str, Measure]:
        return {"loss": self.mean_loss, **self.metrics}

    def _losses(self, outputs: Tensor, targets: Tensor, truth: Truth | None) -> Compared:
        """Return the loss of each row, in place of a prediction."""
        known = None if truth is None else truth.values
        targets = targets.cpu() if truth is None or known is None else self.units.targets(known, truth.base)
        targets = targets if self.task == MULTICLASS else targets.double()
        losses = self.loss.of_rows(outputs.cpu().double(), targets, self.weighted).flatten().numpy()
        return Compared(losses, losses, _weights(truth))

    def _fold(self) -> None:
        if not self._pending:
            return
        outputs, targets, truths = zip(*self._pending, strict=True)
        self._pending, self._rows, self._numbers = [], 0, 0
        rows = torch.cat(outputs).cpu(), torch.cat(targets).cpu(), together(truths)
        with np.errstate(all="ignore"):
            self.mean_loss.update(self._losses(*rows))
            compared = self.compared(*rows)
            for metric in self.metrics.values():
                metric.update(compared)


def _weights(truth: Truth | None) -> Array | None:
    return None if truth is None or truth.weights is None else truth.weights.numpy()


def prefixed(scores: dict[str, Any], part: str) -> dict[str, Any]:
    """Return ``{"val_loss": ...}`` from ``{"loss": ...}``."""
    return {f"{part}_{name}": value for name, value in scores.items()}
