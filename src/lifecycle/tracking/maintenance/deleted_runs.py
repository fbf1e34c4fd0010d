"""Removes the rows of runs that were deleted in MLflow and whose files are gone.

To restore such a run would give an empty one. MLflow keeps the rows until ``mlflow gc``. Imports no MLflow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from lifecycle import layout
from lifecycle.tracking.maintenance.folders import inventory
from lifecycle.tracking.transfer import local

OF_MODELS = ("logged_model_params", "logged_model_tags", "logged_model_metrics", "logged_models")


def forget(folder: Path) -> int:
    """Remove the rows of deleted runs without files, and return the number of these runs.

    Runs of registered models stay, and those of which something is still to be recorded or sent.

    Args:
        folder: of the store.

    Raises:
        LifecycleError: the database cannot be written.
    """
    with FileLock(folder / layout.LOCK), local.connected(folder, to_write=True) as database:
        known = inventory(folder, database)
        used = known.registered | known.pending | {known.models.get(model, "") for model in known.registered}
        with_files = {run.id for one in known.folders if (run := known.run_of(one)) is not None}
        gone = [
            run.id
            for run in known.runs.values()
            if run.is_deleted and run.status != "RUNNING" and run.id not in used | with_files
        ]
        # Of another place than the folder: another copy of the database may refer to them.
        gone = [one for one in gone if not _has_files_elsewhere(folder, database, one)]
        references = list(_references(database))
        database.execute("PRAGMA foreign_keys = ON")
        with database:
            for run_id in gone:
                _remove(database, run_id, references)
    return len(gone)


def _has_files_elsewhere(folder: Path, database: sqlite3.Connection, run: str) -> bool:
    found = local.described(folder, database, run)
    return found is not None and any(one.is_dir() for one in (found.folders.artifacts, *found.folders.models.values()))


def _references(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield table and column of each reference to a run."""
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        for _, _, other, column, *_ in database.execute(f"PRAGMA foreign_key_list({table})").fetchall():
            if other == "runs":
                yield table, column


def _remove(database: sqlite3.Connection, run: str, references: list[tuple[str, str]]) -> None:
    inputs = "SELECT input_uuid FROM inputs WHERE source_id = :run OR destination_id = :run"
    models = "SELECT model_id FROM logged_models WHERE source_run_id = :run"
    deletions = [f"input_tags WHERE input_uuid IN ({inputs})", "inputs WHERE source_id = :run OR destination_id = :run"]
    deletions += [f"{table} WHERE model_id IN ({models})" for table in OF_MODELS]
    deletions += [f"{table} WHERE {column} = :run" for table, column in references]
    for deletion in (*deletions, "runs WHERE run_uuid = :run"):
        database.execute(f"DELETE FROM {deletion}", {"run": run})  # noqa: S608 - names of the database's own tables
