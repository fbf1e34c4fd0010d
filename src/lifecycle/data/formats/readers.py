"""Files and standard input, opened as rows in blocks: CSV, Parquet and JSON."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lifecycle.data.formats import csv, csv_lines
from lifecycle.data.formats import json as json_rows
from lifecycle.data.formats.names import CSV, JSON, JSON_LINES, PARQUET, STANDARD, of_input
from lifecycle.data.formats.stream import Stream, no_rows, unreadable
from lifecycle.errors import RequestError

BYTES_AT_ONCE = 1 << 20
"""Of a file, while it is parsed; no row may be longer."""

BLOCKS_AHEAD = 48
"""Such parts of a stream that pyarrow may have read before it reports an error in the first of them."""


def read(path: str | Path, form: str = CSV) -> Stream:
    """Open a CSV, Parquet or JSON file, or standard input.

    Args:
        path: a file, of the kind that it ends in; or ``-``.
        form: what standard input holds.

    Raises:
        RequestError: it is not there, or it cannot be read without renaming or shifting something.
    """
    name = f"input={path}"
    try:
        reader = _READERS[of_input(path, form)]
        return reader(sys.stdin.buffer if str(path) == STANDARD else Path(path).expanduser(), name)
    except (ValueError, OSError) as error:  # pyarrow's own errors are ValueErrors
        raise unreadable(name, error) from error


def read_bytes(content: bytes, form: str) -> Stream:
    """Open the content of a CSV, Parquet or JSON file; raises what :func:`read` does.

    Args:
        content: of the file.
        form: what it holds.
    """
    try:
        return _READERS[form](io.BytesIO(content), "input")
    except (ValueError, OSError) as error:
        raise unreadable("input", error) from error


def _csv(source: Path | IO[bytes], name: str) -> Stream:
    tail = None
    if isinstance(source, Path):
        with source.open(encoding="utf-8-sig", newline="") as text:
            names = csv.names_of(text)
    else:
        head = _head(source)
        names = csv.names_of(io.TextIOWrapper(io.BytesIO(head), encoding="utf-8-sig", newline=""))
        tail = csv_lines.Tail((BLOCKS_AHEAD + pa.cpu_count()) * BYTES_AT_ONCE)
        source = io.BufferedReader(_Rejoined(head, source, tail))
    csv.check_names(names)
    if not names:
        raise RequestError(f"{name} is empty. Give a line with the names of the columns, and one row or more.")
    options = {
        "read_options": pa.csv.ReadOptions(block_size=BYTES_AT_ONCE),
        "parse_options": pa.csv.ParseOptions(newlines_in_values=True),
        "convert_options": pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[]),
    }
    try:
        reader = pa.csv.open_csv(source, **options)
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            raise no_rows(name) from error
        raise _with_line(error, source, tail) from error
    return Stream(name, reader.schema, _with_lines(reader, source, tail), is_text=True)


def _with_lines(
    batches: Iterable[pa.RecordBatch], source: Path | IO[bytes], tail: csv_lines.Tail | None
) -> Iterator[pa.RecordBatch]:
    """Yield rows, and raise what the parser refuses with the number of its line."""
    try:
        yield from batches
    except pa.ArrowInvalid as error:
        raise _with_line(error, source, tail) from error


def _with_line(error: Exception, source: Path | IO[bytes], tail: csv_lines.Tail | None) -> Exception:
    if isinstance(source, Path):
        return csv_lines.explained_in(error, source)
    return error if tail is None else csv_lines.explained(error, *tail.rows())


def _head(stream: IO[bytes]) -> bytes:
    """Return the line of a stream that names the columns, which may have line ends between quotes."""
    head = b""
    while line := stream.readline(BYTES_AT_ONCE):
        head += line if head or line.strip(b"\xef\xbb\xbf\r\n") else b""
        if head and head.count(b'"') % 2 == 0:
            break
    return head


class _Rejoined(io.RawIOBase):
    """A stream, with what was read of it before it; its last bytes are kept in ``tail``."""

    def __init__(self, head: bytes, rest: IO[bytes], tail: csv_lines.Tail) -> None:
        self._head, self._rest, self._tail = head, rest, tail

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(block) :]
        buffer[: len(block)] = block
        self._tail.add(block)
        return len(block)


def _parquet(source: Path | IO[bytes], name: str) -> Stream:
    if isinstance(source, Path):
        return _parquet_of(source, name)
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - such a file is read from its end, and while rows are asked for
    shutil.copyfileobj(source, spooled)
    found = _parquet_of(spooled, name)
    return Stream(name, found.schema, _closing(spooled, found.batches))


def _parquet_of(source: Path | IO[bytes], name: str) -> Stream:
    # Without a buffer for each column, a file of one row group would be read whole.
    file = pa.parquet.ParquetFile(source, buffer_size=BYTES_AT_ONCE, pre_buffer=False)
    names = file.schema_arrow.names
    if repeated := {column for column in names if names.count(column) > 1}:
        raise ValueError(f"it has the column {min(repeated)} twice")
    return Stream(name, file.schema_arrow, file.iter_batches(batch_size=1 << 15))


def _json(source: Path | IO[bytes], name: str) -> Stream:
    schema, batches = json_rows.read(pa.OSFile(str(source), "rb") if isinstance(source, Path) else source)
    if not schema.names:
        raise no_rows(name)
    return Stream(name, schema, batches, is_text=True)


def _closing(stream: IO[bytes], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    with stream:
        yield from batches


_READERS: dict[str, Callable[[Any, str], Stream]] = {
    CSV: _csv,
    PARQUET: _parquet,
    JSON: _json,
    JSON_LINES: _json,
}
