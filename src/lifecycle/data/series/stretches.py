"""Rows of a series as stretches of consecutive steps: by group, in order of time, with gaps filled or between them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import targets, times
from lifecycle.data.columns.time_steps import TimeStep
from lifecycle.data.series import calendar
from lifecycle.data.series.fields import SeriesFields
from lifecycle.data.series.time_order import FILL, REFUSE, Places, in_order
from lifecycle.errors import RequestError, Setting, Text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Stretch:
    """Consecutive steps of one series.

    Attributes:
        group: of the series; ``None``: there is one series.
        rows: ``(steps,)`` positions in the frame; -1 for a step that was filled.
        values: ``(steps,) float64`` of the target.
        past: ``(steps, features) float64``, whose values before a step are inputs.
        known: ``(steps, features) float64``, whose values at a step are inputs: known in advance, and the calendar.
    """

    group: Any
    rows: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]
    past: np.ndarray[Any, Any]
    known: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.values)

    def part(self, start: int, stop: int) -> Stretch:
        """Return the steps from ``start`` to before ``stop``."""
        at = slice(start, stop)
        return Stretch(self.group, self.rows[at], self.values[at], self.past[at], self.known[at])


def groups_of(fields: Any, frame: pd.DataFrame) -> list[tuple[Any, np.ndarray[Any, Any]]]:
    """Return each group with the positions of its rows, in order of first appearance; one series is ``None``."""
    import numpy as np

    if fields.group is None:
        return [(None, np.arange(len(frame)))]
    column = frame[fields.group]
    return [(name, np.flatnonzero((column == name).to_numpy())) for name in column.unique()]


def stretches(fields: Any, frame: pd.DataFrame, trained: TimeStep | None = None, future: bool = False) -> list[Stretch]:
    """Return the stretches of rows.

    Args:
        fields: the data plugin, a :class:`lifecycle.data.kinds.series.Series`.
        frame: the raw rows.
        trained: the step of a model; ``None``: unknown.
        future: whether rows at the end may lack the target: they are the steps to forecast, and stay NaN.

    Raises:
        RequestError: a time or value is missing or repeated and is to be refused, or a feature is no number.
    """
    found = []
    for name, positions in groups_of(fields, frame):
        rows = frame.iloc[positions]
        found += _of_group(fields, name, positions, rows, trained, future)
    return found


def _of_group(
    fields: Any, group: Any, positions: np.ndarray[Any, Any], frame: pd.DataFrame, trained: Any, future: bool
) -> list[Stretch]:
    import numpy as np

    places = _places(fields, frame, group, trained)
    values = _numbers(fields.target, frame[fields.target], fields.gaps != REFUSE or future)
    past = _columns(fields.features, frame)
    known = np.concatenate([_columns(fields.known, frame), _calendar(fields, frame, trained)], axis=1)
    whole = Stretch(group, positions, values, past, known)
    whole, steps = _once(whole, places, fields.duplicates)
    end = len(whole)
    if future:
        while end and np.isnan(whole.values[end - 1]):
            end -= 1
    has_value = ~np.isnan(whole.values)
    if fields.gaps == REFUSE and not has_value[:end].all():
        row = whole.rows[int(np.argmin(has_value[:end]))]
        problem, remedy = f"is nan in row {row}", "Fix or remove the row."
        raise RequestError(Setting("data.target", fields.target), problem, remedy=remedy)
    has_value[end:] = True
    kept = np.flatnonzero(has_value)
    whole = Stretch(group, *(part[kept] for part in (whole.rows, whole.values, whole.past, whole.known)))
    steps = steps[kept]
    if fields.gaps == FILL:
        return [_filled(fields, whole, steps, frame, trained)]
    borders = [0, *(np.flatnonzero(np.diff(steps) != 1) + 1).tolist(), len(steps)]
    return [whole.part(start, stop) for start, stop in itertools.pairwise(borders)]


def _places(fields: Any, frame: pd.DataFrame, group: Any, trained: Any) -> Places:
    import numpy as np

    if fields.time is None or fields.time not in frame.columns:
        return Places(np.arange(len(frame)), np.arange(len(frame)))
    try:
        return in_order(frame[fields.time], fields.gaps, fields.duplicates, fields.every, trained)
    except RequestError as error:
        if group is None:
            if fields.group is None and fields.duplicates == REFUSE:
                raise _with_hint(error, _hint(fields, frame)) from error
            raise
        key: Text = [Setting("data.time", fields.time), f" of {fields.group} {group}"]
        raise RequestError(key, error.problem, error.got, error.remedy) from error


def _hint(fields: Any, frame: pd.DataFrame) -> list[Text]:
    """Return what repeated times may mean: the rest of the time is in another column, or there are several series."""
    may_be_groups = _may_be_groups(fields, frame)
    if part := next((name for name in may_be_groups if _is_part_of_time(frame[fields.time], frame[name])), None):
        first = f"{frame[fields.time].iloc[0]} {frame[part].iloc[0]}"
        return [
            f"The columns {fields.time} and {part} hold one time together, such as {first}: put both into one column, "
            "such as 2024-03 or 2024 Q1; or, if rows are in order, leave ",
            Setting("data.time"),
            " out.",
        ]
    if may_be_groups:
        return ["A column separates several series in one file: ", Setting("data.group", may_be_groups[0]), "."]
    return []


def _is_part_of_time(column: pd.Series[Any], other: pd.Series[Any]) -> bool:
    """Return whether a column of years has the quarters or months in another column, without a gap."""
    import numpy as np
    import pandas as pd

    if not (pd.api.types.is_integer_dtype(column) and pd.api.types.is_integer_dtype(other)):
        return False
    for cycle in (4, 12):
        if other.min() >= 1 and other.max() == cycle:
            return bool((np.diff(np.sort(column.to_numpy() * cycle + other.to_numpy())) == 1).all())
    return False


def _with_hint(error: RequestError, hint: list[Text]) -> RequestError:
    """Return the error of repeated times with a hint."""
    return RequestError(error.key, error.problem, error.got, [*_as_list(error.remedy), " ", *hint]) if hint else error


def _as_list(text: Any) -> list[Any]:
    return list(text) if isinstance(text, list | tuple) else [text]


def _may_be_groups(fields: Any, frame: pd.DataFrame) -> list[str]:
    """Return the columns in each of whose groups no time is repeated."""
    taken = (fields.time, fields.target)
    return [
        str(name)
        for name in frame.columns
        if name not in taken
        and 1 < frame[name].nunique() <= len(frame) // 2
        and not frame.duplicated([fields.time, name]).any()
    ]


def _numbers(name: str, column: pd.Series[Any], may_lack: bool) -> np.ndarray[Any, Any]:
    import numpy as np

    if not may_lack or not column.isna().any():
        return targets.as_numbers(column.to_numpy(), name)
    values = np.full(len(column), np.nan)
    present = column.notna().to_numpy()
    values[present] = targets.as_numbers(column[present].to_numpy(), name)
    return values


def _columns(names: list[str], frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return columns as ``(rows, columns) float64``; truth values are 0 and 1."""
    import numpy as np
    import pandas as pd

    columns: list[Any] = [np.empty((len(frame), 0))]
    for name in names:
        numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if len(wrong):
            got = frame[name].iloc[wrong[0]]
            problem = f"must be a number in each row, got {got!s:.50} in row {wrong[0]}"
            raise RequestError(name, problem, remedy="Write a number, or 0 and 1 for no and yes, in each row.")
        columns.append(numbers[:, np.newaxis])
    return np.concatenate(columns, axis=1)


