"""Learning rate schedules of ``torch.optim.lr_scheduler``; their fields have PyTorch's names in lower case.

A field that is null is completed from the run: the number of epochs, the monitored score, the optimizer's rate.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from lifecycle.checks import in_range, one_of
from lifecycle.errors import FieldError, Setting, Text
from lifecycle.optimizers import OptimizerConfig

MOST_GAMMA = 10.0
"""Factors of the rate are below this: a rate that is multiplied by more, again and again, soon overflows."""


@dataclass
class ScheduleConfig:
    """Base of all schedules. ``torch_name`` is the class in ``torch.optim.lr_scheduler``; "" where there is none."""

    torch_name: ClassVar[str] = ""
    capitals: ClassVar[dict[str, str]] = {}  # field -> torch's argument, where that has capitals

    def complete(self, epochs: int, monitor: str, optimizer: OptimizerConfig) -> Self:
        """Return the schedule with its null fields completed.

        Args:
            epochs: the largest number of epochs (``trainer.max_epochs``).
            monitor: score that says which epoch is best (``trainer.monitor``).
            optimizer: whose rate is scheduled.

        Raises:
            FieldError: a field is inconsistent with these.
        """
        return self

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the torch class."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {self.capitals.get(name, name): value for name, value in values.items() if name not in _OURS}


_OURS = ("warmup_epochs", "monitor")


@dataclass
class NoSchedule(ScheduleConfig):
    """One rate from the first epoch to the last."""


@dataclass
class Warmed(ScheduleConfig):
    """Base of schedules that may begin with a warmup."""

    warmup_epochs: int = 0  # epochs in which the rate rises in equal steps before the schedule begins

    def __post_init__(self) -> None:
        in_range(self, "warmup_epochs", low=0)

    def complete(self, epochs: int, monitor: str, optimizer: OptimizerConfig) -> Self:
        """Return the schedule with the fields completed that count epochs after the warmup; see the base class."""
        if self.warmup_epochs >= epochs:
            problem: Text = ["must be below ", Setting("trainer.max_epochs", epochs)]
            raise FieldError("warmup_epochs", problem, self.warmup_epochs, "Use fewer.")
        return self.fill(epochs - self.warmup_epochs)

    def fill(self, epochs: int) -> Self:
        """Return the schedule with its null fields completed from the number of epochs after the warmup."""
        return self


@dataclass
class Constant(Warmed):
    """An optional warmup, then a constant rate."""


@dataclass
class Step(Warmed):
    """Multiplies the rate by ``gamma`` every ``step_size`` epochs."""

    torch_name: ClassVar[str] = "StepLR"

    step_size: int = 30  # epochs
    gamma: float = 0.1  # factor of the rate after each step_size epochs

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "step_size", low=1)
        in_range(self, "gamma", above=0, below=MOST_GAMMA)


@dataclass
class MultiStep(Warmed):
    """Multiplies the rate by ``gamma`` at each milestone."""

    torch_name: ClassVar[str] = "MultiStepLR"

    milestones: list[int] | None = None  # epochs after the warmup; null: at half and at three quarters of them
    gamma: float = 0.1  # factor of the rate at each milestone

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "milestones", low=1)
        if self.milestones is not None and sorted(set(self.milestones)) != list(self.milestones):
            raise ValueError(f"milestones must rise, got {self.milestones}. Use for instance [30,80].")
        in_range(self, "gamma", above=0, below=MOST_GAMMA)

    def fill(self, epochs: int) -> Self:
        """Complete the milestones."""
        halves = sorted({max(1, epochs // 2), max(1, epochs * 3 // 4)})
        return dataclasses.replace(self, milestones=halves if self.milestones is None else self.milestones)


@dataclass
class Exponential(Warmed):
    """Multiplies the rate by ``gamma`` each epoch."""

    torch_name: ClassVar[str] = "ExponentialLR"

    gamma: float = 0.95  # factor of the rate after each epoch

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "gamma", above=0, below=MOST_GAMMA)


@dataclass
class Cosine(Warmed):
    """Half a cosine down to ``eta_min`` (Loshchilov and Hutter 2017)."""

    torch_name: ClassVar[str] = "CosineAnnealingLR"
    capitals: ClassVar[dict[str, str]] = {"t_max": "T_max"}

    t_max: int | None = None  # epochs; null: all after the warmup
    eta_min: float = 0.0  # the lowest rate

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "t_max", low=1)
        in_range(self, "eta_min", low=0)

    def fill(self, epochs: int) -> Self:
        """Complete the length."""
        return dataclasses.replace(self, t_max=self.t_max or epochs)


@dataclass
class CosineRestarts(Warmed):
    """Half a cosine, with warm restarts (Loshchilov and Hutter 2017)."""

    torch_name: ClassVar[str] = "CosineAnnealingWarmRestarts"
    capitals: ClassVar[dict[str, str]] = {"t_0": "T_0", "t_mult": "T_mult"}

    t_0: int = 10  # epochs until the first restart
    t_mult: int = 1  # factor by which the epochs between restarts grow
    eta_min: float = 0.0  # the lowest rate

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "t_0", low=1)
        in_range(self, "t_mult", low=1)
        in_range(self, "eta_min", low=0)


@dataclass
class Linear(Warmed):
    """A straight line, from ``start_factor`` to ``end_factor`` times the optimizer's rate; by default down to 0."""

    torch_name: ClassVar[str] = "LinearLR"

    start_factor: float = 1.0  # first rate as a share of optimizer.lr
    end_factor: float = 0.0  # last rate as a share of optimizer.lr
    total_iters: int | None = None  # epochs; null: all after the warmup

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "start_factor", above=0)
        in_range(self, "end_factor", low=0)
        for name in ("start_factor", "end_factor"):
            if getattr(self, name) > 1:
                remedy: Text = ["Raise ", Setting("optimizer.lr"), " instead."]
                raise FieldError(name, "must be 1 or less", getattr(self, name), remedy)
        in_range(self, "total_iters", low=1)

    def fill(self, epochs: int) -> Self:
        """Complete the length."""
        return dataclasses.replace(self, total_iters=self.total_iters or epochs)


