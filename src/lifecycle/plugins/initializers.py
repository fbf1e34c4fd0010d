"""Initial weights by Keras's names and formulas; ``default`` keeps those of PyTorch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lifecycle.plugins.recurrent import LSTMLayer

    Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)
    Recurrent = TypeVar("Recurrent", bound=nn.LSTM | nn.GRU | LSTMLayer)

INITIALIZERS = (
    "default",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "uniform",
    "normal",
    "orthogonal",
)

SPREAD = 0.05
"""Bound of ``uniform`` and standard deviation of ``normal``: those of Keras."""

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal that is cut off at -2 and 2."""


def initialize(layer: Layer, name: str) -> Layer:
    """Initialize the weights of a dense or convolutional layer, and set its biases to 0; return it.

    Args:
        layer: as initialized by PyTorch.
        name: one of :data:`INITIALIZERS`; ``default`` changes nothing.
    """
    from torch import nn

    if name != "default":
        _fill(layer.weight, name)
        # Networks of other packages may have layers without biases.
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layer


def initialize_recurrent(layer: Recurrent, name: str) -> Recurrent:
    """Initialize the weights of a recurrent layer as Keras does; return it.

    The kernel is drawn by ``name``, the recurrent kernel is orthogonal, and biases are 0, except for the forget gate of
    an LSTM: 1, so that a cell keeps its state at first. PyTorch's layers add two biases, both of which are trained, so
    that the sum changes faster than Keras's single bias.
    """
    import torch
    from torch import nn

    if name == "default":
        return layer
    for key, parameter in layer.named_parameters():
        if key.startswith("weight_ih"):
            _fill(parameter, name)
        elif key.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)
        if key.startswith("bias_ih") and len(parameter) == 4 * layer.hidden_size:  # gates: input, forget, cell, output
            with torch.no_grad():
                parameter[layer.hidden_size : 2 * layer.hidden_size] = 1
    return layer


def of_output(name: str) -> str:
    """Return the initializer of the output layer: Keras's default, unless the hidden layers have PyTorch's."""
    return name if name == "default" else "glorot_uniform"


def fans(weight: Tensor) -> tuple[int, int]:
    """Return fan-in and fan-out of a weight ``(out, in, *kernel)``."""
    field = math.prod(weight.shape[2:])
    return weight.shape[1] * field, weight.shape[0] * field


def _fill(weight: Tensor, name: str) -> None:
    from torch import nn

    family, _, shape = name.partition("_")
    fan_in, fan_out = fans(weight)
    variance = 2 / fan_in if family == "he" else 2 / (fan_in + fan_out)
    if name == "orthogonal":
        nn.init.orthogonal_(weight)
    elif name == "uniform":
        nn.init.uniform_(weight, -SPREAD, SPREAD)
    elif name == "normal":
        nn.init.normal_(weight, 0, SPREAD)
    elif shape == "uniform":
        bound = math.sqrt(3 * variance)
        nn.init.uniform_(weight, -bound, bound)
    else:
        std = math.sqrt(variance) / TRUNCATED_STD  # before truncation, so that it is right after it
        nn.init.trunc_normal_(weight, 0, std, -2 * std, 2 * std)
