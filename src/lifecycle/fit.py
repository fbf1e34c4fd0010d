"""Step 3, fit: Lightning's Trainer with early stopping and checkpoints; the history of every epoch."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CUDAAccelerator, MPSAccelerator
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.strategies import ParallelStrategy

from lifecycle import checkpoints
from lifecycle.compile import CompiledModel
from lifecycle.config import TrainerConfig
from lifecycle.data.batches import Batches, epoch_seed
from lifecycle.data.dataset import Dataset
from lifecycle.errors import RequestError, TrainingError, did_you_mean
from lifecycle.evaluate import prefixed

DEFAULT_BATCH_SIZE = 32

SMALL_STEP = 10_000_000
"""Rows times parameters of a step, under which one thread does the work."""

Row = dict[str, float]
"""One epoch: ``epoch`` (from 1), ``train_loss``, ``val_loss``, each metric of both, and ``epoch_seconds``."""


@dataclass(frozen=True)
class History:
    """What fitting did.

    Attributes:
        rows: a row an epoch.
        best_epoch: the epoch (from 1) that the weights are from.
        stopped: why fitting ended, as the end of a sentence.
    """

    rows: tuple[Row, ...]
    best_epoch: int
    stopped: str

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a table."""
        return pd.DataFrame(self.rows).astype({"epoch": int})


def check_devices(config: TrainerConfig) -> None:
    """Refuse an accelerator that is not there, or more devices than there are.

    Raises:
        RequestError: names the key and what there is.
    """
    gpus = torch.cuda.device_count() if CUDAAccelerator.is_available() else int(MPSAccelerator.is_available())
    if config.accelerator == "gpu" and not gpus:
        raise RequestError("trainer.accelerator=gpu but torch sees no GPU. Use trainer.accelerator=cpu or auto.")
    on_gpu = config.accelerator == "gpu" or (config.accelerator == "auto" and gpus)
    if on_gpu and config.devices > gpus:
        raise RequestError(
            f"trainer.devices={config.devices} but torch sees {gpus} GPU. Use {gpus}, or trainer.accelerator=cpu."
        )


def check(config: TrainerConfig, module: CompiledModel, data: Dataset) -> None:
    """Refuse what only data and metrics together show: the size of a batch, and a monitor that nothing measures.

    Raises:
        RequestError: names key, value and cure.
    """
    if config.batch_size is not None and config.batch_size > len(data.train):
        raise RequestError(
            f"trainer.batch_size={config.batch_size} is more than the {len(data.train)} training rows of "
            f"data={data.name}. Use at most {len(data.train)}."
        )
    parts = ("train", "val") if data.val is not None else ("train",)
    measured = [f"{part}_{name}" for part in parts for name in ("loss", *module.metric_names)]
    if config.monitor in measured or (data.val is None and not config.early_stopping and config.monitor == "val_loss"):
        return
    if data.val is None and config.monitor.startswith("val_"):
        raise RequestError(
            f"trainer.monitor={config.monitor} needs validation rows, got data.val_size=0. "
            "Add trainer.early_stopping=false, or trainer.monitor=train_loss."
        )
    raise RequestError(
        f"trainer.monitor={config.monitor} is not measured.{did_you_mean(config.monitor, measured)} "
        f"Choose from: {', '.join(measured)}."
    )


def batch_size(config: TrainerConfig, data: Dataset) -> int:
    """Return the rows of a step."""
    return config.batch_size or min(DEFAULT_BATCH_SIZE, len(data.train))


def trainer_for(config: TrainerConfig, *, devices: int, folder: Path, **more: Any) -> pl.Trainer:
    """Return a Trainer that prints and logs nothing of its own; ``more`` goes to it as it is."""
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=devices,
        strategy=config.strategy if devices > 1 else "auto",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        # On a CPU torch is deterministic as it is; the switch would only fill memory.
        deterministic="warn" if torch.cuda.is_available() and config.accelerator != "cpu" else False,
        default_root_dir=folder,
        **more,
    )


