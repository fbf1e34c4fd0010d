"""The process that records runs: ``python -m lifecycle.runs.recording_process``.

It gives :mod:`lifecycle.tracking.worker` the function that draws, so that tracking knows nothing of figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lifecycle.tracking import worker

USED_LATER = ("matplotlib.figure", "matplotlib.style", "sklearn.metrics", "lifecycle.plots.artifacts")
"""Imported while the main process is busy."""


def draw(folder: Path, history: dict[str, Any] | None, predictions: Path, spec: dict[str, Any]) -> None:
    """Draw the figures of a run that has been fitted, or of rows that it scores.

    Args:
        folder: where the figures go.
        history: fields of a :class:`lifecycle.fit.history.History`; ``None``: no learning curves.
        predictions: Parquet file of predictions and truth.
        spec: fields of the DataSpec.
    """
    import pandas as pd

    from lifecycle.contract import DataSpec
    from lifecycle.fit.history import History
    from lifecycle.plots.artifacts import write_pictures

    fitted = None if history is None else History(**{**history, "rows": tuple(history["rows"])})
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in spec.items()}
    write_pictures(folder, fitted, pd.read_parquet(predictions), DataSpec(**plain))


if __name__ == "__main__":
    worker.main(draw, USED_LATER)
