"""What was found of the columns of a table, and the option that changes it, for `lifecycle data`."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns.meaning.meaning import CATEGORY, DROP, NUMBER, ORDERED, TEXT, TIME, Meaning
from lifecycle.data.columns.remedies import typed
from lifecycle.data.columns.targets import MOST_CLASSES
from lifecycle.errors import Setting, Text

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.contract import Target

REGRESSION, CLASSIFICATION = Setting("data.task", "regression"), Setting("data.task", "classification")

FEWEST_ROWS = 20
"""Rows below which it says little that whole numbers are few, or all different."""


def lines(
    frame: pd.DataFrame,
    meanings: dict[str, Meaning],
    declared: dict[str, Meaning],
    identifiers: Collection[str] = (),
) -> list[Text]:
    """Return a line for each column that is more than plain numbers or categories, or may be something else.

    Args:
        frame: the features.
        meanings: column -> its meaning, declared or found.
        declared: column -> its declared meaning.
        identifiers: columns that the audit has named as such, of which nothing more is to be said.
    """
    found: list[Text] = []
    for name in frame.columns:
        if name in declared:
            found.append(f"{name}: {declared[name]}, as declared")
        elif name in meanings:
            found.append(_found(name, frame[name], meanings[name]))
        elif name not in identifiers and (doubt := _doubt(name, frame[name])) is not None:
            found.append(doubt)
    return found


def _found(name: str, column: pd.Series[Any], meaning: Meaning) -> Text:
    present = column.dropna()
    example = f", such as {present.iloc[0]!s}" if len(present) else ""
    if meaning.kind == TEXT:
        example = ", of which TF-IDF and a singular value decomposition make numbers"
    instead = {NUMBER: CATEGORY, TIME: DROP, TEXT: CATEGORY, ORDERED: CATEGORY}.get(meaning.kind, CATEGORY)
    return [f"{name}: {meaning}{example}; otherwise ", typed(name, instead)]


def _doubt(name: str, column: pd.Series[Any]) -> Text | None:
    """Return a line on whole numbers that may be codes or identifiers; ``None``: nothing suggests it."""
    import pandas as pd

    from lifecycle.data.columns import types

    column = types.plain(column).dropna()
    if not pd.api.types.is_integer_dtype(column) or len(column) < FEWEST_ROWS:
        return None
    distinct = column.nunique()
    if distinct == len(column) and (column.is_monotonic_increasing or column.is_monotonic_decreasing):
        return [f"{name}: another whole number in each row; if it is an identifier, ", typed(name, DROP)]
    if 2 < distinct <= MOST_CLASSES:
        return [f"{name}: {distinct} different whole numbers; if they are codes, ", typed(name, CATEGORY)]
    return None


def task_choice(plugin: Any, target: Target, values: pd.Series[Any] | None) -> Text | None:
    """Return which task was chosen for a target of few different whole numbers, and how to choose the other.

    Args:
        plugin: the data plugin; where its ``task`` is given, there is nothing to say.
        target: its inferred task.
        values: of the target as the source has them; ``None``: it is no column of the source.
    """
    import pandas as pd

    from lifecycle.data.columns import types

    if getattr(plugin, "task", "given") is not None or values is None:
        return None
    values = types.plain(values, categories_are_texts=False)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return None
    is_class = target.task == "classification"
    # The first rows nearly always tell, and the values may be millions.
    if not is_class and not all(bool((some % 1 == 0).all()) for some in (values[:1000], values)):
        return None
    distinct = values.nunique()
    if is_class and distinct > 2:  # two are yes and no
        return [f"{distinct} different whole numbers are classes; ", REGRESSION, " predicts a value"]
    if not is_class and distinct <= 5 * MOST_CLASSES:
        return [f"{distinct} different whole numbers are values; ", CLASSIFICATION, " predicts classes"]
    return None
