"""CSV files: header, missing values, codes such as 007."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.data.formats import csv_lines

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("NA", "N/A", "nan", "NaN", "null", "NULL", "None")
"""Spellings of a missing number in a CSV file; an empty field is missing in any column."""

CODE = re.compile(r"0\d+")
"""A code such as 007, which is not a number."""

ROWS_TO_SEARCH = 10_000
"""Rows that are searched for codes: reading all of a large file a second time, with ``csv``, would be slow."""


def _csv(file: Path) -> pd.DataFrame:
    import pandas as pd

    check_header(file)
    # pyarrow refuses rows that are too short or too long; the other parsers of pandas fill or shift them.
    try:
        # By default pandas takes NA and None for missing values in columns of texts too.
        frame = pd.read_csv(file, engine="pyarrow", keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise csv_lines.explained_in(error, file) from error
    dated = [name for name in frame.columns if pd.api.types.is_datetime64_any_dtype(frame[name])]
    codes = [*codes_of(file), *dated]  # dates stay texts: as datetimes they would lose their zones and their form
    # A second read, of these columns only: given dtype= for one column, pandas with engine="pyarrow" fails on missing
    # values in integer columns.
    if codes:
        kinds = dict.fromkeys(codes, "str")
        texts = pd.read_csv(file, engine="pyarrow", keep_default_na=False, na_values=[""], usecols=codes, dtype=kinds)
        frame = frame.assign(**{name: texts[name] for name in codes})
    # "NA" among numbers is a missing value; among texts it is a text, such as the code of Namibia.
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]) and name not in codes:
            numbers, wrong = parse_numbers(frame[name])
            if numbers.notna().any() and not wrong.any():
                frame[name] = numbers
    return frame


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


def codes_of(file: Path) -> list[str]:
    """Return the columns of codes such as 007, judged by the first rows: as numbers they would lose their zeros."""
    # utf-8-sig: Excel writes a byte order mark, which would become part of the first name.
    # errors="replace": a text that is not UTF-8 is reported by its column once the file is read.
    with file.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        rows = csv.reader(stream)
        names = next(rows, [])
        found = {
            i for row in itertools.islice(rows, ROWS_TO_SEARCH) for i, cell in enumerate(row) if CODE.fullmatch(cell)
        }
    return [names[i] for i in sorted(found) if i < len(names)]


def header(file: Path) -> list[str]:
    """Return the names of a CSV file's columns."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return next((names for names in csv.reader(stream) if names), [])


def check_header(file: Path) -> None:
    """Refuse names that the parser would change: repeated and empty ones.

    Raises:
        ValueError: says what is wrong.
    """
    with file.open(encoding="utf-8-sig", newline="") as stream:
        names = names_of(stream)
    check_names(names)


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


def check_names(names: list[str]) -> None:
    """Refuse names that the parser would change; see :func:`check_header`."""
    # With one column only, as a name may well contain a semicolon.
    if len(names) == 1 and (found := [sign for sign in ";\t|" if sign in names[0]]):
        raise ValueError(f"its header is separated by {found[0]!r} rather than a comma")
    if any(not name.strip() for name in names):
        number = next(i for i, name in enumerate(names, 1) if not name.strip())
        raise ValueError(f"column {number} has no name; an index is left out by to_csv(index=False)")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"it has the column {min(repeated)} twice")
