"""Runs several jobs of a sweep at once, and says which of them have to run by themselves."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from filelock import Timeout

from lifecycle import layout
from lifecycle.config.records.request_record import place, requests_of
from lifecycle.config.request import Request, SweepJob
from lifecycle.credentials import masked
from lifecycle.errors import LifecycleError, Pruned
from lifecycle.runtime.lines import say
from lifecycle.runtime.signals import interruption_kept
from lifecycle.runtime.tracebacks import print_traceback
from lifecycle.sweeps.execute import ALONE, DONE, ELSEWHERE, FAILED, GIVEN_UP, PRUNED, check_code, lock_of
from lifecycle.sweeps.grouping import CHECK
from lifecycle.sweeps.plan import Plan, PlannedJob
from lifecycle.sweeps.search import pruning
from lifecycle.tracking import client, sweep_runs
from lifecycle.tracking.messages import CloseDeadRuns
from lifecycle.tracking.sweep_runs import DEAD, SweepRun

SECONDS_BETWEEN = 5.0
"""Interval of the lines on the progress of a group."""


def execute_group(plan: Plan, numbers: Sequence[int], on_end: Callable[[int, str], None]) -> None:
    """Bring jobs to their ends, together as far as possible.

    Args:
        plan: of the sweep.
        numbers: of the jobs.
        on_end: called with the number of each job and how it ended, see :mod:`lifecycle.sweeps.execute`; or
            ``"alone nn.LSTM"``.

    Raises:
        Interrupted: a signal arrived; the runs that were open are KILLED.
    """
    with ExitStack() as held:
        claimed = []
        for number in numbers:
            # One lock per job: two terminals may run one sweep.
            try:
                held.enter_context(lock_of(plan, plan.jobs[number]))
                claimed.append(plan.jobs[number])
            except Timeout:
                on_end(number, ELSEWHERE)
        _Execution(plan, on_end).run(claimed)


class _Execution:
    def __init__(self, plan: Plan, on_end: Callable[[int, str], None]) -> None:
        self._plan, self._on_end = plan, on_end
        self._printed, self._jobs = 0.0, list[PlannedJob]()
        self._ended_early: set[int] = set()

    def run(self, jobs: Sequence[PlannedJob]) -> None:
        plan, tracking = self._plan, self._plan.tracking
        known = sweep_runs.runs_of(plan.place, tracking.experiment, [job.signature for job in jobs], plan.name)
        begun: list[str | None] = []
        attempts = []
        for job in jobs:
            runs = known.get(job.signature, [])
            how = self._before(runs)
            if how is not None:
                self._on_end(job.number, how)
                continue
            last = runs[-1] if runs else None
            is_lost = last is not None and last.status in (DEAD, "KILLED")
            begun.append(last.id if last is not None and is_lost else None)
            attempts.append(last.attempt if last is not None and is_lost else 1 + max([0, *(r.attempt for r in runs)]))
            self._jobs.append(job)
        if self._jobs:
            self._run(begun, attempts)

    def _before(self, runs: Sequence[SweepRun]) -> str | None:
        """Return how a job has ended already, or that it has to run by itself; ``None``: it can be run in a group."""
        statuses = [run.status for run in runs]
        if "FINISHED" in statuses:
            return DONE
        if sweep_runs.PRUNED in statuses:
            return PRUNED
        if "RUNNING" in statuses:
            return ELSEWHERE
        last = runs[-1] if runs else None
        if last is not None and last.status in (DEAD, "KILLED") and layout.VECTORISED not in last.tags:
            return ALONE  # it is resumed from its checkpoint
        failed = max((run.attempt for run in runs if run.status == "FAILED"), default=0)
        return GIVEN_UP if failed > self._plan.settings.retries else None

    def _run(self, begun: Sequence[str | None], attempts: Sequence[int]) -> None:
        from lifecycle.runtime.imports.quick import quick_imports

        with quick_imports():
            from lifecycle.runs import group
        from lifecycle.tracking.direct import bulk

        plan, jobs = self._plan, self._jobs
        if not bulk.is_known(plan.tracking):
            self._create()
        if len(jobs) < 2 or not bulk.is_known(plan.tracking):
            reason = "" if len(jobs) < 2 else " MLflow's database has another schema"
            for job in jobs:
                self._on_end(job.number, f"{ALONE}{reason}")
            return
        requests = self._requests(attempts)
        try:
            with interruption_kept():
                check_code(plan, jobs[0])
        except Exception:  # each job reports it, and is refused
            for job in jobs:
                self._on_end(job.number, ALONE)
            return
        if plan.verbose:
            say(f"\n{self._title()}", flush=True)
        checked = plan.settings.vectorise == CHECK
        result = group.run(requests, begun, self._listener(), checked)
        for line in result.notes if plan.verbose else ():
            say(line, flush=True)
        for job, ended in zip(jobs, result.ended, strict=True):
            self._on_end(job.number, self._how(job, ended))

    def _how(self, job: PlannedJob, ended: object) -> str:
        from lifecycle.runs import group

        if isinstance(ended, group.Alone):
            return f"{ALONE} {ended.reason}".rstrip()
        assert isinstance(ended, group.Vectorised)  # noqa: S101 - there are two
        if ended.error is not None:
            title = self._plan.title(job)
            if not isinstance(ended.error, LifecycleError):  # a bug: its author needs the traceback
                print_traceback(ended.error)
            say(masked(f"lifecycle: {title} failed: {ended.error}"), file=sys.stderr, flush=True)
            return f"{FAILED} {self._jobs[0].number}.{ended.group}"
        how = PRUNED if job.number in self._ended_early else DONE
        return f"{how} {self._jobs[0].number}.{ended.group}"

    def _requests(self, attempts: Sequence[int]) -> list[Request]:
        plan, jobs = self._plan, self._jobs
        requests = requests_of([plan.record_of(job) for job in jobs])
        for request in requests:
            place(request, plan.place)
        return [
            replace(
                request,
                command=plan.command,
                overrides=tuple(job.record["overrides"]),
                sweep=SweepJob(plan.name, job.number, job.signature, job.configuration, job.data, attempt, job.words),
            )
            for request, job, attempt in zip(requests, jobs, attempts, strict=True)
        ]

    def _create(self) -> None:
        """Create the database and the experiment, as the first run would."""
        worker = client.borrow()
        try:
            worker.ask(CloseDeadRuns(str(Path.cwd()), self._plan.tracking.for_process()))
        finally:
            client.give_back(worker)

    def _title(self) -> str:
        numbers = [job.number + 1 for job in self._jobs]
        first, last = numbers[0], numbers[-1]
        which = (
            f"jobs {first} to {last}" if last - first + 1 == len(numbers) else f"{len(numbers)} jobs from {first} on"
        )
        return f"{which} of {self._plan.total}, together"

    def _listener(self) -> Callable[[int, dict[str, float]], str | None]:
        reports = [pruning.listener(self._plan, job) for job in self._jobs]
        self._printed = time.monotonic()

        def on_row(place: int, row: dict[str, float]) -> str | None:
            self._print_progress(row)
            report = reports[place]
            try:
                if report is not None:
                    report(row)
            except Pruned as pruned:
                self._ended_early.add(self._jobs[place].number)
                return str(pruned)
            return None

        return on_row

    def _print_progress(self, row: dict[str, float]) -> None:
        if self._plan.verbose and time.monotonic() - self._printed >= SECONDS_BETWEEN:
            self._printed = time.monotonic()
            epochs = self._jobs[0].record["config"]["trainer"]["max_epochs"]
            say(f"epoch {int(row['epoch'])} of at most {epochs}", flush=True)
