"""Features of the calendar: cycles of the time of a step, each as a point on a circle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CYCLES: dict[str, tuple[float, Callable[[Any], Any]]] = {
    "month": (12, lambda dates: dates.dt.month - 1),
    "quarter": (4, lambda dates: dates.dt.quarter - 1),
    "week": (52.1775, lambda dates: (dates.dt.day_of_year - 1) / 7),
    "day": (31, lambda dates: dates.dt.day - 1),
    "weekday": (7, lambda dates: dates.dt.day_of_week),
    "dayofyear": (365.2425, lambda dates: dates.dt.day_of_year - 1),
    "hour": (24, lambda dates: dates.dt.hour),
    "minute": (60, lambda dates: dates.dt.minute),
}
"""Name -> length of the cycle, and function of dates to the position in it."""


def names(cycles: Sequence[str]) -> list[str]:
    """Return the names of the features.

    >>> names(["month"])
    ['month sin', 'month cos']
    """
    return [f"{name} {part}" for name in cycles for part in ("sin", "cos")]


def features(local: pd.Series[Any], cycles: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return ``(steps, 2 * cycles) float64``: sine and cosine of the position in each cycle.

    Args:
        local: dates in local time.
        cycles: names of :data:`CYCLES`.
    """
    import numpy as np

    columns: list[Any] = [np.empty((len(local), 0))]
    for name in cycles:
        length, position = CYCLES[name]
        angle = 2 * np.pi * position(local).to_numpy(dtype=np.float64) / length
        columns.append(np.column_stack([np.sin(angle), np.cos(angle)]))
    return np.concatenate(columns, axis=1)
