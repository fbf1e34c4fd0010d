"""Read Feather and Arrow files (Arrow IPC, as a file or a stream)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

MAGIC, FIRST_VERSION = b"ARROW1", b"FEA1"
"""The first bytes of a file with an index at its end, and of Feather's first version."""


def frame(file: Path) -> pd.DataFrame:
    """Return the rows as pandas reads them.

    Raises:
        ValueError: the file cannot be read, or has an index without a name.
    """
    schema, batches = read(file)
    found: pd.DataFrame = pa.Table.from_batches(list(batches), schema).to_pandas()
    return without_index(found)


def without_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose index, if it has a name, is a column like any other.

    Raises:
        ValueError: the index has no name.
    """
    import pandas as pd

    if isinstance(frame.index, pd.RangeIndex):
        return frame
    if any(name is None for name in frame.index.names):
        raise ValueError("it has an index without a name")
    return frame.reset_index()


def read(source: Path | IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the schema, and the rows in batches that are read lazily.

    Raises:
        ValueError: the file cannot be read, or has a column twice.
    """
    file = pa.OSFile(str(source), "rb") if isinstance(source, Path) else pa.BufferReader(source.read())
    first = file.read(len(MAGIC))
    file.seek(0)
    if first.startswith(FIRST_VERSION):
        raise ValueError("it is of Feather's version 1; write it again with frame.to_feather()")
    reader = pa.ipc.open_file(file) if first == MAGIC else pa.ipc.open_stream(file)
    names = reader.schema.names
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"it has the column {min(repeated)} twice")
    return reader.schema, _batches(reader)


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchStreamReader):
        yield from reader
    else:
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
