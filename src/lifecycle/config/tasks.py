"""What follows from a task: the losses and metrics that it allows, by the field's names, and its defaults."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lifecycle.contract import BINARY, MULTICLASS, REGRESSION
from lifecycle.errors import RequestError, did_you_mean


@dataclass(frozen=True)
class Task:
    """One task. The first loss is the default one."""

    losses: tuple[str, ...]  # names; see lifecycle.compile.losses
    metrics: dict[str, tuple[str, dict[str, Any]]]  # name -> class in torchmetrics, its arguments
    default_metrics: tuple[str, ...]
    domain: str  # module of torchmetrics whose other metrics may be named too

    @property
    def default_loss(self) -> str:
        """The loss that is taken where none is named."""
        return self.losses[0]


_BINARY: dict[str, Any] = {"task": "binary"}
_PER_CLASS: dict[str, Any] = {"task": "multiclass", "average": "macro"}

TASKS = {
    BINARY: Task(
        losses=("binary_crossentropy",),
        metrics={
            "accuracy": ("Accuracy", _BINARY),
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
            "precision": ("Precision", _PER_CLASS),
            "recall": ("Recall", _PER_CLASS),
            "f1": ("F1Score", _PER_CLASS),
            "auroc": ("AUROC", _PER_CLASS),
        },
        default_metrics=("accuracy",),
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

SYNONYMS = {
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
    "logcosh": "log_cosh",
    "sparse_categorical_crossentropy": "categorical_crossentropy",
}
"""Names of Keras's for losses that have another here."""

_LINKS = {"poisson": "exp"}

_CLASSES = {cls: name for task in reversed(TASKS.values()) for name, (cls, _) in reversed(task.metrics.items())}
"""Classes of torchmetrics that have a name of ours: the first of each task."""


def link_of(loss: str | None) -> str:
    """Return what makes values of a network's outputs: ``"exp"`` where they are the logarithm of a rate, else ""."""
    return _LINKS.get(loss or "", "")


def check_names(loss: str | None, metrics: Iterable[str] | None) -> None:
    """Refuse a loss or metric that no task knows; needs no data."""
    losses = {name for task in TASKS.values() for name in task.losses}
    if loss is not None and SYNONYMS.get(loss, loss) not in losses:
        raise _unfit("loss", loss, "", losses)
    for metric in metrics or ():
        if not any(_metric(task, metric) for task in TASKS):
            raise _unfit("metrics", metric, "", {name for task in TASKS.values() for name in task.metrics})


def loss_of(task: str, loss: str | None) -> str:
    """Return the name of the loss for a task, checked."""
    name = TASKS[task].default_loss if loss is None else SYNONYMS.get(loss, loss)
    if name not in TASKS[task].losses:
        raise _unfit("loss", str(loss), task, TASKS[task].losses)
    return name


def metrics_of(task: str, metrics: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of the metrics for a task, checked; those of torchmetrics in small letters (cohen_kappa)."""
    names: dict[str, None] = {}
    for metric in TASKS[task].default_metrics if metrics is None else metrics:
        name = _metric(task, metric)
        if not name:
            raise _unfit("metrics", metric, task, TASKS[task].metrics)
        names[name] = None
    return tuple(names)


def metric_class(task: str, name: str) -> tuple[str, dict[str, Any] | None]:
    """Return the class in torchmetrics of a name that :func:`metrics_of` returned, and its arguments, if it is ours."""
    if name in TASKS[task].metrics:
        return TASKS[task].metrics[name]
    return next(cls for cls in library(TASKS[task].domain) if snake(cls) == name), None


@cache
def library(domain: str) -> tuple[str, ...]:
    """Return the classes that torchmetrics offers from its module ``domain``; reads its source, and imports nothing."""
    spec = find_spec("torchmetrics")
    source = Path(spec.origin).read_text() if spec and spec.origin else ""
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
    return tuple(alias.name for node in imports if node.module == f"torchmetrics.{domain}" for alias in node.names)


def snake(name: str) -> str:
    """Return a class's name in small letters: ``CohenKappa`` as ``cohen_kappa``, ``AUROC`` as ``auroc``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _metric(task: str, name: str) -> str:
    """Return our name of a metric, as a class or in small letters; "" where the task has none such."""
    if name in TASKS[task].metrics:
        return name
    cls = next((cls for cls in library(TASKS[task].domain) if _bare(name) == cls.lower()), "")
    return _CLASSES.get(cls, snake(cls))


def _bare(name: str) -> str:
    return name.replace("_", "").lower()


def _unfit(key: str, name: str, task: str, known: Iterable[str]) -> RequestError:
    known = sorted(known)
    what = f"is not for the task {task}" if task else "is not known"
    more: list[str] = []
    if key == "metrics":
        domains = [TASKS[task].domain] if task else ["classification", "regression"]
        more = [snake(cls) for domain in domains for cls in library(domain)]
    hint = did_you_mean(name, [*known, *more], f"{key}=")
    others = ", or any metric of torchmetrics for the task, such as " if more else ""
    example = ("explained_variance" if task == REGRESSION else "cohen_kappa") if more else ""
    return RequestError(f"{key}={name} {what}.{hint} Choose from: {', '.join(known)}{others}{example}.")
