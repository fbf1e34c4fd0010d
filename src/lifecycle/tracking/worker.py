"""The process that records runs in MLflow: reads messages and handles them, one after the other.

:mod:`lifecycle.tracking.client` starts it. It ignores signals and ends when its client does; a run that is then still
open ends as KILLED.
"""

from __future__ import annotations

import gc
import logging
import os
import queue
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, BinaryIO

from lifecycle.errors import LifecycleError, RequestError
from lifecycle.runtime.endings import leave
from lifecycle.runtime.faults import is_full
from lifecycle.runtime.files.paths import shown
from lifecycle.runtime.processes import ENDING
from lifecycle.tracking import store
from lifecycle.tracking.backend import Backend
from lifecycle.tracking.database.faults import explained, is_busy, is_free, plain
from lifecycle.tracking.encoding import Answer, decode, encode_answer, encode_error
from lifecycle.tracking.messages import (
    CreateRun,
    FailRun,
    FinishRun,
    Message,
    RecoverRun,
    RepeatableMessage,
    RunMessage,
)
from lifecycle.tracking.replies import Done, Ended
from lifecycle.tracking.store import NO_STATUS
from lifecycle.tracking.writer import Draw

BUSY_WAIT = 10.0
"""Seconds that the end of a run waits for a database that another process has locked."""

READER = "reader of messages"
"""Name of the thread that does nothing else."""

PROBED_FOR = 0.5
"""Seconds of one attempt to lock the database, while messages wait for it."""


def serve(
    reader: BinaryIO,
    answer: Callable[[Answer], None],
    draw: Draw | None = None,
    imported_early: Sequence[str] = (),
) -> Backend:
    """Handle the messages of a client until there are no more; then end the run that is still open.

    Args:
        reader: of lines, see :mod:`lifecycle.tracking.messages`.
        answer: called with the answer to each message that awaits one.
        draw: as :class:`lifecycle.tracking.backend.Backend` takes it, like the next.
        imported_early: likewise.

    Returns:
        What recorded them; it may have more to send to a server.
    """
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # A thread, so that a client never waits for the pipe to be read while the database is locked.
    threading.Thread(target=_read, args=(reader, lines), daemon=True, name=READER).start()
    backend = Backend(draw, imported_early)
    _Server(lines, answer, backend).run()
    return backend


def _read(reader: BinaryIO, lines: queue.SimpleQueue[bytes]) -> None:
    for line in reader:
        if not line.endswith(b"\n"):
            break  # the client was killed while it wrote the line
        lines.put(line)
    lines.put(b"")


