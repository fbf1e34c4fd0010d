"""Warnings about numbers such as -999 that may stand for missing values.

They are not taken for missing ones: only the user knows what they mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.contract import DataPlugin
from lifecycle.data.formats.reading import Reading
from lifecycle.errors import Setting, Text

if TYPE_CHECKING:
    import pandas as pd

SENTINELS = tuple(sign * number for number in (99, 999, 9999, 99999, 999999) for sign in (-1, 1))
"""Numbers that are written for missing values, as no measurement has them."""

FEWEST = 2
"""Occurrences of such a number from which on it is no single outlier."""

FAR = 3
"""Its least distance from all other values, in multiples of their range."""


def notes_on(plugin: DataPlugin, frame: pd.DataFrame) -> list[Text]:
    """Return a warning for each feature with such a number.

    Args:
        plugin: whose fields declare missing marks; none is warned of for other plugins.
        frame: the rows.
    """
    if not isinstance(plugin, Reading):
        return []
    found = {str(name): value for name in plugin.columns(frame) if (value := sentinel(frame[name])) is not None}
    return [note(name, *value) for name, value in found.items()]


def note(name: str, number: int, count: int) -> Text:
    """Return the warning about a number of a column that occurs ``count`` times."""
    return [
        f"{name}: {number} occurs {count} times, far from all other values. If it is a mark of missing values, add ",
        Setting("data.missing", [number]),
    ]


def sentinel(column: pd.Series[Any]) -> tuple[int, int] | None:
    """Return a number of a column that may stand for missing values, and how often it occurs."""
    import numpy as np
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return None
    values = column.to_numpy(dtype=float, na_value=float("nan"))
    low, high = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    for number in SENTINELS:
        # Only the smallest or the largest value can be far from all others.
        if number not in (low, high):
            continue
        others = values[(values != number) & ~np.isnan(values)]
        count = int((values == number).sum())
        if count < FEWEST or len(np.unique(others)) < 2:
            continue
        distance = np.abs(others - number).min()
        if distance > FAR * (others.max() - others.min()):
            return number, count
    return None
