"""A diagram of a network as an SVG that needs no other program, font or script.

Written directly, since Graphviz is a separate program that a user may not have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, SAMPLE_SHAPES, DataSpec
from lifecycle.plots.graph import INPUT, OUTPUT, Graph, Node, trace
from lifecycle.plots.style import short

if TYPE_CHECKING:
    from torch import nn

WIDTH, HEIGHT, SLIM, GAP, GUTTER, LANE, MARGIN, TITLE = 360, 46, 28, 20, 60, 9, 24, 34
"""Pixels: width of a box, its height with and without weights, gaps between boxes, columns and arrows, margin, height
of the title."""

ROWS = 14
"""Boxes in a column before a second column is used."""

FILLS = {"end": "#f2f2f2", "weights": "#dcebf7", "plain": "#ffffff"}
STROKES = {"end": "#8a8a8a", "weights": "#0072B2", "plain": "#9db7cc"}

SPREAD = 4
"""Most parallel arrows in a gutter; further arrows overlap these."""


@dataclass(frozen=True)
class Box:
    """One box, with two lines of text at its left and right; ``x`` and ``y`` of its upper left corner in pixels."""

    key: str
    kind: str  # end, weights or plain
    title: str  # bold
    rest: str  # after the title
    below: str
    right: str
    right_below: str
    x: float = 0.0
    y: float = 0.0
    column: int = 0

    @property
    def height(self) -> int:
        """Height in pixels; layers without weights are flat."""
        return SLIM if self.kind == "plain" else HEIGHT


def draw(network: nn.Module, name: str, spec: DataSpec) -> str:
    """Return the SVG of a network.

    Args:
        network: on any device; is not changed.
        name: of the model.
        spec: shapes, task and classes.
    """
    graph = trace(network, spec.input_shape)
    boxes = _placed([_input(spec), *(_layer(node) for node in graph.nodes), _output(spec)])
    by_key = {box.key: box for box in boxes}
    return _page(name, graph, boxes, _arrows(graph, by_key))


def _input(spec: DataSpec) -> Box:
    below = SAMPLE_SHAPES.get(len(spec.input_shape), "").strip("()")
    if len(spec.input_shape) == 1 and spec.feature_names:
        below = _cut(", ".join(spec.feature_names))
    return Box(INPUT, "end", "Input", "", below, str((None, *spec.input_shape)), "")


def _output(spec: DataSpec) -> Box:
    if spec.task == MULTICLASS:
        rest, below = f"{len(spec.class_names)} classes: softmax", _cut(", ".join(spec.class_names))
    elif spec.task == MULTILABEL:
        rest, below = f"{len(spec.class_names)} labels: sigmoid", _cut(", ".join(spec.class_names))
    elif spec.task == BINARY:
        rest, below = f"probability of {spec.class_names[1]}: sigmoid", f"else {spec.class_names[0]}"
    else:
        rest, below = f"{spec.target_name}: linear", "restored to its own units"
    return Box(OUTPUT, "end", "Output", rest, below, str((None, spec.num_outputs)), "")


def _cut(text: str, most: int = 50) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _layer(node: Node) -> Box:
    name = node.name if node.calls == 1 else f"{node.name}, used {node.calls} times"
    if node.is_join:
        return Box(node.name, "plain", "", node.type, "", node.shape, "")
    if not node.num_params:
        return Box(node.name, "plain", node.type, node.settings or name, "", node.shape, "")
    return Box(node.name, "weights", node.type, node.settings, name, node.shape, f"{node.num_params:,} parameters")


def _placed(boxes: list[Box]) -> list[Box]:
    """Stack boxes in columns of about equal length."""
    # The factor makes the diagram of a large network about twice as wide as high.
    rows = max(ROWS, math.ceil(math.sqrt(4 * len(boxes))))
    rows = math.ceil(len(boxes) / math.ceil(len(boxes) / rows))
    placed, y = [], 0.0
    for number, box in enumerate(boxes):
        column, row = divmod(number, rows)
        y = MARGIN + TITLE if row == 0 else y  # boxes differ in height, so that y is a running sum
        x = MARGIN + column * (WIDTH + GUTTER)
        placed.append(Box(**{**vars(box), "x": x, "y": y, "column": column}))
        y += box.height + GAP
    return placed


def _arrows(graph: Graph, boxes: dict[str, Box]) -> list[tuple[str, bool]]:
    """Return the path of each edge, and whether it is guessed: straight to the next box, else through the gutters."""
    order = list(boxes)
    arrows, lanes = [], 0
    for source, target in graph.edges:
        start, end = boxes[source], boxes[target]
        step = order.index(target) - order.index(source)
        if step == 1 and start.column == end.column:
            path = f"M{start.x + WIDTH / 2:g} {start.y + start.height:g}V{end.y - 1:g}"
        else:
            lane = 0 if step == 1 else 1 + lanes % SPREAD
            lanes += step != 1  # straight arrows take no lane
            path = _around(start, end, 12 + lane * LANE)
        arrows.append((path, (source, target) in graph.guessed))
    return arrows


def _around(start: Box, end: Box, offset: float) -> str:
    out, into = start.y + start.height * 0.5, end.y + end.height * 0.5
    gutter = start.x + WIDTH + offset
    if start.column == end.column:
        out, into = start.y + start.height * 0.75, end.y + end.height * 0.25
        return f"M{start.x + WIDTH:g} {out:g}H{gutter:g}V{into:g}H{end.x + WIDTH + 1:g}"
    before = end.x - GUTTER + offset
    if before == gutter:  # the next column: one gutter lies between them
        return f"M{start.x + WIDTH:g} {out:g}H{gutter:g}V{into:g}H{end.x - 1:g}"
    above = MARGIN + TITLE - offset / 3
    return f"M{start.x + WIDTH:g} {out:g}H{gutter:g}V{above:g}H{before:g}V{into:g}H{end.x - 1:g}"


def _page(name: str, graph: Graph, boxes: list[Box], arrows: list[tuple[str, bool]]) -> str:
    width = max(box.x for box in boxes) + WIDTH + (GUTTER if len(arrows) >= len(boxes) else 0) + MARGIN
    bottom = max(box.y + box.height for box in boxes)
    notes = ["Layers in the order of their first use; arrows follow the data."]
    if graph.guessed:
        notes.append("Dashed: the flow of data is not known; the order of use instead.")
    # A module may have parameters that its own forward() uses outside of its layers.
    outside = graph.num_params - sum(node.num_params for node in graph.nodes)
    if outside:
        notes.append(f"{outside:,} parameters belong to none of these layers.")
    height = bottom + MARGIN + 16 * len(notes) + 4
    title = short(f"{name}: {graph.num_params:,} parameters", 60)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#555555"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(MARGIN, MARGIN + 10, title, "#222222", 'font-size="15" font-weight="bold"'),
    ]
    for path, guessed in arrows:
        dashes = ' stroke-dasharray="4 3"' if guessed else ""
        lines.append(f'<path d="{path}" fill="none" stroke="#555555" marker-end="url(#arrow)"{dashes}/>')
    lines += [line for box in boxes for line in _drawn(box)]
    lines += [
        _text(MARGIN, bottom + MARGIN + 16 * number + 4, note, "#6b6b6b", 'font-size="11"')
        for number, note in enumerate(notes)
    ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _drawn(box: Box) -> list[str]:
    left, right = box.x + 10, box.x + WIDTH - 10
    first = box.y + (18.5 if box.below or box.right_below else box.height / 2 + 4)
    room = 56 - len(box.right) - len(box.title)  # letters that fit into the width of a box
    gap = 7 if box.title else 0
    text = escape(short(box.rest, max(room, 4)))
    rest = f'<tspan dx="{gap}" font-weight="normal" fill="#444444">{text}</tspan>'
    lines = [
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{WIDTH}" height="{box.height}" rx="5" '
        f'fill="{FILLS[box.kind]}" stroke="{STROKES[box.kind]}"/>',
        f'<text x="{left:g}" y="{first:g}" font-weight="bold" fill="#222222">'
        f"{escape(short(box.title, 30))}{rest if box.rest else ''}</text>",
        _text(right, first, box.right, "#222222", 'text-anchor="end"'),
    ]
    if box.below:
        lines.append(_text(left, box.y + 36, short(box.below, 56 - len(box.right_below)), "#6b6b6b", 'font-size="11"'))
    if box.right_below:
        lines.append(_text(right, box.y + 36, box.right_below, "#6b6b6b", 'font-size="11" text-anchor="end"'))
    return lines


def _text(x: float, y: float, text: str, colour: str, more: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}" {more}>{escape(text)}</text>'
