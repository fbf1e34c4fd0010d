"""Several files of texts as one file, so that the types of a column are inferred from all of its values."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lifecycle.data.sources import scratch_files
from lifecycle.data.sources.several import other_columns
from lifecycle.errors import RequestError, Setting

BYTES_AT_ONCE = 1 << 20
NUMBER = re.compile(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*")
SEPARATORS = ",;\t|"
COMMENTS = (b"#", b"%", b"@")
"""First signs of lines above the table."""

WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class _Row:
    """A row of a file: its text, where it begins, and where the next one does."""

    text: str
    start: int
    end: int


def joined(files: Sequence[Path], shown: Sequence[str], header: object = None) -> Path:
    """Write files one after the other into one, with the names of the columns once.

    Args:
        files: with the same columns.
        shown: what each is called in messages.
        header: whether each begins with the names of its columns, ``True`` or ``"true"``; anything else: as they look.

    Raises:
        RequestError: their first rows differ, or it is not clear what these are.
    """
    firsts = [_first_row(file, name) for file, name in zip(files, shown, strict=True)]
    has_header = _has_header(firsts, shown, str(header).lower())
    target = scratch_files.new_file(files[0].name)
    with target.open("wb") as out:
        for number, (file, first) in enumerate(zip(files, firsts, strict=True)):
            with file.open("rb") as stream:
                # Comments above the table are kept from the first file alone.
                stream.seek(0 if not number else first.end if has_header else first.start)
                last = b""
                while block := stream.read(BYTES_AT_ONCE):
                    out.write(block)
                    last = block[-1:]
                if last not in (b"", b"\n") and number < len(files) - 1:
                    out.write(b"\n")
    return target


def _has_header(firsts: Sequence[_Row], shown: Sequence[str], header: str) -> bool:
    """Return whether the first row of each file holds names.

    Raises:
        RequestError: these differ, or it is not clear whether they are names.
    """
    if header == "false":
        return False
    texts = [row.text for row in firsts]
    different = next((number for number, text in enumerate(texts) if text != texts[0]), None)
    is_data = header != "true" and all(any(map(NUMBER.fullmatch, _cells(text))) for text in texts)
    if is_data and different is None:
        raise RequestError(
            Setting("data.path", shown[1]),
            f"begins with the same row as {Path(shown[0]).name}, which may hold names or values: {texts[0][:80]}",
            remedy=["Add ", Setting("data.header", True), " or ", Setting("data.header", False), "."],
        )
    if is_data or different is None:
        return not is_data
    raise other_columns(shown[0], _cells(texts[0]), shown[different], _cells(texts[different]))


def _first_row(file: Path, shown: str) -> _Row:
    """Return the first row of a file that is neither blank nor a comment.

    Raises:
        RequestError: it is a title, with other cells than the row below; or the file is UTF-16.
    """
    key = Setting("data.path", shown)
    with file.open("rb") as stream:
        if stream.read(2) in WIDE:
            raise RequestError(key, "is UTF-16, and one of several files", remedy="Save it as UTF-8.")
    found = list(itertools.islice(_rows(file), 2))
    if not found:
        raise RequestError(key, "is empty", remedy="Add rows, or move it away.")
    if len(found) == 2 and len(_cells(found[0].text, found[1].text)) < len(_cells(found[1].text)):
        problem = f"begins with the line {found[0].text[:80]!r}, which has fewer cells than the next"
        raise RequestError(key, problem, remedy="Remove what is above the table, since it is one of several files.")
    return found[0]


def _rows(file: Path) -> Iterator[_Row]:
    """Yield the rows that are neither blank nor comments; one may have line ends between quotes."""
    with file.open("rb") as stream:
        mark = len(codecs.BOM_UTF8) if stream.read(3) == codecs.BOM_UTF8 else 0
        start = stream.seek(mark)
        row = b""
        while line := stream.readline(BYTES_AT_ONCE):
            if not row and (not line.strip() or line.startswith(COMMENTS)):
                start += len(line)
                continue
            row += line
            if row.count(b'"') % 2 == 0:
                yield _Row(row.decode("utf-8", "replace").strip(), start, start + len(row))
                start, row = start + len(row), b""


def _cells(line: str, like: str = "") -> list[str]:
    """Return the cells of a line, whatever separates them: only for messages, and to tell numbers from names.

    Args:
        line: the line.
        like: another line, which shows the separator; "": the line itself does.
    """
    separator = max(SEPARATORS, key=(like or line).count)
    if separator in (like or line):
        return next(csv.reader([line], delimiter=separator), [])
    return line.split()
