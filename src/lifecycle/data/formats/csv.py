"""CSV files: header, missing values, codes such as 007."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.data.formats import csv_lines
from lifecycle.data.formats.text import detection, encodings, transcoding
from lifecycle.data.formats.text.cells import MARKS, marks_among_words, spellings
from lifecycle.data.formats.text.dialect import Declared, Dialect, attach
from lifecycle.errors import Setting, Text

if TYPE_CHECKING:
    import pandas as pd

MISSING = tuple(spellings(MARKS))
"""Cells that stand for a missing number; an empty one is missing in any column."""

CODE = re.compile(r"0\d+")
"""A code such as 007, which is not a number."""

MOST_NAMES, PLAIN_NAME = 30, re.compile(r"[\w. -]+")
"""Columns that a message names, and a name that needs no quotation marks on the command line."""

ROWS_TO_SEARCH = 10_000
"""Rows that are searched for codes: reading all of a large file a second time, with ``csv``, would be slow."""


def _csv(file: Path, declared: Declared | None = None) -> pd.DataFrame:
    import pandas as pd

    found = detection.of_file(file, declared)
    if not found.names:
        raise EmptyFileError("it is empty")
    try:
        frame, found = _frame(file, found)
    except pd.errors.EmptyDataError:  # below a header that pandas skips
        frame = pd.DataFrame(columns=list(found.names))
    except NotUtf8Error:
        if declared is not None and declared.encoding is not None:
            raise
        # A letter beyond the first bytes, which were all of ASCII.
        frame, found = _frame(file, redetected(file, declared))
    if (more := _late_marks(frame, found, declared)) != found.missing:
        frame, found = _frame(file, replace(found, missing=more))
    attach(frame, found)
    return frame


def _late_marks(frame: pd.DataFrame, found: Dialect, declared: Declared | None) -> tuple[str, ...]:
    """Return the marks of missing values, with those that stand beyond the first rows only."""
    texts = (frame[name] for name in frame.columns if frame[name].dtype == "str")
    with_marks = [column.dropna().unique().tolist() for column in texts if column.isin(MARKS).any()]
    return with_late_marks(found, with_marks, declared)


def with_late_marks(found: Dialect, columns: Iterable[Collection[str]], declared: Declared | None) -> tuple[str, ...]:
    """Return the marks of a file with those that all of its rows show.

    Args:
        found: its dialect, with the marks among numbers.
        columns: the different texts of columns; of those with marks, at least.
        declared: what the user says of it.
    """
    more = () if declared is not None and "" in declared.missing else marks_among_words(columns, found.among_numbers)
    return tuple(dict.fromkeys([*found.missing, *more]))


def redetected(file: Path, declared: Declared | None) -> Dialect:
    """Return the dialect of a file that turned out not to be UTF-8."""
    with file.open("rb") as stream:
        encoding = encodings.of_blocks(transcoding.blocks_of(stream))
    return detection.of_file(file, replace(declared or Declared(), encoding=encoding))


class EmptyFileError(ValueError):
    """A file without a line."""

    remedy = "Give a line with the names of the columns, and one row or more."


class NotUtf8Error(ValueError):
    """Text that is not UTF-8, in the rows of a file."""


def _frame(file: Path, found: Dialect) -> tuple[pd.DataFrame, Dialect]:
    """Return the rows of a file, and its dialect with the marks among its numbers."""
    import pandas as pd

    check(file, found)
    read = _Reader(file, found)
    # pyarrow refuses rows that are too short or too long; the other parsers of pandas fill or shift them.
    try:
        frame = read()
    except ValueError as error:
        raise csv_lines.explained_in(error, file, found) from error
    if found.encoding == encodings.UTF8:
        _check_utf8(frame)
    dated = [name for name in frame.columns if pd.api.types.is_datetime64_any_dtype(frame[name])]
    # Dates stay texts: as datetimes they would lose their zones and their form.
    as_texts = [*codes_of(file, found), *dated]
    if as_texts:
        texts = read.texts(as_texts)
        frame = frame.assign(**{name: texts[name] for name in as_texts})
    # "NA" among numbers is a missing value; among texts of a file without such numbers it is a text.
    marks: list[str] = []
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]) and name not in as_texts:
            numbers, wrong = parse_numbers(frame[name])
            if numbers.notna().any() and not wrong.any():
                found_marks = frame[name][frame[name].isin(MISSING)].unique()
                marks += [str(mark).strip() for mark in found_marks]
                frame[name] = numbers
    return frame, replace(found, among_numbers=tuple(dict.fromkeys(marks)))


class _Reader:
    """Reads a file, or some of its columns, with pandas and the parser of pyarrow."""

    def __init__(self, file: Path, found: Dialect) -> None:
        self.file, self.dialect = file, found

    def __call__(self) -> pd.DataFrame:
        """Return the rows, with the types that pyarrow infers."""
        import pandas as pd

        found = self.dialect
        # By default pandas takes NA and None for missing values in columns of texts too.
        options: dict[str, Any] = {"engine": "pyarrow", "keep_default_na": False, "na_values": found.nulls}
        if found.is_plain:
            frame: pd.DataFrame = pd.read_csv(self.file, **options)
            return frame
        options |= {"sep": found.delimiter, "quotechar": found.quote}
        options |= {"header": None, "names": list(found.names), "skiprows": found.skip}
        with transcoding.opened(self.file, found) as stream:
            frame = pd.read_csv(stream, **options)
        return frame

    def texts(self, columns: list[str]) -> pd.DataFrame:
        """Return some columns as texts, in a second read.

        Given ``dtype=`` for one column, pandas fails on missing values in columns of whole numbers; and it finds no
        columns by their names where the file has no header.
        """
        import pandas as pd
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        found = self.dialect
        names = {} if found.is_plain else {"column_names": list(found.names), "skip_rows": found.skip}
        convert = arrow_csv.ConvertOptions(
            include_columns=columns,
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=found.nulls,
            strings_can_be_null=True,
        )
        parse = arrow_csv.ParseOptions(delimiter=found.delimiter, quote_char=found.quote, newlines_in_values=True)
        with transcoding.opened(self.file, found) as stream:
            table = arrow_csv.read_csv(stream, arrow_csv.ReadOptions(**names), parse, convert)
        texts: pd.DataFrame = table.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=math.nan)}.get)
        return texts


def _check_utf8(frame: pd.DataFrame) -> None:
    for name in frame.columns:
        # pyarrow returns texts that are not UTF-8 as bytes.
        if frame[name].dtype == object and any(isinstance(value, bytes) for value in frame[name]):
            raise NotUtf8Error(f"it is not UTF-8 in column {name}")


def parse_numbers(column: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Parse a column of texts as numbers.

    Args:
        column: texts.

    Returns:
        The numbers, NaN for missing ones, of which :data:`MISSING` has the spellings; and whether each text is
        neither a number nor missing.
    """
    import pandas as pd

    missing = column.isna() | column.isin(MISSING)
    numbers = pd.to_numeric(column.where(~missing), errors="coerce")
    return numbers, numbers.isna() & ~missing


