"""Chooses the epochs whose lines are printed where there is no terminal: the same few, however long a fit is."""

from __future__ import annotations

import math

MOST = 25
"""Lines of a fit: the first epoch, evenly spaced ones, and once it has ended the best and the last."""

ROUND = (1, 2, 5)


class EpochLines:
    """Chooses epochs while a fit goes on; which are the best and the last is known at its end only.

    Args:
        max_epochs: of the fit.
        every: whether all are chosen.
    """

    def __init__(self, max_epochs: int, every: bool = False) -> None:
        self.step = 1 if every or max_epochs <= MOST else spacing(max_epochs)
        self._printed: set[int] = set()

    def is_due(self, epoch: int) -> bool:
        """Return whether the line of an epoch that has just ended is printed."""
        due = not self._printed or epoch % self.step == 0
        if due:
            self._printed.add(epoch)
        return due

    def left(self, *epochs: int) -> list[int]:
        """Return those of some epochs that have not been printed, in order."""
        return sorted(set(epochs) - self._printed) if self._printed else []


def spacing(max_epochs: int) -> int:
    """Return how many epochs are between two lines: 1, 2 or 5 times a power of ten.

    >>> spacing(30), spacing(300), spacing(1000), spacing(100_000)
    (2, 20, 50, 5000)
    """
    least = max_epochs / (MOST - 3)
    power: int = 10 ** max(0, math.floor(math.log10(least)))
    return next(factor * power for factor in (*ROUND, 10) if factor * power >= least)
