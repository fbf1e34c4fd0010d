"""Creates a run that began while its database was locked, under the id that it began with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.metadata import version
from typing import Any

from lifecycle.tracking.messages import CreateRun
from lifecycle.tracking.pages import names, tags
from lifecycle.tracking.provenance import commit
from lifecycle.tracking.store import Store, database_file
from lifecycle.tracking.transfer.local import MAX_WAIT, TABLES

MLFLOW = "3.17."
"""Beginning of the versions of MLflow whose rows are written here, as MLflow chooses the id of a run itself."""


def is_possible() -> bool:
    """Return whether a run can begin while its database is locked: the rows of this version of MLflow are known."""
    return version("mlflow").startswith(MLFLOW)


def insert(store: Store, message: CreateRun) -> None:
    """Write the rows of a run, unless they are there.

    Raises:
        sqlite3.Error: the database cannot be written.
    """
    location = store.client.get_experiment(store.experiment_id).artifact_location
    uri = f"{location}/{message.run_id}/artifacts"
    experiment = int(store.experiment_id)
    name = names.free(store.folder, experiment, [message.name])[0] if message.is_numbered else message.name
    user = message.tags.get("mlflow.user", "unknown")
    run = (message.run_id, name, "UNKNOWN", "", "", user, "RUNNING", message.begun)
    rows: dict[str, list[tuple[Any, ...]]] = {
        "runs": [(*run, None, "", "active", uri, experiment)],
        "tags": [
            (tags.stored(key), value, message.run_id)
            for key, value in {**message.tags, **commit(), "mlflow.runName": name}.items()
        ],
    }
    with closing(sqlite3.connect(database_file(store.folder), timeout=MAX_WAIT)) as database, database:
        for table, values in rows.items():
            marks = ", ".join("?" * len(values[0]))
            insertion = f"INSERT OR IGNORE INTO {table} ({TABLES[table]}) VALUES ({marks})"  # noqa: S608 - our own names
            database.executemany(insertion, values)
