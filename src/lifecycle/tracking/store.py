"""An MLflow database with its files, in one folder."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lifecycle import layout
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import DiskError, LifecycleError, RequestError, Setting, did_you_mean
from lifecycle.runtime.faults import is_full
from lifecycle.runtime.files import locks
from lifecycle.runtime.files.paths import shown
from lifecycle.tracking.database import faults
from lifecycle.tracking.direct import rows
from lifecycle.tracking.direct.client import DirectClient, is_possible
from lifecycle.tracking.pages import tags
from lifecycle.tracking.spool import end_notes
from lifecycle.tracking.spool.journal import Journal
from lifecycle.tracking.transfer import locations
from lifecycle.tracking.transfer.locations import Locations

RESERVE, RESERVED_BYTES = ".reserve", 256 * 1024
"""A file in the folder of a run's checkpoints, removed when the run ends: room for its status on a full disk."""

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system without locks answers to a lock."""

NO_STATUS = "the process was killed (kill -9, or power loss)"


@dataclass(frozen=True)
class Store:
    """An MLflow database with its files, all in one folder.

    Attributes:
        folder: of both.
        client: ``mlflow.MlflowClient``.
        experiment_id: of the experiment that was opened.
        locations: where the files are; they differ from the database's where a copy cannot be written.
    """

    folder: Path
    client: Any
    experiment_id: str
    locations: Locations

    @property
    def uri(self) -> str:
        """The database as MLflow's tracking URI."""
        return database_uri(self.folder)

    def lock(self) -> FileLock:
        """Return the lock for opening the database and creating runs."""
        return FileLock(self.folder / layout.LOCK)

    def checkpoints(self, run_id: str) -> Path:
        """Return the folder of a run's checkpoints."""
        return self.folder / layout.CHECKPOINTS / run_id

    def reserve(self, run_id: str) -> None:
        """Reserve the disk space that ending a run needs.

        Raises:
            OSError: there is none.
        """
        (self.checkpoints(run_id) / RESERVE).write_bytes(
            os.urandom(RESERVED_BYTES)
        )  # random: no file system compresses it

    def release(self, run_id: str) -> None:
        """Free that space."""
        with suppress(OSError):
            (self.checkpoints(run_id) / RESERVE).unlink(missing_ok=True)


def database_uri(folder: Path) -> str:
    """Return the absolute SQLite URI of the database in ``folder``."""
    return f"sqlite:///{database_file(folder.absolute())}"


def database_file(folder: Path) -> Path:
    """Return the file of the database in ``folder``."""
    return folder / layout.DATABASE


def folder_of(config: TrackingConfig) -> Path:
    """Return the absolute folder of a database."""
    return Path(config.dir).expanduser().absolute()


def open_store(config: TrackingConfig, to_write: bool = True) -> Store:
    """Open the database, and create it first if there is none.

    A lock is held meanwhile: two processes that create the tables at once would fail. A database that was moved or
    copied with its folder gets the addresses of its files here.

    Args:
        config: names the folder and the experiment.
        to_write: whether something will be recorded; else a folder that can only be read is opened too.

    Raises:
        RequestError: the folder cannot be written, the database is damaged, or the experiment was deleted.
        TrackingError: another process holds the database, or the disk fails.
        DiskError: its disk is full.
    """
    folder = folder_of(config)
    try:
        return _opened(folder, config, to_write)
    except Exception as error:
        if is_full(error):
            raise DiskError(f"tracking.dir={config.dir} is on a disk that is full. Free some room on it.") from error
        raise


def _opened(folder: Path, config: TrackingConfig, to_write: bool) -> Store:
    try:
        if not to_write and (folder / layout.DATABASE).is_file() and not can_be_written(folder):
            return _open(folder, config, to_write, is_writable=False)
        # Only for its owner: runs contain predictions, and with them data.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder / layout.LOCK):
            return _open(folder, config, to_write)
    except OSError as error:
        if error.errno in WITHOUT_LOCKS:
            kind = locks.file_system(folder) or "of an unknown type"
            raise RequestError(
                Setting("tracking.dir", config.dir),
                f"is on a file system without locks ({kind}): {error.strerror}",
                remedy="Mount it with locks (NFS: its lock service must run), or name a local folder.",
            ) from error
        raise RequestError(
            Setting("tracking.dir", config.dir),
            f"cannot be written: {error.strerror or error}",
            remedy="Name a folder that can.",
        ) from error
    except LifecycleError:
        raise
    except Exception as error:  # MLflow's and SQLAlchemy's errors have no common base
        if (fault := faults.explained(error, folder)) is not None:
            raise fault from error
        raise RequestError(
            Setting("tracking.dir", config.dir),
            f"holds an mlflow.db that MLflow cannot open: {type(error).__name__}: {faults.plain(error)}",
            remedy="Name another folder.",
        ) from error


