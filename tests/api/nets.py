"""Networks, losses and metrics of a user, at the top level of a module that can be imported."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lifecycle.contract import DataSpec


class Wide(nn.Module):
    """Two layers; keeps the argument that it is made with."""

    def __init__(self, width: int = 4, features: int = 3) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.Sequential(nn.Linear(features, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, 3)`` to ``(batch,)``."""
        outputs: Tensor = self.layers(inputs)
        return outputs[:, 0]


def for_spec(spec: DataSpec, width: int = 4) -> nn.Module:
    """Return a network whose sizes are those of the data."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.ReLU(), nn.Linear(width, spec.num_outputs))


def pinball(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return the mean quantile loss at 0.9; the truth comes first, as in Keras."""
    away = y_true - y_pred
    return torch.maximum(0.9 * away, -0.1 * away).mean()


def share_above(y_true: Any, y_pred: Any) -> float:
    """Return the share of rows that are predicted too high."""
    return float((y_pred > y_true).mean())


def torch_accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the accuracy of probabilities; the outputs come first, as in PyTorch."""
    return (outputs.argmax(1) == targets).double().mean()
