"""From a network's outputs to what a person reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lifecycle.contract import BINARY, MULTICLASS


class Units(nn.Module):
    """From a network's outputs to what a person reads: probabilities, or values in the user's units."""

    def __init__(self, task: str, offset: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.task, self.offset, self.scale = task, offset, scale

    def forward(self, outputs: Tensor, base: Tensor | None = None) -> Tensor:
        """Map ``(batch, num_outputs)`` logits or values to probabilities or values of the same shape."""
        if self.task == BINARY:
            return torch.sigmoid(outputs)
        if self.task == MULTICLASS:
            return torch.softmax(outputs, dim=1)
        return self.restore(outputs, base)

    def restore(self, values: Tensor, base: Tensor | None = None) -> Tensor:
        """Undo the scaling of the target, and add the base that it is the difference to."""
        restored = values * self.scale + self.offset
        return restored if base is None else restored + base
