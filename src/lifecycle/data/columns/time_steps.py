"""The step between the times of a series, and the times that follow the last one."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NUMBER, MONTH, BUSINESS_DAY, MICROSECOND, NANOSECOND = "number", "month", "business day", "microsecond", "nanosecond"

CALENDAR = (MONTH, MICROSECOND, NANOSECOND, BUSINESS_DAY)
"""Units of the step between dates; the first in which the steps are equal is used."""

# In microseconds.
LENGTHS = (
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
    ("second", 1_000_000),
    ("millisecond", 1000),
    ("microsecond", 1),
)

DAY = {MICROSECOND: 86_400_000_000, NANOSECOND: 86_400_000_000_000}
"""The length of a day in each unit of fixed length."""


@dataclass(frozen=True)
class Moments:
    """The times of a series.

    Attributes:
        instants: whole numbers, ``int64``, or dates in UTC.
        local: the same numbers, or the dates in local time, without the zone.
        zone: of the dates; ``None``: they have none, or each has its own offset from UTC.
    """

    instants: pd.Series[Any]
    local: pd.Series[Any]
    zone: datetime.tzinfo | None = None

    def at(self, positions: np.ndarray[Any, Any]) -> Moments:
        """Return the times at some positions."""
        return Moments(self.instants.iloc[positions], self.local.iloc[positions], self.zone)

    @property
    def last_zone(self) -> datetime.tzinfo:
        """The zone of the last time, or else its offset from UTC."""
        offset = self.local.iloc[-1] - self.instants.iloc[-1].tz_localize(None)
        return self.zone or datetime.timezone(offset.to_pytimedelta())


@dataclass(frozen=True)
class TimeStep:
    """The step between the times of a series: a whole number of a unit."""

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


def step_of(moments: Moments) -> TimeStep | None:
    """Return the step of sorted times; ``None``: the steps differ, or there are fewer than two times.

    Days are counted in local time, where a day may have 23 or 25 hours; shorter units are counted in UTC.
    """
    import numpy as np

    if len(moments.instants) < 2:
        return None
    # Months first: they have different lengths, and only in this unit are their steps equal. Business days last: also
    # days of a single week from Monday to Friday could be counted in them.
    for unit in CALENDAR if are_dates(moments.instants) else (NUMBER,):
        for counted in _counts(moments, unit):
            sizes = np.unique(np.diff(counted))
            # Steps of several business days would be confused with weeks.
            if len(sizes) == 1 and (unit != BUSINESS_DAY or sizes[0] == 1):
                return TimeStep(unit, int(sizes[0]))
    return None


def has_step(moments: Moments, step: TimeStep) -> bool:
    """Return whether sorted times have a step, even if they have another one in another unit."""
    import numpy as np

    return any(bool((np.diff(counted) == step.size).all()) for counted in _counts(moments, step.unit))


def count(moments: Moments, unit: str) -> np.ndarray[Any, Any] | None:
    """Return times as whole numbers of a unit, ``(times,) int64``; ``None``: the unit does not fit them."""
    return next(iter(_counts(moments, unit)), None)


def _counts(moments: Moments, unit: str) -> list[np.ndarray[Any, Any]]:
    """Return the ways to count times in a unit: in local time and in UTC, the more plausible one first."""
    import numpy as np

    local = moments.local
    if not are_dates(local):
        return [local.to_numpy(dtype=np.int64)] if unit == NUMBER else []
    if unit == MONTH:
        months = local.dt.year * 12 + local.dt.month
        return [months.to_numpy(dtype=np.int64)] if _are_monthly(local) else []
    if unit == BUSINESS_DAY:
        if not _same_clock(local) or not bool((local.dt.day_of_week < 5).all()):
            return []
        days = local.to_numpy().astype("datetime64[D]")  # the only unit that NumPy counts business days in
        return [np.asarray(np.busday_count(np.datetime64("1970-01-01"), days), dtype=np.int64)]
    clocks = [moments.instants, local]
    found = [_in_fractions(clock, unit) for clock in (reversed(clocks) if _same_clock(local) else clocks)]
    return [counted for counted in found if counted is not None]


def _in_fractions(dates: pd.Series[Any], unit: str) -> np.ndarray[Any, Any] | None:
    """Return microseconds since 1970; or nanoseconds, where the dates need them."""
    import numpy as np

    in_nanoseconds = dates.dt.unit == "ns" and bool((dates.astype("int64") % 1000).any())
    if unit == MICROSECOND:
        return None if in_nanoseconds else dates.dt.as_unit("us").astype("int64").to_numpy(dtype=np.int64)
    return dates.astype("int64").to_numpy(dtype=np.int64) if unit == NANOSECOND and in_nanoseconds else None


def following(moments: Moments, step: TimeStep, number: int) -> pd.Series[Any]:
    """Return the times after the last one, as whole numbers, or as dates in its zone.

    Args:
        moments: sorted times.
        step: between the times.
        number: of times to return.
    """
    import numpy as np
    import pandas as pd

    last, ahead = moments.local.iloc[-1], range(1, number + 1)
    if step.unit == NUMBER:
        return pd.Series(np.int64(last) + step.size * np.arange(1, number + 1, dtype=np.int64))
    if step.unit == MONTH:
        # After January 31st and February 28th comes March 31st.
        at_end = pd.offsets.MonthEnd(0) if moments.local.dt.is_month_end.all() else pd.Timedelta(0)
        found = [last + pd.DateOffset(months=step.size * each) + at_end for each in ahead]
    elif step.unit == BUSINESS_DAY:
        found = [last + pd.offsets.BusinessDay(step.size * each) for each in ahead]
    else:
        length = pd.Timedelta(step.size, "us" if step.unit == MICROSECOND else "ns")
        if not _by_local_clock(moments, step):
            found = [moments.instants.iloc[-1] + each * length for each in ahead]
            return pd.Series(found).dt.tz_convert(moments.last_zone)
        found = [last + each * length for each in ahead]
    # When clocks are set back, take the first of two equal local times; when set forward, the next one that exists.
    first = np.ones(number, dtype=bool)  # True means summer time, which is the earlier of the two
    return pd.Series(found).dt.tz_localize(moments.last_zone, ambiguous=first, nonexistent="shift_forward")


def _by_local_clock(moments: Moments, step: TimeStep) -> bool:
    """Return whether to count steps of a fixed length in local time: whole days, if the times agree with that."""
    import numpy as np

    on_local, in_utc = (
        counted is not None and bool((np.diff(counted) == step.size).all())
        for counted in (_in_fractions(clock, step.unit) for clock in (moments.local, moments.instants))
    )
    return on_local if step.size % DAY[step.unit] == 0 else not in_utc


def are_dates(dates: pd.Series[Any]) -> bool:
    """Return whether times are dates rather than whole numbers."""
    return dates.dtype.kind == "M"


def _are_monthly(dates: pd.Series[Any]) -> bool:
    """Return whether all times are at the same day of the month, or its last day, and at the same time of day."""
    same_day = dates.dt.day.nunique() == 1 or bool(dates.dt.is_month_end.all())
    return _same_clock(dates) and same_day


def _same_clock(dates: pd.Series[Any]) -> bool:
    """Return whether all dates have the same time of day."""
    return bool((dates - dates.dt.normalize()).nunique() == 1)
