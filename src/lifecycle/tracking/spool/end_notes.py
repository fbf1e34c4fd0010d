"""Notes on runs that ended while their database could not be written; recorded when it is opened next."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.tracking.database.faults import is_busy
from lifecycle.tracking.pages.tags import MOST_CHARACTERS

FOLDER = ".ended"
"""Next to the database; the folder exists only while there are notes."""


def close(folder: Path, client: Any, run_id: str, status: str, error: str, at: int | None = None) -> None:
    """End a run that did not succeed; if its database cannot be written, leave a note.

    Args:
        folder: of the database.
        client: ``mlflow.MlflowClient`` of it.
        run_id: of the run.
        status: ``FAILED`` or ``KILLED``.
        error: the reason.
        at: the time of the end, in milliseconds since 1970; ``None``: now.
    """
    note(folder, run_id, status, error)  # first: this process may be killed while it waits for the database
    try:
        client.set_tag(run_id, layout.ERROR, error[:MOST_CHARACTERS])
    except Exception as fault:  # MLflow and its database have no common base of errors
        if is_busy(fault):
            return  # a second request would wait as long again
    with suppress(Exception):
        client.set_terminated(run_id, status, at)
        _remove(folder, run_id)


def settle(folder: Path, client: Any) -> None:
    """Record the notes; those that cannot be recorded now stay."""
    for file in sorted((folder / FOLDER).glob("*.json")):
        with suppress(Exception):  # MLflow's and SQLAlchemy's errors, or an incomplete note
            found, run_id = json.loads(file.read_text()), file.stem
            if client.get_run(run_id).info.status == "RUNNING":
                client.set_tag(run_id, layout.ERROR, str(found["error"])[:MOST_CHARACTERS])
                client.set_terminated(run_id, str(found["status"]))
            _remove(folder, run_id)


def note(folder: Path, run_id: str, status: str, error: str) -> None:
    """Leave a note on how a run ended; see :func:`close`."""
    with suppress(OSError):  # the disk is full
        # Only for its owner, as the folder of the database: an error may quote data.
        (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)
        (folder / FOLDER / f"{run_id}.json").write_text(json.dumps({"status": status, "error": error}))


def _remove(folder: Path, run_id: str) -> None:
    with suppress(OSError):
        (folder / FOLDER / f"{run_id}.json").unlink(missing_ok=True)
        (folder / FOLDER).rmdir()  # fails while other notes are left
