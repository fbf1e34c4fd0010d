"""The style of all pictures: colours for all kinds of colour vision; no window, network or TeX is needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lifecycle.runtime.quiet import ignored, one_at_a_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, without the yellow that is hard to see on white."""
GREY, WHITE = "#8a8a8a", 255
DOTS_AN_INCH = 110
WIDE = 1000 / DOTS_AN_INCH
"""Inches: a picture with a legend at its side is 1,000 pixels wide."""

MARGIN, PADDING, STRIP, LINE = 0.12, 0.1, 0.24, 0.24
"""Inches around a cropped picture, around a figure, of the strip for its caption, and of a line of a legend."""

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
    "font.sans-serif": ["DejaVu Sans"],  # which matplotlib ships; an SVG would list a dozen others with each text
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    # Without a salt, the ids in an SVG are random, and the same run would give another file each time.
    "svg.hashsalt": "lifecycle",
    "svg.fonttype": "none",  # text stays text: smaller, and it can be searched
    "path.simplify_threshold": 0.5,  # pixels; a line of thousands of epochs keeps its extremes
}

_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}
"""Metadata that matplotlib would write, removed so that files are reproducible and name no other site."""


@contextmanager
def picture(
    file: Path | BinaryIO, width: float, height: float, form: str = "png", about: str = "", is_cropped: bool = True
) -> Iterator[Figure]:
    """Yield a figure of ``width`` x ``height`` inches, and write it as a PNG or SVG, with a white ground.

    Args:
        file: where to write.
        width: in inches.
        height: in inches.
        form: ``png`` or ``svg``.
        about: the caption in the lower right corner, in grey.
        is_cropped: whether white margins are cut off; else the picture has exactly this size.
    """
    with _styled():
        from matplotlib.figure import Figure

        # Not pyplot, which keeps each figure in a list of the process until it is closed.
        figure = Figure(figsize=(width, height), layout="constrained", dpi=DOTS_AN_INCH)
        strip = STRIP / height if about else 0.0
        engine: Any = figure.get_layout_engine()
        engine.set(w_pad=PADDING, h_pad=PADDING, rect=(0, strip, 1, 1 - strip))
        if about:
            text = label(about, 120)
            figure.text(1 - PADDING / width, 0.05 / height, text, ha="right", va="bottom", fontsize=8, color=GREY)
        yield figure
        figure.is_cropped = is_cropped  # type: ignore[attr-defined]
        _save(figure, file, form)


def write_copy(figure: Figure, file: Path) -> None:
    """Write an SVG of a figure that :func:`picture` has yielded."""
    with _styled():
        _save(figure, file, "svg")


def _save(figure: Figure, file: Path | BinaryIO, form: str) -> None:
    is_cropped = getattr(figure, "is_cropped", True)
    if form == "png" and _save_pixels(figure, file, is_cropped):
        return
    box: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": MARGIN} if is_cropped else {}
    figure.savefig(file, format=form, metadata=_METADATA[form], **box)


def _save_pixels(figure: Figure, file: Path | BinaryIO, is_cropped: bool) -> bool:
    """Write a PNG of a figure that is drawn once, and return whether that is possible.

    ``savefig`` draws a figure for its layout and again for the file, and a user waits for that. It is needed only where
    something is beyond the edge, such as a long title.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    if is_cropped:
        # Not the pixels at the edge, which are white where it is between two letters of a title.
        extent, (width, height) = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
        if extent.x0 < 0 or extent.y0 < 0 or extent.x1 > width or extent.y1 > height:
            return False
        drawn, margin = (pixels != WHITE).any(axis=2), round(MARGIN * figure.dpi)
        rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
        pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        pixels = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), constant_values=WHITE)
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "png", dpi=(figure.dpi, figure.dpi))
    return True


@contextmanager
def _styled() -> Iterator[None]:
    """Apply the style of all pictures.

    A matplotlibrc of the user is ignored, as are warnings of letters that the font lacks. matplotlib's parameters are
    global to all threads, so one picture is drawn at a time.
    """
    # Imported late: it takes half a second, and most commands draw nothing.
    import matplotlib.style

    # "default" first, so that matplotlib's settings of the user do not change the pictures.
    with one_at_a_time(), ignored(), matplotlib.style.context(["default", _STYLE]):
        yield


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """Draw one legend of ``axes`` below all panels."""
    handles, labels = axes.get_legend_handles_labels()
    columns, height = min(columns, len(labels)), figure.get_figheight()
    # matplotlib would put a legend outside of the axes on the caption, which is below it.
    strip = STRIP if figure.texts else 0.0
    taken = strip + LINE * math.ceil(len(labels) / columns) + PADDING
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, taken / height, 1, 1 - taken / height))
    figure.legend(handles, labels, loc="lower center", ncols=columns, bbox_to_anchor=(0.5, strip / height))


def count_from_one(axes: Axes, last: int) -> None:
    """Let an axis of epochs begin with 1 and end with the last one."""
    from matplotlib.ticker import MaxNLocator

    margin = max(0.5 if last == 1 else 0.0, 0.02 * (last - 1))
    axes.set_xlim(1 - margin, last + margin)
    steps = [
        int(tick)
        for tick in MaxNLocator(nbins=7, integer=True, steps=[1, 2, 5, 10]).tick_values(1, last)
        if 1 < tick <= last
    ]
    # A tick close to 1 would overlap it.
    axes.set_xticks([1, *(tick for tick in steps if tick - 1 > 0.08 * (last - 1))])


def label(text: object, most: int = 20) -> str:
    """Return a short text as a label, with its dollar signs escaped, which would start a formula."""
    return short(text, most).replace("$", r"\$")


def short(text: object, most: int = 20) -> str:
    """Return the printable characters of a text, at most ``most``; the middle of a longer one is left out."""
    line = "".join(letter for letter in " ".join(str(text).split()) if letter.isprintable())
    head = (most - 1) // 2
    return line if len(line) <= most else f"{line[: most - 1 - head]}…{line[len(line) - head :]}"


def number(value: float) -> str:
    """Return a score with four digits."""
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.4g}"
