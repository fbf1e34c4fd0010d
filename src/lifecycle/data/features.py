"""The columns that a network learns from: refused where a number or a category would not be what it seems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1e30
"""Numbers beyond this cannot be standardised in single precision."""

MOST_CATEGORIES = 100
"""A text column with more values than this, and a new one in every other row, is an identifier or free text."""


def numeric(frame: pd.DataFrame) -> list[str]:
    """Return the columns that are numbers or truth values; all others are categories."""
    import pandas as pd

    return [name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])]


def check(frame: pd.DataFrame, path: str) -> None:
    """Check every column.

    Raises:
        RequestError: names column, row and cure.
    """
    import pandas as pd

    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_bool_dtype(column):
            continue
        if pd.api.types.is_numeric_dtype(column):
            _check_numbers(column, path)
        elif pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
            raise RequestError(
                f"data.path={path} has times in the column {name}. Turn them into numbers, or add data.drop=[{name}]."
            )
        else:
            _check_categories(column, path)


def _check_numbers(column: pd.Series[Any], path: str) -> None:
    import numpy as np

    values = column.to_numpy(dtype=float, na_value=float("nan"))
    wrong = np.flatnonzero(np.abs(values) > LARGEST)
    if len(wrong):
        raise RequestError(
            f"data.path={path} has {values[wrong[0]]} in column {column.name}, row {wrong[0]}, too large to learn "
            f"from. Mend it, or add data.drop=[{column.name}]."
        )


def _check_categories(column: pd.Series[Any], path: str) -> None:
    import pandas as pd

    present = column.dropna()
    drop = f"or add data.drop=[{column.name}]"
    if not all(isinstance(value, str | bool | int | float) for value in present):
        kind = next(type(v).__name__ for v in present if not isinstance(v, str | bool | int | float))
        raise RequestError(f"data.path={path} has a {kind} in column {column.name}. Use numbers or texts, {drop}.")
    numbers = pd.to_numeric(present, errors="coerce")
    texts = present[numbers.isna()]
    if 0 < len(texts) < len(present) / 2:
        raise RequestError(
            f"data.path={path} has numbers in column {column.name}, and the text {texts.iloc[0]!r} in row "
            f"{texts.index[0]}. Mend the text, {drop}."
        )
    distinct = present.nunique()
    if distinct > len(present) / 2 and distinct > min(MOST_CATEGORIES, len(present) / 2) and len(present) >= 20:
        raise RequestError(
            f"data.path={path} has {distinct} different texts in the {len(present)} rows of column {column.name}, an "
            f"identifier or free text rather than categories. Add data.drop=[{column.name}]."
        )
