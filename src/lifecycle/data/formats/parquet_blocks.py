"""Read a Parquet file of any size in blocks, with the same types and errors as a file that is read at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import names
from lifecycle.data.formats.csv_blocks import EMPTY, NUMBER, TRUTH, AsTextError, kind_of
from lifecycle.runtime.files.digests import of_several, sha256

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class ParquetFile:
    """The columns of Parquet files, block by block, one file after the other.

    Attributes:
        names: of the columns after renaming, those of pandas' index first.
        types: column -> its pyarrow type.
        truths: columns of truth values, which pandas turns into objects where some are missing.
        texts: always empty; a Parquet file states the types of its columns.
        digests: the SHA-256 of each file, after it has been read.
        digest: that of the only file; see :func:`lifecycle.runtime.files.digests.sha256` of several.

    Args:
        files: with the same columns, in the order of their rows.
        at_once: bytes of a block.
        plugin: renames columns.
        schemas: that of the first of all files, and that of all, where these are only some of them; ``None``: they are
            all, and their schemas are read.

    Raises:
        ValueError: a file has other columns than the first, or values of another type in one.
    """

    def __init__(self, files: Sequence[Path], at_once: int, plugin: Any, schemas: Any = None) -> None:
        self.files = files
        self._is_alone = len(files) == 1 and schemas is None
        if schemas is None:
            of_files = _schemas(files)
            schemas = of_files[0][1], _common(of_files)
        self.schemas = schema, self._schema = schemas
        # 8 bytes a value, as of float64.
        self._at_once = max(16, min(1024**2, at_once // (8 * max(1, len(schema)))))  # rows
        in_file = _in_order(schema)
        new = names.new_names(plugin, in_file, str(files[0]) if files else plugin.path)
        self.names = [new.get(name, name) for name in in_file]
        self._old = dict(zip(self.names, in_file, strict=True))
        self.types = {name: _type(self._schema.field(old).type) for name, old in self._old.items()}
        self.truths = {name for name in self.names if kind_of(self.types[name]) == TRUTH}
        self.texts: dict[str, AsTextError] = {}
        self.digests: list[str] = []
        self.digest = ""

    def is_plain(self, name: str) -> bool:
        """Return whether a column holds numbers, truth values, texts or only missing values."""
        from pyarrow import types

        kind, found = kind_of(self.types[name]), self.types[name]
        return kind in (NUMBER, TRUTH, EMPTY) or types.is_string(found) or types.is_large_string(found)

    def tables(self, wanted: list[str]) -> Iterator[pa.Table]:
        """Yield the columns ``wanted`` of the next rows."""
        import pyarrow as pa

        self.digests, in_file = [], [self._old[name] for name in wanted]
        schema = pa.schema([self._schema.field(name) for name in in_file])
        for file in self.files:
            with ThreadPoolExecutor(1) as hashing:
                # On another thread: hashlib computes without holding the interpreter's lock.
                digest = hashing.submit(sha256, file)
                opened = _opened(file)
                batches = opened.iter_batches(self._at_once, columns=in_file) if opened.metadata.num_rows else ()
                for batch in batches:
                    table = pa.Table.from_batches([batch]).select(in_file)
                    table = table if self._is_alone else table.cast(schema)
                    yield table.rename_columns(wanted)
                self.digests.append(digest.result())
        self.digest = of_several(self.digests)

    def first_rows(self, name: str) -> pd.DataFrame:
        """Return the first 1,000 rows of a column as a frame."""
        file = _schemas(self.files)[0][0]
        columns = [self._old[name]]
        batch = next(_opened(file).iter_batches(1000, columns=columns), None) or _opened(file).read(columns)
        # By pandas' metadata in the file, the column may be the index, and the frame would have no column.
        frame: pd.DataFrame = batch.to_pandas(ignore_metadata=True)
        return frame.set_axis([name], axis=1)


def _opened(file: Path) -> Any:
    from pyarrow import parquet

    # Read as a stream: a row group, which may be the whole file, need not fit in memory.
    return parquet.ParquetFile(file, pre_buffer=False, buffer_size=1024**2)


def _schemas(files: Sequence[Path]) -> list[tuple[Path, pa.Schema]]:
    """Return the schemas of the files with rows; without rows, a file says nothing of the types of its columns."""
    opened = [(file, _opened(file)) for file in files]
    found = [(file, one.schema_arrow) for file, one in opened if one.metadata.num_rows]
    return found or [(files[0], opened[0][1].schema_arrow)]


def _common(schemas: Sequence[tuple[Path, pa.Schema]]) -> pa.Schema:
    """Return the schema of all files, in which whole numbers and fractions are fractions.

    Raises:
        ValueError: names the file that has other columns or types than the first.
    """
    import pyarrow as pa

    first, found = schemas[0]
    if len(schemas) == 1:
        return found
    # A file in which a column has no value at all says nothing of its type.
    found = _plain(found)
    for file, schema in schemas[1:]:
        other = _plain(schema)
        if set(other.names) != set(found.names):
            different = sorted(set(other.names) ^ set(found.names))[0]
            raise ValueError(f"{file.name} and {first.name} differ in the column {different}")
        for name in found.names:
            kinds = {kind_of(one.field(name).type) for one in (found, other)} - {EMPTY}
            if len(kinds) > 1:
                raise ValueError(f"{file.name} has other values in column {name} than {first.name}")
        found = pa.unify_schemas([found, other], promote_options="permissive")
    return found


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return a schema without metadata, whose categories are texts."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _type(field.type)) for field in schema])


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
