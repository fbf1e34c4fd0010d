"""Checkpoints on disk: written atomically, each with its SHA-256, and read without pickle."""

from __future__ import annotations

import os
import pickle  # only for the type of an exception; nothing is unpickled
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lifecycle import layout
from lifecycle.errors import SavedModelError
from lifecycle.runtime.faults import full_errno
from lifecycle.runtime.files.digests import sha256

SECONDS_BETWEEN = 5.0
"""Least time between two writes of a checkpoint. Resuming from an older epoch gives the same weights, so a crash costs
at most this much work."""


NETWORK = "network."
"""Beginning of the names of a network's weights among those of the compiled module."""


class CheckedCheckpointIO(TorchCheckpointIO):
    """Writes a temporary file and renames it; refuses to read a file whose SHA-256 differs.

    ``best.ckpt`` is buffered in memory and written every few seconds, since a small network may improve a hundred times
    a second. It is always written before a ``last.ckpt`` that refers to it.

    Args:
        folder: of the fit's own ``best.ckpt``; ``None``: nothing is buffered.
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self._folder = None if folder is None else os.path.realpath(folder)  # as Lightning writes it
        self._buffered: tuple[dict[str, Any], Path] | None = None
        self._written = -SECONDS_BETWEEN  # the first best.ckpt is written at once

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``path`` and ``path.sha256``, in the format of ``sha256sum -c``; ``best.ckpt`` may be buffered."""
        if not self.is_best(path):
            self.flush()
            self._write(checkpoint, path)
            return
        # Training continues to change the tensors in place.
        weights = {name: value.clone() for name, value in checkpoint["state_dict"].items()}
        self._buffered = {**checkpoint, "state_dict": weights}, Path(path)
        if time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.flush()

    def is_best(self, path: str | Path) -> bool:
        """Return whether a path is that of the fit's own ``best.ckpt``; a callback of the caller may write another."""
        folder, name = os.path.split(path)
        return name == layout.BEST_CHECKPOINT and self._folder in (folder, os.path.realpath(folder))

    def flush(self) -> None:
        """Write the buffered ``best.ckpt``, if there is one."""
        if self._buffered is not None:
            self._write(*self._buffered)
            self._buffered, self._written = None, time.monotonic()

    def _write(self, checkpoint: dict[str, Any], path: Any) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        try:
            with fresh.open("wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())  # else a rename could survive a power failure that the content does not
        except BaseException as error:
            fresh.unlink(missing_ok=True)
            # torch raises RuntimeError on a full disk.
            number = full_errno(error) if isinstance(error, OSError | RuntimeError) else None
            if number is None:
                raise
            raise OSError(number, os.strerror(number), str(path)) from error
        try:
            line = f"{sha256(fresh)}  {path.name}\n"
            digests = _digest_file(path)
            # A process may be killed between the two renames: until the second is done, both digests are valid.
            _replace_text(digests, line + (digests.read_text() if path.exists() and digests.exists() else ""))
            fresh.replace(path)
            _replace_text(digests, line)
        finally:
            fresh.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Return the checkpoint; tensors and plain values only, even with ``weights_only=False``.

        Raises:
            SavedModelError: the file is missing or altered, or holds other objects.
        """
        return _relocated(read(Path(path)), Path(path).parent)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the file and its digest."""
        if self._buffered is not None and self._buffered[1] == Path(path):
            self._buffered = None
        Path(path).unlink(missing_ok=True)
        _digest_file(Path(path)).unlink(missing_ok=True)


def flush(trainer: pl.Trainer) -> None:
    """Write the checkpoint that the :class:`CheckedCheckpointIO` of a Trainer has buffered."""
    checkpoint_io = trainer.strategy.checkpoint_io
    if isinstance(checkpoint_io, CheckedCheckpointIO):
        checkpoint_io.flush()


def check(path: Path) -> None:
    """Check that a file is as :class:`CheckedCheckpointIO` wrote it.

    Raises:
        SavedModelError: it is missing or altered.
    """
    digests = _digest_file(path)
    if not path.is_file() or not digests.is_file():
        raise SavedModelError(
            f"{path} or its {digests.name} is missing. Give the path of a checkpoint that a run wrote."
        )
    if sha256(path) not in digests.read_text():
        raise SavedModelError(f"{path} is not the file that was written: its sha256 differs. It cannot be used.")


def read(path: Path) -> dict[str, Any]:
    """Return a checkpoint that :class:`CheckedCheckpointIO` wrote.

    Raises:
        SavedModelError: it is missing or altered, is no checkpoint, or holds more than tensors and plain values.
    """
    check(path)
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SavedModelError(f"{path} holds more than tensors and plain values. Do not use it.") from error
    except Exception as error:  # torch's reader raises many types on a file that is no checkpoint
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}".rstrip(": .")
        raise SavedModelError(f"{path} is no checkpoint ({why}). Do not use it.") from error
    return checkpoint


def network_weights(path: Path) -> dict[str, Any]:
    """Return the weights of the network in a checkpoint, by their names in the network.

    Raises:
        SavedModelError: as of :func:`read`.
    """
    state = read(path).get("state_dict", {})
    return {name.removeprefix(NETWORK): state[name] for name in state if name.startswith(NETWORK)}


def _relocated(checkpoint: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Have the states of Lightning's callbacks name the folder that the checkpoint is in now.

    After a move they would not be restored, and a fit that continues in a copy would remove the ``best.ckpt`` of the
    original.
    """
    now = os.path.realpath(folder)  # as Lightning writes it
    states = checkpoint.get("callbacks", {})  # another program may have written none
    for name, state in list(states.items()):
        then = state.get("dirpath") if isinstance(state, dict) else None
        if isinstance(then, str) and then != now:
            states[name] = _moved(state, then, now)
    return checkpoint


def _moved(value: Any, then: str, now: str) -> Any:
    """Return a value with another beginning of the paths in it, which may be keys too."""
    if isinstance(value, dict):
        return {_moved(key, then, now): _moved(item, then, now) for key, item in value.items()}
    is_below = isinstance(value, str) and (value == then or value.startswith(f"{then}/"))
    return f"{now}{value[len(then) :]}" if is_below else value


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt``: at the start, then at the end of an epoch every few seconds, and at the end of fitting."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / layout.LAST_CHECKPOINT
        self._written = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write before the first step, so that a fit can be resumed whenever it is interrupted."""
        self._write(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write if the last write is some seconds ago."""
        # Saving waits for all processes, so they must agree on it.
        due = time.monotonic() - self._written >= SECONDS_BETWEEN
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the final state."""
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
