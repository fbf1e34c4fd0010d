"""Raw rows in blocks, from files of any length: what is to be predicted need not fit into memory.

No type is judged by the rows of a block: cells of CSV and JSON are texts until the model says which columns are
numbers, so that a block whose cells are empty or whole numbers is read as its neighbours are.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.data.columns.features import FALSE, TRUE
from lifecycle.data.formats import csv
from lifecycle.data.formats import json as json_rows
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Stream:
    """Rows that are read while one goes through them, once.

    Attributes:
        name: what to call them in a message, for instance ``input=new.csv``.
        schema: their columns; of a CSV or JSON file, all texts.
        batches: the rows, as many at once as their source has.
        is_text: an empty text stands for a missing value.
        shown: the columns that are written beside predictions; ``None``: all.
    """

    name: str
    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]
    is_text: bool = False
    shown: list[str] | None = None

    def of(self, rows: int) -> Iterator[pa.Table]:
        """Yield tables of so many rows each, but for the last.

        Raises:
            RequestError: the rows cannot be read, or there are none.
        """
        count = 0
        try:
            for table in _regroup(self.batches, rows):
                count += len(table)
                yield table
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(self.name, error) from error
        if not count:
            raise no_rows(self.name)

    def renamed(self, names: Mapping[str, str]) -> Stream:
        """Return the same rows with some columns called otherwise."""
        if not names:
            return self
        new = [names.get(name, name) for name in self.schema.names]
        schema = pa.schema([field.with_name(name) for field, name in zip(self.schema, new, strict=True)])
        batches = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in self.batches)
        return replace(self, schema=schema, batches=batches)

    def select(self, names: list[str]) -> Stream:
        """Return the same rows with some of their columns."""
        schema = pa.schema([self.schema.field(name) for name in names])
        return replace(self, schema=schema, batches=(batch.select(names) for batch in self.batches))


def no_rows(name: str) -> RequestError:
    """Return the complaint of a source without rows."""
    return RequestError(f"{name} has no rows. Give one or more to predict.")


def from_frames(frames: Iterable[pd.DataFrame], numbers: Collection[str] | None) -> Stream:
    """Take rows from frames, whose columns are those of the first and of the same types.

    Args:
        frames: one or more.
        numbers: columns that are numbers whatever a frame holds of them; ``None``: as they are.

    Raises:
        RequestError: there is no frame.
    """
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise no_rows("input")
    schema = _schema_of(first, numbers or ())
    return Stream("input", schema, _batches_of(itertools.chain([first], remaining), schema))


def typed(table: pa.Table, numbers: Collection[str] | None, is_text: bool) -> pa.Table:
    """Return columns as the kinds of data take them, missing values as null.

    Args:
        table: columns that the model needs.
        numbers: those that are numbers; all others are texts. ``None``: each is what its values say, which only all
            rows at once can tell.
        is_text: the columns are the texts of a CSV or JSON file.
    """
    for i, name in enumerate(table.column_names):
        column = table[name]
        column = json_rows.plain(column) if json_rows.is_json(table.schema.field(i)) else column
        if is_text:
            is_number = _looks_like_numbers(column) if numbers is None else name in numbers
            column = _parsed(column) if is_number else pc.if_else(pc.equal(column, ""), _missing(column), column)
        elif numbers is not None and name not in numbers and pa.types.is_integer(column.type):
            column = column.cast(pa.string())  # pandas would write 1 as 1.0 in a block that misses a value
        table = table.set_column(i, name, column)
    return table


def unreadable(name: str, error: Exception) -> RequestError:
    """Return the complaint of rows that cannot be read."""
    return RequestError(f"{name} cannot be read: {first_line(error)}. Fix it.")


def first_line(error: Exception) -> str:
    """Return what another library says, as the middle of a sentence."""
    return str(error).strip().splitlines()[0].rstrip(".")


def _regroup(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += len(batch)
        while count >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows)
            held, count = table.slice(rows).to_batches(), count - rows
    if count:
        yield pa.Table.from_batches(held)


def _schema_of(frame: pd.DataFrame, numbers: Collection[str]) -> pa.Schema:
    fields = []
    try:
        found = pa.Schema.from_pandas(frame, preserve_index=False).remove_metadata()
    except (pa.ArrowException, TypeError) as error:
        raise unreadable("input", error) from error
    for field in found:
        if field.name in numbers and (pa.types.is_integer(field.type) or pa.types.is_null(field.type)):
            fields.append(pa.field(field.name, pa.float64()))
        else:
            fields.append(pa.field(field.name, pa.string()) if pa.types.is_null(field.type) else field)
    return pa.schema(fields)


def _batches_of(frames: Iterable[pd.DataFrame], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for number, frame in enumerate(frames):
        if list(map(str, frame.columns)) != schema.names:
            raise RequestError(
                f"input has the columns {', '.join(map(str, frame.columns))} in frame {number}, and "
                f"{', '.join(schema.names)} in frame 0. Give each frame the same columns."
            )
        try:
            yield from pa.Table.from_pandas(frame, schema, preserve_index=False).to_batches()
        except (pa.ArrowException, TypeError) as error:
            raise RequestError(
                f"input has other types in frame {number} than in frame 0: {first_line(error)}. Give each the same."
            ) from error


def _missing(column: Any) -> Any:
    return pa.scalar(None, column.type)


def _looks_like_numbers(column: Any) -> bool:
    """Tell whether texts are numbers, all of them; see :mod:`lifecycle.data.formats.csv` for codes such as 007."""
    if pc.any(pc.match_substring_regex(column, "^0[0-9]+$")).as_py():
        return False
    parsed = _parsed(column)
    return bool(pa.types.is_floating(parsed.type)) and parsed.null_count < len(parsed)


def _parsed(column: Any) -> Any:
    """Return texts as float64, missing ones as null; or as they are where one is no number, for their kind to refuse.

    ``true`` and ``false`` are 1 and 0.
    """
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        texts = pc.utf8_trim_whitespace(column)
    texts = pc.if_else(pc.is_in(texts, pa.array(["", *csv.MISSING])), _missing(texts), texts)
    for words, value in ((TRUE, "1"), (FALSE, "0")):
        texts = pc.if_else(pc.is_in(texts, pa.array(words)), value, texts)
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return texts
