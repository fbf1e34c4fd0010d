"""Wide files: a column for each series, or each month of a year, and how to write them with one column of values."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns.notations import MONTHS
from lifecycle.errors import RequestError, Setting, Text

if TYPE_CHECKING:
    import pandas as pd

FEWEST_MONTHS = 6
"""Columns named as months from which a file is taken for one with a column for each month."""


def check_is_one(target: str, columns: list[str], time: str | None) -> None:
    """Refuse a target such as ``[a,b]``, which names several columns of a wide file.

    Raises:
        RequestError: says how to write such a file with one column of values.
    """
    names = [name.strip().strip("'\"") for name in target[1:-1].split(",")]
    if target in columns or len(names) < 2 or f"[{target[1:-1]}]" != target or not set(names) <= set(columns):
        return
    kept = f"id_vars={time!r}, " if time else ""
    raise RequestError(
        Setting("data.target", target),
        "names several columns, and a series has one",
        remedy=[
            "Choose one, such as ",
            Setting("data.target", names[0]),
            ", and add the others as inputs with ",
            Setting("data.features", f"[{','.join(names[1:])}]"),
            "; or write a row for each time and series, as pandas does with "
            f"rows.melt({kept}value_vars={names}, var_name='series'), and add ",
            Setting("data.target", "value"),
            " ",
            Setting("data.group", "series"),
            ".",
        ],
    )


def note_on_months(target: str, columns: list[str], time: str | None) -> list[Text]:
    """Return a warning if the target is one of several columns of months, of which the others are not read."""
    months = [name for name in columns if name.lower()[:3] in MONTHS and name.isalpha()]
    if time is None or target not in months or len(months) < FEWEST_MONTHS:
        return []
    return [
        [
            f"{time} has a column for each month, and of these only {target} is read. For a series of months write a "
            f"row for each, as pandas does with long = rows.melt(id_vars={time!r}, value_vars={months}, "
            f"var_name='month'); long['when'] = long[{time!r}].astype(str) + ' ' + long['month'], and add ",
            Setting("data.time", "when"),
            " ",
            Setting("data.target", "value"),
            ".",
        ]
    ]


def note_on_order(frame: pd.DataFrame, used: Collection[str]) -> list[Text]:
    """Return a warning where a column of times that is not read shows that rows are not in order of time.

    Args:
        frame: the rows.
        used: the columns that are read.
    """
    for name in frame.columns:
        if name in used or (passed := _moments(frame[name])) is None:
            continue
        back = passed[1:] <= passed[:-1]
        if back.any():
            row = int(back.argmax()) + 1
            before, here = frame[name].iloc[row - 1], frame[name].iloc[row]
            how = "repeats" if passed[row] == passed[row - 1] else "decreases"
            return [
                [
                    f"{name}: its time {how} in row {row} ({here} after {before}), and rows are taken in the order of "
                    "the file. Add ",
                    Setting("data.time", name),
                ]
            ]
    return []


def _moments(column: pd.Series[Any]) -> Any:
    """Return the times of a column as numbers; ``None``: it holds something else, or gaps."""
    from lifecycle.data.columns import times
    from lifecycle.data.columns.meaning import infer

    is_number = column.dtype.kind in "biufc"
    if column.isna().any() or (is_number and (column.dtype.kind == "b" or infer.packed(column) is None)):
        return None
    try:
        return times.moments(column).instants.astype("int64").to_numpy()
    except RequestError:
        return None
