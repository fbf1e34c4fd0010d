"""Wide files: a column for each series, or each month of a year, and how to write them with one column of values."""

from __future__ import annotations

from lifecycle.data.columns.notations import MONTHS
from lifecycle.errors import RequestError, Setting, Text

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
