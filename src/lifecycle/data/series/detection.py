"""Season, differences and growing amplitude of a series, found in the values of its training part.

- Season: the share of the variance around a moving average that the means of the phases explain (the strength of
  seasonality of Wang, Smith and Hyndman, 2006), corrected for the number of phases.
- Differences: those whose naive forecast has the least squared error, and no more of them than that needs.
- Growing amplitude: the slope of log(deviation) over log(mean) of consecutive blocks (Guerrero, 1993).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.data.columns.time_steps import BUSINESS_DAY, LENGTHS, MICROSECOND, MONTH, TimeStep
from lifecycle.data.series.windows import differenced

if TYPE_CHECKING:
    import numpy as np

MOST_SEASON = 168
"""Steps of the longest season that is found: a window covers it, and an LSTM takes each of its steps in turn."""

FOUND = 0.3
"""Strength from which a season is reported."""

CYCLES = 3
"""Seasons that the training part must have."""

CLEARLY = 1.05
"""How much larger the error of fewer differences may be: each difference adds the noise of earlier values."""

FEWEST = 8
"""Values from which differences are judged."""

BLOCKS = 4
"""Fewest blocks by which a growing amplitude is judged."""

TENFOLD = 10
"""Growth of the level from which logarithms are learnt."""

DAY = 86_400_000_000


def usual_seasons(step: TimeStep | None) -> list[int] | None:
    """Return the seasons that times of a step usually have, in steps; ``None``: any, as the step does not say.

    >>> usual_seasons(TimeStep(MONTH, 1)), usual_seasons(TimeStep(MONTH, 3)), usual_seasons(None)
    ([12], [4], None)
    >>> usual_seasons(TimeStep(MICROSECOND, 3_600_000_000))
    [24, 168]
    """
    if step is None:
        return None
    if step.unit == MONTH:
        return [12 // step.size] if 12 % step.size == 0 and step.size < 12 else []
    if step.unit == BUSINESS_DAY:
        return [5]
    if step.unit != MICROSECOND:
        return None
    if step.size == 7 * DAY:
        return [52]
    hour = dict(LENGTHS)["hour"]
    cycles = (DAY, 7 * DAY) if step.size >= hour else (hour, DAY)
    return [c // step.size for c in cycles if c % step.size == 0 and 1 < c // step.size <= MOST_SEASON]


def strength(values: np.ndarray[Any, Any], season: int) -> float:
    """Return the strength of a season: 0 (none) to 1 (the same values in each), corrected for its number of phases.

    Args:
        values: ``(steps,) float64``.
        season: steps.
    """
    import numpy as np

    if len(values) < CYCLES * season:
        return 0.0
    # A moving average over a whole season contains none of it.
    weights = np.ones(season) if season % 2 else np.concatenate([[0.5], np.ones(season - 1), [0.5]])
    trend = np.convolve(values, weights / season, mode="valid")
    start = (len(weights) - 1) // 2
    rest = values[start : start + len(trend)] - trend
    total = float(rest.var())
    if total <= 1e-12 * max(1.0, float(np.mean(values) ** 2)):
        return 0.0
    phases = np.arange(len(rest)) % season
    means = np.array([rest[phases == phase].mean() for phase in range(season)])
    unexplained = float(np.mean((rest - means[phases]) ** 2)) / total
    # The means of few values explain much of any noise: adjusted as R² is for its number of parameters.
    return max(0.0, 1 - unexplained * (len(rest) - 1) / max(len(rest) - season, 1))


def season_of(values: np.ndarray[Any, Any], step: TimeStep | None) -> int | None:
    """Return the season of values, in steps; ``None``: there is none."""
    usual = usual_seasons(step)
    candidates = _peaks(values) if usual is None else usual
    strengths = {season: strength(values, season) for season in candidates}
    best = max(strengths, key=lambda season: (strengths[season], -season), default=None)
    if best is None or strengths[best] < FOUND:
        return None
    if usual is None:  # a season of 12 makes one of 24 as strong
        best = next(season for season in sorted(strengths) if strengths[season] >= 0.95 * strengths[best])
    return best


def _peaks(values: np.ndarray[Any, Any]) -> list[int]:
    """Return the lags at which the autocorrelation of the changes has a significant peak."""
    import numpy as np

    changes = np.diff(values)
    longest = min(MOST_SEASON, len(values) // CYCLES)
    changes = changes - changes.mean() if len(changes) else changes
    total = float(changes @ changes)
    if longest < 2 or not total:
        return []
    found = [float(changes[lag:] @ changes[: len(changes) - lag]) / total for lag in range(1, longest + 2)]
    bound = 2 / np.sqrt(len(changes))
    before = [-1.0, *found]
    return [
        lag
        for lag in range(2, longest + 1)
        if found[lag - 1] > bound and before[lag - 1] <= found[lag - 1] >= found[lag]
    ]


def differences_of(values: np.ndarray[Any, Any], season: int | None) -> list[int]:
    """Return the lags to difference values by: none, 1, the season, or both.

    The naive forecast of each is compared on the same values: the mean, the last value, that of the season before, and
    that value changed as the season before it was. Of those whose root mean squared error is at most 5% above the
    least, the one with the fewest lags is taken.

    Args:
        values: ``(steps,) float64``, on the scale of the transform.
        season: steps; ``None``: there is none.

    >>> import numpy as np
    >>> noise, steps = np.random.default_rng(0).normal(size=120), np.arange(120)
    >>> differences_of(noise, None), differences_of(noise.cumsum(), None), differences_of(noise + steps % 12 * 9, 12)
    ([], [1], [12])
    """
    import numpy as np

    if len(values) < FEWEST:
        return []
    by_season = [[season], [1, season]] if season and len(values) >= CYCLES * season else []
    candidates = [[], [1], *by_season]
    longest = sum(candidates[-1])
    errors, rounding = [], 1e-12 * float(np.abs(values).max())
    for lags in candidates:
        changes = differenced(values, lags)[longest - sum(lags) :]
        error = float(np.std(changes) if not lags else np.sqrt(np.mean(changes**2)))
        errors.append(error if error > rounding else 0.0)
    good = [at for at, error in enumerate(errors) if error <= CLEARLY * min(errors)]
    return candidates[min(good, key=lambda at: (len(candidates[at]), errors[at]))]


def needs_log(values: np.ndarray[Any, Any], season: int | None) -> bool:
    """Return whether values grow tenfold, and their amplitude with them: less growth needs no logarithm."""
    import numpy as np

    if not amplitude_grows(values, season):
        return False
    means = [part.mean() for part in np.array_split(values, BLOCKS)]
    return bool(max(means) >= TENFOLD * min(means))


def amplitude_grows(values: np.ndarray[Any, Any], season: int | None) -> bool:
    """Return whether values are positive, and vary in proportion to their level rather than by constant amounts."""
    import numpy as np

    if not len(values) or values.min() <= 0:
        return False
    size = season or max(6, len(values) // 8)
    blocks = len(values) // size
    if blocks < BLOCKS:
        return False
    rows = values[len(values) - blocks * size :].reshape(blocks, size)
    # Within a season the values themselves; without one their changes, as a trend is no amplitude.
    deviations = rows.std(axis=1) if season else np.diff(rows, axis=1).std(axis=1)
    means = rows.mean(axis=1)
    if not deviations.all() or means.max() < 1.2 * means.min():
        return False
    levels, sizes = np.log(means), np.log(deviations)
    slope, constant = np.polyfit(levels, sizes, 1)
    left = sizes - slope * levels - constant
    # Half way between constant amounts (0) and proportion (1), and clear of chance by two standard errors.
    error = np.sqrt(float(left @ left) / (blocks - 2) / float(((levels - levels.mean()) ** 2).sum()))
    return bool(slope > 0.5 and slope > 2 * error)
