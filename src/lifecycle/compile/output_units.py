"""Converts a network's outputs to probabilities, or to values in the user's units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lifecycle.contract import BINARY, MULTICLASS

SMALLEST_RATE = 1e-6
"""Stands for a rate of 0, which has no logarithm."""


class Units(nn.Module):
    """Converts outputs to probabilities, or to values in the user's units; a module, so that it can be exported.

    Args:
        task: ``"binary"``, ``"multiclass"`` or ``"regression"``.
        offset, scale: from a regression's standardised values to the user's units.
        link: ``"exp"`` if a regression's outputs are logarithms; see :func:`lifecycle.config.tasks.link_of`.
    """

    def __init__(self, task: str, offset: float = 0.0, scale: float = 1.0, link: str = "") -> None:
        super().__init__()
        self.task, self.offset, self.scale, self.link = task, offset, scale, link

    def forward(self, outputs: Tensor, base: Tensor | None = None) -> Tensor:
        """Map ``(batch, num_outputs)`` logits or values to probabilities or values of the same shape."""
        if self.task == BINARY:
            return torch.sigmoid(outputs)
        if self.task == MULTICLASS:
            return torch.softmax(outputs, dim=1)
        return self.restore(torch.exp(outputs) if self.link == "exp" else outputs, base)

    def targets(self, values: Tensor, base: Tensor | None = None) -> Tensor:
        """Return the targets of a regression's loss for ``values`` in the user's units, of any shape."""
        return ((values if base is None else values - base) - self.offset) / self.scale

    def outputs(self, values: Tensor, base: Tensor | None = None) -> Tensor:
        """Return the outputs of a network that predicts ``values`` in the user's units, of any shape."""
        scaled = self.targets(values, base)
        return scaled.clamp_min(SMALLEST_RATE).log() if self.link == "exp" else scaled

    def restore(self, values: Tensor, base: Tensor | None = None) -> Tensor:
        """Undo the scaling of the target, and add the base of a differenced target."""
        restored = values * self.scale + self.offset
        return restored if base is None else restored + base
