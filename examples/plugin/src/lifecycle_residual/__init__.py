"""An example of a model plugin: a dataclass of hyper-parameters with one method, ``build``."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from lifecycle.checks import in_range
from lifecycle.contract import DataSpec


@dataclass
class Residual:
    """A residual network, for rows of a table.  CLI: model=residual model.width=32 model.blocks=2."""

    sample_dims: ClassVar[tuple[int, ...]] = (1,)

    width: int = 32  # features of each block
    blocks: int = 2

    def __post_init__(self) -> None:
        in_range(self, "width", low=1)
        in_range(self, "blocks", low=1)

    def build(self, spec: DataSpec) -> nn.Module:
        """Return ``(batch, features) -> (batch, num_outputs)`` logits or values."""
        blocks = [Block(self.width) for _ in range(self.blocks)]
        return nn.Sequential(
            nn.Linear(spec.input_shape[0], self.width), *blocks, nn.Linear(self.width, spec.num_outputs)
        )


class Block(nn.Module):
    """A residual block: adds the output of two layers to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, width)`` to the same shape."""
        return inputs + self.layers(inputs)
