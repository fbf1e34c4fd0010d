"""Tables whose columns are divided among several tables where they do not fit the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from lifecycle.runtime import lines

GAP = 3
"""Spaces between columns."""


def blocks(widths: Sequence[int], width: int, first: int) -> list[list[int]]:
    """Divide columns into tables that fit a width; each repeats the first columns, so that its rows can be read alone.

    Args:
        widths: of the columns, without the gaps between them.
        width: of the terminal.
        first: number of the columns that are repeated.

    Returns:
        For each table the numbers of its columns.

    >>> blocks([10, 8, 40, 30], 80, first=1)
    [[0, 1, 2], [0, 3]]
    """
    repeated = list(range(first))
    found, block = [], list(repeated)
    for column in range(first, len(widths)):
        taken = sum(widths[one] + GAP for one in [*block, column]) - GAP
        if len(block) > first and taken > width:
            found.append(block)
            block = list(repeated)
        block.append(column)
    return [*found, block]


def print_table(console: Console, table: Table, below: Sequence[str] = ()) -> None:
    """Print a table without spaces at the ends of its lines: rich pads them to the width of the table.

    Args:
        console: is printed on.
        table: whose rows have a line each, if there are texts below them.
        below: a text below each row, indented.
    """
    with console.capture() as captured:
        console.print(table)
    printed = [line.rstrip() for line in captured.get().splitlines()]
    for text, row in zip(reversed(below), reversed(range(1, len(printed))), strict=False):
        printed[row + 1 : row + 1] = lines.broken(f"  {text}", console.width, indent=4)
    console.file.write("".join(f"{line}\n" for line in printed))
