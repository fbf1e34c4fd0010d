"""The journal of a run: each message is on the local disk before it is sent to the process that records.

A journal is only appended to. Each line has the SHA-256 of its message, so that a line that was half written is known.
To write all messages of a journal into a database again changes nothing, so there is no need to know how far an
earlier attempt had got.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from lifecycle import layout
from lifecycle.runtime.files import locks
from lifecycle.tracking.encoding import decode, encode
from lifecycle.tracking.messages import Message

SUFFIX = ".jsonl"

SECONDS_BETWEEN = 1.0
"""After which a message is written through to the disk: a power loss may take the messages of this time."""

CUT = b"#\n"
"""Ends a line that was half written, by a process that was killed."""

SECONDS_OF_BEGINNING = 2.0
"""How long a process that has the journal open is waited for."""


class Journal:
    """The journal of one run, and the folder of the files that its messages refer to.

    Attributes:
        damaged: number of lines that :meth:`messages` has left out, as their disk has changed them.

    Args:
        store: folder of the database.
        run_id: of the run.
    """

    def __init__(self, store: Path, run_id: str) -> None:
        folder = store / layout.SPOOL
        self.run_id, self.file, self.files = run_id, folder / f"{run_id}{SUFFIX}", folder / run_id
        self.damaged = 0
        self._lock_file = folder / f"{run_id}.lock"
        self._lock: FileLock | None = None
        self._descriptor: int | None = None
        self._is_unsynced, self._has_ended = False, threading.Event()
        self._fault: OSError | None = None  # of writing through, raised by the next message

    def begin(self) -> None:
        """Make the files, which only their owner can read: messages contain predictions, and with them data.

        Raises:
            OSError: they cannot be written.
            Timeout: another process has the run open.
        """
        self.files.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not at once: a process that looks whether the run has one holds the lock for a moment.
        self._lock = FileLock(self._lock_file, timeout=SECONDS_OF_BEGINNING)
        self._lock.acquire()
        self._descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, CUT)  # a line that was half written must not damage the next one
        _sync_folder(self.file.parent)
        # In a thread, which has a descriptor of its own: training does not wait for the disk.
        threading.Thread(target=self._keep_synced, args=(os.dup(self._descriptor),), daemon=True).start()

    def append(self, message: Message[Any]) -> None:
        """Add a message; it is written through to the disk within :data:`SECONDS_BETWEEN`, without waiting for that.

        Raises:
            OSError: the disk is full.
        """
        assert self._descriptor is not None  # noqa: S101 - begin() was called
        if self._fault is not None:
            raise self._fault
        text = encode(message, None)
        line = memoryview(hashlib.sha256(text).hexdigest().encode() + b" " + text)
        before = os.fstat(self._descriptor).st_size
        try:
            while line:  # a part only, where the disk becomes full
                line = line[os.write(self._descriptor, line) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, before)  # the part would damage the next line
            raise OSError(error.errno, error.strerror, str(self.file)) from error  # os.write() does not know the name
        self._is_unsynced = True

    def _keep_synced(self, descriptor: int) -> None:
        while not self._has_ended.wait(SECONDS_BETWEEN):
            if self._is_unsynced:
                self._is_unsynced = False
                try:
                    os.fsync(descriptor)
                except OSError as error:
                    self._fault = error
        os.close(descriptor)

    def sync(self) -> None:
        """Write what was appended through to the disk.

        Raises:
            OSError: the disk fails.
        """
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def messages(self) -> Iterator[Message[Any]]:
        """Yield the messages; lines that are damaged are left out, and counted unless they were not written in full."""
        self.damaged = 0
        with self.file.open("rb") as lines:
            for line in lines:
                digest, _, text = line.partition(b" ")
                written = text.removesuffix(CUT) + b"\n" if text.endswith(CUT) else text
                if hashlib.sha256(written).hexdigest().encode() == digest:
                    yield decode(written)[0]
                elif line.endswith(b"\n") and not line.endswith(CUT):
                    self.damaged += 1

    def close(self) -> None:
        """End writing. What is left of the journal is written by the next process that opens the database."""
        self._has_ended.set()
        if self._descriptor is not None:
            if self.file.exists():  # otherwise the database has all of it
                with suppress(OSError):
                    self.sync()
            os.close(self._descriptor)
            self._descriptor = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            # The name stays while there is a journal: removed earlier, two processes could lock two files of it.
            if not self.file.exists():
                self._lock_file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the journal: the database has all of it."""
        # The file first: without it, the rest is nothing that anyone waits for.
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.files, ignore_errors=True)
        if self._lock is None:
            self._lock_file.unlink(missing_ok=True)

    def is_written(self) -> bool:
        """Return whether a process has the journal open for writing."""
        return locks.is_locked(self._lock_file)


def _sync_folder(folder: Path) -> None:
    """Write the name of a new file through to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems have no such thing
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def waiting(store: Path) -> list[Journal]:
    """Return the journals in a store, by the id of their run."""
    return [Journal(store, file.stem) for file in sorted((store / layout.SPOOL).glob(f"*{SUFFIX}"))]
