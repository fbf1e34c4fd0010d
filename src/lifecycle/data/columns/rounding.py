"""Whole numbers with more digits than double precision holds: which columns have them, and how they are rounded."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd

from lifecycle import errors
from lifecycle.data.columns.remedies import drop_only
from lifecycle.errors import Text

Column = pd.Series

EXACT = 2**53
"""Whole numbers up to this are exact in double precision."""


def warn(frame: pd.DataFrame) -> None:
    """Issue a Python warning for each column of a frame with such a number."""
    for name in frame.columns:
        if (found := first_rounded(frame[name])) is not None:
            errors.warn(f"{_sentence(name, *found)}. Leave the column out if it is an identifier")


def note(name: str, value: int, becomes: int, is_target: bool = False) -> Text:
    """Return the note on a column with such a number; a column of features may be dropped."""
    sentence = _sentence(name, value, becomes)
    return sentence if is_target else [f"{sentence}. ", drop_only(name), " if it is an identifier"]


def _sentence(name: str, value: int, becomes: int) -> str:
    return f"{name}: whole numbers beyond 2^53 are rounded, such as {_short(value)} to {_short(becomes)}"


def first_rounded(values: Any) -> tuple[int, int] | None:
    """Return the first whole number that double precision rounds, and the rounded number; ``None``: there is none.

    Args:
        values: a column of any type; only whole numbers are looked at.
    """
    found = _integers(values)
    if found is None or not len(found):
        return None
    if found.dtype == object:
        return next(((value, int(float(value))) for value in found if abs(value) > EXACT and _is_rounded(value)), None)
    # Not np.abs, which overflows for -2^63.
    wide = found[(found > EXACT) | (found < -EXACT)] if found.dtype.kind == "i" else found[found > EXACT]
    rounded = wide[_lost(wide)] if len(wide) else wide
    return (int(rounded[0]), int(float(rounded[0]))) if len(rounded) else None


def _short(number: int) -> str:
    text = str(number)
    return text if len(text) <= 40 else f"{text[:20]}... ({len(text)} digits)"


def _is_rounded(value: int) -> bool:
    try:
        return int(float(value)) != value
    except OverflowError:
        return False  # beyond the largest float; another check refuses it


def _lost(wide: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return which whole numbers have bits that double precision does not hold, ``(numbers,) bool``."""
    # Not by comparing with float64 and back: 2^63 - 1 becomes 2^63, which int64 does not hold.
    magnitude = np.where(wide < 0, (~wide).astype(np.uint64) + np.uint64(1), wide.astype(np.uint64))
    exponent = np.frexp(magnitude.astype(np.float64))[1]
    mask = (np.uint64(1) << (exponent - 53).astype(np.uint64)) - np.uint64(1)
    return np.asarray((magnitude & mask) != 0)


def _integers(values: Any) -> np.ndarray[Any, Any] | None:
    """Return the whole numbers of a column, of an integer type or as objects; ``None``: its type holds none."""
    import pyarrow as pa

    # float64 values are excluded: what they were before they were rounded is not known.
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values if values.dtype.kind in "iu" else None
    if isinstance(values, np.ndarray):
        values = pd.Series(values, dtype=object)
    column = values
    if isinstance(column.dtype, pd.ArrowDtype):
        array = column.array.__arrow_array__()
        if pa.types.is_integer(array.type):
            return np.asarray(array.drop_null())
        column = pd.Series(array.to_pylist() if pa.types.is_decimal(array.type) else [], dtype=object)
    if column.dtype == object:  # Python's integers may be larger than 64 bits
        found = [int(value) for value in column if _is_integer(value)]
        return np.array(found, dtype=object)
    if not pd.api.types.is_integer_dtype(column.dtype):
        return None
    # int64 does not hold the upper half of uint64.
    kind = np.uint64 if pd.api.types.is_unsigned_integer_dtype(column.dtype) else np.int64
    return np.asarray(column.dropna().to_numpy(dtype=kind))


def _is_integer(value: Any) -> bool:
    if isinstance(value, decimal.Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
