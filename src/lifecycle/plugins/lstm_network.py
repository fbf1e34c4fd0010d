"""The network that :class:`lifecycle.plugins.lstm.LSTM` builds; apart, so that naming the plugin imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from lifecycle.contract import DataSpec
from lifecycle.plugins.mlp import MLP

if TYPE_CHECKING:
    from lifecycle.plugins.lstm import LSTM


class LSTMNetwork(nn.Module):
    """Stacked LSTM layers; the last step's output goes through a dense head."""

    def __init__(self, config: LSTM, spec: DataSpec) -> None:
        super().__init__()
        *channels, _steps, features = spec.input_shape
        widths = [features * (channels[0] if channels else 1), *config.units]
        self.layers = nn.ModuleList(
            nn.LSTM(width, units, batch_first=True) for width, units in zip(widths, config.units, strict=False)
        )
        self.dropout = nn.Dropout(config.dropout)
        head = DataSpec(spec.task, (config.units[-1],), spec.num_outputs)
        self.head = MLP(config.hidden, config.activation, config.dropout).build(head)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, steps, features)`` or ``(batch, channels, rows, columns)`` to ``(batch, num_outputs)``."""
        steps = inputs.transpose(1, 2).flatten(2) if inputs.dim() == 4 else inputs  # (batch, steps, features)
        for layer in self.layers:
            steps, _ = layer(steps)  # (batch, steps, units)
            steps = self.dropout(steps)
        outputs: Tensor = self.head(steps[:, -1])  # (batch, num_outputs)
        return outputs
