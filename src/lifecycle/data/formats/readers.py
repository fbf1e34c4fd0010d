"""Open plain files and standard input as streams of rows."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lifecycle.data.formats import archives, csv, csv_lines, excel, feather, npz, statistics_programs
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
    SAS,
    STANDARD,
    STATA,
    XPORT,
    of_input,
)
from lifecycle.data.formats.stream import Stream, from_frames, no_rows, unreadable
from lifecycle.data.formats.text import detection, transcoding
from lifecycle.data.formats.text.dialect import Declared, Dialect, Known
from lifecycle.errors import RequestError, Setting, Text

BYTES_AT_ONCE = 1 << 20
"""Block size of pyarrow's CSV parser; no row may be longer."""

BLOCKS_AHEAD = 48
"""Blocks that pyarrow reads ahead: an error in the first is reported after so many more have been read."""


def read(path: str | Path, form: str = CSV, declared: Declared | None = None, known: Known | None = None) -> Stream:
    """Open a CSV, Parquet or JSON file, or standard input.

    Args:
        path: a file, whose ending is its format; or ``-``.
        form: the format of standard input.
        declared: what is known of a text file; the rest is detected.
        known: the columns that a text file is to have; those of one without a header have these names, by position.

    Raises:
        RequestError: the file does not exist, or it cannot be read without renaming or shifting something.
    """
    name = Setting("input", path)
    try:
        reader = _READERS[str(of_input(path, form))]
        source = sys.stdin.buffer if str(path) == STANDARD else Path(path).expanduser()
        return reader(source, name, declared, known)
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise unreadable(name, error) from error


def open_file(
    source: Path | IO[bytes], form: str, name: Text, declared: Declared | None = None, known: Known | None = None
) -> Stream:
    """Open a plain file, or a stream of its bytes.

    Args:
        source: neither compressed nor of Excel.
        form: its format, for which there is a reader here.
        name: for messages.
        declared: as for :func:`read`.
        known: likewise.

    Raises:
        RequestError: it has no rows.
        ValueError: it cannot be read without renaming or shifting something.
    """
    return _READERS[form](source, name, declared, known)


def read_bytes(content: bytes, form: str, most: int, known: Known | None = None) -> Stream:
    """Open the content of a file.

    Args:
        content: of the file.
        form: its format.
        most: bytes that an archive, such as an Excel file, may unpack to.
        known: as for :func:`read`.

    Raises:
        RequestError: as :func:`read`.
    """
    try:
        if form in (EXCEL, NUMPY):
            archives.check_size(io.BytesIO(content), most)
        if form == EXCEL:
            text = excel.to_csv(io.BytesIO(content), None, Setting("input"))
            return _csv(io.BytesIO(text), "input", None, known)
        return _READERS[form](io.BytesIO(content), "input", None, known)
    except (ValueError, OSError) as error:
        raise unreadable("input", error) from error


@dataclass
class _Text:
    """A text file that is read as a stream.

    Attributes:
        dialect: of the file.
        file: to be read again for messages; ``None``: it is a stream, and only ``tail`` is kept.
        tail: the last bytes of a stream, as they are parsed.
    """

    dialect: Dialect
    file: Path | None
    tail: csv_lines.Tail | None

    def explained(self, error: Exception) -> Exception:
        """Return an error of the parser with the number of the line."""
        if self.file is not None:
            return csv_lines.explained_in(error, self.file, self.dialect)
        return error if self.tail is None else csv_lines.explained(error, *self.tail.rows(), self.dialect)


def _csv(source: Path | IO[bytes], name: Text, declared: Declared | None, known: Known | None) -> Stream:
    head, is_whole = _head(source)
    found = detection.detect(head, declared, known, is_whole)
    names = list(found.names)
    csv.check_names(csv.names_of(_text(head)) if found.is_plain else names, found.sep)  # pyarrow accepts any
    if not names:
        remedy = "Give a line with the names of the columns, and one row or more."
        raise RequestError(name, "is empty", remedy=remedy)
    text = _Text(found, source if isinstance(source, Path) else None, None)
    parsed: Any = source
    if not isinstance(source, Path):
        text.tail = csv_lines.Tail((BLOCKS_AHEAD + pa.cpu_count()) * BYTES_AT_ONCE)
        parsed = io.BufferedReader(_Rejoined(head, source, text.tail, found))
    elif not found.is_native:
        # Closed with the reader, which closes what it reads from.
        parsed = io.BufferedReader(_Rejoined(b"", source.open("rb"), None, found))
    try:
        reader = pa.csv.open_csv(parsed, **_options(found))
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            raise no_rows(name) from error
        raise text.explained(error) from error
    reading = found.described()
    return Stream(name, reader.schema, _with_lines(reader, text), is_text=True, reading=reading)


