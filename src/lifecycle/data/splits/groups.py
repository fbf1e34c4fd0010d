"""Division by groups, such as patients: all samples of a group are in one part."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lifecycle.contract import Split
from lifecycle.errors import Either, RequestError, Setting, Text

if TYPE_CHECKING:
    import numpy as np

MOST_BY_CLASS = 2000
"""Of more groups, the folds have the classes in proportion by chance, and scikit-learn's balancing takes minutes."""

MOST_FOLDS = 12
"""Most folds of which some become a held-out part."""


def group_folds(
    groups: np.ndarray[Any, Any], labels: np.ndarray[Any, Any] | None, folds: int, seed: int
) -> np.ndarray[Any, Any]:
    """Return the fold of each sample, ``(samples,) int64``: folds have similar sizes and shares of each class.

    Args:
        groups: ``(samples,)`` of any dtype.
        labels: ``(samples,)`` classes; ``None``: not a classification.
        folds: at most the number of groups.
        seed: of the order of the groups.
    """
    import numpy as np
    import pandas as pd

    codes, names = pd.factorize(np.asarray(groups), sort=True)  # in order, as scikit-learn numbers them
    if labels is not None and len(names) <= MOST_BY_CLASS:
        found = _by_class(codes, np.asarray(labels), folds, seed)
        if len(np.unique(found)) == folds:
            return found
    # The largest group first, to the smallest fold; of equal ones in an order by chance.
    sizes = np.bincount(codes)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of, filled = np.empty(len(sizes), dtype=np.int64), np.zeros(folds)
    for group in order.tolist():
        fold_of[group] = place = int(filled.argmin())
        filled[place] += sizes[group]
    return np.asarray(fold_of[codes])


def _by_class(codes: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], folds: int, seed: int) -> np.ndarray[Any, Any]:
    """Return the folds of scikit-learn's ``StratifiedGroupKFold``."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    found = np.zeros(len(codes), dtype=np.int64)
    # It refuses folds of more than the samples of each class.
    if np.unique(labels, return_counts=True)[1].max() < folds:
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class has fewer samples than there are folds
        parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(codes, labels, codes)
        for number, (_, test) in enumerate(parts):
            found[test] = number
    return found


def check_groups(groups: np.ndarray[Any, Any], least: int, key: Setting, what: Text, remedy: Text) -> None:
    """Refuse fewer groups than parts or folds.

    Args:
        groups: ``(samples,)`` of any dtype.
        least: number of groups that are needed.
        key: subject of the message.
        what: needs them.
        remedy: what to do.
    """
    import pandas as pd

    if (number := len(pd.unique(groups))) < least:
        problem: Text = [f"has {number} group{'s' * (number != 1)}, and ", what]
        raise RequestError(key, problem, remedy=remedy)


def by_group(
    groups: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any] | None,
    counts: tuple[int, int, int],
    seed: int,
    key: Setting,
) -> Split:
    """Divide by group, with about as many samples in each part as ``counts``.

    Args:
        groups: ``(samples,)`` of any dtype.
        labels: ``(samples,)`` classes; ``None``: not a classification.
        counts: numbers of training, validation and test samples.
        seed: of the order of the groups.
        key: the setting that names the groups, for messages.

    Raises:
        RequestError: there are fewer groups than parts.
    """
    import numpy as np

    _, num_val, num_test = counts
    parts = 1 + (num_val > 0) + (num_test > 0)
    fewer = Either("data.val_size=0, or data.test_size=0", "validation_split=0")
    check_groups(
        groups, parts, key, f"{parts} parts need one each", ["Do without a part (", fewer, "), or add groups."]
    )
    test, rest = _held_out(groups, labels, np.arange(len(groups)), num_test, seed, 1 + (num_val > 0))
    val, train = _held_out(groups, labels, rest, num_val, seed, 1)
    return Split(train, val, test)


def _held_out(
    groups: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any] | None,
    rows: np.ndarray[Any, Any],
    count: int,
    seed: int,
    left: int,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return about ``count`` of some rows, in whole groups, and the others, with ``left`` groups or more."""
    import numpy as np
    import pandas as pd

    if not count:
        return rows[:0], rows
    number = len(pd.unique(groups[rows]))
    folds, some = _fraction(count / len(rows), min(number, MOST_FOLDS), left)
    found = group_folds(groups[rows], None if labels is None else labels[rows], folds, seed)
    sizes = np.bincount(found, minlength=folds)
    # Folds differ in size where groups do.
    chosen = np.argsort(np.abs(sizes - count / some), kind="stable")[:some]
    held_out = np.isin(found, chosen)
    return rows[held_out], rows[~held_out]


def _fraction(share: float, most: int, left: int) -> tuple[int, int]:
    """Return the number of folds, at most ``most``, and how many of them are nearest to a share; ``left`` remain."""
    pairs = [(folds, some) for folds in range(1 + left, most + 1) for some in range(1, folds - left + 1)]
    return min(pairs, key=lambda pair: (abs(pair[1] / pair[0] - share), pair[0]))
