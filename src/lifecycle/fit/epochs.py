"""The callback that seeds each epoch, computes its scores and records its row."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytorch_lightning as pl
import torch

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.optimization import learning_rate
from lifecycle.compile.scores import prefixed
from lifecycle.data.batches import Batches
from lifecycle.errors import TrainingError
from lifecycle.fit.history import Row
from lifecycle.runtime.seeds import epoch_seed, seed_all
from lifecycle.schedules import NoSchedule


class Epochs(pl.Callback):
    """Seeds each epoch, computes its scores once, and records a row."""

    def __init__(
        self,
        batches: Batches,
        seed: int,
        listeners: Sequence[Callable[[Row], None]],
        logged: Collection[str] | None = None,
    ) -> None:
        """Create the callback of one fit.

        Args:
            batches: the training rows.
            seed: of their order and of dropout.
            listeners: called with each row.
            logged: the scores that other callbacks read from the Trainer; ``None``: all. Logging one takes Lightning as
                long as a small step.
        """
        self.batches, self.seed, self.listeners, self.logged = batches, seed, listeners, logged
        self.rows: list[Row] = []
        self._val: Row = {}
        self._rate: Row = {}
        self._started = 0.0
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset the scores, and in a DDP fit restore the caller's handler of SIGTERM."""
        for scores in (_compiled(pl_module).train_scores, _compiled(pl_module).val_scores):
            scores.reset()  # they may hold part of an interrupted epoch
        # Lightning's handler waits for the other processes, which may be dead already.
        if trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed order and dropout by (seed, epoch), so that a resumed fit repeats the epochs of an uninterrupted one."""
        self.batches.set_epoch(trainer.current_epoch)
        for layer in _compiled(pl_module).frozen:
            layer.eval()  # Lightning sets modes without calling train()
        # Stream 0 orders the rows, equally in all processes; each process draws its own dropout.
        seed_all(epoch_seed(self.seed, trainer.current_epoch, stream=1 + trainer.global_rank))
        # Before the first step, as schedules may change the rate within an epoch. A constant rate is not recorded.
        if not isinstance(_compiled(pl_module).schedule_config, NoSchedule):
            self._rate = {"lr": learning_rate(trainer.optimizers[0])}
        self._started = time.perf_counter()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the validation scores."""
        self._val = prefixed(_compiled(pl_module).val_scores.compute(), "val")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the training scores, record the row, and log scores for early stopping and checkpoints.

        Raises:
            TrainingError: a loss is not finite.
        """
        scores = {**prefixed(_compiled(pl_module).train_scores.compute(), "train"), **self._val}
        seconds = time.perf_counter() - self._started
        row = {"epoch": trainer.current_epoch + 1, **scores, **self._rate, "epoch_seconds": seconds}
        self.rows.append(row)
        if trainer.is_global_zero:
            for listener in self.listeners:
                listener(row)
        # After the listeners, so that the epoch that diverged is recorded.
        if (error := diverged(row, _compiled(pl_module).optimizer_config.lr)) is not None:
            raise error
        self._show(trainer, pl_module, {k: v for k, v in scores.items() if self.logged is None or k in self.logged})
        # Before the checkpoint of this epoch is written, which must hold the learning rate of the next one.
        _compiled(pl_module).end_epoch(scores)

    @staticmethod
    def _show(trainer: pl.Trainer, pl_module: pl.LightningModule, scores: Row) -> None:
        """Give scores to other callbacks, as ``pl_module.log_dict`` does in a tenth of the time of a small epoch."""
        found = {name: torch.tensor(score, device=pl_module.device) for name, score in scores.items()}
        trainer.callback_metrics.update(found)
        trainer.logged_metrics.update(found)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """End the fit at once if early stopping had ended it, since Lightning saves the wait count but not the stop."""
        # A caller from Python may continue without early stopping.
        trainer.should_stop = has_stopped(checkpoint) and trainer.early_stopping_callback is not None


def diverged(row: Row, lr: float) -> TrainingError | None:
    """Return the error of an epoch whose loss is not finite; ``None``: both losses are.

    Args:
        row: of the epoch.
        lr: learning rate of the optimizer, for the message.
    """
    for name in ("train_loss", "val_loss"):
        if not math.isfinite(row.get(name, 0.0)):
            return TrainingError(
                f"{name} is {row[name]} in epoch {row['epoch']}: training has diverged. "
                f"Lower optimizer.lr (now {lr:g}) or scale the data."
            )
    return None


def has_stopped(checkpoint: dict[str, Any]) -> bool:
    """Return whether early stopping had ended the fit that wrote a checkpoint."""
    states = [state for name, state in checkpoint["callbacks"].items() if name.startswith("EarlyStopping")]
    return any(state["wait_count"] >= state["patience"] for state in states)


def rows_of(checkpoint: dict[str, Any]) -> list[Row]:
    """Return the rows of the epochs up to a checkpoint."""
    return list(checkpoint["callbacks"][Epochs.__qualname__]["rows"])


def _compiled(module: pl.LightningModule) -> CompiledModel:
    assert isinstance(module, CompiledModel)  # noqa: S101 - fit() was given one
    return module
