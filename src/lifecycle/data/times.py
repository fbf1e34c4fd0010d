"""The times of a series: read, put in order, checked to be one regular step apart, and carried on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lifecycle.data import steps
from lifecycle.data.steps import Moments, Step
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)? ?(Z|[+-]\d\d(:?\d\d)?)?)?")
"""A date, or a date with a time of day, as a text."""

OFFSET = r"[T ]\d.*?(Z|[+-]\d\d(?::?\d\d)?)$"
"""The end of a text with an offset from UTC."""

PACKED = {"%Y%m": (r"\d{6}", "1960-01"), "%Y%m%d": (r"\d{8}", "1960-01-31")}
"""Dates written as whole numbers, by their format: what they look like, and how to write them."""

CURE = "Add the rows that are missing, or leave data.time out, and rows are taken as they stand, one step apart"


def order(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return the positions of a column of times from the first time to the last.

    Args:
        column: whole numbers such as years, dates, or texts such as ``1960-01``, ``1960-01-31``, ``1960-01-31 12:00``.

    Raises:
        RequestError: a time is none, is there twice, or is not one step after the one before it.
    """
    import numpy as np

    read, shown = moments(column), texts(column)
    found = np.argsort(read.instants.to_numpy(), kind="stable")
    in_order = read.at(found)
    twice = np.flatnonzero(in_order.instants.diff().iloc[1:].astype("int64") == 0)
    if len(twice):
        first, second = sorted(int(position) for position in found[twice[0] : twice[0] + 2])
        raise RequestError(
            f"data.time={column.name} is {shown[first]} in row {first} and again in row {second}. Keep one of them."
        )
    if len(column) > 1 and steps.of(in_order) is None:
        check_packed(column)
        raise _uneven(in_order, shown[found], str(column.name))
    return found


def step(column: pd.Series[Any]) -> Step | None:
    """Return how far times are apart, in any order of rows; ``None`` of a single one.

    Raises:
        RequestError: see :func:`order`.
    """
    return steps.of(moments(column).at(order(column)))


def check_step(column: pd.Series[Any], trained: Step) -> None:
    """Refuse times that are further apart, or less far, than those that a model was trained on.

    Raises:
        RequestError: names both steps; or see :func:`order`.
    """
    column = _as_trained(column, trained)
    in_order = moments(column).at(order(column))
    if len(column) > 1 and not steps.keep(in_order, trained):
        raise RequestError(
            f"data.time={column.name} has steps of {steps.of(in_order)}, and this model was trained on steps of "
            f"{trained}. Give rows that are as far apart as those."
        )


def after(column: pd.Series[Any], number: int, trained: Step | None) -> pd.Series[Any]:
    """Return the times that follow those of a column, written as it writes them.

    Args:
        column: the times, in any order of rows.
        number: how many to return.
        trained: the step of the rows that a model was trained on; ``None``: it is not known.

    Raises:
        RequestError: there is one time alone, and nothing says how far the next is; or see :func:`order`.
    """
    in_time = column.iloc[order(column)]
    in_order = moments(_as_trained(in_time, trained))
    by = trained or steps.of(in_order)
    if by is None:
        raise RequestError(f"data.time={column.name} has one time, which has no step yet. Give one row more.")
    return steps.written_like(steps.following(in_order, by, number), in_time)


def _as_trained(column: pd.Series[Any], trained: Step | None) -> pd.Series[Any]:
    """Return years as numbers or dates, whatever the training rows had them as: one file has 1990, another "1990"."""
    import pandas as pd

    if trained is None:
        return column
    is_number, found = pd.api.types.is_numeric_dtype(column), column
    if trained.unit == steps.NUMBER and not is_number and column.map(str).str.fullmatch(r"\d+").all():
        found = column.astype(object).map(int)
    if trained.unit == steps.MONTH and is_number and not pd.api.types.is_bool_dtype(column):
        found = pd.Series(moments(column).instants.map(str).array, index=column.index, name=str(column.name))
    return found


