"""Progress bars of a fit, on a terminal and in a notebook."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from lifecycle.runtime.quiet import ignored

if TYPE_CHECKING:
    from lifecycle.fit.history import Row

SECONDS_BETWEEN = 0.1
"""Least time between two updates, since drawing the bar takes longer than a step of a small network."""


class EpochBar(pl.Callback):
    """One bar for the whole fit, with the scores of the last epoch; updated by time, not by step."""

    needs_scores_and_steps = False  # so that the fit may do several steps within one batch of Lightning's

    def __init__(self, console: Console, max_epochs: int) -> None:
        self.progress = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            console=console,
            auto_refresh=False,  # its thread would compete with the training for a core
            transient=True,  # the summary of the run follows in its place
        )
        self.task: TaskID = self.progress.add_task("", total=max_epochs)
        self._drawn = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar, at the number of epochs that are done: 0, unless the fit is continued."""
        if trainer.is_global_zero:
            self.progress.update(self.task, completed=trainer.current_epoch)
            self.progress.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        """Advance within a long epoch."""
        batch_index: int = arguments[-1]
        self._draw(trainer.current_epoch + (batch_index + 1) / trainer.num_training_batches)

    def show(self, row: Row) -> None:
        """Advance by an epoch, and show its loss."""
        name = "val_loss" if "val_loss" in row else "train_loss"
        self.progress.update(self.task, description=f"{name} {row[name]:.4f}")
        self._draw(row["epoch"])

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw a full bar, also if the fit stopped early, and remove it."""
        done = max(1, round(self.progress.tasks[self.task].completed), trainer.current_epoch)
        self.progress.update(self.task, completed=done, total=done)
        self.progress.refresh()
        self.progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the bar."""
        self.progress.stop()

    def _draw(self, epochs: float) -> None:
        if time.monotonic() - self._drawn >= SECONDS_BETWEEN:
            self._drawn = time.monotonic()
            self.progress.update(self.task, completed=epochs)
            self.progress.refresh()


class NotebookBar(pl.Callback):
    """The bar of a notebook: a widget, or text if ipywidgets is not installed. It remains after the fit."""

    needs_scores_and_steps = False

    def __init__(self, max_epochs: int) -> None:
        with ignored():  # tqdm warns if ipywidgets is not installed
            from tqdm.auto import tqdm
        self.max_epochs, self._tqdm, self._drawn = max_epochs, tqdm, 0.0
        self.bar: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        options = {"unit": "epoch", "file": sys.stdout, "dynamic_ncols": True, "initial": trainer.current_epoch}
        self.bar = self._tqdm(total=self.max_epochs, **options)

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        """Advance within a long epoch."""
        batch_index: int = arguments[-1]
        if self.bar is not None:
            self._move(round(trainer.current_epoch + (batch_index + 1) / trainer.num_training_batches, 2))

    def show(self, row: Row) -> None:
        """Advance by an epoch, and show its loss."""
        if self.bar is not None:
            name = "val_loss" if "val_loss" in row else "train_loss"
            self.bar.set_postfix_str(f"{name} {row[name]:.4f}", refresh=False)
            self._move(int(row["epoch"]))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show a full bar, also if the fit stopped early."""
        if self.bar is not None:
            # A widget turns red unless its bar is full, so the total becomes the number of fitted epochs.
            done, started = int(self.bar.n), self.bar.start_t
            self.bar.reset(total=done)
            self.bar.n, self.bar.start_t = done, started
            self.bar.refresh()
            self.bar.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the bar where the fit failed."""
        if self.bar is not None:
            self.bar.close()

    def _move(self, epochs: float) -> None:
        # tqdm shows a float as it is, 3.0 of 10.
        self.bar.n = int(epochs) if epochs == int(epochs) else epochs
        if time.monotonic() - self._drawn >= SECONDS_BETWEEN:
            self._drawn = time.monotonic()
            self.bar.refresh()
