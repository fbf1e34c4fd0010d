"""Runs jobs as tasks of Ray, on this machine or on a cluster whose machines share the folder of the runs."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any

from lifecycle.errors import Interrupted, RequestError, Setting, first_line
from lifecycle.runtime.processes import signals_ignored
from lifecycle.sweeps.execute import ALONE, FAILED
from lifecycle.sweeps.grouping import Task, Vectorised
from lifecycle.sweeps.grouping import tasks as tasks_of
from lifecycle.sweeps.launchers.ray_task import KILLED, LATE, run_job
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.supervise import DIED, NOT_DONE, WAITS

ENVIRONMENT = {
    # Ray 2.60 asks for a token otherwise, also of a cluster on this machine.
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Jobs without num_gpus see the GPUs of their machine, as in a run without Ray.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Each job prints its own lines, of which Ray would drop those that look alike.
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
}

STRATEGIES = {"pack": "DEFAULT", "spread": "SPREAD"}
"""``sweep.placement`` -> Ray's name."""


def check() -> None:
    """Refuse a sweep where Ray is not installed.

    Raises:
        RequestError: says how to install it.
    """
    if util.find_spec("ray") is None:
        remedy = "Install it: pip install 'nn-lifecycle[ray]'."
        raise RequestError(Setting("sweep.launcher", "ray"), "is not installed", remedy=remedy)


def launch(plan: Plan, numbers: Sequence[int]) -> dict[int, str]:
    """Run jobs on the cluster that ``RAY_ADDRESS`` names, else on a running one or a new one of this machine.

    Returns:
        How each job ended, by its number; jobs that were not started are left out.

    Raises:
        RequestError: the cluster cannot be reached, or has too few processors or GPUs for a job.
        Interrupted: a signal arrived; the open runs are KILLED.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    try:
        ray.init(include_dashboard=False, log_to_driver=bool(plan.verbose), configure_logging=False)
    except Exception as error:  # Ray's errors have no common base
        problem = f"cannot start or reach a cluster: {first_line(error)}"
        remedy = "Start one with `ray start --head`, or name it with the environment variable RAY_ADDRESS."
        raise RequestError(Setting("sweep.launcher", "ray"), problem, remedy=remedy) from error
    try:
        tasks = _Tasks(plan, numbers)
        tasks.run()
    finally:
        ray.shutdown()
    from lifecycle.sweeps.results import summary  # it imports pandas and matplotlib

    summary.attempt(plan)
    return tasks.ended


class _Tasks:
    """Submits a task for each job or group, never more than the cluster can run at once, so that a limit of time holds.

    Attributes:
        ended: how each job ended, by its number.
    """

    def __init__(self, plan: Plan, numbers: Sequence[int]) -> None:
        import ray

        self.plan, self.ended = plan, dict[int, str]()
        self._open: dict[Any, Task] = {}
        self._left: deque[Task] = deque(tasks_of(plan, numbers, self._slots()))
        self._vectorised = Vectorised()
        self._failures: dict[int, int] = {}
        self._crashes: dict[int, int] = {}
        minutes = plan.settings.minutes
        self._until = None if minutes is None else time.time() + 60 * minutes
        # Ray's own retries would not know which jobs failed, and which were killed.
        options = {"num_cpus": plan.settings.cpus_per_job, "num_gpus": plan.settings.gpus_per_job, "max_retries": 0}
        self._task = ray.remote(run_job).options(scheduling_strategy=STRATEGIES[plan.settings.placement], **options)

    def run(self) -> None:
        """Run the jobs, or those that the settings of the sweep allow.

        Raises:
            Interrupted: a signal arrived.
        """
        import ray

        try:
            while self._submit():
                (done,), _ = ray.wait(list(self._open), num_returns=1)
                self._take(done)
            if self.plan.verbose and (line := self._vectorised.line):
                print(f"\n{line}", flush=True)
        except Interrupted:
            with signals_ignored():
                self._cancel()
            raise

    def _submit(self) -> bool:
        """Submit what the cluster has room for; return whether a task is open."""
        is_stopped = self.plan.settings.on_error == "stop" and bool(NOT_DONE & set(self.ended.values()))
        is_late = self._until is not None and time.time() > self._until
        room = 0 if is_stopped or is_late or not self._left else self._slots() - len(self._open)
        for _ in range(min(room, len(self._left))):
            numbers = self._left.popleft()
            again = numbers[0] in self._crashes
            task = self._task.remote(str(Path.cwd()), str(self.plan.folder), numbers, self._until, again)
            self._open[task] = numbers
        return bool(self._open)

    def _slots(self) -> int:
        """Return how many jobs the cluster can run at once; machines may have joined or left it."""
        import ray

        resources: Any = ray.cluster_resources  # without types
        settings, there = self.plan.settings, resources()
        has_cpus, has_gpus = there.get("CPU", 0.0), there.get("GPU", 0.0)
        gpus = settings.gpus_per_job
        slots = int(min(has_cpus / settings.cpus_per_job, has_gpus / gpus if gpus else float("inf")))
        if not slots and not self._open:
            cpus = settings.cpus_per_job
            problem = f"has {has_cpus:g} CPUs and {has_gpus:g} GPUs, and a job needs {cpus} and {gpus:g}"
            remedy = "Lower sweep.cpus_per_job or sweep.gpus_per_job, or add machines."
            raise RequestError("the cluster of Ray", problem, remedy=remedy)
        return slots

    def _take(self, task: Any) -> None:
        """Take how the jobs of a task ended."""
        import ray

        numbers = self._open.pop(task)
        is_group = len(numbers) > 1
        try:
            answers: list[tuple[int, str]] = ray.get(task)
        except ray.exceptions.RayTaskError as error:
            # A job reports its own errors: this is one of Ray, of the machine, or of this program.
            which = f"jobs {numbers[0] + 1} and others" if is_group else f"job {numbers[0] + 1}"
            print(f"lifecycle: {which} could not be run: {first_line(error.cause)}", file=sys.stderr)
            answers = [(number, FAILED) for number in numbers]
        except ray.exceptions.RayError:  # the worker or its machine died
            # It is not known which job of a group has ended the process.
            how = f"{ALONE} the process of their group ended" if is_group else DIED
            answers = [(number, how) for number in numbers]
            for number in numbers:
                self._crashes.setdefault(number, 0)
        for number, answer in answers:
            self._end_job(number, *answer.partition(" ")[::2], is_group)

    def _end_job(self, number: int, how: str, more: str, in_group: bool) -> None:
        """Take how a job ended, or that it has to run by itself."""
        if how in (LATE, KILLED):
            return
        if how == ALONE:
            self._vectorised.refused(more)
            self._left.append((number,))
            return
        if in_group and more:
            self._vectorised.took(more)
        self.ended[number] = how
        settings = self.plan.settings
        if how == DIED:
            # Machines of a cluster come and go: the job is resumed, whatever is done after an error of its own.
            self._crashes[number] += 1
            if self._crashes[number] <= settings.retries:
                self._left.appendleft((number,))
        elif how == FAILED and settings.on_error == "retry":
            self._failures[number] = self._failures.get(number, 0) + 1
            if self._failures[number] <= settings.retries:
                self._left.appendleft((number,))

    def _cancel(self) -> None:
        """Interrupt the open tasks, which end their runs as KILLED, and wait for them."""
        import ray

        for task in self._open:
            ray.cancel(task, force=False)
        if self._open:
            ray.wait(list(self._open), num_returns=len(self._open), timeout=WAITS)
