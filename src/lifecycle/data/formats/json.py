"""Rows as JSON has them: objects in a list, or one after the other, each cell kept as JSON writes it.

What a column is, no row can say: a whole number may be followed by a fraction, or by nothing. So a column is one of
texts, each a value of JSON, until the model says which are numbers.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.errors import RequestError

BYTES_AT_ONCE = 1 << 18
"""Of a file, while it is parsed."""

ROWS_AT_ONCE = 4096
"""In a batch. The columns are those of the rows of the first."""

CELL = {b"cell": b"json"}
"""Metadata of a column whose texts are values of JSON."""

REQUEST = {"inputs", "instances", "dataframe_split", "dataframe_records", "params"}
"""The names in MLflow's requests, whose values are all the rows."""

SPACE = re.compile(r"[ \t\r\n]*")
UNENDED = ("Unterminated string", "Invalid \\")
"""What the parser says, at the place where it begins, of a text that may only be cut off."""


def read(stream: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the columns, and the rows in batches; a value that a row lacks is missing.

    Raises:
        ValueError: these are no objects; the first rows are read at once, the others as one goes through the batches.
    """
    rows = _rows(stream)
    first = list(itertools.islice(rows, ROWS_AT_ONCE))
    names = list(dict.fromkeys(name for row in first for name in row))
    if len(first) == 1 and names and set(names) <= REQUEST and isinstance(first[0][names[0]], list | dict):
        raise ValueError(
            f"it is a request to a model server, with {names[0]}, rather than rows: a list of objects such as "
            '{"width": 1.5}'
        )
    schema = pa.schema([pa.field(name, pa.string(), metadata=CELL) for name in names])
    return schema, _batches(first, rows, schema)


def parse(text: bytes) -> Any:
    """Return one value of JSON, of which an object has each name once.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:
        raise ValueError(f"it {error}") from error


def of_cells(columns: dict[str, list[Any]]) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """Return cells of parsed JSON as :func:`read` returns those of a stream.

    Raises:
        RequestError: a cell is no single value; names its column and row.
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
    """Tell whether a text has no half of a pair that stands for one character."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def kind_of(value: Any) -> str:
    """Return what a value of JSON is, with its article."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def plain(column: Any) -> Any:
    """Return values of JSON as the texts that a CSV file would have: a text without its quotes, null as null."""
    if not pc.any(pc.starts_with(column, '"')).as_py():
        return column
    cells = (json.loads(cell) if cell is not None and cell[0] == '"' else cell for cell in column.to_pylist())
    return pa.chunked_array([pa.array(cells, pa.string())])


def is_json(field: pa.Field) -> bool:
    """Tell whether the texts of a column are values of JSON."""
    return bool(field.metadata) and field.metadata.get(b"cell") == CELL[b"cell"]


def cells(column: Any) -> Any:
    """Return values of pyarrow's types as JSON writes them: ``large_string``, what is no number in JSON as null."""
    kind = column.type
    if pa.types.is_floating(kind):
        finite = pc.fill_null(pc.is_finite(column), False)
        written = pc.if_else(finite, column, pa.scalar(None, kind)).cast(pa.large_string())
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        written = column.cast(pa.large_string())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = column.combine_chunks().dictionary_encode()
        texts = pa.array([_dumps(text) for text in coded.dictionary.to_pylist()], pa.large_string())
        written = texts.take(coded.indices)
    else:
        written = pa.array(
            [None if value is None else _dumps(value) for value in column.to_pylist()], pa.large_string()
        )
    return pc.fill_null(written, "null")


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _batches(
    first: list[dict[str, Any]], rows: Iterator[dict[str, Any]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    names, done = set(schema.names), 0
    while first:
        for number, row in enumerate(first, done):
            if not row.keys() <= names:
                name = next(name for name in row if name not in names)
                raise ValueError(f"row {number} has {name}, which none of the first {ROWS_AT_ONCE} rows has")
        try:
            columns = [pa.array([_cell(row.get(name)) for row in first], pa.string()) for name in schema.names]
        except RecursionError as error:  # what can just be parsed may not be written any more
            raise ValueError(f"one of the rows {done} to {done + len(first) - 1} is nested too deeply") from error
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        done += len(first)
        first = list(itertools.islice(rows, ROWS_AT_ONCE))


def _cell(value: Any) -> str | None:
    return None if value is None else _dumps(value)


def _rows(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    for number, value in enumerate(_values(stream)):
        if not isinstance(value, dict):
            raise ValueError(  # noqa: TRY004 - of what is read, not of what was passed
                f'row {number} is {kind_of(value)} rather than an object such as {{"width": 1.5}}'
            )
        yield value


def _values(stream: IO[bytes]) -> Iterator[Any]:
    """Yield the values of a list, or those that follow each other with nothing but space between."""
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
    """What is left to parse of a stream, of which no more is in memory than a value takes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._decoder, self._size = stream, codecs.getincrementaldecoder("utf-8-sig")(), BYTES_AT_ONCE
        self._parse = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).raw_decode
        self.text, self.at, self._ended = "", 0, False

    def sign(self) -> str:
        """Return the next sign that is no space; ``""``: there is none."""
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
                is_cut = error.pos >= len(self.text) - 16 or error.msg.startswith(UNENDED)
                if is_cut and self._more():
                    self._size *= 2  # a long value is not parsed again and again
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
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"has {next(name for name in names if names.count(name) > 1)} twice")
    return found


def _constant(word: str) -> None:
    if word != "NaN":  # which Python and pandas write for a missing number
        raise ValueError(f"holds {word}, which is no number of JSON")
