"""Read a CSV file of any size in blocks, with the same types and errors as a file that is read at once."""

from __future__ import annotations

import csv as text_csv
import hashlib
import io
import re
import tempfile
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import names
from lifecycle.data.formats import csv, csv_lines
from lifecycle.data.formats.reading import declared_of, name_of
from lifecycle.data.formats.text import detection, transcoding
from lifecycle.data.formats.text.dialect import Dialect
from lifecycle.data.formats.text.encodings import UTF8
from lifecycle.runtime.files.digests import sha256

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

PARSERS = 2
"""Chunks that are parsed at the same time, each by one thread: faster than one chunk by several threads."""

EMPTY, NUMBER, TRUTH, TEXT, TIME, BYTES = "empty", "number", "truth value", "text", "time", "bytes"


NOT_UTF8 = "invalid UTF8"
"""A part of pyarrow's message."""


class AsTextError(Exception):
    """A column has another type than its first rows: the file must be read again, with this column as texts.

    Attributes:
        name: of the column.
        kind: of the values of the other type.
        text: the first text among numbers, which is in ``row``; ``None``: the values are not texts.
        row: number of the row.
    """

    def __init__(self, name: str, kind: str, text: str | None = None, row: int = 0) -> None:
        super().__init__(name)
        self.name, self.kind, self.text, self.row = name, kind, text, row


