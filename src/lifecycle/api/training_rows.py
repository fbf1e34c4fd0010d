"""The rows of a fit from Python: features, target, weights and validation rows in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.contract import MULTILABEL, Split
from lifecycle.data.columns import label_sets
from lifecycle.data.sources import in_memory, label_arrays
from lifecycle.data.sources.in_memory import MemoryRows
from lifecycle.errors import RequestError

GROUP = "group"
"""Name of the column of groups."""

WEIGHT = "sample_weight"
"""The argument, and the column that holds its values."""


@dataclass(frozen=True)
class TrainingRows:
    """Rows in memory, and the settings of ``data`` that describe them.

    Attributes:
        rows: training and validation rows, target and weights among the columns.
        shape: of one sample.
        target: name of its column; of several labels in a matrix, the names of their columns of 0 and 1.
        weight: name of its column; ``None``: the rows have no weights.
        validation_split: share of the rows that validate; ``None``: no share, or ``rows`` has a split.
        group: name of the column of groups, which the split does not divide; ``None``: there are none.
        has_sets: whether a row has several labels.
    """

    rows: MemoryRows
    shape: tuple[int, ...]
    target: str | list[str]
    weight: str | None
    validation_split: float | None
    group: str | None = None
    has_sets: bool = False

    @property
    def validates(self) -> bool:
        """Whether some rows validate."""
        split = self.rows.split
        return self.validation_split is not None if split is None else len(split.val) > 0


def read(
    X: Any,  # noqa: N803
    y: Any,
    validation_split: float,
    validation_data: Any,
    sample_weight: Any,
    groups: Any = None,
    task: str | None = None,
    classes: Any = None,
) -> TrainingRows:
    """Return the rows that the arguments of :meth:`lifecycle.Model.fit` hold.

    Raises:
        RequestError: rows cannot be used as they are, or a split and validation rows are both given.
    """
    frame, shape = in_memory.inputs_of(X)
    several = label_arrays.read(y, task, list(frame.columns))
    target, labels = in_memory.targets_of(y if several is None else several.sets, len(frame), frame.columns)
    if several is not None:
        validation_data = _with_sets(validation_data, several.names)
    share, split = _share(validation_split), None
    weights = in_memory.weights_of(sample_weight, len(frame))
    if validation_data is not None:
        if share:
            raise RequestError("validation_data", "stands in place of validation_split", remedy="Give one of them.")
        # Before together(), after which the frame has the validation rows too.
        weights = in_memory.weights_together(weights, len(frame), validation_data)
        frame, labels, split = in_memory.together(frame, shape, labels, validation_data)
    names = [] if several is None else list(several.names)
    frame = frame.assign(**(label_sets.as_columns(labels, names) if names else {target: labels}))
    weight = None
    if weights is not None:
        # A column of X may have the same name; with_column returns a free one.
        frame, weight = in_memory.with_column(frame, WEIGHT, weights)
    group = None
    if groups is not None:
        if split is not None:
            raise RequestError("groups", "are for validation_split", remedy="Leave it out with validation_data.")
        frame, group = in_memory.with_column(frame, GROUP, groups_of(groups, len(frame)))
    target_name = names or target
    if classes is not None and isinstance(target_name, str):
        if share:
            raise RequestError("classes", "cannot be used with validation_split", remedy="Give validation_data.")
        frame, split = _with_classes(frame, split, target_name, classes)
    found = MemoryRows(frame, split)
    return TrainingRows(found, shape, names or target, weight, share, group, has_sets=several is not None)


def _with_classes(
    frame: pd.DataFrame, split: Split | None, target: str, classes: Any
) -> tuple[pd.DataFrame, Split | None]:
    """Return rows after which there is one of each absent class, which is in no part of the split.

    A network has an output for each class of all rows, whichever part they are in.
    """
    known = list(in_memory.array(classes, "classes"))
    absent = [value for value in known if value not in set(frame[target].tolist())]
    unknown = next((value for value in frame[target] if value not in known), None)
    if unknown is not None:
        raise RequestError("classes", f"do not hold {unknown!r}, which y has", remedy="Name all classes.")
    rows = np.arange(len(frame))
    split = split or Split(rows, rows[:0], rows[:0])
    values = pd.Series(absent).astype(frame[target].dtype).to_numpy()
    copies = frame.iloc[[0] * len(absent)].assign(**{target: values})
    return (pd.concat([frame, copies], ignore_index=True) if absent else frame), split


def _with_sets(validation: Any, labels: Sequence[str]) -> Any:
    """Return validation rows whose labels are texts, as those of the training rows are."""
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        return validation
    name = "y of validation_data"
    several = label_arrays.read(validation[1], MULTILABEL, labels=labels, name=name)
    if several is not None and labels:
        label_sets.check_known(several.sets, labels, name)
    return (validation[0], validation[1] if several is None else several.sets, *validation[2:])


def groups_of(groups: Any, rows: int) -> np.ndarray[Any, Any]:
    """Return groups as ``(rows,)``.

    Raises:
        RequestError: there is not one for each row.
    """
    given = np.asarray(groups)
    if given.shape != (rows,):
        raise RequestError("groups", f"must have the shape ({rows},)", given.shape, "Give a group for each row.")
    return given


def _share(validation_split: Any) -> float | None:
    """Return the share of rows that validate; ``None``: none do."""
    # A bool is an int in Python, and True is not meant as all rows.
    if isinstance(validation_split, bool) or not isinstance(validation_split, int | float | np.number):
        raise RequestError(
            "validation_split", "must be a share of the rows", repr(validation_split), "Use for instance 0.2."
        )
    return float(validation_split) or None
