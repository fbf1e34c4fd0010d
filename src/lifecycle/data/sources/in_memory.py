"""Rows of a Python caller (frames, arrays, tensors, lists), converted to a frame with a target column."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.contract import Split
from lifecycle.data.columns import rounding, types, weights
from lifecycle.data.columns.features import is_temporal
from lifecycle.data.columns.names import PREDICTED
from lifecycle.data.sources.native_frames import as_pandas, is_frame
from lifecycle.errors import RequestError
from lifecycle.runtime.quiet import one_at_a_time

PATH = "X"
"""The value of ``data.path`` for rows in memory, and their name in messages."""

UNSUPPORTED = {"M": "times", "m": "durations", "c": "complex numbers", "S": "bytes", "V": "records"}
"""NumPy's kind -> name, of the kinds that are neither numbers nor texts."""


@dataclass(frozen=True)
class MemoryRows:
    """Rows in memory for :func:`lifecycle.data.load.load`.

    Attributes:
        frame: the rows, including the target.
        split: the training and validation rows; ``None``: the data plugin splits them.
    """

    frame: pd.DataFrame
    split: Split | None = None


@one_at_a_time()
def inputs_of(X: Any) -> tuple[pd.DataFrame, tuple[int, ...]]:  # noqa: N803 - scikit-learn's and Keras's name
    """Return samples as a frame, and the shape of a sample.

    Args:
        X: ``(rows, features)``: a DataFrame, an array, a tensor, or a list of lists, which may have texts and missing
            values; or numbers of the shape ``(rows, steps, features)`` or ``(rows, channels, height, width)``.

    Raises:
        RequestError: X has another shape.
    """
    X = as_pandas(X)  # noqa: N806
    if isinstance(X, pd.DataFrame):
        # Messages count rows from 0, whatever the index of the caller is.
        frame = X.reset_index(drop=True).set_axis(list(map(str, X.columns)), axis=1)
        twice = frame.columns[frame.columns.duplicated()]
        if len(twice):
            raise RequestError("X", f"has two columns called {twice[0]}", remedy="Rename one of them.")
        rounding.warn(_not_empty(frame, X))
        return types.plain_frame(frame), (len(frame.columns),)
    values = array(X, "X")
    if values.ndim not in (2, 3, 4):
        raise RequestError(
            "X",
            "must have the shape (rows, features), (rows, steps, features) or (rows, channels, height, width)",
            values.shape,
            "One sample alone is X[np.newaxis]; one feature alone is X.reshape(-1, 1).",
        )
    whole: Any = values.shape
    rest: tuple[int, ...] = tuple(whole[1:])
    width = math.prod(rest)
    frame = pd.DataFrame(values.reshape(len(values), width), columns=[f"x{number}" for number in range(width)])
    if values.dtype.kind in "iuO":  # only these can hold whole numbers that float64 does not
        rounding.warn(frame)
    return _not_empty(types.plain_frame(frame) if values.dtype == object else frame, X), rest


@one_at_a_time()
def targets_of(y: Any, rows: int, taken: Collection[str], name: str = "y") -> tuple[str, np.ndarray[Any, Any]]:
    """Return a name for the target that is not in ``taken``, and the ``(rows,)`` targets.

    Args:
        y: the targets: a Series, a DataFrame of one column, an array, a tensor or a list.
        rows: number of rows of X.
        taken: names of the features.
        name: of the argument, for messages.

    Raises:
        RequestError: there is not exactly one target for each row.
    """
    y = as_pandas(y, name)
    target_name = str(getattr(y, "name", None) or "y")
    if isinstance(y, pd.DataFrame) and len(y.columns) == 1:
        target_name, y = str(y.columns[0]), y.iloc[:, 0]
    if isinstance(y, pd.Series):
        y = types.plain(y.rename(name).reset_index(drop=True), categories_are_texts=False)
        if is_temporal(y.dtype):
            raise RequestError(name, "holds times or durations", remedy="Turn them into numbers or texts.")
        y = y.to_numpy()
    values = _one_a_row(array(y, name), rows, name)
    if values.dtype == object:
        values = types.plain(pd.Series(values, name=name)).to_numpy()
    _check_types(values, name)
    # PREDICTED is the name of a column of predictions.
    while target_name in taken or target_name == PREDICTED:
        target_name += "_"
    return target_name, values


