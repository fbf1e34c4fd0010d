"""Checks of the feature columns: what can be learnt from, and what is refused."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns.remedies import drop, drop_only, typed
from lifecycle.errors import Either, RequestError, Setting, Text, as_typed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

LARGEST = 1e30
"""Numbers beyond this cannot be standardised in single precision: their squares overflow."""

MOST_CATEGORIES = 100
"""A text column with more values than this, and a new one in every other row, is an identifier or free text."""

TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
"""Spellings of a truth value."""

WHOLE = re.compile(r"(-?\d+)\.0+")
"""A whole number as pandas writes it in a float64 column, such as one with missing values."""

MARK = re.compile(r"(?!.*\d)[\w./?*+ -]{1,30}")
"""A text that may be a mark of missing values, and needs no quotation marks on the command line; 136A is a code."""

MOST_MARKS = 5
"""More different texts among numbers are hardly marks of missing values."""

TOTALS = {"total", "totals", "sum", "grand total", "subtotal", "gesamt", "summe", "total général", "somme", "totale"}
"""What a row of totals is called."""

TYPES = (str, bool, int, float, datetime.date, datetime.time)
"""Types of objects that a column may hold."""

NUMBERS, CATEGORIES, BOOLEANS, ORDERED, TIMES, TEXTS = (
    "numbers",
    "categories",
    "booleans",
    "ordered",
    "times",
    "texts",
)
"""Names of the steps of the ``ColumnTransformer``; saved models contain them. Each column of texts has its own step."""


def as_known(text: str, known: Collection[Any]) -> str:
    """Return a category as the training rows wrote it, where it is the same value written in another way.

    Files, frames and JSON write one value differently: ``1`` and ``1.0``, ``true`` and ``True``.

    Args:
        text: of a cell.
        known: the categories.
    """
    if text in known:  # "1.0" stays "1.0" where both "1" and "1.0" are categories
        return text
    others = [str(spellings is TRUE) for spellings in (TRUE, FALSE) if text in spellings]
    if whole := WHOLE.fullmatch(text):
        others.append(whole[1])
    return next((other for other in (*others, f"{text}.0") if other in known), text)


def numeric(frame: pd.DataFrame) -> list[str]:
    """Return the columns of numbers or truth values; all others are categories."""
    import pandas as pd

    from lifecycle.data.columns import types

    return [name for name in frame.columns if pd.api.types.is_numeric_dtype(types.plain(frame[name]))]


def is_temporal(dtype: Any) -> bool:
    """Return whether a dtype is one of times, durations or periods, which pandas would convert to numbers."""
    import pandas as pd

    # The kind of PeriodDtype is "O", as of any object.
    return dtype.kind in "mM" or isinstance(dtype, pd.PeriodDtype)


def finite_numbers(frame: pd.DataFrame, path: str, dtype: Any, noun: str = "value") -> np.ndarray[Any, Any]:
    """Return a frame of numbers as an array.

    Args:
        frame: whose columns must all be numbers, without missing values.
        path: of its file, for messages.
        dtype: of the array.
        noun: for a cell, in messages.

    Raises:
        RequestError: names the column, or the row and the column.
    """
    import numpy as np

    from lifecycle.data.columns import types

    key = Setting("data.path", path)
    for name, column_dtype in frame.dtypes.items():
        if is_temporal(column_dtype):
            raise RequestError(key, f"has times in the column {name}", remedy="Turn them into numbers.")
    try:
        numbers: np.ndarray[Any, Any] = types.plain_frame(frame).to_numpy(dtype=dtype)
    except (TypeError, ValueError) as error:
        raise RequestError(key, f"has a {noun} that is no number: {error}", remedy=f"Fix the {noun}.") from error
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        problem = f"misses a {noun} in row {frame.index[row]}, column {frame.columns[column]}"
        raise RequestError(key, problem, remedy="Fix or remove the row.")
    return numbers


def check(frame: pd.DataFrame, numbers: Collection[str], path: str) -> None:
    """Refuse columns that no declared type makes usable: numbers too large to learn from, and objects such as lists.

    Args:
        frame: the features.
        numbers: the columns of numbers or truth values.
        path: of their file, for messages.

    Raises:
        RequestError: names column, row and remedy.
    """
    from lifecycle.data.columns import types

    _check_cells(frame[[name for name in frame.columns if name not in numbers]], path)
    for name in frame.columns:
        if name in numbers:
            check_numbers(types.plain(frame[name]), path)
        elif (column := types.plain(frame[name])).dtype != "str" and not is_temporal(column.dtype):
            check_objects(column, path)


def check_numbers(column: pd.Series[Any], path: str) -> None:
    """Refuse numbers beyond :data:`LARGEST`."""
    import numpy as np

    values = column.to_numpy(dtype=float, na_value=float("nan"))
    wrong = np.flatnonzero(np.abs(values) > LARGEST)  # also infinities; NaN is a missing value, which is filled
    if len(wrong):
        raise too_large(str(column.name), path, values[wrong[0]], int(wrong[0]), len(wrong) - 1)


def _check_cells(frame: pd.DataFrame, path: str) -> None:
    """Refuse objects that are neither numbers nor texts, of all columns at once."""
    from lifecycle.data.columns import types

    found: dict[Any, str] = {}
    for name in frame.columns:
        # Of kind "O" are also intervals, and types of other packages.
        column = types.plain(frame[name])
        if column.dtype.kind == "O" and column.dtype != "str" and not is_temporal(column.dtype):
            kinds = (type(value).__name__ for value in column.dropna() if not isinstance(value, TYPES))
            kind = next(kinds, None)
            if kind is not None:
                found[name] = "list" if kind == "ndarray" else kind  # pyarrow returns lists as arrays of NumPy's
    if found:
        listed = " and ".join(f"a {kind} in column {name}" for name, kind in found.items())
        remedy: Text = ["Use numbers or texts, or ", drop(*found), "."]
        raise RequestError(Setting("data.path", path), f"has {listed}", remedy=remedy)


def check_objects(column: pd.Series[Any], path: str) -> None:
    """Refuse truth values among numbers."""
    present = column.dropna()
    # Columns of all other dtypes hold values of one kind.
    if present.dtype == object:
        _check_truths(present, path)


def _check_truths(present: pd.Series[Any], path: str) -> None:
    """Refuse truth values among numbers, in which True would be 1 or a separate category."""
    are_truths = present.map(lambda value: isinstance(value, bool))
    are_numbers = present.map(lambda value: isinstance(value, int | float)) & ~are_truths
    if are_truths.any() and are_numbers.any():
        rows, values = (are_numbers.idxmax(), are_truths.idxmax()), present.to_dict()
        raise RequestError(
            Setting("data.path", path),
            f"has numbers and truth values in column {present.name}",
            f"{values[rows[0]]} in row {rows[0]} and {values[rows[1]]} in row {rows[1]}",
            ["Use one of the two, or ", drop(present.name), "."],
        )


def are_marks(texts: Sequence[str]) -> bool:
    """Return whether texts may be marks of missing values that can be typed in a list on the command line."""
    return len(texts) <= MOST_MARKS and all(map(MARK.fullmatch, texts))


def declaring(marks: Sequence[str], texts: Sequence[str], more: str = "") -> Either:
    """Return the advice to declare texts as marks of missing values.

    >>> declaring(["?"], ["n.a."]).command, declaring([], ["a", "b"]).python
    ('If it is a mark of missing values, add data.missing=[?,n.a.]', 'If the 2 texts mark missing values, give NaN')

    Args:
        marks: that are declared.
        texts: to declare in addition.
        more: a further option.
    """
    it = "it is a mark" if len(texts) == 1 else f"the {len(texts)} texts are marks"
    those = "it marks a missing value" if len(texts) == 1 else f"the {len(texts)} texts mark missing values"
    typed_marks = as_typed([*marks, *texts])
    return Either(f"If {it} of missing values, add data.missing={typed_marks}{more}", f"If {those}, give NaN")


def mixed(
    name: str, path: str, text: Any, row: Any, texts: Sequence[str] = (), marks: Sequence[str] = ()
) -> RequestError:
    """Return the error of a text among numbers.

    Args:
        name: of the column.
        path: of the source.
        text: the first one.
        row: its row.
        texts: all different ones of the column, where they are known.
        marks: of missing values, which are declared.
    """
    remedy: list[Text] = ["Fix the text, add ", typed(name, "category"), ", or ", drop(name), "."]
    if any(one.strip(" :").casefold() in TOTALS for one in texts):
        # As a missing value it would leave the sums in the other columns.
        remedy.append(" Remove the row if it holds totals.")
    elif texts and are_marks(texts):
        remedy += [" ", declaring(marks, texts), "."]
    return RequestError(
        Setting("data.path", path), f"has numbers in column {name}, and the text {text!r} in row {row}", remedy=remedy
    )


def too_many(name: str, path: str, distinct: int, present: int | str) -> RequestError:
    """Return the error of a column of texts that are not categories."""
    return RequestError(
        Setting("data.path", path),
        f"has {distinct} different texts in the {present} rows of column {name}, an identifier or free text rather "
        "than categories",
        remedy=[drop_only(name), ", or ", typed(name, "text"), "."],
    )


def and_others(count: int) -> str:
    """Return how many other rows have the same fault.

    >>> and_others(0), and_others(1), and_others(7)
    ('', ' and in 1 other row', ' and in 7 other rows')
    """
    return f" and in {count} other row{'s' * (count != 1)}" if count else ""


def too_large(name: str, path: str, value: Any, row: int, others: int = 0) -> RequestError:
    """Return the error of a number beyond :data:`LARGEST`, and of so many others in its column."""
    return RequestError(
        Setting("data.path", path),
        f"has {value} in column {name}, row {row}{and_others(others)}, too large to learn from",
        remedy=["Fix it, or ", drop(name), "."],
    )
