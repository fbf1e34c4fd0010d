"""Silences warnings and log messages of libraries while our steps run, on any number of threads.

``warnings.catch_warnings`` replaces the process's list of filters and restores the old one at its end, which undoes
changes of other threads; pandas, scikit-learn and matplotlib use it all the time. So our threads use these libraries
one at a time (:func:`one_at_a_time`), filters are added and removed within the list, and the functions by which
Lightning and torchmetrics warn check the mode of the thread that they are called on.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# alembic migrates MLflow's database.
LOGGERS = ("pytorch_lightning", "lightning_fabric", "mlflow", "alembic", "matplotlib")
WARNING = ("pytorch_lightning", "lightning_fabric", "torchmetrics", "mlflow", r"torch\._inductor")
"""Packages whose warnings are no use to our users; that of torch recommends functions which they do not call."""

SOURCES = ("lightning_utilities.core.rank_zero", "torchmetrics.utilities.prints", "typing_extensions")
"""Modules with the functions by which Lightning, torchmetrics, and torch when called by Lightning, warn."""

_lock = threading.RLock()
_blocks = 0
_levels: dict[str, int] = {}
_filters: list[Any] = []  # where the filters were added, and the filters
_thread = threading.local()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence the libraries within the block, on this thread; log levels are restored when the last block ends."""
    before = getattr(_thread, "mode", "")
    _enter()
    _thread.mode = "ignore"
    try:
        yield
    finally:
        _thread.mode = before
        _leave()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lock of the list of warning filters and of matplotlib's parameters within the block.

    It is held where pandas, scikit-learn and matplotlib are used, and never while a network is trained.
    """
    with _lock:
        yield


@contextmanager
def ignored(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore warnings within the block; on all threads, as Python has one list of filters."""
    with _lock:
        added = _add([("ignore", None, category, None, 0)])
    try:
        yield
    finally:
        with _lock:
            _remove(*added)


@contextmanager
def raised() -> Iterator[None]:
    """Raise warnings of Lightning and torchmetrics on this thread as ``UserWarning`` within the block."""
    before = getattr(_thread, "mode", "")
    with _lock:
        _watch_sources()
    _thread.mode = "raise"
    try:
        yield
    finally:
        _thread.mode = before


class _ThreadWarnings(ModuleType):
    """Replaces the module ``warnings`` in :data:`SOURCES`: passes warnings on from threads outside our blocks only."""

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)

    @staticmethod
    def warn(message: Any, category: Any = None, stacklevel: int = 1, **options: Any) -> None:
        """Warn, unless the thread is within one of our blocks."""
        mode = getattr(_thread, "mode", "")
        if mode == "raise":
            raise UserWarning(str(message))
        # One more level of the stack, which is this function.
        if not mode:
            warnings.warn(message, category, stacklevel + 1, **options)


def _watch_sources() -> None:
    for name in SOURCES:
        module: Any = sys.modules.get(name)
        if module is not None and not isinstance(getattr(module, "warnings", None), _ThreadWarnings):
            module.warnings = _ThreadWarnings("warnings")


def _enter() -> None:
    global _blocks  # noqa: PLW0603 - the filters and levels are the process's
    with _lock:
        _blocks += 1
        if _blocks > 1:
            return
        _watch_sources()
        _levels.update({name: logging.getLogger(name).level for name in LOGGERS})
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        ours = [("ignore", None, Warning, re.compile(rf"{package}(\..*)?$"), 0) for package in WARNING]
        _filters[:] = _add(ours)


def _leave() -> None:
    global _blocks  # noqa: PLW0603 - as above
    with _lock:
        _blocks -= 1
        if _blocks:
            return
        _remove(*_filters)
        for name, level in _levels.items():
            logging.getLogger(name).setLevel(level)


def _add(filters: list[Any]) -> tuple[Any, list[Any]]:
    """Insert filters at the start of the list; return the list and the filters."""
    # The list itself is changed; replacing it would undo the filters of other threads.
    where: Any = warnings.filters
    where[:0] = filters
    return where, filters


def _remove(where: Any, filters: list[Any]) -> None:
    """Remove these filters, also from a copy of the list that ``catch_warnings`` has made the current one."""
    lists: list[Any] = [where, warnings.filters]
    for current in lists:
        current[:] = [one for one in current if not any(one is own for own in filters)]


def _reset_after_fork() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent's may hold it, and is not in the child
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
