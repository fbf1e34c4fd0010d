"""Recurrent network of LSTM cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from lifecycle.checks import TOO_MANY, in_range, one_of
from lifecycle.contract import DataSpec
from lifecycle.plugins.activations import ACTIVATIONS
from lifecycle.plugins.initializers import INITIALIZERS

if TYPE_CHECKING:
    from torch import nn

CELL_ACTIVATIONS = ("tanh", "relu")
TABLES_AS = ("steps", "features")


@dataclass
class LSTM:
    """A recurrent network, for series; an image is read row by row, a table column by column.  CLI: model=lstm."""

    sample_dims: ClassVar[tuple[int, ...]] = (1, 2, 3)

    units: list[int] = field(default_factory=lambda: [32])  # width of each LSTM layer; each reads the one before
    hidden: list[int] = field(default_factory=list)  # width of each dense layer after the last step
    activation: str = "relu"  # of the dense layers
    dropout: float = 0.0  # share of values set to 0 between layers, while training
    cell_activation: str = "tanh"  # of a cell's candidate and output: tanh or relu; the gates are sigmoids
    bidirectional: bool = False  # read the steps backward too; each direction has `units`, concatenated
    batch_norm: bool = False  # batch normalisation after each dense layer, before its activation
    initializer: str = "default"  # of LSTM and dense layers; default: PyTorch's, else Keras's
    table_as: str = "steps"  # columns of a table: steps, each is a step; features: all are features of one step

    def __post_init__(self) -> None:
        in_range(self, "units", low=1, below=TOO_MANY)
        if not self.units:
            raise ValueError("units must name at least one layer, got []. Use for instance [32].")
        in_range(self, "hidden", low=1, below=TOO_MANY)
        one_of(self, "activation", ACTIVATIONS)
        in_range(self, "dropout", low=0, below=1)
        one_of(self, "cell_activation", CELL_ACTIVATIONS)
        one_of(self, "initializer", INITIALIZERS)
        one_of(self, "table_as", TABLES_AS)

    def build(self, spec: DataSpec) -> nn.Module:
        """Return ``(batch, steps, features) -> (batch, num_outputs)``; images, row by row, and tables too."""
        from lifecycle.plugins.lstm_network import LSTMNetwork

        return LSTMNetwork(self, spec)