def _one_a_row(values: np.ndarray[Any, Any], rows: int, name: str) -> np.ndarray[Any, Any]:
    """Return ``(rows,)`` targets, none of which is missing."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        remedy = f"Of one-hot classes give the classes, for instance {name}.argmax(axis=1)."
        raise RequestError(name, "must hold one target a row", f"the shape {values.shape}", remedy)
    if len(values) != rows:
        problem = f"must hold a target for each of the {rows} rows of X"
        raise RequestError(name, problem, len(values), "Give as many targets as rows.")
    gaps = np.flatnonzero(pd.isna(values))
    if len(gaps):
        problem = f"has no value in {len(gaps)} of {rows} rows, the first is row {gaps[0]}"
        raise RequestError(name, problem, remedy="Fill them, or leave these rows out.")
    return values


def _check_types(values: np.ndarray[Any, Any], name: str) -> None:
    """Refuse objects that are neither numbers nor texts."""
    if values.dtype != object:
        return
    odd = next((value for value in values if not isinstance(value, str | bool | int | float | np.generic)), None)
    if odd is not None:
        remedy = "Give classes or values: texts or numbers."
        raise RequestError(name, f"holds a {type(odd).__name__}, {odd!s}", remedy=remedy)


def weights_of(sample_weight: Any, rows: int, name: str = "sample_weight") -> np.ndarray[Any, Any] | None:
    """Return checked ``(rows,) float64`` weights; ``None``: there are none.

    Raises:
        RequestError: there is not one for each row, one is not a finite number of 0 or more, or all are 0.
    """
    if sample_weight is None:
        return None
    values: Any = array(sample_weight.to_numpy() if hasattr(sample_weight, "to_numpy") else sample_weight, name)
    if values.shape != (rows,):
        problem = f"must have the shape ({rows},), a number for each row of X"
        raise RequestError(name, problem, values.shape, "Reshape it.")
    return weights.checked(values, name)


def weights_together(train: np.ndarray[Any, Any] | None, rows: int, validation: Any) -> np.ndarray[Any, Any] | None:
    """Return the weights of training and validation rows, 1 for rows without weights; ``None``: there are none.

    Args:
        train: checked weights of the training rows, or ``None``.
        rows: number of training rows.
        validation: as for :func:`together`, which checks it.

    Raises:
        RequestError: as :func:`weights_of`.
    """
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        return train
    count = len(inputs_of(validation[0])[0])
    val = weights_of(validation[2], count, "sample_weight of validation_data") if len(validation) == 3 else None
    if train is None and val is None:
        return None
    return np.concatenate([np.ones(rows) if train is None else train, np.ones(count) if val is None else val])


def with_column(frame: pd.DataFrame, name: str, values: np.ndarray[Any, Any]) -> tuple[pd.DataFrame, str]:
    """Return a frame with an added column, and its name: ``name``, with ``_`` appended where that is taken."""
    while name in frame.columns:
        name += "_"
    return frame.assign(**{name: values}), name


@one_at_a_time()
def together(
    train: pd.DataFrame, shape: tuple[int, ...], targets: np.ndarray[Any, Any], validation: Any
) -> tuple[pd.DataFrame, np.ndarray[Any, Any], Split]:
    """Return training and validation rows in one frame, their targets, and the split.

    Args:
        train: training rows, as :func:`inputs_of` returns them.
        shape: of a sample.
        targets: of the training rows.
        validation: ``(X, y)`` or ``(X, y, sample_weight)``; the weights are ignored here.

    Raises:
        RequestError: ``validation`` is not such a tuple, or its rows have other columns or another shape.
    """
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        remedy = "Write (X, y), or (X, y, sample_weight)."
        raise RequestError("validation_data", "must be a pair (X, y)", type(validation).__name__, remedy)
    val, val_shape = inputs_of(validation[0])
    _, val_targets = targets_of(validation[1], len(val), (), "y of validation_data")
    val = like(val, validation[0], list(train.columns))
    missing = [name for name in train.columns if name not in val.columns]
    if missing:
        problem = f"has no column {', '.join(missing)}"
        raise RequestError("validation_data", problem, ", ".join(val.columns), "Add it.")
    if len(shape) > 1 and val_shape != shape:
        problem = f"must have samples of {shape} as X has"
        raise RequestError("validation_data", problem, val_shape, "Reshape them.")
    rows = np.arange(len(train) + len(val))
    split = Split(rows[: len(train)], rows[len(train) :], rows[:0])
    both = pd.concat([train, val[list(train.columns)]], ignore_index=True)
    # Or NumPy would concatenate numbers and texts as texts.
    if targets.dtype.kind != val_targets.dtype.kind:
        targets = targets.astype(object)
    return both, np.concatenate([targets, val_targets]), split


def like(frame: pd.DataFrame, X: Any, columns: list[str]) -> pd.DataFrame:  # noqa: N803
    """Return rows with the given column names, by position, where X has no column names."""
    if _has_names(X) or len(frame.columns) != len(columns):
        return frame
    return frame.set_axis(columns, axis=1)


def _has_names(X: Any) -> bool:  # noqa: N803
    return is_frame(X)


def array(values: Any, name: str) -> np.ndarray[Any, Any]:
    """Return an array; for mixed values one of objects, as NumPy would turn numbers into texts."""
    # By its methods: isinstance() would need torch, also for rows that are no tensors.
    if hasattr(values, "detach"):  # a tensor, possibly on a GPU
        values = values.detach().cpu()
        values = values.float().numpy() if "bfloat16" in str(values.dtype) else values.numpy()  # NumPy has no bfloat16
    if hasattr(values, "nnz"):  # a sparse matrix of SciPy
        raise RequestError(name, "must not be a sparse matrix", remedy=f"Give {name}.toarray().")
    try:
        found = np.asarray(values)
        # NumPy turns [1, "a"] into texts without a warning.
        if found.dtype.kind == "U" and not isinstance(values, np.ndarray):
            found = np.asarray(values, dtype=object)
    except ValueError as error:
        problem = "must have rows of one length, and has not"
        raise RequestError(name, problem, remedy="Make them one array first.") from error
    if found.dtype.kind in UNSUPPORTED:
        into = "numbers" if name == "X" and found.dtype.kind == "M" else "numbers or texts"
        raise RequestError(name, f"holds {UNSUPPORTED[found.dtype.kind]}", remedy=f"Turn them into {into}.")
    return found


def _not_empty(frame: pd.DataFrame, X: Any) -> pd.DataFrame:  # noqa: N803
    if not len(frame) or not len(frame.columns):
        remedy = "Give one row or more, of one feature or more."
        raise RequestError("X", "must have rows and features", f"the shape {tuple(np.shape(X))}", remedy)
    return frame
