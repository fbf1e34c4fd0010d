"""The tables of MLflow's database that we read and write, and points as MLflow stores them."""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lifecycle.tracking.database.connection import connect

TABLES = {
    "runs": "run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, "
    "source_version, lifecycle_stage, artifact_uri, experiment_id",
    "tags": "key, value, run_uuid",
    "params": "key, value, run_uuid",
    "metrics": "key, value, timestamp, run_uuid, step, is_nan",
    "latest_metrics": "key, value, timestamp, step, is_nan, run_uuid",
    "datasets": "dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source, dataset_schema, "
    "dataset_profile",
    "inputs": "input_uuid, source_type, source_id, destination_type, destination_id, step",
    "input_tags": "input_uuid, name, value",
    "logged_models": "model_id, experiment_id, name, artifact_location, creation_timestamp_ms, "
    "last_updated_timestamp_ms, status, lifecycle_stage, model_type, source_run_id, status_message",
    "logged_model_params": "model_id, experiment_id, param_key, param_value",
    "logged_model_tags": "model_id, experiment_id, tag_key, tag_value",
    "logged_model_metrics": "model_id, metric_name, metric_timestamp_ms, metric_step, metric_value, experiment_id, "
    "run_id, dataset_name, dataset_digest",
}
"""The columns that are read and written, by table."""

SCHEMAS = {"dc11669786a5"}
"""Versions of the schema (table ``alembic_version``) whose rows are written without MLflow: that of MLflow 3.17."""

MLFLOW = "3.17."
"""Beginning of the versions of MLflow whose rows and model files are written without it."""

Point = tuple[str, float, int, int]
"""Name of the metric, value, milliseconds since 1970, step. Infinity is the largest float, as MLflow stores it."""


def has_known_schema(file: Path) -> bool:
    """Return whether a database is there, and has a schema of :data:`SCHEMAS`."""
    if not file.is_file() or not file.stat().st_size:
        return False
    try:
        with closing(connect(file)) as database:
            return database.execute("SELECT version_num FROM alembic_version").fetchone()[0] in SCHEMAS
    except (sqlite3.Error, TypeError):
        return False


def is_known_version() -> bool:
    """Return whether the rows of the installed MLflow are known here."""
    return version("mlflow").startswith(MLFLOW)


def insert(database: sqlite3.Connection, table: str, rows: Iterable[Sequence[Any]], otherwise: str = "ABORT") -> None:
    """Insert rows with the columns of :data:`TABLES`; ``otherwise``: what is done with one that is there."""
    columns = TABLES[table]
    marks = ", ".join("?" * (columns.count(",") + 1))
    database.executemany(f"INSERT OR {otherwise} INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - ours


def run_row(
    run: str, name: str, user: str, status: str, times: tuple[int, int | None], artifacts: str, experiment: int
) -> tuple[Any, ...]:
    """Return the row of a run.

    Args:
        run: its id.
        name: of the run.
        user: who started it.
        status: MLflow's.
        times: of its start and its end, in milliseconds since 1970; ``None``: it has not ended.
        artifacts: address of its artifacts.
        experiment: id of its experiment.
    """
    return run, name, "UNKNOWN", "", "", user, status, *times, "", "active", artifacts, experiment


def stored(point: Point) -> tuple[str, float, int, int, bool]:
    """Return name, value, time, step and whether it is NaN, as MLflow stores a point: infinity is the largest float."""
    key, value, at, step = point
    largest = sys.float_info.max
    return key, 0.0 if math.isnan(value) else min(max(value, -largest), largest), at, step, math.isnan(value)
