"""The rows of MLflow's database that a run has."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from lifecycle import layout
from lifecycle.errors import TrackingError
from lifecycle.tracking.database.connection import connect
from lifecycle.tracking.database.tables import Point, insert, stored
from lifecycle.tracking.pages import tags


def set_params(database: sqlite3.Connection, run: str, params: Mapping[str, str]) -> None:
    """Set parameters.

    Raises:
        TrackingError: one has another value already: MLflow does not change parameters.
    """
    known = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)))
    changed = [key for key, value in params.items() if known.get(key, value) != value]
    if changed:
        was, now = known[changed[0]], params[changed[0]]
        raise TrackingError(f"the parameter {changed[0]} of run {run} is {was} and cannot become {now}")
    insert(database, "params", [(key, value, run) for key, value in params.items() if key not in known])


def set_tags(database: sqlite3.Connection, run: str, given: Mapping[str, str]) -> None:
    """Set tags, by their names in MLflow."""
    insert(database, "tags", [(key, value, run) for key, value in given.items()], "REPLACE")


def add_points(database: sqlite3.Connection, run: str, points: Iterable[Point]) -> None:
    """Add points of metrics; the last one of each is kept apart, as MLflow does."""
    rows = [stored(point) for point in points]
    insert(database, "metrics", [(key, value, at, run, step, nan) for key, value, at, step, nan in rows], "IGNORE")
    last: dict[str, tuple[str, float, int, int, bool]] = {}
    known = "SELECT key, value, timestamp, step, is_nan FROM latest_metrics WHERE run_uuid = ?"
    for row in [*database.execute(known, (run,)), *rows]:
        before = last.get(row[0])
        # By step, time and value.
        if before is None or (row[3], row[2], row[1]) > (before[3], before[2], before[1]):
            last[row[0]] = row
    named = {row[0] for row in rows}
    insert(database, "latest_metrics", [(*row, run) for key, row in last.items() if key in named], "REPLACE")


def add_dataset(
    database: sqlite3.Connection, run: str, experiment: int, name: str, digest: str, source: str, profile: str
) -> None:
    """Add a data set of training to a run; the experiment, or the run, may have it already."""
    key = (experiment, name, digest)
    insert(database, "datasets", [(uuid.uuid4().hex, *key, "local", source, None, profile)], "IGNORE")
    found = "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?"
    (own,) = database.execute(found, key).fetchone()
    used = "SELECT 1 FROM inputs WHERE source_type = 'DATASET' AND source_id = ? AND destination_id = ?"
    if database.execute(used, (own, run)).fetchone() is None:
        link = uuid.uuid4().hex
        insert(database, "inputs", [(link, "DATASET", own, "RUN", run, 0)])
        insert(database, "input_tags", [(link, "mlflow.data.context", "training")])


def running(file: Path) -> list[str]:
    """Return the RUNNING runs of lifecycle in a database, of all experiments that were not deleted."""
    with closing(connect(file)) as database:
        found = database.execute(
            "SELECT run_uuid FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id "
            "WHERE status = 'RUNNING' AND runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active' "
            "AND EXISTS (SELECT 1 FROM tags WHERE tags.run_uuid = runs.run_uuid AND key IN (?, ?))",
            tags.both(layout.COMMAND),
        )
        return [str(run) for (run,) in found]