@dataclass
class Polynomial(Warmed):
    """A power of the share of remaining epochs, down to 0."""

    torch_name: ClassVar[str] = "PolynomialLR"

    total_iters: int | None = None  # epochs; null: all after the warmup
    power: float = 1.0  # power of the share of epochs that are left; 1: linear

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "total_iters", low=1)
        in_range(self, "power", above=0)

    def fill(self, epochs: int) -> Self:
        """Complete the length."""
        return dataclasses.replace(self, total_iters=self.total_iters or epochs)


@dataclass
class Plateau(ScheduleConfig):
    """Multiplies the rate by ``factor`` when ``monitor`` has not improved for more than ``patience`` epochs."""

    torch_name: ClassVar[str] = "ReduceLROnPlateau"

    monitor: str | None = None  # null: trainer.monitor
    factor: float = 0.1  # factor of the rate when the score has not improved for `patience` epochs
    patience: int = 10  # epochs
    threshold: float = 1e-4  # smallest change that counts as better
    threshold_mode: str = "rel"  # rel: the threshold is a share of the best value; abs: a difference
    cooldown: int = 0  # epochs after a change that do not count towards patience
    min_lr: float = 0.0  # the lowest rate
    eps: float = 1e-8  # smaller changes of the rate are not made

    def __post_init__(self) -> None:
        in_range(self, "factor", above=0, below=1)
        for name in ("patience", "threshold", "cooldown", "min_lr", "eps"):
            in_range(self, name, low=0)
        one_of(self, "threshold_mode", ("rel", "abs"))

    def complete(self, epochs: int, monitor: str, optimizer: OptimizerConfig) -> Self:
        """Return the schedule with its monitor; see the base class."""
        return dataclasses.replace(self, monitor=self.monitor or monitor)


@dataclass
class OneCycle(ScheduleConfig):
    """A rise to ``max_lr`` and a fall, changing with each step of the optimizer (Smith and Topin 2019)."""

    torch_name: ClassVar[str] = "OneCycleLR"

    max_lr: float | None = None  # the highest rate; null: optimizer.lr
    pct_start: float = 0.3  # share of the steps in which the rate rises
    anneal_strategy: str = "cos"  # cos or linear
    cycle_momentum: bool | None = None  # change the momentum inversely to the rate; null: if the optimizer has one
    base_momentum: float = 0.85  # momentum at the highest rate
    max_momentum: float = 0.95  # momentum at the first and the last rate
    div_factor: float = 25.0  # highest rate over the first
    final_div_factor: float = 1e4  # first rate over the last
    three_phase: bool = False  # fall back to the first rate in as many steps as it rose, and then further

    def __post_init__(self) -> None:
        in_range(self, "max_lr", above=0)
        in_range(self, "pct_start", above=0, below=1)
        one_of(self, "anneal_strategy", ("cos", "linear"))
        for name in ("base_momentum", "max_momentum"):
            in_range(self, name, low=0, below=1)
        for name in ("div_factor", "final_div_factor"):
            in_range(self, name, above=0)

    def complete(self, epochs: int, monitor: str, optimizer: OptimizerConfig) -> Self:
        """Return the schedule with its highest rate, and whether momentum changes; see the base class."""
        # torch changes the first of the betas of Adam and its variants.
        has_momentum = hasattr(optimizer, "betas") or getattr(optimizer, "momentum", 0) > 0
        if self.cycle_momentum and not has_momentum:
            remedy: Text = ["Leave it out, or use ", Setting("optimizer", "adam"), "."]
            raise FieldError("cycle_momentum", "needs an optimizer with a momentum", "true", remedy)
        cycles = has_momentum if self.cycle_momentum is None else self.cycle_momentum
        return dataclasses.replace(self, max_lr=self.max_lr or optimizer.lr, cycle_momentum=cycles)


SCHEDULES: dict[str, type[ScheduleConfig]] = {
    "constant": Constant,
    "cosine": Cosine,
    "cosine_restarts": CosineRestarts,
    "exponential": Exponential,
    "linear": Linear,
    "multi_step": MultiStep,
    "none": NoSchedule,
    "one_cycle": OneCycle,
    "plateau": Plateau,
    "polynomial": Polynomial,
    "step": Step,
}
