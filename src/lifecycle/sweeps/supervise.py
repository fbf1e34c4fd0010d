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
from lifecycle.runtime.processes import environment, signals_ignored
from lifecycle.sweeps.execute import FAILED, REFUSED
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.worker import SUMMARY

DIED = "died"
"""The process of a job ended in the middle of it, for instance for want of memory."""

WAITS = 60.0
"""Seconds in which a worker ends its run after a signal."""

NOT_DONE = {FAILED, REFUSED, DIED}


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


@dataclass
class Worker:
    """A process that runs jobs; its own session keeps Ctrl-C on the terminal from it, which this process passes on."""

    plan: Plan
    place: int = 0
    job: int | None = None
    process: subprocess.Popen[bytes] = field(init=False)
    answers: int = field(init=False)

    def __post_init__(self) -> None:
        self.answers, theirs = os.pipe()
        with environment(**gpus.environment(self.plan.settings.gpus_per_job, self.place)):
            self.process = start_worker(self.plan.folder, theirs)
        os.close(theirs)

    def start(self, number: int) -> None:
        """Have a job run."""
        assert self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        self.job = number
        with suppress(BrokenPipeError):  # it died, which its answers will show
            self.process.stdin.write(f"{number}\n".encode())
            self.process.stdin.flush()

    def answer(self) -> str:
        """Return how the job ended, once :attr:`answers` can be read."""
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self.answers, 1)
            if not part:
                return DIED
            line += part
        return line.decode().strip().partition(" ")[2]

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
    try:
        supervisor.run()
    except Interrupted as error:
        supervisor.pass_on(error.signum)
        raise
    finally:
        supervisor.end()
    return supervisor.ended


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
        self._left = deque(numbers)
        self._attempts: dict[int, int] = {}
        self._workers: list[Worker] = []
        self._ready = selectors.DefaultSelector()
        minutes = plan.settings.minutes
        self._until = math.inf if minutes is None else time.monotonic() + 60 * minutes

    def run(self) -> None:
        """Run all jobs, or those that the settings of the sweep allow."""
        while True:
            while self._may_start() and (worker := self._free()) is not None:
                worker.start(self._left.popleft())
            if not any(worker.job is not None for worker in self._workers):
                break
            for key, _ in self._ready.select():
                self._take(key.data)
        # By a worker, which has imported MLflow.
        if self._workers:
            self._workers[0].start(SUMMARY)
            self._workers[0].answer()
            self._workers[0].job = None

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
        return bool(self._left) and not is_stopped and time.monotonic() < self._until

    def _free(self) -> Worker | None:
        """Return a worker without a job, which is started if there may be one more."""
        free = next((worker for worker in self._workers if worker.job is None), None)
        if free is None and len(self._workers) < self.plan.settings.workers:
            taken = {worker.place for worker in self._workers}
            free = Worker(self.plan, next(place for place in itertools.count() if place not in taken))
            self._workers.append(free)
            self._ready.register(free.answers, selectors.EVENT_READ, free)
        return free

    def _take(self, worker: Worker) -> None:
        """Take the answer of a worker; one that died is replaced when the next job needs it."""
        how, number = worker.answer(), worker.job
        worker.job = None
        if how == DIED:
            self._ready.unregister(worker.answers)
            self._workers.remove(worker)
            worker.end()
        if number is None:
            return
        self.ended[number] = how
        self._attempts[number] = self._attempts.get(number, 0) + 1
        settings = self.plan.settings
        if how in (FAILED, DIED) and settings.on_error == "retry" and self._attempts[number] <= settings.retries:
            self._left.appendleft(number)
