"""Dates and times in common notations, as moments of the local clock."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns.meaning.meaning import (
    CLOCK,
    DAY_FIRST,
    EPOCH,
    ISO,
    MONTH_FIRST,
    MONTH_NAME,
    QUARTER,
    WEEK,
    YYYYMM,
    YYYYMMDD,
)

if TYPE_CHECKING:
    import numpy as np

Moment = datetime.datetime
Match = re.Match[str]

NAMES = {
    "jan": 1, "januar": 1, "january": 1, "janvier": 1, "janv": 1,
    "feb": 2, "februar": 2, "february": 2, "février": 2, "févr": 2,
    "mar": 3, "march": 3, "märz": 3, "mär": 3, "mrz": 3, "mars": 3,
    "apr": 4, "april": 4, "avril": 4, "avr": 4,
    "may": 5, "mai": 5,
    "jun": 6, "june": 6, "juni": 6, "juin": 6,
    "jul": 7, "july": 7, "juli": 7, "juillet": 7, "juil": 7,
    "aug": 8, "august": 8, "août": 8,
    "sep": 9, "sept": 9, "september": 9, "septembre": 9,
    "oct": 10, "october": 10, "okt": 10, "oktober": 10, "octobre": 10,
    "nov": 11, "november": 11, "novembre": 11,
    "dec": 12, "december": 12, "dez": 12, "dezember": 12, "décembre": 12, "déc": 12,
}  # fmt: skip
"""Months in English, German and French; the locale of the machine does not count."""

NAME = rf"(?P<name>{'|'.join(sorted(NAMES, key=len, reverse=True))})\.?"
TIME = (
    r"(?:[T ,]+(?P<hour>\d\d?)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"\s?(?P<half>[AaPp]\.?[Mm]\.?)?)?(?: ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?))?"
)
DAY, MONTH, YEAR, SHORT = r"(?P<day>\d\d?)", r"(?P<month>\d\d?)", r"(?P<year>\d{4})", r"(?P<year>\d{4}|\d\d)"
WEEKDAY = r"(?:[A-Za-z]{2,9},? +)?"

FORMS: dict[str, list[str]] = {
    ISO: [rf"{YEAR}(?P<sep>[-/.]){MONTH}(?:(?P=sep){DAY}{TIME})?"],
    DAY_FIRST: [rf"{DAY}(?P<sep>[-/.]){MONTH}(?P=sep){SHORT}{TIME}"],
    MONTH_FIRST: [rf"{MONTH}(?P<sep>[-/.]){DAY}(?P=sep){SHORT}{TIME}"],
    MONTH_NAME: [
        rf"{NAME}[ .,'/-]*{SHORT}",
        rf"{WEEKDAY}{DAY}\.?[ /-]*{NAME}[ .,/-]*{SHORT}{TIME}",
        rf"{WEEKDAY}{NAME}[ ./-]*{DAY}(?:st|nd|rd|th)?[ ,./-]+{YEAR}{TIME}",
        rf"{YEAR}[ ./-]*{NAME}(?:[ ./-]*{DAY}{TIME})?",
    ],
    YYYYMMDD: [r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?:\.0+)?" + TIME],
    YYYYMM: [r"(?P<year>\d{4})(?P<month>\d\d)(?:\.0+)?"],
    QUARTER: [rf"{YEAR}[ /-]?[Qq](?P<quarter>[1-4])", rf"[Qq](?P<quarter>[1-4])[ /-]?{YEAR}"],
    WEEK: [rf"{YEAR}-?W(?P<week>\d\d)(?:-?(?P<weekday>[1-7]))?"],
    CLOCK: [
        r"(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?\s?(?P<half>[AaPp][Mm])?"
    ],
}
PATTERNS = {name: [re.compile(form, re.IGNORECASE) for form in forms] for name, forms in FORMS.items()}
"""Notation -> what such texts look like."""

INFERRED = (ISO, DAY_FIRST, MONTH_FIRST, MONTH_NAME, QUARTER, WEEK, CLOCK)
"""Notations of texts, in the order in which they are tried; whole numbers have others."""

PACKED = (YYYYMMDD, YYYYMM)
FEWEST_PACKED = 5
"""Different whole numbers that must all be dates before a column of numbers is taken for dates."""

YEARS = range(1900, 2101)
"""Years of dates written as whole numbers; others may well be amounts."""

PIVOT = 69
"""Two digits from here on are years after 1900, others after 2000, as in POSIX."""

MILLISECONDS = 1e11
"""Seconds since 1970 beyond this, in the year 5138, are milliseconds."""


@dataclass(frozen=True)
class Reading:
    """How texts are read as times.

    Attributes:
        notation: one of the notations.
        other: another notation that fits all texts as well; empty: there is none.
    """

    notation: str
    other: str = ""


def infer(texts: Sequence[str]) -> Reading | None:
    """Return the notation of the different texts of a column; ``None``: they are no times.

    >>> infer(["03/02/2021", "27/10/2020"]), infer(["03/02/2021"]), infer(["Basel"])
    (Reading(notation='day_first', other=''), Reading(notation='day_first', other='month_first'), None)
    """
    fitting = [notation for notation in INFERRED if fits(texts, notation)]
    if not fitting:
        return None
    # Days stand first where points separate them, and in most countries.
    both = {DAY_FIRST, MONTH_FIRST} <= set(fitting) and not all("." in text for text in texts)
    return Reading(fitting[0], MONTH_FIRST if both and fitting[0] == DAY_FIRST else "")


def infer_packed(numbers: np.ndarray[Any, Any]) -> str | None:
    """Return the notation of dates written as whole numbers, such as 20240131; ``None``: they are no dates.

    Args:
        numbers: the different values of a column, ``float64``.
    """
    import numpy as np

    if len(numbers) < FEWEST_PACKED or not np.isfinite(numbers).all() or (numbers != np.round(numbers)).any():
        return None
    for notation, digits in ((YYYYMMDD, 8), (YYYYMM, 6)):
        years = numbers // 10 ** (digits - 4)
        if years.min() >= YEARS.start and years.max() < YEARS.stop and fits([f"{n:.0f}" for n in numbers], notation):
            return notation
    return None


def fits(texts: Sequence[str], notation: str) -> bool:
    """Return whether all texts are written in a notation."""
    return bool(texts) and all(parse(text, notation) is not None for text in texts)


def parse(text: str, notation: str) -> Moment | None:
    """Return a text as a moment of the local clock; ``None``: it is not written in this notation.

    >>> parse("Feb-21", "month_name"), parse("2020-W05", "week"), parse("31/02/2020", "day_first")
    (datetime.datetime(2021, 2, 1, 0, 0), datetime.datetime(2020, 1, 27, 0, 0), None)
    """
    text = text.strip()
    if notation == EPOCH:
        return _epoch(text)
    for pattern in PATTERNS[notation]:
        found = pattern.fullmatch(text)
        if found is None:
            continue
        try:
            return _moment(found)
        except (ValueError, OverflowError):  # such as the 31st of February
            continue
    return None


def _moment(found: Match) -> Moment:
    parts = found.groupdict()
    year = _year(parts.get("year"))
    if parts.get("week"):
        date = datetime.date.fromisocalendar(year, int(parts["week"]), int(parts.get("weekday") or 1))
        return Moment(date.year, date.month, date.day)
    month = NAMES[parts["name"].lower()] if parts.get("name") else int(parts.get("month") or 1)
    if parts.get("quarter"):
        month = 3 * int(parts["quarter"]) - 2
    fraction = int(f"{parts.get('fraction') or 0:0<6}"[:6])
    minute, second = int(parts.get("minute") or 0), int(parts.get("second") or 0)
    return Moment(year, month, int(parts.get("day") or 1), _hour(parts), minute, second, fraction)


def _year(text: str | None) -> int:
    if text is None:
        return 1970  # a time of day
    return int(text) if len(text) == 4 else int(text) + (1900 if int(text) >= PIVOT else 2000)


def _hour(parts: dict[str, Any]) -> int:
    hour, half = int(parts.get("hour") or 0), parts.get("half")
    if not half:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError
    return hour % 12 + (12 if half[0] in "Pp" else 0)


def _epoch(text: str) -> Moment | None:
    try:
        seconds = float(text)
        seconds = seconds / 1000 if abs(seconds) > MILLISECONDS else seconds
        return Moment(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None


DAY_OF_MONTH, ELAPSED = "day", "elapsed"

PARTS = ("year", "month", "month_sin", "month_cos", DAY_OF_MONTH, "weekday", "weekday_sin", "weekday_cos", "hour",
         "hour_sin", "hour_cos", ELAPSED)  # fmt: skip
"""Numbers that a time is expanded into. ``elapsed``: days since the first training row."""

CYCLES = {"month": 12, "weekday": 7, "hour": 24}


def expand(moments: np.ndarray[Any, Any], wanted: Sequence[str] = PARTS) -> dict[str, np.ndarray[Any, Any]]:
    """Return the parts of times, ``(rows,) float64`` each, NaN where a time is missing.

    Args:
        moments: ``(rows,) datetime64``.
        wanted: the parts.

    Returns:
        :data:`PARTS`; months and weekdays count from 0 in the cycles, and from 1 in the numbers; ``elapsed`` are days
        since 1970.
    """
    import numpy as np
    import pandas as pd

    when = pd.DatetimeIndex(moments)
    counts: dict[str, Callable[[], Any]] = {
        "year": lambda: when.year,
        "month": lambda: when.month,
        DAY_OF_MONTH: lambda: when.day,
        "weekday": lambda: when.day_of_week + 1,
        "hour": lambda: when.hour + when.minute / 60 + when.second / 3600,
        ELAPSED: lambda: (when - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1),
    }
    names = dict.fromkeys(part.partition("_")[0] for part in wanted)
    found = {name: np.asarray(counts[name](), dtype=np.float64) for name in names}
    for name in [name for name in names if name in CYCLES]:
        angle = 2 * np.pi * (found[name] - (0 if name == "hour" else 1)) / CYCLES[name]
        found |= {f"{name}_sin": np.sin(angle), f"{name}_cos": np.cos(angle)}
    return {part: found[part] for part in wanted}


def varying(parts: Mapping[str, np.ndarray[Any, Any]]) -> list[str]:
    """Return the parts to learn from: those that vary in the training rows, and always the days that have elapsed.

    Args:
        parts: of the training rows, see :func:`expand`.
    """
    import numpy as np

    def varies(name: str) -> bool:
        present = parts[name][~np.isnan(parts[name])]
        return bool(len(present) and (present != present[0]).any())

    return kept({part: varies(part) for part in PARTS})


def kept(varies: Mapping[str, bool]) -> list[str]:
    """Return the parts to learn from, by whether each varies; see :func:`varying`."""
    by_name = {name: varies[name] for name in ("year", "month", DAY_OF_MONTH, "hour")}
    # Of months, which are written by their first or any other day, the weekday says nothing.
    by_name["weekday"] = varies[DAY_OF_MONTH] and varies["weekday"]
    return [part for part in PARTS if part == ELAPSED or by_name[part.partition("_")[0]]]
