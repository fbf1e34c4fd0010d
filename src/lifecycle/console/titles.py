"""Prints a line with a title at its left, and breaks it with a hanging indent where it has to fit a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from lifecycle.runtime import lines

TITLE = 10
"""Columns of a title."""


def print_titled(console: Console, title: str, text: str, style: str = "") -> None:
    """Print a text behind a title; a file or a pipe gets it in one line.

    Args:
        console: is printed on.
        title: of at most nine characters; empty: the line belongs to the one above.
        text: of one or several lines.
        style: of the text, as rich has them.
    """
    fits = lines.width_of(console.file)
    for at, part in enumerate([text] if fits is None else broken(text, fits - TITLE)):
        console.print(Text.assemble((f"{'' if at else title:<{TITLE}}", "bold cyan"), (part, style)))


def broken(text: str, width: int) -> list[str]:
    """Return the lines of a text, broken at words to fit a width."""
    return [part for line in text.split("\n") for part in lines.broken(line, width, indent=0)]