class CsvFile:
    """The columns of a CSV file, block by block.

    pyarrow infers the types, as it does for a file that is read at once. It sees one block at a time, so a later block
    may contradict the first: :class:`AsTextError` names the column, the caller adds it to ``texts`` and reads again.

    Attributes:
        names: of the columns, after renaming.
        codes: columns of codes such as 007, which are texts.
        texts: columns that a later block showed to be texts, with the error.
        truths: columns in which a missing truth value turns the others into texts, as pandas does; always empty.
        digest: the file's SHA-256, after it has been read.
    """

    def __init__(self, file: Path, at_once: int, plugin: Any) -> None:
        self._declared = declared_of(plugin)
        self.dialect = replace(detection.of_file(file, self._declared), file=name_of(plugin.path))
        csv.check(file, self.dialect)
        self.file, self.at_once = file, at_once
        self._in_file = csv.header(file) if self.dialect.is_plain else list(self.dialect.names)
        new = names.new_names(plugin, self._in_file, str(file))
        self.names = [new.get(name, name) for name in self._in_file]
        self.codes = {new.get(name, name) for name in csv.codes_of(file, self.dialect)}
        self._old = dict(zip(self.names, self._in_file, strict=True))
        self.texts: dict[str, AsTextError] = {}
        self.truths: set[str] = set()
        self.digest = ""
        self._kinds: dict[str, str] = {}
        self._with_na: set[str] = set()  # columns with spellings of a missing number, such as NA
        self._marks: dict[str, None] = {}  # those spellings, in order of occurrence

    def turned_out_otherwise(self, error: ValueError) -> bool:
        """Return whether an error is that of a letter that is not UTF-8; the file is then to be read again."""
        is_declared = self._declared is not None and self._declared.encoding is not None
        if NOT_UTF8 not in str(error) or self.dialect.encoding != UTF8 or is_declared:
            return False
        self.dialect = replace(csv.redetected(self.file, self._declared), file=self.dialect.file)
        return True

    def finds_late_marks(self, columns: Iterable[Collection[str]]) -> bool:
        """Return whether all rows show more marks of missing values than the first ones; the file is to be read again.

        Args:
            columns: the different texts of each column of texts.
        """
        missing = csv.with_late_marks(self.dialect, columns, self._declared)
        is_more = missing != self.dialect.missing
        self.dialect = replace(self.dialect, missing=missing)
        return is_more

    def tables(self, wanted: list[str]) -> Iterator[pa.Table]:
        """Yield the columns ``wanted`` of the next rows: texts, numbers or truth values.

        Raises:
            AsTextError: a column of earlier rows holds texts.
            ValueError: a row is too short or too long; names its line.
        """
        digest, row = hashlib.sha256(), 0
        found = self.dialect
        self._kinds, self._with_na = dict.fromkeys(wanted, EMPTY), set()
        with (
            _parsed_file(self.file, found) as stream,
            ThreadPoolExecutor(1) as hashing,
            ThreadPoolExecutor(PARSERS) as parsers,
        ):
            parsing: deque[Future[pa.Table]] = deque()
            offset = 0
            for number, (chunk, quoted) in enumerate(_whole_rows(stream, self.at_once, found.quote.encode())):
                hashed = hashing.submit(digest.update, chunk)
                # bytes() copies the chunk, so only short ones are looked at.
                if len(chunk) > 64 or bytes(chunk).strip():  # blank lines at the end are no rows
                    parsing.append(parsers.submit(self._parse, chunk, quoted, wanted, number == 0, offset))
                offset += len(chunk)
                # Wait for the first chunk alone: it shows the types, which make the other chunks quicker to parse.
                if parsing and (row == 0 or len(parsing) > PARSERS):
                    table = self._typed(parsing.popleft().result(), row)
                    row += len(table)
                    yield table
                hashed.result()
            while parsing:
                table = self._typed(parsing.popleft().result(), row)
                row += len(table)
                yield table
        for name in wanted:
            if self._kinds[name] == EMPTY and name in self._with_na:  # NA and the like, and nothing else: texts
                raise AsTextError(name, TEXT)
        self.digest = digest.hexdigest() if found.is_native else sha256(self.file)
        self.dialect = replace(found, among_numbers=tuple(self._marks))

    def _parse(self, chunk: memoryview, quoted: bool, wanted: list[str], first: bool, offset: int) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        texts = {name: pa.string() for name in wanted if name in self.codes or name in self.texts}
        # A known type saves inference. Not of the last column: it is the target, and 1 and 1.0 are different labels.
        known = {
            name: pa.float64() for name in wanted[:-1] if self._kinds[name] == NUMBER and name not in self._with_na
        }
        is_first = first and self.dialect.is_plain
        read = arrow_csv.ReadOptions(
            column_names=None if is_first else self._in_file,
            skip_rows=self.dialect.skip if first and not is_first else 0,
            # A quoted cell may contain line ends, and no such row may be cut by pyarrow's blocks.
            block_size=len(chunk) + 1 if quoted else 1024**2,
            use_threads=False,
        )
        in_file = [self._old[name] for name in wanted]
        # A chunk with another type than the known one is parsed again, without it.
        for kinds in (known | texts, texts) if known else (texts,):
            types = {self._old[name]: kind for name, kind in kinds.items()}
            convert = arrow_csv.ConvertOptions(
                null_values=self.dialect.nulls, strings_can_be_null=True, include_columns=in_file, column_types=types
            )
            try:
                table = arrow_csv.read_csv(pa.BufferReader(chunk), read, self._parsing(quoted), convert)
                return table.rename_columns(wanted)
            except pa.ArrowInvalid as error:
                wrong = error
        with _parsed_file(self.file, self.dialect) as stream:
            before = csv_lines.lines_before(stream, offset)
        known_line = csv_lines.explained(wrong, csv_lines.text_of(bytes(chunk)), before, self.dialect)
        # pyarrow's own number is removed, as it counts from the beginning of the chunk.
        raise ValueError(re.sub(r"Row #\d+: ", "", str(known_line))) from wrong

    def _parsing(self, quoted: bool) -> Any:
        from pyarrow import csv as arrow_csv

        return arrow_csv.ParseOptions(
            delimiter=self.dialect.delimiter, quote_char=self.dialect.quote, newlines_in_values=quoted
        )

    def _typed(self, table: pa.Table, row: int) -> pa.Table:
        """Return rows with each column of the kind that it has in earlier rows."""
        for number, name in enumerate(table.column_names):
            if name not in self.codes and name not in self.texts:
                table = table.set_column(number, name, self._column(name, table.column(number), row))
        return table

    def _column(self, name: str, column: pa.ChunkedArray, row: int) -> pa.ChunkedArray:
        """Return a column as numbers where its texts are numbers and NA.

        Args:
            name: of the column.
            column: the next rows.
            row: number of the first of them.

        Raises:
            AsTextError: the kind is not that of the rows before.
        """
        kind, error = kind_of(column.type), None
        if kind == TEXT:
            numbers, wrong = _parse_numbers(column)
            if wrong is None:
                self._with_na.add(name)
                self._marks |= dict.fromkeys(_marks(column))
                column, kind = numbers, NUMBER if numbers.null_count < len(numbers) else EMPTY
            else:
                error = AsTextError(name, TEXT, column[wrong].as_py() if row else None, row + wrong)
        elif kind in (TIME, BYTES):
            error = AsTextError(name, kind)
        found = {self._kinds[name], kind} - {EMPTY}
        if error is None and (len(found) > 1 or (TRUTH in found and name in self._with_na)):
            error = AsTextError(name, kind)
        if error is None:
            self._kinds[name] = next(iter(found), EMPTY)
            return column
        if row or kind != TEXT:
            raise error
        self.texts[name] = error  # nothing to read again: the column is one of texts from the first row on
        return column


