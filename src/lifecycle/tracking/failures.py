"""A run that did not succeed: closed as FAILED or KILLED, its error as a sentence."""

from __future__ import annotations

import traceback
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from lifecycle.config import request_record
from lifecycle.credentials import masked
from lifecycle.errors import Interrupted, LifecycleError, PluginError
from lifecycle.runtime.faults import Cures, explanation
from lifecycle.runtime.processes import signals_ignored
from lifecycle.tracking.client import ENDS_WITHIN, Recorder


class OpenRun(Protocol):
    """What closing needs of a run."""

    id: str
    artifacts: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints."""
        ...

    def send(self) -> None:
        """Send what is waiting."""
        ...


def close(serving: Recorder, run: OpenRun | None, error: BaseException) -> LifecycleError | None:
    """Close a run that did not succeed. The error is the one that is reported, whatever happens here.

    Args:
        serving: the process that records it.
        run: as far as it was opened.
        error: that ended it.

    Returns:
        The error as a sentence; ``None``: it is one already, or a fault of ours.
    """
    found = explanation(error, _cures(run))
    reported = error if found is None else found
    is_sentence = isinstance(reported, LifecycleError | Interrupted)
    unexpected = not is_sentence or isinstance(reported, PluginError)
    trace = masked("".join(traceback.format_exception(error))) if unexpected else None
    said = str(reported) if is_sentence else f"{type(error).__name__}: {error}"
    status = "KILLED" if isinstance(error, Interrupted | KeyboardInterrupt) else "FAILED"
    with signals_ignored(), suppress(LifecycleError):
        if run is not None:
            run.send()
        serving.ask("fail", within=ENDS_WITHIN, status=status, error=masked(said), trace=trace)
    return found


def _cures(run: OpenRun | None) -> Cures:
    command = "" if run is None else request_record.resume_command(run.artifacts, run.checkpoints, run.id)
    again = f"{command} continues it" if command else "run again"
    return Cures("Lower trainer.batch_size, or use a smaller network", again)
