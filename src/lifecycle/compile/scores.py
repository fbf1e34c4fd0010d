"""Computes loss and metrics of a network's outputs, in float64."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lifecycle.compile.losses import Loss
from lifecycle.compile.measures import AnyArray, Compared, MeanOfRows, Measure
from lifecycle.compile.metrics import build
from lifecycle.compile.output_units import Units
from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, DataSpec
from lifecycle.data.batches import Truth, together
from lifecycle.runtime.processes import gathered

MOST_PENDING, MOST_NUMBERS = 65_536, 2**21
"""Rows, and numbers in their outputs, that are kept before they are scored; these limits bound the memory."""


class Scorer:
    """Computes loss and metrics over one pass. Batches are kept, and scored many rows at a time.

    Networks compute in float32. Everything after them is float64 on the CPU: outputs are converted to the user's units
    and compared with the targets as given, and the loss is computed again. So scores are those of the written
    predictions, also for a target far from zero or with a very small or large scale.

    Args:
        spec: the task and its classes.
        metrics: names, of :func:`lifecycle.config.tasks.metrics_of`.
        units: converts outputs to predictions.
        loss: averaged over the rows.
        weighted: whether each row's loss is multiplied by its class weight, as in training.
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
            truth: values in the user's units, and weights of the rows; without values the targets are converted, which
                have the precision of float32.
        """
        self._pending.append((outputs, targets, truth))
        self._rows += len(outputs)
        self._numbers += outputs.numel()
        if self._rows >= MOST_PENDING or self._numbers >= MOST_NUMBERS:
            self._fold()

    def compute(self) -> dict[str, float]:
        """Return ``{"loss": ..., <metric>: ...}`` of the rows since the last call, in all processes, and reset."""
        self._fold()
        with np.errstate(all="ignore"):
            # One message for all metrics, rather than one for each.
            states = zip(*gathered([measure.state for measure in self._measures.values()]), strict=True)
            pairs = zip(self._measures.items(), states, strict=True)
            scores = {name: measure.compute(state) for (name, measure), state in pairs}
        self.reset()
        return scores

    def reset(self) -> None:
        """Remove all rows since the last :meth:`compute`."""
        self._pending, self._rows, self._numbers = [], 0, 0
        for measure in self._measures.values():
            measure.reset()

    def compared(self, outputs: Tensor, targets: Tensor, truth: Truth | None = None) -> Compared:
        """Return predictions and truth for the metrics: probabilities and codes, or values in the user's units."""
        outputs, targets = outputs.cpu().double(), targets.cpu()
        weights = _weights(truth)
        if self.task == BINARY:
            # torch's vectorised sigmoid differs in the last digit by the position in the batch: no ties in a ranking.
            return Compared(1 / (1 + np.exp(-outputs[:, 0].numpy())), targets[:, 0].long().numpy(), weights)
        if self.task == MULTILABEL:
            return Compared(1 / (1 + np.exp(-outputs.numpy())), targets.long().numpy(), weights)
        predicted = self.units(outputs, None if truth is None else truth.base).numpy()
        if self.task == MULTICLASS:
            return Compared(predicted, targets.numpy(), weights)
        known = None if truth is None else truth.values
        values = self.units.restore(targets.double()) if known is None else known
        return Compared(predicted[:, 0], values[:, 0].numpy(), weights)

    def alone(
        self, outputs: Tensor, targets: Tensor, truth: Truth | None = None, predicted: AnyArray | None = None
    ) -> dict[str, float]:
        """Return what :meth:`compute` would of the given rows only, without adding them to the pass.

        Args:
            outputs: as in :meth:`add`.
            targets: as in :meth:`add`.
            truth: as in :meth:`add`.
            predicted: ``(rows,) float64`` values in the user's units; ``None``: those of the outputs.
        """
        with np.errstate(all="ignore"):
            rows = self.compared(outputs, targets, truth)
            rows = rows if predicted is None else replace(rows, predicted=predicted)
            scores = {"loss": self.mean_loss.whole(self.losses_of_rows(outputs, targets, truth))}
            return scores | {name: measure.whole(rows) for name, measure in self.metrics.items()}

    @property
    def _measures(self) -> dict[str, Measure]:
        return {"loss": self.mean_loss, **self.metrics}

    def losses_of_rows(self, outputs: Tensor, targets: Tensor, truth: Truth | None) -> Compared:
        """Return the loss of each row, as values whose mean is a metric; see :meth:`add`."""
        known = None if truth is None else truth.values
        targets = targets.cpu() if truth is None or known is None else self.units.targets(known, truth.base)
        # cross_entropy() takes codes of classes as whole numbers only.
        targets = targets if self.task == MULTICLASS else targets.double()
        losses = self.loss.of_rows(outputs.cpu().double(), targets, self.weighted).flatten().numpy()
        return Compared(losses, losses, _weights(truth))

    def _fold(self) -> None:
        """Score the kept batches."""
        if not self._pending:
            return
        outputs, targets, truths = zip(*self._pending, strict=True)
        self._pending, self._rows, self._numbers = [], 0, 0
        # One transfer for many batches: each one waits for the GPU.
        rows = torch.cat(outputs).cpu(), torch.cat(targets).cpu(), together(truths)
        with np.errstate(all="ignore"):
            self.mean_loss.update(self.losses_of_rows(*rows))
            compared = self.compared(*rows)
            for metric in self.metrics.values():
                metric.update(compared)


def _weights(truth: Truth | None) -> AnyArray | None:
    return None if truth is None or truth.weights is None else truth.weights.numpy()


def prefixed(scores: dict[str, Any], part: str) -> dict[str, Any]:
    """Return ``{"val_loss": ...}`` from ``{"loss": ...}``."""
    return {f"{part}_{name}": value for name, value in scores.items()}