@cache
def kind_of(arrow_type: Any) -> str:
    """Return the kind of the values of a pyarrow type."""
    from pyarrow import types

    if types.is_null(arrow_type):
        return EMPTY
    if types.is_boolean(arrow_type):
        return TRUTH
    if types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type):
        return NUMBER
    if types.is_binary(arrow_type) or types.is_large_binary(arrow_type):
        return BYTES
    return TIME if types.is_temporal(arrow_type) else TEXT


def reread(texts: list[str]) -> tuple[str, np.ndarray[Any, Any]]:
    """Return the kind that pyarrow infers for a column of these texts, and its values.

    Args:
        texts: the different texts of a column.

    Returns:
        ``NUMBER`` or ``TRUTH`` and a value for each text, NaN for NA and the like; ``TIME`` and the times; ``TEXT`` and
        the texts.
    """
    import numpy as np
    import pandas as pd
    from pyarrow import csv as arrow_csv

    lines = io.StringIO()
    writer = text_csv.writer(lines)
    writer.writerows([["text"], *([text] for text in texts)])
    column = arrow_csv.read_csv(
        io.BytesIO(lines.getvalue().encode()),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(null_values=[""]),
    ).column(0)
    kind = kind_of(column.type)
    if kind in (NUMBER, TRUTH):
        return kind, column.to_numpy()
    if kind == TIME:
        return kind, column.to_pandas()
    numbers, wrong = csv.parse_numbers(pd.Series(texts, dtype=object))
    if kind == TEXT and numbers.notna().any() and not wrong.any():
        return NUMBER, numbers.to_numpy(dtype=np.float64)
    return kind, np.array(texts, dtype=object)


def _marks(column: pa.ChunkedArray) -> list[str]:
    """Return the spellings of a missing number in a column of texts."""
    from pyarrow import compute

    return [text.strip() for text in compute.unique(column).to_pylist() if text in csv.MISSING]


def _parse_numbers(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int | None]:
    """Return texts as numbers and ``None``; or, where a text is not a number, the texts and its position."""
    import pyarrow as pa
    from pyarrow import compute

    missing = compute.is_in(column, value_set=pa.array(csv.MISSING, column.type))
    try:  # much faster than pandas, which is needed only for numbers with spaces around them
        return compute.cast(compute.if_else(missing, pa.scalar(None, column.type), column), pa.float64()), None
    except pa.ArrowInvalid:
        numbers, wrong = csv.parse_numbers(column.to_pandas())
        place = int(wrong.to_numpy().argmax()) if wrong.any() else None
        return (column if wrong.any() else pa.chunked_array([pa.array(numbers, pa.float64(), from_pandas=True)])), place


@contextmanager
def _parsed_file(file: Path, found: Dialect) -> Iterator[io.RawIOBase]:
    """Open a file as the bytes to parse: its own, or a transcoded copy on disk."""
    if found.is_native:
        with file.open("rb", buffering=0) as stream:
            yield stream
        return
    with file.open("rb") as source, tempfile.TemporaryFile(buffering=0) as copy:
        for block in transcoding.transcoded(transcoding.blocks_of(source), found):
            copy.write(block)
        copy.seek(0)
        yield copy


def _whole_rows(stream: io.RawIOBase, at_once: int, quote: bytes = b'"') -> Iterator[tuple[memoryview, bool]]:
    """Yield blocks of about ``at_once`` bytes that end with a row, and whether each contains quotes."""
    size = at_once
    while block := stream.read(size):
        # Searched first: to count the quotes takes ten times longer, and most files have none.
        quoted = quote in block
        cut = _end_of_row(block, quote) if quoted else block.rfind(b"\n") + 1
        if not cut and size > 4 * at_once:  # an unpaired quote, such as 5" of snow: any line end must do
            cut = block.rfind(b"\n") + 1
        if not cut and len(block) == size:  # a row longer than the block
            size *= 2
            stream.seek(-len(block), 1)
            continue
        cut, size = cut or len(block), at_once
        stream.seek(cut - len(block), 1)
        # A view: a slice of bytes would be a second copy of the block.
        yield memoryview(block)[:cut], quoted


def _end_of_row(chunk: bytes, quote: bytes) -> int:
    """Return the end of the last whole row, in bytes; a line break between quotes ends no row."""
    cut = chunk.rfind(b"\n") + 1
    quotes = chunk.count(quote, 0, cut)
    while cut and quotes % 2:
        end, cut = cut, chunk.rfind(b"\n", 0, cut - 1) + 1
        quotes -= chunk.count(quote, cut, end)
    return cut
