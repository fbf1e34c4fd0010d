"""The rows of a fit from Python: features, target, weights and validation rows in one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lifecycle.data.sources import in_memory
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
        target: name of its column.
        weight: name of its column; ``None``: the rows have no weights.
        validation_split: share of the rows that validate; ``None``: no share, or ``rows`` has a split.
        group: name of the column of groups, which the split does not divide; ``None``: there are none.
    """

    rows: MemoryRows
    shape: tuple[int, ...]
    target: str
    weight: str | None
    validation_split: float | None
    group: str | None = None

    @property
    def validates(self) -> bool:
        """Whether some rows validate."""
        return self.rows.split is not None or self.validation_split is not None


def read(
    X: Any,  # noqa: N803
    y: Any,
    validation_split: float,
    validation_data: Any,
    sample_weight: Any,
    groups: Any = None,
) -> TrainingRows:
    """Return the rows that the arguments of :meth:`lifecycle.Model.fit` hold.

    Raises:
        RequestError: rows cannot be used as they are, or a split and validation rows are both given.
    """
    frame, shape = in_memory.inputs_of(X)
    target, labels = in_memory.targets_of(y, len(frame), frame.columns)
    share, split = _share(validation_split), None
    weights = in_memory.weights_of(sample_weight, len(frame))
    if validation_data is not None:
        if share:
            raise RequestError("validation_data", "stands in place of validation_split", remedy="Give one of them.")
        # Before together(), after which the frame has the validation rows too.
        weights = in_memory.weights_together(weights, len(frame), validation_data)
        frame, labels, split = in_memory.together(frame, shape, labels, validation_data)
    frame = frame.assign(**{target: labels})
    weight = None
    if weights is not None:
        # A column of X may have the same name; with_column returns a free one.
        frame, weight = in_memory.with_column(frame, WEIGHT, weights)
    group = None
    if groups is not None:
        if split is not None:
            raise RequestError("groups", "are for validation_split", remedy="Leave it out with validation_data.")
        frame, group = in_memory.with_column(frame, GROUP, groups_of(groups, len(frame)))
    return TrainingRows(MemoryRows(frame, split), shape, target, weight, share, group)


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
