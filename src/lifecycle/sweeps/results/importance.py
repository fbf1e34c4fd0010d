"""How much of the differences between configurations each setting explains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lifecycle.sweeps.results.board import Board
from lifecycle.sweeps.results.entries import ABSENT

PARTS = 4
MOST_VALUES = 8
"""Different numbers from which on they are divided: fewer in a part than two say nothing of it."""


def importance(board: Board) -> dict[str, float]:
    """Return for each setting the share of the variance between configurations that its values explain alone.

    This is epsilon squared of the means of the board's metric: the correlation ratio eta squared, less what it would be
    on average by chance. It is about 0 where the means do not depend on the setting, and 1 where they depend on nothing
    else. Numbers that a search has drawn are divided into quarters, from
    the lowest to the highest. Other settings of which each configuration has its own value are left out, as they would
    explain everything.

    Returns:
        The shares, the largest first; empty for fewer than three configurations.
    """
    metric = board.metric or ""
    shown = [entry for entry in board.entries if metric in entry.means and entry.is_ranked]
    if len(shown) < 3:
        return {}
    means = np.array([entry.means[metric].mean for entry in shown])
    found = {}
    for key in shown[0].settings:
        values = grouped([entry.settings[key] for entry in shown])
        if 1 < len(set(values)) < len(values):
            found[key] = epsilon_squared(values, means)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def grouped(values: Sequence[str]) -> list[str]:
    """Return the quarter of each value where most are numbers of their own; else the values.

    Args:
        values: of a setting, a text for each configuration; ``-`` where a configuration does not have the setting.
    """
    numbers = {value: number for value in values if (number := _number(value)) is not None}
    others = set(values) - set(numbers) - {ABSENT}
    if others or len(numbers) < MOST_VALUES or 2 * len(numbers) <= sum(value in numbers for value in values):
        return list(values)
    in_order = sorted(numbers, key=lambda value: numbers[value])
    quarter = {value: str(PARTS * at // len(in_order)) for at, value in enumerate(in_order)}
    return [quarter.get(value, value) for value in values]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def epsilon_squared(values: Sequence[str], means: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Return :func:`eta_squared` without the share that groups of random means would explain; 0 if it is below.

    Source: T. L. Kelley, "An unbiased correlation ratio measure", PNAS 21 (1935), 554-559.

    Args:
        values: the group of each mean; fewer groups than means.
        means: ``(configurations,)``.
    """
    count, groups = len(values), len(set(values))
    return max(0.0, 1 - (1 - eta_squared(values, means)) * (count - 1) / (count - groups))


def eta_squared(values: Sequence[str], means: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Return the variance of the group means over the variance of all means; 0 where all are equal.

    Args:
        values: the group of each mean.
        means: ``(configurations,)``.
    """
    total = float(((means - means.mean()) ** 2).sum())
    if not total:
        return 0.0
    between = 0.0
    for value in set(values):
        part = means[[other == value for other in values]]
        between += len(part) * float(part.mean() - means.mean()) ** 2
    return between / total
