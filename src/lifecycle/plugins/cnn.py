"""Convolutional network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from lifecycle.checks import TOO_MANY, in_range, one_of
from lifecycle.contract import DataSpec
from lifecycle.errors import FieldError, Setting, Text
from lifecycle.plugins.activations import ACTIVATIONS, activation
from lifecycle.plugins.initializers import INITIALIZERS, initialize
from lifecycle.plugins.mlp import MLP

if TYPE_CHECKING:
    from torch import nn

PADDINGS = ("same", "valid")


@dataclass
class CNN:
    """A convolutional network, for images.  CLI: model=cnn model.channels=[32,64]."""

    sample_dims: ClassVar[tuple[int, ...]] = (3,)

    channels: list[int] = field(default_factory=lambda: [32])  # output channels of the convolutions of each block
    kernel_size: int = 3  # pixels; odd where padding is same, which keeps height and width
    pool: int = 2  # height and width are divided by this at the end of each block; 1: no pooling
    hidden: list[int] = field(default_factory=lambda: [100])  # width of each dense layer of the head
    activation: str = "relu"  # after each convolution and each hidden layer
    dropout: float = 0.0  # share of values set to 0 after each dense layer, while training
    convolutions: int = 1  # in each block, before its pooling
    padding: str = "same"  # same: zeros around an image keep its size; valid: none, and a convolution shrinks it
    batch_norm: bool = False  # batch normalisation after each convolution and hidden layer, before the activation
    block_dropout: float = 0.0  # share of values set to 0 after each block, while training
    initializer: str = "default"  # of convolutions and hidden layers; default: PyTorch's, else Keras's

    def __post_init__(self) -> None:
        in_range(self, "channels", low=1, below=TOO_MANY)
        in_range(self, "kernel_size", low=1, below=TOO_MANY)
        one_of(self, "padding", PADDINGS)
        if self.padding == "same" and self.kernel_size % 2 == 0:
            remedy: Text = [f"Use {self.kernel_size + 1}, or ", Setting("model.padding", "valid"), "."]
            raise FieldError("kernel_size", "must be odd", self.kernel_size, remedy)
        in_range(self, "pool", low=1, below=TOO_MANY)
        in_range(self, "hidden", low=1, below=TOO_MANY)
        one_of(self, "activation", ACTIVATIONS)
        in_range(self, "dropout", low=0, below=1)
        in_range(self, "convolutions", low=1, below=TOO_MANY)
        in_range(self, "block_dropout", low=0, below=1)
        one_of(self, "initializer", INITIALIZERS)

    def build(self, spec: DataSpec) -> nn.Module:
        """Return ``(batch, channels, height, width) -> (batch, num_outputs)`` logits or values.

        Raises:
            FieldError: the images are too small for so many blocks.
        """
        from torch import nn

        depth, height, width = spec.input_shape
        layers: list[nn.Module] = []
        for number, channels in enumerate(self.channels):
            layers += self._block(depth, channels)
            depth, (height, width) = channels, self._shrunk((height, width), spec, number)
        flat = DataSpec(spec.task, (depth * height * width,), spec.num_outputs)
        head = MLP(self.hidden, self.activation, self.dropout, self.batch_norm, self.initializer)
        return nn.Sequential(*layers, nn.Flatten(), head.build(flat))

    def _block(self, depth: int, channels: int) -> list[nn.Module]:
        """Return the layers of a block from ``depth`` to ``channels`` channels."""
        from torch import nn

        layers: list[nn.Module] = []
        for before in [depth] + [channels] * (self.convolutions - 1):
            convolution = nn.Conv2d(before, channels, self.kernel_size, padding=self.padding)
            layers.append(initialize(convolution, self.initializer))  # (batch, channels, height, width)
            if self.batch_norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(activation(self.activation))
        if self.pool > 1:
            layers.append(nn.MaxPool2d(self.pool))
        if self.block_dropout:
            layers.append(nn.Dropout(self.block_dropout))
        return layers

    def _shrunk(self, size: tuple[int, int], spec: DataSpec, number: int) -> tuple[int, int]:
        """Return height and width after the block ``number``, from those before it."""
        lost = (self.kernel_size - 1) * self.convolutions if self.padding == "valid" else 0
        height, width = size[0] - lost, size[1] - lost
        too_small, remedy = "", Setting("")
        if min(height, width) < 1:
            layers = f"{self.convolutions} valid convolution{'s' if self.convolutions > 1 else ''}"
            too_small, remedy = f"{layers} over {self.kernel_size}x{self.kernel_size}", Setting("model.padding", "same")
        elif min(height, width) < self.pool:
            too_small, remedy = f"pooling over {self.pool}x{self.pool}", Setting("model.pool", 1)
        if too_small:
            problem = (
                f"has {len(self.channels)} blocks, too many for images of {spec.input_shape[1]}x{spec.input_shape[2]}: "
                f"block {number + 1} gets {size[0]}x{size[1]}, too small for {too_small}"
            )
            raise FieldError("channels", problem, remedy=["Use fewer, or ", remedy, "."])
        return height // self.pool, width // self.pool
