"""Write rows block by block to a CSV, Parquet or JSON file, or to standard output.

A file is written under another name and renamed at the end, so that an incomplete file never has its name.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from lifecycle.data.formats import json as json_rows
from lifecycle.data.formats import names
from lifecycle.errors import RequestError, Setting

STRUCTURE = (b'"', b",", b"\n", b"\r")
"""Characters for which a cell of a CSV file needs quotes."""

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
        with unfinished.open("wb") as stream, kind(stream, schema, name) as writer:
            yield writer
        unfinished.replace(file)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, ended early: not an error of the request
        raise
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise RequestError(name, problem, remedy="Give another file.") from error
    finally:
        unfinished.unlink(missing_ok=True)


class _CSV(contextlib.nullcontext["_CSV"]):
    """CSV with quotes only where they are needed: pyarrow's writer quotes all texts or none."""

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
        cells = [_cells(column.combine_chunks()) for column in table.columns]
        # "replace" makes an empty cell of a missing value; by default one would make the whole row null.
        rows = pc.binary_join_element_wise(*cells, _text(","), null_handling="replace")
        _write_lines(self.stream, rows, "\n")
        self.stream.write(b"\n")


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
    names.PARQUET: _Parquet,
    names.JSON: _JSON,
    names.JSON_LINES: _JSONLines,
}


def _write_lines(stream: IO[bytes], rows: Any, between: str) -> None:
    # large_list and large_string: a block of rows may have more than 2 GB.
    whole = pc.binary_join(pa.LargeListArray.from_arrays([0, len(rows)], rows), _text(between))
    stream.write(whole[0].as_buffer())


def _cells(column: Any) -> Any:
    """Return values as cells of a CSV file, with quotes around those that contain a comma, a quote or a line end."""
    cells = column.cast(pa.large_string())
    for pattern, turn in STAMPS if pa.types.is_timestamp(column.type) else ():
        cells = pc.replace_substring_regex(cells, pattern, turn)
    # The bytes of the texts; the first two buffers mark missing ones and the end of each.
    content = cells.buffers()[2]
    # One search of the raw bytes; most columns need no quotes.
    if content is None or not any(sign in content.to_pybytes() for sign in STRUCTURE):
        return cells
    quoted = pc.binary_join_element_wise(_text('"'), pc.replace_substring(cells, '"', '""'), _text('"'), _text(""))
    return pc.if_else(pc.match_substring_regex(cells, '[",\r\n]'), quoted, cells)


def _text(text: str) -> Any:
    return pa.scalar(text, pa.large_string())
