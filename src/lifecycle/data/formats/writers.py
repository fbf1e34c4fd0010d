"""Write rows block by block to a file (CSV, Parquet, JSON, Excel and others), or to standard output.

A file is written under another name and renamed at the end, so that an incomplete file never has its name.
"""

from __future__ import annotations

import bz2
import contextlib
import datetime
import gzip
import json
import lzma
import math
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from lifecycle.data.formats import json as json_rows
from lifecycle.data.formats import names
from lifecycle.errors import RequestError, Setting

MOST_EXCEL_ROWS = 1_048_576
"""Rows of a sheet, with the names of the columns."""

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")

STRUCTURE = (b'"', b"\n", b"\r")
"""Characters other than the separator for which a cell of a CSV file needs quotes."""

STAMPS = ((r"\.0+(Z|[+-]|$)", r"\1"), (r"([+-]\d\d)(\d\d)$", r"\1:\2"), (r"Z$", "+00:00"))
"""Replacements that turn pyarrow's texts of dates into the form that pandas and Python write."""


class Writer(Protocol):
    """An open file of rows."""

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        ...


@contextlib.contextmanager
def create(path: str | Path, schema: pa.Schema, form: str = names.CSV) -> Iterator[Writer]:
    """Open a file for rows of a schema. It replaces an existing file when all rows are written.

    Args:
        path: a file, whose ending is its format; or ``-``, standard output.
        schema: of the rows; columns of JSON values (:mod:`lifecycle.data.formats.json`) only for JSON.
        form: the format of standard output.

    Raises:
        RequestError: the file cannot be written, or its format cannot hold such columns.
    """
    kind, name = _WRITERS[names.of_output(path, form)], Setting("output", path)
    file = Path(path).expanduser()
    unfinished = file.with_name(f".{file.name}.part")
    try:
        if str(path) == names.STANDARD:
            with kind(sys.stdout.buffer, schema, name) as writer:
                yield writer
            # Within the try: a full disk or a closed pipe may be noticed only now.
            sys.stdout.buffer.flush()
            return
        with unfinished.open("wb") as raw, _compressed(raw, file.name) as stream, kind(stream, schema, name) as writer:
            yield writer
        unfinished.replace(file)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, ended early: not an error of the request
        raise
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise RequestError(name, problem, remedy="Give another file.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _compressed(raw: IO[bytes], name: str) -> contextlib.AbstractContextManager[Any]:
    """Return a stream that compresses what is written as the ending of a name says."""
    compression = names.compression_of(name)
    if compression == ".zip":
        return _zipped(raw, Path(name).stem)
    if compression == ".zst":
        return pa.CompressedOutputStream(pa.PythonFile(raw, "w"), "zstd")  # type: ignore[no-any-return]
    if compression == ".gz":
        # Without the time of writing and the name, so that equal rows are equal files.
        return gzip.GzipFile("", "wb", fileobj=raw, mtime=0)
    opened: dict[str | None, Any] = {".bz2": bz2.open, ".xz": lzma.open}
    return opened[compression](raw, "wb") if compression in opened else contextlib.nullcontext(raw)


@contextlib.contextmanager
def _zipped(raw: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    with (
        zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as stream,
    ):
        yield stream


class _CSV(contextlib.nullcontext["_CSV"]):
    """CSV with quotes only where they are needed: pyarrow's writer quotes all texts or none."""

    separator = ","

    def __init__(self, stream: IO[bytes], schema: pa.Schema, name: Setting) -> None:
        super().__init__(self)
        # An empty array shows whether a type can be cast, before any row is predicted.
        for field in schema:
            try:
                pa.array([], field.type).cast(pa.large_string())
            except pa.ArrowNotImplementedError as error:
                problem = f"cannot hold the column {field.name} of {field.type}"
                raise RequestError(name, problem, remedy="Give a file ending in .parquet.") from error
        self.stream = stream
        self.write(pa.table([pa.array([column]) for column in schema.names], names=schema.names))

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        if not len(table):
            return
        # Joined by pyarrow rather than in a Python loop over rows, which is much slower.
        cells = [_cells(column.combine_chunks(), self.separator) for column in table.columns]
        # "replace" makes an empty cell of a missing value; by default one would make the whole row null.
        rows = pc.binary_join_element_wise(*cells, _text(self.separator), null_handling="replace")
        _write_lines(self.stream, rows, "\n")
        self.stream.write(b"\n")


class _TSV(_CSV):
    """Cells separated by tabs."""

    separator = "\t"


class _Feather(contextlib.ExitStack):
    """Arrow IPC; on standard output as a stream, as it cannot be rewound."""

    def __init__(self, stream: IO[bytes], schema: pa.Schema, name: Setting) -> None:
        super().__init__()
        is_stream = stream is sys.stdout.buffer
        self.writer = self.enter_context((pa.ipc.new_stream if is_stream else pa.ipc.new_file)(stream, schema))

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self.writer.write_table(table)


class _Excel(contextlib.nullcontext["_Excel"]):
    """One sheet of an Excel file, which is written when all rows are there."""

    def __init__(self, stream: IO[bytes], schema: pa.Schema, name: Setting) -> None:
        super().__init__(self)
        try:
            import openpyxl
        except ImportError as error:
            remedy = "Type pip install 'nn-lifecycle[excel]', or write .csv."
            raise RequestError(name, "is an Excel file, which needs openpyxl", remedy=remedy) from error
        # Not at once into the stream: with write_only, openpyxl keeps the rows in a temporary file.
        self.book, self.stream, self.name, self.rows = openpyxl.Workbook(write_only=True), stream, name, 1
        self.sheet = self.book.create_sheet("Sheet1")
        self.sheet.append([self._cell(column) for column in schema.names])

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self.rows += len(table)
        if self.rows > MOST_EXCEL_ROWS:
            problem = f"has room for {MOST_EXCEL_ROWS} rows, and these are more"
            raise RequestError(self.name, problem, remedy="Give a file ending in .csv or .parquet.")
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            self.sheet.append([self._cell(value) for value in row])

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.book.save(self.stream)

    def _cell(self, value: Any) -> Any:
        """Return a value that an Excel cell can hold; a text that looks like a formula stays a text."""
        from openpyxl.cell import WriteOnlyCell

        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return None
        if isinstance(value, bool | int | float) or (isinstance(value, datetime.date) and not _has_zone(value)):
            return value
        cell = WriteOnlyCell(self.sheet, _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", str(value)))
        cell.data_type = "s"
        return cell


def _has_zone(value: datetime.date) -> bool:
    return isinstance(value, datetime.datetime) and value.tzinfo is not None


class _Parquet(contextlib.ExitStack):
    """Parquet, with one row group for each block."""

    def __init__(self, stream: IO[bytes], schema: pa.Schema, name: Setting) -> None:
        super().__init__()
        self.writer = self.enter_context(pa.parquet.ParquetWriter(stream, schema))

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self.writer.write_table(table)


class _JSONLines(contextlib.nullcontext["_JSONLines"]):
    """JSON lines: one object for each row."""

    def __init__(self, stream: IO[bytes], schema: pa.Schema, name: Setting) -> None:
        super().__init__(self)
        self.stream, self.schema = stream, schema
        self.begun = False

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        if not len(table):
            return
        parts = []
        for number, field in enumerate(self.schema):
            parts.append(_text(f"{', ' if number else '{'}{json.dumps(field.name, ensure_ascii=False)}: "))
            column = table.column(number)
            written = pc.fill_null(column, "null") if json_rows.is_json(field) else json_rows.cells(column)
            parts.append(written.cast(pa.large_string()))
        rows = pc.binary_join_element_wise(*parts, _text("}"), _text(""))
        self._add(rows)
        self.begun = True

    def _add(self, rows: Any) -> None:
        _write_lines(self.stream, rows.combine_chunks(), "\n")
        self.stream.write(b"\n")


class _JSON(_JSONLines):
    """JSON: a list with one object for each row."""

    def _add(self, rows: Any) -> None:
        self.stream.write(b",\n" if self.begun else b"[\n")
        _write_lines(self.stream, rows.combine_chunks(), ",\n")

    def __exit__(self, *error: object) -> None:
        if error[0] is None:  # on standard output, a list without end shows that rows are missing
            self.stream.write(b"\n]\n" if self.begun else b"[]\n")


_WRITERS: dict[str, Any] = {
    names.CSV: _CSV,
    names.TSV: _TSV,
    names.FEATHER: _Feather,
    names.EXCEL: _Excel,
    names.PARQUET: _Parquet,
    names.JSON: _JSON,
    names.JSON_LINES: _JSONLines,
}


def _write_lines(stream: IO[bytes], rows: Any, between: str) -> None:
    # large_list and large_string: a block of rows may have more than 2 GB.
    whole = pc.binary_join(pa.LargeListArray.from_arrays([0, len(rows)], rows), _text(between))
    stream.write(whole[0].as_buffer())


def _cells(column: Any, separator: str) -> Any:
    """Return values as cells of a CSV file, with quotes around those with a separator, a quote or a line end."""
    cells = column.cast(pa.large_string())
    for pattern, turn in STAMPS if pa.types.is_timestamp(column.type) else ():
        cells = pc.replace_substring_regex(cells, pattern, turn)
    # The bytes of the texts; the first two buffers mark missing ones and the end of each.
    content = cells.buffers()[2]
    # One search of the raw bytes; most columns need no quotes.
    if content is None or not any(sign in content.to_pybytes() for sign in (*STRUCTURE, separator.encode())):
        return cells
    quoted = pc.binary_join_element_wise(_text('"'), pc.replace_substring(cells, '"', '""'), _text('"'), _text(""))
    return pc.if_else(pc.match_substring_regex(cells, f'["{separator}\r\n]'), quoted, cells)


def _text(text: str) -> Any:
    return pa.scalar(text, pa.large_string())
