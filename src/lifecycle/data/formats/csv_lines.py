"""Line numbers for errors in CSV files: the line with more or fewer cells than the header."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from lifecycle.data.formats.text import transcoding
from lifecycle.data.formats.text.dialect import Dialect

RAGGED = re.compile(r"Expected (\d+) columns?, got \d+(?:: (.*))?", re.DOTALL)
"""pyarrow's message on such a line. It has a row's number only where one thread parses the file, and no line's."""

MOST_QUOTED = 60
"""Characters of the line that a message quotes."""


class Tail:
    """The last bytes of a stream that cannot be read twice.

    Args:
        most: bytes to keep.
    """

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._blocks: deque[bytes] = deque()
        self._lines = self._quotes = 0  # in the bytes that were dropped

    def add(self, block: bytes) -> None:
        """Keep the next bytes, and drop the oldest."""
        self._blocks.append(block)
        self._size += len(block)
        while self._size - len(self._blocks[0]) > self._most:
            old = self._blocks.popleft()
            self._size -= len(old)
            self._lines += old.count(b"\n")
            self._quotes += old.count(b'"')

    def rows(self) -> tuple[io.StringIO, int]:
        """Return the text from the first whole row on, and how many lines come before it."""
        kept, lines = b"".join(self._blocks), self._lines
        start, quotes = 0, self._quotes
        # The first kept byte may be in the middle of a row, or between quotes, where a line end does not end the row.
        while lines or quotes % 2:
            end = kept.find(b"\n", start) + 1
            if not end:
                break
            quotes, lines, start = quotes + kept.count(b'"', start, end), lines + 1, end
            if quotes % 2 == 0:
                break
        return text_of(kept[start:]), lines


def text_of(content: bytes) -> io.StringIO:
    """Return bytes as lines of text for Python's ``csv``."""
    # newline="": the csv module itself splits lines, which may end within quotes.
    return io.StringIO(content.decode("utf-8-sig", errors="replace"), newline="")


def explained(error: Exception, lines: Iterable[str], before: int = 0, dialect: Dialect | None = None) -> Exception:
    """Return an error of pyarrow's with the number of its line.

    Args:
        error: the parser's error.
        lines: the text that it parsed, from the beginning of a row on.
        before: number of lines of the file before these.
        dialect: of the text; ``None``: comma-separated with a header.

    Returns:
        A ``ValueError`` with the line's number, counted from 1; or ``error`` where it has another cause.
    """
    found = RAGGED.search(str(error))
    if found is None:
        return error
    width, text = int(found[1]), (found[2] or "").strip()
    quoted = text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}..."
    # pyarrow's error has no line number: Python's csv finds the line again.
    try:
        sep, quote = (",", '"') if dialect is None else (dialect.delimiter, dialect.quote)
        # Lines above the table, such as a title, are no rows.
        skip = 0 if dialect is None or before or not dialect.skip or dialect.is_plain else dialect.skip
        lines = iter(lines)
        for _ in range(skip):
            next(lines, None)
        before += skip
        place = _ragged(lines, width, sep, quote)
    except (csv.Error, UnicodeDecodeError):
        place = None
    if place is None:
        return error
    line, cells = place[0] + before, f"{place[1]} cell{'s' if place[1] != 1 else ''}"
    what = "the header has" if dialect is None else dialect.what_names
    return ValueError(f"line {line} has {cells}, and {what} {width}" + (f" ({quoted})" if quoted else ""))


def explained_in(error: Exception, file: Path, dialect: Dialect) -> Exception:
    """Return the result of :func:`explained` for a file, which is read again."""
    if RAGGED.search(str(error)) is None:
        return error
    with transcoding.lines_of(file, dialect) as lines:
        return explained(error, lines, dialect=dialect)


def lines_before(stream: io.RawIOBase, offset: int) -> int:
    """Return how many lines end in the first ``offset`` bytes of a stream."""
    found = 0
    while offset and (block := stream.read(min(offset, 1 << 20))):
        found, offset = found + block.count(b"\n"), offset - len(block)
    return found


def _ragged(lines: Iterable[str], width: int, sep: str, quote: str) -> tuple[int, int] | None:
    """Return the first line of the first row with another number of cells, and that number.

    Blank lines are not rows.
    """
    reader, line = csv.reader(lines, delimiter=sep, quotechar=quote), 1
    for cells in reader:
        if cells and len(cells) != width:
            return line, len(cells)
        line = reader.line_num + 1
    return None
