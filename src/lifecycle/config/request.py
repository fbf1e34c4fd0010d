"""What a command or a Python caller asks for: the composed configuration, and the checked job that is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lifecycle.config.records import expressions
from lifecycle.config.schema import OF_MANY, TrackingConfig, TrainerConfig
from lifecycle.contract import DataPlugin, Fold, ModelPlugin
from lifecycle.credentials import masked
from lifecycle.errors import RequestError, field_error, first_line
from lifecycle.optimizers import OptimizerConfig
from lifecycle.schedules import ScheduleConfig

IN_NAMES = ("model", "data", "seed", "seeds", "cv.fold", "cv.repeat", "experiment")
"""Keys whose values are in the name of every run."""
MOST_OF_LABEL = 100
"""Characters of what differs in a sweep; MLflow's database takes names of 250."""


@dataclass(frozen=True)
class SweepJob:
    """The place of a run in a sweep.

    Attributes:
        name: of the sweep.
        number: of the job, from 0.
        signature: digest of everything that its results depend on; runs of one signature are the same.
        configuration: digest that runs share which differ in seed and fold only.
        data: digest of the data when the sweep was planned; empty: they could not be read then.
        attempt: from 1; a failed job is run again as a new run.
        words: overrides in which it differs from the other jobs, as typed.
    """

    name: str
    number: int = 0
    signature: str = ""
    configuration: str = ""
    data: str = ""
    attempt: int = 1
    words: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What tells the job from the others, in addition to what every name of a run has.

        >>> SweepJob("", words=("optimizer.lr=0.012345678", "seed=1", "model=mlp")).label
        'lr=0.01235'
        """
        parts = [word.lstrip("+").partition("=") for word in self.words]
        own = [(key, value) for key, _, value in parts if key not in IN_NAMES]
        short = [key.rpartition(".")[2] for key, _ in own]
        keys = [last if short.count(last) == 1 else key for last, (key, _) in zip(short, own, strict=True)]
        return "-".join(f"{key}={_short(value)}" for key, (_, value) in zip(keys, own, strict=True))[:MOST_OF_LABEL]


def _short(value: str) -> str:
    """Return a value as typed; of a number that a search has suggested, four digits."""
    try:
        return min(f"{float(value):.4g}", value, key=len)
    except ValueError:
        return value


@dataclass(frozen=True)
class Request:
    """A composed configuration that is not yet checked: enough to record a job of a multirun that fails its checks."""

    config: DictConfig  # composed against RunConfig
    choices: dict[str, str]  # chosen option of each group: {"model": "mlp", "data": "iris", ...}
    command: str = ""  # the command line
    sweep: SweepJob | None = None  # the job of a sweep that this is
    overrides: tuple[str, ...] = ()  # as typed, of this job
    expressions: dict[expressions.Path, str] = field(default_factory=dict)  # recorded instead of values
    not_recorded: tuple[str, ...] = ()  # objects of a Python caller that the run depends on, a clause each

    @property
    def tracking(self) -> TrackingConfig:
        """Where the run is recorded. Raises ``RequestError`` for a value that does not fit."""
        found: TrackingConfig = build(self.config, "tracking")
        return found

    @cached_property
    def recorded(self) -> dict[str, Any]:
        """The configuration as it is recorded: plain values, with expressions in place and credentials masked."""
        found: dict[str, Any] = expressions.record(OmegaConf.to_container(self.config), self.expressions)
        # A run without folds has no parameters of folds.
        left_out = (*OF_MANY, *(["cv"] if self.config.cv.folds is None else []))
        return {name: value for name, value in found.items() if name not in left_out}

    @property
    def hidden(self) -> dict[str, str]:
        """Secret values, and what messages show instead; see :func:`lifecycle.credentials.hiding`."""
        return expressions.hidden(OmegaConf.to_container(self.config), self.expressions)

    @property
    def run_name(self) -> str:
        """Name of the run in MLflow."""
        names = (
            [self.choices["experiment"]]
            if "experiment" in self.choices
            else [self.choices[g] for g in ("model", "data")]
        )
        own = self.expressions.get(("tracking", "run_name"), self.tracking.run_name)
        label = [] if self.sweep is None or not self.sweep.label else [self.sweep.label]
        cv = self.config.cv
        fold = [] if cv.fold is None else [f"fold{cv.fold}" if cv.repeats == 1 else f"fold{cv.repeat}.{cv.fold}"]
        return masked(own or "-".join([*names, str(self.config.seed), *fold, *label]))

    @property
    def is_named(self) -> bool:
        """Whether the user has named the run."""
        return bool(self.tracking.run_name)


@dataclass(frozen=True)
class Start:
    """The network as a Python caller begins to train it; a command draws all weights, and trains all.

    Attributes:
        weights: by name, in place of drawn ones; ``None``: they are drawn.
        frozen: names of layers whose weights stay as they are.
        channels_last: whether the caller's images have their channels last.
    """

    weights: Any = None
    frozen: tuple[str, ...] = ()
    channels_last: bool = False


@dataclass(frozen=True)
class Job:
    """A checked request, as the objects that the steps of a run use."""

    request: Request
    model_name: str  # the plugin's name
    model: ModelPlugin
    data_name: str  # the named data set (a YAML file), or the plugin's name
    data_kind: str  # the plugin's name
    data: DataPlugin
    optimizer_name: str
    optimizer: OptimizerConfig
    schedule_name: str
    schedule: ScheduleConfig  # completed: no field is null
    loss: str | None
    class_weights: str | dict[str, float] | None
    label_smoothing: float
    metrics: list[str] | None
    trainer: TrainerConfig
    seed: int
    fold: Fold | None = None
    audit: str = "on"
    start: Start = Start()


def build(config: DictConfig, key: str) -> Any:
    """Return the dataclass instance of a node.

    Raises:
        RequestError: a field without a default has no value, or ``__post_init__`` refuses a value.
    """
    try:
        return OmegaConf.to_object(config[key])
    except OmegaConfBaseException as error:
        where = error.full_key or key
        problem = first_line(error)
        raise RequestError(where, problem, remedy=f"Give it a value: {where}=...") from error
    except ValueError as error:
        raise field_error(key, error) from error
