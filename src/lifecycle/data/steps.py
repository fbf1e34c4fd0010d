"""The step between the times of a series: what it is, whether other times keep it, and the times that follow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NUMBER, MONTH, BUSINESS_DAY, MICROSECOND, NANOSECOND = "number", "month", "business day", "microsecond", "nanosecond"
CALENDAR = (MONTH, MICROSECOND, NANOSECOND, BUSINESS_DAY)
"""What dates may be counted in; the first in which they are evenly apart is theirs."""

LENGTHS = (
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
    ("second", 1_000_000),
    ("millisecond", 1000),
    ("microsecond", 1),
)

WRITTEN = re.compile(r"\d{4}(-\d\d)?(-\d\d)?(?:([T ])\d\d:\d\d(:\d\d)?(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?")
"""A time as a text: year, month, day, hour and minute, second, fraction, and how far from Greenwich."""


@dataclass(frozen=True)
class Step:
    """How far the times of a series are apart: a whole number of a unit."""

    unit: str
    size: int

    def __str__(self) -> str:
        if self.unit == NUMBER:
            return str(self.size)
        unit, size = self.unit, self.size
        if unit == MICROSECOND:
            unit, length = next((unit, length) for unit, length in LENGTHS if not size % length)
            size //= length
        return f"{size} {unit}{'s' if size != 1 else ''}"


def of(moments: pd.Series[Any]) -> Step | None:
    """Return the step of times in order; ``None``: they are not evenly apart, or fewer than two.

    Args:
        moments: whole numbers, or dates in UTC, as :func:`lifecycle.data.times.moments` returns them.
    """
    import numpy as np

    if len(moments) < 2:
        return None
    for unit in CALENDAR if _are_dates(moments) else (NUMBER,):
        counted = count(moments, unit)
        if counted is None:
            continue
        sizes = np.unique(np.diff(counted))
        if len(sizes) == 1 and (unit != BUSINESS_DAY or sizes[0] == 1):
            return Step(unit, int(sizes[0]))
    return None


def keep(moments: pd.Series[Any], step: Step) -> bool:
    """Tell whether times in order are such a step apart, in whatever else they could be counted."""
    import numpy as np

    counted = count(moments, step.unit)
    return counted is not None and bool((np.diff(counted) == step.size).all())


def count(moments: pd.Series[Any], unit: str) -> np.ndarray[Any, Any] | None:
    """Return times as whole numbers of a unit, ``(times,) int64``; ``None``: they are not to be counted in it."""
    import numpy as np

    if not _are_dates(moments):
        return moments.to_numpy(dtype=np.int64) if unit == NUMBER else None
    if unit == MONTH:
        months = moments.dt.year * 12 + moments.dt.month
        return months.to_numpy(dtype=np.int64) if _are_monthly(moments) else None
    if unit == BUSINESS_DAY:
        if not _same_clock(moments) or not bool((moments.dt.day_of_week < 5).all()):
            return None
        days = moments.dt.tz_localize(None).to_numpy().astype("datetime64[D]")
        return np.asarray(np.busday_count(np.datetime64("1970-01-01"), days), dtype=np.int64)
    return _in_fractions(moments, unit)


def _in_fractions(moments: pd.Series[Any], unit: str) -> np.ndarray[Any, Any] | None:
    """Return microseconds since 1970; or nanoseconds, where there are such."""
    import numpy as np

    in_nanoseconds = moments.dt.unit == "ns" and bool((moments.astype("int64") % 1000).any())
    if unit == MICROSECOND:
        return None if in_nanoseconds else moments.dt.as_unit("us").astype("int64").to_numpy(dtype=np.int64)
    return moments.astype("int64").to_numpy(dtype=np.int64) if unit == NANOSECOND and in_nanoseconds else None


def after(moments: pd.Series[Any], step: Step, number: int) -> pd.Series[Any]:
    """Return the next times, as whole numbers or dates in UTC.

    Args:
        moments: the times before them, in order.
        step: how far they are apart.
        number: how many.
    """
    import numpy as np
    import pandas as pd

    last, ahead = moments.iloc[-1], range(1, number + 1)
    if step.unit == NUMBER:
        return pd.Series(np.int64(last) + step.size * np.arange(1, number + 1, dtype=np.int64))
    if step.unit == MONTH:
        at_end = pd.offsets.MonthEnd(0) if moments.dt.is_month_end.all() else pd.Timedelta(0)
        return pd.Series([last + pd.DateOffset(months=step.size * each) + at_end for each in ahead])
    if step.unit == BUSINESS_DAY:
        return pd.Series([last + pd.offsets.BusinessDay(step.size * each) for each in ahead])
    length = pd.Timedelta(step.size, "us" if step.unit == MICROSECOND else "ns")
    return pd.Series([last + each * length for each in ahead])


def written_like(found: pd.Series[Any], column: pd.Series[Any]) -> pd.Series[Any]:
    """Return times as a column of the user's writes its own: of its type, or texts with as much of a date.

    Args:
        found: whole numbers or dates in UTC.
        column: the user's.
    """
    import datetime

    import pandas as pd

    if not _are_dates(found):
        return found.astype(column.dtype) if pd.api.types.is_numeric_dtype(column) else found.astype(str)
    if pd.api.types.is_datetime64_any_dtype(column):
        zone = column.dt.tz
        local = found.dt.tz_localize(None) if zone is None else found.dt.tz_convert(zone)
        return pd.Series(local.astype(column.dtype))
    first = column.iloc[0]
    if isinstance(first, datetime.datetime):
        return pd.Series([each if first.tzinfo else each.tz_localize(None) for each in found], dtype=object)
    if isinstance(first, datetime.date):
        return pd.Series([each.date() for each in found], dtype=object)
    longest = max(map(str, column), key=len)  # "2020-01-31" may stand beside "2020-01-31 12:00"
    return pd.Series([_text(each, longest) for each in found], dtype=object)


def _text(moment: pd.Timestamp, like: str) -> str:
    import pandas as pd

    parts = WRITTEN.fullmatch(like)
    if parts is None:
        return moment.tz_localize(None).isoformat()
    month, day, between, second, fraction, zone = parts.groups()
    if zone and zone != "Z":
        moment = moment.tz_convert(pd.Timestamp(like).tz)
    text = moment.strftime("%Y" + "-%m" * bool(month) + "-%d" * bool(day))
    if between:
        text += between + moment.strftime("%H:%M" + ":%S" * bool(second))
    if fraction:
        text += "." + f"{moment.microsecond:06}{moment.nanosecond:03}"[: len(fraction)]
    return text + (zone or "")


def _are_dates(moments: pd.Series[Any]) -> bool:
    return moments.dtype.kind == "M"


def _are_monthly(moments: pd.Series[Any]) -> bool:
    """Tell whether all times are the same moment of a month, or of its last day: months have different lengths."""
    same_day = moments.dt.day.nunique() == 1 or bool(moments.dt.is_month_end.all())
    return _same_clock(moments) and same_day


def _same_clock(moments: pd.Series[Any]) -> bool:
    return bool((moments - moments.dt.normalize()).nunique() == 1)
