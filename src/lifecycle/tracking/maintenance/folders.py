"""The folders of a store, and which run or model each belongs to. Imports no MLflow."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lifecycle import layout
from lifecycle.tracking.servers import outbox, remote_models
from lifecycle.tracking.spool.journal import waiting
from lifecycle.tracking.transfer import archive, locations
from lifecycle.tracking.transfer.run_copy import MODEL_ID, RUN_ID

STAGED = (archive.STAGED, remote_models.STAGED)
"""Beginnings of the names of folders of files on their way into the store, or out of it."""


@dataclass(frozen=True)
class RunRow:
    """A run of the database; ``ended`` in milliseconds since 1970, 0 where it has not ended."""

    id: str
    name: str
    experiment: str
    status: str
    is_deleted: bool
    ended: int


@dataclass(frozen=True)
class Folder:
    """A folder of a run or a model.

    Attributes:
        path: of the folder.
        kind: ``checkpoints``, ``artifacts``, ``model`` or ``unpacking``.
        owner: id of its run or model.
    """

    path: Path
    kind: str
    owner: str

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.lstat().st_size for file in self.path.rglob("*") if file.is_file() and not file.is_symlink())

    @property
    def changed(self) -> float:
        """When it was changed last, in seconds since 1970."""
        return max((one.lstat().st_mtime for one in (self.path, *self.path.rglob("*"))), default=0.0)


@dataclass(frozen=True)
class Inventory:
    """The rows and folders of a store.

    Attributes:
        runs: by id.
        models: run of each logged model, by the model's id.
        deleted_models: ids of logged models that were deleted in MLflow.
        registered: ids of the runs and models of registered versions.
        pending: ids of runs of which something is still to be recorded or sent.
        folders: in order.
    """

    runs: dict[str, RunRow]
    models: dict[str, str]
    registered: set[str]
    pending: set[str]
    deleted_models: set[str] = field(default_factory=set)
    folders: list[Folder] = field(default_factory=list)

    def run_of(self, folder: Folder) -> RunRow | None:
        """Return the run that a folder belongs to; ``None``: it is in no row."""
        owner = self.models.get(folder.owner, "") if folder.kind == "model" else folder.owner
        return self.runs.get(owner)


def inventory(folder: Path, database: sqlite3.Connection) -> Inventory:
    """Return the rows and folders of a store."""
    rows = database.execute(
        "SELECT run_uuid, runs.name, experiments.name, status, "
        "runs.lifecycle_stage = 'deleted' OR experiments.lifecycle_stage = 'deleted', end_time "
        "FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id"
    )
    runs = {row[0]: RunRow(row[0], row[1] or row[0], row[2], row[3], bool(row[4]), row[5] or 0) for row in rows}
    models = {one: run or "" for one, run in database.execute("SELECT model_id, source_run_id FROM logged_models")}
    deleted = {
        one for (one,) in database.execute("SELECT model_id FROM logged_models WHERE lifecycle_stage = 'deleted'")
    }
    registered = set()
    for run, source in database.execute("SELECT run_id, source FROM model_versions"):
        registered |= {str(run), str(source).removeprefix("models:/")}
    pending = {journal.run_id for journal in waiting(folder)} | {outbox.run_of(name) for name in outbox.names(folder)}
    return Inventory(runs, models, registered, pending, deleted, list(_folders(folder, database)))


def _folders(folder: Path, database: sqlite3.Connection) -> Iterator[Folder]:
    """Yield the folders that are named as lifecycle and MLflow name them; all others are left alone."""
    yield from _named(folder / layout.CHECKPOINTS, "checkpoints", RUN_ID)
    found = locations.locations_of(folder, database)
    experiments = database.execute("SELECT artifact_location FROM experiments WHERE artifact_location IS NOT NULL")
    for place in sorted({found.path(address) for (address,) in experiments}):
        if place.is_relative_to(folder):  # elsewhere they may be those of other databases too
            yield from _named(place, "artifacts", RUN_ID)
            yield from _named(place / "models", "model", MODEL_ID)
    yield from _named(folder, "unpacking", re.compile(rf"(?:{'|'.join(map(re.escape, STAGED))}).*"))


def _named(folder: Path, kind: str, name: re.Pattern[str]) -> Iterator[Folder]:
    for path in _within(folder):
        if name.fullmatch(path.name):
            yield Folder(path, kind, path.name)


def _within(folder: Path) -> list[Path]:
    if not folder.is_dir() or folder.is_symlink():
        return []
    with os.scandir(folder) as entries:
        return sorted(Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
