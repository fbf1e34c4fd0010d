"""The losses and metrics of each task, by name, and their defaults."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lifecycle.config import other_names
from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, REGRESSION
from lifecycle.errors import RequestError, Setting, Text, did_you_mean_setting


@dataclass(frozen=True)
class Task:
    """Losses and metrics of a task. The first loss is the default."""

    losses: tuple[str, ...]  # names; see lifecycle.compile.losses
    metrics: dict[str, tuple[str, dict[str, Any]]]  # name -> class in torchmetrics, its arguments
    default_metrics: tuple[str, ...]
    domain: str  # module of torchmetrics whose other metrics are allowed too

    @property
    def default_loss(self) -> str:
        """The loss where none is chosen."""
        return self.losses[0]


_BINARY: dict[str, Any] = {"task": "binary"}
_PER_CLASS: dict[str, Any] = {"task": "multiclass", "average": "macro"}
_PER_LABEL: dict[str, Any] = {"task": "multilabel", "average": "macro"}
_MICRO: dict[str, Any] = {"task": "multilabel", "average": "micro"}

TASKS = {
    BINARY: Task(
        losses=("binary_crossentropy",),
        metrics={
            "accuracy": ("Accuracy", _BINARY),
            "balanced_accuracy": ("Recall", {**_PER_CLASS, "num_classes": 2}),  # our own, see compile/metrics.py
            "precision": ("Precision", _BINARY),
            "recall": ("Recall", _BINARY),
            "f1": ("F1Score", _BINARY),
            "auroc": ("AUROC", _BINARY),
        },
        default_metrics=("accuracy",),
        domain="classification",
    ),
    MULTICLASS: Task(
        losses=("categorical_crossentropy",),
        metrics={
            "accuracy": ("Accuracy", {"task": "multiclass", "average": "micro"}),
            "balanced_accuracy": ("Recall", _PER_CLASS),  # our own, see compile/metrics.py
            "precision": ("Precision", _PER_CLASS),
            "recall": ("Recall", _PER_CLASS),
            "f1": ("F1Score", _PER_CLASS),
            "auroc": ("AUROC", _PER_CLASS),
        },
        default_metrics=("accuracy",),
        domain="classification",
    ),
    MULTILABEL: Task(
        losses=("binary_crossentropy",),
        metrics={
            "accuracy": ("ExactMatch", {"task": "multilabel"}),  # rows whose labels are all right, as in scikit-learn
            "hamming_distance": ("HammingDistance", _MICRO),
            "precision": ("Precision", _PER_LABEL),
            "recall": ("Recall", _PER_LABEL),
            "f1": ("F1Score", _PER_LABEL),
            "precision_micro": ("Precision", _MICRO),
            "recall_micro": ("Recall", _MICRO),
            "f1_micro": ("F1Score", _MICRO),
            "auroc": ("AUROC", _PER_LABEL),
            "average_precision": ("AveragePrecision", _PER_LABEL),
        },
        default_metrics=("accuracy", "f1", "f1_micro", "average_precision"),
        domain="classification",
    ),
    REGRESSION: Task(
        losses=("mse", "mae", "huber", "log_cosh", "poisson"),
        metrics={
            "mse": ("MeanSquaredError", {}),
            "rmse": ("MeanSquaredError", {"squared": False}),
            "mae": ("MeanAbsoluteError", {}),
            "mape": ("MeanAbsolutePercentageError", {}),
            "r2": ("R2Score", {}),
        },
        default_metrics=("mae", "rmse"),
        domain="regression",
    ),
}


class OwnName(str):
    """The name of a loss or metric of a Python caller, with the function or object itself.

    Records hold the name alone.

    >>> OwnName("focal", given=abs), OwnName("focal", given=abs).given
    ('focal', <built-in function abs>)
    """

    given: Any

    def __new__(cls, name: str, given: Any) -> OwnName:
        """Create a name."""
        self = super().__new__(cls, name)
        self.given = given
        return self

    def __getnewargs__(self) -> tuple[str, Any]:  # type: ignore[override]
        """Return what copies are made with."""
        return str(self), self.given


SYNONYMS = {
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
    "logcosh": "log_cosh",
    "sparse_categorical_crossentropy": "categorical_crossentropy",
}
"""Keras's names of losses -> ours."""

# A Poisson loss is computed from the logarithm of the rate, as torch.nn.PoissonNLLLoss does by default.
_LINKS = {"poisson": "exp"}

_CLASSES = {
    name: {cls: ours for ours, (cls, _) in reversed(task.metrics.items()) if ours != "balanced_accuracy"}
    for name, task in TASKS.items()
}
"""Task -> class in torchmetrics -> our name; where two metrics share a class (mse, rmse), the first."""


