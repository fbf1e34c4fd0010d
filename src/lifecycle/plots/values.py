"""Pictures of a regression: residuals, and a forecast with the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle.data.columns.times import moments as moments_of
from lifecycle.data.series.ahead import STEP
from lifecycle.errors import RequestError
from lifecycle.plots.style import COLOURS, GREY, label, legend_below, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from lifecycle.data.dataset import Dataset, Part

AnyArray = np.ndarray[Any, Any]

MOST_POINTS = 20_000
"""Most points of a scatter plot; of more rows, evenly spaced ones are drawn."""

MOST_SERIES = 6
"""Most series of a data set that are drawn, those with the largest errors."""

CONTEXT = 2
"""Length of the known values before a forecast, in lengths of the forecast."""

LARGE, SMALL = 20_000.0, 0.001
"""Axes whose values reach the first have thousands and millions as ``k`` and ``M``; below the second, powers of ten."""

WHOLE = r"-?(\d{1,3}|\d{5,15})"
"""A whole number as a text, other than of four digits, which is a year."""


def draw_residuals(predictions: pd.DataFrame, target: str, file: Path, about: str = "") -> Figure:
    """Draw predicted against true values, residuals (true - predicted) against predicted ones, and their histogram.

    Args:
        predictions: of the scored rows, with the truth.
        target: its name.
        file: the PNG.
        about: the caption: data and run.
    """
    true = predictions["actual"].to_numpy(dtype=float)
    predicted = predictions["predicted"].to_numpy(dtype=float)
    residuals, name = true - predicted, label(target, 30)
    # More points take longer to draw and look the same.
    some = slice(None, None, max(1, len(true) // MOST_POINTS))
    points: dict[str, Any] = {
        "s": 14 if len(true) < 1000 else 5,
        "alpha": 0.7 if len(true) < 300 else 0.4,
        "linewidths": 0,
    }
    with picture(file, 11.0, 3.9, about=about) as figure:
        left, middle, right = figure.subplots(1, 3)
        ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
        left.scatter(true[some], predicted[some], color=COLOURS[0], **points)
        left.plot(ends, ends, "--", color="black", linewidth=1, label="predicted = true")
        left.set(xlabel=f"true {name}", ylabel=f"predicted {name}", title="Predicted and true")
        left.legend(loc="upper left", fontsize=8)
        middle.scatter(predicted[some], residuals[some], color=COLOURS[0], **points)
        middle.axhline(0, linestyle="--", color="black", linewidth=1)
        middle.set(xlabel=f"predicted {name}", ylabel="residual (true - predicted)", title="Residuals")
        right.hist(residuals, bins=min(50, max(5, int(np.sqrt(len(residuals)) * 1.5))), color=COLOURS[0])
        right.axvline(0, linestyle="--", color="black", linewidth=1)
        right.set(
            xlabel="residual (true - predicted)",
            ylabel="rows",
            title=f"Histogram of residuals, mean {residuals.mean():.3g}",
        )
        for axes in (left, middle, right):
            _shorten(axes.xaxis, 5)
            _shorten(axes.yaxis, 6)
        right.yaxis.get_major_locator().set_params(integer=True)
    return figure


def _shorten(axis: Axis, most: int) -> None:
    """Write large values of an axis as ``200k`` and small ones as ``2e-05``, and few enough not to overlap."""
    from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]))
    largest = max(map(abs, axis.get_view_interval()))
    if largest >= LARGE:
        axis.set_major_formatter(EngFormatter(sep=""))
    elif largest < SMALL:
        # matplotlib would write a common factor at the end of the axis, on the axis's name.
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def draw_forecast(predictions: pd.DataFrame, data: Dataset, file: Path, about: str = "") -> Figure:
    """Draw truth, forecast and naive forecasts over time, after the known values before them; a panel for each series.

    Args:
        predictions: of the scored rows, with the truth.
        data: the series; the axis shows its times, or row numbers if it has none.
        file: the PNG.
        about: the caption: data and run.
    """
    part = data.scored
    # Of a series the scored part is the last one; if no rows are held out, it is the training part itself.
    before = [other for other in (data.train, data.val) if other is not None and other is not part]
    places, axis = moments([part, *before])
    scored, *known = [_Lines(one, place) for one, place in zip([part, *before], places, strict=True)]
    forecast = predictions["predicted"].to_numpy(dtype=float)
    series = scored.hardest(np.abs(forecast - part.labels.astype(float)))
    columns = 1 if len(series) == 1 else 2
    rows = math.ceil(len(series) / columns)
    with picture(file, 9.5, 4.1 if columns == 1 else 1.2 + 2.3 * rows, about=about) as figure:
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, name in zip(panels, series, strict=False):
            _draw_series(axes, name, scored, known, forecast)
            axes.set(ylabel=label(data.spec.target_name, 30), xlabel=axis)
            axes.set_title(label(name, 40))
            if scored.when.dtype.kind == "M":
                _date(axes, 8 if columns == 1 else 5)
        for axes in panels[len(series) :]:
            axes.remove()
        which = f"the {len(part)} {data.scored_on.replace('_', ' ')} rows"
        if len(scored.series) > len(series):
            which += f": the {len(series)} of {len(scored.series)} series with the largest errors"
        if columns == 1 and not series[0]:
            panels[0].set_title(f"Forecast of {which}")
        else:
            figure.suptitle(f"Forecast of {which}", weight="bold")
        many = len(panels[0].get_legend_handles_labels()[0])
        legend_below(figure, panels[0], columns=5 if many <= 5 else 3)
    return figure


def _date(axes: Axes, most: int) -> None:
    """Write dates below an axis without repeating their years, at most so many."""
    from matplotlib import dates

    untyped: Any = dates
    locator = untyped.AutoDateLocator(minticks=3, maxticks=most)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(untyped.ConciseDateFormatter(locator))


@dataclass(frozen=True)
class _Lines:
    """A part of a data set, divided into its series.

    Attributes:
        part: its rows.
        when: their positions on the axis of time.
    """

    part: Part
    when: AnyArray

    @cached_property
    def names(self) -> AnyArray:
        """The series of each row; an empty text where there is only one."""
        own = [values for name, values in self.part.about.items() if name != STEP]
        return own[0].astype(str) if own else np.full(len(self.part), "", dtype=object)

    @cached_property
    def leads(self) -> AnyArray:
        """How many steps ahead each row is predicted."""
        return np.asarray(self.part.about.get(STEP, np.ones(len(self.part)))).astype(int)

    @cached_property
    def series(self) -> list[str]:
        """The names of the series."""
        return list(dict.fromkeys(self.names.tolist()))

    def hardest(self, errors: AnyArray) -> list[str]:
        """Return the names of the series with the largest mean errors, in their own order."""
        mean = {name: float(errors[self.names == name].mean()) for name in self.series}
        most = sorted(self.series, key=lambda name: -mean[name])[:MOST_SERIES]
        return [name for name in self.series if name in most]

    def of(self, name: str, lead: int) -> AnyArray:
        """Return the rows of a series so many steps ahead, in order of time."""
        found = np.flatnonzero((self.names == name) & (self.leads == lead))
        return found[np.argsort(self.when[found], kind="stable")]


def _draw_series(axes: Axes, name: str, scored: _Lines, known: list[_Lines], forecast: AnyArray) -> None:
    """Draw truth, forecast and naive forecasts of one series, after the values before them."""
    part, when, first = scored.part, scored.when, int(scored.leads.min())
    at = scored.of(name, first)
    if known:
        own = [(lines, lines.of(name, first)) for lines in known]
        times = np.concatenate([lines.when[rows] for lines, rows in own])
        values = np.concatenate([lines.part.labels[rows] for lines, rows in own]).astype(float)
        last = np.argsort(times, kind="stable")[-CONTEXT * len(at) :]
        axes.plot(times[last], values[last], color=GREY, linewidth=1.2, label="known before")
    marker = "o" if len(at) <= 40 else ""  # more markers would hide the line
    axes.plot(when[at], part.labels[at].astype(float), color="black", marker=marker, markersize=3, label="truth")
    for (title, naive), colour in zip(part.naive.items(), COLOURS[2:], strict=False):
        axes.plot(when[at], naive[at], ":", color=colour, linewidth=1.3, label=f"naive: {label(title, 40)}")
    furthest = int(scored.leads.max())
    ahead = "" if furthest == first else f", {first} step{'s' * (first != 1)} ahead"
    axes.plot(when[at], forecast[at], color=COLOURS[1], marker=marker, markersize=3, label=f"forecast{ahead}")
    if furthest != first:
        far = scored.of(name, furthest)
        axes.plot(when[far], forecast[far], "--", color=COLOURS[4], label=f"forecast, {furthest} steps ahead")


def moments(parts: list[Part]) -> tuple[list[AnyArray], str]:
    """Return the positions of the targets of parts on a time axis, and the name of the axis.

    Without times, or if they cannot be parsed, the positions are row numbers.
    """
    rows = [part.rows for part in parts]
    if any(part.times is None for part in parts):
        return rows, "row"
    times = np.concatenate([np.asarray(part.times) for part in parts])
    # Texts from a CSV file. Whole numbers other than years are positions, not dates.
    if times.dtype.kind not in "iufM":
        written = pd.Series(times)
        if written.map(str).str.fullmatch(r"\d+\.\d+").all():  # decimal years as texts may be months
            written = written.astype(float)
        if written.map(str).str.fullmatch(WHOLE).all():
            written = written.astype("int64")
        try:
            times = moments_of(written).local.to_numpy()
        except RequestError:
            return rows, "row"
    return np.split(times, np.cumsum([len(part) for part in parts])[:-1]), "time"
