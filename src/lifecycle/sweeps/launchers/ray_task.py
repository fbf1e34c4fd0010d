"""What a worker of Ray runs: a job of a sweep, or a group of them. Imported by name in the workers."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lifecycle.errors import Interrupted
from lifecycle.runtime.labels import lines_labelled
from lifecycle.runtime.signals import signals_raise
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.execute import ELSEWHERE, execute
from lifecycle.sweeps.execute_group import execute_group
from lifecycle.sweeps.grouping import Task
from lifecycle.sweeps.plan import Plan, PlannedJob

KILLED, LATE = "killed", "late"
"""How a job ended in addition to :mod:`lifecycle.sweeps.execute`: a signal ended it; it was not started in time."""

SECONDS = 20.0
"""How long the lock of a job is awaited whose worker died: the process that recorded its run ends soon after."""


def run_job(cwd: str, folder: str, task: Task, until: float | None, after_crash: bool) -> list[tuple[int, str]]:
    """Run jobs.

    Args:
        cwd: the working folder of the command: relative paths of data begin there.
        folder: of the sweep, which all machines share.
        task: numbers of the jobs; several are run as a group.
        until: when no job is started any more, in seconds since 1970; ``None``: no limit.
        after_crash: whether the worker that ran it before has died.

    Returns:
        Number and end of each job: see :mod:`lifecycle.sweeps.execute`, :data:`KILLED` or :data:`LATE`.
    """
    if until is not None and time.time() > until:
        return [(number, LATE) for number in task]
    os.chdir(cwd)
    plan = plans.read(Path(folder))
    ended: dict[int, str] = {}
    try:
        with signals_raise(), lines_labelled(f"[{task[0] + 1}] "):
            if len(task) > 1:
                execute_group(plan, task, ended.__setitem__)
            else:
                ended[task[0]] = _single(plan, plan.jobs[task[0]], SECONDS if after_crash else 0)
    except Interrupted:
        return [(number, ended.get(number, KILLED)) for number in task]
    return list(ended.items())


def _single(plan: Plan, job: PlannedJob, patience: float) -> str:
    give_up = time.monotonic() + patience
    while (how := execute(plan, job)) == ELSEWHERE and time.monotonic() < give_up:
        time.sleep(0.5)
    return how
