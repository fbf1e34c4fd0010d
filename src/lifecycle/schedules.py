"""The schedules of the learning rate that ``schedule=`` names, their fields by PyTorch's names in small letters.

What is null is worked out from the run: how many epochs there are, what is monitored, the optimizer's own rate.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from lifecycle.checks import in_range, one_of
from lifecycle.optimizers import OptimizerConfig

MOST_GAMMA = 10.0
"""A rate that is multiplied by this again and again leaves all numbers behind."""


@dataclass
class ScheduleConfig:
    """What every schedule is. ``torch_name`` is its class in ``torch.optim.lr_scheduler``; "" is the rate as it is."""

    torch_name: ClassVar[str] = ""
    capitals: ClassVar[dict[str, str]] = {}  # arguments that torch writes otherwise

    def complete(self, epochs: int, monitor: str, optimizer: OptimizerConfig) -> Self:
        """Return the schedule with what was left null worked out.

        Args:
            epochs: the most there are (``trainer.max_epochs``).
            monitor: what says which epoch is best (``trainer.monitor``).
            optimizer: whose rate is scheduled.

        Raises:
            ValueError: it does not go with these; begins with the field.
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
    """A schedule that may begin with a rise."""

    warmup_epochs: int = 0  # epochs in which the rate rises in equal steps, before the schedule begins

    def __post_init__(self) -> None:
        in_range(self, "warmup_epochs", low=0)

    def complete(self, epochs: int, monitor: str, optimizer: OptimizerConfig) -> Self:
        """Return the schedule with each field that counts the epochs after the rise filled in; see above."""
        if self.warmup_epochs >= epochs:
            raise ValueError(
                f"warmup_epochs must be below trainer.max_epochs={epochs}, got {self.warmup_epochs}. Use fewer."
            )
        return self.fill(epochs - self.warmup_epochs)

    def fill(self, epochs: int) -> Self:
        """Return the schedule with what was left null worked out from the epochs after the rise."""
        return self


@dataclass
class Constant(Warmed):
    """A rise, if asked, and then one rate."""


@dataclass
class Step(Warmed):
    """Times ``gamma`` every ``step_size`` epochs."""

    torch_name: ClassVar[str] = "StepLR"

    step_size: int = 30  # epochs
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "step_size", low=1)
        in_range(self, "gamma", above=0, below=MOST_GAMMA)


@dataclass
class MultiStep(Warmed):
    """Times ``gamma`` at each milestone."""

    torch_name: ClassVar[str] = "MultiStepLR"

    milestones: list[int] | None = None  # epochs after the rise; null: at half and at three quarters of them
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "milestones", low=1)
        if self.milestones is not None and sorted(set(self.milestones)) != list(self.milestones):
            raise ValueError(f"milestones must rise, got {self.milestones}. Use for instance [30,80].")
        in_range(self, "gamma", above=0, below=MOST_GAMMA)

    def fill(self, epochs: int) -> Self:
        """Work out the milestones."""
        halves = sorted({max(1, epochs // 2), max(1, epochs * 3 // 4)})
        return dataclasses.replace(self, milestones=halves if self.milestones is None else self.milestones)


@dataclass
class Exponential(Warmed):
    """Times ``gamma`` each epoch."""

    torch_name: ClassVar[str] = "ExponentialLR"

    gamma: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "gamma", above=0, below=MOST_GAMMA)


@dataclass
class Cosine(Warmed):
    """Half a cosine down to ``eta_min`` (Loshchilov and Hutter 2017)."""

    torch_name: ClassVar[str] = "CosineAnnealingLR"
    capitals: ClassVar[dict[str, str]] = {"t_max": "T_max"}

    t_max: int | None = None  # epochs; null: all after the rise
    eta_min: float = 0.0  # the lowest rate

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "t_max", low=1)
        in_range(self, "eta_min", low=0)

    def fill(self, epochs: int) -> Self:
        """Work out the length."""
        return dataclasses.replace(self, t_max=self.t_max or epochs)


@dataclass
class CosineRestarts(Warmed):
    """Half a cosine again and again (Loshchilov and Hutter 2017)."""

    torch_name: ClassVar[str] = "CosineAnnealingWarmRestarts"
    capitals: ClassVar[dict[str, str]] = {"t_0": "T_0", "t_mult": "T_mult"}

    t_0: int = 10  # epochs until the first restart
    t_mult: int = 1  # factor by which each stretch is longer than the one before
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

    start_factor: float = 1.0
    end_factor: float = 0.0
    total_iters: int | None = None  # epochs; null: all after the rise

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "start_factor", above=0)
        in_range(self, "end_factor", low=0)
        for name in ("start_factor", "end_factor"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be 1 or less, got {getattr(self, name)}. Raise optimizer.lr instead.")
        in_range(self, "total_iters", low=1)

    def fill(self, epochs: int) -> Self:
        """Work out the length."""
        return dataclasses.replace(self, total_iters=self.total_iters or epochs)


@dataclass
class Polynomial(Warmed):
    """A power of the epochs that are left, down to 0."""

    torch_name: ClassVar[str] = "PolynomialLR"

    total_iters: int | None = None  # epochs; null: all after the rise
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "total_iters", low=1)
        in_range(self, "power", above=0)

    def fill(self, epochs: int) -> Self:
        """Work out the length."""
        return dataclasses.replace(self, total_iters=self.total_iters or epochs)


