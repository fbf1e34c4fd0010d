"""Sets the number of threads that torch uses on one Python thread, without changing it for others.

``torch.set_num_threads`` sets the number for the calling thread, and the default for threads that have not used torch
yet. The default is restored here, so that the caller's threads never inherit our number.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

_lock = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def use(number: int) -> None:
    """Set the number of threads of torch's operations on the calling thread only."""
    if torch.get_num_threads() == number:
        return
    with _lock:
        # A new thread begins with the default.
        default = _in_new_thread(torch.get_num_threads)
        torch.set_num_threads(number)
        _in_new_thread(lambda: torch.set_num_threads(default))


@contextmanager
def limited(number: int) -> Iterator[None]:
    """Set the number of torch's threads on the calling thread within the block."""
    before = torch.get_num_threads()
    use(number)
    try:
        yield
    finally:
        use(before)


def pool(size: int) -> ThreadPoolExecutor:
    """Return a pool whose threads run torch's operations on one thread each; the caller shuts it down."""
    return ThreadPoolExecutor(size, initializer=use, initargs=(1,), thread_name_prefix="lifecycle")


def shared_pool(size: int) -> ThreadPoolExecutor:
    """Return the pool of this size that all predictions of the process share; it is never shut down."""
    key = os.getpid(), size  # a forked process has no threads of its parent
    with _lock:
        if key not in _pools:
            _pools[key] = pool(size)
        return _pools[key]


def _in_new_thread(call: Callable[[], int | None]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()), name="lifecycle-threads")
    thread.start()
    thread.join()
    return found[0]


def _reset_after_fork() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent's may hold it, and is not in the child
    _lock = threading.Lock()
    _pools.clear()


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
