"""Converts a network's outputs to probabilities, or to values in the user's units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lifecycle.contract import BINARY, LOG, MULTICLASS, MULTILABEL

SMALLEST_RATE = 1e-6
"""Stands for a rate of 0, which has no logarithm."""


class Units(nn.Module):
    """Converts outputs to probabilities, or to values in the user's units; a module, so that it can be exported.

    Args:
        task: ``"binary"``, ``"multiclass"``, ``"multilabel"`` or ``"regression"``.
        offset, scale: from a regression's standardised values to the user's units.
        link: ``"exp"`` if a regression's outputs are logarithms; see :func:`lifecycle.config.tasks.link_of`.
        transform: ``"log"`` if a regression learns the logarithm of its target; a base is then a logarithm as well.
    """

    def __init__(self, task: str, offset: float = 0.0, scale: float = 1.0, link: str = "", transform: str = "") -> None:
        super().__init__()
        self.task, self.offset, self.scale, self.link, self.transform = task, offset, scale, link, transform

    def forward(self, outputs: Tensor, base: Tensor | None = None) -> Tensor:
        """Map ``(batch, num_outputs)`` logits or values to probabilities or values of the same shape."""
        if self.task in (BINARY, MULTILABEL):
            return torch.sigmoid(outputs)
        if self.task == MULTICLASS:
            return torch.softmax(outputs, dim=1)
        return self.restore(torch.exp(outputs) if self.link == "exp" else outputs, base)

    def targets(self, values: Tensor, base: Tensor | None = None) -> Tensor:
        """Return the targets of a regression's loss for ``values`` in the user's units, of any shape."""
        values = torch.log(values) if self.transform == LOG else values
        return ((values if base is None else values - base) - self.offset) / self.scale

    def outputs(self, values: Tensor, base: Tensor | None = None) -> Tensor:
        """Return the outputs of a network that predicts ``values`` in the user's units, of any shape."""
        scaled = self.targets(values, base)
        return scaled.clamp_min(SMALLEST_RATE).log() if self.link == "exp" else scaled

    def restore(self, values: Tensor, base: Tensor | None = None) -> Tensor:
        """Undo the scaling of the target, add the base of a differenced target, and undo its transform."""
        restored = values * self.scale + self.offset
        restored = restored if base is None else restored + base
        return torch.exp(restored) if self.transform == LOG else restored
