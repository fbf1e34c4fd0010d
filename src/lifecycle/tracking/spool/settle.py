"""Writes the journals that earlier processes have left, when their database is opened next."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lifecycle import layout
from lifecycle.tracking.messages import (
    CreateRun,
    FailRun,
    FinishRun,
    LogFigures,
    LogFile,
    LogFolder,
    LogModel,
    RepeatableMessage,
    SetTags,
)
from lifecycle.tracking.spool import end_notes, late
from lifecycle.tracking.spool.journal import Journal, waiting
from lifecycle.tracking.store import Store
from lifecycle.tracking.writer import Draw, writer_of


def settle(store: Store, draw: Draw | None) -> None:
    """Write the journals of runs that no process has open; those that cannot be written now stay.

    Args:
        store: the database.
        draw: draws the figures of a run; ``None``: it has none.
    """
    for journal in waiting(store.folder):
        folder = store.checkpoints(journal.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        # MLflow's and SQLAlchemy's errors have no common base; the run is not that of this process.
        with suppress(Timeout, Exception), FileLock(folder / layout.LOCK, timeout=0):
            if journal.file.exists() and not journal.is_written():
                _write(store, journal, draw)


def _write(store: Store, journal: Journal, draw: Draw | None) -> None:
    writer = writer_of(store.client, journal.run_id, draw)
    end: FinishRun | FailRun | None = None
    for message in journal.messages():
        if isinstance(message, CreateRun):
            late.insert(store, message)
            store.reserve(journal.run_id)
        elif isinstance(message, RepeatableMessage) and _has_files(message):
            writer.write(message)
        elif isinstance(message, FinishRun | FailRun):
            end = message
    if journal.damaged:
        lines = "1 line" if journal.damaged == 1 else f"{journal.damaged} lines"
        writer.write(SetTags({layout.DAMAGED: f"{lines} of its journal could not be read: what they said is lost"}))
    # Without an end, the process was killed: the run is closed as any that is RUNNING without a process. A run that is
    # not RUNNING had ended before, and was only added to.
    if end is not None and store.client.get_run(journal.run_id).info.status == "RUNNING":
        store.release(journal.run_id)
        if isinstance(end, FinishRun):
            store.client.set_terminated(journal.run_id, "FINISHED", end.at)
        else:
            end_notes.close(store.folder, store.client, journal.run_id, end.status, end.error, end.at)
    journal.remove()


def _has_files(message: RepeatableMessage) -> bool:
    """Return whether the file or the folder that a message refers to is there: the disk may have been full."""
    if isinstance(message, LogFile):
        return Path(message.file).is_file()
    if isinstance(message, LogFolder | LogModel):
        return Path(message.folder).is_dir()
    return not isinstance(message, LogFigures) or Path(message.predictions).is_file()
