"""Lightning callbacks of a Python caller, and the logger that they log to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from pytorch_lightning.loggers.logger import Logger

from lifecycle.errors import RequestError

UNUSABLE: dict[type[pl.Callback], str] = {
    LearningRateFinder: "Use model.find_lr(X, y), then compile(lr=...).",
    BatchSizeFinder: "Give batch_size=.",
    GradientAccumulationScheduler: "Give a larger batch_size=.",
    StochasticWeightAveraging: "Average the weights of several fits with get_weights() and set_weights().",
}
"""Callbacks that replace the steps or the loop, which here take several batches at once."""


class CallbackLogger(Logger):
    """Keeps what callbacks log: learning rates, the use of devices.

    Args:
        listener: called with what is logged, and its step.
    """

    def __init__(self, listener: Callable[[dict[str, float], int], None] | None = None) -> None:
        super().__init__()
        self.listener = listener
        self.rows: list[dict[str, float]] = []

    @property
    def name(self) -> str:
        """The name of the logger."""
        return "lifecycle"

    @property
    def version(self) -> str:
        """Empty: a fit has one."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep metrics of a callback; the scores of an epoch, which have the same names, are recorded already."""
        own = {name: float(value) for name, value in metrics.items() if not _is_score(name)}
        if own:
            self.rows.append({"step": float(step or 0), **own})
            if self.listener is not None:
                self.listener(own, int(step or 0))

    def log_hyperparams(self, params: Any, *arguments: Any, **options: Any) -> None:
        """Do nothing: the request has them."""


def _is_score(name: str) -> bool:
    return name.startswith(("train_", "val_")) or name == "epoch"


def read(callbacks: Any) -> list[pl.Callback]:
    """Return one or several callbacks as a list.

    Raises:
        RequestError: one is not a Lightning callback, or cannot be used here.
    """
    several = list(callbacks) if isinstance(callbacks, list | tuple) else [] if callbacks is None else [callbacks]
    for callback in several:
        if not isinstance(callback, pl.Callback):
            foreign = type(callback).__module__.split(".")[0] in ("keras", "tensorflow", "skorch")
            remedy = "Use the one of pytorch_lightning.callbacks." if foreign else "Derive the class from pl.Callback."
            raise RequestError("callbacks", "must be Lightning callbacks", repr(callback), remedy)
        for cls, remedy in UNUSABLE.items():
            if isinstance(callback, cls):
                raise RequestError("callbacks", f"cannot have a {type(callback).__name__}", remedy=remedy)
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            problem = "has a ModelCheckpoint without a folder"
            remedy = 'Write ModelCheckpoint(dirpath="checkpoints"). The best weights are kept without it.'
            raise RequestError("callbacks", problem, remedy=remedy)
    return several


def stops_itself(callbacks: Iterable[pl.Callback]) -> bool:
    """Return whether a callback of the caller stops the fit early."""
    return any(isinstance(callback, EarlyStopping) for callback in callbacks)


def check_monitors(callbacks: Iterable[pl.Callback], measured: list[str]) -> None:
    """Refuse a callback that monitors a score that is not measured, which Lightning would notice after an epoch.

    Raises:
        RequestError: names the scores.
    """
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(callback, EarlyStopping | ModelCheckpoint) and monitor is not None and monitor not in measured:
            problem = f"has {type(callback).__name__}(monitor={monitor!r}), which is not measured"
            remedy = f"Choose from: {', '.join(measured)}."
            if monitor.startswith("val_") and not any(name.startswith("val_") for name in measured):
                remedy = "Give validation_split or validation_data, or monitor='train_loss'."
            raise RequestError("callbacks", problem, remedy=remedy)