class _Server:
    """Handles messages in order; those that find the database locked wait, with all that come after them."""

    def __init__(self, lines: queue.SimpleQueue[bytes], answer: Callable[[Answer], None], backend: Backend) -> None:
        self._lines, self._answer, self._backend = lines, answer, backend
        self._waiting: deque[Message[Any]] = deque()
        self._fault = ""  # why the open run cannot be recorded

    def run(self) -> None:
        while line := self._next():
            message, number = decode(line)
            self._take(message, number)
        if self._backend.run_id is not None:
            with suppress(Exception):  # the journal has what cannot be written now
                self._waiting.extend(self._backend.journaled())  # the client had not sent all of it
                self._end(FailRun("KILLED", NO_STATUS, None))

    def _next(self) -> bytes:
        """Return the next line; meanwhile, try to write what waits."""
        while self._waiting:
            try:
                return self._lines.get(timeout=PROBED_FOR)
            except queue.Empty:
                try:
                    self._write_waiting()
                except Exception as error:  # whatever MLflow, its database or the disk raise
                    self._fault = self._fault or _sentence(self._backend, error)
                    self._waiting.clear()
        return self._lines.get()

    def _take(self, message: Message[Any], number: int | None) -> None:
        reply, failed, refused = Done(), "", None
        ends = isinstance(message, FailRun)
        try:
            if not self._fault or not isinstance(message, RunMessage) or ends:
                reply = self._handle(message)
        except RequestError as error:
            refused = encode_error(error)
        except Exception as error:  # whatever MLflow, its database or the disk raise
            failed = str(error) if isinstance(error, LifecycleError) else _sentence(self._backend, error)
            # A warm-up that fails is no fault of a run: creating the run reports it.
            self._fault = self._fault or (failed if isinstance(message, RunMessage) else "")
        if number is not None:
            # A message without a number has no answer, so its fault is reported with the next one.
            fault = self._fault if self._fault and not ends else failed
            self._answer(Answer(number, vars(reply), fault, refused))
            # The process is kept for the next run, which begins without the fault of this one.
            self._fault = self._fault if self._backend.run_id else ""

    def _handle(self, message: Message[Any]) -> Any:
        if isinstance(message, FinishRun | FailRun):
            return self._end(message)
        if isinstance(message, RecoverRun):
            self._waiting.extend([message, *self._backend.journaled()])
            return Done()
        if not isinstance(message, RepeatableMessage):
            reply = self._backend.handle(message)
            if isinstance(message, CreateRun) and self._backend.late is not None:
                self._waiting.extend([self._backend.late, *self._backend.journaled()])
            return reply
        if not self._waiting:
            try:
                return self._backend.handle(message)
            except Exception as error:
                if not is_busy(error):
                    raise
        self._waiting.append(message)
        return Done()

    def _end(self, message: Message[Any]) -> Ended:
        """End the run; what cannot be written in time is left in its journal."""
        self._waiting.append(message)
        until = time.monotonic() + BUSY_WAIT
        try:
            while not self._write_waiting():
                if time.monotonic() >= until:
                    pending = len(self._waiting)
                    self._backend.leave()
                    return Ended(pending, f"another process holds {shown(self._backend.database)}")
        finally:
            self._waiting.clear()
        return Ended()

    def _write_waiting(self) -> bool:
        """Write messages that wait, in order, and return whether none is left."""
        if len(self._waiting) > 1 and not is_free(self._backend.database, PROBED_FOR):
            return False
        while self._waiting:
            try:
                self._backend.handle(self._waiting[0])
            except Exception as error:
                if not is_busy(error):
                    raise
                return False
            self._waiting.popleft()
        return True


def _sentence(backend: Backend, error: Exception) -> str:
    """Return what could not be recorded or found, and why."""
    folder = None if backend.store is None else backend.store.folder
    if folder is not None and is_full(error):
        why = f"the disk of {folder} is full. Free some room on it."
    else:
        known = None if folder is None else explained(error, folder)
        why = f"{type(error).__name__}: {plain(error)}." if known is None else str(known)
    return f"the run could not be recorded: {why}"


def main(draw: Draw | None = None, imported_early: Sequence[str] = ()) -> None:
    """Serve the process that started this one; see :func:`serve`."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    for name in ("mlflow", "alembic", "matplotlib", "databricks", "botocore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are part of the answer instead
    gc.disable()  # few objects here refer to themselves, and imports are faster without it
    answers = os.dup(1)
    os.dup2(2, 1)  # libraries print to stdout, and a printed line is no answer
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    store.AFTER_IMPORT.append(_leave_out_check)
    backend = serve(sys.stdin.buffer, lambda answer: _write(answers, encode_answer(answer)), draw, imported_early)
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # a pipe on the command's output closes now, not after this process has been torn down
        os.dup2(null, descriptor)
    os.close(answers)
    backend.close()
    leave(0)


def _leave_out_check() -> None:
    """Have MLflow not check, for each model, whether the versions that it needs are installed.

    They are those that are installed, and the check reads the list of files of every package, which takes longer than
    to record a short run. Only in a process that is our own.
    """
    environment: Any = import_module("mlflow.utils.environment")
    environment.warn_dependency_requirement_mismatches = lambda requirements: None


def _write(descriptor: int, line: bytes) -> None:
    with suppress(BrokenPipeError):  # the client has ended
        while line:
            line = line[os.write(descriptor, line) :]
