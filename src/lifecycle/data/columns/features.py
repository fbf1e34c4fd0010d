"""The columns that a network learns from: refused where a number or a category would not be what it seems."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns.times import are_times
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1e30
"""Numbers beyond this cannot be standardised in single precision."""

MOST_CATEGORIES = 100
"""A text column with more values than this, and a new one in every other row, is an identifier or free text."""


TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
"""What a truth value is written as."""

WHOLE = re.compile(r"(-?\d+)\.0+")
"""A whole number as a column of numbers with gaps writes it."""

NUMBERS, CATEGORIES = "numbers", "categories"  # steps of the transformer


def as_known(text: str, known: Collection[Any]) -> str:
    """Return a category as it was written while learning, where it is the same value written in another way.

    Files, frames and JSON write one value differently: ``1`` and ``1.0``, ``true`` and ``True``.

    Args:
        text: of a cell.
        known: the categories.
    """
    if text in known:
        return text
    others = [str(words is TRUE) for words in (TRUE, FALSE) if text in words]
    if whole := WHOLE.fullmatch(text):
        others.append(whole[1])
    return next((other for other in (*others, f"{text}.0") if other in known), text)


def numeric(frame: pd.DataFrame) -> list[str]:
    """Return the columns that are numbers or truth values; all others are categories."""
    import pandas as pd

    from lifecycle.data.columns import types

    return [name for name in frame.columns if pd.api.types.is_numeric_dtype(types.plain(frame[name]))]


def check(frame: pd.DataFrame, path: str) -> None:
    """Check every column.

    Raises:
        RequestError: names column, row and cure.
    """
    import pandas as pd

    from lifecycle.data.columns import types

    for name in frame.columns:
        column = types.plain(frame[name])
        if pd.api.types.is_bool_dtype(column):
            continue
        if pd.api.types.is_numeric_dtype(column):
            _check_numbers(column, path)
        elif is_temporal(column.dtype):
            raise times(name, path)
        else:
            _check_categories(column, path)


def is_temporal(dtype: Any) -> bool:
    """Return whether a column's type is one of times, durations or periods, which pandas can turn into numbers."""
    import pandas as pd

    return dtype.kind in "mM" or isinstance(dtype, pd.PeriodDtype)


def check_no_times(frame: pd.DataFrame, path: str) -> None:
    """Refuse times among columns that are to be numbers, all of them.

    Raises:
        RequestError: names the column.
    """
    for name, dtype in frame.dtypes.items():
        if is_temporal(dtype):
            raise RequestError(f"data.path={path} has times in the column {name}. Turn them into numbers.")


def _check_numbers(column: pd.Series[Any], path: str) -> None:
    import numpy as np

    values = column.to_numpy(dtype=float, na_value=float("nan"))
    wrong = np.flatnonzero(np.abs(values) > LARGEST)
    if len(wrong):
        raise too_large(str(column.name), path, values[wrong[0]], int(wrong[0]))


def _check_categories(column: pd.Series[Any], path: str) -> None:
    import pandas as pd

    present = column.dropna()
    drop = f"or add data.drop=[{column.name}]"
    if are_times(present) or (len(present) and isinstance(present.iloc[0], datetime.date)):
        raise times(str(column.name), path)
    if not all(isinstance(value, str | bool | int | float) for value in present):
        kind = next(type(v).__name__ for v in present if not isinstance(v, str | bool | int | float))
        kind = "list" if kind == "ndarray" else kind
        raise RequestError(f"data.path={path} has a {kind} in column {column.name}. Use numbers or texts, {drop}.")
    if present.dtype == object:
        _check_truths(present, path, drop)
    numbers = pd.to_numeric(present, errors="coerce")
    texts = present[numbers.isna()]
    first = (texts.iloc[0], texts.index[0]) if len(texts) else None
    judge_categories(str(column.name), path, len(present), len(texts), first, present.nunique)


def _check_truths(present: pd.Series[Any], path: str, drop: str) -> None:
    """Refuse truth values among numbers, in which True would be 1 or a category of its own."""
    are_truths = present.map(lambda value: isinstance(value, bool))
    are_numbers = present.map(lambda value: isinstance(value, int | float)) & ~are_truths
    if are_truths.any() and are_numbers.any():
        rows, values = (are_numbers.idxmax(), are_truths.idxmax()), present.to_dict()
        raise RequestError(
            f"data.path={path} has numbers and truth values in column {present.name}, got {values[rows[0]]} in row "
            f"{rows[0]} and {values[rows[1]]} in row {rows[1]}. Use one of the two, {drop}."
        )


def judge_categories(
    name: str, path: str, present: int, texts: int, first: tuple[Any, Any] | None, distinct: Callable[[], int]
) -> None:
    """Refuse a column of categories that is numbers with a few texts among them, or an identifier or free text.

    Args:
        name: of the column.
        path: of the file.
        present: values that are not missing.
        texts: those of them that are no numbers.
        first: the first of these texts, and its row.
        distinct: returns how many different values there are.

    Raises:
        RequestError: names column, row and cure.
    """
    if first is not None and texts < present / 2:
        raise mixed(name, path, *first)
    different = distinct()
    if different > present / 2 and different > min(MOST_CATEGORIES, present / 2) and present >= 20:
        raise too_many(name, path, different, present)


def mixed(name: str, path: str, text: Any, row: Any) -> RequestError:
    """Return the refusal of a text among numbers."""
    return RequestError(
        f"data.path={path} has numbers in column {name}, and the text {text!r} in row {row}. Mend the text, or add "
        f"data.drop=[{name}]."
    )


def too_many(name: str, path: str, distinct: int, present: int | str) -> RequestError:
    """Return the refusal of a column of texts that are no categories."""
    return RequestError(
        f"data.path={path} has {distinct} different texts in the {present} rows of column {name}, an identifier or "
        f"free text rather than categories. Add data.drop=[{name}]."
    )


def too_large(name: str, path: str, value: Any, row: int) -> RequestError:
    """Return the refusal of a number beyond :data:`LARGEST`."""
    return RequestError(
        f"data.path={path} has {value} in column {name}, row {row}, too large to learn from. Mend it, or add "
        f"data.drop=[{name}]."
    )


def times(name: str, path: str) -> RequestError:
    """Return the refusal of a column of times."""
    return RequestError(
        f"data.path={path} has times in the column {name}. Turn them into numbers, or add data.drop=[{name}]."
    )
