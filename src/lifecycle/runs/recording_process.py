"""The process that records runs: ``python -m lifecycle.runs.recording_process``.

It passes the drawing function to :mod:`lifecycle.tracking.worker`, since tracking may not import the plots.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lifecycle.runtime.imports.deferred import hide
from lifecycle.runtime.imports.of_scipy import defer_scipy
from lifecycle.tracking import worker
from lifecycle.tracking.messages import LogFigures

IMPORTED_EARLY = (
    *("matplotlib.figure", "matplotlib.style", "matplotlib.backends.backend_agg", "PIL.PngImagePlugin"),
    *("pyarrow.parquet", "pyarrow.dataset", "sklearn.metrics", "lifecycle.plots.artifacts"),
)
"""Imported while the main process trains, so that the figures are drawn without delay at the end."""


def draw(folder: Path, message: LogFigures) -> None:
    """Draw the figures of a fitted run, or of rows that a run was scored on.

    Args:
        folder: for the figures.
        message: what is drawn.
    """
    import pandas as pd

    from lifecycle.contract import DataSpec
    from lifecycle.fit.history import History
    from lifecycle.plots.artifacts import Look, drawings

    history, spec = message.history, message.spec
    fitted = None if history is None else History(**{**history, "rows": tuple(history["rows"])})
    # JSON has no tuples, and a DataSpec is hashed.
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in spec.items()}
    look = Look(message.about, message.has_copies)
    pictures = drawings(folder, fitted, pd.read_parquet(message.predictions), DataSpec(**plain), look)
    # Meanwhile on the other core: the main process waits for the pictures.
    others = pictures[::2] if len(pictures) > 1 else []
    child = _in_a_child(others) if others else None
    _draw_all(pictures[1::2] if others else pictures)
    if others and (child is None or os.waitpid(child, 0)[1]):
        _draw_all(others)


def _draw_all(pictures: Sequence[Callable[[], None]]) -> None:
    for write in pictures:
        write()


def _in_a_child(pictures: Sequence[Callable[[], None]]) -> int | None:
    """Draw in a fork of this process; return its id, or ``None`` where forking is not safe or not possible.

    A fork has no thread but the one that forks, and the locks of all of them: it might wait for one forever. The thread
    that reads messages has none that drawing needs.
    """
    others = [thread for thread in threading.enumerate() if thread.name != worker.READER]
    if len(others) > 1 or not hasattr(os, "fork"):
        return None
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        _draw_all(pictures)
        code = 0
    finally:
        os._exit(code)  # without what this process does at its end; it draws itself if that has failed


def prepare() -> None:
    """Leave out what MLflow and scikit-learn import and recording does not use."""
    defer_scipy()  # of which neither the tables nor the pictures use anything
    # MLflow imports it in the thread that sends to a server. Figures are drawn meanwhile, and scikit-learn fails with a
    # polars that is imported in part.
    hide("polars")


if __name__ == "__main__":
    prepare()
    worker.main(draw, IMPORTED_EARLY)
