"""The kind of each column of the raw rows, for display: number, category, target, time, ..."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lifecycle.capabilities import HasTimeColumn, OrdersRows, dropped_by, split_columns_of, weight_of

if TYPE_CHECKING:
    import pandas as pd

from lifecycle.contract import DataPlugin, Samples
from lifecycle.data.columns.meaning.fields import Typed
from lifecycle.data.columns.meaning.meaning import BOOLEAN, ORDERED, TEXT, Meaning
from lifecycle.data.columns.meaning.meaning import TIME as TIMES

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
GROUP, PART = "group of the row", "part of the row"
OF_SPLIT = {"group": GROUP, "time": TIME, "split_column": PART}
"""Field that says how rows are divided -> kind of its column."""
PLURALS = {NUMBER: "numbers", PIXEL: "pixels"}
MOMENT = "time ("
"""How the kind of a column of dates or times among features begins."""

READ_AS = {BOOLEAN: "true or false", MOMENT: "with dates or times", ORDERED: "in order", TEXT: "with texts"}
"""Kind, or its beginning -> what a line calls such columns."""

MOST_NAMED = 8
"""Columns that a line lists; the others are counted."""


def of_meaning(meaning: Meaning) -> str:
    """Return the kind of a column whose meaning is known: ``number in kg``, ``time (day_first)``, ..."""
    if meaning.kind == NUMBER:
        return f"{NUMBER} in {meaning.unit}" if meaning.unit else NUMBER
    if meaning.kind == TIMES:
        return f"{MOMENT}{meaning.notation})"
    return f"{ORDERED} {CATEGORY} ({len(meaning.order)} values)" if meaning.kind == ORDERED else meaning.kind


def column_kinds(plugin: DataPlugin, frame: pd.DataFrame) -> dict[str, str]:
    """Return column -> kind, in the order of the columns: ``"number"``, ``"category (3 values)"``, ``"target"``, ..."""
    targets, used = plugin.describe_target(frame).in_columns, set(plugin.columns(frame))
    of_split = {column: OF_SPLIT[field] for field, column in split_columns_of(plugin).items()}
    return {
        str(name): of_split.get(name) or _kind(plugin, frame, name, TARGET if name in targets else "", name in used)
        for name in frame.columns
    }


def _kind(plugin: DataPlugin, frame: pd.DataFrame, name: str, target: str, used: bool) -> str:
    import numpy as np
    import pandas as pd

    if target or name == weight_of(plugin):
        return WEIGHT if not target else OWN_PAST if used else TARGET
    if isinstance(plugin, HasTimeColumn) and name == plugin.time:
        order = plugin.in_order(frame) if isinstance(plugin, OrdersRows) else np.arange(len(frame))
        return TIME if (np.diff(order) > 0).all() else SORTED_TIME
    if not used:
        unread = DIGEST if plugin.sample_dim == 3 and name == "sha256" else UNREAD
        typed_out = plugin.typed_out if isinstance(plugin, Typed) else []
        return DROPPED if name in (*dropped_by(plugin), *typed_out) else unread
    if plugin.sample_dim == 3:
        return PIXEL if pd.api.types.is_numeric_dtype(frame[name]) else FILE
    return of_feature(plugin, frame[name])


def of_feature(plugin: DataPlugin, column: pd.Series[Any]) -> str:
    """Return the kind of a column of features."""
    import pandas as pd

    from lifecycle.data.columns import types

    meaning = plugin.meanings.get(str(column.name)) if isinstance(plugin, Typed) else None
    if meaning is not None and meaning.kind != CATEGORY:
        return of_meaning(meaning)
    column = types.plain(column)
    if meaning is None and pd.api.types.is_numeric_dtype(column):
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
    units = {
        name: kind.removeprefix(f"{NUMBER} in ") for name, kind in kinds.items() if kind.startswith(f"{NUMBER} in ")
    }
    counted = Counter(NUMBER if name in units else kind for name, kind in kinds.items())
    parts = [
        f"{counted[kind]} {plural if counted[kind] > 1 else kind}" for kind, plural in PLURALS.items() if counted[kind]
    ]
    if units:
        parts[0] += f" ({_named([f'{name} in {unit}' for name, unit in units.items()])})"
    for first, title in READ_AS.items():
        names = [name for name, kind in kinds.items() if kind.startswith(first)]
        parts += [f"{len(names)} {title}: {_named(names)}"] if names else []
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
        GROUP: "groups",
        PART: "parts",
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
