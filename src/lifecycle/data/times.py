"""The times of a series: read, put in order, checked to be one regular step apart, and carried on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.data import steps
from lifecycle.data.steps import Step
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

    read = moments(column)
    found = np.argsort(read.to_numpy(), kind="stable")
    in_order, shown = read.iloc[found], texts(column)
    twice = np.flatnonzero(in_order.diff().iloc[1:].astype("int64") == 0)
    if len(twice):
        first, second = sorted(int(position) for position in found[twice[0] : twice[0] + 2])
        raise RequestError(
            f"data.time={column.name} is {shown[first]} in row {first} and again in row {second}. Keep one of them."
        )
    if len(column) > 1 and steps.of(in_order) is None:
        raise _uneven(in_order, shown[found], str(column.name))
    return found


def step(column: pd.Series[Any]) -> Step | None:
    """Return how far times are apart, in any order of rows; ``None`` of a single one.

    Raises:
        RequestError: see :func:`order`.
    """
    return steps.of(moments(column).iloc[order(column)])


def check_step(column: pd.Series[Any], trained: Step) -> None:
    """Refuse times that are further apart, or less far, than those that a model was trained on.

    Raises:
        RequestError: names both steps; or see :func:`order`.
    """
    in_order = moments(column).iloc[order(column)]
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
    in_order = moments(column).iloc[order(column)]
    by = trained or steps.of(in_order)
    if by is None:
        raise RequestError(f"data.time={column.name} has one time, which has no step yet. Give one row more.")
    return steps.written_like(steps.after(in_order, by, number), column)


def texts(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return times as their source writes them; dates without ``00:00:00``."""
    import numpy as np
    import pandas as pd

    written = column.astype(object).map(str)
    if pd.api.types.is_datetime64_any_dtype(column) and (column == column.dt.normalize()).all():
        written = column.dt.strftime("%Y-%m-%d")
    return np.array(written, dtype=object)


def moments(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return times as whole numbers, ``int64``, or as dates in UTC.

    Raises:
        RequestError: names the row of what is no time.
    """
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        numbers = column.to_numpy(dtype=float, na_value=float("nan"))
        _check_each(column, (numbers == np.round(numbers)) & (np.abs(numbers) < 2**53))
        return pd.Series(numbers.astype(np.int64))
    written = column.astype(object).map(str)
    parsed = pd.to_datetime(written, format="ISO8601", utc=True, errors="coerce")
    _check_each(column, parsed.notna().to_numpy())
    return parsed.reset_index(drop=True)


def _check_each(column: pd.Series[Any], fits: np.ndarray[Any, Any]) -> None:
    import numpy as np

    wrong = np.flatnonzero(~fits)
    if len(wrong):
        raise RequestError(
            f"data.time={column.name} is {column.iloc[wrong[0]]} in row {wrong[0]}, which is no time. Write times as "
            "1960, 1960-01, 1960-01-31 or 1960-01-31 12:00."
        )


def _uneven(in_order: pd.Series[Any], shown: np.ndarray[Any, Any], name: str) -> RequestError:
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
