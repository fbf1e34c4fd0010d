"""The optimizers that ``optimizer=`` names: their hyper-parameters by PyTorch's names.

Defaults are PyTorch's too, but for the learning rates of ``sgd`` and ``rmsprop``, which are Keras's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from lifecycle.checks import in_range


@dataclass
class OptimizerConfig:
    """What every optimizer has. ``torch_name`` is its class in ``torch.optim``; the fields are its arguments."""

    torch_name: ClassVar[str] = ""

    lr: float = 1e-3  # learning rate
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        in_range(self, "lr", above=0)
        in_range(self, "weight_decay", low=0)


@dataclass
class Adam(OptimizerConfig):
    """Adam (Kingma and Ba 2015)."""

    torch_name: ClassVar[str] = "Adam"

    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])  # decay of the two running averages
    eps: float = 1e-8
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, got {self.betas}. Use for instance [0.9,0.999].")
        in_range(self, "betas", low=0, below=1)
        in_range(self, "eps", above=0)


@dataclass
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    torch_name: ClassVar[str] = "AdamW"

    weight_decay: float = 1e-2


@dataclass
class SGD(OptimizerConfig):
    """Stochastic gradient descent, with momentum if asked."""

    torch_name: ClassVar[str] = "SGD"

    lr: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "momentum", low=0, below=1)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum, got momentum=0.0. Add optimizer.momentum=0.9.")


@dataclass
class RMSprop(OptimizerConfig):
    """RMSprop (Hinton, Coursera lecture 6e)."""

    torch_name: ClassVar[str] = "RMSprop"

    alpha: float = 0.99  # decay of the running average of squared gradients
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "alpha", low=0, below=1)
        in_range(self, "eps", above=0)
        in_range(self, "momentum", low=0, below=1)


@dataclass
class Adagrad(OptimizerConfig):
    """Adagrad (Duchi, Hazan and Singer 2011)."""

    torch_name: ClassVar[str] = "Adagrad"

    lr: float = 1e-2
    lr_decay: float = 0.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "lr_decay", low=0)
        in_range(self, "eps", above=0)


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": SGD,
}
