"""How every picture looks: colours that all eyes tell apart, and no window, network or TeX needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lifecycle.runtime.quiet import ignored, one_at_a_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, without the yellow that is lost on white; the first for what is fitted, the second beside it."""
GREY = "#8a8a8a"
DOTS_AN_INCH = 110

_STYLE: dict[str, Any] = {
    "axes.prop_cycle": "cycler('color', ['" + "', '".join(COLOURS) + "'])",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.titlesize": 12,
    "grid.color": "#e6e6e6",
    "font.size": 10,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


@contextmanager
def picture(file: Path | BinaryIO, width: float, height: float) -> Iterator[Figure]:
    """Give a figure of ``width`` x ``height`` inches to draw on, and write it as a PNG.

    The user's own matplotlibrc has no say, and a letter that the font lacks no warning. matplotlib has one set of
    parameters for all threads, so one picture is drawn at a time.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with one_at_a_time(), ignored(), matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=DOTS_AN_INCH)
        yield figure
        figure.savefig(file, format="png", metadata={"Software": None}, bbox_inches="tight", pad_inches=0.12)


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """Name what is drawn on ``axes`` once, under all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)))


def label(text: object, most: int = 20) -> str:
    """Return a short text as a picture's label: a dollar is a dollar, and begins no formula."""
    return short(text, most).replace("$", r"\$")


def short(text: object, most: int = 20) -> str:
    """Return a text of at most ``most`` characters, its middle left out where it is longer; all of it is printable."""
    line = "".join(letter for letter in " ".join(str(text).split()) if letter.isprintable())
    head = (most - 1) // 2
    return line if len(line) <= most else f"{line[: most - 1 - head]}…{line[len(line) - head :]}"


def number(value: float) -> str:
    """Return a number with four digits, as a person reads a score."""
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.4g}"