def _head(source: Path | IO[bytes]) -> tuple[bytes, bool]:
    if not isinstance(source, Path):
        return detection.head_of(source)
    with source.open("rb") as stream:
        return detection.head_of(stream)


def _text(head: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(head), encoding="utf-8-sig", newline="")


def _options(found: Dialect) -> dict[str, Any]:
    names = list(found.names)
    own = {} if found.is_plain else {"column_names": names, "skip_rows": found.skip}
    return {
        "read_options": pa.csv.ReadOptions(block_size=BYTES_AT_ONCE, **own),
        "parse_options": pa.csv.ParseOptions(
            delimiter=found.delimiter, quote_char=found.quote, newlines_in_values=True
        ),
        # Texts, and no text is null: the model determines the types, see Stream.
        "convert_options": pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[]),
    }


def _with_lines(batches: Iterable[pa.RecordBatch], text: _Text) -> Iterator[pa.RecordBatch]:
    """Yield batches; raise the parser's error with the number of the line."""
    try:
        yield from batches
    except pa.ArrowInvalid as error:
        raise text.explained(error) from error


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already, as UTF-8. Its last bytes are kept in ``tail``, for messages."""

    def __init__(self, head: bytes, rest: IO[bytes], tail: csv_lines.Tail | None, found: Dialect) -> None:
        self._head, self._rest, self._tail = head, rest, tail
        self._raw = None if found.is_native else transcoding.Transcoded(self._blocks(), found)

    def _blocks(self) -> Iterator[bytes]:
        yield self._head
        yield from transcoding.blocks_of(self._rest)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if self._tail is None and not self.closed:  # a file that was opened here
            self._rest.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        if self._raw is not None:
            block = self._raw.read(len(buffer)) or b""
        else:
            block = self._head[: len(buffer)] or self._rest.read(len(buffer))
            self._head = self._head[len(block) :]
        buffer[: len(block)] = block
        if self._tail is not None:
            self._tail.add(block)
        return len(block)


def _parquet(source: Path | IO[bytes], name: Text, *_of_texts: Any) -> Stream:
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


def _json(source: Path | IO[bytes], name: Text, *_of_texts: Any) -> Stream:
    schema, batches = json_rows.read(pa.OSFile(str(source), "rb") if isinstance(source, Path) else source)
    if not schema.names:
        raise no_rows(name)
    return Stream(name, schema, batches, is_text=True)


def _feather(source: Path | IO[bytes], name: Text, *_of_texts: Any) -> Stream:
    schema, batches = feather.read(source)
    # Each batch may have a dictionary of its own.
    plain = pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])
    return Stream(name, plain, (_plain_batch(batch, plain) for batch in batches))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _plain_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _at_once(read: Callable[[Any], Any]) -> Callable[..., Stream]:
    """Return the opener of a format that is read as a frame."""

    def opened(source: Path | IO[bytes], name: Text, *_of_texts: Any) -> Stream:
        return replace(from_frames([read(source)], None), name=name)

    return opened


def _closing(stream: IO[bytes], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    with stream:
        yield from batches


_READERS: dict[str, Callable[[Any, Text, Declared | None, Known | None], Stream]] = {
    **dict.fromkeys(CELLS, _csv),
    PARQUET: _parquet,
    FEATHER: _feather,
    NUMPY: _at_once(npz.read),
    STATA: _at_once(statistics_programs.stata),
    SAS: _at_once(statistics_programs.sas),
    XPORT: _at_once(statistics_programs.xport),
    JSON: _json,
    JSON_LINES: _json,
}
