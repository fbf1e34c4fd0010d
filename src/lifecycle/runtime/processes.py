"""Which process of a run this is, and what signals do to it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MAIN = "LIFECYCLE_MAIN_PROCESS"
"""Environment variable: the process that started this one to help it."""

LAUNCHER = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables in which Lightning tells the processes it starts who they are."""

_turn = threading.RLock()

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Asked once: a helper whose main process has died is still no main process.
_HELPER = os.environ.get(MAIN) == str(os.getppid()) and os.environ.get("LOCAL_RANK", "0") != "0"


def is_helper() -> bool:
    """Tell whether a run's main process, which speaks, tracks and scores, started this one to share the fitting."""
    return _HELPER


def gathered(value: Any) -> list[Any]:
    """Return what each process of a fit calls this with, in the order of their ranks; in one process alone its own."""
    import torch.distributed

    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return [value]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


@contextmanager
def turn() -> Iterator[None]:
    """Wait until no other thread of this process fits, and let none begin within the block.

    The thread that has the turn may take it again: a callback may fit another network. Ctrl-C ends the wait.
    """
    with _turn:
        yield


@contextmanager
def helpers_know_their_main_process() -> Iterator[None]:
    """Mark the processes that are started meanwhile as helpers of this one, and leave no trace in the environment."""
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
    """Let nothing but kill -9 interrupt what must be done to its end, such as closing a run."""
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
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
    """Set variables of the environment while the block lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
