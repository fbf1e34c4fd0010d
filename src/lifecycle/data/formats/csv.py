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
"""What stands for a missing number in a CSV file, beside an empty field."""

CODE = re.compile(r"0\d+")

ROWS_TO_JUDGE = 10_000


def _csv(file: Path) -> pd.DataFrame:
    import pandas as pd

    check_header(file)
    # pyarrow refuses rows that are too short or too long; pandas' own parsers fill or shift them.
    try:
        frame = pd.read_csv(file, engine="pyarrow", keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise csv_lines.explained_in(error, file) from error
    dated = [name for name in frame.columns if pd.api.types.is_datetime64_any_dtype(frame[name])]
    codes = [*codes_of(file), *dated]  # dates with a time of day stay as they are written, zone and all
    if codes:  # by themselves: told of one column's type, pandas lets no whole number of another be missing
        kinds = dict.fromkeys(codes, "str")
        texts = pd.read_csv(file, engine="pyarrow", keep_default_na=False, na_values=[""], usecols=codes, dtype=kinds)
        frame = frame.assign(**{name: texts[name] for name in codes})
    # "NA" among numbers is a missing one; among texts it is a word, such as the code of a country.
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]) and name not in codes:
            numbers, wrong = without_words(frame[name])
            if numbers.notna().any() and not wrong.any():
                frame[name] = numbers
    return frame


def without_words(column: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Return texts as numbers, with :data:`MISSING` words as missing; and whether each is a text that is no number."""
    import pandas as pd

    missing = column.isna() | column.isin(MISSING)
    numbers = pd.to_numeric(column.where(~missing), errors="coerce")
    return numbers, numbers.isna() & ~missing


def codes_of(file: Path) -> list[str]:
    """Return the columns that hold codes such as 007, judged by the first rows: a number would lose their zeros."""
    with file.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        rows = csv.reader(stream)
        names = next(rows, [])
        found = {
            i for row in itertools.islice(rows, ROWS_TO_JUDGE) for i, cell in enumerate(row) if CODE.fullmatch(cell)
        }
    return [names[i] for i in sorted(found) if i < len(names)]


def header(file: Path) -> list[str]:
    """Return the names of a CSV file's columns."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return next((names for names in csv.reader(stream) if names), [])


def check_header(file: Path) -> None:
    """Refuse what a parser would rename: a name that is there twice, or not at all."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        names = names_of(stream)
    check_names(names)


def names_of(lines: Iterable[str]) -> list[str]:
    """Return what the first line of a CSV file names that is not empty."""
    try:
        return next(filter(None, csv.reader(lines)), [])
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise ValueError(f"its first line is no names of columns: {error}") from error


def check_names(names: list[str]) -> None:
    """Refuse the names of a CSV file's columns that a parser would change."""
    if len(names) == 1 and (found := [sign for sign in ";\t|" if sign in names[0]]):
        raise ValueError(f"its header is separated by {found[0]!r} rather than a comma")
    if any(not name.strip() for name in names):
        number = next(i for i, name in enumerate(names, 1) if not name.strip())
        raise ValueError(f"column {number} has no name; an index is left out by to_csv(index=False)")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"it has the column {min(repeated)} twice")
