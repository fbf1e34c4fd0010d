"""The process that records runs: ``python -m lifecycle.runs.recording_process``.

It passes the drawing function to :mod:`lifecycle.tracking.worker`, since tracking may not import the plots.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lifecycle.runtime import lazy_imports
from lifecycle.tracking import worker
from lifecycle.tracking.messages import LogFigures

IMPORTED_EARLY = ("matplotlib.figure", "matplotlib.style", "sklearn.metrics", "lifecycle.plots.artifacts")
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
    from lifecycle.plots.artifacts import Look, write_pictures

    history, spec = message.history, message.spec
    fitted = None if history is None else History(**{**history, "rows": tuple(history["rows"])})
    # JSON has no tuples, and a DataSpec is hashed.
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in spec.items()}
    look = Look(message.about, message.has_copies)
    write_pictures(folder, fitted, pd.read_parquet(message.predictions), DataSpec(**plain), look)


if __name__ == "__main__":
    lazy_imports.defer_scipy()  # of which scikit-learn's scores use nothing
    worker.main(draw, IMPORTED_EARLY)
