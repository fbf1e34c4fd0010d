"""Step 3, fit: runs Lightning's Trainer with early stopping and checkpoints, and returns the history."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from fsspec.implementations.local import LocalFileSystem
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, ProgressBar
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor

from lifecycle import layout, registry
from lifecycle.compile import stepping
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.devices import device_of, without_parsing
from lifecycle.compile.precision import channels_last
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.augmentation import Augmenter
from lifecycle.data.batches import Batches, Chunks, Truth, in_order
from lifecycle.data.dataset import Dataset, Part
from lifecycle.data.rows import Rows, WindowedRows
from lifecycle.errors import TrainingError, first_line
from lifecycle.fit import checkpoints
from lifecycle.fit.checkpoints import CheckedCheckpointIO
from lifecycle.fit.epochs import Epochs
from lifecycle.fit.history import History, Row
from lifecycle.fit.launch import started_helpers
from lifecycle.fit.preflight import batch_size
from lifecycle.profiling.clock import phase
from lifecycle.runtime import memory
from lifecycle.runtime.imports.of_torch import complete_shapes
from lifecycle.runtime.processes import helpers_know_their_main_process, is_helper

VERSION: str = vars(pl)["__version__"]

SHARE_FOR_ROWS = 0.25
"""Of the free memory of a GPU, for the rows of a fit."""


class _Trainer(pl.Trainer):
    """A Trainer that writes the fit's own ``best.ckpt`` without the states of Lightning's loops.

    Nothing continues from it, and to list them takes a twentieth of the time of a small network, which may improve in
    each epoch.
    """

    def save_checkpoint(
        self, filepath: str | Path, weights_only: bool | None = None, storage_options: Any | None = None
    ) -> None:
        """Save a checkpoint; see :meth:`pytorch_lightning.Trainer.save_checkpoint`."""
        written_by = self.strategy.checkpoint_io
        is_best = isinstance(written_by, CheckedCheckpointIO) and written_by.is_best(filepath)
        if not is_best or self.world_size > 1:
            super().save_checkpoint(filepath, weights_only, storage_options)
            return
        weights = self.strategy.lightning_module_state_dict()
        place = {"epoch": self.current_epoch, "global_step": self.global_step}
        checkpoint = {**place, "pytorch-lightning_version": VERSION, "state_dict": weights}
        self.strategy.save_checkpoint(checkpoint, filepath)


def trainer_for(config: TrainerConfig, *, devices: int, folder: Path, **more: Any) -> pl.Trainer:
    """Return a Trainer that neither prints nor logs.

    Args:
        config: accelerator and strategy.
        devices: number of processes.
        folder: for files that Lightning may write.
        more: further arguments of :class:`pytorch_lightning.Trainer`.
    """
    _know_local_files()
    with _callbacks_listed_once(), without_parsing(device_of(config)):
        return _trainer(config, devices, folder, more)


def _trainer(config: TrainerConfig, devices: int, folder: Path, more: dict[str, Any]) -> pl.Trainer:
    return _Trainer(
        accelerator=config.accelerator,
        devices=devices,
        strategy=config.strategy if devices > 1 else "auto",
        logger=more.pop("logger", False),
        # That of a caller; ours is a callback of another kind.
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in more.get("callbacks", ())),
        max_epochs=more.pop("max_epochs", config.max_epochs),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # Batches divides the rows among the processes
        # On a CPU torch is deterministic without it, and the switch fills new tensors, which costs time.
        deterministic="warn" if torch.cuda.is_available() and config.accelerator != "cpu" else None,
        default_root_dir=folder,
        # Without an explicit environment, Lightning follows variables that SLURM or torchrun left behind.
        plugins=[LightningEnvironment(), CheckedCheckpointIO(folder)],
        **more,
    )


def _know_local_files() -> None:
    """Have Lightning know that local files are in no object storage without importing the clients of all of these."""
    cloud: Any = import_module("lightning_fabric.utilities.cloud_io")
    asked = cloud._is_object_storage
    if asked.__module__ == cloud.__name__:
        cloud._is_object_storage = lambda files: not isinstance(files, LocalFileSystem) and asked(files)


@contextmanager
def _callbacks_listed_once() -> Iterator[None]:
    """Look for the callbacks that installed packages add to each Trainer once, rather than for each Trainer.

    To read the entry points of all packages takes as long as some epochs of a small fit.
    """
    with _listing:
        load = _connector._load_external_callbacks

        def loaded(group: str) -> list[Any]:
            if not registry.declared(group):
                return []
            complete_shapes()  # these callbacks may do anything
            found: list[Any] = load(group)
            return found

        _connector._load_external_callbacks = loaded
        try:
            yield
        finally:
            _connector._load_external_callbacks = load


_connector: Any = import_module("pytorch_lightning.trainer.connectors.callback_connector")
_listing = threading.Lock()


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
    logger: Logger | None = None,
) -> History:
    """Fit a model, and leave it with the weights of its best epoch.

    Args:
        module: the compiled model; its weights are changed.
        data: training and validation rows.
        config: epochs, batch size, early stopping, devices.
        seed: of the order of rows and of dropout.
        folder: for ``best.ckpt`` and ``last.ckpt``.
        listeners: called with the row of each epoch, on the first process only.
        callbacks: Lightning callbacks, such as a progress bar.
        checkpoint: the ``last.ckpt`` to resume from. The history includes its epochs; the listeners do not see them.
        logger: that callbacks log to; ``None``: they do not log.

    Raises:
        TrainingError: the loss is no longer finite, or ``torch.compile`` fails.
        SavedModelError: the checkpoint is missing or altered.
    """
    train = training_batches(config, data, seed)
    val = None if data.val is None else in_order(data.val.inputs, data.val.targets, data.val.truth)
    early, best = _early_stopping(config, module), _best_checkpoint(config, module, val is not None, folder, callbacks)
    monitors = [callback for callback in (early, best) if callback is not None]
    observers = [callback for callback in callbacks if getattr(callback, "needs_scores_and_steps", True)]
    recorder = Epochs(train, seed, listeners, None if observers else [config.monitor] if monitors else [])
    module.step_options, steps = stepping.plan(config, module, train, observers)
    with started_helpers():
        trainer = trainer_for(
            config,
            devices=config.devices,
            folder=folder,
            # In this order: the recorder logs the scores that the monitors read; last.ckpt holds the states of both.
            callbacks=[recorder, *monitors, checkpoints.LastCheckpoint(folder), *callbacks],
            logger=logger or False,
        )
        _run(trainer, module, config, train, (Chunks(train, steps), val), checkpoint)
    if best is None:  # nothing is monitored, so the last epoch is kept
        trainer.save_checkpoint(folder / layout.BEST_CHECKPOINT, weights_only=True)
    _release(train)
    best_epoch = None if best is None or is_helper() else _best_epoch(config, module, folder)
    return _stopped_by(observers, config, history_of(config, recorder.rows, best_epoch, early is not None))


def _stopped_by(callbacks: Sequence[pl.Callback], config: TrainerConfig, history: History) -> History:
    """Return a history that says which callback of a caller ended the fit, if one did."""
    if config.early_stopping or len(history.rows) >= config.max_epochs:
        return history
    names = [type(callback).__name__ for callback in callbacks if isinstance(callback, EarlyStopping)]
    return replace(history, stopped=f"{names[0] if names else 'a callback'} stopped it")


def _run(
    trainer: pl.Trainer,
    module: CompiledModel,
    config: TrainerConfig,
    train: Batches,
    loaders: tuple[Chunks, Batches | None],
    checkpoint: Path | None,
) -> None:
    """Run the epochs with the settings of this fit, and write what remains of the checkpoints, however it ends."""
    try:
        with (
            _torch_compiled(module, config),
            _ctrl_c_kept(),
            helpers_know_their_main_process(),
            stepping.threads(module, train.batch_size),
            channels_last(module, config),
            memory.kept(),
            rows_on_gpu((train, loaders[1]), trainer.strategy.root_device),
        ):
            trainer.fit(module, *loaders, ckpt_path=checkpoint, weights_only=True)
    except BaseException:
        with suppress(OSError):  # a full disk must not hide the error that ended the fit
            checkpoints.flush(trainer)
        _end_processes(trainer)
        raise
    checkpoints.flush(trainer)  # before the best weights are read from the file


@contextmanager
def rows_on_gpu(parts: Sequence[Batches | None], device: torch.device) -> Iterator[None]:
    """Keep the rows of a fit on its GPU within the block, if they take a quarter of its free memory at most.

    Otherwise each chunk is copied to it from memory, which takes longer than the steps of a small network. So is each
    chunk of images that are augmented, which the CPU does.

    Args:
        parts: training and validation rows.
        device: of the fit; nothing is done on another one than a GPU of NVIDIA's.
    """
    batches = [part for part in parts if part is not None]
    sizes = [part.num_bytes for part in batches]
    known = [size for size in sizes if size is not None]
    with ExitStack() as stack:
        in_memory = len(known) == len(sizes) and all(part.augment is None for part in batches)
        if device.type == "cuda" and in_memory and sum(known) <= torch.cuda.mem_get_info(device)[0] * SHARE_FOR_ROWS:
            for part in batches:
                stack.enter_context(part.kept_on(device))
        yield


def _release(train: Batches) -> None:
    """Release what only fitting needs: scoring uses one process, and as much memory as there is."""
    if isinstance(train.inputs, WindowedRows):
        train.inputs.forget()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def history_of(config: TrainerConfig, rows: Sequence[Row], best_epoch: int | None, stops_early: bool) -> History:
    """Return the history of a fit, with the epoch of its weights and the reason why it ended."""
    stopped = f"max_epochs={config.max_epochs} was reached"
    if stops_early and len(rows) < config.max_epochs:
        stopped = f"{config.monitor} had not improved for {config.patience} epoch{'s' * (config.patience > 1)}"
    weights_epoch = best_epoch if best_epoch and config.restore_best else len(rows)
    return History(tuple(rows), best_epoch, weights_epoch, stopped)


def _best_epoch(config: TrainerConfig, module: CompiledModel, folder: Path) -> int:
    """Return the best epoch (from 1), and give the model its weights if ``restore_best``."""
    checkpoint = checkpoints.read(folder / layout.BEST_CHECKPOINT)
    if config.restore_best:
        module.load_state_dict(checkpoint["state_dict"])
    best: int = checkpoint["epoch"] + 1
    return best


def training_batches(config: TrainerConfig, data: Dataset, seed: int) -> Batches:
    """Return the mini-batches of a fit.

    Raises:
        RequestError: images are to be augmented, and kornia is not installed.
    """
    return Batches(
        data.train.inputs,
        data.train.targets,
        batch_size(config, data),
        seed if config.shuffle else None,
        data.train.truth,
        config.class_balanced,
        data.train.loss_weights,
        None if data.augmentation is None else Augmenter(data.augmentation, seed),
        None if data.next_train is None else lambda: _contents(data.next_train),
    )


def _contents(next_train: Callable[[], Part] | None) -> tuple[Rows, Tensor, Truth | None, Tensor | None]:
    assert next_train is not None  # noqa: S101 - for the types
    part = next_train()
    return part.inputs, part.targets, part.truth, part.loss_weights


def _early_stopping(config: TrainerConfig, module: CompiledModel) -> EarlyStopping | None:
    if not config.early_stopping:
        return None
    return EarlyStopping(
        config.monitor,
        mode=module.mode(config.monitor),
        patience=config.patience,
        min_delta=config.min_delta,
        check_on_train_epoch_end=True,
        check_finite=False,  # Epochs ends the run if the loss is not finite; a metric may be NaN for some epochs
    )


class BestCheckpoint(ModelCheckpoint):
    """Writes ``best.ckpt`` where the caller has a ``ModelCheckpoint`` too."""


def _best_checkpoint(
    config: TrainerConfig, module: CompiledModel, validates: bool, folder: Path, others: Sequence[pl.Callback]
) -> ModelCheckpoint | None:
    """Return the callback that writes ``best.ckpt``; ``None``: no score says which epoch is best."""
    if not validates and config.monitor.startswith("val_"):
        return None
    # The class is part of the key of its state, which must differ from that of a caller's own.
    cls = BestCheckpoint if any(isinstance(other, ModelCheckpoint) for other in others) else ModelCheckpoint
    return cls(
        folder,
        filename=layout.BEST_CHECKPOINT.removesuffix(".ckpt"),
        monitor=config.monitor,
        mode=module.mode(config.monitor),
        save_weights_only=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,  # a resumed fit writes best.ckpt again, not best-v1.ckpt
    )


@contextmanager
def _torch_compiled(module: CompiledModel, config: TrainerConfig) -> Iterator[None]:
    """Call the network through ``torch.compile`` during the fit, if configured; its weights keep their names."""
    if not config.torch_compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException  # torch raises no public exception here

    def call(inputs: Tensor) -> Any:  # nn.Module.compile() silently has no effect on a plain nn.Sequential
        return module.network(inputs)

    module.call_network = torch.compile(call)
    try:
        yield
    except TorchDynamoException as error:
        why = first_line(error)
        raise TrainingError(
            f"trainer.torch_compile=true but torch.compile fails: {why}. Install a C++ "
            "compiler (g++) if there is none, or leave trainer.torch_compile out."
        ) from error
    finally:
        module.call_network = None


@contextmanager
def _ctrl_c_kept() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` on Ctrl-C, as a caller from Python expects.

    Lightning turns it into ``SystemExit`` and ignores the next Ctrl-C.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except ValueError as error:  # Lightning sets a signal handler, which Python allows on the main thread only
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from error
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error


def _end_processes(trainer: pl.Trainer) -> None:
    """Kill the helper processes of a DDP run, which would wait for this one for ever."""
    launcher = trainer.strategy.launcher if isinstance(trainer.strategy, ParallelStrategy) else None
    if launcher is not None:
        launcher.kill(signal.SIGKILL)
