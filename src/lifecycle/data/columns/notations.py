"""Notations of times other than ISO 8601: days first, names of months, quarters, weeks, and numbers.

A notation converts a column to ISO dates, and writes later dates in the form of the column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import decimal_times

if TYPE_CHECKING:
    import pandas as pd

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

FIRST_OF_1900S = 40
"""A year of two digits from here on is of the 20th century, one before it of the 21st."""

CLOCK = r"(?:[T ]+(?P<clock>\d\d?:\d\d(?::\d\d)?))?"


@dataclass(frozen=True)
class Notation:
    """A way to write times.

    Attributes:
        name: for reports, such as ``"day/month/year"``.
        pattern: of a whole text, with the groups ``year``, ``month``, ``day``, ``quarter``, ``week``, ``clock``.
        write: returns a date in the form of a text that matches.
        numeric: whether whole numbers are read too.
        read: returns the ISO texts of a column, ``None`` if it has another notation; by default by the pattern.
    """

    name: str
    pattern: str
    write: Callable[[pd.Timestamp, str], str]
    numeric: bool = False
    read: Callable[[pd.Series[Any]], pd.Series[Any] | None] | None = None


def typical(texts: Iterable[str], notation: Notation) -> str:
    """Return the text that shows best how numbers are padded (the shortest) and names are written (the longest).

    Of decimal numbers it is the one with the most decimals.
    """
    if notation.read is not None:
        return max(texts, key=len)

    texts = list(texts)

    def key(text: str) -> tuple[int, int]:
        month = _parts(text, notation).get("month", "")
        return (-len(month) if month.isalpha() else 0, len(text))

    return _with_padding(min(texts, key=key), texts, notation)


NUMBERS = ("day", "month", "week")
"""Parts of a text that may be padded."""


def _parts(text: str, notation: Notation) -> dict[str, str]:
    found = re.fullmatch(notation.pattern, text, re.IGNORECASE)
    return {} if found is None else {name: part for name, part in found.groupdict().items() if part is not None}


def _with_padding(text: str, texts: list[str], notation: Notation) -> str:
    """Return a text whose numbers are padded as those of all texts: one text may show it of the day or of the month."""
    shortest: dict[str, str] = {}
    for one in texts:
        for name, part in _parts(one, notation).items():
            if name in NUMBERS and part.isdigit() and len(part) <= len(shortest.get(name, part)):
                # Of parts of two digits, one that begins with 0 says more.
                shortest[name] = min(part, shortest.get(name, part), key=lambda known: (len(known), known[0] != "0"))
    is_plain = any(len(part) == 1 for part in shortest.values())
    found = re.fullmatch(notation.pattern, text, re.IGNORECASE)
    assert found is not None  # noqa: S101 - the column has this notation
    for name in sorted(shortest, key=found.start, reverse=True):
        part = "1" if is_plain and not shortest[name].startswith("0") else shortest[name]
        text = text[: found.start(name)] + part + text[found.end(name) :]
    return text


def _same(part: str, value: int) -> str:
    """Return a number with as many digits as ``part`` where that begins with 0, else without leading zeros."""
    return f"{value:0{len(part)}d}" if len(part) > 1 else str(value)


def _year(like: str, year: int) -> str:
    return f"{year:04d}" if len(like) == 4 else f"{year % 100:02d}"


def _written(pattern: str) -> Callable[[pd.Timestamp, str], str]:
    """Return a writer that replaces each group of a text that matches the pattern."""

    def write(moment: pd.Timestamp, like: str) -> str:
        found = re.fullmatch(pattern, like, re.IGNORECASE)
        assert found is not None  # noqa: S101 - the column has this notation
        text = like
        values: dict[str, Callable[[str], str]] = {
            "year": lambda part: _year(part, moment.isocalendar().year if "week" in found.groupdict() else moment.year),
            "month": lambda part: _month(part, moment),
            "day": lambda part: _same(part, moment.day),
            "quarter": lambda part: str(moment.quarter),
            "week": lambda part: _same(part, moment.isocalendar().week),
            "clock": lambda part: moment.strftime("%H:%M:%S" if part.count(":") == 2 else "%H:%M"),
        }
        # From the end, so that the places of earlier groups stay.
        for name in sorted(found.groupdict(), key=found.start, reverse=True):
            if (part := found[name]) is not None:
                text = text[: found.start(name)] + values[name](part) + text[found.end(name) :]
        return text

    return write


def _month(part: str, moment: pd.Timestamp) -> str:
    if part.isdigit():
        return _same(part, moment.month)
    name = moment.strftime("%b" if len(part) == 3 else "%B")
    return name.upper() if part.isupper() else name.lower() if part.islower() else name


def _notation(name: str, pattern: str, numeric: bool = False) -> Notation:
    return Notation(name, pattern, _written(pattern), numeric)


NAME = r"(?P<month>[A-Za-z]{3,9})"
YEAR = r"(?P<year>\d{4})"
SHORT = r"(?P<year>\d{4}|\d\d)"
NOTATIONS = (
    _notation("yyyymmdd", r"(?P<year>(?:18|19|20|21)\d\d)(?P<month>\d\d)(?P<day>\d\d)", numeric=True),
    _notation("yyyymm", r"(?P<year>(?:18|19|20|21)\d\d)(?P<month>\d\d)", numeric=True),
    _notation("year and quarter", YEAR + r"[-/ ]?Q(?P<quarter>[1-4])"),
    _notation("quarter and year", r"Q(?P<quarter>[1-4])[-/ ]?" + YEAR),
    _notation("year and week", YEAR + r"[-/ ]?W(?P<week>\d\d?)"),
    _notation("year and M with month", YEAR + r"[-/ ]?M(?P<month>\d\d?)"),
    _notation("day/month/year", rf"(?P<day>\d\d?)[-/.](?P<month>\d\d?)[-/.](?P<year>\d{{4}}){CLOCK}"),
    _notation("month/day/year", rf"(?P<month>\d\d?)[-/.](?P<day>\d\d?)[-/.](?P<year>\d{{4}}){CLOCK}"),
    _notation("month/year", r"(?P<month>\d\d?)/(?P<year>\d{4})"),
    _notation("month name and year", NAME + r"[-/., ']{0,2}" + SHORT),
    _notation("year and month name", YEAR + r"[-/., ]{0,2}" + NAME),
    _notation("day, month name and year", r"(?P<day>\d\d?)[-/., ]{0,2}" + NAME + r"[-/., ]{0,2}" + SHORT + CLOCK),
    _notation("month name, day and year", NAME + r"[-/. ]{1,2}(?P<day>\d\d?)[-/., ]{1,2}" + SHORT + CLOCK),
    _notation("year, month name and day", YEAR + r"[-/., ]{0,2}" + NAME + r"[-/., ]{0,2}(?P<day>\d\d?)" + CLOCK),
    Notation("decimal year", "", decimal_times.write_part, read=decimal_times.parts_of_years),
    Notation("year.month", "", decimal_times.write_month, read=decimal_times.years_with_months),
)


def readings(column: pd.Series[Any]) -> list[tuple[Notation, pd.Series[Any]]]:
    """Return the notations that fit all values of a column, each with the ISO texts of the times.

    Args:
        column: texts or numbers, without missing values. A column of ISO dates has none.
    """
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or column.dtype.kind in "mMc" or not len(column):
        return []
    is_number = pd.api.types.is_numeric_dtype(column)
    written = column.astype(object).map(str).str.strip()
    found = []
    for notation in NOTATIONS:
        if notation.read is not None:
            if (iso := notation.read(column)) is not None:
                found.append((notation, iso))
            continue
        if (
            column.dtype.kind == "f"
            or is_number > notation.numeric
            or not written.str.fullmatch(notation.pattern, flags=re.IGNORECASE).all()
        ):
            continue
        if (iso := _iso(written.str.extract(rf"^{notation.pattern}$", flags=re.IGNORECASE))) is not None:
            found.append((notation, iso))
    return found


def _iso(parts: pd.DataFrame) -> pd.Series[Any] | None:
    """Return ISO texts of the parts of times, a column each; ``None``: some are no dates."""
    import pandas as pd

    year = parts["year"].astype(int)
    short = parts["year"].str.len() == 2
    year = year.where(~short, year + (year >= FIRST_OF_1900S).map({True: 1900, False: 2000}))
    if "week" in parts:
        text = year.astype(str).str.zfill(4) + "-W" + parts["week"].str.zfill(2) + "-1"
        dates = pd.to_datetime(text, format="%G-W%V-%u", errors="coerce")
        # Python accepts week 53 of any year.
        same = dates.dt.isocalendar().year == year if dates.notna().all() else None
        return None if same is None or not same.all() else dates.dt.strftime("%Y-%m-%d")
    if "quarter" in parts:
        month = (parts["quarter"].astype(int) - 1) * 3 + 1
    elif parts["month"].str.isdigit().all():
        month = parts["month"].astype(int)
    else:
        names = parts["month"].str.lower()
        month = names.str[:3].map({name: number for number, name in enumerate(MONTHS, 1)})
        if month.isna().any():
            return None
    text = year.astype(str).str.zfill(4) + "-" + month.astype(int).astype(str).str.zfill(2)
    if "day" in parts:
        text = text + "-" + parts["day"].str.zfill(2)
    dates = pd.to_datetime(text, format="%Y-%m-%d" if "day" in parts else "%Y-%m", errors="coerce")
    if dates.isna().any():
        return None
    if "clock" in parts and parts["clock"].notna().any():
        clock = parts["clock"].fillna("00:00").str.replace(r"^(\d):", r"0\1:", regex=True)
        return text + " " + clock
    return text
