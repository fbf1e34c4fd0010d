"""The process that records runs in MLflow: reads messages and handles them, one after the other.

:mod:`lifecycle.tracking.client` starts it. It ignores signals and ends when its client does; a run that is then still
open ends as KILLED.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, BinaryIO

from lifecycle.errors import LifecycleError, RequestError
from lifecycle.runtime.faults import is_full
from lifecycle.runtime.processes import ENDING
from lifecycle.tracking.backend import Backend
from lifecycle.tracking.database_faults import explained, is_busy, plain
from lifecycle.tracking.messages import (
    Answer,
    Done,
    FailRun,
    Message,
    RepeatableMessage,
    RunMessage,
    decode,
    encode_answer,
    encode_error,
)
from lifecycle.tracking.store import NO_STATUS
from lifecycle.tracking.writer import Draw

MAX_WAIT = 60.0
"""Seconds that a message of a run waits for a database that another process has locked."""


def serve(
    reader: BinaryIO,
    answer: Callable[[Answer], None],
    draw: Draw | None = None,
    imported_early: Sequence[str] = (),
) -> None:
    """Handle the messages of a client until there are no more; then end the run that is still open.

    Args:
        reader: of lines, see :mod:`lifecycle.tracking.messages`.
        answer: called with the answer to each message that awaits one.
        draw: as :class:`lifecycle.tracking.backend.Backend` takes it, like the next.
        imported_early: likewise.
    """
    backend, fault = Backend(draw, imported_early), ""
    for line in reader:
        if not line.endswith(b"\n"):
            break  # the client was killed while it wrote the line
        message, number = decode(line)
        reply, failed, refused = Done(), "", None
        ends = isinstance(message, FailRun)
        try:
            if not fault or not isinstance(message, RunMessage) or ends:
                reply = _handle(backend, message)
        except RequestError as error:
            refused = encode_error(error)
        except Exception as error:  # whatever MLflow, its database or the disk raise
            failed = str(error) if isinstance(error, LifecycleError) else _sentence(backend, error)
            # A warm-up that fails is no fault of a run: creating the run reports it.
            fault = fault or (failed if isinstance(message, RunMessage) else "")
        if number is not None:
            # A message without a number has no answer, so its fault is reported with the next one.
            answer(Answer(number, vars(reply), fault if fault and not ends else failed, refused))
            # The process is kept for the next run, which begins without the fault of this one.
            fault = fault if backend.run_id else ""
    if backend.run_id is not None:
        backend.handle(FailRun("KILLED", NO_STATUS, None))


def _handle(backend: Backend, message: Message[Any]) -> Any:
    """Handle a message; one that can be repeated waits for a locked database, up to a limit."""
    until = time.monotonic() + MAX_WAIT
    while True:
        try:
            # Repeated without a pause: MLflow lets each statement wait for the lock, see WAITS in database_faults.
            return backend.handle(message)
        except Exception as error:
            if not isinstance(message, RepeatableMessage) or not is_busy(error) or time.monotonic() >= until:
                raise


def _sentence(backend: Backend, error: Exception) -> str:
    """Return what could not be recorded or found, and why."""
    folder = None if backend.store is None else backend.store.folder
    if folder is not None and is_full(error):
        why = f"the disk of {folder} is full. Free some room on it."
    else:
        known = None if folder is None else explained(error, folder, MAX_WAIT)
        why = f"{type(error).__name__}: {plain(error)}." if known is None else str(known)
    return f"the run could not be recorded: {why}"


def main(draw: Draw | None = None, imported_early: Sequence[str] = ()) -> None:
    """Serve the process that started this one; see :func:`serve`."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    for name in ("mlflow", "alembic", "matplotlib"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are part of the answer instead
    gc.disable()  # few objects here refer to themselves, and imports are faster without it
    answers = os.dup(1)
    os.dup2(2, 1)  # libraries print to stdout, and a printed line is no answer
    _leave_out_check()
    serve(sys.stdin.buffer, lambda answer: _write(answers, encode_answer(answer)), draw, imported_early)
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # a pipe on the command's output closes now, not after this process has been torn down
        os.dup2(null, descriptor)


def _leave_out_check() -> None:
    """Have MLflow not check, for each model, whether the versions that it needs are installed.

    They are those that are installed, and the check reads the list of files of every package, which takes longer than
    to record a short run. Only in a process that is our own.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    environment: Any = import_module("mlflow.utils.environment")
    environment.warn_dependency_requirement_mismatches = lambda requirements: None


def _write(descriptor: int, line: bytes) -> None:
    with suppress(BrokenPipeError):  # the client has ended
        while line:
            line = line[os.write(descriptor, line) :]
