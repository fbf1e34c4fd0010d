"""The learning curves of several runs over each other."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.comparison import svg_lines

if TYPE_CHECKING:
    from lifecycle.comparison.compare import Comparison
    from lifecycle.tracking.found_run import FoundRun

Scores = dict[str, list[svg_lines.Point]]
"""The scores of a run's epochs by name (``train_loss``): the epoch and the value of each."""

MOST_COLOURED = 10
"""The best runs have colours of their own; of more, the others are grey."""
MOST_METRICS = 3

UNITS = {
    "accuracy": "share of the rows",
    "mae": "units of {target}",
    "rmse": "units of {target}",
    "mse": "squared units of {target}",
}
"""Of metrics whose numbers are not pure."""


def read(file: Path) -> Scores:
    """Return what a run's ``history.csv`` has."""
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = [name for name in (rows[0] if rows else {}) if name.startswith(("train_", "val_"))]
    return {name: [(float(row["epoch"]), float(row[name] or math.nan)) for row in rows] for name in names}


def style(position: int) -> str:
    """Return the page's class for the colour of a run, by its place on the leader board from 0."""
    return f"c{position}" if position < MOST_COLOURED else "other"


def draw(compared: Comparison, histories: Sequence[Scores]) -> list[str]:
    """Return an SVG for the loss and one for each run's first metric; nothing for what no run has.

    Args:
        compared: the runs.
        histories: of each of them.
    """
    firsts = [_first_metric(scores) for scores in histories]
    titles = ["loss", *list(dict.fromkeys(first for first in firsts if first))[:MOST_METRICS]]
    drawn = [_panel(title, compared, histories) for title in titles]
    return [panel for panel in drawn if panel]


def _first_metric(scores: Scores) -> str:
    names = dict.fromkeys(name.partition("_")[2] for name in scores)
    return next((name for name in names if name != "loss"), "")


def _panel(score: str, compared: Comparison, histories: Sequence[Scores]) -> str:
    having = [at for at, scores in enumerate(histories) if f"train_{score}" in scores or f"val_{score}" in scores]
    groups = []
    for at in reversed(having):  # the best is drawn last, on top
        run, scores = compared.runs[at], histories[at]
        parts = [part for part in ("train", "val") if f"{part}_{score}" in scores]
        drawn = [
            svg_lines.Line(scores[f"{part}_{score}"], part == "train", _kept_epoch(run) if part == parts[-1] else None)
            for part in parts
        ]
        groups.append(svg_lines.Group(style(at), f"{run.name} ({compared.ids[at]})", drawn, run.status != "FAILED"))
    unit = _unit(score, [compared.runs[at] for at in having])
    return svg_lines.draw(score.replace("_", " "), f"{score.replace('_', ' ')}{unit}", groups)


def _kept_epoch(run: FoundRun) -> float | None:
    """Return the best epoch of a run, or that of its weights where nothing says which is best."""
    epoch = run.tags.get("best_epoch") or run.tags.get("weights_epoch")
    return float(epoch) if epoch else None


def _unit(score: str, runs: list[FoundRun]) -> str:
    """Return what is said of a score behind its name: which loss it is, or its unit."""
    key = "loss" if score == "loss" else "data.target"
    named = {run.params.get(key, "") for run in runs}
    name = named.pop() if len(named) == 1 else ""
    if score == "loss":
        return f" ({name})" if name else ""
    return f" ({UNITS[score].format(target=name or 'the target')})" if score in UNITS else ""
