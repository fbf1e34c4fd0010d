"""The network of :class:`lifecycle.plugins.lstm.LSTM`; in its own module, so that the plugin imports no torch."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from lifecycle.contract import DataSpec
from lifecycle.plugins.initializers import initialize_recurrent
from lifecycle.plugins.mlp import MLP
from lifecycle.plugins.recurrent import LastStep, make_lstm


class Fields(Protocol):
    """Fields of :class:`lifecycle.plugins.lstm.LSTM`, documented there."""

    units: list[int]
    hidden: list[int]
    activation: str
    dropout: float
    cell_activation: str
    bidirectional: bool
    batch_norm: bool
    initializer: str
    table_as: str


class LSTMNetwork(nn.Module):
    """Stacked LSTM layers, and a dense head on the last output of the last one."""

    def __init__(self, config: Fields, spec: DataSpec) -> None:
        super().__init__()
        self.columns_are_steps = config.table_as == "steps"
        directions = 2 if config.bidirectional else 1
        widths = [self._features(spec.input_shape), *(directions * units for units in config.units)]
        self.layers = nn.ModuleList(
            initialize_recurrent(
                make_lstm(width, units, config.cell_activation, config.bidirectional), config.initializer
            )
            for width, units in zip(widths, config.units, strict=False)
        )
        self.last_step = LastStep()
        self.dropout = nn.Dropout(config.dropout)
        head = DataSpec(spec.task, (widths[-1],), spec.num_outputs)
        dense = MLP(config.hidden, config.activation, config.dropout, config.batch_norm, config.initializer)
        self.head = dense.build(head)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, *input_shape)`` of series, images or rows of a table to ``(batch, num_outputs)``."""
        returned = self.layers[0](self._steps(inputs))
        for layer in self.layers[1:]:
            returned = layer(self.dropout(returned[0]))  # (batch, steps, directions * units), and the last state
        outputs: Tensor = self.head(self.dropout(self.last_step(returned)))  # (batch, num_outputs)
        return outputs

    def _features(self, shape: tuple[int, ...]) -> int:
        """Return the number of features of a step, for samples of this shape."""
        if len(shape) == 1:
            return 1 if self.columns_are_steps else shape[0]
        return shape[0] * shape[2] if len(shape) == 3 else shape[1]

    def _steps(self, inputs: Tensor) -> Tensor:
        """Return samples of any shape as ``(batch, steps, features)``."""
        if inputs.dim() == 2:
            return inputs.unsqueeze(2 if self.columns_are_steps else 1)
        return inputs.transpose(1, 2).flatten(2) if inputs.dim() == 4 else inputs  # an image: (batch, rows, ...)
