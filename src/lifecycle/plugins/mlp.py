"""Multilayer perceptron."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from lifecycle.checks import TOO_MANY, in_range, one_of
from lifecycle.contract import DataSpec
from lifecycle.plugins.activations import ACTIVATIONS, activation

if TYPE_CHECKING:
    from torch import nn


@dataclass
class MLP:
    """A multilayer perceptron, for samples of any shape.  CLI: model=mlp model.hidden=[64,32]."""

    sample_dims: ClassVar[tuple[int, ...]] = (1, 2, 3)

    hidden: list[int] = field(default_factory=lambda: [64, 32])  # width of each hidden layer; [] is a linear model
    activation: str = "relu"  # after each hidden layer
    dropout: float = 0.0  # share of values set to 0 after each activation, while training

    def __post_init__(self) -> None:
        in_range(self, "hidden", low=1, below=TOO_MANY)
        one_of(self, "activation", ACTIVATIONS)
        in_range(self, "dropout", low=0, below=1)

    def build(self, spec: DataSpec) -> nn.Module:
        """Return ``(batch, *input_shape) -> (batch, num_outputs)`` logits or values."""
        from torch import nn

        layers: list[nn.Module] = [nn.Flatten()] if len(spec.input_shape) > 1 else []
        width = math.prod(spec.input_shape)
        for features in self.hidden:
            layers += [nn.Linear(width, features), activation(self.activation)]
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
            width = features
        return nn.Sequential(*layers, nn.Linear(width, spec.num_outputs))