@dataclass
class Plateau(ScheduleConfig):
    """Times ``factor`` when ``monitor`` has not improved for more than ``patience`` epochs."""

    torch_name: ClassVar[str] = "ReduceLROnPlateau"

    monitor: str | None = None  # null: trainer.monitor
    factor: float = 0.1
    patience: int = 10  # epochs
    threshold: float = 1e-4  # smallest change that counts as better
    threshold_mode: str = "rel"  # rel: a share of the best value; abs: as it is
    cooldown: int = 0  # epochs after a change in which none are counted
    min_lr: float = 0.0  # the lowest rate
    eps: float = 1e-8  # smallest change of the rate that is made

    def __post_init__(self) -> None:
        in_range(self, "factor", above=0, below=1)
        for name in ("patience", "threshold", "cooldown", "min_lr", "eps"):
            in_range(self, name, low=0)
        one_of(self, "threshold_mode", ("rel", "abs"))

    def complete(self, epochs: int, monitor: str, optimizer: OptimizerConfig) -> Self:
        """Return the schedule with its monitor; see above."""
        return dataclasses.replace(self, monitor=self.monitor or monitor)


@dataclass
class OneCycle(ScheduleConfig):
    """Up to ``max_lr`` and down again, step by step over all epochs (Smith and Topin 2019)."""

    torch_name: ClassVar[str] = "OneCycleLR"

    max_lr: float | None = None  # the highest rate; null: optimizer.lr
    pct_start: float = 0.3  # share of the steps in which the rate rises
    anneal_strategy: str = "cos"  # cos or linear
    cycle_momentum: bool | None = None  # move momentum against the rate; null: where the optimizer has one
    base_momentum: float = 0.85
    max_momentum: float = 0.95
    div_factor: float = 25.0  # highest rate over the first
    final_div_factor: float = 1e4  # first rate over the last
    three_phase: bool = False  # fall as long as it rose, and then further

    def __post_init__(self) -> None:
        in_range(self, "max_lr", above=0)
        in_range(self, "pct_start", above=0, below=1)
        one_of(self, "anneal_strategy", ("cos", "linear"))
        for name in ("base_momentum", "max_momentum"):
            in_range(self, name, low=0, below=1)
        for name in ("div_factor", "final_div_factor"):
            in_range(self, name, above=0)

    def complete(self, epochs: int, monitor: str, optimizer: OptimizerConfig) -> Self:
        """Return the schedule with its highest rate, and whether momentum moves; see above."""
        has_momentum = hasattr(optimizer, "betas") or getattr(optimizer, "momentum", 0) > 0
        if self.cycle_momentum and not has_momentum:
            raise ValueError(
                "cycle_momentum needs an optimizer with a momentum, got true. Leave it out, or use optimizer=adam."
            )
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
