"""Runs one job of a sweep, whatever has become of it before: it is skipped, resumed, run again, or run."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace

from filelock import FileLock, Timeout

from lifecycle import layout
from lifecycle.config.request import Request
from lifecycle.config.resolve import resolve
from lifecycle.credentials import masked
from lifecycle.errors import LifecycleError, Pruned, RequestError
from lifecycle.profiling.clock import profiled
from lifecycle.runtime.lines import say
from lifecycle.runtime.signals import interruption_kept
from lifecycle.runtime.tracebacks import print_traceback
from lifecycle.sweeps import signature
from lifecycle.sweeps.plan import Plan, PlannedJob
from lifecycle.sweeps.search import pruning
from lifecycle.tracking import found_run, sweep_runs
from lifecycle.tracking.sweep_runs import DEAD, SweepRun

DONE, FAILED, REFUSED, ELSEWHERE, GIVEN_UP = "done", "failed", "refused", "elsewhere", "given-up"
PRUNED = "pruned"
"""How a job ended here: its run is FINISHED; it failed; its request cannot be met, so that it would fail again; another
process has it; it failed too often before; its search ended it early."""


ALONE = "alone"
"""How a job of a group ended here: it has not begun, and has to run by itself. The reason follows, if there is one."""


def execute(plan: Plan, job: PlannedJob) -> str:
    """Bring a job to its end, unless another process is at it.

    Args:
        plan: of the sweep.
        job: one of its jobs.

    Returns:
        :data:`DONE`, :data:`FAILED`, :data:`REFUSED`, :data:`ELSEWHERE`, :data:`GIVEN_UP` or :data:`PRUNED`.

    Raises:
        Interrupted: a signal ended the run, which is KILLED; the job will be resumed.
    """
    try:
        # One lock per job: two terminals may run one sweep. It is freed when the process ends, however it ends.
        with lock_of(plan, job):
            return _execute(plan, job)
    except Timeout:
        return ELSEWHERE


def lock_of(plan: Plan, job: PlannedJob) -> FileLock:
    """Return the lock of a job, which raises ``Timeout`` at once where another process has it.

    The locks are those of an experiment: a job may be one of several of its sweeps.
    """
    experiment = hashlib.sha256(plan.tracking.experiment.encode()).hexdigest()[:10]
    folder = plan.folder.parent / layout.CLAIMS / experiment
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return FileLock(folder / f"{job.signature[:32]}.lock", timeout=0)


def _execute(plan: Plan, job: PlannedJob) -> str:
    tracking = plan.tracking
    runs = sweep_runs.runs_of(plan.place, tracking.experiment, [job.signature], plan.name).get(job.signature, [])
    if any(run.status == "FINISHED" for run in runs):
        return DONE
    if any(run.status == sweep_runs.PRUNED for run in runs):
        return PRUNED
    if any(run.status == "RUNNING" for run in runs):
        return ELSEWHERE  # resumed by hand, for instance
    last = runs[-1] if runs else None
    if last is not None and last.status in (DEAD, "KILLED"):
        # A vectorised fit has no checkpoints: it begins again.
        if (last.artifacts / layout.REQUEST).is_file() and layout.VECTORISED not in last.tags:
            return _attempt(plan, job, last)
        found_run.discard(_which(plan, last))  # killed before anything of it was recorded
        runs.pop()
    attempt = max((run.attempt for run in runs), default=0) + 1
    if attempt > plan.settings.retries + 1:
        return GIVEN_UP
    return _attempt(plan, job, None, attempt)


def _attempt(plan: Plan, job: PlannedJob, begun: SweepRun | None, attempt: int = 1) -> str:
    """Run a job, or resume the run that it began, and print its error at once."""
    from lifecycle.runtime.faults import explanation

    name = plan.title(job)
    if plan.verbose:
        say(f"\n{name}", flush=True)
    try:
        with interruption_kept():
            request = job.request(plan, attempt)
            with profiled(request, is_command=True):
                _run(plan, job, begun, request)
    except Pruned:
        return PRUNED
    # Not Interrupted, which is no Exception: a signal ends the whole sweep.
    except Exception as raised:
        error = explanation(raised) or raised
        if not isinstance(error, LifecycleError):  # a bug: its author needs the traceback
            print_traceback(error)
        say(masked(f"lifecycle: {name} failed: {error}"), file=sys.stderr, flush=True)
        return REFUSED if isinstance(error, RequestError) else FAILED
    return DONE


def _run(plan: Plan, job: PlannedJob, begun: SweepRun | None, request: Request) -> None:
    from lifecycle.runtime.imports.quick import quick_imports
    from lifecycle.tracking import client

    client.warm_up(plan.tracking)
    with quick_imports():
        from lifecycle.runs import pipeline
        from lifecycle.runs.resume import resume
    check_code(plan, job)
    on_epoch = pruning.listener(plan, job)
    if begun is None:
        pipeline.run(request, on_epoch=on_epoch)
    else:
        resume(_which(plan, begun), [f"verbose={plan.verbose}"], sweep=request.sweep, on_epoch=on_epoch)


def check_code(plan: Plan, job: PlannedJob) -> None:
    """Refuse a job whose plugins have changed since the sweep was planned: it would be another job."""
    request = job.request(plan)
    now = signature.code_of(resolve(request)) if job.code else {}
    changed = [name for name in {**job.code, **now} if job.code.get(name) != now.get(name)]
    if changed:
        problem = f"has changed since sweep {plan.name} was planned"
        raise RequestError(changed[0], problem, remedy="Type the command of the sweep again, which plans it anew.")


def _which(plan: Plan, run: SweepRun) -> found_run.Which:
    return found_run.Which(run=run.id, tracking=replace(plan.tracking))
