"""The process that records runs: ``python -m lifecycle.runs.recording_process``.

It passes the drawing function to :mod:`lifecycle.tracking.worker`, since tracking may not import the plots.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lifecycle.runtime import lazy_imports
from lifecycle.tracking import worker

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
    from lifecycle.plots.artifacts import write_pictures

    fitted = None if history is None else History(**{**history, "rows": tuple(history["rows"])})
    # JSON has no tuples, and a DataSpec is hashed.
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in spec.items()}
    write_pictures(folder, fitted, pd.read_parquet(predictions), DataSpec(**plain))


if __name__ == "__main__":
    lazy_imports.defer_scipy()  # of which scikit-learn's scores use nothing
    worker.main(draw, IMPORTED_EARLY)
