"""The column that is predicted: found, checked, and turned into what a network is trained on and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import times
from lifecycle.data.columns.features import LARGEST
from lifecycle.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MOST_CLASSES = 20
"""A column of whole numbers with no more values than this is taken for classes, where no task is named."""

WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
"""A label that is a whole number, as a file or numpy writes it."""


NAMED = {"path": "data.path=houses.csv", "target": "data.target=price"}


def check_named(kind: Any, *names: str) -> None:
    """Complain (``ValueError``) of a kind without a path or a target, or without those of them that are named."""
    for name in names or NAMED:
        if not getattr(kind, name):
            raise ValueError(f"{name} must be given, got nothing. Add for instance {NAMED[name]}.")


def check_columns(frame: pd.DataFrame, path: str, columns: dict[str, str]) -> None:
    """Refuse a field that names no column, and a target with missing values."""
    import numpy as np

    for key, name in columns.items():
        check_name(list(frame.columns), path, key, name)
        missing = int(frame[name].isna().sum())
        if missing:
            raise gaps(path, key, name, missing, int(np.flatnonzero(frame[name].isna())[0]))


def check_name(columns: list[str], path: str, key: str, name: str) -> None:
    """Refuse a field that names no column."""
    if name not in columns:
        raise RequestError(
            f"data.{key}={name} is no column of {path}.{did_you_mean(name, columns)} "
            f"Columns: {', '.join(map(str, columns))}."
        )


def gaps(path: str, key: str, name: str, missing: int, first: int) -> RequestError:
    """Return the refusal of a target with missing values."""
    return RequestError(
        f"data.{key}={name} has no value in {missing} rows of {path}, the first is row {first}. "
        "Fill them or remove these rows."
    )


def infer_task(column: pd.Series[Any]) -> str:
    """Return ``"regression"`` for numbers with fractions or many values, else ``"classification"``."""
    import numpy as np
    import pandas as pd

    from lifecycle.data.columns import types

    column = types.plain(column, categories_are_texts=False)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return "classification"
    values = column.to_numpy(dtype=float)
    whole = bool(np.isfinite(values).all() and np.all(values == np.round(values)))
    return "classification" if whole and column.nunique() <= MOST_CLASSES else "regression"


def labels_of(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return the values of a target, times as texts, ``(rows,)``."""
    from lifecycle.data.columns import types

    column = types.plain(column, categories_are_texts=False)
    values: np.ndarray[Any, Any] = times.texts(column) if column.dtype.kind == "M" else column.to_numpy()
    return values


def as_numbers(values: np.ndarray[Any, Any], name: str, cure: str = "") -> np.ndarray[Any, Any]:
    """Return a regression's targets as ``(samples,) float64``.

    Raises:
        RequestError: one of them is no finite number.
    """
    import numpy as np

    if values.dtype.kind in "mM":  # NumPy would count nanoseconds
        raise RequestError(
            f"data.target={name} holds times, and values are to be predicted. Name a column of numbers{cure}."
        )
    try:
        numbers: np.ndarray[Any, Any] = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"data.target={name} holds text ({error}), and values are to be predicted. Name a column of numbers{cure}."
        ) from error
    wrong = np.flatnonzero(~(np.abs(numbers) <= LARGEST))
    if len(wrong):
        row = int(wrong[0])
        why = "" if np.isnan(numbers[row]) else ", too large to learn from"
        raise RequestError(f"data.target={name} is {numbers[row]} in row {row}{why}. Fix or remove the row.")
    return numbers


def as_labels(values: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """Return a classification's targets as ``(samples,)`` strings.

    Raises:
        RequestError: there is one class only.
    """
    import numpy as np

    labels = np.array([str(value) for value in values])
    if len(set(labels)) < 2:
        raise RequestError(f"data.target={name} has one class only, {labels[0]}. There is nothing to tell apart.")
    return labels


def classes(labels: np.ndarray[Any, Any]) -> list[str]:
    """Return the classes among labels, sorted: by value where all are whole numbers (9, 10, 11), else as texts."""
    names = sorted({str(label) for label in labels})
    return sorted(names, key=float) if all(map(WHOLE.fullmatch, names)) else names