def fit(
    module: CompiledModel,
    data: Dataset,
    config: TrainerConfig,
    seed: int,
    folder: Path,
    listeners: Sequence[Callable[[Row], None]] = (),
    callbacks: Sequence[pl.Callback] = (),
) -> History:
    """Fit a model, and leave it with the weights of its best epoch.

    Args:
        module: the compiled model; its weights are changed.
        data: training and validation rows.
        config: epochs, batch size, early stopping, devices.
        seed: of the order of rows and of dropout.
        folder: where ``best.ckpt`` and ``last.ckpt`` go.
        listeners: called with each epoch's row, on the first process only.
        callbacks: Lightning callbacks, such as a progress bar.

    Raises:
        TrainingError: the loss is no longer a number.
    """
    train = Batches(data.train.inputs, data.train.targets, batch_size(config, data), shuffle_seed=seed)
    val = data.val and Batches(data.val.inputs, data.val.targets, max(batch_size(config, data), 1024))
    recorder = Recorder(train, seed, listeners)
    last = checkpoints.LastCheckpoint(folder)
    own: list[pl.Callback] = [recorder, last]
    early = best = None
    if config.early_stopping:
        early = EarlyStopping(
            config.monitor,
            mode=_mode(module, config.monitor),
            patience=config.patience,
            min_delta=config.min_delta,
            check_on_train_epoch_end=True,
        )
        own.append(early)
    if val is not None or not config.monitor.startswith("val_"):
        best = ModelCheckpoint(
            folder,
            filename=checkpoints.BEST.removesuffix(".ckpt"),
            monitor=config.monitor,
            mode=_mode(module, config.monitor),
            save_weights_only=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        own.append(best)
    trainer = trainer_for(
        config,
        devices=config.devices,
        folder=folder,
        max_epochs=config.max_epochs,
        callbacks=[*own, *callbacks],
        plugins=[checkpoints.CheckedCheckpointIO()],
    )
    try:
        with _threads(module, train.batch_size):
            trainer.fit(module, train, val)
    except BaseException:
        _end_processes(trainer)
        raise
    if best is None:  # nothing says which epoch is best: the last one is kept
        trainer.save_checkpoint(folder / checkpoints.BEST, weights_only=True)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # scoring is one process's work
    epoch = len(recorder.rows)
    if config.restore_best and is_first_process():
        checkpoint = checkpoints.read(folder / checkpoints.BEST)
        module.load_state_dict(checkpoint["state_dict"])
        epoch = len(recorder.rows) if best is None else checkpoint["epoch"] + 1
    stopped = (
        f"{config.monitor} had not improved for {config.patience} epochs"
        if early is not None and early.stopped_epoch
        else f"max_epochs={config.max_epochs} was reached"
    )
    return History(tuple(recorder.rows), epoch, stopped)


def is_first_process() -> bool:
    """Tell whether this is the process that speaks, tracks and scores; others help it to fit."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


class Recorder(pl.Callback):
    """Seeds each epoch, reads its scores once, and keeps the rows."""

    def __init__(self, batches: Batches, seed: int, listeners: Sequence[Callable[[Row], None]]) -> None:
        self.batches, self.seed, self.listeners = batches, seed, listeners
        self.rows: list[Row] = []
        self._val: Row = {}
        self._started = 0.0
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put back the caller's way of ending on SIGTERM; Lightning's waits for processes that may be gone."""
        if trainer.world_size > 1:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make order and dropout a function of (seed, epoch), so that going on from an epoch repeats what followed."""
        self.batches.set_epoch(trainer.current_epoch)
        torch.manual_seed(epoch_seed(self.seed, trainer.current_epoch, stream=1 + trainer.global_rank))
        self._started = time.perf_counter()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the validation scores."""
        self._val = prefixed(_compiled(pl_module).val_scores.compute(), "val")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the training scores, complete the row, and let early stopping and checkpoints see it."""
        scores = {**prefixed(_compiled(pl_module).train_scores.compute(), "train"), **self._val}
        row = {"epoch": trainer.current_epoch + 1, **scores, "epoch_seconds": time.perf_counter() - self._started}
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
        pl_module.log_dict(scores)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])


def _compiled(module: pl.LightningModule) -> CompiledModel:
    assert isinstance(module, CompiledModel)  # noqa: S101 - fit() was given one
    return module


@contextmanager
def _threads(module: CompiledModel, rows: int) -> Iterator[None]:
    """Use one thread where a step is small: more gain nothing there, and lose up to 3 times beside a busy neighbour."""
    before = torch.get_num_threads()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    torch.set_num_threads(1 if rows * parameters < SMALL_STEP else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _mode(module: CompiledModel, monitor: str) -> str:
    name = monitor.partition("_")[2]
    return "max" if name != "loss" and getattr(module.val_scores.metrics[name], "higher_is_better", False) else "min"


def _end_processes(trainer: pl.Trainer) -> None:
    """End the processes that a ddp run started; they would wait for this one for ever."""
    launcher = trainer.strategy.launcher if isinstance(trainer.strategy, ParallelStrategy) else None
    if launcher is not None:
        launcher.kill(signal.SIGKILL)
