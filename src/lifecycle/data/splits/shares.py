"""How many samples are held out: the fields of every data plugin, and their checks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lifecycle.checks import in_range
from lifecycle.errors import Either, RequestError, Setting, Text


@dataclass
class Shares:
    """The fields of every data plugin: how many samples are held out.

    Below 1 a size is a share of all samples, from 1 on it is a number of samples.
    """

    test_size: float = 0.2  # never seen before the end; 0: nothing is held out, and training rows are scored
    val_size: float = 0.2  # chooses the best epoch; 0: no validation
    validation_split: float | None = None  # in place of val_size: the share of the rows that are not test rows

    def __post_init__(self) -> None:
        for name in ("test_size", "val_size"):
            in_range(self, name, low=0)
            size = getattr(self, name)
            if size >= 1 and size != int(size):
                raise ValueError(
                    f"{name} must be a share below 1 or a whole number of samples, got {size}. Use for instance "
                    f"{int(size)}."
                )
        in_range(self, "validation_split", low=0, below=1)
        if self.validation_split is not None and self.val_size not in (0, Shares.val_size):
            raise ValueError(
                f"validation_split stands in place of data.val_size, got {self.validation_split} and "
                f"{self.val_size}. Give one of them."
            )
        val_size = self.val_size if self.validation_split is None else 0.0
        if max(self.test_size, val_size) < 1 <= self.test_size + val_size:
            raise ValueError(
                f"test_size and data.val_size must sum to less than 1, got {self.test_size} and {val_size}. "
                "Leave some rows to train on."
            )

    def counts(self, total: int) -> tuple[int, int, int]:
        """Return the numbers of training, validation and test samples; held-out shares are rounded up.

        Args:
            total: number of samples.

        Raises:
            RequestError: no training sample is left.
        """
        test = _count(self.test_size, total)
        if self.validation_split is None:
            val, val_size = _count(self.val_size, total), Setting("data.val_size", _short(self.val_size))
        else:
            val = _count(self.validation_split, max(total - test, 0))
            val_size = Setting("data.validation_split", _short(self.validation_split))
        if total - test - val < 1:
            test_size = Either(f"data.test_size={_short(self.test_size)} and ", "")  # Python has no test rows
            problem: Text = [Either("leave", "leaves"), f" no training rows of {total} samples"]
            raise RequestError([test_size, val_size], problem, remedy="Hold out less, or give more rows.")
        return total - test - val, val, test

    def val_count(self, total: int, rest: int) -> int:
        """Return the number of validation samples of a fold.

        Args:
            total: number of samples.
            rest: number of samples that are not in the fold.

        Raises:
            RequestError: no training sample is left.
        """
        share, key, of = self.validation_split, "data.validation_split", rest
        if share is None:
            share, key, of = self.val_size, "data.val_size", total
        if (count := _count(share, of)) >= rest:
            problem = f"leaves no training rows of the {rest} that are not in a fold"
            raise RequestError(Setting(key, _short(share)), problem, remedy="Hold out less, or give more rows.")
        return count


def _short(size: float) -> float | int:
    """Return a size as it is usually written: 100, not 100.0."""
    return int(size) if size == int(size) else size


def _count(size: float, total: int) -> int:
    # Rounded first: 0.07 * 100 is 7.000000000000001, which would be 8 samples.
    return int(size) if size >= 1 else math.ceil(round(total * size, 6))
