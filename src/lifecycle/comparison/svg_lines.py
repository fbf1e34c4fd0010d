"""Lines over epochs as an SVG within a page: its colours are the page's, and no script is needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 520, 320, 62, 14, 34, 44
"""Pixels: of a panel, and around its axes."""
WIDE_RANGE = 100.0
"""Positive values that differ by more than this factor are drawn on a logarithmic axis."""
MOST_POINTS = 400
"""Of a line; of more, the lowest and highest of each stretch are drawn."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        points: x and y; a y that is no finite number is a gap.
        dashed: how it is drawn.
        mark: the x of a ring around one of the points; ``None`` for none.
    """

    points: list[Point]
    dashed: bool = False
    mark: float | None = None


@dataclass(frozen=True)
class Group:
    """Lines of one colour.

    Attributes:
        style: the page's class that says which colour.
        title: what is shown to who points at them.
        lines: the lines.
        counts: whether the axes reach as far as they do; those of a run that diverged would leave no room to others.
    """

    style: str
    title: str
    lines: list[Line]
    counts: bool = True


def draw(title: str, y_label: str, groups: Sequence[Group]) -> str:
    """Return the SVG of one panel.

    Args:
        title: what is said above.
        y_label: of the upright axis, with its unit.
        groups: the lines; the last are drawn on top.
    """
    points = _points([group for group in groups if group.counts]) or _points(groups)
    if not points:
        return ""
    values = [y for _, y in points]
    across = _Axis.of([x for x, _ in points], LEFT, WIDTH - RIGHT, whole=True)
    log = min(values) > 0 and max(values) / min(values) > WIDE_RANGE
    upright = _Axis.of(values, HEIGHT - BOTTOM, TOP, log=log)
    scale = ", logarithmic" if log else ""
    lines = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="h" x="{LEFT}" y="18">{escape(title)}</text>',
        *_grid(across, upright),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 8}" text-anchor="middle">epoch</text>',
        f'<text transform="translate(13 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label + scale)}</text>",
        # An inner page cuts off what is beyond the axes, but for half a ring.
        f'<svg x="{LEFT - 6}" y="{TOP - 6}" width="{WIDTH - LEFT - RIGHT + 12}" height="{HEIGHT - TOP - BOTTOM + 12}" '
        f'viewBox="{LEFT - 6} {TOP - 6} {WIDTH - LEFT - RIGHT + 12} {HEIGHT - TOP - BOTTOM + 12}">',
        *(_group(group, across, upright) for group in groups),
        "</svg></svg>",
    ]
    return "\n".join(lines)


def _points(groups: Iterable[Group]) -> list[Point]:
    return [point for group in groups for line in group.lines for point in line.points if math.isfinite(point[1])]


@dataclass(frozen=True)
class _Axis:
    """From values to pixels, straight or by their logarithms."""

    low: float
    high: float
    start: float
    end: float
    ticks: list[float]
    log: bool = False

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float, whole: bool = False, log: bool = False) -> _Axis:
        found = [math.log10(value) for value in values] if log else list(values)
        low, high = min(found), max(found)
        if low == high:
            space = 1.0 if whole or log else abs(low) / 10 or 1.0
            low, high = low - space, high + space
        elif not whole:
            space = (high - low) * 0.04
            low, high = low - space, high + space
        marks = _decades(low, high) if log else _ticks(low, high, whole)
        return cls(low, high, start, end, marks, log)

    def at(self, value: float) -> float:
        known = value
        if self.log:
            known = math.log10(value) if value > 0 else -math.inf
        share = (known - self.low) / (self.high - self.low)
        return self.start + min(max(share, -2.0), 3.0) * (self.end - self.start)  # far enough beyond to be out of sight


def _ticks(low: float, high: float, whole: bool) -> list[float]:
    """Return some five round numbers from ``low`` to ``high``."""
    step = 10.0 ** math.floor(math.log10((high - low) / 5))
    while (high - low) / step > 6 or (whole and step < 1):
        step *= 2.5 if f"{step:e}".startswith("2") else 2  # 1, 2, 5, 10
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    marks = [number * step for number in range(first, last + 1)]
    return [mark for mark in marks if mark >= 1] if whole else marks


def _decades(low: float, high: float) -> list[float]:
    """Return powers of ten within ``10**low`` and ``10**high``; where these are few, twice and five times them too."""
    every = max(1, math.ceil((high - low) / 6))
    factors = (1, 2, 5) if high - low < 3 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    marks = [factor * 10.0**power for power in powers if power % every == 0 for factor in factors]
    return [mark for mark in marks if low <= math.log10(mark) <= high]


def _grid(across: _Axis, upright: _Axis) -> list[str]:
    left, right, bottom = across.start, across.end, upright.start
    lines = []
    for value in upright.ticks:
        y = upright.at(value)
        lines.append(f'<path class="grid" d="M{left:g} {y:.1f}H{right:g}"/>')
        lines.append(f'<text class="tick" x="{left - 7:g}" y="{y + 4:.1f}" text-anchor="end">{_said(value)}</text>')
    for value in across.ticks:
        x = across.at(value)
        lines.append(f'<path class="grid" d="M{x:.1f} {bottom:g}v5"/>')
        lines.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 19:g}" text-anchor="middle">{_said(value)}</text>')
    return [*lines, f'<path class="axis" d="M{left:g} {upright.end:g}V{bottom:g}H{right:g}"/>']


def _said(value: float) -> str:
    return f"{value:.10g}" if value == 0 or 1e-4 <= abs(value) < 1e6 else f"{value:.3g}"


def _group(group: Group, across: _Axis, upright: _Axis) -> str:
    drawn = [_line(line, across, upright) for line in group.lines]
    return f'<g class="lines {group.style}"><title>{escape(group.title)}</title>{"".join(drawn)}</g>'


def _line(line: Line, across: _Axis, upright: _Axis) -> str:
    path, pen_is_up = [], True
    for x, y in thinned(line.points):
        if not math.isfinite(y):
            pen_is_up = True
            continue
        command = "M" if pen_is_up else "L"
        # A line of no length is drawn as a dot, for its ends are round.
        path.append(f"{command}{across.at(x):.1f} {upright.at(y):.1f}{'h0' if pen_is_up else ''}")
        pen_is_up = False
    style = ' class="dashed"' if line.dashed else ""
    marked = next((y for x, y in line.points if x == line.mark and math.isfinite(y)), None)
    ring = ""
    if line.mark is not None and marked is not None:
        ring = f'<circle cx="{across.at(line.mark):.1f}" cy="{upright.at(marked):.1f}" r="4.5"/>'
    return f'<path{style} d="{"".join(path)}"/>{ring}' if path else ""


def thinned(points: list[Point]) -> list[Point]:
    """Return at most :data:`MOST_POINTS` of many points, the lowest and the highest of each stretch among them."""
    if len(points) <= MOST_POINTS:
        return points
    size = math.ceil((len(points) - 2) / (MOST_POINTS // 2 - 1))
    kept = {0, len(points) - 1}
    for start in range(1, len(points) - 1, size):
        stretch = range(start, min(start + size, len(points) - 1))
        kept |= {min(stretch, key=lambda at: points[at][1]), max(stretch, key=lambda at: points[at][1])}
    return [points[at] for at in sorted(kept)]
