"""Each epoch of a fit: seeded, its scores read once, its row kept."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytorch_lightning as pl

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.optimization import learning_rate
from lifecycle.compile.scores import prefixed
from lifecycle.data.batches import Batches
from lifecycle.errors import TrainingError
from lifecycle.fit.history import Row
from lifecycle.runtime.seeds import epoch_seed, seed_all
from lifecycle.schedules import NoSchedule


class Epochs(pl.Callback):
    """Seeds each epoch, reads its scores once, and keeps the rows."""

    def __init__(
        self,
        batches: Batches,
        seed: int,
        listeners: Sequence[Callable[[Row], None]],
        watched: Collection[str] | None = None,
    ) -> None:
        """Record a fit.

        Args:
            batches: the training rows.
            seed: of their order and of dropout.
            listeners: called with each row.
            watched: the scores that other callbacks read from the Trainer; ``None``: all. Each costs as much as a step.
        """
        self.batches, self.seed, self.listeners, self.watched = batches, seed, listeners, watched
        self.rows: list[Row] = []
        self._val: Row = {}
        self._rate: Row = {}
        self._started = 0.0
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with no scores, and with the caller's way of ending on SIGTERM: Lightning's waits for the dead."""
        for scores in (_compiled(pl_module).train_scores, _compiled(pl_module).val_scores):
            scores.reset()  # of a pass that was broken off
        if trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make order and dropout a function of (seed, epoch), so that going on from an epoch repeats what followed."""
        self.batches.set_epoch(trainer.current_epoch)
        seed_all(epoch_seed(self.seed, trainer.current_epoch, stream=1 + trainer.global_rank))
        if not isinstance(_compiled(pl_module).schedule_config, NoSchedule):
            self._rate = {"lr": learning_rate(trainer.optimizers[0])}
        self._started = time.perf_counter()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the validation scores."""
        self._val = prefixed(_compiled(pl_module).val_scores.compute(), "val")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the training scores, complete the row, and let early stopping and checkpoints see it."""
        scores = {**prefixed(_compiled(pl_module).train_scores.compute(), "train"), **self._val}
        seconds = time.perf_counter() - self._started
        row = {"epoch": trainer.current_epoch + 1, **scores, **self._rate, "epoch_seconds": seconds}
        self.rows.append(row)
        if trainer.is_global_zero:
            for listener in self.listeners:
                listener(row)
        for name in ("train_loss", "val_loss"):
            if not math.isfinite(scores.get(name, 0.0)):
                rate = _compiled(pl_module).optimizer_config.lr
                raise TrainingError(
                    f"{name} is {scores[name]} in epoch {row['epoch']}: training has diverged. "
                    f"Lower optimizer.lr (now {rate:g}) or scale the data."
                )
        pl_module.log_dict({k: v for k, v in scores.items() if self.watched is None or k in self.watched})
        # Here, as the checkpoint of this epoch is written next: it holds the rate that the next one begins with.
        _compiled(pl_module).end_epoch(scores)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """End at once where early stopping had ended it: Lightning remembers the epochs waited for, and not the end."""
        trainer.should_stop = has_stopped(checkpoint)


def has_stopped(checkpoint: dict[str, Any]) -> bool:
    """Tell whether early stopping had ended the fit that a checkpoint is of."""
    states = [state for name, state in checkpoint["callbacks"].items() if name.startswith("EarlyStopping")]
    return any(state["wait_count"] >= state["patience"] for state in states)


def rows_of(checkpoint: dict[str, Any]) -> list[Row]:
    """Return the rows of the epochs that a checkpoint is the end of."""
    return list(checkpoint["callbacks"][Epochs.__qualname__]["rows"])


def _compiled(module: pl.LightningModule) -> CompiledModel:
    assert isinstance(module, CompiledModel)  # noqa: S101 - fit() was given one
    return module
