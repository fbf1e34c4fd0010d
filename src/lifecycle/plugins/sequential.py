"""Network from a list of layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import one_of
from lifecycle.contract import DataSpec
from lifecycle.plugins.initializers import INITIALIZERS
from lifecycle.plugins.layer_list import parse

if TYPE_CHECKING:
    from torch import nn

PROBABILITIES = ("softmax", "sigmoid", "log_sigmoid", "hard_sigmoid")
"""Layers that would turn logits into probabilities, whereas the loss and the predictions expect logits."""


@dataclass
class Sequential:
    """A network from a plain list of layers.  CLI: model=sequential 'model.layers=[dense: 12, relu, output]'."""

    sample_dims: ClassVar[tuple[int, ...]] = (1, 2, 3)

    # words, or word: value, of lifecycle.plugins.layers; output is a dense layer for the outputs that the data need
    # names of layers, or {<layer>: <value>} and {<layer>: {<field>: <value>}}; docs/options.md
    layers: list[Any] = field(default_factory=lambda: ["flatten", {"dense": 64}, "relu", "output"])
    initializer: str = "default"  # of all but the last layer; default: PyTorch's, else Keras's

    def __post_init__(self) -> None:
        one_of(self, "initializer", INITIALIZERS)
        if not self.layers:
            raise ValueError("layers must name at least one layer, got []. Write for instance [output].")
        last = parse(self.layers)[-1]
        if last.word in PROBABILITIES:
            raise ValueError(
                f"layers must not end in {last.word}, got {last}. Leave it out: the network returns logits or values, "
                "and the loss and the predictions convert logits to probabilities."
            )

    def build(self, spec: DataSpec) -> nn.Module:
        """Return ``(batch, *input_shape) -> (batch, num_outputs)`` logits or values.

        Raises:
            ValueError: a layer cannot process the output of the previous one.
        """
        from lifecycle.plugins.sequential_network import build

        return build(parse(self.layers), self.initializer, spec)
