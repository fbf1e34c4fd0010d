"""Reads a run from the database of a store, and writes one into it, by SQL: in one transaction, with the run's id."""

from __future__ import annotations

import math
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.errors import RequestError, Setting, TrackingError
from lifecycle.runtime.files import locks
from lifecycle.runtime.files.paths import shown
from lifecycle.tracking.database import faults
from lifecycle.tracking.database.connection import MAX_WAIT, connect
from lifecycle.tracking.database.tables import TABLES, Point, insert, run_row, stored
from lifecycle.tracking.transfer import locations
from lifecycle.tracking.transfer.files import CHECKPOINTS, Folders
from lifecycle.tracking.transfer.run_copy import DatasetCopy, ModelCopy, RunCopy


@dataclass(frozen=True)
class LocalRun:
    """A run of a store, and its files.

    Attributes:
        copy: the run.
        folders: of its files.
        is_deleted: whether it was deleted in MLflow, which can restore it.
        is_open: whether a process records it.
        is_running: whether it is RUNNING in the database; without a process, the next one closes it as KILLED.
    """

    copy: RunCopy
    folders: Folders
    is_deleted: bool = False
    is_open: bool = False
    is_running: bool = False


@contextmanager
def connected(folder: Path, to_write: bool = False, wait: float = MAX_WAIT) -> Iterator[sqlite3.Connection]:
    """Open the database of a store.

    Args:
        folder: of the store.
        to_write: whether it will be written.
        wait: seconds that a statement waits for a database that another process has locked.

    Raises:
        LifecycleError: it is locked, damaged, or cannot be written.
    """
    try:
        with closing(connect(folder / layout.DATABASE, to_write, wait)) as database:
            yield database
    except sqlite3.Error as error:
        found = faults.explained(error, folder, wait)
        raise found or TrackingError(f"the database in {shown(folder)} cannot be used: {error}") from error


def is_open(folder: Path, run: str) -> bool:
    """Return whether a process records a run: it has the lock on its checkpoints."""
    return locks.is_locked(folder / layout.CHECKPOINTS / run / layout.LOCK)


def read(folder: Path, run: str) -> LocalRun | None:
    """Return a run of a store; ``None``: it has none of this id. A RUNNING run whose process is gone is KILLED.

    Args:
        folder: of the store.
        run: the whole id.
    """
    folder = folder.absolute()
    with connected(folder) as database:
        found = described(folder, database, run)
        return None if found is None else replace(found, copy=replace(found.copy, points=_points(database, run)))


def has(folder: Path, run: str) -> bool:
    """Return whether a store has a run, which may have been deleted in MLflow."""
    with connected(folder) as database:
        return database.execute("SELECT 1 FROM runs WHERE run_uuid = ?", (run,)).fetchone() is not None


def described(folder: Path, database: sqlite3.Connection, run: str) -> LocalRun | None:
    """Return a run as :func:`read` does, without its points.

    Args:
        folder: of the store, absolute.
        database: of the store.
        run: the whole id.
    """
    has_process = is_open(folder, run)  # before it is read: a process that ends then has written all of it
    found = database.execute(
        "SELECT runs.name, experiments.name, status, start_time, end_time, user_id, artifact_uri, "
        "runs.lifecycle_stage = 'deleted' FROM runs "
        "JOIN experiments ON experiments.experiment_id = runs.experiment_id WHERE run_uuid = ?",
        (run,),
    ).fetchone()
    if found is None:
        return None
    name, experiment, status, started, ended, user, address, is_deleted = found
    is_running = status == "RUNNING"
    if is_running and not has_process:
        status = "KILLED"
    places = locations.locations_of(folder, database)
    models, at = _models(database, run)
    copy = RunCopy(
        id=run,
        name=name or run,
        experiment=experiment,
        status=status,
        started=started,
        ended=ended,
        user=user or "",
        params=dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,))),
        tags=dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,))),
        datasets=_datasets(database, run),
        models=models,
    )
    folders = {one: places.path(model) for one, model in at.items()}
    found_files = Folders(places.path(address), folders, folder / layout.CHECKPOINTS / run)
    return LocalRun(copy, found_files, bool(is_deleted), has_process, is_running)


