"""The processes of a run on several devices, its turns, and the handling of signals."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MAIN = "LIFECYCLE_MAIN_PROCESS"
"""Environment variable: id of the main process of a run, set for the helpers that it starts."""

LAUNCHER = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables by which Lightning tells the processes that it starts their rank."""

_turn = threading.RLock()

# SIGHUP: the terminal was closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Evaluated at import: when the main process has died, a helper has another parent and must not become a main process.
_HELPER = os.environ.get(MAIN) == str(os.getppid()) and os.environ.get("LOCAL_RANK", "0") != "0"


def is_helper() -> bool:
    """Return whether this process only helps to fit: the main process starts it, and prints, tracks and scores."""
    return _HELPER


def gathered(value: Any) -> list[Any]:
    """Return the values of all processes of a fit in the order of their ranks; of a single process, its own."""
    import torch.distributed

    # Some builds of torch have no distributed package, and a run on one device does not initialize it.
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return [value]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


@contextmanager
def turn() -> Iterator[None]:
    """Wait until no other thread of this process fits, and let none start within the block.

    The same thread may enter again: a callback may fit another network. Ctrl-C ends the wait.
    """
    with _turn:
        yield


@contextmanager
def helpers_know_their_main_process() -> Iterator[None]:
    """Mark processes that are started within the block as helpers of this one; restore the environment afterwards."""
    # Lightning sets its variables in this process too, and a later fit would take itself for a helper.
    before = {name: os.environ.get(name) for name in (MAIN, *LAUNCHER)}
    if not is_helper():
        os.environ[MAIN] = str(os.getpid())
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore signals within the block, which must be completed, such as closing a run; only kill -9 ends it."""
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread only
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reset_after_fork() -> None:
    global _turn  # noqa: PLW0603 - a thread of the parent's may have it, and is not in the child
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables within the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)  # Lightning may have deleted it
            if value is not None:
                os.environ[name] = value
