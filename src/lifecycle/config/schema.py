"""The typed configuration of a run, which Hydra composes; ``__post_init__`` checks the values."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from importlib.util import find_spec
from typing import Any

from omegaconf import MISSING, ListConfig

from lifecycle.checks import in_range, one_of
from lifecycle.config.fields import option
from lifecycle.config.tracking_address import LOCAL, check_folder, check_server, check_usable, server_of
from lifecycle.contract import Fold
from lifecycle.errors import FieldError, RequestError, Setting, as_typed
from lifecycle.optimizers import OptimizerConfig
from lifecycle.schedules import ScheduleConfig

ACCELERATORS = ("auto", "cpu", "gpu")

# MLflow allows more, but an experiment's artifacts are in a folder of its name, which has at most 255 bytes.
MOST_NAME_CHARACTERS = 200

EXPERIMENT_NAME = re.compile(r"[^/.][^/]*|(?:/[^/.][^/]*){2,}", re.DOTALL)

CLIPPING = ("norm", "value")

STRATEGIES = ("auto", "ddp")

PRECISIONS = ("32", "bf16-mixed", "auto")

ON_ERROR = ("continue", "stop", "retry")
PLACEMENTS = ("pack", "spread")

CHECKPOINTS = ("local", "server")

FIGURES = ("true", "false", "svg")

ALSO = ("tensorboard", "csv")
"""Loggers of Lightning that may record a run in addition to MLflow."""

AUDITS = ("on", "strict", "off")

VECTORISE = ("auto", "off", "check")

GRID, OPTUNA = "grid", "optuna"
"""How a sweep chooses its jobs: all combinations of the listed values, or a search."""

SAMPLERS = ("tpe", "random", "gp", "cmaes", "nsga2", "nsga3", "qmc", "grid")
PRUNERS = ("none", "median", "percentile", "hyperband", "asha")

OF_MANY = ("seeds", "sweep")
"""Fields of :class:`RunConfig` that say which runs there are, and are not part of the record of each."""


@dataclass
class TrainerConfig:
    """Options of fitting, by the names of Lightning's Trainer and callbacks."""

    max_epochs: int = 300  # passes over the training rows, at most
    batch_size: int | None = None  # rows a step, over all devices, and at most all training rows; null: 32
    accelerator: str = "auto"  # auto, cpu or gpu
    shuffle: bool = True  # draw the training rows in another order each epoch
    class_balanced: bool = False  # draw each class equally often, with replacement; as many rows as there are
    gradient_clip_val: float | None = None  # largest gradient; null: any
    gradient_clip_algorithm: str = "norm"  # norm: of all gradients together; value: of each one
    torch_compile: bool = False  # compile the network with torch.compile before it is fitted
    precision: str = "32"  # of the steps: 32 (float32), bf16-mixed (torch.autocast), or auto (what is faster)
    devices: int = 1  # processes, one a device
    strategy: str = "auto"  # auto, or ddp: one process a device, gradients averaged
    early_stopping: bool = True  # stop when `monitor` has not improved for `patience` epochs
    monitor: str = "val_loss"  # score that says which epoch is best: val_loss, val_accuracy, train_loss, ...
    patience: int = 30  # epochs
    min_delta: float = 0.0  # smallest change of `monitor` that counts as better for early stopping
    restore_best: bool = True  # keep the weights of the best epoch; false: those of the last

    def __post_init__(self) -> None:
        in_range(self, "max_epochs", low=1)
        in_range(self, "batch_size", low=1)
        in_range(self, "devices", low=1)
        in_range(self, "patience", low=1)
        in_range(self, "min_delta", low=0)
        in_range(self, "gradient_clip_val", above=0)
        one_of(self, "gradient_clip_algorithm", CLIPPING)
        if self.class_balanced and not self.shuffle:
            problem = "must be true with class_balanced, which draws rows at random"
            raise FieldError("shuffle", problem, "false", "Leave it out.")
        one_of(self, "accelerator", ACCELERATORS)
        one_of(self, "strategy", STRATEGIES)
        one_of(self, "precision", PRECISIONS)