def _points(database: sqlite3.Connection, run: str) -> list[Point]:
    found = database.execute(
        "SELECT key, value, is_nan, timestamp, step FROM metrics WHERE run_uuid = ? ORDER BY rowid", (run,)
    )
    return [(key, math.nan if is_nan else value, when, step) for key, value, is_nan, when, step in found]


def _datasets(database: sqlite3.Connection, run: str) -> list[DatasetCopy]:
    found = database.execute(
        "SELECT input_uuid, name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile "
        "FROM inputs JOIN datasets ON dataset_uuid = source_id "
        "WHERE source_type = 'DATASET' AND destination_type = 'RUN' AND destination_id = ?",
        (run,),
    ).fetchall()
    tags = "SELECT name, value FROM input_tags WHERE input_uuid = ?"
    return [
        DatasetCopy(name, digest, kind, source, schema, profile, dict(database.execute(tags, (used,))))
        for used, name, digest, kind, source, schema, profile in found
    ]


def _models(database: sqlite3.Connection, run: str) -> tuple[list[ModelCopy], dict[str, str]]:
    """Return the models of a run, and the address of each."""
    found = database.execute(
        "SELECT model_id, name, creation_timestamp_ms, last_updated_timestamp_ms, status, model_type, step, "
        "artifact_location FROM inputs JOIN logged_models ON model_id = destination_id "
        "WHERE source_type = 'RUN_OUTPUT' AND destination_type = 'MODEL_OUTPUT' AND source_id = ? "
        "AND lifecycle_stage = 'active'",
        (run,),
    ).fetchall()
    models, addresses = [], dict[str, str]()
    for own, name, created, updated, status, kind, step, address in found:
        of = (own,)
        params = database.execute("SELECT param_key, param_value FROM logged_model_params WHERE model_id = ?", of)
        tags = database.execute("SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ?", of)
        points = database.execute(
            "SELECT metric_name, metric_value, metric_timestamp_ms, metric_step FROM logged_model_metrics "
            "WHERE model_id = ? AND run_id = ?",
            (own, run),
        )
        scores = [(key, math.nan if value is None else value, when, step) for key, value, when, step in points]
        models.append(ModelCopy(own, name, created, updated, status, kind, step, dict(params), dict(tags), scores))
        addresses[own] = str(address)
    return models, addresses


def write(folder: Path, copy: RunCopy, staged: Path) -> Folders:
    """Write a run into a store: its files by renaming, then its rows in one transaction.

    The caller has the store's lock, and has checked that the run is not there. What is left of an earlier attempt is
    replaced.

    Args:
        folder: of the store, which has the experiment of the run.
        copy: the run.
        staged: a folder of the same disk with its files, as :meth:`Folders.within` names them; it is emptied.

    Returns:
        Where the files are now.

    Raises:
        RequestError: the database has another layout, or no such experiment, or another run has a model of this id.
        OSError: a file cannot be renamed.
    """
    folder = folder.absolute()
    with connected(folder, to_write=True) as database:
        _check_layout(folder, database)
        experiment, address = _experiment(folder, database, copy.experiment)
        for model in copy.models:
            if database.execute("SELECT 1 FROM logged_models WHERE model_id = ?", (model.id,)).fetchone():
                problem = f"has a model {model.id} in {shown(folder)} already, which belongs to another run"
                raise RequestError(f"run {copy.id}", problem, remedy="Name another tracking.dir.")
        own = locations.path_of(address)
        folders = Folders(
            own / copy.id / "artifacts",
            {model.id: own / "models" / model.id / "artifacts" for model in copy.models},
            folder / layout.CHECKPOINTS / copy.id,
        )
        placed: list[Path] = []
        try:
            for name, target in folders.named().items():
                _place(staged / name, target, placed, is_needed=name != CHECKPOINTS)
            with database:
                for table, rows in _rows(copy, experiment, address).items():
                    # A point that is there twice is one point, as for MLflow.
                    insert(database, table, rows, "IGNORE" if table == "metrics" else "ABORT")
                _insert_datasets(database, copy, experiment)
        except BaseException:
            for target in placed:
                shutil.rmtree(target, ignore_errors=True)
            raise
    return folders


