"""Runs jobs as tasks of Ray, on this machine or on a cluster whose machines share the folder of the runs."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any

from filelock import Timeout

from lifecycle.credentials import masked
from lifecycle.errors import Interrupted, RequestError, Setting, first_line
from lifecycle.runtime.lines import say
from lifecycle.runtime.processes import signals_ignored
from lifecycle.sweeps.execute import ALONE, FAILED, lock_of
from lifecycle.sweeps.grouping import Task, Vectorised
from lifecycle.sweeps.grouping import tasks as tasks_of
from lifecycle.sweeps.launchers.ray_task import KILLED, LATE, run_job
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.supervise import DIED, LEFT, NOT_DONE, WAITS

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

SECONDS = 5.0
"""Between two looks at tasks that may never begin, once ``sweep.minutes`` have passed."""

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


def slots_of(nodes: Sequence[Mapping[str, Any]], cpus: float, gpus: float) -> int:
    """Return how many jobs the machines of a cluster can run at once: none can use the processors of two machines.

    Args:
        nodes: as ``ray.nodes()`` returns them.
        cpus: that a job needs.
        gpus: that a job needs; a part of a GPU is one of a single GPU.
    """
    slots = 0
    for node in nodes:
        if node["Alive"]:
            has_cpus, has_gpus = (node["Resources"].get(name, 0.0) for name in ("CPU", "GPU"))
            of_gpus = has_cpus if not gpus else has_gpus // gpus if gpus >= 1 else has_gpus * (1 / gpus // 1)
            slots += int(min(has_cpus // cpus, of_gpus))
    return slots


class _Tasks:
    """Submits a task for each job or group, never more than the cluster can run at once, so that a limit of time holds.

    Attributes:
        ended: how each job ended, by its number.
    """

    def __init__(self, plan: Plan, numbers: Sequence[int]) -> None:
        import ray

        self.plan, self.ended = plan, dict[int, str]()
        self._open: dict[Any, Task] = {}
        slots = self._slots()
        if not slots:
            self._refuse()
        self._left: deque[Task] = deque(tasks_of(plan, numbers, slots))
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
        try:
            while self._submit():
                self._wait()
            if self.plan.verbose and (line := self._vectorised.line):
                say(f"\n{line}", flush=True)
        except Interrupted:
            with signals_ignored():
                self._cancel()
            raise

    @property
    def _is_late(self) -> bool:
        return self._until is not None and time.time() > self._until

    def _submit(self) -> bool:
        """Submit what the cluster has room for; return whether a task is open."""
        is_stopped = self.plan.settings.on_error == "stop" and bool(NOT_DONE & set(self.ended.values()))
        slots = 0 if is_stopped or self._is_late or not self._left else self._slots()
        room = slots - len(self._open)
        if self._left and not (slots or self._open or is_stopped or self._is_late):
            unable = [number for task in self._left for number in task]
            jobs = f"{len(unable)} job{'s' * (len(unable) != 1)}"
            say(f"lifecycle: the cluster of Ray has no room left for {jobs}.", file=sys.stderr)
            self.ended |= dict.fromkeys(unable, LEFT)
        for _ in range(min(room, len(self._left))):
            numbers = self._left.popleft()
            again = numbers[0] in self._crashes
            task = self._task.remote(str(Path.cwd()), str(self.plan.folder), numbers, self._until, again)
            self._open[task] = numbers
        return bool(self._open)

    def _wait(self) -> None:
        """Take a task that has ended; wait for one, but once the time is over not for one that does not begin."""
        import ray

        is_late = self._is_late
        left = None if self._until is None else SECONDS if is_late else max(0.0, self._until - time.time()) + 0.1
        done, _ = ray.wait(list(self._open), num_returns=1, timeout=left)
        for task in done:
            self._take(task)
        if is_late and not done:
            waiting = [task for task, numbers in self._open.items() if not any(map(self._is_begun, numbers))]
            for task in waiting:
                ray.cancel(task, force=False)
                del self._open[task]

    def _is_begun(self, number: int) -> bool:
        """Return whether a process has the lock of a job."""
        try:
            with lock_of(self.plan, self.plan.jobs[number]):
                return False
        except Timeout:
            return True

    def _slots(self) -> int:
        """Return how many jobs the cluster can run at once; machines may have joined or left it."""
        import ray

        settings, nodes = self.plan.settings, ray.nodes()  # type: ignore[no-untyped-call]
        return slots_of(nodes, settings.cpus_per_job, settings.gpus_per_job)

    def _refuse(self) -> None:
        """Refuse a cluster that cannot run a single job."""
        import ray

        resources: Any = ray.cluster_resources  # without types
        has, settings = resources(), self.plan.settings
        problem = (
            f"has {has.get('CPU', 0.0):g} CPUs and {has.get('GPU', 0.0):g} GPUs in all, and no machine the "
            f"{settings.cpus_per_job} and {settings.gpus_per_job:g} of a job"
        )
        remedy = "Lower sweep.cpus_per_job or sweep.gpus_per_job, or add machines."
        raise RequestError("the cluster of Ray", problem, remedy=remedy)

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
            say(masked(f"lifecycle: {which} could not be run: {first_line(error.cause)}"), file=sys.stderr)
            answers = [(number, FAILED) for number in numbers]
        except ray.exceptions.RayError:  # the worker or its machine died
            answers = [(number, KILLED) for number in numbers]
        for number, answer in answers:
            how, _, more = answer.partition(" ")
            # By somebody else: this process takes no answers of tasks that it has cancelled.
            if how == KILLED:
                self._crashes.setdefault(number, 0)
                # It is not known which job of a group has ended the process.
                how, more = (ALONE, "the process of their group ended") if is_group else (DIED, "")
            self._end_job(number, how, more, is_group)

    def _end_job(self, number: int, how: str, more: str, in_group: bool) -> None:
        """Take how a job ended, or that it has to run by itself."""
        if how == LATE:
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
