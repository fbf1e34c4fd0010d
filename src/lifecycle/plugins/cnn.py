"""Convolutional network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from lifecycle.checks import TOO_MANY, in_range, one_of
from lifecycle.contract import DataSpec
from lifecycle.plugins.activations import ACTIVATIONS, activation
from lifecycle.plugins.mlp import MLP

if TYPE_CHECKING:
    from torch import nn


@dataclass
class CNN:
    """A convolutional network, for images.  CLI: model=cnn model.channels=[32,64]."""

    sample_dims: ClassVar[tuple[int, ...]] = (3,)

    channels: list[int] = field(default_factory=lambda: [32])  # output channels of each convolution
    kernel_size: int = 3  # pixels; odd, so that a convolution keeps height and width
    pool: int = 2  # height and width are divided by this after each convolution; 1: no pooling
    hidden: list[int] = field(default_factory=lambda: [100])  # width of each dense layer of the head
    activation: str = "relu"
    dropout: float = 0.0  # share of values set to 0 after each dense layer, while training

    def __post_init__(self) -> None:
        in_range(self, "channels", low=1, below=TOO_MANY)
        in_range(self, "kernel_size", low=1, below=TOO_MANY)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}. Use {self.kernel_size + 1}.")
        in_range(self, "pool", low=1, below=TOO_MANY)
        in_range(self, "hidden", low=1, below=TOO_MANY)
        one_of(self, "activation", ACTIVATIONS)
        in_range(self, "dropout", low=0, below=1)

    def build(self, spec: DataSpec) -> nn.Module:
        """Return ``(batch, channels, height, width) -> (batch, num_outputs)`` logits or values.

        Raises:
            ValueError: the images are too small for so much pooling.
        """
        from torch import nn

        depth, height, width = spec.input_shape
        layers: list[nn.Module] = []
        for channels in self.channels:
            if min(height, width) < self.pool:
                raise ValueError(
                    f"channels has {len(self.channels)} convolutions, each followed by pooling over {self.pool}, "
                    f"too many for images of {spec.input_shape[1]}x{spec.input_shape[2]}. Use fewer, or model.pool=1."
                )
            layers += [
                nn.Conv2d(depth, channels, self.kernel_size, padding="same"),  # (batch, channels, height, width)
                activation(self.activation),
            ]
            if self.pool > 1:
                layers.append(nn.MaxPool2d(self.pool))
            depth, height, width = channels, height // self.pool, width // self.pool
        flat = DataSpec(spec.task, (depth * height * width,), spec.num_outputs)
        return nn.Sequential(*layers, nn.Flatten(), MLP(self.hidden, self.activation, self.dropout).build(flat))
