"""The times of a series: parsing, order, the regular step between them, and the times that follow."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError, Setting

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

WRITTEN = re.compile(
    r"\d{4}(?:([-/.]?)(\d\d?)(?:\1(\d\d?))?)?"
    r"(?:([T ])\d\d(:?\d\d)?(:?\d\d)?(?:\.(\d{1,9}))?)?( ?)(Z|[+-]\d\d(?::?\d\d)?)?"
)
"""A time as a text. Groups: separator, month, day, T or space, minute, second, fraction, space, offset from UTC."""

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
    for unit in CALENDAR if _are_dates(moments.instants) else (NUMBER,):
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
    if not _are_dates(local):
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


def written_like(found: pd.Series[Any], column: pd.Series[Any]) -> pd.Series[Any]:
    """Return times in the dtype of a column, and texts in its format.

    Args:
        found: whole numbers, or dates in a zone.
        column: the user's column of times, sorted.
    """
    import pandas as pd

    if not _are_dates(found):
        return found.astype(column.dtype) if pd.api.types.is_numeric_dtype(column) else found.astype(str)
    local = found.dt.tz_localize(None)
    if pd.api.types.is_numeric_dtype(column):  # years
        return pd.Series(local.dt.year.astype(column.dtype))
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.Series((local if column.dt.tz is None else found).astype(column.dtype))
    last = column.iloc[-1]
    # Before date, of which datetime is a subclass.
    if isinstance(last, datetime.datetime):
        return pd.Series(list(found if last.tzinfo else local), dtype=object)
    if isinstance(last, datetime.date):
        return pd.Series([each.date() for each in local], dtype=object)
    longest = max(map(str, column), key=len)  # "2020-01-31" may be followed by "2020-01-31 12:00"
    return pd.Series([_text(each, longest, str(last)) for each in found], dtype=object)


def _text(moment: pd.Timestamp, like: str, last: str) -> str:
    """Return a time in its zone with the same parts as ``like``, and the offset from UTC written as in ``last``."""
    parts, ending = WRITTEN.fullmatch(like.strip()), WRITTEN.fullmatch(last.strip())
    if parts is None or ending is None:
        return moment.tz_localize(None).isoformat()
    separator, month, day, before_time, minute, second, fraction, space, _ = parts.groups()
    text = moment.strftime("%Y" + f"{separator}%m" * bool(month) + f"{separator}%d" * bool(day))
    if before_time:
        text += before_time + moment.strftime("%H" + _same_colon(minute, "%M") + _same_colon(second, "%S"))
    if fraction:
        text += "." + f"{moment.microsecond:06}{moment.nanosecond:03}"[: len(fraction)]
    return text + space + _offset(moment, ending.groups()[-1])


def _same_colon(written: str | None, form: str) -> str:
    """Return ``form``, after a colon where ``written`` begins with one; an empty text where ``written`` is ``None``."""
    return "" if written is None else ":" * written.startswith(":") + form


def _offset(moment: pd.Timestamp, like: str | None) -> str:
    """Return the offset from UTC in the form of ``like``: ``Z``, ``+01``, ``+0100`` or ``+01:00``; ``None``: empty."""
    if like is None or like == "Z":
        return like or ""
    written = moment.strftime("%z")  # +0100
    return written if len(like) == 5 else written[:3] + f":{written[3:5]}" * (len(like) > 3)


def _are_dates(dates: pd.Series[Any]) -> bool:
    return dates.dtype.kind == "M"


def _are_monthly(dates: pd.Series[Any]) -> bool:
    """Return whether all times are at the same day of the month, or its last day, and at the same time of day."""
    same_day = dates.dt.day.nunique() == 1 or bool(dates.dt.is_month_end.all())
    return _same_clock(dates) and same_day


def _same_clock(dates: pd.Series[Any]) -> bool:
    """Return whether all dates have the same time of day."""
    return bool((dates - dates.dt.normalize()).nunique() == 1)


ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)? ?(Z|[+-]\d\d(:?\d\d)?)?)?")
"""A date, or a date with a time of day, as a text."""

OFFSET = r"[T ]\d.*?(Z|[+-]\d\d(?::?\d\d)?)$"
"""The end of a text with an offset from UTC."""

PACKED = {"%Y%m": (r"\d{6}", "1960-01"), "%Y%m%d": (r"\d{8}", "1960-01-31")}
"""Dates written as whole numbers, by their format: what they look like, and how to write them."""

WITHOUT_TIMES = ("leave ", Setting("data.time"), " out, and rows are taken in their order in the file, one step apart.")


def order(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return the positions that sort a column of times, ``(rows,) int64``.

    Args:
        column: whole numbers such as years, dates, or texts such as ``1960-01``, ``1960-01-31``, ``1960-01-31 12:00``.

    Raises:
        RequestError: a value is not a time, a time is repeated, or the steps differ.
    """
    import numpy as np

    read, written = moments(column), texts(column)
    found = np.argsort(read.instants.to_numpy(), kind="stable")
    in_order = read.at(found)
    twice = np.flatnonzero(in_order.instants.diff().iloc[1:].astype("int64") == 0)
    if len(twice):
        first, second = sorted(int(position) for position in found[twice[0] : twice[0] + 2])
        problem = f"is {written[first]} in row {first} and again in row {second}"
        raise RequestError(_key(column), problem, remedy="Keep one of them.")
    if len(column) > 1 and step_of(in_order) is None:
        check_packed(column)  # a clearer message where the numbers are dates
        raise _uneven(in_order, written[found], column)
    return found


