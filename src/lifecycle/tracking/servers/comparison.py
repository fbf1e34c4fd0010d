"""Compares a run with what a server has of it, where that is not known for certain: only what is missing is sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from lifecycle import layout
from lifecycle.tracking.database.tables import Point
from lifecycle.tracking.servers import local_points, remote
from lifecycle.tracking.servers.outbox import Entry


def adopt(entry: Entry, found: Any) -> None:
    """Note in an entry what the database of the server has, except for points; models are looked for one by one.

    Args:
        entry: of the run.
        found: the run, as the client has it.
    """
    entry.server_run = str(found.info.run_id)
    entry.params = sorted(found.data.params)
    entry.tags = {key: value for key, value in found.data.tags.items() if key != layout.RUN_ID}
    entry.inputs = remote.inputs_of(found)
    entry.status, entry.ended = found.info.status, found.info.end_time
    entry.models, entry.versions = [], []


def missing_points(
    client: Any, database: sqlite3.Connection, entry: Entry, found: Any, on_progress: Callable[[], None]
) -> Iterator[Point]:
    """Yield the points of the local database, up to the row of the entry, that the server does not have.

    Args:
        client: of the server.
        database: the local one.
        entry: of the run.
        found: the run, as the client has it.
        on_progress: called after the points of each metric have been read.
    """
    for metric, points in local_points.by_metric(database, entry.run_id, entry.row):
        there = set[object]()
        if metric in found.data.metrics:
            there = {_key(*point) for point in remote.points_of(client, entry.server_run, metric)}
            on_progress()
        yield from (point for point in points if _key(*point) not in there)


def _key(_: str, value: float, when: int, step: int) -> tuple[int, int, str]:
    return when, step, repr(float(value))  # NaN is not equal to itself