def can_be_written(folder: Path) -> bool:
    """Return whether the database in a folder can be written."""
    return os.access(folder, os.W_OK) and os.access(folder / layout.DATABASE, os.W_OK)


def _open(folder: Path, config: TrackingConfig, to_write: bool, is_writable: bool = True) -> Store:
    if (folder / layout.DATABASE).is_dir():
        raise RequestError(
            Setting("tracking.dir", config.dir), "holds a folder called mlflow.db", remedy="Move it away."
        )
    # Before MLflow opens the database, to tell one that is locked from one that is damaged.
    faults.wait_until_free(folder / layout.DATABASE)
    found = locations.settle(folder, must=to_write) if is_writable else locations.read(folder)
    client = _client(folder, config.experiment)
    experiment = client.get_experiment_by_name(config.experiment)
    is_new = experiment is None
    if experiment is None and not is_writable:
        known = [one.name for one in client.search_experiments()]
        raise RequestError(
            Setting("tracking.experiment", config.experiment),
            f"is no experiment of {shown(folder)}, which can only be read",
            remedy=f"{did_you_mean(config.experiment, known)} Experiments: {', '.join(known)}.",
        )
    if experiment is None:
        location = (folder / layout.ARTIFACTS / layout.folder_of_experiment(config.experiment)).as_uri()
        experiment = client.get_experiment(client.create_experiment(config.experiment, artifact_location=location))
    if experiment.lifecycle_stage != "active":
        raise RequestError(
            Setting("tracking.experiment", config.experiment),
            "was deleted in the MLflow UI",
            remedy="Restore it there, or name another.",
        )
    if is_writable:
        end_notes.settle(folder, client)
    if is_new or not isinstance(client, DirectClient):
        _set_experiment(experiment)
    return Store(folder, client, experiment.experiment_id, found)


def _client(folder: Path, experiment: str) -> Any:
    """Return a client of a database: one that does without MLflow, as long as it can, where its schema is known."""

    def connect() -> Any:
        client = _connected(folder)
        found = client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage == "active":
            _set_experiment(found)
        return client

    file = database_file(folder)
    return DirectClient(file, connect) if is_possible(file) else _connected(folder)


def _set_experiment(experiment: Any) -> None:
    import mlflow

    mlflow.set_experiment(experiment_id=experiment.experiment_id)


AFTER_IMPORT: list[Callable[[], None]] = []
"""Called once MLflow is imported, in a process that is our own."""


def _connected(folder: Path) -> Any:
    """Return MLflow's client of a database."""
    # Before the import, at which MLflow starts its telemetry.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    for change in AFTER_IMPORT:
        change()
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # the import sets another level
    mlflow.set_tracking_uri(database_uri(folder))  # Model.log takes no client: it reads this, and the experiment
    # MLflow keeps the folder of a run by its id, which a run and its copy in another store have in common.
    utils: Any = import_module("mlflow.tracking._tracking_service.utils")
    getattr(utils, "_artifact_repos_cache", {}).clear()
    return mlflow.MlflowClient(database_uri(folder), database_uri(folder))  # not MLFLOW_REGISTRY_URI's


def artifacts(run: Any) -> Path:
    """Return the folder of the artifacts of an ``mlflow.entities.Run`` in a store that is open to be written."""
    return locations.path_of(run.info.artifact_uri)


def close_dead_runs(store: Store) -> None:
    """Set RUNNING runs whose process is gone to KILLED: their lock is free.

    Call it with the store's lock held, since a run takes its own lock after it was created.
    """
    for run in _running(store):
        if Journal(store.folder, run).is_written():
            continue  # its process is alive, and replaces the one that recorded it
        folder = store.checkpoints(run)
        folder.mkdir(parents=True, exist_ok=True)  # missing if the process was killed while it created the run
        # The operating system frees the lock of a process that ends, however it ends.
        with suppress(Timeout), FileLock(folder / layout.LOCK, timeout=0):
            store.client.set_tag(run, layout.ERROR, NO_STATUS)
            store.release(run)
            store.client.set_terminated(run, "KILLED")


def _running(store: Store) -> list[str]:
    """Return the RUNNING runs that lifecycle has recorded."""
    if isinstance(store.client, DirectClient):
        return rows.running(database_file(store.folder))
    experiments = [experiment.experiment_id for experiment in store.client.search_experiments()]
    found = store.client.search_runs(experiments, "attributes.status = 'RUNNING'")
    return [run.info.run_id for run in found if layout.COMMAND in tags.read(run.data.tags)]
