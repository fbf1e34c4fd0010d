"""Raw rows in blocks, so that rows to predict need not fit into memory.

No type is inferred from a block. Cells of CSV and JSON are texts until the model determines which columns are numbers;
otherwise a block of empty cells, or of whole numbers, would get another type than the next block.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.data.columns.features import FALSE, TRUE
from lifecycle.data.formats import json as json_rows
from lifecycle.data.formats.text.cells import MARKS
from lifecycle.errors import RequestError, Text, first_line

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Stream:
    """Rows that are read lazily, and once.

    Attributes:
        name: of the source, for messages, for instance ``Setting("input", "new.csv")``.
        schema: of the rows; of a CSV or JSON file, all texts.
        batches: the rows, in batches of any size.
        is_text: an empty text is a missing value.
        shown: the columns that are written next to predictions; ``None``: all.
        reading: how a text file is read, in words; "" where it is a plain one.
    """

    name: Text
    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]
    is_text: bool = False
    shown: list[str] | None = None
    reading: str = ""

    def of(self, rows: int) -> Iterator[pa.Table]:
        """Yield tables of ``rows`` rows each; the last may be smaller.

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
        """Return the same rows with some columns renamed."""
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


def no_rows(name: Text) -> RequestError:
    """Return the error of a source without rows."""
    return RequestError(name, "has no rows", remedy="Give one or more to predict.")


def from_frames(frames: Iterable[pd.DataFrame], numbers: Collection[str] | None) -> Stream:
    """Return the rows of frames, which must have the columns and types of the first.

    Args:
        frames: one or more.
        numbers: columns to read as float64, even where the first frame has only integers or missing values; ``None``:
            types are those of the first frame.

    Raises:
        RequestError: there is no frame.
    """
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise no_rows("input")
    schema = _schema_of(first, numbers or ())
    return Stream("input", schema, _batches_of(itertools.chain([first], remaining), schema))


def typed(table: pa.Table, numbers: Collection[str] | None, is_text: bool, nulls: Collection[str] = ()) -> pa.Table:
    """Return columns of the types that data plugins expect, with missing values as null.

    Args:
        table: columns that the model needs.
        numbers: those that are numbers; all others are texts. ``None``: infer from the values; the table must then
            have all rows.
        is_text: the columns are the texts of a CSV or JSON file.
        nulls: texts that were missing values in the training file, in any column.
    """
    for i, name in enumerate(table.column_names):
        column = table[name]
        column = json_rows.plain(column) if json_rows.is_json(table.schema.field(i)) else column
        if is_text:
            column = _without(column, nulls)
            is_number = _looks_like_numbers(column) if numbers is None else name in numbers
            # As in a training file: only an empty text is missing among texts, and NA is a text.
            column = _parsed(column) if is_number else pc.if_else(pc.equal(column, ""), _missing(column), column)
        elif numbers is not None and name not in numbers and pa.types.is_integer(column.type):
            column = column.cast(pa.string())  # in a block with a missing value, pandas would turn 1 into 1.0
        table = table.set_column(i, name, column)
    return table


def unreadable(name: Text, error: Exception) -> RequestError:
    """Return the error of rows that cannot be read."""
    return RequestError(name, f"cannot be read: {first_line(error)}", remedy="Fix it.")


def _regroup(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Yield tables of ``rows`` rows from batches of any size."""
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
    # The first frame may have a column of integers or without values where a later one has fractions or texts.
    for field in found:
        if field.name in numbers and (pa.types.is_integer(field.type) or pa.types.is_null(field.type)):
            fields.append(pa.field(field.name, pa.float64()))
        else:
            fields.append(pa.field(field.name, pa.string()) if pa.types.is_null(field.type) else field)
    return pa.schema(fields)


def _batches_of(frames: Iterable[pd.DataFrame], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for number, frame in enumerate(frames):
        if list(map(str, frame.columns)) != schema.names:
            columns = ", ".join(map(str, frame.columns))
            problem = f"has the columns {columns} in frame {number}, and {', '.join(schema.names)} in frame 0"
            raise RequestError("input", problem, remedy="Give each frame the same columns.")
        try:
            yield from pa.Table.from_pandas(frame, schema, preserve_index=False).to_batches()
        except (pa.ArrowException, TypeError) as error:
            problem = f"has other types in frame {number} than in frame 0: {first_line(error)}"
            raise RequestError("input", problem, remedy="Give each column one type in all frames.") from error


def _without(column: Any, nulls: Collection[str]) -> Any:
    """Return texts with an empty one in place of each that is a mark of missing values."""
    marks = [text for text in nulls if text]
    if not marks:
        return column
    return pc.if_else(pc.is_in(column, pa.array(marks, column.type)), pa.scalar("", column.type), column)


def _missing(column: Any) -> Any:
    return pa.scalar(None, column.type)


def _looks_like_numbers(column: Any) -> bool:
    """Return whether all texts are numbers or missing; codes such as 007 are not numbers."""
    if pc.any(pc.match_substring_regex(column, "^0[0-9]+$")).as_py():
        return False
    parsed = _parsed(column)
    return bool(pa.types.is_floating(parsed.type)) and parsed.null_count < len(parsed)


def _parsed(column: Any) -> Any:
    """Return texts as float64 with missing ones as null; unchanged where one is not a number.

    ``true`` and ``false`` become 1 and 0. The data plugin refuses a column that is unchanged, with the row's number.
    """
    try:  # the common case, without the copies below
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        texts = pc.utf8_trim_whitespace(column)
    # The same spellings as in a training file, so that a column is read alike in both.
    texts = pc.if_else(pc.is_in(texts, pa.array(["", *MARKS])), _missing(texts), texts)
    for spellings, value in ((TRUE, "1"), (FALSE, "0")):
        texts = pc.if_else(pc.is_in(texts, pa.array(spellings)), value, texts)
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return texts