def _calendar(fields: Any, frame: pd.DataFrame, trained: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    if not fields.calendar:
        return np.empty((len(frame), 0))
    local = times.moments(frame[fields.time], trained).local
    if local.dtype.kind != "M":
        remedy = "Give dates, or leave it out."
        raise RequestError(
            Setting("data.calendar", fields.calendar), f"needs dates, and {fields.time} has numbers", remedy=remedy
        )
    return calendar.features(local, fields.calendar)


def _once(whole: Stretch, places: Places, duplicates: str) -> tuple[Stretch, np.ndarray[Any, Any]]:
    """Return rows in order of time, each time once, and their steps; repeated times are summed, averaged or first."""
    import numpy as np

    steps, first, inverse = np.unique(places.steps, return_index=True, return_inverse=True)
    rows, values = whole.rows[places.rows], whole.values[places.rows]
    if len(steps) < len(rows) and duplicates in ("sum", "mean"):
        sums = np.bincount(inverse, values)
        values = sums if duplicates == "sum" else sums / np.bincount(inverse)
    else:
        values = values[first]
    ordered = places.rows[first]
    return Stretch(whole.group, rows[first], values, whole.past[ordered], whole.known[ordered]), steps


def _filled(fields: Any, whole: Stretch, steps: np.ndarray[Any, Any], frame: pd.DataFrame, trained: Any) -> Stretch:
    """Return one stretch in which each missing step has the last values before it, which uses nothing after it."""
    import numpy as np

    if not len(steps):
        return whole
    every = np.arange(steps[0], steps[-1] + 1)
    last = np.searchsorted(steps, every, side="right") - 1
    is_row = steps[last] == every
    known = whole.known[last]
    if fields.calendar and not is_row.all():
        known = known.copy()
        count = 2 * len(fields.calendar)
        for at in np.flatnonzero(~is_row):  # the calendar goes on in a gap
            known[at, -count:] = np.nan
        known[:, -count:] = _interpolated(known[:, -count:])
    return Stretch(whole.group, np.where(is_row, whole.rows[last], -1), whole.values[last], whole.past[last], known)


def _interpolated(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    at = np.arange(len(points))
    present = ~np.isnan(points[:, 0])
    return np.column_stack([np.interp(at, at[present], column[present]) for column in points.T])


def notes(fields: SeriesFields, found: list[Stretch], rows: int) -> list[str]:
    """Return sentences on what was done to rows: filled steps, gaps between stretches, rows of one time."""
    filled = sum(int((stretch.rows < 0).sum()) for stretch in found)
    used = sum(int((stretch.rows >= 0).sum()) for stretch in found)
    texts = []
    groups = len({str(stretch.group) for stretch in found})
    if filled:
        texts.append(f"{filled} missing step{'s' * (filled != 1)} filled with the last value; they are no targets")
    if len(found) > groups:
        texts.append(f"{len(found) - groups} gap{'s' * (len(found) - groups != 1)}, which no window crosses")
    if used < rows:
        left = rows - used
        what = "row without a value or of a repeated time is" if left == 1 else "rows without a value or of a repeated"
        texts.append(f"{left} {what}{'' if left == 1 else ' time are'} merged or left out")
    return texts
