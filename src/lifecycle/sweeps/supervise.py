"""Runs the jobs of a sweep in processes of this machine: a job that ends its process does not end the others."""

from __future__ import annotations

import itertools
import math
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lifecycle.config.schema import SweepConfig
from lifecycle.errors import Interrupted, RequestError
from lifecycle.runtime import gpus
from lifecycle.runtime.lines import say
from lifecycle.runtime.processes import environment, signals_ignored
from lifecycle.sweeps.execute import ALONE, FAILED, REFUSED
from lifecycle.sweeps.grouping import Task, Vectorised, tasks
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.worker import SUMMARY
from lifecycle.tracking import sweep_runs

DIED = "died"
"""The process of a job ended in the middle of it, for instance for want of memory."""

WAITS = 60.0
"""Seconds in which a worker ends its run after a signal."""

LEFT = "left"
"""A cluster has no room for a job any more."""

NOT_DONE = {FAILED, REFUSED, DIED, LEFT}


def check_gpus(settings: SweepConfig) -> None:
    """Refuse more workers than there are GPUs for.

    Raises:
        RequestError: names both numbers.
    """
    if settings.gpus_per_job:
        there = len(gpus.visible())
        most = int(there / settings.gpus_per_job)
        if settings.workers > most:
            problem = f"are too many for sweep.gpus_per_job={settings.gpus_per_job:g} and {there} GPUs"
            remedy = f"Use at most {most} workers." if most else "Leave out sweep.gpus_per_job."
            raise RequestError("sweep.workers", problem, settings.workers, remedy)


def start_worker(folder: Path, answers: int) -> subprocess.Popen[bytes]:
    """Start :mod:`lifecycle.sweeps.worker`.

    Args:
        folder: of the sweep.
        answers: file descriptor that it writes to.
    """
    # -P: a file of the working folder that is named like a library must not be imported in its place.
    command = [sys.executable, "-P", "-m", "lifecycle.sweeps.worker", str(folder), str(answers)]
    return subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, pass_fds=[answers], start_new_session=True
    )


def lacks_summary(plan: Plan) -> bool:
    """Return whether a sweep has finished runs and no summary: of another sweep, or its end was killed."""
    place, experiment = plan.place, plan.tracking.experiment
    if sweep_runs.summary_of(place, experiment, plan.name) is not None:
        return False
    return bool(sweep_runs.finished_signatures(place, experiment, [job.signature for job in plan.jobs]))


@dataclass
class Worker:
    """A process that runs jobs; its own session keeps Ctrl-C on the terminal from it, which this process passes on."""

    plan: Plan
    place: int = 0
    jobs: set[int] = field(default_factory=set)  # that it is at
    is_group: bool = False
    process: subprocess.Popen[bytes] = field(init=False)
    answers: int = field(init=False)

    def __post_init__(self) -> None:
        self.answers, theirs = os.pipe()
        with environment(**gpus.environment(self.plan.settings.gpus_per_job, self.place)):
            self.process = start_worker(self.plan.folder, theirs)
        os.close(theirs)

    def start(self, task: Task) -> None:
        """Have jobs run."""
        assert self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        self.jobs, self.is_group = set(task), len(task) > 1
        with suppress(BrokenPipeError):  # it died, which its answers will show
            self.process.stdin.write(f"{','.join(map(str, task))}\n".encode())
            self.process.stdin.flush()

    def answer(self) -> tuple[int, str] | None:
        """Return a job and how it ended, once :attr:`answers` can be read; ``None``: the process has died."""
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self.answers, 1)
            if not part:
                return None
            line += part
        number, _, how = line.decode().strip().partition(" ")
        self.jobs.discard(int(number))
        return int(number), how

    def end(self) -> None:
        """Let it end, and wait for that."""
        assert self.process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        os.close(self.answers)


def supervise(plan: Plan, numbers: Sequence[int]) -> dict[int, str]:
    """Run jobs of a sweep; each is skipped if its run is FINISHED. Then have the summary of the sweep written.

    Args:
        plan: of the sweep.
        numbers: of the jobs.

    Returns:
        How each job ended, by its number; jobs that were not started are left out.

    Raises:
        Interrupted: a signal arrived; the runs that were open are KILLED, and are resumed the next time.
    """
    supervisor = Supervisor(plan, numbers)
    conduct(supervisor)
    return supervisor.ended


