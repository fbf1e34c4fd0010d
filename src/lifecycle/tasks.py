"""What follows from a task: the losses and metrics that it allows, by the field's names, and its defaults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lifecycle.contract import BINARY, MULTICLASS, REGRESSION
from lifecycle.errors import RequestError, did_you_mean


@dataclass(frozen=True)
class Task:
    """One task. The first loss is the default one."""

    losses: dict[str, str]  # name -> class in torch.nn, applied to logits or values
    metrics: dict[str, tuple[str, dict[str, Any]]]  # name -> class in torchmetrics, its arguments
    default_metrics: tuple[str, ...]

    @property
    def default_loss(self) -> str:
        """The loss that is taken where none is named."""
        return next(iter(self.losses))


_BINARY: dict[str, Any] = {"task": "binary"}
_PER_CLASS: dict[str, Any] = {"task": "multiclass", "average": "macro"}

TASKS = {
    BINARY: Task(
        losses={"binary_crossentropy": "BCEWithLogitsLoss"},
        metrics={
            "accuracy": ("Accuracy", _BINARY),
            "precision": ("Precision", _BINARY),
            "recall": ("Recall", _BINARY),
            "f1": ("F1Score", _BINARY),
            "auroc": ("AUROC", _BINARY),
        },
        default_metrics=("accuracy",),
    ),
    MULTICLASS: Task(
        losses={"categorical_crossentropy": "CrossEntropyLoss"},
        metrics={
            "accuracy": ("Accuracy", {"task": "multiclass", "average": "micro"}),
            "precision": ("Precision", _PER_CLASS),
            "recall": ("Recall", _PER_CLASS),
            "f1": ("F1Score", _PER_CLASS),
            "auroc": ("AUROC", _PER_CLASS),
        },
        default_metrics=("accuracy",),
    ),
    REGRESSION: Task(
        losses={"mse": "MSELoss", "mae": "L1Loss", "huber": "HuberLoss"},
        metrics={
            "mse": ("MeanSquaredError", {}),
            "rmse": ("MeanSquaredError", {"squared": False}),
            "mae": ("MeanAbsoluteError", {}),
            "mape": ("MeanAbsolutePercentageError", {}),
            "r2": ("R2Score", {}),
        },
        default_metrics=("mae", "rmse"),
    ),
}


def check_names(loss: str | None, metrics: Iterable[str] | None) -> None:
    """Refuse a loss or metric that no task knows; needs no data."""
    _known("loss", loss, {name for task in TASKS.values() for name in task.losses})
    for metric in metrics or ():
        _known("metrics", metric, {name for task in TASKS.values() for name in task.metrics})


def loss_of(task: str, loss: str | None) -> str:
    """Return the name of the loss for a task, checked."""
    _known("loss", loss, TASKS[task].losses, task)
    return loss or TASKS[task].default_loss


def metrics_of(task: str, metrics: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of the metrics for a task, checked."""
    names = TASKS[task].default_metrics if metrics is None else tuple(dict.fromkeys(metrics))
    for metric in names:
        _known("metrics", metric, TASKS[task].metrics, task)
    return names


def _known(key: str, name: str | None, known: Iterable[str], task: str = "") -> None:
    known = sorted(known)
    if name is not None and name not in known:
        what = f"is not for the task {task}" if task else "is not known"
        raise RequestError(
            f"{key}={name} {what}.{did_you_mean(name, known, f'{key}=')} Choose from: {', '.join(known)}."
        )