def step(column: pd.Series[Any]) -> TimeStep | None:
    """Return the step between the times of rows in any order; ``None`` for a single row.

    Raises:
        RequestError: see :func:`order`.
    """
    return step_of(moments(column).at(order(column)))


def check_step(column: pd.Series[Any], trained: TimeStep) -> None:
    """Check that times have the step that a model was trained on.

    Raises:
        RequestError: names both steps; or see :func:`order`.
    """
    column = _as_trained(column, trained)
    in_order = moments(column).at(order(column))
    if len(column) > 1 and not has_step(in_order, trained):
        problem = f"has steps of {step_of(in_order)}, and this model was trained on steps of {trained}"
        raise RequestError(_key(column), problem, remedy="Give rows that are as far apart as those.")


def after(column: pd.Series[Any], number: int, trained: TimeStep | None) -> pd.Series[Any]:
    """Return the times that follow those of a column, in its dtype and format.

    Args:
        column: the times, in any order of rows.
        number: of times to return.
        trained: the step that the model was trained on; ``None``: not recorded.

    Raises:
        RequestError: the step is not known, as there is only one time; or see :func:`order`.
    """
    in_time = column.iloc[order(column)]
    in_order = moments(_as_trained(in_time, trained))
    by = trained or step_of(in_order)
    if by is None:
        raise RequestError(_key(column), "has only one time, which shows no step", remedy="Give one more row.")
    return written_like(following(in_order, by, number), in_time)


def _as_trained(column: pd.Series[Any], trained: TimeStep | None) -> pd.Series[Any]:
    """Return years as numbers or dates, as in the training rows: one file has 1990, another "1990"."""
    import pandas as pd

    if trained is None:
        return column
    is_number, found = pd.api.types.is_numeric_dtype(column), column
    if trained.unit == NUMBER and not is_number and column.map(str).str.fullmatch(r"\d+").all():
        found = column.astype(object).map(int)
    if trained.unit == MONTH and is_number and not pd.api.types.is_bool_dtype(column):
        found = pd.Series(moments(column).instants.map(str).array, index=column.index, name=str(column.name))
    return found


