"""Multilayer perceptron."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from lifecycle.checks import TOO_MANY, in_range, one_of
from lifecycle.contract import DataSpec
from lifecycle.plugins.activations import ACTIVATIONS, activation
from lifecycle.plugins.initializers import INITIALIZERS, initialize, of_output

if TYPE_CHECKING:
    from torch import nn


@dataclass
class MLP:
    """A multilayer perceptron, for samples of any shape.  CLI: model=mlp model.hidden=[64,32]."""

    sample_dims: ClassVar[tuple[int, ...]] = (1, 2, 3)

    hidden: list[int] = field(default_factory=lambda: [64, 32])  # width of each hidden layer; [] is a linear model
    activation: str = "relu"  # after each hidden layer
    dropout: float = 0.0  # share of values set to 0 after each activation, while training
    batch_norm: bool = False  # batch normalisation after each hidden layer, before its activation
    initializer: str = "default"  # of the hidden layers; default: PyTorch's, else Keras's

    def __post_init__(self) -> None:
        in_range(self, "hidden", low=1, below=TOO_MANY)
        one_of(self, "activation", ACTIVATIONS)
        in_range(self, "dropout", low=0, below=1)
        one_of(self, "initializer", INITIALIZERS)

    def build(self, spec: DataSpec) -> nn.Module:
        """Return ``(batch, *input_shape) -> (batch, num_outputs)`` logits or values."""
        from torch import nn

        layers: list[nn.Module] = [nn.Flatten()] if len(spec.input_shape) > 1 else []
        width = math.prod(spec.input_shape)
        for features in self.hidden:
            layers.append(initialize(nn.Linear(width, features), self.initializer))
            if self.batch_norm:
                layers.append(nn.BatchNorm1d(features))
            layers.append(activation(self.activation))
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
            width = features
        output = initialize(nn.Linear(width, spec.num_outputs), of_output(self.initializer))
        return nn.Sequential(*layers, output)
