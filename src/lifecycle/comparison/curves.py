"""The learning curves of several runs in common panels."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.comparison import panel

if TYPE_CHECKING:
    from lifecycle.comparison.compare import Comparison
    from lifecycle.tracking.found_run import FoundRun

Scores = dict[str, list[panel.Point]]
"""The scores of a run by name (``train_loss``): pairs of epoch and value."""

# page.css has the colours c0 to c9.
MOST_COLOURED = 10
"""Runs with a colour each, the best ones; the others are grey."""

OTHER = "other"
"""The colour of the others."""

MOST_METRICS = 3
"""Panels in addition to that of the loss."""

UNITS = {
    "accuracy": "share of the rows",
    "mae": "units of {target}",
    "rmse": "units of {target}",
    "mse": "squared units of {target}",
}
"""Units of metrics, if they have one."""


def read(file: Path) -> Scores:
    """Return the scores in a run's ``history.csv``."""
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = [name for name in (rows[0] if rows else {}) if name.startswith(("train_", "val_"))]
    # An empty cell is a NaN.
    return {name: [(float(row["epoch"]), float(row[name] or math.nan)) for row in rows] for name in names}


def colour(position: int) -> str:
    """Return the name of a run's colour in ``page.css``, by its position on the leader board from 0."""
    return f"c{position}" if position < MOST_COLOURED else OTHER


def draw(compared: Comparison, histories: Sequence[Scores]) -> list[str]:
    """Return a panel for the loss and one for each run's first metric, as SVG elements.

    Args:
        compared: the runs.
        histories: the scores of each of them.
    """
    firsts = [_first_metric(scores) for scores in histories]
    titles = ["loss", *list(dict.fromkeys(first for first in firsts if first))[:MOST_METRICS]]
    drawn = [_panel(title, compared, histories) for title in titles]
    return [svg for svg in drawn if svg]


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
            # The ring is on the validation line if there is one: its score chose the epoch.
            panel.Line(scores[f"{part}_{score}"], part == "train", _kept_epoch(run) if part == parts[-1] else None)
            for part in parts
        ]
        groups.append(panel.Group(colour(at), f"{run.name} ({compared.ids[at]})", drawn, run.status != "FAILED"))
    unit = _unit(score, [compared.runs[at] for at in having])
    return panel.draw(score.replace("_", " "), f"{score.replace('_', ' ')}{unit}", groups)


def _kept_epoch(run: FoundRun) -> float | None:
    """Return the best epoch of a run, or without a monitored score the epoch of its weights."""
    epoch = run.tags.get("best_epoch") or run.tags.get("weights_epoch")
    return float(epoch) if epoch else None


def _unit(score: str, runs: list[FoundRun]) -> str:
    """Return the name of the loss or the unit of a metric, in brackets; empty if runs differ in it."""
    key = "loss" if score == "loss" else "data.target"
    named = {run.params.get(key, "") for run in runs}
    name = named.pop() if len(named) == 1 else ""
    if score == "loss":
        return f" ({name})" if name else ""  # runs with different losses share the panel, without a name
    return f" ({UNITS[score].format(target=name or 'the target')})" if score in UNITS else ""
