"""Sample weights, for the loss and the scores: their checks, and removal of rows of weight 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lifecycle.capabilities import weight_of
from lifecycle.contract import Samples, Split
from lifecycle.errors import RequestError, Setting, Text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def check_field(weight: str | None, target: str | Sequence[str]) -> None:
    """Raise ``ValueError`` where the column of weights is the target."""
    if weight is not None and weight in ("", *([target] if isinstance(target, str) else target)):
        raise ValueError(f"weight must be a column other than the target, got {weight!r}. Leave it out for none.")


def key_of(plugin: Any) -> Setting:
    """Return what messages call the weights of a data plugin."""
    return Setting("data.weight", weight_of(plugin))


def column(plugin: Any, frame: pd.DataFrame) -> np.ndarray[Any, Any] | None:
    """Return the weights of raw rows, unchecked; ``None``: the plugin or the rows have none."""
    name = weight_of(plugin)
    return frame[name].to_numpy() if name is not None and name in frame.columns else None


def checked(values: Any, key: Text, rows: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
    """Return weights as ``(rows,) float64``.

    Args:
        values: ``(rows,)`` of any dtype.
        key: subject of messages.
        rows: the number of each row in its source; ``None``: 0, 1, ...

    Raises:
        RequestError: a weight is not a finite number of 0 or more, or all are 0.
    """
    import numpy as np
    import pandas as pd

    # A copy: to_numeric may return the caller's own array.
    numbers = np.array(pd.to_numeric(pd.Series(np.asarray(values)), errors="coerce"), dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(numbers) & (numbers >= 0)))
    if len(wrong):
        at = int(wrong[0])
        got = str(np.asarray(values)[at])[:50]  # a text may be as long as it likes
        row = at if rows is None else rows[at]
        problem = "must be a finite number of 0 or more"
        raise RequestError(key, problem, f"{got} in row {row}", "Change or remove it.")
    if not numbers.any():
        problem = "is zero in all rows, which leaves nothing to train on"
        raise RequestError(key, problem, remedy="Give a weight above 0 to some.")
    return numbers


def kept(samples: Samples, split: Split | None, key: Text) -> tuple[Samples, Split | None]:
    """Return the samples of a weight above 0, and their split.

    Args:
        samples: with unchecked weights, or none.
        split: positions among all samples; ``None``: the plugin will split the samples that are returned.
        key: subject of messages about the weights.
    """
    import numpy as np

    from lifecycle.data.selection import select

    if samples.weights is None:
        return samples, split
    # Rows of weight 0 are removed rather than multiplied by 0: they would still count for medians, batch normalisation
    # and the sizes of the parts.
    weights = checked(samples.weights, key, samples.rows)
    positions = np.flatnonzero(weights)
    if len(positions) == len(weights):
        return replace(samples, weights=weights), split
    if split is not None:
        new_position = np.cumsum(weights > 0) - 1
        split = Split(*(new_position[part[weights[part] > 0]] for part in (split.train, split.val, split.test)))
    return select(replace(samples, weights=weights), positions), split


def median(values: np.ndarray[Any, Any], weights: np.ndarray[Any, Any] | None) -> float:
    """Return the weighted median: for whole weights, that of the values repeated so often."""
    import numpy as np

    if weights is None:
        return float(np.median(values))
    # The mean of the two middle values where exactly half of the weight is below, as for the ordinary median.
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    half = reached[-1] / 2
    low, high = (np.searchsorted(reached, half, side) for side in ("left", "right"))
    return float((values[order[low]] + values[order[min(high, len(order) - 1)]]) / 2)
