"""The charts of a sweep's page, as SVG: means with intervals, and parallel coordinates."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any

from lifecycle.plots.style import COLOURS, GREY, label, picture, short
from lifecycle.sweeps.results.board import Board
from lifecycle.sweeps.results.entries import ABSENT, Entry

MOST_ROWS = 30
"""Configurations of the chart of means."""

MOST_LINES = 300
"""Configurations of the parallel coordinates."""

MOST_CHARACTERS = 36


def means(board: Board) -> str:
    """Return a chart of the mean of each configuration with its interval and its runs, the best at the top."""
    metric = board.metric or ""
    shown = [entry for entry in board.entries if metric in entry.means][:MOST_ROWS]
    with _svg(7.2, 0.9 + 0.34 * len(shown)) as (figure, out):
        axes = figure.subplots()
        for at, entry in enumerate(shown):
            one, colour = entry.means[metric], COLOURS[0] if entry.is_ranked else GREY
            runs = list(entry.scores[metric].values())
            axes.plot(runs, [at] * len(runs), "|", color=colour, alpha=0.45, markersize=8)
            if not math.isnan(one.low):
                axes.plot([one.low, one.high], [at, at], color=colour, linewidth=1.6)
            axes.plot([one.mean], [at], "o", color=colour, markersize=6)
        axes.set_yticks(range(len(shown)), [label(label_of(entry), MOST_CHARACTERS) for entry in shown])
        axes.invert_yaxis()
        axes.set_xlabel(f"{metric}: mean, 95% interval, and each run (|)")
        axes.grid(visible=False, axis="y")
    return _plain(out.getvalue())


def parallel(board: Board) -> str | None:
    """Return parallel coordinates of the settings and the metric; ``None`` for fewer than two settings."""
    metric = board.metric or ""
    shown = [entry for entry in board.entries if metric in entry.means][:MOST_LINES]
    keys = list(shown[0].settings) if shown else []
    if len(keys) < 2 or len(shown) < 2:
        return None
    columns = [_positions([entry.labels[key] for entry in shown]) for key in keys]
    scores = [entry.means[metric].mean for entry in shown]
    low, high = min(scores), max(scores)
    columns.append(([(score - low) / ((high - low) or 1) for score in scores], [(0.0, _n(low)), (1.0, _n(high))]))
    with _svg(max(6.0, 1.7 * (len(keys) + 1)), 3.8) as (figure, out):
        axes = figure.subplots()
        from matplotlib import colormaps

        for at in reversed(range(len(shown))):  # the best on top
            place = (scores[at] - low) / ((high - low) or 1)
            quality = place if board.higher else 1 - place
            line = [positions[at] for positions, _ in columns]
            axes.plot(range(len(columns)), line, color=colormaps["viridis"](quality), alpha=0.85)
        for number, (_, ticks) in enumerate(columns):
            axes.axvline(number, color=GREY, linewidth=0.8)
            for position, text in ticks:
                # On white, since the lines of all configurations meet in these points.
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
                offset = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
                axes.annotate(text, (number, position), fontsize=8, bbox=box, **offset)
        axes.set_xticks(range(len(columns)), [label(key, 24) for key in [*keys, metric]])
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_xlim(-0.1, len(columns) - 0.6)
    return _plain(out.getvalue())


def label_of(entry: Entry) -> str:
    """Return the settings of a configuration in a few words."""
    words = [f"{key.rpartition('.')[2]}={value}" for key, value in entry.labels.items() if value != ABSENT]
    return short(" ".join(words) or "all runs", MOST_CHARACTERS)


def _positions(values: Sequence[str]) -> tuple[list[float], list[tuple[float, str]]]:
    """Return the position of each value on an axis from 0 to 1, and the ticks: by value if all are numbers above 0."""
    different = list(dict.fromkeys(values))
    try:
        numbers = {value: float(value) for value in different}
    except ValueError:
        numbers = {}
    if len(numbers) > 1 and min(numbers.values()) > 0:
        # On a logarithmic axis, as rates and sizes differ by factors.
        logs = {value: math.log(number) for value, number in numbers.items()}
        low, high = min(logs.values()), max(logs.values())
        place = {value: (log - low) / (high - low) for value, log in logs.items()}
    else:
        place = {value: at / max(1, len(different) - 1) for at, value in enumerate(different)}
    shown = (
        different if len(different) <= 8 else [min(place, key=lambda v: place[v]), max(place, key=lambda v: place[v])]
    )
    return [place[value] for value in values], [(place[value], label(value, 14)) for value in shown]


class _svg:  # noqa: N801 - a context manager that is used like a function
    """Yield a figure and the bytes that its SVG is written to."""

    def __init__(self, width: float, height: float) -> None:
        self._out = io.BytesIO()
        self._picture = picture(self._out, width, height, "svg")

    def __enter__(self) -> tuple[Any, io.BytesIO]:
        return self._picture.__enter__(), self._out

    def __exit__(self, *raised: Any) -> None:
        self._picture.__exit__(*raised)


def _plain(svg: bytes) -> str:
    """Return the SVG element alone, to be put into a page."""
    return re.sub(r"\A.*?(?=<svg)", "", svg.decode("utf-8"), flags=re.DOTALL)


def _n(value: float) -> str:
    return f"{value:.4g}"
