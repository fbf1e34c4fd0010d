"""The process that talks to MLflow: reads a line of JSON for each thing that happens, and records it.

:mod:`lifecycle.tracking.client` starts it. Signals are not for it: it ends when the process that started it does, and
closes a run that is then still open as KILLED.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from lifecycle.errors import LifecycleError, RequestError
from lifecycle.runtime.faults import is_full
from lifecycle.runtime.processes import ENDING
from lifecycle.tracking.backend import Draw, MLflowRun
from lifecycle.tracking.database_faults import explained, is_busy, plain
from lifecycle.tracking.store import WITHOUT_A_WORD

WAITS_IN_ALL = 60.0
"""Seconds that a run which goes on waits for a database that another process holds, before it is given up."""


def serve(
    reader: BinaryIO,
    answer: Callable[[dict[str, Any]], None],
    draw: Draw | None = None,
    used_later: Sequence[str] = (),
) -> None:
    """Record what is read until there is no more; then close what is open.

    Args:
        reader: of lines of JSON.
        answer: takes the answer of each line that asks for one.
        draw: as :class:`lifecycle.tracking.backend.MLflowRun` takes it, like the next.
        used_later: likewise.
    """
    run, fault = MLflowRun(draw, used_later), ""
    for line in reader:
        if not line.endswith(b"\n"):
            break  # whoever wrote it was ended within it
        values = json.loads(line)
        verb, asked = values.pop("verb"), values.pop("asked", None)
        said: dict[str, Any] = {}
        try:
            if not fault or verb not in VERBS_OF_A_RUN or verb == "fail":
                said = _do(run, verb, values)
        except RequestError as error:
            said = {"refused": str(error)}
        except Exception as error:  # whatever MLflow, its database or the disk raise
            said = {"failed": str(error) if isinstance(error, LifecycleError) else _sentence(run, error)}
            fault = fault or (said["failed"] if verb in VERBS_OF_A_RUN else "")  # what warming lacks, opening tells
        if asked is not None:
            answer({"asked": asked, **said, **({"failed": fault} if fault and verb != "fail" else {})})
            fault = fault if run.run_id else ""
    if run.run_id is not None:
        run.fail("KILLED", WITHOUT_A_WORD, None)


VERBS: dict[str, Callable[..., dict[str, Any] | None]] = {
    name: getattr(MLflowRun, name)
    for name in (
        *("warm", "open", "describe", "params", "metrics", "data", "tags", "text", "file", "folder"),
        *("pictures", "model", "finish", "fail", "sweep", "reopen", "go_on"),
        *("find", "find_many", "histories", "register", "close_dead"),
    )
}
VERBS_OF_A_RUN = set(VERBS) - {
    *("warm", "open", "reopen", "sweep", "find", "find_many", "histories", "register", "close_dead"),
}
ADDS_TO_A_RUN = VERBS_OF_A_RUN - {"fail", "go_on"}
"""What does the same when it is done again."""


def _do(run: MLflowRun, verb: str, values: dict[str, Any]) -> dict[str, Any]:
    """Do what a line says; what only adds to a run waits for a database that another process holds, in all so long."""
    until = time.monotonic() + WAITS_IN_ALL
    while True:
        try:
            return VERBS[verb](run, **values) or {}
        except Exception as error:
            if verb not in ADDS_TO_A_RUN or not is_busy(error) or time.monotonic() >= until:
                raise


def _sentence(run: MLflowRun, error: Exception) -> str:
    """Return what is to be said of something that could not be recorded or found."""
    store = getattr(run, "store", None)
    if store is not None and is_full(error):
        why = f"the disk of {store.folder} is full. Free some room on it."
    else:
        known = None if store is None else explained(error, store.folder, WAITS_IN_ALL)
        why = f"{type(error).__name__}: {plain(error)}." if known is None else str(known)
    return f"the run could not be recorded: {why}"


def main(draw: Draw | None = None, used_later: Sequence[str] = ()) -> None:
    """Serve the process that started this one; see :func:`serve`."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    for name in ("mlflow", "alembic", "matplotlib"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # an error is answered, in a sentence
    gc.disable()  # little is made here that refers to itself, and imports are faster
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    serve(sys.stdin.buffer, lambda said: _write(answers, json.dumps(said).encode() + b"\n"), draw, used_later)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # whoever reads what the command printed does not wait for this process to be taken down
        os.dup2(nowhere, descriptor)


def _write(descriptor: int, line: bytes) -> None:
    with suppress(BrokenPipeError):  # nobody waits any more
        while line:
            line = line[os.write(descriptor, line) :]
