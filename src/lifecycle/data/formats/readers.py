"""Open plain files and standard input as streams of rows."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lifecycle.data.formats import archives, csv, csv_lines, excel, feather, npz
from lifecycle.data.formats import json as json_rows
from lifecycle.data.formats.names import (
    CELLS,
    CSV,
    EXCEL,
    FEATHER,
    JSON,
    JSON_LINES,
    NUMPY,
    PARQUET,
    STANDARD,
    of_input,
)
from lifecycle.data.formats.stream import Stream, from_frames, no_rows, unreadable
from lifecycle.errors import RequestError, Setting, Text

BYTES_AT_ONCE = 1 << 20
"""Block size of pyarrow's CSV parser; no row may be longer."""

BLOCKS_AHEAD = 48
"""Blocks that pyarrow reads ahead: an error in the first is reported after so many more have been read."""


def read(path: str | Path, form: str = CSV) -> Stream:
    """Open a CSV, Parquet or JSON file, or standard input.

    Args:
        path: a file, whose ending is its format; or ``-``.
        form: the format of standard input.

    Raises:
        RequestError: the file does not exist, or it cannot be read without renaming or shifting something.
    """
    name = Setting("input", path)
    try:
        reader = _READERS[str(of_input(path, form))]
        return reader(sys.stdin.buffer if str(path) == STANDARD else Path(path).expanduser(), name)
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise unreadable(name, error) from error


def open_file(source: Path | IO[bytes], form: str, name: Text) -> Stream:
    """Open a plain file, or a stream of its bytes.

    Args:
        source: neither compressed nor of Excel.
        form: its format, for which there is a reader here.
        name: for messages.

    Raises:
        RequestError: it has no rows.
        ValueError: it cannot be read without renaming or shifting something.
    """
    return _READERS[form](source, name)


def read_bytes(content: bytes, form: str, most: int) -> Stream:
    """Open the content of a file.

    Args:
        content: of the file.
        form: its format.
        most: bytes that an archive, such as an Excel file, may unpack to.

    Raises:
        RequestError: as :func:`read`.
    """
    try:
        if form in (EXCEL, NUMPY):
            archives.check_size(io.BytesIO(content), most)
        if form == EXCEL:
            return _csv(io.BytesIO(excel.to_csv(io.BytesIO(content), None, Setting("input"))), "input")
        return _READERS[form](io.BytesIO(content), "input")
    except (ValueError, OSError) as error:
        raise unreadable("input", error) from error


def _csv(source: Path | IO[bytes], name: Text) -> Stream:
    tail = None
    if isinstance(source, Path):
        with source.open(encoding="utf-8-sig", newline="") as text:
            names = csv.names_of(text)
    else:
        head = _head(source)
        names = csv.names_of(io.TextIOWrapper(io.BytesIO(head), encoding="utf-8-sig", newline=""))
        tail = csv_lines.Tail((BLOCKS_AHEAD + pa.cpu_count()) * BYTES_AT_ONCE)
        source = io.BufferedReader(_Rejoined(head, source, tail))
    csv.check_names(names)  # pyarrow accepts repeated and empty names
    if not names:
        remedy = "Give a line with the names of the columns, and one row or more."
        raise RequestError(name, "is empty", remedy=remedy)
    options = {
        "read_options": pa.csv.ReadOptions(block_size=BYTES_AT_ONCE),
        "parse_options": pa.csv.ParseOptions(newlines_in_values=True),
        # Texts, and no text is null: the model determines the types, see Stream.
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
    """Yield batches; raise the parser's error with the number of the line."""
    try:
        yield from batches
    except pa.ArrowInvalid as error:
        raise _with_line(error, source, tail) from error


def _with_line(error: Exception, source: Path | IO[bytes], tail: csv_lines.Tail | None) -> Exception:
    if isinstance(source, Path):
        return csv_lines.explained_in(error, source)
    return error if tail is None else csv_lines.explained(error, *tail.rows())


def _head(stream: IO[bytes]) -> bytes:
    """Read the header of a CSV stream, which may contain line ends between quotes."""
    head = b""
    while line := stream.readline(BYTES_AT_ONCE):
        head += line if head or line.strip(b"\xef\xbb\xbf\r\n") else b""
        if head and head.count(b'"') % 2 == 0:
            break
    return head


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already. Its last bytes are kept in ``tail``, for error messages."""

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


def _parquet(source: Path | IO[bytes], name: Text) -> Stream:
    if isinstance(source, Path):
        return _parquet_of(source, name)
    # Parquet is read from its end, and the file must stay open while the batches are read.
    spooled = tempfile.TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(source, spooled)
    found = _parquet_of(spooled, name)
    return Stream(name, found.schema, _closing(spooled, found.batches))


def _parquet_of(source: Path | IO[bytes], name: Text) -> Stream:
    # Without a buffer size, pyarrow reads a whole row group at once, which may be the whole file.
    file = pa.parquet.ParquetFile(source, buffer_size=BYTES_AT_ONCE, pre_buffer=False)
    names = file.schema_arrow.names
    if repeated := {column for column in names if names.count(column) > 1}:
        raise ValueError(f"it has the column {min(repeated)} twice")
    return Stream(name, file.schema_arrow, file.iter_batches(batch_size=1 << 15))


def _json(source: Path | IO[bytes], name: Text) -> Stream:
    schema, batches = json_rows.read(pa.OSFile(str(source), "rb") if isinstance(source, Path) else source)
    if not schema.names:
        raise no_rows(name)
    return Stream(name, schema, batches, is_text=True)


def _feather(source: Path | IO[bytes], name: Text) -> Stream:
    schema, batches = feather.read(source)
    # Each batch may have a dictionary of its own.
    plain = pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])
    return Stream(name, plain, (_plain_batch(batch, plain) for batch in batches))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _plain_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _npz(source: Path | IO[bytes], name: Text) -> Stream:
    return replace(from_frames([npz.read(source)], None), name=name)


def _closing(stream: IO[bytes], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    with stream:
        yield from batches


_READERS: dict[str, Callable[[Any, Text], Stream]] = {
    **dict.fromkeys(CELLS, _csv),
    PARQUET: _parquet,
    FEATHER: _feather,
    NUMPY: _npz,
    JSON: _json,
    JSON_LINES: _json,
}
