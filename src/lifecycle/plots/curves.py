"""Learning curves: loss and each metric over the epochs, with the best epoch marked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pandas as pd

from lifecycle.plots.style import COLOURS, GREY, count_from_one, legend_below, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lifecycle.fit.history import History

FEW_EPOCHS = 20
"""Up to this number, epochs are also drawn as points: a single one makes no line."""

TITLES = {"lr": "learning rate", "f1": "F1", "f1_micro": "F1 micro", "f1_macro": "F1 macro", "r2": "R²"}

WIDE_RANGE = 100.0
"""A loss that varies by more than this factor is drawn on a logarithmic axis."""


def draw(history: History, file: Path | BinaryIO, about: str = "") -> Figure:
    """Draw a panel for the loss, for each metric, and for the learning rate if there is a schedule.

    Args:
        history: of the fit; values that are not finite are gaps.
        file: the PNG.
        about: the caption: data and run.
    """
    frame = history.frame.replace([np.inf, -np.inf], np.nan)
    panels = panels_of(list(map(str, frame.columns)))
    columns = _columns(len(panels))
    rows = math.ceil(len(panels) / columns)
    with picture(file, max(4.6, 3.5 * columns), 2.6 * rows + 0.6, about=about) as figure:
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, (title, lines) in zip(grid, panels.items(), strict=False):
            _panel(axes, title, lines, frame, history)
        for axes in grid[len(panels) :]:
            axes.remove()
        legend_below(figure, figure.axes[0])
    return figure


def is_wide(history: History) -> bool:
    """Return whether there are three panels in a row."""
    return _columns(len(panels_of(list(map(str, history.frame.columns))))) > 2


def _columns(panels: int) -> int:
    return min(panels, 2 if panels in (2, 4) else 3)  # 4 panels in 2 rows, without gaps


def panels_of(columns: list[str]) -> dict[str, list[str]]:
    """Return the columns of the history in each panel by its title, the loss first."""
    panels: dict[str, list[str]] = {"loss": []}
    for name in columns:
        part, _, score = name.partition("_")
        if part in ("train", "val"):
            panels.setdefault(score, []).append(name)
        elif part != "epoch":
            panels.setdefault(name, []).append(name)
    return {title: lines for title, lines in panels.items() if lines}


def _panel(axes: Axes, title: str, lines: list[str], frame: pd.DataFrame, history: History) -> None:
    marker = "o" if len(frame) <= FEW_EPOCHS else ""
    looks = {"train": ("train", COLOURS[0], "-"), "val": ("validation", COLOURS[1], "-")}
    for name in lines:
        label, colour, style = looks.get(name.partition("_")[0], (name, COLOURS[2], "-"))
        axes.plot(frame["epoch"], frame[name], style, color=colour, label=label, marker=marker, markersize=3.5)
    values = frame[lines].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if title == "loss" and len(values) and values.min() > 0 and values.max() / values.min() > WIDE_RANGE:
        axes.set_yscale("log")
        axes.set_ylabel("logarithmic axis")
    # The padding leaves space for the number of the best epoch above the axes.
    axes.set_title(TITLES.get(title, title.replace("_", " ")), pad=13)
    axes.set_xlabel("epoch")
    count_from_one(axes, int(frame["epoch"].max()))
    best, weights = history.best_epoch, history.weights_epoch
    sides = ("center", "center")
    if best is not None and best != weights and abs(best - weights) < 0.1 * len(frame):  # their numbers would overlap
        sides = ("right", "left") if best < weights else ("left", "right")
    _mark(axes, best, "best epoch", "--", sides[0])
    if weights != best:
        _mark(axes, weights, "epoch of the weights", ":", sides[1])


def _mark(axes: Axes, epoch: int | None, what: str, style: str, side: str = "center") -> None:
    if epoch is not None:
        axes.axvline(epoch, linestyle=style, color=GREY, linewidth=1.2, label=f"{what}: {epoch}", zorder=1)
        place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "ha": side, "va": "bottom"}
        axes.annotate(str(epoch), (epoch, 1), fontsize=8, color=GREY, **place)
