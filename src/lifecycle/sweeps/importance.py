"""How much of the differences between configurations each setting explains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lifecycle.sweeps.board import Board


def importance(board: Board) -> dict[str, float]:
    """Return for each setting the share of the variance between configurations that its values explain alone.

    This is the correlation ratio, eta squared, of the means of the board's metric: 0 where the means do not depend on
    the setting, 1 where they depend on nothing else. Settings of which each configuration has its own value are left
    out, as they would explain everything.

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
        values = [entry.settings[key] for entry in shown]
        if 1 < len(set(values)) < len(values):
            found[key] = eta_squared(values, means)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


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
