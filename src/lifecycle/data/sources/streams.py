"""Open rows to predict from any source as a stream: what :mod:`lifecycle.data.sources.files` reads for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from lifecycle.data.formats import names, readers
from lifecycle.data.formats.stream import Stream, from_frames, unreadable
from lifecycle.data.formats.text.dialect import Declared, Known
from lifecycle.data.sources import databases, files, local, several
from lifecycle.errors import RequestError, Setting, first_line

KEY = "input"


def read(
    path: str | Path,
    form: str = names.CSV,
    fields: Any = None,
    key: str = KEY,
    declared: Declared | None = None,
    known: Known | None = None,
) -> Stream:
    """Open rows of any source.

    Args:
        path: as :func:`lifecycle.data.sources.files.read` takes it; or ``-``, standard input.
        form: the format of standard input.
        fields: with ``sheet`` and ``query``, which are ignored where the source has neither.
        key: of the path, for messages.
        declared: what is known of a text file; the rest is detected.
        known: the columns that it is to have.

    Raises:
        RequestError: there is no such source, or it cannot be read without renaming or shifting something.
    """
    text = str(path)
    if text == names.STANDARD:
        return readers.read(text, form, declared, known)
    if text.partition(":")[0] in (*files.SETS, "hf") and not text.startswith("hf:"):
        return replace(from_frames([files.read(text)], None), name=Setting(key, text))
    if databases.is_address(text):
        frame = databases.of_address(text, getattr(fields, "query", None), Setting(key, text))
        return replace(from_frames([frame], None), name=Setting(key, text))
    found = local.find(text, fields, key)
    pairs = zip(found.files, found.shown, strict=True)
    streams = [_open(file, found.form, Setting(key, shown), fields, declared, known) for file, shown in pairs]
    return streams[0] if len(streams) == 1 else _chained(streams, found.shown, Setting(key, text))


def local_files(path: str | Path) -> list[Path]:
    """Return the files of this machine that a path stands for."""
    text = str(path)
    if text == names.STANDARD or names.is_elsewhere(text):
        return []
    return [file.resolve() for file, _ in local.listed(text, Setting(KEY, text))]


def _open(file: Path, form: str, name: Setting, fields: Any, declared: Declared | None, known: Known | None) -> Stream:
    if form == names.SQLITE:
        return replace(from_frames([databases.of_file(file, getattr(fields, "query", None), name)], None), name=name)
    try:
        return readers.open_file(file, form, name, declared, known)
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise unreadable(name, error) from error


def _chained(streams: Sequence[Stream], shown: Sequence[str], key: Setting) -> Stream:
    """Return the rows of several files, one after the other, with the columns in the order of the first."""
    first = streams[0].schema
    for stream, name in zip(streams, shown, strict=True):
        if set(stream.schema.names) != set(first.names):
            error = several.other_columns(shown[0], first.names, name, stream.schema.names)
            raise RequestError(Setting(key.key, name), error.problem, remedy=error.remedy)
    try:
        ordered = [stream.select(first.names) for stream in streams]
        schema = pa.unify_schemas([stream.schema for stream in ordered], promote_options="permissive")
    except pa.ArrowException as error:
        problem = f"stands for files with different types: {first_line(error)}"
        raise RequestError(key, problem, remedy="Give files with the same columns.") from error
    # Metadata of pandas and of JSON cells: those of the first file.
    schema = pa.schema([field.with_metadata(first.field(field.name).metadata) for field in schema])
    return Stream(key, schema, _batches(ordered, schema), streams[0].is_text)


def _batches(streams: Sequence[Stream], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for stream in streams:
        try:
            for batch in stream.batches:
                yield pa.RecordBatch.from_arrays(
                    [array.cast(field.type) for array, field in zip(batch.columns, schema, strict=True)], schema=schema
                )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(stream.name, error) from error
