"""Continues a fit: the checkpoint that it left, and new rows under the preprocessing of the first ones."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lifecycle import layout
from lifecycle.capabilities import weight_of
from lifecycle.data import external
from lifecycle.data.columns.kinds import column_kinds
from lifecycle.data.dataset import Dataset
from lifecycle.data.digests import digest
from lifecycle.errors import RequestError, Setting
from lifecycle.fit import checkpoints
from lifecycle.fit.epochs import has_stopped, rows_of
from lifecycle.layout import TEST_DIGEST, VALIDATION_DIGEST
from lifecycle.runs import pipeline

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.config.schema import Job
    from lifecycle.data.dataset import Part
    from lifecycle.data.sources.in_memory import MemoryRows
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
        return [] if self.kept is None else rows_of(self._checkpoint)

    @property
    def weights(self) -> dict[str, Any]:
        """The weights of the model by name, those of the best epoch where one was restored."""
        return {name: value.detach().cpu().clone() for name, value in self.trained.network.state_dict().items()}

    @property
    def _checkpoint(self) -> dict[str, Any]:
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


def load(job: Job, rows: MemoryRows, trained: TrainedModel) -> Dataset:
    """Load rows under the preprocessing of a trained model, which is not learnt again.

    Args:
        job: the checked request.
        rows: in memory.
        trained: the model.

    Raises:
        RequestError: the rows have other columns, shapes or classes.
    """
    if rows.split is None and getattr(job.data, "validation_split", None):
        data = pipeline.loaded(job, rows)
        names = (VALIDATION_DIGEST, TEST_DIGEST)
        same = data.digest == trained.provenance.get("data_sha256") and data.spec == trained.spec
        if same and all(trained.provenance.get(name) == data.split_digests[name] for name in names):
            return data
        train, val = data.train.rows, None if data.val is None else data.val.rows
    else:  # without learning from them: they may lack a class, or be a single row
        split = rows.split
        train = np.arange(len(rows.frame)) if split is None else split.train
        val = None if split is None else split.val
    return _dataset(job, rows.frame, trained, train, val)


def _dataset(
    job: Job, frame: pd.DataFrame, trained: TrainedModel, train: np.ndarray[Any, Any], val: np.ndarray[Any, Any] | None
) -> Dataset:
    """Return training and validation rows, by number, under the preprocessing of a model."""
    plugin: Any = trained.data
    given = {name: getattr(job.data, name) for name in ("target", "weight", "group") if hasattr(plugin, name)}
    plugin = dataclasses.replace(plugin, **given)

    def part(numbers: np.ndarray[Any, Any]) -> Part:
        rows = frame.iloc[numbers].reset_index(drop=True)
        found = external.part_of_frame(plugin, trained.preprocessing, trained.spec, rows, trained.missing)
        return replace(found, rows=numbers[found.rows])

    return Dataset(
        name=job.data_name,
        kind=job.data_kind,
        spec=trained.spec,
        preprocessing=trained.preprocessing,
        train=part(train),
        val=None if val is None or not len(val) else part(val),
        test=None,
        num_rows=len(frame),
        num_missing=int(frame[list(trained.columns)].isna().to_numpy().sum()),
        digest=digest(frame),
        columns=trained.columns,
        column_kinds=column_kinds(plugin, frame),
        class_values=tuple(trained.settings.get("class_values") or ()),
        weight=weight_of(plugin),
        plugin=plugin,
    )
