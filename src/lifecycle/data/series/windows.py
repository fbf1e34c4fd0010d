"""Windows of stretches as samples: what the network sees, what it learns, and forecasts without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError, Setting, Text

if TYPE_CHECKING:
    import numpy as np

    from lifecycle.data.series.stretches import Stretch

LEAD = "steps ahead"
"""The feature that says which of several steps ahead is predicted."""


@dataclass(frozen=True)
class Windows:
    """Samples of a stretch, a row each; see :class:`lifecycle.contract.Samples`.

    Attributes:
        inputs: ``(samples, window, features) float64``.
        targets: ``(samples,)`` values in the user's units; NaN after the last known one.
        at: ``(samples,)`` positions of the targets in the stretch.
        lead: ``(samples,)`` steps from the last known value to the target, from 1.
        base: ``(samples,)`` on the scale of the transform; ``None``: without differences.
        last: ``(samples,)`` the last known value.
        seasonal: ``(samples,)`` the last known value of the same phase; ``None``: without a season.
    """

    inputs: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]
    at: np.ndarray[Any, Any]
    lead: np.ndarray[Any, Any]
    base: np.ndarray[Any, Any] | None
    last: np.ndarray[Any, Any]
    seasonal: np.ndarray[Any, Any] | None


def reach(fields: Any) -> int:
    """Return how many values must precede a target."""
    return int(fields.steps + sum(fields.lags))


def transformed(fields: Any, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return values on the scale that the network learns.

    Raises:
        RequestError: a value has no logarithm.
    """
    import numpy as np

    if not fields.is_log:
        return values
    wrong = np.flatnonzero(values <= 0)
    if len(wrong):
        problem = f"has no logarithm of {fields.target} {values[wrong[0]]:g}"
        remedy: Text = ["Train with ", Setting("data.transform", "none"), "."]
        raise RequestError(Setting("data.transform", "log"), problem, remedy=remedy)
    return np.asarray(np.log(values))


def differenced(values: np.ndarray[Any, Any], lags: Sequence[int]) -> np.ndarray[Any, Any]:
    """Return the differences by each lag, one after the other: ``(steps - sum(lags),)``.

    >>> import numpy as np
    >>> differenced(np.array([1.0, 2.0, 4.0, 8.0]), [1, 1]).tolist()
    [1.0, 2.0]
    """
    for lag in lags:
        values = values[lag:] - values[: len(values) - lag]
    return values


def terms(lags: Sequence[int]) -> dict[int, float]:
    """Return the factors of earlier values in the value whose differences are 0, by steps before it.

    >>> terms([12]), terms([1, 12])
    ({12: 1.0}, {1: 1.0, 12: 1.0, 13: -1.0})
    """
    factors = {0: 1.0}
    for lag in lags:
        later = dict(factors)
        for step, factor in factors.items():
            later[step + lag] = later.get(step + lag, 0.0) - factor
        factors = later
    return {step: -factor for step, factor in sorted(factors.items()) if step and factor}


def bases(values: np.ndarray[Any, Any], lags: Sequence[int], last: np.ndarray[Any, Any], leads: int) -> Any:
    """Return the values that follow if all differences are 0, ``(samples, leads)``.

    Args:
        values: ``(steps,)``.
        lags: of the differences.
        last: ``(samples,)`` positions of the last known values.
        leads: steps ahead.
    """
    import numpy as np

    factors = terms(lags)
    found: list[Any] = []
    for lead in range(1, leads + 1):
        parts = [
            (values[last + lead - step] if step >= lead else found[lead - step - 1], factor)
            for step, factor in factors.items()
        ]
        # The value itself where it is the only term: a product with 1 and a sum with 0 would be the same.
        found.append(parts[0][0] if len(parts) == 1 else sum(factor * part for part, factor in parts))
    return np.stack(found, axis=1)


def of_stretch(
    fields: Any, stretch: Stretch, last: np.ndarray[Any, Any] | None = None, leads: int | None = None
) -> Windows:
    """Return the samples of a stretch, in order of their targets.

    Args:
        fields: the data plugin.
        stretch: long enough for one sample.
        last: positions of the last known values; ``None``: all that have a target after them.
        leads: steps ahead of each; ``None``: the horizon of the fields.
    """
    import numpy as np

    leads, total = leads or fields.horizon, len(stretch)
    last = np.arange(reach(fields) - 1, total - 1) if last is None else last
    values = transformed(fields, stretch.values) if not np.isnan(stretch.values).any() else _known(fields, stretch)
    # Targets within the stretch, by target and then by lead.
    at, lead = (part.ravel() for part in np.meshgrid(last, np.arange(1, leads + 1), indexing="ij"))
    at = at + lead
    inside = at < total
    at, lead = at[inside], lead[inside]
    order = np.lexsort((lead, at))
    at, lead = at[order], lead[order]
    origin = at - lead
    base = None
    if fields.lags:
        table, row = bases(values, fields.lags, last, leads), np.searchsorted(last, origin)
        base = table[row, lead - 1]
    cycle = fields.cycle
    seasonal = None
    if cycle is not None:
        place = origin + lead - cycle * -(-lead // cycle)
        seasonal = np.where(place >= 0, stretch.values[np.maximum(place, 0)], np.nan)
    return Windows(
        inputs=_inputs(fields, stretch, values, origin, lead),
        targets=stretch.values[at],
        at=at,
        lead=lead,
        base=base,
        last=stretch.values[origin],
        seasonal=seasonal,
    )


def _known(fields: Any, stretch: Stretch) -> np.ndarray[Any, Any]:
    """Return transformed values of a stretch whose last steps are to be forecast."""
    import numpy as np

    known = ~np.isnan(stretch.values)
    values = np.full(len(stretch), np.nan)
    values[known] = transformed(fields, stretch.values[known])
    return values


def _inputs(
    fields: Any,
    stretch: Stretch,
    values: np.ndarray[Any, Any],
    origin: np.ndarray[Any, Any],
    lead: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    import numpy as np

    window, lag = fields.steps, sum(fields.lags)
    known = differenced(values, fields.lags)
    views = np.lib.stride_tricks.sliding_window_view
    own = views(known, window)[origin - lag - window + 1, :, np.newaxis]  # (samples, window, 1)
    if not fields.has_inputs:
        return own
    parts = [own]
    if stretch.past.shape[1]:
        parts.append(views(stretch.past, window, axis=0)[origin - window + 1].swapaxes(1, 2))
    if stretch.known.shape[1]:  # known in advance: the last step of the window is that of the target
        parts.append(views(stretch.known, window, axis=0)[origin + lead - window + 1].swapaxes(1, 2))
    if fields.horizon > 1:
        parts.append(np.broadcast_to(lead[:, np.newaxis, np.newaxis].astype(np.float64), (len(lead), window, 1)))
    return np.concatenate(parts, axis=2)
