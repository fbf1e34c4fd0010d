"""Rows written to a CSV or Parquet file block by block; the file is there when all of them are, or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from lifecycle.errors import RequestError

STRUCTURE = (b'"', b",", b"\n", b"\r")
"""What a cell of a CSV file holds in quotes alone."""


class Writer(Protocol):
    """A file that is being written."""

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        ...


@contextlib.contextmanager
def create(path: str | Path, schema: pa.Schema) -> Iterator[Writer]:
    """Open a file for rows of a schema, in the place of any that is there, once all rows are written.

    Raises:
        RequestError: it can be no such file, or cannot hold such columns.
    """
    file = Path(path).expanduser()
    kind = _WRITERS.get(file.suffix.lower())
    if kind is None:
        raise RequestError(
            f"output={path} ends in {file.suffix or 'nothing'}. Give a file ending in {' or '.join(_WRITERS)}."
        )
    if not file.parent.is_dir():
        raise RequestError(f"output={path} is in no folder that is there. Make {file.parent}, or give another file.")
    unfinished = file.with_name(f".{file.name}.part")
    try:
        with kind(unfinished, schema, f"output={path}") as writer:
            yield writer
        unfinished.replace(file)
    except OSError as error:
        raise RequestError(f"output={path} cannot be written: {error.strerror or error}. Give another file.") from error
    finally:
        unfinished.unlink(missing_ok=True)


class _CSV(contextlib.ExitStack):
    """Texts are quoted only where they must be: pyarrow's own writer quotes all or none."""

    def __init__(self, file: Path, schema: pa.Schema, name: str) -> None:
        super().__init__()
        for field in schema:
            try:
                pa.array([], field.type).cast(pa.large_string())
            except pa.ArrowNotImplementedError as error:
                raise RequestError(
                    f"{name} cannot hold the column {field.name} of {field.type}. Give a file ending in .parquet."
                ) from error
        self.stream = self.enter_context(file.open("wb"))
        self.write(pa.table([pa.array([column]) for column in schema.names], names=schema.names))

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        if not len(table):
            return
        cells = [_cells(column.combine_chunks()) for column in table.columns]
        rows = pc.binary_join_element_wise(*cells, _text(","), null_handling="replace")
        whole = pc.binary_join(pa.LargeListArray.from_arrays([0, len(rows)], rows), _text("\n"))
        self.stream.write(whole[0].as_buffer())
        self.stream.write(b"\n")


class _Parquet(contextlib.ExitStack):
    """A row group a block."""

    def __init__(self, file: Path, schema: pa.Schema, name: str) -> None:
        super().__init__()
        self.writer = self.enter_context(pa.parquet.ParquetWriter(file, schema))

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self.writer.write_table(table)


_WRITERS: dict[str, Any] = {".csv": _CSV, ".parquet": _Parquet}


def _cells(column: Any) -> Any:
    """Return values as a CSV file holds them, those in quotes that have a comma, a quote or a line's end."""
    cells = column.cast(pa.large_string())
    content = cells.buffers()[2]
    if content is None or not any(sign in content.to_pybytes() for sign in STRUCTURE):
        return cells
    quoted = pc.binary_join_element_wise(_text('"'), pc.replace_substring(cells, '"', '""'), _text('"'), _text(""))
    return pc.if_else(pc.match_substring_regex(cells, '[",\r\n]'), quoted, cells)


def _text(text: str) -> Any:
    return pa.scalar(text, pa.large_string())
