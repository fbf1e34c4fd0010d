"""Which process of a run this is: the one that speaks, tracks and scores, or one that only helps it to fit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

MAIN = "LIFECYCLE_MAIN_PROCESS"
"""Environment variable: the process that started this one to help it."""

LAUNCHER = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables in which Lightning tells the processes it starts who they are."""


def is_helper() -> bool:
    """Tell whether a run's main process started this one to share the work of fitting."""
    return os.environ.get(MAIN) == str(os.getppid()) and os.environ.get("LOCAL_RANK", "0") != "0"


@contextmanager
def helpers_know_their_main_process() -> Iterator[None]:
    """Mark the processes that are started meanwhile as helpers of this one, and leave no trace in the environment."""
    names = (MAIN, *LAUNCHER)
    before = {name: os.environ.get(name) for name in names}
    if not is_helper():
        os.environ[MAIN] = str(os.getpid())
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
