"""The layers of ``model=sequential`` by word, and their fields. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.checks import TOO_MANY, in_range, one_of
from lifecycle.plugins.activations import ACTIVATIONS
from lifecycle.plugins.cnn import PADDINGS
from lifecycle.plugins.initializers import INITIALIZERS
from lifecycle.plugins.lstm import CELL_ACTIVATIONS


@dataclass
class Plain:
    """A layer without fields: an activation, flatten, batch_norm, layer_norm, global_avg_pool."""


@dataclass
class Output:
    """A dense layer with as many units as the data need outputs."""

    initializer: str | None = None  # null: the model's, see Sequential.initializer

    def __post_init__(self) -> None:
        one_of(self, "initializer", INITIALIZERS)


@dataclass
class Dense:
    """A dense layer; of a sequence, applied to each step."""

    units: int
    initializer: str | None = None

    def __post_init__(self) -> None:
        in_range(self, "units", low=1, below=TOO_MANY)
        one_of(self, "initializer", INITIALIZERS)


@dataclass
class Dropout:
    """Dropout: sets random values to 0 while training."""

    rate: float  # share of the values

    def __post_init__(self) -> None:
        in_range(self, "rate", low=0, below=1)


@dataclass
class Reshape:
    """Changes the shape of a sample; ``[-1, 1]`` turns a table's columns into steps."""

    shape: list[int]  # without the batch axis; one size may be -1, which is inferred

    def __post_init__(self) -> None:
        in_range(self, "shape", low=-1, below=TOO_MANY)
        if not 1 <= len(self.shape) <= 3 or 0 in self.shape or self.shape.count(-1) > 1:
            raise ValueError(f"shape must be one to three sizes, at most one of them -1, got {self.shape}. Fix it.")


@dataclass
class Conv:
    """A convolution over an image."""

    filters: int  # output channels
    kernel_size: int = 3  # pixels
    stride: int = 1  # pixels between two positions of the kernel
    padding: str = "same"  # same: zeros around the image, so that stride 1 keeps its size; valid: none
    initializer: str | None = None

    def __post_init__(self) -> None:
        for name in ("filters", "kernel_size", "stride"):
            in_range(self, name, low=1, below=TOO_MANY)
        one_of(self, "padding", PADDINGS)
        one_of(self, "initializer", INITIALIZERS)


@dataclass
class MaxPool:
    """Maximum of each window of an image."""

    size: int = 2  # pixels
    stride: int | None = None  # pixels between two windows; null: size

    def __post_init__(self) -> None:
        in_range(self, "size", low=1, below=TOO_MANY)
        in_range(self, "stride", low=1, below=TOO_MANY)


@dataclass
class AvgPool(MaxPool):
    """Mean of each window of an image."""


@dataclass
class GRU:
    """Gated recurrent units over a sequence."""

    units: int
    return_sequences: bool = False  # the outputs at all steps, for another recurrent layer; false: the last
    bidirectional: bool = False  # read the steps backward too; each direction has `units`, concatenated
    initializer: str | None = None

    def __post_init__(self) -> None:
        in_range(self, "units", low=1, below=TOO_MANY)
        one_of(self, "initializer", INITIALIZERS)


@dataclass
class LSTM(GRU):
    """LSTM cells over a sequence."""

    activation: str = "tanh"  # of candidate and output; the gates are sigmoids

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "activation", CELL_ACTIVATIONS)


LAYERS: dict[str, type] = {
    "dense": Dense,
    "output": Output,
    "dropout": Dropout,
    "batch_norm": Plain,
    "layer_norm": Plain,
    "flatten": Plain,
    "reshape": Reshape,
    "conv": Conv,
    "max_pool": MaxPool,
    "avg_pool": AvgPool,
    "global_avg_pool": Plain,
    "lstm": LSTM,
    "gru": GRU,
    **dict.fromkeys(("softmax", *ACTIVATIONS), Plain),
}
"""Word -> dataclass of its fields."""

RECURRENT = ("lstm", "gru")