def _place(source: Path, target: Path, placed: list[Path], is_needed: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    placed.append(target)
    if source.is_dir():
        source.rename(target)
    elif is_needed:
        target.mkdir()


def _experiment(folder: Path, database: sqlite3.Connection, name: str) -> tuple[int, str]:
    found = database.execute(
        "SELECT experiment_id, artifact_location FROM experiments WHERE name = ? AND lifecycle_stage = 'active'",
        (name,),
    ).fetchone()
    if found is None:
        raise RequestError(
            Setting("tracking.experiment", name), f"is no experiment of {shown(folder)}", remedy="Create it first."
        )
    return int(found[0]), str(found[1])


def _rows(copy: RunCopy, experiment: int, address: str) -> dict[str, list[tuple[Any, ...]]]:
    files, times = f"{address}/{copy.id}/artifacts", (copy.started, copy.ended)
    kept = [stored(point) for point in copy.points]
    data = (copy.datasets[0].name, copy.datasets[0].digest) if copy.datasets else (None, None)
    latest: dict[str, tuple[str, float, int, int, bool]] = {}
    for row in sorted(kept, key=lambda row: (row[3], row[2], row[1])):
        latest[row[0]] = row
    rows: dict[str, list[tuple[Any, ...]]] = {
        "runs": [
            run_row(copy.id, copy.name, copy.user, copy.status, times, files, experiment),
        ],
        "tags": [(key, value, copy.id) for key, value in copy.tags.items()],
        "params": [(key, value, copy.id) for key, value in copy.params.items()],
        "metrics": [(key, value, when, copy.id, step, is_nan) for key, value, when, step, is_nan in kept],
        "latest_metrics": [(*row, copy.id) for row in latest.values()],
    }
    for model in copy.models:
        place = f"{address}/models/{model.id}/artifacts"
        own = (model.created, model.updated, model.status, "active", model.type, copy.id, None)
        rows.setdefault("logged_models", []).append((model.id, experiment, model.name, place, *own))
        outputs = (uuid.uuid4().hex, "RUN_OUTPUT", copy.id, "MODEL_OUTPUT", model.id, model.step)
        rows.setdefault("inputs", []).append(outputs)
        for table, values in (("logged_model_params", model.params), ("logged_model_tags", model.tags)):
            rows.setdefault(table, []).extend((model.id, experiment, key, value) for key, value in values.items())
        rows.setdefault("logged_model_metrics", []).extend(
            # As they were recorded: those of the epoch of the weights are of no data set.
            (
                *(model.id, key, when, step, None if is_nan else value, experiment, copy.id),
                *((None, None) if step == model.step else data),
            )
            for key, value, when, step, is_nan in map(stored, model.points)
        )
    return rows


def _insert_datasets(database: sqlite3.Connection, copy: RunCopy, experiment: int) -> None:
    """Insert the data sets of a run; the experiment may have them already."""
    for one in copy.datasets:
        key = (experiment, one.name, one.digest)
        known = "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?"
        found = database.execute(known, key).fetchone()
        own = uuid.uuid4().hex if found is None else str(found[0])
        if found is None:
            insert(database, "datasets", [(own, *key, one.source_type, one.source, one.schema, one.profile)])
        used = uuid.uuid4().hex
        insert(database, "inputs", [(used, "DATASET", own, "RUN", copy.id, 0)])
        insert(database, "input_tags", [(used, name, value) for name, value in one.tags.items()])


def _check_layout(folder: Path, database: sqlite3.Connection) -> None:
    """Refuse a database of another version of MLflow, in whose tables these rows would be incomplete."""
    for table, columns in TABLES.items():
        own, found = set(columns.split(", ")), database.execute(f"PRAGMA table_info({table})").fetchall()
        needed = {name for _, name, _, is_needed, default, _ in found if is_needed and default is None}
        if not own <= {row[1] for row in found} or needed - own:
            version = None
            with suppress(sqlite3.Error, TypeError):
                version = database.execute("SELECT version_num FROM alembic_version").fetchone()[0]
            problem = f"has a database of schema {version}, whose table {table} this version cannot write"
            remedy = "Update nn-lifecycle, or name another folder."
            raise RequestError(Setting("tracking.dir", shown(folder)), problem, remedy=remedy)
