"""Runs a sweep from its plan to its leader board."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from lifecycle.config.request import build
from lifecycle.config.schema import OPTUNA, SweepConfig
from lifecycle.errors import Interrupted, LifecycleError
from lifecycle.runtime.lines import say
from lifecycle.runtime.processes import signals_ignored
from lifecycle.sweeps import grid, planning, signature
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.execute import GIVEN_UP
from lifecycle.sweeps.launchers import start
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.results.board import Board, board_of
from lifecycle.sweeps.results.report import print_board
from lifecycle.sweeps.search import composing
from lifecycle.sweeps.search.supervise import search
from lifecycle.sweeps.supervise import DIED, NOT_DONE
from lifecycle.tracking import sweep_runs
from lifecycle.tracking.servers import waiting


class SweepError(LifecycleError):
    """Not every job of a sweep succeeded."""

    def __init__(self, message: str = "not every job of the sweep succeeded; each failure is printed above.") -> None:
        super().__init__(message)


class SweepTimeoutError(SweepError):
    """``sweep.minutes`` ended a sweep in which jobs are left and none failed. The exit code is that of ``timeout``."""

    exit_code = 124


def run(plan: Plan) -> Board:
    """Store a plan, run its jobs, and print the leader board.

    Raises:
        SweepError: a job failed, or ``sweep.minutes`` have passed and jobs are left.
        Interrupted: a signal arrived; the board and the command that continues have been printed.
    """
    plan, begun = stored(plan), time.monotonic()
    try:
        left = _left(plan)
        ended = start.run_jobs(plan, left) if plan.search is None else search(plan)
    except Interrupted:
        with signals_ignored():
            print_board(board_of(plans.current(plan)), plan.verbose)
        raise
    minutes = plan.settings.minutes
    is_late = minutes is not None and time.monotonic() - begun >= 60 * minutes
    # Of a grid, another process may have jobs that are left.
    is_late = is_late and (plan.search is not None or not set(left) <= set(ended))
    return conclude(plans.current(plan), ended, is_late)


def planned(parsed: Sequence[Any], compose: planning.Compose, command: str, config: DictConfig) -> Plan:
    """Return the sweep of a command: a grid, or a search.

    Args:
        parsed: overrides of the command, ``hydra.core.override_parser.types.Override``.
        compose: composes a configuration from overrides.
        command: the command line, for the record.
        config: composed without the swept overrides.

    Raises:
        RequestError: the jobs cannot be composed.
        Interrupted: a signal arrived; the command that begins again has been printed.
    """
    settings: SweepConfig = build(config, "sweep")
    try:
        if settings.method == OPTUNA:
            return composing.plan(parsed, compose, command, settings)
        return planning.plan(grid.combinations(parsed), compose, command)
    except Interrupted:
        say(f"lifecycle: no job was started, since not all were composed. Run again: {command}", file=sys.stderr)
        raise


def stored(plan: Plan) -> Plan:
    """Store a plan, and return it; with ``sweep.again``, that of a repetition.

    Raises:
        RequestError: an environment variable names another place for runs, or the launcher is not installed.
    """
    plan.tracking.check()
    start.check(plan)
    if plan.search is not None:
        with plans.turn(plan):
            # Whether it is over is seen anew: its limits may have changed.
            found = replace(plans.current(plan), is_over=False) if plans.is_stored(plan) else plan
            plans.write(found)
        return found
    found = _repeated(plan) if plan.settings.again else plan
    with plans.turn(found):
        found = plans.with_stored_numbers(found)
        plans.write(found)
    return found


def _repeated(plan: Plan) -> Plan:
    """Return the plan with other signatures, so that finished jobs are run again; an unfinished repetition goes on."""
    settings = replace(plan.settings, again=False)
    number = 1
    while True:
        jobs = tuple(replace(job, signature=signature.repeated(job.signature, number)) for job in plan.jobs)
        name = signature.sweep_name([job.signature for job in jobs])
        found = replace(plan, name=name, jobs=jobs, settings=settings, folder=plan.folder.with_name(name))
        if _left(found):
            return found
        number += 1


def _left(plan: Plan) -> list[int]:
    """Return the numbers of the jobs that are not finished: a sweep that is complete starts no process."""
    signatures = [job.signature for job in plan.jobs]
    done = sweep_runs.finished_signatures(plan.place, plan.tracking.experiment, signatures)
    return [job.number for job in plan.jobs if job.signature not in done]


def conclude(plan: Plan, ended: Mapping[int, str], is_late: bool = False) -> Board:
    """Print the leader board.

    Args:
        plan: of the sweep.
        ended: how the jobs ended in this process, by number; see :func:`lifecycle.sweeps.supervise.supervise`.
        is_late: whether ``sweep.minutes`` have passed, and this process would have run jobs that are left.

    Raises:
        SweepError: a job failed, or ``sweep.minutes`` have passed and jobs are left.
    """
    waiting.record_rest(plan.tracking)
    board = board_of(plan)
    print_board(board, plan.verbose)
    for name, sentence in zip(("Server", "Pending"), waiting.ended(plan.tracking), strict=True):
        if sentence:
            say(f"{name:<9} {sentence}")
    for number, how in ended.items():
        words = " ".join(plan.jobs[number].words)
        if how == GIVEN_UP:
            times = plan.settings.retries + 1
            advice = f"it has failed {times} time{'s' * (times != 1)}; raise sweep.retries to run it again"
            say(f"lifecycle: job {number + 1}: {words} was skipped: {advice}.", file=sys.stderr)
        elif how == DIED:
            advice = f"{plan.to_continue} continues it"
            say(f"lifecycle: job {number + 1}: {words} ended its process; {advice}.", file=sys.stderr)
    if board.failures or NOT_DONE & set(ended.values()):
        raise SweepError
    if is_late and board.counts["left"]:
        left = f"{board.counts['left']} of {plan.total} jobs left"
        message = f"sweep.minutes={plan.settings.minutes:g} have passed, with {left}. {plan.to_continue} continues it."
        raise SweepTimeoutError(message)
    return board
