"""Division in order of time: what is tested on is later than what is learnt from, and equal times are in one part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.contract import Fold, Split
from lifecycle.errors import Either, RequestError, Setting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def ranks(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return the place of each time among the different ones in order, ``(rows,) int64``.

    Args:
        column: numbers, dates, or texts of dates as in :mod:`lifecycle.data.columns.times`.

    Raises:
        RequestError: a value is not a time.
    """
    import numpy as np
    import pandas as pd

    from lifecycle.data.columns import times

    if not pd.api.types.is_numeric_dtype(column):
        column = times.moments(column).instants
    return np.asarray(np.unique(column.to_numpy(), return_inverse=True)[1], dtype=np.int64)


def in_time(of_rows: np.ndarray[Any, Any], counts: tuple[int, int, int], key: Setting) -> Split:
    """Train on the first samples, validate on what follows, test on the last ones.

    Args:
        of_rows: ``(samples,)`` see :func:`ranks`.
        counts: numbers of training, validation and test samples, kept as far as equal times allow.
        key: the setting that names the times, for messages.

    Raises:
        RequestError: there are fewer different times than parts.
    """
    import numpy as np

    order = np.argsort(of_rows, kind="stable")
    steps = _steps(of_rows[order])
    num_train, num_val, num_test = counts
    wanted = [num_train] * (num_val > 0) + [num_train + num_val] * (num_test > 0)
    if len(steps) < len(wanted):
        fewer = Either("data.val_size=0, or data.test_size=0", "validation_split=0")
        problem = f"has {len(steps) + 1} different times, and {len(wanted) + 1} parts need one each"
        raise RequestError(key, problem, remedy=["Do without a part (", fewer, ")."])
    cuts: list[int] = []
    for number, place in enumerate(wanted):
        # A step is left for each later part.
        free = [step for step in steps[: len(steps) - (len(wanted) - 1 - number)] if not cuts or step > cuts[-1]]
        cuts.append(min(free, key=lambda step: abs(step - place)))
    parts = iter(np.split(order, cuts))
    train = next(parts)
    val = next(parts) if num_val else order[:0]
    return Split(np.sort(train), np.sort(val), np.sort(next(parts) if num_test else order[:0]))


def in_time_fold(of_rows: np.ndarray[Any, Any], num_val: int, fold: Fold, key: Setting) -> Split:
    """Test on one of equal blocks at the end, train and validate on what is before it.

    The blocks are those of scikit-learn's ``TimeSeriesSplit``, whose ends move to where the time changes: the first
    block is in no fold.

    Args:
        of_rows: ``(samples,)`` see :func:`ranks`.
        num_val: number of validation samples, directly before the fold.
        fold: without repetitions, as the order of time is the only one.
        key: the setting that names the times, for messages.

    Raises:
        RequestError: there are too few different times, or repetitions.
    """
    import numpy as np

    if fold.repeat:
        problem = "must be 1 for rows in order of time, of which there is one"
        raise RequestError("cv.repeats", problem, remedy="Leave it out.")
    order = np.argsort(of_rows, kind="stable")
    steps = _steps(of_rows[order])
    if len(steps) < fold.folds + (num_val > 0):
        problem = f"has {len(steps) + 1} different times, too few for {fold.folds} folds"
        raise RequestError(key, problem, remedy=["Lower ", Setting("cv.folds"), "."])
    size = len(order) // (fold.folds + 1)
    cuts: list[int] = []
    for number in range(fold.folds):
        place = len(order) - (fold.folds - number) * size
        free = [step for step in steps[: len(steps) - (fold.folds - 1 - number)] if not cuts or step > cuts[-1]]
        # The first block leaves a step for validation rows.
        free = free[1:] if not cuts and num_val and len(free) > 1 else free
        cuts.append(min(free, key=lambda step: abs(step - place)))
    first, last = cuts[fold.index], [*cuts, len(order)][fold.index + 1]
    before = [step for step in steps if step < first]
    val = min(before, key=lambda step: abs(first - num_val - step)) if num_val else first
    return Split(np.sort(order[:val]), np.sort(order[val:first]), np.sort(order[first:last]))


def _steps(in_order: np.ndarray[Any, Any]) -> list[int]:
    """Return the positions at which the time is later than the one before."""
    import numpy as np

    return [int(place) for place in np.flatnonzero(np.diff(in_order)) + 1]
