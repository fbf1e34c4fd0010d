"""Conversion of a column of any dtype (NumPy, pandas' nullable, Arrow, categories, objects) to one of few dtypes."""

from __future__ import annotations

import datetime
import decimal
import numbers
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.errors import RequestError

Column = pd.Series


def plain(column: Column[Any], categories_are_texts: bool = True) -> Column[Any]:
    """Return a column with one of few dtypes.

    Numbers become one of NumPy's dtypes, float64 where a value is missing or they were decimals; truth values ``bool``,
    or objects where one is missing; texts ``str``; times ``datetime64``, durations ``timedelta64``. Objects of several
    types are unchanged.

    Args:
        column: of any dtype.
        categories_are_texts: convert pandas' categories to texts, whatever their values are; ``False``: to their
            values.

    Raises:
        RequestError: the values are complex.
    """
    dtype: Any = column.dtype
    if dtype.kind == "c":
        raise complex_numbers(column)
    for kind, convert in _CONVERSIONS.items():
        if isinstance(dtype, kind):
            return convert(column, categories_are_texts)
    if pd.api.types.is_bool_dtype(dtype):
        return _truths(column)
    return _numbers(column) if pd.api.types.is_numeric_dtype(dtype) else column


def is_number(column: Column[Any]) -> bool:
    """Return whether a column holds numbers or truth values; all others are categories."""
    return bool(pd.api.types.is_numeric_dtype(plain(column)))


def plain_frame(frame: pd.DataFrame, categories_are_texts: bool = True) -> pd.DataFrame:
    """Return a frame with :func:`plain` columns; the same frame where nothing changes."""
    changed = {name: plain(frame[name], categories_are_texts) for name in frame.columns}
    changed = {name: column for name, column in changed.items() if column is not frame[name]}
    changed = {name: column for name, column in changed.items() if column.dtype != frame[name].dtype}
    return frame.assign(**changed) if changed else frame


def complex_numbers(column: Column[Any]) -> RequestError:
    """Return the error of a column of complex numbers."""
    present = column.dropna()
    value, row = (present.iloc[0], present.index[0]) if len(present) else (column.iloc[0], column.index[0])
    remedy = "Give the real and the imaginary part as two columns."
    return RequestError(f"column {column.name}", "holds complex numbers", f"{value} in row {row}", remedy)


def _truths(column: Column[Any]) -> Column[Any]:
    missing = column.isna()
    if not missing.any():
        return column.astype(bool)
    # Not pandas' nullable boolean, as other code would see pd.NA, whose truth value is an error.
    objects = [None if absent else bool(value) for value, absent in zip(column, missing, strict=True)]
    return pd.Series(objects, index=column.index, name=column.name, dtype=object)


def _numbers(column: Column[Any]) -> Column[Any]:
    if column.isna().any() or not pd.api.types.is_integer_dtype(column.dtype):
        return column.astype(object).where(column.notna(), np.nan).astype("float64")
    unsigned = pd.api.types.is_unsigned_integer_dtype(column.dtype)
    return column.astype("uint64" if unsigned else "int64")


def _texts(column: Column[Any], categories_are_texts: bool = True) -> Column[Any]:
    return column if column.dtype == "str" else column.astype("str")


def _sparse(column: Column[Any], categories_are_texts: bool) -> Column[Any]:
    return plain(column.sparse.to_dense(), categories_are_texts)  # type: ignore[attr-defined]


def _categories(column: Column[Any], are_texts: bool) -> Column[Any]:
    values = plain(pd.Series(column.cat.categories))
    if not are_texts or values.dtype.kind in "mM":
        return plain(column.astype(column.cat.categories.dtype), are_texts)
    # Each category is converted once, rather than the value of each row.
    texts = pd.Series([str(value) for value in values], dtype=object)
    codes = column.cat.codes.to_numpy()
    found = np.append(texts.to_numpy(), [None])[codes]  # -1, a missing one, is the last
    return pd.Series(found, index=column.index, name=column.name, dtype="str")