@dataclass
class TrackingConfig:
    """Where the run is recorded."""

    dir: str = option("mlruns", "folder of the database, artifacts and checkpoints; relative to the working folder")
    experiment: str = option("lifecycle", "MLflow experiment; the UI compares the runs within one")
    run_name: str | None = option(None, "null: <model>-<data>-<seed>, or <experiment>-<seed>")
    uri: str | None = option(
        None, "server or database that runs are sent to; null: MLFLOW_TRACKING_URI; local: none", ("local",)
    )
    artifacts: str | None = option(None, "where a new experiment of the server keeps artifacts; null: as it likes")
    checkpoints: str = option("local", "local; or server: they are sent, so that any machine can resume", CHECKPOINTS)
    figures: Any = option(
        True, "draw the figures of each run: true, false (saves half a second per run), or svg: as vectors too", FIGURES
    )
    also: list[str] = option([], "record scores in more than MLflow: tensorboard, csv, or both", ALSO)

    def __post_init__(self) -> None:
        for name in ("dir", "experiment"):
            if not str(getattr(self, name)).strip():
                raise FieldError(name, "must not be empty", repr(getattr(self, name)), "Leave it out.")
        check_folder(self.dir)
        if self.uri is not None:
            check_server(self.uri)
        one_of(self, "checkpoints", CHECKPOINTS)
        # Subcommands pass texts, as a field of several types has none that they could be converted to.
        self.figures = {"true": True, "false": False}.get(str(self.figures).lower(), self.figures)
        if not (isinstance(self.figures, bool) or self.figures == "svg"):
            raise FieldError("figures", "must be true, false or svg", self.figures, "Leave it out for PNG files.")
        for also in self.also:
            if also not in ALSO:
                raise FieldError("also", f"must hold {' or '.join(ALSO)}", as_typed(list(self.also)), "Leave it out.")
        name = self.experiment
        if not EXPERIMENT_NAME.fullmatch(name) or len(name) > MOST_NAME_CHARACTERS:
            problem = (
                f"must be a name of at most {MOST_NAME_CHARACTERS} characters, without slashes and not beginning with "
                "a dot, or a path of Databricks such as /Users/me/iris"
            )
            raise FieldError("experiment", problem, name, "The default is lifecycle.")

    @property
    def server(self) -> str | None:
        """The address of the server that runs are sent to; ``None``: there is none.

        Raises:
            RequestError: the environment names what is no server.
        """
        return server_of(self.uri, self.dir)

    def for_process(self) -> dict[str, Any]:
        """Return the fields for another process, whose environment may name another server.

        Raises:
            RequestError: as :attr:`server`.
        """
        return {**asdict(self), "uri": self.server or LOCAL}

    def check(self) -> None:
        """Check the environment, where it matters: before anything is read or written.

        Raises:
            RequestError: as :attr:`server`; a database has no driver here, or Databricks refuses the experiment.
        """
        server = self.server
        if server is not None:
            check_usable(server, self.experiment, is_set=self.uri is not None)
        if "tensorboard" in self.also and find_spec("tensorboard") is None:
            problem, remedy = "needs the package tensorboard", "Install it: pip install 'nn-lifecycle[tensorboard]'."
            raise RequestError(Setting("tracking.also", list(self.also)), problem, remedy=remedy)