def conduct(supervisor: Supervisor) -> None:
    """Let a supervisor run its jobs; a signal is passed on to its workers.

    Raises:
        Interrupted: a signal arrived, and the workers have ended.
    """
    try:
        supervisor.run()
    except Interrupted as error:
        supervisor.pass_on(error.signum)
        raise
    finally:
        supervisor.end()


class Supervisor:
    """Gives jobs to workers.

    Attributes:
        ended: how each job ended, by its number.

    Args:
        plan: of the sweep.
        numbers: of the jobs to run.
    """

    def __init__(self, plan: Plan, numbers: Sequence[int]) -> None:
        self.plan, self.ended = plan, dict[int, str]()
        self._left: deque[Task] = deque(tasks(plan, numbers))
        self._vectorised = Vectorised()
        self._attempts: dict[int, int] = {}
        self._workers: list[Worker] = []
        self._ready = selectors.DefaultSelector()
        minutes = plan.settings.minutes
        self._until = math.inf if minutes is None else time.monotonic() + 60 * minutes

    def run(self) -> None:
        """Run all jobs, or those that the settings of the sweep allow."""
        while True:
            while self._has_room() and self._may_start():
                self._free().start(self._left.popleft())
            if not any(worker.jobs for worker in self._workers):
                break
            for key, _ in self._ready.select():
                self._take(key.data)
        if self.plan.verbose and (line := self._vectorised.line):
            say(f"\n{line}", flush=True)
        if self._workers or self.ended or lacks_summary(self.plan):
            # By a worker, which has imported MLflow. The one that ran the last job may have died of it.
            worker = self._free()
            worker.start((SUMMARY,))
            worker.answer()

    def pass_on(self, number: int) -> None:
        """Send a signal to the workers, which end their runs as KILLED, and wait for them."""
        with signals_ignored():
            for worker in self._workers:
                if worker.process.poll() is None:
                    worker.process.send_signal(number)
            until = time.monotonic() + WAITS
            for worker in self._workers:
                try:
                    worker.process.wait(max(0.0, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    worker.process.kill()

    def end(self) -> None:
        """Let the workers end."""
        self._ready.close()
        for worker in self._workers:
            worker.end()

    def _may_start(self) -> bool:
        is_stopped = self.plan.settings.on_error == "stop" and bool(NOT_DONE & set(self.ended.values()))
        return not is_stopped and time.monotonic() < self._until and self._has_more()

    def _has_more(self) -> bool:
        """Return whether there is a job to start; called only when there is room for it."""
        return bool(self._left)

    def _has_room(self) -> bool:
        """Return whether a worker is free, or there may be one more."""
        busy = sum(bool(worker.jobs) for worker in self._workers)
        return busy < self.plan.settings.workers

    def _free(self) -> Worker:
        """Return a worker without a job, which is started if there is none."""
        free = next((worker for worker in self._workers if not worker.jobs), None)
        if free is None:
            taken = {worker.place for worker in self._workers}
            free = Worker(self.plan, next(place for place in itertools.count() if place not in taken))
            self._workers.append(free)
            self._ready.register(free.answers, selectors.EVENT_READ, free)
        return free

    def _take(self, worker: Worker) -> None:
        """Take the answer of a worker; one that died is replaced when the next job needs it."""
        answer = worker.answer()
        if answer is not None:
            self._end_job(*answer, worker.is_group)
            return
        self._ready.unregister(worker.answers)
        self._workers.remove(worker)
        worker.end()
        for number in sorted(worker.jobs):
            # It is not known which job of a group has ended the process: each of them gets its own.
            self._end_job(number, f"{ALONE} the process of their group ended" if worker.is_group else DIED)

    def _end_job(self, number: int, how: str, in_group: bool = False) -> None:
        """Take how a job ended, or that it has to run by itself."""
        how, _, more = how.partition(" ")
        if how == ALONE:
            self._vectorised.refused(more)
            self._left.append((number,))
            return
        if in_group and more:
            self._vectorised.took(more)
        self._ended_job(number, how)

    def _ended_job(self, number: int, how: str) -> None:
        """Take how a job ended."""
        self.ended[number] = how
        self._attempts[number] = self._attempts.get(number, 0) + 1
        settings = self.plan.settings
        if how in (FAILED, DIED) and settings.on_error == "retry" and self._attempts[number] <= settings.retries:
            self._left.appendleft((number,))