def texts(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return times as their source writes them; dates without ``00:00:00``, unless they have a zone."""
    import numpy as np
    import pandas as pd

    written = column.astype(object).map(str)
    if pd.api.types.is_datetime64_any_dtype(column) and column.dt.tz is None:
        dates = column.dt.normalize()
        written = column.dt.strftime("%Y-%m-%d") if (column == dates).all() else written
    return np.array(written, dtype=object)


def are_times(values: Iterable[Any]) -> bool:
    """Return whether texts are dates, or dates with a time of day, all of them; no text is none.

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
        RequestError: names the row of what is no time.
    """
    import numpy as np
    import pandas as pd

    column = column.reset_index(drop=True).infer_objects()  # Python's dates with a time of day become pandas'
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        numbers = column.to_numpy(dtype=float, na_value=float("nan"))
        _check_each(column, (numbers == np.round(numbers)) & (np.abs(numbers) < 2**53))
        whole = pd.Series(numbers.astype(np.int64))
        return Moments(whole, whole)
    if pd.api.types.is_datetime64_any_dtype(column):
        return _of_dates(column)
    written = column.astype(object).map(str).str.strip()
    parsed = pd.to_datetime(written.where(written.str.match(r"\d{4}")), format="ISO8601", utc=True, errors="coerce")
    _check_each(column, parsed.notna().to_numpy())
    offsets = written.str.extract(OFFSET, expand=False)
    _check_offsets(column, offsets.notna().to_numpy())
    parts = offsets.str.extract(r"([+-])(\d\d):?(\d\d)?").fillna("0")
    minutes: pd.Series[Any] = (parts[1].astype(int) * 60 + parts[2].astype(int)) * np.where(parts[0] == "-", -1, 1)
    return Moments(parsed, parsed.dt.tz_localize(None) + pd.to_timedelta(minutes, unit="min"))


def _of_dates(column: pd.Series[Any]) -> Moments:
    """Return the dates of a column of that type, NumPy's or Arrow's."""
    import pandas as pd

    _check_each(column, column.notna().to_numpy())
    dates = pd.Series(pd.DatetimeIndex(column))
    if dates.dt.tz is None:
        return Moments(dates.dt.tz_localize("UTC"), dates)
    return Moments(dates.dt.tz_convert("UTC"), dates.dt.tz_localize(None), dates.dt.tz)


def _check_offsets(column: pd.Series[Any], has_one: np.ndarray[Any, Any]) -> None:
    """Refuse times of which some have a zone: nothing says what the others are meant in."""
    import numpy as np

    if has_one.any() and not has_one.all():
        with_one, without = int(np.flatnonzero(has_one)[0]), int(np.flatnonzero(~has_one)[0])
        raise RequestError(
            f"data.time={column.name} is {column.iloc[with_one]} in row {with_one}, with an offset from UTC, and "
            f"{column.iloc[without]} in row {without}, without one. Write all of them with it, or none."
        )


def check_packed(column: pd.Series[Any]) -> None:
    """Refuse whole numbers that are dates: 196012 is not one before 196013.

    Raises:
        RequestError: says how to write them.
    """
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        return
    written = moments(column).instants.astype(str)
    for form, (digits, cure) in PACKED.items():
        if not (written.str.fullmatch(digits) & written.str[:2].isin(["18", "19", "20", "21"])).all():
            continue
        if pd.to_datetime(written, format=form, errors="coerce").notna().all():
            raise RequestError(
                f"data.time={column.name} holds {written.iloc[0]}, a whole number that looks like a date. Write dates "
                f"as {cure}, or leave data.time out, and rows are taken as they stand, one step apart."
            )


def _check_each(column: pd.Series[Any], fits: np.ndarray[Any, Any]) -> None:
    import numpy as np

    wrong = np.flatnonzero(~fits)
    if len(wrong):
        raise RequestError(
            f"data.time={column.name} is {column.iloc[wrong[0]]} in row {wrong[0]}, which is no time. Write times as "
            "1960, 1960-01, 1960-01-31 or 1960-01-31 12:00."
        )


def _uneven(in_order: Moments, shown: np.ndarray[Any, Any], name: str) -> RequestError:
    """Return the refusal of a step that is not the usual one."""
    import numpy as np

    units = (steps.NUMBER, *steps.CALENDAR)
    counted = next(found for unit in units if (found := steps.count(in_order, unit)) is not None)
    apart = np.diff(counted)
    sizes, counts = np.unique(apart, return_counts=True)
    place = int(np.flatnonzero(apart != sizes[counts.argmax()])[0])
    return RequestError(
        f"data.time={name} has steps of different lengths: {shown[place]} is followed by {shown[place + 1]}. {CURE}."
    )
