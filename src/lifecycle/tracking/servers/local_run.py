"""Reads a run from the local database, as far as a server does not have it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from lifecycle import layout
from lifecycle.tracking.transfer.locations import path_of

AT_ONCE = 1000
"""Points of one request: MLflow refuses more."""

Point = tuple[str, float, int, int]
"""Name of the metric, value, milliseconds since 1970, step."""


@dataclass(frozen=True)
class Input:
    """A data set that a run is fitted to."""

    name: str
    digest: str
    source_type: str
    source: str
    profile: str | None


Score = tuple[str, float, int, int, str | None, str | None]
"""Name of the metric, value, milliseconds since 1970, step; name and digest of the data set."""


@dataclass(frozen=True)
class LoggedModel:
    """An MLflow model of a run; its folder and its scores."""

    model_id: str
    name: str
    folder: Path
    scores: list[Score]


@dataclass(frozen=True)
class LocalRun:
    """A run without its points.

    Attributes:
        begun, ended: milliseconds since 1970; ``None``: it has not ended.
        artifacts: folder.
        models: that are complete, the oldest first.
    """

    name: str
    status: str
    begun: int
    ended: int | None
    artifacts: Path
    params: dict[str, str]
    tags: dict[str, str]
    inputs: list[Input]
    models: list[LoggedModel]


@contextmanager
def opened(store: Path) -> Iterator[sqlite3.Connection]:
    """Open the database to read.

    Raises:
        sqlite3.Error: it is locked.
    """
    file = store / layout.DATABASE
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", timeout=1.0, uri=True)) as database:
        yield database


def read(database: sqlite3.Connection, store: Path, run_id: str) -> LocalRun | None:
    """Return a run; ``None``: it was deleted."""
    found = database.execute(
        "SELECT name, status, start_time, end_time, artifact_uri FROM runs "
        "WHERE run_uuid = ? AND lifecycle_stage = 'active'",
        (run_id,),
    ).fetchone()
    if found is None:
        return None
    name, status, begun, ended, uri = found
    params = database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run_id,))
    tags = database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run_id,))
    inputs = database.execute(
        "SELECT name, digest, dataset_source_type, dataset_source, dataset_profile FROM datasets JOIN inputs "
        "ON source_id = dataset_uuid WHERE destination_id = ? AND source_type = 'DATASET'",
        (run_id,),
    )
    models = database.execute(
        "SELECT model_id, name, artifact_location FROM logged_models "
        "WHERE source_run_id = ? AND status = 2 AND lifecycle_stage = 'active' ORDER BY creation_timestamp_ms",
        (run_id,),
    )
    return LocalRun(
        name=name or run_id,
        status=status,
        begun=begun,
        ended=None if status == "RUNNING" else ended,  # a resumed run keeps the time at which it ended before
        artifacts=path_of(uri),
        params=dict(params.fetchall()),
        tags=dict(tags.fetchall()),
        inputs=[Input(*row) for row in inputs],
        models=[
            LoggedModel(model, title, path_of(place), _scores(database, model))
            for model, title, place in models.fetchall()
        ],
    )


def _scores(database: sqlite3.Connection, model_id: str) -> list[Score]:
    found = database.execute(
        "SELECT metric_name, metric_value, metric_timestamp_ms, metric_step, dataset_name, dataset_digest "
        "FROM logged_model_metrics WHERE model_id = ? AND metric_value IS NOT NULL",
        (model_id,),
    )
    return found.fetchall()


def points(database: sqlite3.Connection, run_id: str, after: int) -> tuple[list[Point], int]:
    """Return the next points of a run, and the row of the last one.

    Args:
        database: opened.
        run_id: of the run.
        after: row of the last point that the server has.
    """
    found: Sequence[tuple[int, str, float, int, int, int]] = database.execute(
        "SELECT rowid, key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ? AND rowid > ? "
        "ORDER BY rowid LIMIT ?",
        (run_id, after, AT_ONCE),
    ).fetchall()
    rows = [(key, float("nan") if is_nan else value, time, step) for _, key, value, time, step, is_nan in found]
    return rows, found[-1][0] if found else after


def files_of(run: LocalRun) -> dict[str, Path]:
    """Return the files of a run's artifacts, by their path within them."""
    found = (path for path in sorted(run.artifacts.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(run.artifacts).as_posix(): path for path in found}


def profile_of(one: Input) -> str | None:
    """Return the profile of a data set, if it is JSON."""
    try:
        return None if one.profile is None else json.dumps(json.loads(one.profile))
    except ValueError:
        return None
