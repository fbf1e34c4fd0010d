"""A flame graph: which functions a run's time went to, as an SVG of our own writing that runs no script."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, ROW, MARGIN, HEAD = 1280, 19, 20, 64
"""Pixels: of the page, of a row, around all, above the graph."""
LETTER = 6.1
"""Pixels of a letter, on the average."""
NARROWEST, NARROWEST_NAMED = 2.5, 24.0
"""Pixels under which a function is left out, or has its name in its title alone."""
MOST_ROWS = 50
FILLS = {
    "whole": "#d0d0d0",
    "phase": "#a9cce6",
    "lifecycle": "#dcebf7",
    "yours": "#cdeadf",
    "library": "#fae3cf",
    "python": "#efefef",
}
LEGEND = {"phase": "phase", "lifecycle": "lifecycle", "yours": "your code", "library": "libraries", "python": "Python"}
STYLE = (
    "text{font:11px Helvetica,Arial,sans-serif;fill:#222}.h{font-size:15px;font-weight:bold}.s{fill:#666}"
    "rect{stroke:#fff;stroke-width:.6}g:hover>rect{stroke:#0072B2;stroke-width:1.5}"
)

OURS = Path(__file__).parents[1]
Stack = tuple[str, ...]


@dataclass
class Block:
    """A function, or a phase, with those called from it: seconds of its own and of all within."""

    name: str
    kind: str
    seconds: float = 0.0
    within: dict[str, Block] = field(default_factory=dict)

    def child(self, name: str, kind: str) -> Block:
        """Return the block of that name within this one, made if need be."""
        return self.within.setdefault(name, Block(name, kind))


def draw(title: str, seconds: dict[str, float], stacks: dict[tuple[str, Stack], float]) -> str:
    """Return the SVG: the whole at the bottom, on it the phases, on them what was called; width is time.

    Args:
        title: what is said above.
        seconds: by phase, from left to right.
        stacks: seconds by phase and stack, as they were sampled; each phase's are stretched to its own seconds.
    """
    whole = tree(seconds, stacks)
    boxes = [box for box in _boxes(whole, 0, float(MARGIN), (WIDTH - 2 * MARGIN) / whole.seconds) if box[1] < MOST_ROWS]
    height = HEAD + (1 + max(row for _, row, _, _ in boxes)) * ROW + MARGIN
    lines = [_box(block, row, left, width, whole.seconds, height) for block, row, left, width in boxes]
    return "\n".join([*_head(title, height), *lines, "</svg>", ""])


def tree(seconds: dict[str, float], stacks: dict[tuple[str, Stack], float]) -> Block:
    """Return the block of the whole; see :func:`draw`."""
    sampled: dict[str, float] = {}
    for (phase, _), weight in stacks.items():
        sampled[phase] = sampled.get(phase, 0.0) + weight
    whole = Block("all", "whole", sum(seconds.values()))
    for phase, measured in seconds.items():
        whole.child(phase, "phase").seconds = measured
    for (phase, stack), weight in stacks.items():
        share = weight / sampled[phase] * seconds[phase]
        block = whole.within[phase]
        for name, kind in map(named, stack):
            block = block.child(name, kind)
            block.seconds += share
    return whole


@cache
def named(function: str) -> tuple[str, str]:
    """Return a function as ``module:name``, and whose it is: lifecycle's, a library's, Python's or yours."""
    name, file, _ = function.split("\x00")
    if file.startswith("<"):
        return f"{file.strip('<>')}:{name}", "python"
    module = _module(Path(file))
    shown = module if name == "<module>" else f"{module}:{name}"
    return shown, _kind(Path(file))


def _kind(file: Path) -> str:
    if file.is_relative_to(OURS):
        return "lifecycle"
    if {"site-packages", "dist-packages"} & set(file.parts):
        return "library"
    return "python" if file.is_relative_to(sysconfig.get_path("stdlib")) else "yours"


def _module(file: Path) -> str:
    """Return the name that a file is imported by, from the nearest folder of ``sys.path``."""
    folders = [Path(entry) for entry in sys.path if entry and file.is_relative_to(entry)]
    package = OURS.parent
    folders += [package] if file.is_relative_to(package) else []
    nearest = max(folders, key=lambda folder: len(folder.parts), default=file.parent)
    parts = file.relative_to(nearest).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _boxes(block: Block, row: int, left: float, scale: float) -> Iterator[tuple[Block, int, float, float]]:
    """Yield each block that is wide enough, with its row from below, its left edge and its width in pixels."""
    yield block, row, left, block.seconds * scale
    for inner in block.within.values():
        if inner.seconds * scale >= NARROWEST:
            yield from _boxes(inner, row + 1, left, scale)
        left += inner.seconds * scale


def _box(block: Block, row: int, left: float, width: float, whole: float, height: float) -> str:
    top = height - MARGIN - (row + 1) * ROW
    said = escape(f"{block.name}, {block.seconds:.3f} s, {block.seconds / whole:.1%}")
    shape = (
        f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" rx="1.5" fill="{FILLS[block.kind]}"/>'
    )
    text = f'<text x="{left + 4:.1f}" y="{top + 13}">{escape(_fitting(block, width))}</text>'
    return f"<g><title>{said}</title>{shape}{text if width >= NARROWEST_NAMED else ''}</g>"


def _fitting(block: Block, width: float) -> str:
    """Return as much of a name as there is room for; of ``module:function`` the function is kept the longest."""
    room = int((width - 6) / LETTER)
    module, _, function = block.name.rpartition(":")
    shorter = [f"{module.rpartition('.')[2]}:{function}"] if module else []
    if block.kind in ("whole", "phase"):
        names = [f"{block.name} {block.seconds:.2f} s", block.name]
    else:
        names = [block.name, *shorter, function, function.rpartition(".")[2]]
    for shown in names:
        if len(shown) <= room:
            return shown
    return f"{shown[: max(1, room - 1)]}…"


def _head(title: str, height: float) -> Iterable[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    yield f"<style>{STYLE}</style>"
    yield f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    yield f'<text class="h" x="{MARGIN}" y="28">{escape(title)}</text>'
    yield (
        f'<text class="s" x="{MARGIN}" y="48">Width is time, calls go upwards; point at a box for name and seconds. '
        f"Below {NARROWEST / (WIDTH - 2 * MARGIN):.1%} nothing is drawn.</text>"
    )
    left = WIDTH - MARGIN - 92 * len(LEGEND)
    for number, (kind, label) in enumerate(LEGEND.items()):
        x = left + 92 * number
        yield f'<rect x="{x}" y="18" width="13" height="13" rx="1.5" fill="{FILLS[kind]}"/>'
        yield f'<text x="{x + 18}" y="28.5">{label}</text>'
