"""Step 3, fit: Lightning's Trainer with early stopping and checkpoints; the history of every epoch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor

from lifecycle.compile import stepping
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.precision import channels_last
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.batches import Batches, Chunks, in_order
from lifecycle.data.dataset import Dataset
from lifecycle.data.rows import WindowedRows
from lifecycle.errors import TrainingError
from lifecycle.fit import checkpoints
from lifecycle.fit.checkpoints import CheckedCheckpointIO
from lifecycle.fit.epochs import Epochs
from lifecycle.fit.history import History, Row
from lifecycle.fit.preflight import batch_size
from lifecycle.profiling.clock import phase
from lifecycle.runtime import memory
from lifecycle.runtime.processes import helpers_know_their_main_process, is_helper


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
        deterministic="warn" if torch.cuda.is_available() and config.accelerator != "cpu" else None,
        default_root_dir=folder,
        plugins=[LightningEnvironment(), CheckedCheckpointIO()],  # the first: whatever SLURM or torchrun left behind
        **more,
    )


@phase("fit")
def fit(
    module: CompiledModel,
    data: Dataset,
    config: TrainerConfig,
    seed: int,
    folder: Path,
    listeners: Sequence[Callable[[Row], None]] = (),
    callbacks: Sequence[pl.Callback] = (),
    checkpoint: Path | None = None,
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
        checkpoint: the ``last.ckpt`` of a fit that was broken off, to be gone on with as if it had not been; its epochs
            are in the history, and the listeners are not told of them again.

    Raises:
        TrainingError: the loss is no longer a number, or ``torch.compile`` does not get through.
        SavedModelError: the checkpoint is missing or altered.
    """
    train = _training_batches(config, data, seed)
    val = data.val and in_order(data.val.inputs, data.val.targets, data.val.truth)
    early, best = _early_stopping(config, module), _best_checkpoint(config, module, val is not None, folder)
    watching = [callback for callback in (early, best) if callback is not None]
    others = [callback for callback in callbacks if getattr(callback, "needs_scores_and_steps", True)]
    recorder = Epochs(train, seed, listeners, None if others else [config.monitor] if watching else [])
    module.step_options, steps = stepping.plan(config, module, train, others)
    trainer = trainer_for(
        config,
        devices=config.devices,
        folder=folder,
        max_epochs=config.max_epochs,
        callbacks=[recorder, *watching, checkpoints.LastCheckpoint(folder), *callbacks],  # the last sees what all know
    )
    try:
        with (
            _torch_compiled(module, config),
            _ctrl_c_kept(),
            helpers_know_their_main_process(),
            stepping.threads(module, train.batch_size),
            channels_last(module, config),
            memory.kept(),
        ):
            trainer.fit(module, Chunks(train, steps), val, ckpt_path=checkpoint, weights_only=True)
    except BaseException:
        with suppress(OSError):  # the error is the one to be told
            checkpoints.flush(trainer)
        _end_processes(trainer)
        raise
    checkpoints.flush(trainer)
    if isinstance(train.inputs, WindowedRows):
        train.inputs.forget()  # what follows needs memory too
    if best is None:  # nothing says which epoch is best: the last one is kept
        trainer.save_checkpoint(folder / checkpoints.BEST, weights_only=True)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # scoring is one process's work
    best_epoch = None if best is None or is_helper() else _best_epoch(config, module, folder)
    weights_epoch = best_epoch if best_epoch and config.restore_best else len(recorder.rows)
    stopped = (
        f"{config.monitor} had not improved for {config.patience} epoch{'s' * (config.patience > 1)}"
        if early is not None and len(recorder.rows) < config.max_epochs
        else f"max_epochs={config.max_epochs} was reached"
    )
    return History(tuple(recorder.rows), best_epoch, weights_epoch, stopped)


def _best_epoch(config: TrainerConfig, module: CompiledModel, folder: Path) -> int:
    """Return the best epoch (from 1), and give the model its weights if asked."""
    checkpoint = checkpoints.read(folder / checkpoints.BEST)
    if config.restore_best:
        module.load_state_dict(checkpoint["state_dict"])
    best: int = checkpoint["epoch"] + 1
    return best


def _training_batches(config: TrainerConfig, data: Dataset, seed: int) -> Batches:
    return Batches(
        data.train.inputs,
        data.train.targets,
        batch_size(config, data),
        seed if config.shuffle else None,
        data.train.truth,
        config.class_balanced,
        data.train.loss_weights,
    )


def _early_stopping(config: TrainerConfig, module: CompiledModel) -> EarlyStopping | None:
    if not config.early_stopping:
        return None
    return EarlyStopping(
        config.monitor,
        mode=module.mode(config.monitor),
        patience=config.patience,
        min_delta=config.min_delta,
        check_on_train_epoch_end=True,
        check_finite=False,  # a loss that is no number ends the run; a metric that has none yet is merely no better
    )


def _best_checkpoint(
    config: TrainerConfig, module: CompiledModel, validates: bool, folder: Path
) -> ModelCheckpoint | None:
    """Return what keeps ``best.ckpt``; nothing where nothing says which epoch is best."""
    if not validates and config.monitor.startswith("val_"):
        return None
    return ModelCheckpoint(
        folder,
        filename=checkpoints.BEST.removesuffix(".ckpt"),
        monitor=config.monitor,
        mode=module.mode(config.monitor),
        save_weights_only=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


@contextmanager
def _torch_compiled(module: CompiledModel, config: TrainerConfig) -> Iterator[None]:
    """Call the network through ``torch.compile`` while it is fitted, if asked; its weights keep their names."""
    if not config.torch_compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException  # nothing public is raised

    def call(inputs: Tensor) -> Any:  # nn.Module.compile() would pass over a plain nn.Sequential in silence
        return module.network(inputs)

    module.call_network = torch.compile(call)
    try:
        yield
    except TorchDynamoException as error:
        why = str(error).strip().splitlines()[0].rstrip(".")
        raise TrainingError(
            f"trainer.torch_compile=true and torch.compile does not get through: {why}. Install a C++ "
            "compiler (g++) if there is none, or leave trainer.torch_compile out."
        ) from error
    finally:
        module.call_network = None


@contextmanager
def _ctrl_c_kept() -> Iterator[None]:
    """Let Ctrl-C be what it is to a caller from Python: Lightning makes it ``sys.exit`` and ignores the next."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except ValueError as error:  # Lightning sets a handler, which Python allows on the main thread alone
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from error
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error


def _end_processes(trainer: pl.Trainer) -> None:
    """End the processes that a ddp run started; they would wait for this one for ever."""
    launcher = trainer.strategy.launcher if isinstance(trainer.strategy, ParallelStrategy) else None
    if launcher is not None:
        launcher.kill(signal.SIGKILL)
