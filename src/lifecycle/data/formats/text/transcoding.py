"""Rewrites a text file that pyarrow does not read: as UTF-8, without comments and padding, with one sign between cells.

Each line stays a line, so that messages name the lines of the file. A comment becomes an empty line, which no parser
takes for a row.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lifecycle.data.formats.text import encodings
from lifecycle.data.formats.text.dialect import SPACE, WORD, Dialect

BLOCK = 1 << 20

PADDING = " \r\ufeff"
"""Signs around a cell that are no part of it; the last is a byte order mark."""


def transcoded(blocks: Iterable[bytes], dialect: Dialect) -> Iterator[bytes]:
    """Yield the bytes of a file as pyarrow reads them.

    Args:
        blocks: the bytes of the file, in blocks of any size.
        dialect: of the file.

    Raises:
        ValueError: a byte is not one of the encoding.
    """
    as_utf8 = _as_utf8(blocks, dialect.encoding)
    if not dialect.comment and not dialect.padded and dialect.sep != SPACE:
        yield from as_utf8
        return
    rest = b""
    for block in as_utf8:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        yield b"".join(_line(line, dialect) + b"\n" for line in lines)
    if rest:
        yield _line(rest, dialect)


def blocks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a stream in blocks."""
    while block := stream.read(BLOCK):
        yield block


def _as_utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    if encoding == encodings.UTF8:
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not {encoding} ({error.reason})") from error


def _line(line: bytes, dialect: Dialect) -> bytes:
    if dialect.comment and line.startswith(dialect.comment.encode()):
        return b""
    if dialect.padded:
        text = line.decode("utf-8", errors="surrogateescape")
        return without_padding(text, dialect.sep, dialect.quote).encode("utf-8", errors="surrogateescape")
    if dialect.sep != SPACE:
        return line
    if b'"' in line or b"'" in line:
        words = (match[0] for match in WORD.finditer(line.decode("utf-8", errors="surrogateescape")))
        return "\t".join(map(_double_quoted, words)).encode("utf-8", errors="surrogateescape")
    return b"\t".join(line.split())


def without_padding(line: str, sep: str, quote: str) -> str:
    """Return a line without the spaces around its cells; those within quotes are part of a cell.

    >>> without_padding('"Bolt, U.",   "JAM",  9.63 ', ",", '"')
    '"Bolt, U.","JAM",9.63'
    """
    if line.count(quote) % 2:  # a cell of several lines
        return line
    return sep.join(cell.strip(PADDING) for cell in cells_of(line, sep, quote))


def cells_of(line: str, sep: str, quote: str) -> list[str]:
    """Return the cells of a line as they are written, with their quotes and the spaces around them."""
    if quote not in line:
        return line.split(sep)
    cells, start, within = [], 0, False
    for place, sign in enumerate(line):
        if sign == quote:
            within = not within
        elif sign == sep and not within:
            cells.append(line[start:place])
            start = place + 1
    return [*cells, line[start:]]


def _double_quoted(word: str) -> str:
    if len(word) > 1 and word[0] == word[-1] == "'":
        return '"' + word[1:-1].replace('"', '""') + '"'
    if len(word) > 1 and word[0] == word[-1] == '"':
        return '"' + word[1:-1].replace('\\"', '""') + '"'  # as R writes a quotation mark within a text
    return word


class Transcoded(io.RawIOBase):
    """A stream of transcoded bytes."""

    def __init__(self, blocks: Iterable[bytes], dialect: Dialect) -> None:
        self._blocks, self._rest = transcoded(blocks, dialect), b""

    def readable(self) -> bool:
        """Return whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into a buffer; return their number."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        found = self._rest[: len(buffer)]
        self._rest = self._rest[len(found) :]
        buffer[: len(found)] = found
        return len(found)


@contextmanager
def opened(file: Path, found: Dialect) -> Iterator[IO[bytes]]:
    """Open a file as bytes of UTF-8 that a parser reads with :attr:`Dialect.delimiter`, line by line the same."""
    with file.open("rb") as stream:
        if found.is_native:
            yield stream
        else:
            yield io.BufferedReader(Transcoded(blocks_of(stream), found))


@contextmanager
def lines_of(file: Path, found: Dialect) -> Iterator[io.TextIOWrapper]:
    """Open a file as lines of text, without comments."""
    with file.open("rb") as stream:
        raw: Any = stream
        if not found.is_native:
            raw = io.BufferedReader(Transcoded(blocks_of(stream), found))
        # utf-8-sig: Excel writes a byte order mark, which would become part of the first name.
        # errors="replace": a text that is not UTF-8 is reported by its column once the file is read.
        with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="", errors="replace") as lines:
            yield lines
