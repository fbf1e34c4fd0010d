"""How runs ended whose database could not be written then: notes next to it, recorded when it is next opened."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from lifecycle.tracking.database_faults import is_busy

FOLDER = ".ended"
"""Next to the database; there is no such folder where there are no notes."""
MOST_CHARACTERS = 5000
"""Of a tag."""


def close(folder: Path, client: Any, run_id: str, status: str, error: str) -> None:
    """Close a run that did not succeed; where its database is not to be had, note it.

    Args:
        folder: of the database.
        client: ``mlflow.MlflowClient`` of it.
        run_id: of the run.
        status: of MLflow's, ``FAILED`` or ``KILLED``.
        error: what happened.
    """
    _write(folder, run_id, {"status": status, "error": error})  # first: this process may be ended while it waits
    try:
        client.set_tag(run_id, "lifecycle.error", error[:MOST_CHARACTERS])
    except Exception as fault:  # whatever MLflow or its database raise
        if is_busy(fault):
            return  # else it would wait as long again
    with suppress(Exception):
        client.set_terminated(run_id, status)
        _remove(folder, run_id)


def settle(folder: Path, client: Any) -> None:
    """Record the ends that are noted; what cannot be recorded now stays noted."""
    for file in sorted((folder / FOLDER).glob("*.json")):
        with suppress(Exception):  # MLflow's and SQLAlchemy's own errors, or half a note
            note, run_id = json.loads(file.read_text()), file.stem
            if client.get_run(run_id).info.status == "RUNNING":
                client.set_tag(run_id, "lifecycle.error", str(note["error"])[:MOST_CHARACTERS])
                client.set_terminated(run_id, str(note["status"]))
            _remove(folder, run_id)


def _write(folder: Path, run_id: str, note: dict[str, str]) -> None:
    with suppress(OSError):  # a disk that is full
        (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)
        (folder / FOLDER / f"{run_id}.json").write_text(json.dumps(note))


def _remove(folder: Path, run_id: str) -> None:
    with suppress(OSError):
        (folder / FOLDER / f"{run_id}.json").unlink(missing_ok=True)
        (folder / FOLDER).rmdir()  # where no other is left
