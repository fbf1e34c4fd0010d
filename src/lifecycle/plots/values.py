"""Pictures of a regression: residuals, and a forecast with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle.data.columns.times import moments as moments_of
from lifecycle.errors import RequestError
from lifecycle.plots.style import COLOURS, GREY, label, legend_below, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lifecycle.data.dataset import Dataset, Part

AnyArray = np.ndarray[Any, Any]

MOST_POINTS = 20_000
"""Most points of a scatter plot; of more rows, evenly spaced ones are drawn."""

CONTEXT = 2
"""Length of the known values before a forecast, in lengths of the forecast."""

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
    from matplotlib.ticker import MaxNLocator

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
            xlabel="residual (true - predicted)", ylabel="rows", title=f"Histogram of residuals, mean {residuals.mean():.3g}"
        )
        right.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_forecast(predictions: pd.DataFrame, data: Dataset, file: Path, about: str = "") -> Figure:
    """Draw truth, forecast and naive forecasts over time, after the known values before them.

    Args:
        predictions: of the scored rows, with the truth.
        data: the series; the axis shows its times, or row numbers if it has none.
        file: the PNG.
        about: the caption: data and run.
    """
    part = data.scored
    # Of a series the scored part is the last one; if no rows are held out, it is the training part itself.
    before = [other for other in (data.train, data.val) if other is not None and other is not part]
    (when, *earlier), axis = moments([part, *before])
    order = np.argsort(when, kind="stable")
    with picture(file, 9.5, 4.1, about=about) as figure:
        axes = figure.subplots()
        if before:
            times, values = np.concatenate(earlier), np.concatenate([other.labels for other in before]).astype(float)
            last = np.argsort(times, kind="stable")[-CONTEXT * len(part) :]
            axes.plot(times[last], values[last], color=GREY, linewidth=1.2, label="known before")
        marker = "o" if len(part) <= 40 else ""  # more markers would hide the line
        truth = part.labels.astype(float)
        axes.plot(when[order], truth[order], color="black", marker=marker, markersize=3, label="truth")
        for (name, naive), colour in zip(part.naive.items(), COLOURS[2:], strict=False):
            axes.plot(when[order], naive[order], ":", color=colour, linewidth=1.3, label=f"naive: {label(name, 40)}")
        forecast = predictions["predicted"].to_numpy(dtype=float)
        axes.plot(when[order], forecast[order], color=COLOURS[1], marker=marker, markersize=3, label="forecast")
        axes.set(ylabel=label(data.spec.target_name, 30), xlabel=axis)
        axes.set_title(f"Forecast of the {len(part)} {data.scored_on.replace('_', ' ')} rows")
        legend_below(figure, axes, columns=5)
    return figure


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
