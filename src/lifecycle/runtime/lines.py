"""Breaks long lines at words, with a hanging indent, for a terminal; a file or a pipe gets them whole."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from typing import IO, Any

USUAL = 80
"""Columns of a terminal that does not say how many it has, and of the help."""

LEAST = 40
"""Columns below which nothing is broken: a hanging indent would leave no room."""

WIDE = 200
"""Columns of a table in a file or a pipe."""

_TITLE = re.compile(r"\S.{0,8}?\S? {2,}")
"""A title at the beginning of a line: ``Run       mlp-iris-0``."""


def width_of(stream: Any) -> int | None:
    """Return the columns that lines have to fit into: those of the terminal, or of the variable ``COLUMNS``.

    Returns:
        ``None`` for a file or a pipe without that variable: programs read lines that are not broken.
    """
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked) >= LEAST:
        return int(asked)
    try:
        if not stream.isatty():
            return None
        columns = os.get_terminal_size(stream.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return None
    return columns if columns >= LEAST else USUAL


def say(*texts: object, file: IO[str] | None = None, flush: bool = False, indent: int | None = None) -> None:
    """Print texts as :func:`print` does, broken to fit the terminal; ``indent``: see :func:`fitted`."""
    stream = sys.stdout if file is None else file
    width, text = width_of(stream), " ".join(map(str, texts))
    print(text if width is None else fitted(text, width, indent), file=file, flush=flush)


def fitted(text: str, width: int, indent: int | None = None) -> str:
    """Return a text whose lines are broken at words to fit a width; a word that is longer than that stays whole.

    Args:
        text: of one or several lines.
        width: most columns of a line.
        indent: columns before all but the first part of a line; ``None``: below the text behind a title, or two more
            than the line begins with.
    """
    return "\n".join(part for line in text.split("\n") for part in broken(line, width, indent))


def broken(line: str, width: int, indent: int | None = None) -> list[str]:
    """Return the parts of a line that is broken at words; see :func:`fitted`."""
    if columns_of(line) <= width:
        return [line]
    indent = _hanging(line) if indent is None else indent
    parts, current = [], ""
    for piece in re.findall(r" *[^ ]+", line):  # words, each with the spaces before it
        if not current:
            current = piece
        elif columns_of(current) + columns_of(piece) <= width or not current.strip():
            current += piece
        else:
            parts.append(current)
            current = " " * indent + piece.lstrip()
    return [*parts, current]


def _hanging(line: str) -> int:
    start = len(line) - len(line.lstrip(" "))
    titled = _TITLE.match(line)
    return start + 2 if titled is None else len(titled[0])


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: Chinese characters take two, accents none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(unicodedata.combining(one) > 0 for one in text)
