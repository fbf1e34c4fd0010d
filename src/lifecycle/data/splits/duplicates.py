"""Samples with equal inputs: they are found by hashes, and put into one part, so that no row is tested on its copy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SINGLE = -1
"""Number of the set of a sample whose inputs no other sample has."""

MULTIPLIER = 0x9E3779B97F4A7C15
"""An odd number with bits in all places; the golden ratio's, as hash functions use it."""

VALUES_AT_ONCE = 2**22
"""Values of an array that are hashed together, which bounds the memory."""

MOST_CONFLICTS = 0.25
"""Where most samples have an equal, and more than this share of the sets have several targets, inputs are coarse."""


@dataclass(frozen=True)
class Sets:
    """Which samples have equal inputs.

    Attributes:
        number: ``(samples,) int64`` number of the set of each sample; :data:`SINGLE` where no other is equal.
        coarse: the inputs have so few different values that equal ones say nothing of a copy.
    """

    number: np.ndarray[Any, Any]
    coarse: bool

    @property
    def rows(self) -> int:
        """Number of samples that have an equal one."""
        return int((self.number != SINGLE).sum())


def hashes(inputs: Any) -> np.ndarray[Any, Any] | None:
    """Return ``(samples,) uint64`` hashes of inputs, equal for equal ones; ``None``: there are no inputs to compare.

    Missing values are equal to each other. Two different samples of a million have the same hash with a probability of
    about 1e-7.

    Args:
        inputs: a frame, or an array whose first axis is that of the samples.
    """
    import numpy as np

    if hasattr(inputs, "columns"):
        if not len(inputs.columns):
            return None
        found = np.zeros(len(inputs), dtype=np.uint64)
        for name in inputs.columns:
            found = added(found, _bits(inputs[name]))
        return found
    flat = inputs.reshape(len(inputs), -1)
    if not flat.shape[1]:
        return None
    found = np.empty(len(flat), dtype=np.uint64)
    at_once = max(1, VALUES_AT_ONCE // flat.shape[1])
    for start in range(0, len(flat), at_once):
        found[start : start + at_once] = _of_array(flat[start : start + at_once])
    return found


def added(known: np.ndarray[Any, Any], bits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the hashes of samples with one more value each.

    Args:
        known: ``(samples,) uint64`` hashes of the values before.
        bits: ``(samples,) uint64`` of the values.
    """
    import numpy as np

    # The high bits, in which most numbers of a column differ, are also added to the low ones: a product carries upward.
    found = bits >> np.uint64(44)
    found ^= bits
    found += known
    found *= np.uint64(MULTIPLIER)
    return found


def bits_of(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return ``uint64`` that are equal for equal numbers: 0.0 equals -0.0, and all NaN are one."""
    import numpy as np

    values = np.asarray(numbers, dtype=np.float64) + 0.0
    with np.errstate(all="ignore"):  # a sum may overflow
        total = values.sum()
    if not np.isfinite(total):  # the check of each value is slower
        values[np.isnan(values)] = np.nan
    return values.view(np.uint64)


def _bits(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return bits_of(column.to_numpy())
    codes, _ = pd.factorize(column)  # -1: missing
    return codes.astype(np.int64).view(np.uint64)


def _of_array(flat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    if flat.dtype == np.uint8:  # pixels: a sum of random multiples, in a tenth of the time
        factors = np.random.default_rng(0).integers(2**64, size=flat.shape[1], dtype=np.uint64)
        return np.asarray(flat.astype(np.uint64) @ factors)
    found = np.zeros(len(flat), dtype=np.uint64)
    for column in bits_of(np.ascontiguousarray(flat.T)):
        found = added(found, column)
    return found


def sets_of(hashed: np.ndarray[Any, Any], labels: np.ndarray[Any, Any] | None, smallest: int) -> Sets | None:
    """Return which samples have equal hashes; ``None``: no two have.

    Args:
        hashed: see :func:`hashes`.
        labels: ``(samples,)`` targets of any dtype.
        smallest: samples of the smallest part. A set of more than half of it cannot be kept together.
    """
    import numpy as np
    import pandas as pd

    # By sorting: a table of all hashes would take several times their memory.
    in_order = np.sort(hashed)
    twice = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    del in_order
    if not len(twice):
        return None
    places = np.minimum(np.searchsorted(twice, hashed), len(twice) - 1)
    rows = np.flatnonzero(twice[places] == hashed)
    number = np.full(len(hashed), SINGLE)
    number[rows] = pd.factorize(hashed[rows])[0]  # in the order of the samples
    sizes = np.bincount(number[rows])
    coarse = bool(sizes.max() > max(smallest / 2, 2))
    several = number != SINGLE
    if not coarse and labels is not None and several.sum() > len(hashed) / 2:
        different = pd.Series(labels[several]).groupby(number[several]).nunique()
        coarse = bool((different > 1).mean() > MOST_CONFLICTS)
    return Sets(number, coarse)


def kept_together(
    part: np.ndarray[Any, Any], sets: Sets, labels: np.ndarray[Any, Any] | None, seed: int
) -> np.ndarray[Any, Any]:
    """Return the parts of samples after those of each set are put into one part, ``(samples,) int64``.

    Only sets that are divided move. Each goes to the part that lacks most of its samples, and single samples of the
    same class move in exchange, so that parts keep their sizes and their shares of each class as far as possible.

    Args:
        part: ``(samples,)`` number of the part of each sample, as it was drawn.
        sets: the sets of equal samples.
        labels: ``(samples,)`` classes; ``None``: not a classification.
        seed: of the choice of single samples.
    """
    import numpy as np
    import pandas as pd

    found = np.array(part, dtype=np.int64)
    classes = np.zeros(len(found), dtype=np.int64) if labels is None else pd.factorize(np.asarray(labels))[0]
    lacking: Counter[tuple[int, int]] = Counter()  # (class, part) -> samples that a part lacks
    divided = _divided(found, sets.number)
    for rows in divided:
        lacking.update(zip(classes[rows].tolist(), found[rows].tolist(), strict=True))
    parts = sorted(set(found.tolist()))
    for rows in divided:
        of_set, before = Counter(classes[rows].tolist()), Counter(found[rows].tolist())
        fitting = [sum(min(count, lacking[code, at]) for code, count in of_set.items()) for at in parts]
        place = max(parts, key=lambda at: (fitting[parts.index(at)], before[at], -at))
        found[rows] = place
        for code, count in of_set.items():
            lacking[code, place] -= count
    _exchange(found, classes, sets.number == SINGLE, lacking, parts, seed)
    return found


def _divided(part: np.ndarray[Any, Any], number: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Return the rows of each set that is in several parts, the largest set first."""
    import numpy as np

    rows = np.flatnonzero(number != SINGLE)
    rows = rows[np.argsort(number[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(number[rows], prepend=SINGLE))
    if not len(starts):
        return []
    several = np.minimum.reduceat(part[rows], starts) != np.maximum.reduceat(part[rows], starts)
    found = [of_set for of_set, is_divided in zip(np.split(rows, starts[1:]), several, strict=True) if is_divided]
    return sorted(found, key=lambda of_set: (-len(of_set), int(of_set[0])))


def _exchange(
    part: np.ndarray[Any, Any],
    classes: np.ndarray[Any, Any],
    single: np.ndarray[Any, Any],
    lacking: Counter[tuple[int, int]],
    parts: list[int],
    seed: int,
) -> None:
    """Move single samples, in place, from parts with too many of a class to those with too few."""
    import numpy as np

    chance = np.random.default_rng([seed, len(part)])
    for code in sorted({code for (code, _), count in lacking.items() if count}):
        for place in parts:
            for other in parts:
                count = min(lacking[code, place], -lacking[code, other])
                if count <= 0:
                    continue
                free = np.flatnonzero(single & (classes == code) & (part == other))
                moved = chance.choice(free, min(count, len(free)), replace=False)
                part[moved] = place
                lacking[code, place] -= len(moved)
                lacking[code, other] += len(moved)
