"""The times of a series: read, put in order, and checked to be one regular step apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CURE = "Add the rows that are missing, or leave data.time out, and rows are taken as they stand, one step apart"


def order(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return the positions of a column of times from the first time to the last.

    Args:
        column: whole numbers such as years, dates, or texts such as ``1960-01``, ``1960-01-31``, ``1960-01-31 12:00``.

    Raises:
        RequestError: a time is none, is there twice, or is not one step after the one before it.
    """
    import numpy as np

    moments = _moments(column)
    found = np.argsort(moments, kind="stable")
    shown = texts(column)
    twice = np.flatnonzero(np.diff(moments[found]) == 0)
    if len(twice):
        first, second = sorted(int(position) for position in found[twice[0] : twice[0] + 2])
        raise RequestError(
            f"data.time={column.name} is {shown[first]} in row {first} and again in row {second}. Keep one of them."
        )
    _check_steps(moments[found], shown[found], str(column.name))
    return found


def texts(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return times as their source writes them; dates without ``00:00:00``."""
    import numpy as np
    import pandas as pd

    written = column.astype(object).map(str)
    if pd.api.types.is_datetime64_any_dtype(column) and (column == column.dt.normalize()).all():
        written = column.dt.strftime("%Y-%m-%d")
    return np.array(written, dtype=object)


def _moments(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return times as numbers: whole ones as they are, months counted, else in the unit that they are kept in."""
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        numbers = column.to_numpy(dtype=float, na_value=float("nan"))
        _check_each(column, (numbers == np.round(numbers)) & (np.abs(numbers) < 2**53))
        return numbers.astype(np.int64)
    written = column.astype(object).map(str)
    parsed = pd.to_datetime(written, format="ISO8601", utc=True, errors="coerce")
    _check_each(column, parsed.notna().to_numpy())
    return _months(parsed) if _is_monthly(parsed) else parsed.astype("int64").to_numpy()


def _check_each(column: pd.Series[Any], fits: np.ndarray[Any, Any]) -> None:
    import numpy as np

    wrong = np.flatnonzero(~fits)
    if len(wrong):
        raise RequestError(
            f"data.time={column.name} is {column.iloc[wrong[0]]} in row {wrong[0]}, which is no time. Write times as "
            "1960, 1960-01, 1960-01-31 or 1960-01-31 12:00."
        )


def _is_monthly(moments: pd.Series[Any]) -> bool:
    """Tell whether all times are the same moment of a month, or of its last day: months have different lengths."""
    clock = moments - moments.dt.normalize()
    same_day = moments.dt.day.nunique() == 1 or bool(moments.dt.is_month_end.all())
    return len(moments) > 1 and clock.nunique() == 1 and same_day


def _months(moments: pd.Series[Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.asarray(moments.dt.year * 12 + moments.dt.month, dtype=np.int64)


def _check_steps(moments: np.ndarray[Any, Any], shown: np.ndarray[Any, Any], name: str) -> None:
    """Refuse a step that is not the usual one."""
    import numpy as np

    steps = np.diff(moments)
    sizes, counts = np.unique(steps, return_counts=True)
    if len(sizes) > 1:
        place = int(np.flatnonzero(steps != sizes[counts.argmax()])[0])
        raise RequestError(
            f"data.time={name} has steps of different lengths: {shown[place]} is followed by {shown[place + 1]}. "
            f"{CURE}."
        )
