"""Recurrent network of LSTM cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from lifecycle.checks import TOO_MANY, in_range, one_of
from lifecycle.contract import DataSpec
from lifecycle.plugins.activations import ACTIVATIONS

if TYPE_CHECKING:
    from torch import nn


@dataclass
class LSTM:
    """A recurrent network, for series; an image is read row by row.  CLI: model=lstm model.units=[64,32]."""

    sample_dims: ClassVar[tuple[int, ...]] = (2, 3)

    units: list[int] = field(default_factory=lambda: [32])  # width of each LSTM layer; each reads the one before
    hidden: list[int] = field(default_factory=list)  # width of each dense layer after the last step
    activation: str = "relu"  # of the dense layers
    dropout: float = 0.0  # share of values set to 0 between layers, while training

    def __post_init__(self) -> None:
        in_range(self, "units", low=1, below=TOO_MANY)
        if not self.units:
            raise ValueError("units must name at least one layer, got []. Use for instance [32].")
        in_range(self, "hidden", low=1, below=TOO_MANY)
        one_of(self, "activation", ACTIVATIONS)
        in_range(self, "dropout", low=0, below=1)

    def build(self, spec: DataSpec) -> nn.Module:
        """Return ``(batch, steps, features) -> (batch, num_outputs)``; images, row by row, too."""
        from lifecycle.plugins.lstm_network import LSTMNetwork

        return LSTMNetwork(self, spec)
