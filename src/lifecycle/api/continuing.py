"""Continues a fit: the checkpoint that it left. Imports Lightning where a fit is continued, not with ``Model``."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import layout
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    from lifecycle.config.request import Job
    from lifecycle.fit.history import Row
    from lifecycle.predict.trained_model import TrainedModel


class Kept:
    """A folder with the checkpoints of a fit, which is removed with this object."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lifecycle-"))
        # No TemporaryDirectory, which warns when it is removed with its model.
        self._finalizer = weakref.finalize(self, _remove, self.path, os.getpid())

    def take(self, folder: Path) -> None:
        """Copy the checkpoints of another folder."""
        for name in (layout.LAST_CHECKPOINT, layout.BEST_CHECKPOINT):
            for file in (folder / name, folder / f"{name}.sha256"):
                if file.is_file():
                    shutil.copy(file, self.path)


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked process has the object too
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Before:
    """A fit that may be continued.

    Attributes:
        trained: its model.
        job: its request; ``None``: the model was loaded, and only its weights are known.
        kept: its checkpoints.
    """

    trained: TrainedModel
    job: Job | None = None
    kept: Kept | None = None

    @property
    def rows(self) -> list[Row]:
        """The rows of the epochs that are done."""
        from lifecycle.fit.epochs import rows_of

        return [] if self.kept is None else rows_of(self._checkpoint)

    @property
    def weights(self) -> dict[str, Any]:
        """The weights of the model by name, those of the best epoch where one was restored."""
        return {name: value.detach().cpu().clone() for name, value in self.trained.network.state_dict().items()}

    @property
    def _checkpoint(self) -> dict[str, Any]:
        from lifecycle.fit import checkpoints

        assert self.kept is not None  # noqa: S101 - its callers ask
        return checkpoints.read(self.kept.path / layout.LAST_CHECKPOINT)

    def continues(self, job: Job) -> bool:
        """Return whether another request continues the optimizer too: it is compiled as before."""
        then = self.job
        if then is None:
            return False
        pairs = ((then.optimizer, job.optimizer), (then.loss, job.loss), (then.metrics, job.metrics))
        same = all(_same(one, other) for one, other in pairs) and then.start.frozen == job.start.frozen
        return same and then.schedule_name == job.schedule_name

    def check(self, job: Job) -> None:
        """Refuse a fit that early stopping would end at once, or whose past learning rates were planned otherwise.

        Raises:
            RequestError: names the argument.
        """
        from lifecycle.fit.epochs import has_stopped

        if job.trainer.early_stopping and has_stopped(self._checkpoint):
            problem = f"had not improved for {job.trainer.patience} epochs when the fit ended, and ends it again"
            remedy = "Add early_stopping=False."
            raise RequestError(Setting("trainer.monitor", job.trainer.monitor), problem, remedy=remedy)
        assert self.job is not None  # noqa: S101 - it continues
        if self.job.schedule != job.schedule:
            problem = f"was planned over {self.job.trainer.max_epochs} epochs"
            remedy = 'Call compile(schedule="none"), which begins with a new optimizer, or fit for all epochs at once.'
            raise RequestError(Setting("schedule", job.schedule_name), problem, remedy=remedy)

    def into(self, folder: Path) -> Path:
        """Copy the checkpoints into the folder of the fit that continues, and return the one to resume from."""
        assert self.kept is not None  # noqa: S101 - it continues
        folder.mkdir(parents=True, exist_ok=True)
        copy = Kept()
        copy.take(self.kept.path)
        for file in copy.path.iterdir():
            shutil.copy(file, folder)
        return folder / layout.LAST_CHECKPOINT


def _same(one: Any, other: Any) -> bool:
    """Return whether two objects of a compilation are equal, also functions of the caller."""
    if getattr(one, "make", None) is not getattr(other, "make", None):
        return False
    return bool(one == other)


def first_epoch(initial_epoch: int, resume: bool, before: Before | None, epochs: int) -> tuple[int, int]:
    """Return the number of epochs that are done, and in all.

    Args:
        initial_epoch: as in Keras: the epochs that are done; then ``epochs`` is the number in all.
        resume: whether to continue with ``epochs`` more.
        before: the last fit.
        epochs: as given.

    Raises:
        RequestError: there is no fit to continue, or it has another number of epochs.
    """
    if not (initial_epoch or resume):
        return 0, epochs
    argument = f"initial_epoch={initial_epoch}" if initial_epoch else "resume=True"
    if before is None:
        raise RequestError([argument], "needs a fit to continue", remedy="Call fit without it first.")
    done = len(before.rows)
    if initial_epoch and initial_epoch != done:
        remedy = f"Write initial_epoch={done}, or resume=True."
        raise RequestError([argument], f"is not the number of epochs of the last fit, {done}", remedy=remedy)
    if initial_epoch and epochs <= initial_epoch:
        problem = "is the number of all epochs, and must be above initial_epoch"
        raise RequestError("epochs", problem, epochs, f"Write epochs={initial_epoch + 10}, or resume=True.")
    return done, epochs if initial_epoch else done + epochs
