"""Durations as people and programs write them, in seconds: ``0 days 01:02:03``, ``1:02:03``, ``P1DT2H``, ``2h 50m``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

DAY, HOUR, MINUTE = 86_400, 3_600, 60

UNITS = {
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 7 * DAY),
    **dict.fromkeys(("d", "day", "days"), DAY),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), HOUR),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
}
"""Unit -> seconds. Months and years have no fixed length."""

NUMBER = r"\d{1,12}(?:[.,]\d{1,12})?"
PART = re.compile(rf"({NUMBER})\s*({'|'.join(sorted(UNITS, key=len, reverse=True))})(?![^\W\d_])\.?", re.IGNORECASE)
PARTS = re.compile(rf"(-)?\s*{PART.pattern}(?:(?:\s*,\s*|\s+and\s+|\s*){PART.pattern})*", re.IGNORECASE)
"""Numbers with units, such as ``2h 50m`` and ``1 hour, 20 minutes``."""

ISO = re.compile(
    rf"([+-])?P(?:({NUMBER})W)?(?:({NUMBER})D)?(?:T(?=\d)(?:({NUMBER})H)?(?:({NUMBER})M)?(?:({NUMBER})S)?)?",
    re.IGNORECASE,
)
ISO_SECONDS = (7 * DAY, DAY, HOUR, MINUTE, 1)

CLOCK = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d{1,9}) days?,? )?(?P<inner>[+-])?(?P<hours>\d{1,9}):(?P<minutes>[0-5]\d)"
    r"(?::(?P<seconds>[0-5]\d(?:[.,]\d{1,12})?))?",
    re.IGNORECASE,
)
"""Hours, minutes and seconds after days, as pandas and Python write them."""

LAP = re.compile(r"(-)?(\d{1,9}):([0-5]\d[.,]\d{1,12})")
"""Minutes and seconds with a fraction, such as ``1:58.3``."""


@dataclass(frozen=True)
class Token:
    """A duration as it is written.

    Attributes:
        seconds: its length.
        is_certain: it is no time of day.
        hours: as written, of a text that may be a time of day.
        has_seconds: whether such a text has them.
        units: of numbers with units.
    """

    seconds: float
    is_certain: bool = False
    hours: str = ""
    has_seconds: bool = False
    units: tuple[int, ...] = ()


def token(text: str) -> Token | None:
    """Return a text as a duration; ``None``: it is none."""
    text = text.strip()
    if found := CLOCK.fullmatch(text):
        return _clock(found)
    if found := LAP.fullmatch(text):
        return Token(_signed(found[1], int(found[2]) * MINUTE + _float(found[3])), is_certain=True)
    if (found := ISO.fullmatch(text)) and any(found.groups()[1:]):
        parts = zip(found.groups()[1:], ISO_SECONDS, strict=True)
        return Token(_signed(found[1], sum(_float(part) * unit for part, unit in parts if part)), is_certain=True)
    if found := PARTS.fullmatch(text):
        pairs = [(_float(number), UNITS[unit.lower()]) for number, unit in PART.findall(text)]
        return Token(_signed(found[1], sum(a * b for a, b in pairs)), units=tuple(unit for _, unit in pairs))
    return None


def _clock(found: re.Match[str]) -> Token:
    hours, minutes, seconds = int(found["hours"]), int(found["minutes"]), _float(found["seconds"] or "0")
    of_day = _signed(found["inner"], hours * HOUR + minutes * MINUTE + seconds)
    if found["days"] is None:
        is_certain = hours > 23 or found["sign"] is not None or found["inner"] is not None
        value = _signed(found["sign"], of_day)
        return Token(value, is_certain, found["hours"], found["seconds"] is not None)
    # -1 days +23:00:00 is an hour before zero, in Python as well: -1 day, 23:00:00.
    return Token(_signed(found["sign"], int(found["days"]) * DAY) + of_day, is_certain=True)


def _signed(sign: str | None, value: float) -> float:
    return -value if sign == "-" else value


def _float(text: str) -> float:
    return float(text.replace(",", "."))


def parse(text: str) -> float | None:
    """Return the seconds of a duration; ``None``: it is none.

    >>> parse("0 days 01:02:03"), parse("-1 days +23:00:00"), parse("P1DT2H"), parse("2h 50m"), parse("Basel")
    (3723.0, -3600.0, 93600.0, 10200.0, None)
    """
    found = token(text)
    return None if found is None else float(found.seconds)


def are_durations(texts: Sequence[str], is_target: bool = False) -> bool:
    """Return whether the different texts of a column are durations, rather than times of day or numbers of one unit.

    Args:
        texts: the different texts.
        is_target: whether the column is predicted; times of day would be classes.

    >>> are_durations(["1:02:03", "0:59:12"]), are_durations(["09:30:00", "18:00:00"]), are_durations(["3 h", "45 min"])
    (True, False, True)
    """
    found = []
    for text in texts:
        if (one := token(text)) is None:
            return False
        found.append(one)
    if any(one.is_certain for one in found):
        return True
    units = [one.units for one in found if one.units]
    if units:
        # Numbers of one unit stay numbers in that unit. Minutes and days alone may be metres and something else.
        known = {unit for of_one in units for unit in of_one}
        return len(units) < len(found) or (len(known) > 1 and known != {MINUTE, DAY})
    if not all(one.has_seconds for one in found):
        return is_target
    # Times of day have two digits, or hours above 9 as well; and other hours than 0.
    return is_target or all(len(one.hours) == 1 for one in found) or all(int(one.hours) == 0 for one in found)