def link_of(loss: str | None) -> str:
    """Return the inverse link function of a loss: ``"exp"`` where outputs are the logarithm of a rate, else ""."""
    return "" if isinstance(loss, OwnName) else _LINKS.get(loss or "", "")


def check_names(loss: str | None, metrics: Iterable[str] | None) -> None:
    """Check that a loss and metrics are known to some task; needs no data.

    Raises:
        RequestError: one is not.
    """
    losses = {name for task in TASKS.values() for name in task.losses}
    if loss is not None and not isinstance(loss, OwnName) and SYNONYMS.get(loss, loss) not in losses:
        raise _unfit("loss", loss, "", losses)
    for metric in metrics or ():
        if not isinstance(metric, OwnName) and not any(_metric(task, metric) for task in TASKS):
            raise _unfit("metrics", metric, "", {name for task in TASKS.values() for name in task.metrics})


def loss_of(task: str, loss: str | None) -> str:
    """Return our name of a task's loss; of ``None``, the default one.

    Raises:
        RequestError: the loss is not for the task.
    """
    if isinstance(loss, OwnName):
        return loss
    name = TASKS[task].default_loss if loss is None else SYNONYMS.get(loss, loss)
    if name not in TASKS[task].losses:
        raise _unfit("loss", str(loss), task, TASKS[task].losses)
    return name


def metrics_of(task: str, metrics: Iterable[str] | None) -> tuple[str, ...]:
    """Return our names of a task's metrics; of ``None``, the default ones. ``CohenKappa`` becomes ``cohen_kappa``.

    Raises:
        RequestError: a metric is not for the task.
    """
    names: dict[str, None] = {}
    for metric in TASKS[task].default_metrics if metrics is None else metrics:
        name = metric if isinstance(metric, OwnName) else _metric(task, metric)
        if not name:
            raise _unfit("metrics", metric, task, TASKS[task].metrics)
        names[name] = None
    return tuple(names)


def metric_class(task: str, name: str) -> tuple[str, dict[str, Any] | None]:
    """Return the torchmetrics class of a name from :func:`metrics_of`; and its arguments, if the name is ours."""
    if name in TASKS[task].metrics:
        return TASKS[task].metrics[name]
    return next(cls for cls in library(TASKS[task].domain) if snake(cls) == name), None


@cache
def library(domain: str) -> tuple[str, ...]:
    """Return the names of the metrics of a module of torchmetrics, such as ``classification``.

    Parses the source of torchmetrics: importing it imports torch, which takes seconds on a request that is refused.
    """
    spec = find_spec("torchmetrics")
    source = Path(spec.origin).read_text() if spec and spec.origin else ""
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
    return tuple(alias.name for node in imports if node.module == f"torchmetrics.{domain}" for alias in node.names)


def snake(name: str) -> str:
    """Return the name of a class in snake case: ``CohenKappa`` as ``cohen_kappa``, ``AUROC`` as ``auroc``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _metric(task: str, name: str) -> str:
    """Return our name of a metric that is given as a class or in snake case; "" where the task does not have it."""
    if name in TASKS[task].metrics:
        return name
    bare = name.replace("_", "").lower()
    cls = next((cls for cls in library(TASKS[task].domain) if bare == cls.lower()), "")
    return _CLASSES[task].get(cls, snake(cls))


def _unfit(key: str, name: str, task: str, known: Iterable[str]) -> RequestError:
    """Return the error of a loss or metric that is not known, or not for the task.

    Args:
        key: ``loss`` or ``metrics``.
        name: as given.
        task: "" where none knows the name.
        known: our names.
    """
    known = sorted(known)
    of_torchmetrics: list[str] = []
    if key == "metrics":
        domains = [TASKS[task].domain] if task else ["classification", "regression"]
        of_torchmetrics = [snake(cls) for domain in domains for cls in library(domain)]
    choices = f"Choose from: {', '.join(known)}"
    if of_torchmetrics:
        example = "explained_variance" if task == REGRESSION else "cohen_kappa"
        choices += f", or any metric of torchmetrics for the task, such as {example}"
    problem = f"is not for the task {task}" if task else "is not known"
    ours = other_names.value_of(key, name)
    hint: Text = ["Did you mean ", Setting(key, ours), "? "] if ours in [*known, *of_torchmetrics] else ""
    hint = hint or did_you_mean_setting(key, name, [*known, *of_torchmetrics])
    return RequestError(Setting(key, name), problem, remedy=[hint, f"{choices}."])
