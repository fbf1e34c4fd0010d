"""The times of a series: parsing, order, the regular step between them, and the times that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import notations
from lifecycle.data.columns.time_steps import (
    CALENDAR,
    MONTH,
    NUMBER,
    Moments,
    TimeStep,
    count,
    following,
    has_step,
    step_of,
)
from lifecycle.data.columns.time_texts import written_like
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.data.columns.notations import Notation

OFFSET = r"[T ]\d.*?(Z|[+-]\d\d(?::?\d\d)?)$"
"""The end of a text with an offset from UTC."""

GAPS_REMEDY = (Setting("data.gaps", "fill"), " or ", Setting("data.gaps", "split"))
DUPLICATES_REMEDY = (Setting("data.duplicates", "sum"), ", mean or first")

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
        raise RequestError(_key(column), problem, remedy=["Keep one of them, or add ", *DUPLICATES_REMEDY, "."])
    if len(column) > 1 and step_of(in_order) is None:
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
    in_order = moments(column, trained).at(order(column))
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
    in_order = moments(_as_trained(in_time, trained), trained)
    by = trained or step_of(in_order)
    if by is None:
        raise RequestError(_key(column), "has only one time, which shows no step", remedy="Give one more row.")
    reading = _reading(in_time.reset_index(drop=True), trained)
    return written_like(following(in_order, by, number), in_time, None if reading is None else reading[0])


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


def moments(column: pd.Series[Any], trained: TimeStep | None = None) -> Moments:
    """Return times as numbers or dates.

    Args:
        column: the times, in any order of rows.
        trained: the step that a model was trained on, which tells days first from months first.

    Raises:
        RequestError: a value is not a time; names its row.
    """
    import numpy as np
    import pandas as pd

    column = column.reset_index(drop=True).infer_objects()  # objects of Python's datetime become datetime64
    if (reading := _reading(column, trained)) is not None:
        return reading[1]
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


def _reading(column: pd.Series[Any], trained: TimeStep | None = None) -> tuple[Notation, Moments] | None:
    """Return the notation of a column that is not in ISO 8601, and its times; ``None``: it has none.

    Of several that fit (``01/02/1949``), the first with equal steps is taken.
    """
    import pandas as pd

    found = []
    for notation, iso in notations.readings(column):
        read = moments(iso.rename(str(column.name)))
        in_order = read.at(read.instants.to_numpy().argsort(kind="stable"))
        if step_of(in_order) is not None if trained is None else has_step(in_order, trained):
            return notation, read
        found.append((notation, read))
    if found and pd.api.types.is_integer_dtype(column):  # equal steps say what whole numbers are
        numbers = Moments(column, column).at(column.to_numpy().argsort(kind="stable"))
        return found[0] if step_of(numbers) is None else None
    return found[0] if found else None


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


def _check_each(column: pd.Series[Any], fits: np.ndarray[Any, Any]) -> None:
    """Refuse the first value that is not a time, by ``fits`` ``(rows,) bool``."""
    import numpy as np

    wrong = np.flatnonzero(~fits)
    if len(wrong):
        raise RequestError(
            _key(column),
            f"is {column.iloc[wrong[0]]} in row {wrong[0]}, which is no time",
            remedy=["Write times as 1960, 1960-01, 1960-01-31 or 1960-01-31 12:00, or ", *WITHOUT_TIMES],
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
        remedy=["Add the rows that are missing, or ", *GAPS_REMEDY, "; or ", *WITHOUT_TIMES],
    )
