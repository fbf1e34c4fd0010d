"""The losses at rising learning rates, and the rate that they suggest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SKIPPED = 10
"""Steps at the start that are not suggested, as in Lightning."""


@dataclass(frozen=True)
class LearningRates:
    """The loss at each learning rate.

    Attributes:
        rates: of each step, rising.
        losses: smoothed, of each step; the network is trained meanwhile, so that it falls while the rate is good.
        suggestion: the rate at which the loss falls most steeply; ``None``: it falls nowhere.
        used: the rate that the optimizer has.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None
    used: float

    @property
    def sentence(self) -> str:
        """What was found, as a sentence.

        >>> LearningRates((0.001, 0.01, 0.1), (0.7, 0.5, 0.6), None, used=0.001).sentence
        'the loss falls at no rate from 0.001 to 0.1'
        """
        if self.suggestion is None:
            return f"the loss falls at no rate from {self.rates[0]:.2g} to {self.rates[-1]:.2g}"
        return f"the loss falls most steeply at {self.suggestion:.2g}; the optimizer has {self.used:.2g}"


def suggested(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the rate at which the loss falls most steeply over the logarithm of the rate; ``None``: it never falls.

    Lightning's own suggestion divides by the difference of the rates, which among the smallest rates is the largest for
    a change by chance.

    >>> suggested([10.0**k for k in range(-20, 0)], [1.0] * 15 + [0.9, 0.5, 0.2, 0.2, 0.2])
    0.0001
    """
    if len(losses) <= SKIPPED + 2 or min(losses[SKIPPED:]) >= losses[SKIPPED]:
        return None
    slopes = np.gradient(np.array(losses), np.log(np.array(rates)))[SKIPPED:-1]
    return float(rates[SKIPPED + int(slopes.argmin())])
