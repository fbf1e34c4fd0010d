"""The kind of each column of the raw rows, for display: number, category, target, time, ..."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lifecycle.capabilities import HasTimeColumn, OrdersRows, dropped_by, weight_of

if TYPE_CHECKING:
    import pandas as pd

from lifecycle.contract import DataPlugin, Samples

NUMBER, CATEGORY, TARGET, OWN_PAST = "number", "category", "target", "target, from its own past"
PIXEL, FILE, DIGEST, TIME, SORTED_TIME, WEIGHT, DROPPED, UNREAD = (
    "pixel",
    "file",
    "digest of the file",
    "time",
    "time, rows sorted",
    "weight of the row",
    "dropped",
    "not read",
)
PLURALS = {NUMBER: "numbers", PIXEL: "pixels"}
MOST_NAMED = 8
"""Columns that a line lists; the others are counted."""


def column_kinds(plugin: DataPlugin, frame: pd.DataFrame) -> dict[str, str]:
    """Return column -> kind, in the order of the columns: ``"number"``, ``"category (3 values)"``, ``"target"``, ..."""
    target, used = plugin.describe_target(frame).name, set(plugin.columns(frame))
    return {
        str(name): _kind(plugin, frame, name, TARGET if name == target else "", name in used) for name in frame.columns
    }


def _kind(plugin: DataPlugin, frame: pd.DataFrame, name: str, target: str, used: bool) -> str:
    import numpy as np
    import pandas as pd

    from lifecycle.data.columns import types

    if target or name == weight_of(plugin):
        return WEIGHT if not target else OWN_PAST if used else TARGET
    if isinstance(plugin, HasTimeColumn) and name == plugin.time:
        order = plugin.in_order(frame) if isinstance(plugin, OrdersRows) else np.arange(len(frame))
        return TIME if (np.diff(order) > 0).all() else SORTED_TIME
    if not used:
        unread = DIGEST if plugin.sample_dim == 3 and name == "sha256" else UNREAD
        return DROPPED if name in dropped_by(plugin) else unread
    if plugin.sample_dim == 3:
        return PIXEL if pd.api.types.is_numeric_dtype(frame[name]) else FILE
    column = types.plain(frame[name])
    if pd.api.types.is_numeric_dtype(column):
        return NUMBER
    values = column.nunique()  # of the whole column, held-out rows included: this is for display only
    return f"{CATEGORY} ({values} value{'s' if values != 1 else ''})"


def num_missing(plugin: DataPlugin, frame: pd.DataFrame, samples: Samples) -> int:
    """Return how many values are missing in the feature columns."""
    import pandas as pd

    # The samples of a table are a frame in which zeros of ``missing_zeros`` are missing too.
    read = samples.inputs if isinstance(samples.inputs, pd.DataFrame) else frame[plugin.columns(frame)]
    return int(read.isna().to_numpy().sum())


def describe(kinds: Mapping[str, str]) -> str:
    """Return the kinds in one line: ``2 numbers, 1 category: town (3 values); dropped: id``."""
    counted = Counter(kinds.values())
    parts = [
        f"{counted[kind]} {plural if counted[kind] > 1 else kind}" for kind, plural in PLURALS.items() if counted[kind]
    ]
    categories = {name: kind.removeprefix(f"{CATEGORY} ") for name, kind in kinds.items() if kind.startswith(CATEGORY)}
    if categories:
        word = "category" if len(categories) == 1 else "categories"
        named = _named([f"{name} {values}" for name, values in categories.items()])
        parts.append(f"{len(categories)} {word}: {named}")
    others = [", ".join(parts)] if parts else []
    for kind, title in {
        OWN_PAST: "from its own past",
        FILE: "image files",
        TIME: "in order of time",
        SORTED_TIME: "sorted by time",
        WEIGHT: "weights",
        DROPPED: "dropped",
        UNREAD: "not read",
    }.items():
        names = [name for name, found in kinds.items() if found == kind]
        if names:
            others.append(f"{title}: {_named(names)}")
    return "; ".join(others)


def _named(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
