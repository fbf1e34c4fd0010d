"""Libraries say nothing of their own while one of our steps runs, on any number of threads at once.

``warnings.catch_warnings`` replaces the list of filters of the whole process and puts an older one back, which undoes
what another thread has done meanwhile; pandas, scikit-learn and matplotlib do this all the time. So our own threads use
them one at a time (:func:`one_at_a_time`), filters are added and removed here without another list, and the functions
through which Lightning and torchmetrics warn look at the thread that they are called on.
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

LOGGERS = ("pytorch_lightning", "lightning_fabric", "mlflow", "alembic", "matplotlib")
WARNING = ("pytorch_lightning", "lightning_fabric", "torchmetrics", "mlflow")
"""Packages whose warnings are for their own developers."""

SOURCES = ("lightning_utilities.core.rank_zero", "torchmetrics.utilities.prints", "typing_extensions")
"""Modules with the functions through which Lightning and torchmetrics warn, and torch of what Lightning calls."""

_lock = threading.RLock()
_blocks = 0
_levels: dict[str, int] = {}
_filters: list[Any] = []  # where the filters were added, and the filters
_thread = threading.local()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the libraries' own messages off the terminal within the block. The last block that ends undoes it."""
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
    """Let no other thread of ours replace the list of warning filters, or matplotlib's parameters, within the block.

    Held where pandas, scikit-learn and matplotlib work for a caller from Python, and never while a network is trained.
    """
    with _lock:
        yield


@contextmanager
def ignored(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore warnings within the block; on other threads too meanwhile, as Python has one list of filters."""
    with _lock:
        added = _add([("ignore", None, category, None, 0)])
    try:
        yield
    finally:
        with _lock:
            _remove(*added)


@contextmanager
def raised() -> Iterator[None]:
    """Raise what Lightning and torchmetrics warn of on this thread as a ``UserWarning`` within the block."""
    before = getattr(_thread, "mode", "")
    with _lock:
        _watch_sources()
    _thread.mode = "raise"
    try:
        yield
    finally:
        _thread.mode = before


class _OfThread(ModuleType):
    """In place of the module ``warnings`` in :data:`SOURCES`: passes on what threads outside of our blocks warn of."""

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)

    @staticmethod
    def warn(message: Any, category: Any = None, stacklevel: int = 1, **options: Any) -> None:
        """Warn, unless the thread is within one of our blocks."""
        mode = getattr(_thread, "mode", "")
        if mode == "raise":
            raise UserWarning(str(message))
        if not mode:
            warnings.warn(message, category, stacklevel + 1, **options)


def _watch_sources() -> None:
    for name in SOURCES:
        module: Any = sys.modules.get(name)
        if module is not None and not isinstance(getattr(module, "warnings", None), _OfThread):
            module.warnings = _OfThread("warnings")


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
    """Put filters first, and return the list that they are in, and them."""
    where: Any = warnings.filters
    where[:0] = filters
    return where, filters


def _remove(where: Any, filters: list[Any]) -> None:
    """Remove these very filters, also from a copy of the list that another block has made the current one."""
    lists: list[Any] = [where, warnings.filters]
    for current in lists:
        current[:] = [one for one in current if not any(one is own for own in filters)]


def _reset_after_fork() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent's may hold it, and is not in the child
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