@dataclass
class CvConfig:
    """Cross-validation: a run for each fold. ``cv=10`` on the command line is short for ``cv.folds=10``."""

    folds: int | None = None  # parts of the rows, each of which is the test part once; null: one split
    repeats: int = 1  # times that the rows are divided anew
    fold: int | None = None  # of one run, from 0; null: a run for each
    repeat: int = 0  # of one run, from 0

    def __post_init__(self) -> None:
        in_range(self, "folds", low=2)
        in_range(self, "repeats", low=1)
        in_range(self, "fold", low=0)
        in_range(self, "repeat", low=0)
        for name, of in (("repeats", 1), ("fold", None), ("repeat", 0)):
            if self.folds is None and getattr(self, name) != of:
                problem = "needs the number of folds"
                raise FieldError(name, problem, str(getattr(self, name)), "Add cv.folds=5, for instance.")
        if self.fold is not None and self.folds is not None and self.fold >= self.folds:
            raise FieldError("fold", f"must be below cv.folds={self.folds}", str(self.fold), "The first one is 0.")
        if self.repeat >= self.repeats:
            raise FieldError("repeat", f"must be below cv.repeats={self.repeats}", str(self.repeat), "The first is 0.")

    @property
    def of_run(self) -> Fold | None:
        """The fold of a run; ``None``: its rows are divided as its data plugin does."""
        return None if self.folds is None or self.fold is None else Fold(self.fold, self.folds, self.repeat)

    @property
    def has_many(self) -> bool:
        """Whether this is a run for each fold, rather than one run."""
        return self.folds is not None and self.fold is None


@dataclass
class SweepConfig:
    """How the jobs of a sweep are run; see docs/sweeps.md."""

    workers: int = 1  # processes that run jobs at the same time
    launcher: str | None = None  # ray, or one of Hydra's, such as joblib or submitit_slurm; null: workers
    cpus_per_job: int = 1  # with launcher=ray: processors that a job needs
    gpus_per_job: float = 0.0  # GPUs that a job needs; 0.5: two jobs share one
    placement: str = "pack"  # with launcher=ray: fill one machine after the other, or spread the jobs
    on_error: str = "continue"  # continue with the next job, stop, or retry the job at once
    retries: int = 1  # times that a failed job is run again: at once with retry, else when the sweep is started again
    minutes: float | None = None  # no job is started after this time; null: no limit
    again: bool = False  # run finished jobs again
    vectorise: str = "auto"  # fit jobs of one shape together: auto, off, or check (compare two of each group in full)
    metric: Any = None  # score that ranks configurations; null: of validation rows, or with folds of test rows
    method: str = GRID  # grid: all combinations of the listed values; optuna: a search, as with sweep=optuna
    trials: int | None = None  # of a search: configurations in all, also over several starts
    sampler: str = "tpe"  # of a search: tpe, random, gp, cmaes, nsga2, nsga3, qmc or grid
    batch: int | None = None  # of a search: trials suggested at once; null: 1, or all if the sampler does not learn
    prune: str = "none"  # of a search: end bad trials early: none, median, percentile, hyperband or asha
    terminate: bool = False  # of a search: end it when the last 30 complete trials brought nothing better
    warm_start: bool = True  # of a search: begin with what finished runs of the same settings have shown

    def __post_init__(self) -> None:
        in_range(self, "workers", low=1)
        in_range(self, "retries", low=0)
        in_range(self, "minutes", above=0)
        one_of(self, "on_error", ON_ERROR)
        one_of(self, "vectorise", VECTORISE)
        in_range(self, "cpus_per_job", low=1)
        in_range(self, "gpus_per_job", low=0)
        one_of(self, "placement", PLACEMENTS)
        if self.gpus_per_job > 1 and self.gpus_per_job % 1:
            problem = "must be a whole number, or below 1"
            raise FieldError("gpus_per_job", problem, str(self.gpus_per_job), "Use for instance 0.5, 1 or 2.")
        if self.launcher is not None and self.workers > 1:
            problem = "are processes of this machine, and a launcher starts its own"
            raise FieldError("workers", problem, str(self.workers), "Leave out one of sweep.workers, sweep.launcher.")
        one_of(self, "method", (GRID, OPTUNA))
        one_of(self, "sampler", SAMPLERS)
        one_of(self, "prune", PRUNERS)
        in_range(self, "trials", low=1)
        in_range(self, "batch", low=1)
        if isinstance(self.metric, ListConfig):
            self.metric = list(self.metric)
        names = self.metrics
        if self.metric is not None and not (names and all(isinstance(name, str) and name for name in names)):
            raise FieldError("metric", "must be a score or a list of scores", self.metric, "Such as test_accuracy.")
        if len(set(names)) < len(names):
            raise FieldError("metric", "must name each score once", as_typed(names), "Leave out the second one.")
        (self._check_search if self.method == OPTUNA else self._check_grid)()

    @property
    def metrics(self) -> list[str]:
        """The scores of ``metric``: none, one, or the objectives of a search."""
        return list(self.metric) if isinstance(self.metric, list) else [] if self.metric is None else [self.metric]

    def _check_grid(self) -> None:
        """Refuse what only a search has."""
        usual = {item.name: item.default for item in fields(self)}
        for name in ("trials", "sampler", "batch", "prune", "terminate", "warm_start"):
            if getattr(self, name) != usual[name]:
                value = as_typed(getattr(self, name))
                raise FieldError(name, "is an option of a search", value, "Add sweep=optuna.")
        if len(self.metrics) > 1:
            problem = "must be one score, as only a search has several objectives"
            raise FieldError("metric", problem, as_typed(self.metric), "Add sweep=optuna, or name one.")

    def _check_search(self) -> None:
        """Refuse options of a search that contradict each other."""
        if self.trials is None and self.minutes is None and self.sampler != "grid":
            problem = "must be set in a search, or sweep.minutes, or it would never end"
            raise FieldError("trials", problem, "null", "Add sweep.trials=50.")
        if self.again:
            problem = "repeats the finished jobs of a grid, and a search adds trials"
            raise FieldError("again", problem, "true", "Raise sweep.trials, or search with another seed=.")
        if self.launcher is not None:
            problem = "runs jobs that are known in advance, and a search learns from each before it suggests another"
            raise FieldError("launcher", problem, self.launcher, "Use sweep.workers.")
        if len(self.metrics) < 2:
            return
        several = f"cannot be used with several objectives, sweep.metric={as_typed(self.metrics)}"
        if self.prune != "none":
            remedy = "Use sweep.prune=none: no order of half-trained networks is that of several scores."
            raise FieldError("prune", several, self.prune, remedy)
        if self.terminate:
            raise FieldError("terminate", several, "true", "Leave it out.")
        if self.sampler == "cmaes":
            raise FieldError("sampler", several, self.sampler, "Use sweep.sampler=nsga2, tpe or gp.")


