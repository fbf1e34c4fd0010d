"""Step 4, evaluate: loss and metrics of one pass over rows; and the scores on held-out rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
import torchmetrics
from torch import Tensor, nn

from lifecycle.contract import BINARY, MULTICLASS, DataSpec
from lifecycle.metrics import build
from lifecycle.units import Units

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lifecycle.compile import CompiledModel
    from lifecycle.data.batches import Batches

MOST_PENDING = 65_536
"""Rows whose outputs wait for the metrics; more are folded in, so that memory stays bounded."""


class Scores(nn.Module):
    """Loss and metrics over one pass. A step only keeps its outputs; the metrics see them many rows at a time."""

    def __init__(self, spec: DataSpec, metrics: Iterable[str], units: Units) -> None:
        super().__init__()
        self.task, self.units = spec.task, units
        self.mean_loss = torchmetrics.MeanMetric()
        self.metrics = nn.ModuleDict({name: build(spec, name) for name in metrics})
        self._pending: list[tuple[Tensor, Tensor, Tensor, Tensor | None]] = []
        self._rows = 0

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor, base: Tensor | None = None) -> None:
        """Add a batch: its mean loss (scalar), logits or values, targets as the loss takes them, and their base."""
        self._pending.append((loss, outputs, targets, base))
        self._rows += len(outputs)
        if self._rows >= MOST_PENDING:
            self._fold()

    def compute(self) -> dict[str, float]:
        """Return ``{"loss": ..., <metric>: ...}`` of the rows since the last call, in all processes; start anew."""
        self._fold()
        scores = {"loss": float(self.mean_loss.compute())}
        scores |= {name: float(metric.compute()) for name, metric in self.metrics.items()}  # type: ignore[operator]
        self.reset()
        return scores

    def reset(self) -> None:
        """Forget all rows since the last :meth:`compute`."""
        self._pending, self._rows = [], 0
        for metric in (self.mean_loss, *self.metrics.values()):
            metric.reset()  # type: ignore[operator]

    def _fold(self) -> None:
        if not self._pending:
            return
        losses, outputs, targets, bases = zip(*self._pending, strict=True)
        self._pending, self._rows = [], 0
        rows = torch.tensor([len(batch) for batch in outputs], device=outputs[0].device)
        self.mean_loss.update(torch.stack(losses), rows)
        base = None if bases[0] is None else torch.cat(bases)
        predicted, truth = self.units(torch.cat(outputs), base), torch.cat(targets)
        if self.task == BINARY:
            predicted, truth = predicted.squeeze(1), truth.squeeze(1).long()
        elif self.task != MULTICLASS:
            predicted, truth = predicted.squeeze(1), self.units.restore(truth, base).squeeze(1)
        for metric in self.metrics.values():
            metric.update(predicted, truth)  # type: ignore[operator]


def evaluate(module: CompiledModel, batches: Batches, trainer: pl.Trainer) -> dict[str, float]:
    """Return ``{"loss": ..., <metric>: ...}`` of a model on rows, each scored once.

    Args:
        module: the model, with the weights to be judged.
        batches: the rows, in order.
        trainer: a Trainer on one device.
    """
    trainer.test(module, batches, verbose=False)
    return module.test_scores.compute()


def prefixed(scores: dict[str, Any], part: str) -> dict[str, Any]:
    """Return ``{"val_loss": ...}`` from ``{"loss": ...}``."""
    return {f"{part}_{name}": value for name, value in scores.items()}
