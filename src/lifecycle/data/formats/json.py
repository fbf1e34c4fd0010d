"""Read rows of JSON: objects in a list, or one after the other, in batches.

The type of a column cannot be inferred from its first rows: a whole number may be followed by a fraction, or by null.
So each cell stays a text of JSON until the model determines which columns are numbers.

The standard library's parser is used on a growing text, rather than a streaming parser such as ijson: that one keeps
only the last of two equal names, ignores what follows a list, turns lone surrogates into question marks, refuses NaN,
which pandas writes, and needs gigabytes for deeply nested values.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.data.columns.rounding import EXACT
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

BYTES_AT_ONCE = 1 << 18
"""Bytes that are read together."""

ROWS_AT_ONCE = 4096
"""Rows of a batch. The columns are those of the rows of the first batch."""

CELL = {b"cell": b"json"}
"""Metadata of a column whose texts are JSON values."""

REQUEST = {"inputs", "instances", "dataframe_split", "dataframe_records", "params"}
"""Names in requests to MLflow's model server, which are a frequent mistake for a file of rows."""

SPACE = re.compile(r"[ \t\r\n]*")
UNENDED = ("Unterminated string", "Invalid \\")
"""Errors of the parser, at the beginning of a string, that an incomplete text may cause."""


def read(stream: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the schema, and the rows in batches; a value that a row lacks is null.

    The first batch is read at once, so that the columns are known; the others are read lazily.

    Args:
        stream: of UTF-8 text, with or without a byte order mark.

    Raises:
        ValueError: the rows are not objects; also while iterating.
    """
    names, first, rows = _begin(stream)
    schema = pa.schema([pa.field(name, pa.string(), metadata=CELL) for name in names])
    return schema, _batches(first, rows, schema)


def frame(stream: IO[bytes]) -> pd.DataFrame:
    """Return all rows with the types of JSON: numbers, truth values and texts; missing values and null are missing.

    Args:
        stream: as for :func:`read`.

    Raises:
        ValueError: the rows are not objects.
    """
    import pandas as pd

    names, first, rows = _begin(stream)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for number, row in enumerate(itertools.chain(first, rows)):
        _check_known(row, number, columns)
        for name, values in columns.items():
            values.append(row.get(name))
    return pd.DataFrame({name: _column(values) for name, values in columns.items()})


def _column(values: list[Any]) -> Any:
    """Return the values of a column as a Series; whole numbers that float64 would round stay objects."""
    import pandas as pd

    present = [value for value in values if value is not None]
    if len(present) < len(values) and any(type(value) is int and abs(value) > EXACT for value in present):
        return pd.Series(values, dtype=object)
    return pd.Series(values) if present else pd.Series(values, dtype="float64")


def _begin(stream: IO[bytes]) -> tuple[list[str], list[dict[str, Any]], Iterator[dict[str, Any]]]:
    """Return the columns of the first rows, these rows, and the others."""
    rows = _rows(stream)
    first = list(itertools.islice(rows, ROWS_AT_ONCE))
    names = list(dict.fromkeys(name for row in first for name in row))
    if len(first) == 1 and names and set(names) <= REQUEST and isinstance(first[0][names[0]], list | dict):
        raise ValueError(
            f"it is a request to a model server, with {names[0]}, rather than rows: a list of objects such as "
            '{"width": 1.5}'
        )
    return names, first, rows


def _check_known(row: dict[str, Any], number: int, names: dict[str, Any]) -> None:
    if not row.keys() <= names.keys():
        name = next(name for name in row if name not in names)
        raise ValueError(f"row {number} has {name}, which none of the first {ROWS_AT_ONCE} rows has")


def parse(text: bytes) -> Any:
    """Parse one JSON value, whose objects must not repeat a name.

    Raises:
        ValueError: the text is not such a value.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    # ValueErrors too, but unlike those of _object() their messages do not begin with a verb.
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:
        raise ValueError(f"it {error}") from error


def of_cells(columns: dict[str, list[Any]]) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """Return parsed cells in the form that :func:`read` returns.

    Args:
        columns: name -> the cells of a column.

    Raises:
        RequestError: a cell is a list or an object, or not a valid text; names its column and row.
    """
    schema = pa.schema([pa.field(name, pa.string(), metadata=CELL) for name in columns])
    arrays = []
    for name, cells_of in columns.items():
        nested = next((row for row, value in enumerate(cells_of) if isinstance(value, list | dict)), None)
        if nested is not None:
            try:
                got = str(cells_of[nested])[:100]
            except RecursionError:
                got = "one that is nested too deeply to show"
            problem = f"holds a list or mapping in row {nested}"
            raise RequestError(f"column {name}", problem, got, "Give one value.")
        texts = [_cell(value) for value in cells_of]
        try:
            arrays.append(pa.array(texts, pa.string()))
        except UnicodeEncodeError as error:
            row, got = next((row, text) for row, text in enumerate(texts) if text and not _is_unicode(text))
            problem = f"holds half a character (a lone surrogate) in row {row}"
            raise RequestError(f"column {name}", problem, ascii(got)[:100], "Fix the value.") from error
    return schema, [pa.RecordBatch.from_arrays(arrays, schema=schema)]


def _is_unicode(text: str) -> bool:
    """Return whether a text has no lone surrogates, which UTF-8 cannot encode."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def kind_of(value: Any) -> str:
    """Return the name of the type of a JSON value, with its article."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def plain(column: Any) -> Any:
    """Return JSON values as the texts of a CSV file: a text without its quotes, null as null."""
    if not pc.any(pc.starts_with(column, '"')).as_py():
        return column
    cells = (json.loads(cell) if cell is not None and cell[0] == '"' else cell for cell in column.to_pylist())
    return pa.chunked_array([pa.array(cells, pa.string())])


def is_json(field: pa.Field) -> bool:
    """Return whether the texts of a column are JSON values."""
    return bool(field.metadata) and field.metadata.get(b"cell") == CELL[b"cell"]


def cells(column: Any) -> Any:
    """Return values of a pyarrow column as JSON values, ``large_string``; NaN and infinities as null."""
    kind = column.type
    if pa.types.is_floating(kind):
        finite = pc.fill_null(pc.is_finite(column), False)
        written = pc.if_else(finite, column, pa.scalar(None, kind)).cast(pa.large_string())
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        written = column.cast(pa.large_string())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = column.combine_chunks().dictionary_encode()  # each different text is encoded once
        texts = pa.array([_dumps(text) for text in coded.dictionary.to_pylist()], pa.large_string())
        written = texts.take(coded.indices)
    else:
        written = pa.array(
            [None if value is None else _dumps(value) for value in column.to_pylist()], pa.large_string()
        )
    return pc.fill_null(written, "null")


def _dumps(value: Any) -> str:
    # default=str: dates and decimals of Parquet have no type in JSON.
    return json.dumps(value, ensure_ascii=False, default=str)


def _batches(
    first: list[dict[str, Any]], rows: Iterator[dict[str, Any]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    names, done = dict.fromkeys(schema.names), 0
    while first:
        for number, row in enumerate(first, done):
            _check_known(row, number, names)
        try:
            columns = [pa.array([_cell(row.get(name)) for row in first], pa.string()) for name in schema.names]
        except RecursionError as error:  # writing a nested value needs more of the stack than parsing it
            raise ValueError(f"one of the rows {done} to {done + len(first) - 1} is nested too deeply") from error
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        done += len(first)
        first = list(itertools.islice(rows, ROWS_AT_ONCE))


def _cell(value: Any) -> str | None:
    return None if value is None else _dumps(value)


def _rows(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    for number, value in enumerate(_values(stream)):
        if not isinstance(value, dict):
            raise ValueError(  # noqa: TRY004 - the fault is in the file, not in an argument
                f'row {number} is {kind_of(value)} rather than an object such as {{"width": 1.5}}'
            )
        yield value


def _values(stream: IO[bytes]) -> Iterator[Any]:
    """Yield the values of a list, or values that are separated by spaces and line ends."""
    text = _Text(stream)
    listed = text.sign() == "["
    if listed:
        text.at += 1
    number = 0
    while (sign := text.sign()) != "":
        if listed and sign == "]":
            text.at += 1
            if text.sign():
                raise ValueError(f"its list ends after row {number - 1}, and more follows")
            return
        if listed and number:
            if sign != ",":
                raise ValueError(f"no comma follows row {number - 1}")
            text.at += 1
            text.sign()
        yield text.value(number)
        number += 1
    if listed:
        raise ValueError(f"its list has no end after row {number - 1}")


class _Text:
    """The unparsed text of a stream, of which only about one value is in memory.

    Attributes:
        text: what was read and not yet dropped.
        at: position in it up to which it is parsed.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        # Incremental, since a block may end within a character; -sig, since a file may begin with a byte order mark.
        self._stream, self._decoder, self._size = stream, codecs.getincrementaldecoder("utf-8-sig")(), BYTES_AT_ONCE
        self._parse = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).raw_decode
        self.text, self.at, self._ended = "", 0, False

    def sign(self) -> str:
        """Return the next character that is not a space; ``""`` at the end."""
        while True:
            match = SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def value(self, number: int) -> Any:
        """Return the next value."""
        while True:
            try:
                value, self.at = self._parse(self.text, self.at)
            except json.JSONDecodeError as error:
                # An error near the end may be due to an incomplete text: 16 is more than the longest literal or escape.
                is_cut = error.pos >= len(self.text) - 16 or error.msg.startswith(UNENDED)
                if is_cut and self._more():
                    self._size *= 2  # parsing begins anew each time, so a long value must not need many reads
                    continue
                raise ValueError(f"row {number} is no JSON: {error.msg}") from error
            except RecursionError as error:
                raise ValueError(f"row {number} is nested too deeply") from error
            except ValueError as error:
                raise ValueError(f"row {number} {error}") from error
            self._size = BYTES_AT_ONCE
            return value

    def _more(self) -> bool:
        if self._ended:
            return False
        block = self._stream.read(self._size)
        self._ended = not block
        self.text, self.at = self.text[self.at :] + self._decoder.decode(block, final=self._ended), 0
        return not self._ended


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, and refuse a repeated name, of which Python would keep the last value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"has {next(name for name in names if names.count(name) > 1)} twice")
    return found


def _constant(name: str) -> None:
    """Return null for NaN, which Python and pandas write for a missing number; refuse infinities."""
    if name != "NaN":
        raise ValueError(f"holds {name}, which is no number of JSON")
