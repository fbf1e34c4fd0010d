"""Draws lines over epochs as an SVG element within a page, whose style sheet gives the colours."""

from __future__ import annotations

import io
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.plots.style import count_from_one, picture, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 5.4, 3.3
"""Inches of a panel; the page scales it."""

WIDE_RANGE = 100.0
"""Positive values that differ by more than this factor are drawn on a logarithmic axis."""

COLOURS = {
    **{"c0": "#0072b2", "c1": "#d55e00", "c2": "#009e73", "c3": "#b5578f", "c4": "#c98a00", "c5": "#3fa3dd"},
    **{"c6": "#333333", "c7": "#7a5fc0", "c8": "#8a5a2b", "c9": "#5c8a00", "other": "#c3c8cc"},
    **{"text": "#1d2125", "muted": "#667079", "line": "#e1e5e8", "back": "#ffffff"},
}
"""The colours of ``page.css`` by the name of their variable. The SVG refers to the variables, so that it follows a dark
scheme."""

# HTML needs no namespaces, and with them ElementTree would prefix the name of each element.
NAMESPACES = re.compile(r' xmlns(?::xlink)?="[^"]*"')
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        points: x and y; a y that is not finite is a gap.
        dashed: whether the line is dashed.
        mark: x of the point with a ring; ``None``: no ring.
    """

    points: list[Point]
    dashed: bool = False
    mark: float | None = None


@dataclass(frozen=True)
class Group:
    """Lines of one colour.

    Attributes:
        colour: one of :data:`COLOURS`.
        title: the tooltip of the lines.
        lines: the lines.
        scales: whether the axes cover the lines. A run that diverged would leave no space for the others.
    """

    colour: str
    title: str
    lines: list[Line]
    scales: bool = True


def draw(title: str, y_label: str, groups: Sequence[Group]) -> str:
    """Return the SVG element of one panel; empty if no value is finite.

    Args:
        title: above the axes.
        y_label: of the vertical axis, with its unit.
        groups: the lines; the last are drawn on top.
    """
    # If all runs diverged, they are better than no curves.
    points = _points([group for group in groups if group.scales]) or _points(groups)
    if not points:
        return ""
    file = io.BytesIO()
    with picture(file, WIDTH, HEIGHT, form="svg") as figure:
        axes = figure.subplots()
        figure.patch.set_visible(False)  # the page's background, which is dark in a dark scheme
        axes.patch.set_visible(False)
        is_log = _set_limits(axes, points)
        _set_style(axes, title, f"{y_label}{', logarithmic' if is_log else ''}")
        for number, group in enumerate(groups):
            _draw_group(axes, group, number)
    return _element(file.getvalue().decode(), title, [group.title for group in groups])


def _points(groups: Iterable[Group]) -> list[Point]:
    return [point for group in groups for line in group.lines for point in line.points if math.isfinite(point[1])]


def _set_limits(axes: Axes, points: list[Point]) -> bool:
    """Set the limits and ticks of the axes, and return whether the vertical one is logarithmic."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    (left, right), (low, high) = ((min(values), max(values)) for values in zip(*points, strict=True))
    is_log = bool(low > 0 and high / low > WIDE_RANGE)
    space = (right - left) * 0.02 or 1.0  # for half a ring at the first and last epoch
    axes.set_xlim(left - space, right + space)
    if left == 1:
        count_from_one(axes, int(right))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    if is_log:
        axes.set_yscale("log")
        margin = (high / low) ** 0.04
        axes.set_ylim(low / margin, high * margin)
        # Two and five times a power of ten as well, where there are few powers.
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1e3 else (1.0,), numticks=7))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        # Halved before the subtraction, since the difference of two float64 may overflow.
        space = (high / 2 - low / 2) * 0.08 or abs(low) / 10 or 1.0
        axes.set_ylim(low - space, high + space)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:.10g}"))  # the default writes an offset above the axis
    return is_log


def _set_style(axes: Axes, title: str, y_label: str) -> None:
    """Write title and labels, and leave only horizontal grid lines; names of columns may hold ``$``."""
    axes.set_title(title, loc="left", color=COLOURS["text"], fontsize=11, parse_math=False)
    axes.set_xlabel("epoch", color=COLOURS["muted"])
    axes.set_ylabel(short(y_label, 60), color=COLOURS["muted"], parse_math=False)
    axes.tick_params(color=COLOURS["line"], labelcolor=COLOURS["muted"], labelsize=9, length=3)
    axes.tick_params(axis="y", length=0)  # the grid lines mark the values
    axes.grid(visible=False, axis="x")
    axes.grid(color=COLOURS["line"], linewidth=0.8, axis="y")
    for spine in axes.spines.values():
        spine.set_color(COLOURS["muted"])


def _draw_group(axes: Axes, group: Group, number: int) -> None:
    """Draw the lines of a group, with an id by which :func:`_element` finds them."""
    colour = COLOURS[group.colour]
    options: dict[str, Any] = {"color": colour, "zorder": 3 + number, "gid": _id(number)}
    for line in group.lines:
        points = [(x, y) if math.isfinite(y) else (x, math.nan) for x, y in line.points]
        width, style = (1.1, (0, (3, 3))) if line.dashed else (1.6, "-")
        axes.plot(*zip(*points, strict=True), linestyle=style, linewidth=width, **options)
        # Without a neighbour a point makes no line, and is drawn as a dot.
        is_gap = [True, *(math.isnan(y) for _, y in points), True]
        if dots := [point for at, point in enumerate(points) if is_gap[at : at + 3] == [True, False, True]]:
            axes.plot(*zip(*dots, strict=True), linestyle="none", marker=".", **options)
        for x, y in points:
            if x == line.mark and not math.isnan(y):
                ring: dict[str, Any] = {"markersize": 6, "markeredgewidth": 1.4, "markerfacecolor": COLOURS["back"]}
                axes.plot([x], [y], linestyle="none", marker="o", **ring, **options)


def _id(number: int) -> str:
    return f"group-{number}"


def _element(svg: str, title: str, titles: Sequence[str]) -> str:
    """Return matplotlib's SVG file as an element of an HTML page.

    Args:
        svg: the file.
        title: of the panel, for screen readers.
        titles: the tooltip of each group.
    """
    # Without the XML declaration and the DOCTYPE, which may not stand within an HTML page.
    text = NAMESPACES.sub("", svg[svg.index("<svg") :]).replace("xlink:href", "href")
    for name, colour in COLOURS.items():
        # matplotlib writes colours as lower-case hexadecimal numbers, as they are in COLOURS.
        text = text.replace(colour, f"var(--{name})")
    root = ET.fromstring(text)  # noqa: S314 - written by matplotlib
    for defs in root.findall("defs"):
        if defs.find("style") is not None:
            root.remove(defs)  # its style sheet would apply to the whole page
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    _group_lines(root, titles)
    for group in root.iter("g"):
        group.attrib.pop("id", None)  # they would occur in each panel
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def _group_lines(root: ET.Element, titles: Sequence[str]) -> None:
    """Put the lines of each group into one element with a title, which a browser shows as a tooltip."""
    for number, title in enumerate(titles):
        for parent in list(root.iter("g")):
            lines = parent.findall(f"g[@id='{_id(number)}']")
            if not lines:
                continue
            element = ET.Element("g", {"class": "lines"})
            ET.SubElement(element, "title").text = title
            parent.insert(list(parent).index(lines[0]), element)
            for line in lines:
                parent.remove(line)
                element.append(line)
