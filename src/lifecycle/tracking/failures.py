"""Ends a run that did not succeed as FAILED or KILLED, with its error as a sentence."""

from __future__ import annotations

import json
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from lifecycle import layout
from lifecycle.config.records.request_record import FROM_PYTHON
from lifecycle.config.schema import TrackingConfig
from lifecycle.credentials import masked
from lifecycle.errors import Interrupted, LifecycleError, PluginError
from lifecycle.runtime.faults import Cures, explanation
from lifecycle.runtime.files.paths import shown
from lifecycle.runtime.processes import signals_ignored
from lifecycle.tracking.client import ENDS_WITHIN
from lifecycle.tracking.messages import FailRun, Message, Reply
from lifecycle.tracking.spool import pending


class OpenRun(Protocol):
    """What ending a run needs of it."""

    id: str
    artifacts: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints."""
        ...

    def send(self) -> None:
        """Send what is waiting."""
        ...


class Asked(Protocol):
    """What ending a run needs of a :class:`lifecycle.tracking.client.Recorder`."""

    def ask(self, message: Message[Reply], within: float | None = None) -> Reply:
        """Send a message and return its reply."""
        ...


def close(recorder: Asked, run: OpenRun | None, error: BaseException) -> LifecycleError | None:
    """End a run that did not succeed. Errors of this function are suppressed: the caller reports the given one.

    Args:
        recorder: of the run.
        run: ``None`` where it could not be created.
        error: the one that ended it.

    Returns:
        The error as a sentence; ``None``: it is one already, or a bug.
    """
    found = explanation(error, _cures(run))
    reported = error if found is None else found
    is_sentence = isinstance(reported, LifecycleError | Interrupted)
    unexpected = not is_sentence or isinstance(reported, PluginError)
    trace = masked("".join(traceback.format_exception(error))) if unexpected else None
    sentence = str(reported) if is_sentence else f"{type(error).__name__}: {error}"
    status = "KILLED" if isinstance(error, Interrupted | KeyboardInterrupt) else "FAILED"
    # A second Ctrl-C must not interrupt the message that says how the run ended.
    with signals_ignored(), suppress(LifecycleError):
        if run is not None:
            # Before FailRun, after which nothing can be added to the run.
            with suppress(OSError):
                run.send()
        recorder.ask(FailRun(status, masked(sentence), trace, pending.now()), within=ENDS_WITHIN)
    return found


def _cures(run: OpenRun | None) -> Cures:
    command = "" if run is None else resume_command(run.artifacts, run.checkpoints, run.id)
    again = f"{command} continues it" if command else "run again"
    return Cures("Lower trainer.batch_size, or use a smaller network", again)


def remaining_checkpoints(artifacts: Path, checkpoints: Path, run_id: str) -> str:
    """Return a sentence on the checkpoints of a run that could not be recorded, and how to resume it; "" without any.

    Args:
        artifacts: folder of the run's artifacts.
        checkpoints: folder of its checkpoints, ``<tracking.dir>/checkpoints/<run>``.
        run_id: of the run.
    """
    if not list(checkpoints.glob("*.ckpt")):
        return ""
    place = f" The checkpoints are in {shown(checkpoints)}"
    command = resume_command(artifacts, checkpoints, run_id)
    return f"{place}; `{command}` completes the run." if command else f"{place}."


def resume_command(artifacts: Path, checkpoints: Path, run_id: str) -> str:
    """Return the command that resumes a run; "" where there is no record, or the rows were in memory."""
    try:
        resumes = json.loads((artifacts / layout.REQUEST).read_text())["command"] != FROM_PYTHON
    except (OSError, ValueError, KeyError):
        return ""
    # Checkpoints are in <folder>/checkpoints/<run>.
    folder = shown(checkpoints.parent.parent)
    where = "" if folder == TrackingConfig.dir else f" tracking.dir={folder}"
    return f"lifecycle resume run={run_id}{where}" if resumes else ""
