"""The process that records runs: ``python -m lifecycle.runs.recording_process``.

It passes the drawing function to :mod:`lifecycle.tracking.worker`, since tracking may not import the plots.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import layout
from lifecycle.runtime import lazy_imports
from lifecycle.tracking import worker

if TYPE_CHECKING:
    from lifecycle.fit.history import History

IMPORTED_EARLY = ("matplotlib.figure", "matplotlib.style", "sklearn.metrics", "lifecycle.plots.artifacts")
"""Imported while the main process trains, so that the figures are drawn without delay at the end."""


def draw(folder: Path, history: dict[str, Any] | None, predictions: Path, spec: dict[str, Any]) -> None:
    """Draw the figures of a fitted run, or of rows that a run was scored on.

    Args:
        folder: for the figures.
        history: fields of a :class:`lifecycle.fit.history.History`; ``None``: no learning curves.
        predictions: Parquet file of predictions and actual values.
        spec: fields of the DataSpec.
    """
    import pandas as pd

    from lifecycle.contract import DataSpec
    from lifecycle.fit.history import History
    from lifecycle.plots import curves
    from lifecycle.plots.artifacts import write_pictures

    fitted = None if history is None else History(**{**history, "rows": tuple(history["rows"])})
    # JSON has no tuples, and a DataSpec is hashed.
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in spec.items()}
    # Meanwhile on the other core: the main process waits for the figures.
    child = None if fitted is None else _curves_in_a_child(folder, fitted)
    write_pictures(folder, None, pd.read_parquet(predictions), DataSpec(**plain))
    if fitted is not None and (child is None or os.waitpid(child, 0)[1]):
        curves.draw(fitted, folder / layout.CURVES)


def _curves_in_a_child(folder: Path, history: History) -> int | None:
    """Draw the learning curves in a fork of this process; return its id, or ``None`` where there is no fork."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(os, "fork"):
        return None
    from lifecycle.plots import curves

    child = os.fork()
    if child:
        return child
    code = 1
    try:
        curves.draw(history, folder / layout.CURVES)
        code = 0
    finally:
        os._exit(code)  # without what this process does at its end; it draws itself if that has failed


if __name__ == "__main__":
    lazy_imports.defer_scipy()  # of which scikit-learn's scores use nothing
    worker.main(draw, IMPORTED_EARLY)
