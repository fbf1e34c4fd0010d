"""Activation functions by Keras's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

ACTIVATIONS = {
    "relu": "ReLU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "gelu": "GELU",
    "elu": "ELU",
    "selu": "SELU",
    "silu": "SiLU",
    "swish": "SiLU",  # its other name
    "mish": "Mish",
    "leaky_relu": "LeakyReLU",
    "relu6": "ReLU6",
    "celu": "CELU",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "hard_sigmoid": "Hardsigmoid",
    "hard_silu": "Hardswish",
    "hard_tanh": "Hardtanh",
    "log_sigmoid": "LogSigmoid",
    "linear": "Identity",
}
"""Name -> class in ``torch.nn``."""


def activation(name: str) -> nn.Module:
    """Return a new activation layer."""
    from torch import nn

    layer: nn.Module = getattr(nn, ACTIVATIONS[name])()
    return layer
