"""Reads the points of a run from the local database, as far as a server does not have them."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator

from lifecycle.tracking.database.tables import Point

AT_ONCE = 1000
"""Points of one request: MLflow refuses more."""


def after(database: sqlite3.Connection, run_id: str, row: int) -> tuple[list[Point], int]:
    """Return the next points of a run, at most :data:`AT_ONCE`, and the row of the last one.

    Args:
        database: opened.
        run_id: of the run.
        row: of the last point that the server has.
    """
    found = database.execute(
        "SELECT rowid, key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ? AND rowid > ? "
        "ORDER BY rowid LIMIT ?",
        (run_id, row, AT_ONCE),
    ).fetchall()
    return [_point(*columns) for _, *columns in found], found[-1][0] if found else row


def count(database: sqlite3.Connection, run_id: str, up_to: int) -> int:
    """Return the number of points of a run up to a row."""
    counted = "SELECT count(*) FROM metrics WHERE run_uuid = ? AND rowid <= ?"
    return int(database.execute(counted, (run_id, up_to)).fetchone()[0])


def last_row(database: sqlite3.Connection, run_id: str) -> int:
    """Return the row of the last point of a run; 0: it has none."""
    return int(
        database.execute("SELECT coalesce(max(rowid), 0) FROM metrics WHERE run_uuid = ?", (run_id,)).fetchone()[0]
    )


def by_metric(database: sqlite3.Connection, run_id: str, up_to: int) -> Iterator[tuple[str, list[Point]]]:
    """Yield each metric of a run with its points up to a row."""
    keys = database.execute("SELECT DISTINCT key FROM metrics WHERE run_uuid = ?", (run_id,)).fetchall()
    for (key,) in keys:
        found = database.execute(
            "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ? AND key = ? AND rowid <= ? "
            "ORDER BY rowid",
            (run_id, key, up_to),
        )
        yield key, [_point(*columns) for columns in found]


def _point(key: str, value: float, when: int, step: int, is_nan: int) -> Point:
    return key, math.nan if is_nan else value, when, step