@dataclass
class RunConfig:
    """The root of the configuration: everything that a run depends on."""

    data: Any = MISSING  # a data plugin's fields
    model: Any = MISSING  # a model plugin's fields
    optimizer: OptimizerConfig = MISSING  # name of an optimizer; its fields are optimizer.<field>
    schedule: ScheduleConfig = MISSING  # name of a learning rate schedule; its fields are schedule.<field>
    loss: str | None = None  # null: from the task
    class_weights: Any = None  # of the training loss: balanced, or {<class>: <weight>, ...} for each class
    label_smoothing: float = 0.0  # share of each label that is spread evenly over the classes
    metrics: list[str] | None = None  # null: from the task
    trainer: TrainerConfig = field(default_factory=TrainerConfig)  # options of fitting: trainer.<field>
    tracking: TrackingConfig = field(default_factory=TrackingConfig)  # where the run is recorded: tracking.<field>
    seed: int = 0  # of the split (unless data.split_seed is set), the initial weights, the order of rows and dropout
    seeds: int | None = None  # a run for each of so many seeds, from `seed` on, on one split; null: one run
    cv: CvConfig = field(default_factory=CvConfig)  # cross-validation: cv.<field>, or cv=5 for cv.folds=5
    sweep: SweepConfig = field(default_factory=SweepConfig)  # how the jobs of a sweep are run: sweep.<field>
    audit: str = (
        "on"  # look for leaks, identifiers, drift and the like before training: on, strict (refuse them) or off
    )
    profile: bool = False  # measure where the time goes: a table and a page with a flame graph among the artifacts
    verbose: int = 1  # 0 silent, 1 a progress bar (25 lines at most where there is no terminal), 2 a line an epoch
