"""How samples are divided into training, validation and test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lifecycle.checks import in_range
from lifecycle.contract import Samples, Split
from lifecycle.errors import RequestError


@dataclass
class Shares:
    """The fields that every kind of data has: which share of its samples is held out."""

    test_size: float = 0.2  # share of the samples that is never seen before the end
    val_size: float = 0.2  # share that chooses the best epoch; 0: no validation

    def __post_init__(self) -> None:
        in_range(self, "test_size", above=0, below=1)
        in_range(self, "val_size", low=0, below=1)
        if self.test_size + self.val_size >= 1:
            raise ValueError(
                f"test_size and data.val_size must sum to less than 1, got {self.test_size} and {self.val_size}. "
                "Leave some rows to train on."
            )

    def counts(self, total: int) -> tuple[int, int, int]:
        """Return how many of ``total`` samples train, validate and test; held-out parts are rounded up.

        Raises:
            RequestError: nothing would be left to train on.
        """
        test = math.ceil(round(total * self.test_size, 6))
        val = math.ceil(round(total * self.val_size, 6))
        if total - test - val < 1:
            raise RequestError(
                f"data.test_size={self.test_size} and data.val_size={self.val_size} leave no training rows of {total} "
                "samples. Use smaller shares or more rows."
            )
        return total - test - val, val, test


def stratified(samples: Samples, counts: tuple[int, int, int], task: str, seed: int) -> Split:
    """Shuffle by ``seed`` and divide, with the classes in the same proportions in each part.

    Raises:
        RequestError: a class has too few samples to be in every part.
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    _, num_val, num_test = counts
    labels = samples.targets if task != "regression" else None
    rest = np.arange(sum(counts))
    parts = []
    try:
        for count in (num_test, num_val):
            held_out = rest[:0]
            if count:
                strata = None if labels is None else labels[rest]
                rest, held_out = train_test_split(rest, test_size=count, random_state=seed, stratify=strata)
            parts.append(np.sort(held_out))
    except ValueError as error:  # scikit-learn's own words on a class with too few members
        raise _too_few(labels, num_test + num_val) from error
    split = Split(train=np.sort(rest), val=parts[1], test=parts[0])
    if labels is not None:
        whole = len(set(labels))
        if any(len(part) and len(set(labels[part])) < whole for part in (split.train, split.val, split.test)):
            raise _too_few(labels, num_test + num_val)
    return split


def _too_few(labels: Any, held_out: int) -> RequestError:
    import numpy as np

    classes, sizes = np.unique(np.asarray(labels), return_counts=True)
    return RequestError(
        f"data.test_size and data.val_size cannot put each class in every part: {held_out} samples to hold out, "
        f"{len(classes)} classes, {sizes.min()} of class {classes[sizes.argmin()]}. Change the shares, add rows, or "
        "merge classes."
    )


def chronological(counts: tuple[int, int, int]) -> Split:
    """Train on the past, validate on what follows, test on the end."""
    import numpy as np

    train, val, test = np.split(np.arange(sum(counts)), np.cumsum(counts)[:2])
    return Split(train, val, test)
