"""Several labels of each row from Python (a matrix of 0 and 1, sets of names), as texts; see ``label_sets``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.contract import MULTILABEL
from lifecycle.data.columns import label_sets
from lifecycle.data.sources import in_memory
from lifecycle.data.sources.native_frames import as_pandas
from lifecycle.errors import RequestError
from lifecycle.runtime.quiet import one_at_a_time

COLUMN = "y"
"""Beginning of the names of the labels of a matrix without column names: ``y0``, ``y1``."""

SETS = (list, tuple, set, frozenset)
"""Types of the labels of one row."""


@dataclass(frozen=True)
class LabelArray:
    """The labels of rows.

    Attributes:
        names: of the columns of a matrix, in their order; empty: the labels were given by name.
        sets: ``(rows,)`` sets of labels as texts.
    """

    names: tuple[str, ...]
    sets: np.ndarray[Any, Any]


@one_at_a_time()
def read(
    y: Any, task: str | None, taken: Sequence[str] = (), labels: Sequence[str] = (), name: str = "y"
) -> LabelArray | None:
    """Return the labels of rows; ``None``: each row has one class or one value.

    Args:
        y: ``(rows, labels)`` of 0 and 1; or for each row a list or a set of names; or, with the task, texts ``a|b``.
        task: as the caller gives it; ``None``: from y.
        taken: names of the features.
        labels: of a model, in the order of a matrix without names; empty: they are not known.
        name: of the argument, for messages.

    Raises:
        RequestError: a matrix holds something else than 0 and 1, or has a column for each class, or another number of
            columns than the model has labels; or a label cannot be written.
    """
    y = as_pandas(y, name)
    if (sets := _sets(y, name)) is not None:
        if task not in (None, MULTILABEL):
            problem = f"holds a list or a set of labels in each row, which are no {task}"
            raise RequestError(name, problem, remedy="Leave task out, or give one target a row.")
        return LabelArray((), sets)
    if task not in (None, MULTILABEL):
        return None
    values = in_memory.array(y, name)
    if values.ndim == 2 and values.shape[1] > 1:
        return _matrix(y, values, task, taken, labels, name)
    if task is None:
        return None
    if values.ndim != 1:
        remedy = "Give a column of 0 and 1 for each label, or a list of names for each row."
        raise RequestError(name, "must hold the labels of each row", f"the shape {values.shape}", remedy)
    return LabelArray((), label_sets.of_cells(label_sets.texts(pd.Series(values)), label_sets.JOIN, name))


def _sets(y: Any, name: str) -> np.ndarray[Any, Any] | None:
    """Return lists or sets of names as texts; ``None``: y has none."""
    if not isinstance(y, list | tuple | pd.Series) and not (isinstance(y, np.ndarray) and y.dtype == object):
        return None
    if isinstance(y, np.ndarray) and y.ndim > 1:
        return None
    rows = list(y)
    if not rows or not all(isinstance(row, SETS) for row in rows):
        return None
    texts = any(isinstance(item, str) for row in rows for item in row)
    if not texts and all(isinstance(row, list | tuple) for row in rows) and len(set(map(len, rows))) == 1:
        return None  # a matrix
    for number, row in enumerate(rows):
        for label in map(str, row):
            if label_sets.JOIN in label or not label:
                problem = f"has a label in row {number} that is empty or has the sign {label_sets.JOIN}"
                raise RequestError(name, problem, repr(label), "Rename it.")
    return np.array([label_sets.joined(map(str, row)) for row in rows], dtype=object)


def _matrix(
    y: Any, values: np.ndarray[Any, Any], task: str | None, taken: Sequence[str], labels: Sequence[str], name: str
) -> LabelArray | None:
    held = _ones(values)
    if held is None:
        if task is None:
            return None
        problem = "must hold 0 or 1 where it has a column for each label"
        raise RequestError(name, problem, f"other values, of the shape {values.shape}", "Or give sets of names.")
    if task is None and (held.sum(axis=1) == 1).all():
        remedy = (
            f"Of one-hot classes give the classes, for instance {name}.argmax(axis=1). Of several labels add "
            f'task="{MULTILABEL}".'
        )
        raise RequestError(name, "must hold one target a row", f"the shape {values.shape}", remedy)
    names = _names(y, held.shape[1], taken)
    given = [str(column) for column in y.columns] if isinstance(y, pd.DataFrame) else []
    if labels:
        if len(labels) != held.shape[1]:
            problem = f"must have a column for each of the {len(labels)} labels of the model"
            raise RequestError(name, problem, f"the shape {values.shape}", f"Its labels: {', '.join(labels)}.")
        # Columns without the names of the labels are in their order.
        names = given if set(given) == set(labels) else list(labels)
    if wrong := [column for column in names if label_sets.JOIN in column]:
        raise RequestError(name, f"has a column with the sign {label_sets.JOIN}", wrong[0], "Rename it.")
    sets = [label_sets.joined(np.array(names, dtype=object)[row]) for row in held]
    return LabelArray(tuple(names), np.array(sets, dtype=object))


def _ones(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Return which cells are 1, ``(rows, labels) bool``; ``None``: some are neither 0 nor 1."""
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return numbers == 1 if np.isin(numbers, (0, 1)).all() else None


def _names(y: Any, number: int, taken: Sequence[str]) -> list[str]:
    """Return names for the columns of a matrix that no feature has."""
    names = list(map(str, y.columns)) if isinstance(y, pd.DataFrame) else [f"{COLUMN}{at}" for at in range(number)]
    used = set(taken)
    for at in range(len(names)):
        while names[at] in used:
            names[at] += "_"
        used.add(names[at])
    return names
