"""Read a Parquet file of any size in blocks, with the same types and errors as a file that is read at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import names
from lifecycle.data.formats.csv_blocks import EMPTY, NUMBER, TRUTH, AsTextError, kind_of
from lifecycle.runtime.digests import sha256

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class ParquetFile:
    """The columns of a Parquet file, block by block.

    Attributes:
        names: of the columns after renaming, those of pandas' index first.
        types: column -> its pyarrow type.
        truths: columns of truth values, which pandas turns into objects where some are missing.
        texts: always empty; a Parquet file states the types of its columns.
        digest: the file's SHA-256, after it has been read.
    """

    def __init__(self, file: Path, at_once: int, plugin: Any) -> None:
        from pyarrow import parquet

        self.file = file
        # Read as a stream: a row group, which may be the whole file, need not fit in memory.
        self._file = parquet.ParquetFile(file, pre_buffer=False, buffer_size=1024**2)
        schema = self._file.schema_arrow
        # 8 bytes a value, as of float64.
        self._at_once = max(16, min(1024**2, at_once // (8 * max(1, len(schema)))))  # rows
        in_file = _in_order(schema)
        new = names.new_names(plugin, in_file, str(file))
        self.names = [new.get(name, name) for name in in_file]
        self._old = dict(zip(self.names, in_file, strict=True))
        self.types = {name: _type(schema.field(old).type) for name, old in self._old.items()}
        self.truths = {name for name in self.names if kind_of(self.types[name]) == TRUTH}
        self.texts: dict[str, AsTextError] = {}
        self.digest = ""

    def is_plain(self, name: str) -> bool:
        """Return whether a column holds numbers, truth values, texts or only missing values."""
        from pyarrow import types

        kind, found = kind_of(self.types[name]), self.types[name]
        return kind in (NUMBER, TRUTH, EMPTY) or types.is_string(found) or types.is_large_string(found)

    def tables(self, wanted: list[str]) -> Iterator[pa.Table]:
        """Yield the columns ``wanted`` of the next rows."""
        import pyarrow as pa

        with ThreadPoolExecutor(1) as hashing:
            # On another thread: hashlib computes without holding the interpreter's lock.
            digest = hashing.submit(sha256, self.file)
            in_file = [self._old[name] for name in wanted]
            for batch in self._file.iter_batches(self._at_once, columns=in_file):
                yield pa.Table.from_batches([batch]).select(in_file).rename_columns(wanted)
            self.digest = digest.result()

    def first_rows(self, name: str) -> pd.DataFrame:
        """Return the first 1,000 rows of a column as a frame."""
        batch = next(self._file.iter_batches(1000, columns=[self._old[name]]))
        # By pandas' metadata in the file, the column may be the index, and the frame would have no column.
        frame: pd.DataFrame = batch.to_pandas(ignore_metadata=True)
        return frame.set_axis([name], axis=1)


def _type(arrow_type: Any) -> Any:
    """Return the type of a column; categories are texts, whatever their values are."""
    from pyarrow import string, types

    return string() if types.is_dictionary(arrow_type) else arrow_type


def _in_order(schema: pa.Schema) -> list[str]:
    """Return the columns in pandas' order: an index with a name is a column, before the others."""
    about = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    index = [name for name in about.get("index_columns", []) if isinstance(name, str)]
    known = {column.get("field_name"): column.get("name") for column in about.get("columns", [])}
    if any(known.get(name) is None for name in index):
        raise ValueError("it has an index without a name")
    return [*index, *(name for name in schema.names if name not in index)]
