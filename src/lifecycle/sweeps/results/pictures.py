"""Pictures of the best configuration of a sweep: the learning curves of its runs, and its out-of-fold predictions."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lifecycle import layout
from lifecycle.comparison import curves, panel
from lifecycle.plots import artifacts
from lifecycle.sweeps.results.board import Board
from lifecycle.sweeps.results.entries import Entry
from lifecycle.tracking.sweep_runs import SweepRun

SCALE = 0.62
"""Of pictures on the page: three of usual size are next to each other."""

MOST_METRICS = 1
"""Panels of learning curves in addition to that of the loss."""


def shown_of(board: Board) -> Entry | None:
    """Return the configuration of which pictures are drawn: the only one, or the best."""
    return board.entries[0] if len(board.entries) == 1 else board.best


def curves_of(entry: Entry) -> list[str]:
    """Return the learning curves of the runs of a configuration, a panel for the loss and one for the first metric.

    Returns:
        SVG elements whose colours are those of ``page.css``; empty where no run has finished an epoch.
    """
    runs = [run for _, run in sorted(entry.runs.items()) if (run.artifacts / layout.HISTORY).is_file()]
    histories = [(run, curves.read(run.artifacts / layout.HISTORY)) for run in runs]
    names = dict.fromkeys(name.partition("_")[2] for _, scores in histories for name in scores)
    titles = ["loss", *[name for name in names if name != "loss"][:MOST_METRICS]]
    return [svg for title in titles if (svg := _panel(title, histories))]


def _panel(score: str, histories: Sequence[tuple[SweepRun, curves.Scores]]) -> str:
    groups = []
    for at, (run, scores) in enumerate(histories):
        parts = [part for part in ("train", "val") if f"{part}_{score}" in scores]
        lines = [panel.Line(scores[f"{part}_{score}"], part == "train" and len(parts) > 1) for part in parts]
        groups.append(panel.Group(curves.colour(at), run.name, lines, run.status == "FINISHED"))
    title = score.replace("_", " ")
    return panel.draw(title, title, groups[::-1])


def draw_out_of_fold(board: Board, entry: Entry, found: pd.DataFrame, folder: Path) -> list[str]:
    """Draw the out-of-fold predictions of a configuration, as those of the test rows of a run are drawn.

    Args:
        board: of the sweep.
        entry: the configuration, with complete folds.
        found: its predictions, see :func:`lifecycle.sweeps.results.out_of_fold.predictions_of`.
        folder: where to write.

    Returns:
        Names of the PNGs; empty where ``tracking.figures`` is off.
    """
    # It imports torch, which the printed board does not need.
    from lifecycle.predict import saved_model

    figures = board.plan.tracking.figures
    if not figures:
        return []
    # Each row once: of several repetitions or seeds, the first.
    first = found.groupby(["seed", "repeat"], sort=False).ngroup() == 0
    run = next(iter(entry.runs.values()))
    trained = saved_model.load(run.artifacts / layout.SAVED)
    about = f"{trained.data_name}, {int(first.sum())} rows out of fold, sweep {board.plan.name}"
    look = artifacts.Look(about, figures == artifacts.SVG)
    artifacts.write_pictures(folder, None, found[first].reset_index(drop=True), trained.spec, look)
    return artifacts.pictures_of(trained.spec, fitted=False)


def as_data(file: Path) -> tuple[int, str]:
    """Return the width at which a page shows a PNG, in pixels, and an address that the page can hold."""
    content = file.read_bytes()
    width = int.from_bytes(content[16:20], "big")  # of the header
    return round(SCALE * width), f"data:image/png;base64,{base64.b64encode(content).decode()}"
