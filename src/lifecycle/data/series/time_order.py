"""The rows of a series in order of time: repeated times, missing steps, and the step between times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import times
from lifecycle.data.columns.time_steps import (
    BUSINESS_DAY,
    CALENDAR,
    LENGTHS,
    MICROSECOND,
    MONTH,
    NUMBER,
    Moments,
    TimeStep,
    are_dates,
    count,
)
from lifecycle.errors import FieldError, RequestError, Setting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

REFUSE, FILL, SPLIT = "refuse", "fill", "split"
GAPS = (REFUSE, FILL, SPLIT)
DUPLICATES = (REFUSE, "sum", "mean", "first")

UNITS = {
    **{name: (MICROSECOND, length) for name, length in LENGTHS},
    "week": (MICROSECOND, 7 * dict(LENGTHS)["day"]),
    "month": (MONTH, 1),
    "quarter": (MONTH, 3),
    "year": (MONTH, 12),
    "business day": (BUSINESS_DAY, 1),
}
"""Name of a step -> unit and size."""

EVERY = re.compile(r"(?:(\d+) ?)?([a-z]+(?: day)?)")


@dataclass(frozen=True)
class Places:
    """Rows in order of time.

    Attributes:
        rows: ``(rows,)`` their positions in the frame, in order of time.
        steps: ``(rows,)`` steps of each since the first row: equal for rows of one time, with jumps where rows miss.
    """

    rows: np.ndarray[Any, Any]
    steps: np.ndarray[Any, Any]


def check_every(every: str | None) -> None:
    """Raise ``ValueError`` for a step that is not known."""
    if every is not None:
        step_named(every)


def step_named(every: str) -> TimeStep:
    """Return the step of a name such as ``day`` or ``15 minutes``.

    >>> str(step_named("15 minutes")), str(step_named("quarter")), str(step_named("week"))
    ('15 minutes', '3 months', '7 days')
    """
    found = EVERY.fullmatch(str(every).strip().lower().replace("_", " "))
    unit, size = UNITS.get(found[2].removesuffix("s"), ("", 0)) if found else ("", 0)
    number = int(found[1] or 1) if found else 0
    if not unit or not number:
        known = ", ".join(UNITS)
        raise FieldError("every", f"must be one of {known}, or a number of them", every, "Use for instance '2 days'.")
    return TimeStep(unit, size * number)


def in_order(
    column: pd.Series[Any], gaps: str, duplicates: str, every: str | None = None, trained: TimeStep | None = None
) -> Places:
    """Return rows in order of time.

    Args:
        column: the times.
        gaps: of :data:`GAPS`.
        duplicates: of :data:`DUPLICATES`.
        every: name of the step; ``None``: that of the model, or else the usual one.
        trained: the step of the model; ``None``: unknown.

    Raises:
        RequestError: a time is repeated or missing and is to be refused, or is between two steps.
    """
    import numpy as np

    if (gaps, duplicates, every) == (REFUSE, REFUSE, None):
        rows = times.order(column)
        return Places(rows, np.arange(len(rows)))
    read, written = times.moments(column, trained), times.texts(column)
    rows = np.argsort(read.instants.to_numpy(), kind="stable")
    sorted_times = read.at(rows)
    new = np.concatenate([[True], np.diff(sorted_times.instants.astype("int64").to_numpy()) > 0])
    if duplicates == REFUSE and not new.all():
        times.order(column)  # raises, and names the rows
    once = sorted_times.at(np.flatnonzero(new))
    if len(once.instants) < 2:
        return Places(rows, np.zeros(len(rows), dtype=np.int64))
    step = step_named(every) if every else trained or usual_step(once)
    counted = None if step is None else _counted(once, step)
    if step is None or counted is None:
        raise RequestError(
            Setting("data.time", column.name),
            f"has times that are no whole number of {step or 'equal steps'} apart",
            remedy=["Name the step between them with ", Setting("data.every"), ", such as day or 15 minutes."],
        )
    wrong = np.flatnonzero((counted - counted[0]) % step.size)
    if len(wrong):
        first, other = written[rows[0]], written[rows[np.flatnonzero(new)[wrong[0]]]]
        raise RequestError(
            Setting("data.time", column.name),
            f"has {other}, which is no whole number of steps of {step} after {first}",
            remedy=["Name the step between times with ", Setting("data.every"), ", or fix the row."],
        )
    steps = (counted - counted[0]) // step.size
    if gaps == REFUSE and bool((np.diff(steps) != 1).any()):
        times.order(column.iloc[rows[new]])  # raises, and names the gap
    return Places(rows, steps[np.cumsum(new) - 1])


def usual_step(moments: Moments) -> TimeStep | None:
    """Return the most frequent step of sorted times, of which all others are multiples; ``None``: there is none."""
    import numpy as np

    units = (BUSINESS_DAY, *CALENDAR) if are_dates(moments.instants) else (NUMBER,)
    for unit in units:
        if (counted := count(moments, unit)) is None:
            continue
        sizes, counts = np.unique(np.diff(counted), return_counts=True)
        size = int(sizes[counts.argmax()])
        # A few days from Monday to Friday show no weekends that would be missing.
        if size < 1 or (unit == BUSINESS_DAY and (size != 1 or len(counted) < 10)):
            continue
        if not (np.diff(counted) % size).any():
            return TimeStep(unit, size)
    return None


def _counted(moments: Moments, step: TimeStep) -> np.ndarray[Any, Any] | None:
    """Return times in the unit of a step; years as numbers are counted in years."""
    counted = count(moments, step.unit)
    if counted is None and step.unit == MONTH and step.size % 12 == 0 and not are_dates(moments.instants):
        numbers = count(moments, NUMBER)
        return None if numbers is None else numbers * 12
    return counted
