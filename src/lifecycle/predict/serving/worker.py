"""A thread for predictions, so that the event loop of the connections stays responsive."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


class Job:
    """A prediction that is queued for the server's prediction thread, or runs in it.

    Attributes:
        is_cancelled: the caller no longer waits for the result. Long calls poll it and stop.
    """

    def __init__(self, work: Callable[[Job], Any], future: asyncio.Future[Any]) -> None:
        self.work, self.future, self.is_cancelled = work, future, False


class Worker:
    """Runs one call at a time, in order, with one torch thread."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | Callable[[], object]] = SimpleQueue()
        self._running: Job | None = None
        threading.Thread(target=self._work, daemon=True, name="predictions").start()

    @property
    def is_busy(self) -> bool:
        """Whether a call is running."""
        return self._running is not None

    async def run(self, work: Callable[[Job], Result]) -> Result:
        """Return the result of a call, or raise its exception. Cancelling the caller cancels the call."""
        job = Job(work, asyncio.get_running_loop().create_future())
        self._jobs.put(job)
        try:
            result: Result = await job.future
        except asyncio.CancelledError:
            job.is_cancelled = True
            raise
        return result

    def post(self, work: Callable[[], object]) -> None:
        """Queue a call without waiting for it."""
        self._jobs.put(work)

    def _work(self) -> None:
        torch.set_num_threads(1)  # of a few rows, sharing the arithmetic among threads takes longer than doing it
        while True:
            work = self._jobs.get()
            if isinstance(work, Job):
                self._run(work)
            else:
                work()
            del work  # else a request, which may be large, stays in memory until the next one

    def _run(self, job: Job) -> None:
        if job.is_cancelled:
            return
        self._running = job
        result, error = None, None
        try:
            result = job.work(job)
        except Exception as raised:  # of any type: the caller handles it
            error = raised
        self._running = None
        with contextlib.suppress(RuntimeError):  # the event loop may be closed by now
            job.future.get_loop().call_soon_threadsafe(_deliver, job.future, result, error)


def _deliver(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    # The client has disconnected, which cancels the future.
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