def _arrow(column: Column[Any], categories_are_texts: bool) -> Column[Any]:
    import pyarrow as pa

    kind = column.dtype.pyarrow_dtype  # type: ignore[union-attr]
    if pa.types.is_boolean(kind):
        return _truths(column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numbers(column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(column)
    if pa.types.is_dictionary(kind) or pa.types.is_string_view(kind):  # what pandas cannot cast
        array = pa.chunked_array(column.array.__arrow_array__()).combine_chunks()
        array = array.cast(pa.large_string()) if pa.types.is_string_view(kind) else array
        return plain(pd.Series(array.to_pandas(), name=column.name).set_axis(column.index), categories_are_texts)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_duration(kind):
        values = pd.Series(column.to_numpy(dtype=object, na_value=None), index=column.index, name=column.name)  # type: ignore[call-overload]
        return pd.to_timedelta(values) if pa.types.is_duration(kind) else pd.to_datetime(values)
    return _objects(column.astype(object).where(column.notna(), None))


def _objects(column: Column[Any], categories_are_texts: bool = True) -> Column[Any]:
    """Return objects that are all of one type as a column of that type; a column of another dtype unchanged."""
    if column.dtype != object:
        return column
    missing = column.isna().to_numpy()
    kinds = {type(value) for value, absent in zip(column.array, missing, strict=True) if not absent}
    # Checked here, because complex numbers among others would make no column of one type.
    if any(issubclass(kind, complex | np.complexfloating) for kind in kinds):
        raise complex_numbers(column[[isinstance(value, complex | np.complexfloating) for value in column]])
    fitting = (
        convert
        for types, but, convert in _OF_OBJECTS
        if kinds and all(issubclass(kind, types) and not issubclass(kind, but) for kind in kinds)
    )
    convert = next(fitting, None)
    return column if convert is None else convert(column)


def _times(column: Column[Any]) -> Column[Any]:
    try:
        return pd.to_datetime(column)
    except ValueError:  # pandas refuses times of several zones in one column
        return column


def _real(column: Column[Any]) -> Column[Any]:
    missing = column.isna().to_numpy()
    # Not float64, which rounds beyond 2^53, and would make 1.0 of the label 1.
    if all(isinstance(value, int | np.integer) for value in column):
        try:
            return column.astype("int64")
        except OverflowError:
            # More than 64 bits: float64 below, whose rounding is reported by the module rounding.
            pass
    try:
        found = [np.nan if absent else float(value) for value, absent in zip(column.array, missing, strict=True)]
    except OverflowError:
        row, value = next((row, one) for row, one in column.items() if isinstance(one, int) and abs(one) > 10**308)
        raise RequestError(
            f"column {column.name}",
            f"has a whole number of {len(str(value))} digits in row {row}, too large to learn from",
            remedy="Fix the value, or leave the column out.",
        ) from None
    return pd.Series(found, index=column.index, name=column.name, dtype="float64")


_CONVERSIONS: dict[type, Callable[[Column[Any], bool], Column[Any]]] = {
    np.dtype: _objects,
    pd.StringDtype: _texts,
    pd.CategoricalDtype: _categories,
    pd.SparseDtype: _sparse,
    pd.ArrowDtype: _arrow,
}
"""Dtype -> conversion to a plain column."""

_OF_OBJECTS: tuple[tuple[Any, Any, Callable[[Column[Any]], Column[Any]]], ...] = (
    (bool | np.bool_, (), _truths),
    (numbers.Real | decimal.Decimal | np.number, bool | np.bool_, _real),
    (str, (), _texts),
    (uuid.UUID, (), lambda column: column.map(str, na_action="ignore").astype("str")),
    (datetime.timedelta | np.timedelta64, (), pd.to_timedelta),
    (datetime.datetime | np.datetime64, (), _times),
)
"""Types of objects, subtypes of these to exclude (bool is an int), and the conversion to a plain column."""