def codes_of(file: Path, found: Dialect | None = None) -> list[str]:
    """Return the columns of codes such as 007, judged by the first rows: as numbers they would lose their zeros."""
    found = found or Dialect()
    with transcoding.lines_of(file, found) as lines:
        names = list(found.names)
        if found.is_plain:
            rows = csv.reader(lines)
            names = next(rows, [])
        else:
            for _ in range(found.skip):
                next(lines, None)
            rows = csv.reader(lines, delimiter=found.delimiter, quotechar=found.quote)
        places = {
            i
            for row in itertools.islice(rows, ROWS_TO_SEARCH)
            for i, cell in enumerate(row)
            if cell[:1] == "0" and CODE.fullmatch(cell)
        }
    return [names[i] for i in sorted(places) if i < len(names)]


def header(file: Path) -> list[str]:
    """Return the names of a plain CSV file's columns."""
    with file.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        return next((names for names in csv.reader(stream) if names), [])


def check(file: Path, found: Dialect) -> None:
    """Refuse names that the parser would change: repeated and empty ones.

    Raises:
        ValueError: says what is wrong.
    """
    if found.is_plain:
        with file.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
            names = names_of(stream)
    else:
        names = list(found.names)
    check_names(names, found.sep)


def names_of(lines: Iterable[str]) -> list[str]:
    """Return the cells of the first line of a CSV file that is not empty.

    Raises:
        ValueError: the line cannot be read.
    """
    try:
        return next(filter(None, csv.reader(lines)), [])
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise ValueError(f"its first line does not hold names of columns: {error}") from error


def check_names(names: list[str], sep: str = ",") -> None:
    """Refuse names that the parser would change; see :func:`check`."""
    # With one column only, as a name may well contain a semicolon.
    if len(names) == 1 and sep == "," and (found := [sign for sign in ";\t|" if sign in names[0]]):
        raise ValueError(f"its header is separated by {found[0]!r} rather than a comma")
    if any(not name.strip() for name in names):
        number = next(i for i, name in enumerate(names, 1) if not name.strip())
        problem = f"column {number} has no name; an index is left out by to_csv(index=False)"
        raise NamesError(problem, names)
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise NamesError(f"it has the column {min(repeated)} twice", names)


class NamesError(ValueError):
    """Names of columns that are empty or repeated.

    Attributes:
        remedy: what to do, with names to use instead.
    """

    def __init__(self, problem: str, names: list[str]) -> None:
        super().__init__(problem)
        new: list[str] = []
        for place, old in enumerate(names):
            name = old if old.strip() else f"c{place}"
            numbered = (f"{name}_{number}" for number in itertools.count(2))
            new.append(next(one for one in numbered if one not in [*names, *new]) if name in new else name)
        self.remedy: Text = "Fix the file."
        if len(new) <= MOST_NAMES and all(map(PLAIN_NAME.fullmatch, new)):
            self.remedy = ["Fix the file, or add ", Setting("data.names", new), "."]
