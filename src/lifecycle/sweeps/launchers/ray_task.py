"""What a worker of Ray runs: one job of a sweep. Imported by name in the workers."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lifecycle.errors import Interrupted
from lifecycle.runtime.labels import lines_labelled
from lifecycle.runtime.signals import signals_raise
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.execute import ELSEWHERE, execute

KILLED, LATE = "killed", "late"
"""How a job ended in addition to :mod:`lifecycle.sweeps.execute`: a signal ended it; it was not started in time."""

SECONDS = 20.0
"""How long the lock of a job is awaited whose worker died: the process that recorded its run ends soon after."""


def run_job(cwd: str, folder: str, number: int, until: float | None, after_crash: bool) -> str:
    """Run a job.

    Args:
        cwd: the working folder of the command: relative paths of data begin there.
        folder: of the sweep, which all machines share.
        number: of the job.
        until: when no job is started any more, in seconds since 1970; ``None``: no limit.
        after_crash: whether the worker that ran it before has died.

    Returns:
        How it ended: see :mod:`lifecycle.sweeps.execute`, :data:`KILLED` or :data:`LATE`.
    """
    if until is not None and time.time() > until:
        return LATE
    os.chdir(cwd)
    plan = plans.read(Path(folder))
    give_up = time.monotonic() + (SECONDS if after_crash else 0)
    try:
        with signals_raise(), lines_labelled(f"[{number + 1}] "):
            while (ended := execute(plan, plan.jobs[number])) == ELSEWHERE and time.monotonic() < give_up:
                time.sleep(0.5)
    except Interrupted:
        return KILLED
    return ended
