"""Checkpoints on disk: written whole or not at all, each with its sha256, read without pickle."""

from __future__ import annotations

import os
import pickle  # for the name of an error alone; nothing is unpickled
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lifecycle.errors import SavedModelError
from lifecycle.runtime.digests import sha256
from lifecycle.runtime.faults import full_errno

BEST, LAST = "best.ckpt", "last.ckpt"
SECONDS_BETWEEN = 5.0
"""A ``last`` checkpoint is written at most this often; going on from an older boundary gives the same weights."""


class CheckedCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames; refuses to read a file that is not what was written.

    While a network improves with each epoch the best weights are kept in memory, and written every few seconds; always
    before a ``last.ckpt`` that knows of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: tuple[dict[str, Any], Path] | None = None
        self._written = -SECONDS_BETWEEN

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``path`` and ``path.sha256``, in the form that ``sha256sum -c`` reads; see above for ``best.ckpt``."""
        if Path(path).name != BEST:
            self.flush()
            self._write(checkpoint, path)
            return
        weights = {name: value.clone() for name, value in checkpoint["state_dict"].items()}
        self._waiting = {**checkpoint, "state_dict": weights}, Path(path)
        if time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.flush()

    def flush(self) -> None:
        """Write the best weights, if that has been put off."""
        if self._waiting is not None:
            self._write(*self._waiting)
            self._waiting, self._written = None, time.monotonic()

    def _write(self, checkpoint: dict[str, Any], path: Any) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        try:
            with fresh.open("wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException as error:
            fresh.unlink(missing_ok=True)
            number = full_errno(error) if isinstance(error, OSError | RuntimeError) else None
            if number is None:
                raise
            raise OSError(number, os.strerror(number), str(path)) from error
        try:
            line = f"{sha256(fresh)}  {path.name}\n"
            digests = _digest_file(path)
            # Until the rename is done, either file may be the one that a killed process leaves.
            _replace_text(digests, line + (digests.read_text() if path.exists() and digests.exists() else ""))
            fresh.replace(path)
            _replace_text(digests, line)
        finally:
            fresh.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Return the checkpoint; tensors and plain values only, whatever the caller asks.

        Raises:
            SavedModelError: the file is missing, altered, or holds more than that.
        """
        return read(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the file and its digest."""
        if self._waiting is not None and self._waiting[1] == Path(path):
            self._waiting = None
        Path(path).unlink(missing_ok=True)
        _digest_file(Path(path)).unlink(missing_ok=True)


def flush(trainer: pl.Trainer) -> None:
    """Write what is still in memory of the checkpoints of a Trainer that has :class:`CheckedCheckpointIO`."""
    written_by = trainer.strategy.checkpoint_io
    if isinstance(written_by, CheckedCheckpointIO):
        written_by.flush()


def check(path: Path) -> None:
    """Refuse a file that is not what :class:`CheckedCheckpointIO` wrote.

    Raises:
        SavedModelError: it is missing or altered.
    """
    digests = _digest_file(path)
    if not path.is_file() or not digests.is_file():
        raise SavedModelError(
            f"{path} or its {digests.name} is missing. Give the path of a checkpoint that a run left."
        )
    if sha256(path) not in digests.read_text():
        raise SavedModelError(f"{path} is not the file that was written: its sha256 differs. It cannot be used.")


def read(path: Path) -> dict[str, Any]:
    """Return a checkpoint that :class:`CheckedCheckpointIO` wrote; see there."""
    check(path)
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SavedModelError(f"{path} holds more than tensors and plain values. Do not use it.") from error
    except Exception as error:  # whatever a file that is no checkpoint makes of torch's reader
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}".rstrip(": .")
        raise SavedModelError(f"{path} is no checkpoint ({why}). Do not use it.") from error
    return checkpoint


class LastCheckpoint(Checkpoint):
    """Keeps ``last.ckpt``: at the start, then at the end of an epoch every few seconds, and at the end of fitting."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LAST
        self._written = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write before the first step, so that there is one whenever fitting ends."""
        self._write(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write if it is time; all processes of a run decide alike."""
        due = time.monotonic() - self._written >= SECONDS_BETWEEN
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the end."""
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._written = time.monotonic()


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _replace_text(file: Path, text: str) -> None:
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text)
    fresh.replace(file)