def texts(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return times as texts in the form of their source; dates without ``00:00:00``, unless they have a zone."""
    import numpy as np
    import pandas as pd

    written = column.astype(object).map(str)
    if pd.api.types.is_datetime64_any_dtype(column) and column.dt.tz is None:
        dates = column.dt.normalize()
        written = column.dt.strftime("%Y-%m-%d") if (column == dates).all() else written
    return np.array(written, dtype=object)


def are_times(values: Iterable[Any]) -> bool:
    """Return whether all texts are dates, with or without a time of day; ``False`` without any text.

    >>> are_times(["2024-01-31 12:00", "2024-02-29"]), are_times(["2024-01-31", "never"]), are_times([])
    (True, False, False)
    """
    found = False
    for value in values:
        if not isinstance(value, str) or not ISO.fullmatch(value.strip()):
            return False
        found = True
    return found


def moments(column: pd.Series[Any]) -> Moments:
    """Return times as numbers or dates.

    Raises:
        RequestError: a value is not a time; names its row.
    """
    import numpy as np
    import pandas as pd

    column = column.reset_index(drop=True).infer_objects()  # objects of Python's datetime become datetime64
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        numbers = column.to_numpy(dtype=float, na_value=float("nan"))
        # Beyond 2^53 neighbouring whole numbers are equal in float64.
        _check_each(column, (numbers == np.round(numbers)) & (np.abs(numbers) < 2**53))
        whole = pd.Series(numbers.astype(np.int64))
        return Moments(whole, whole)
    if pd.api.types.is_datetime64_any_dtype(column):
        return _of_dates(column)
    written = column.astype(object).map(str).str.strip()
    # Without four digits at the beginning, pandas would accept texts such as "now".
    # utc=True, as pandas refuses several offsets in one column, such as those of summer and winter time.
    parsed = pd.to_datetime(written.where(written.str.match(r"\d{4}")), format="ISO8601", utc=True, errors="coerce")
    _check_each(column, parsed.notna().to_numpy())
    offsets = written.str.extract(OFFSET, expand=False)
    _check_offsets(column, offsets.notna().to_numpy())
    # pandas converts to UTC and drops the offsets, which are needed for local time.
    parts = offsets.str.extract(r"([+-])(\d\d):?(\d\d)?").fillna("0")
    minutes: pd.Series[Any] = (parts[1].astype(int) * 60 + parts[2].astype(int)) * np.where(parts[0] == "-", -1, 1)
    return Moments(parsed, parsed.dt.tz_localize(None) + pd.to_timedelta(minutes, unit="min"))


def _of_dates(column: pd.Series[Any]) -> Moments:
    """Return the dates of a column with a datetime dtype, NumPy's or Arrow's."""
    import pandas as pd

    _check_each(column, column.notna().to_numpy())
    dates = pd.Series(pd.DatetimeIndex(column))
    if dates.dt.tz is None:
        return Moments(dates.dt.tz_localize("UTC"), dates)
    return Moments(dates.dt.tz_convert("UTC"), dates.dt.tz_localize(None), dates.dt.tz)


def _check_offsets(column: pd.Series[Any], has_one: np.ndarray[Any, Any]) -> None:
    """Refuse a column in which only some times have an offset: the zone of the others is unknown."""
    import numpy as np

    if has_one.any() and not has_one.all():
        with_one, without = int(np.flatnonzero(has_one)[0]), int(np.flatnonzero(~has_one)[0])
        raise RequestError(
            _key(column),
            f"is {column.iloc[with_one]} in row {with_one}, with an offset from UTC, and {column.iloc[without]} in row "
            f"{without}, without one",
            remedy="Write all of them with it, or none.",
        )


def check_packed(column: pd.Series[Any]) -> None:
    """Refuse dates written as whole numbers: the month after 196012 is 196101, not 196013.

    Raises:
        RequestError: the column holds such dates; says how to write them.
    """
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        return
    written = moments(column).instants.astype(str)
    for form, (digits, example) in PACKED.items():
        # Years from 1800 to 2199: other whole numbers of as many digits may well be positions.
        if not (written.str.fullmatch(digits) & written.str[:2].isin(["18", "19", "20", "21"])).all():
            continue
        if pd.to_datetime(written, format=form, errors="coerce").notna().all():
            raise RequestError(
                _key(column),
                f"holds {written.iloc[0]}, a whole number that looks like a date",
                remedy=[f"Write dates as {example}, or ", *WITHOUT_TIMES],
            )


def _check_each(column: pd.Series[Any], fits: np.ndarray[Any, Any]) -> None:
    """Refuse the first value that is not a time, by ``fits`` ``(rows,) bool``."""
    import numpy as np

    wrong = np.flatnonzero(~fits)
    if len(wrong):
        raise RequestError(
            _key(column),
            f"is {column.iloc[wrong[0]]} in row {wrong[0]}, which is no time",
            remedy="Write times as 1960, 1960-01, 1960-01-31 or 1960-01-31 12:00.",
        )


def _key(column: pd.Series[Any]) -> Setting:
    return Setting("data.time", column.name)


def _uneven(in_order: Moments, written: np.ndarray[Any, Any], column: pd.Series[Any]) -> RequestError:
    """Return the error of a step that is not the usual one."""
    import numpy as np

    units = (NUMBER, *CALENDAR)
    # In the coarsest unit that fits: a missing month is then one uneven step among equal ones.
    counted = next(found for unit in units if (found := count(in_order, unit)) is not None)
    apart = np.diff(counted)
    sizes, counts = np.unique(apart, return_counts=True)
    place = int(np.flatnonzero(apart != sizes[counts.argmax()])[0])
    return RequestError(
        _key(column),
        f"has steps of different lengths: {written[place]} is followed by {written[place + 1]}",
        remedy=["Add the rows that are missing, or ", *WITHOUT_TIMES],
    )
