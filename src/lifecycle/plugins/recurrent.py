"""An LSTM layer with any activation, and modules that select outputs of a recurrent layer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu}
"""Activations of an LSTM cell, by Keras's names."""


class LSTMLayer(nn.Module):
    """An LSTM layer with any activation of candidate and output, as Keras's LSTM; the gates are sigmoids.

    Otherwise it is ``nn.LSTM(features, units, batch_first=True)`` with one bias: with the same names of parameters,
    order of gates (input, forget, cell, output) and outputs.
    """

    def __init__(self, features: int, units: int, activation: str = "relu", bidirectional: bool = False) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.activation = features, units, activation
        self.directions = ("l0", "l0_reverse") if bidirectional else ("l0",)
        for direction in self.directions:
            for name, shape in {"weight_ih": (features,), "weight_hh": (units,), "bias_ih": ()}.items():
                self.register_parameter(f"{name}_{direction}", nn.Parameter(torch.empty(4 * units, *shape)))
        bound = 1 / math.sqrt(units)  # as nn.LSTM draws them
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """Return the text in the brackets of ``print(network)``."""
        return f"{self.input_size}, {self.hidden_size}, activation={self.activation}"

    def forward(self, inputs: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map ``(batch, steps, features)`` to outputs ``(batch, steps, directions * units)`` and the last state.

        The state is ``(outputs, cells)``, each ``(directions, batch, units)``, as ``nn.LSTM`` returns it.
        """
        passes = [self._read(inputs, direction) for direction in self.directions]
        outputs, hidden, cell = zip(*passes, strict=True)
        return torch.cat(outputs, dim=2), (torch.stack(hidden), torch.stack(cell))

    def _read(self, inputs: Tensor, direction: str) -> tuple[Tensor, Tensor, Tensor]:
        """Read the steps in one direction; outputs are in the order of the inputs."""
        activation, backward = FUNCTIONS[self.activation], direction.endswith("reverse")
        weight, recurrent = getattr(self, f"weight_ih_{direction}"), getattr(self, f"weight_hh_{direction}")
        from_inputs = F.linear(inputs, weight, getattr(self, f"bias_ih_{direction}"))  # (batch, steps, 4 * units)
        steps = from_inputs.unbind(1)
        # Not len(inputs): torch.export would fix the size of the batch.
        hidden = cell = inputs.new_zeros(inputs.shape[0], self.hidden_size)
        outputs = []
        for step in reversed(steps) if backward else steps:
            gates = step + F.linear(hidden, recurrent)  # (batch, 4 * units)
            input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
            cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * activation(candidate)
            hidden = output_gate.sigmoid() * activation(cell)
            outputs.append(hidden)
        return torch.stack(outputs[::-1] if backward else outputs, dim=1), hidden, cell


def make_lstm(features: int, units: int, activation: str, bidirectional: bool) -> nn.LSTM | LSTMLayer:
    """Return an LSTM layer: PyTorch's, which is much faster, if the activation is tanh."""
    if activation == "tanh":
        return nn.LSTM(features, units, batch_first=True, bidirectional=bidirectional)
    return LSTMLayer(features, units, activation, bidirectional)


class AllSteps(nn.Module):
    """Selects the outputs of a recurrent layer at all steps."""

    def forward(self, returned: tuple[Tensor, object]) -> Tensor:
        """Return ``(batch, steps, directions * units)``, the first value that the layer returned."""
        return returned[0]


class LastStep(nn.Module):
    """Selects the output of each direction of a recurrent layer after it has read all steps."""

    def forward(self, returned: tuple[Tensor, Tensor | tuple[Tensor, Tensor]]) -> Tensor:
        """Return ``(batch, directions * units)``, from the state that the layer returned."""
        state = returned[1]
        hidden = state[0] if isinstance(state, tuple) else state  # (directions, batch, units); a GRU has no cell
        return hidden.transpose(0, 1).flatten(1)
