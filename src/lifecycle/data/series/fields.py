"""The fields of a series beyond its columns, and what they resolve to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lifecycle.checks import in_range, one_of
from lifecycle.contract import LOG
from lifecycle.data.resolving import AUTO
from lifecycle.data.series.calendar import CYCLES
from lifecycle.data.series.time_order import DUPLICATES, GAPS, REFUSE, check_every
from lifecycle.errors import FieldError

WINDOW = 5
"""Steps of a window where no season says how many."""

FEW_STEPS = 4
"""Fewest steps of a window of differences by the season."""

SEASONS_FOR_A_WINDOW = 10
"""Seasons of training rows from which a window of differences by the season has a season of them too."""

TRANSFORMS = (AUTO, LOG, "none")


@dataclass
class SeriesFields:
    """How a series becomes windows. ``auto`` is found in the training part; see :mod:`lifecycle.data.series`."""

    window: Any = AUTO  # steps that a prediction sees; auto: those of a season, or 5
    season: Any = AUTO  # steps after which the series repeats itself, 12 for months; null: none
    difference: Any = AUTO  # learn differences to the values so many steps before: 12, or [1, 12]; 0: the values
    transform: str = AUTO  # learn the logarithm of the target: log or none; auto: where it grows tenfold
    centre: Any = AUTO  # subtract their mean from targets; auto: not from differences that were found
    horizon: int = 1  # steps ahead that are learnt, each directly from the same window
    features: list[str] = field(default_factory=list)  # columns whose past values are inputs
    known: list[str] = field(default_factory=list)  # columns known in advance: inputs of the predicted step as well
    calendar: list[str] = field(default_factory=list)  # inputs from the time: month, weekday, hour, ... as cycles
    group: str | None = None  # column that says which of several series a row belongs to; null: one series
    gaps: str = REFUSE  # missing steps and values: refuse, fill (by the last value), or split (no window crosses one)
    every: str | None = None  # the step between times: day, month, 15 minutes, ...; null: detected
    backtest: int | None = None  # origins of a backtest: test blocks in time, each after its training rows; as cv
    duplicates: str = REFUSE  # rows of one time: refuse, or their sum, mean or first

    def check_series(self) -> None:
        """Raise ``ValueError`` for a field out of range."""
        _whole(self, "window", 1)
        if self.season is not None:
            _whole(self, "season", 2)
        if isinstance(self.difference, list | tuple):
            self.difference = list(self.difference)
            for lag in self.difference:
                _check_whole("difference", lag, 1, self.difference)
        else:
            _whole(self, "difference", 0)
        one_of(self, "transform", TRANSFORMS)
        if not isinstance(self.centre, bool) and self.centre != AUTO:
            raise FieldError("centre", "must be true, false or auto", self.centre, "The default is auto.")
        in_range(self, "horizon", low=1)
        in_range(self, "backtest", low=2)
        one_of(self, "gaps", GAPS)
        one_of(self, "duplicates", DUPLICATES)
        check_every(self.every)
        for name in self.calendar:
            if name not in CYCLES:
                known = ", ".join(CYCLES)
                raise FieldError("calendar", f"must name some of {known}", name, "Use for instance [month].")

    @property
    def lags(self) -> tuple[int, ...]:
        """The lags by which values are differenced, one after the other; an unresolved ``auto`` is none."""
        if isinstance(self.difference, list):
            return tuple(self.difference)
        return (self.difference,) if isinstance(self.difference, int) and self.difference else ()

    @property
    def steps(self) -> int:
        """The steps of a window; of an unresolved ``auto`` :data:`WINDOW`."""
        return self.window if isinstance(self.window, int) else WINDOW

    @property
    def cycle(self) -> int | None:
        """The season in steps; ``None``: none, or it is not resolved."""
        return self.season if isinstance(self.season, int) else None

    @property
    def is_log(self) -> bool:
        """Whether logarithms are learnt."""
        return self.transform == LOG

    @property
    def is_centred(self) -> bool:
        """Whether the mean is subtracted from targets."""
        return self.centre is not False

    @property
    def has_inputs(self) -> bool:
        """Whether there are other inputs than the past of the target."""
        return bool(self.features or self.known or self.calendar or self.horizon > 1)


def _whole(config: Any, name: str, low: int) -> None:
    _check_whole(name, getattr(config, name), low, getattr(config, name))


def _check_whole(name: str, value: Any, low: int, got: Any) -> None:
    if value == AUTO and got == AUTO:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= 1_000_000_000:
        what = f"{low} or more" if isinstance(value, int | float) else f"a whole number of {low} or more, or auto"
        raise FieldError(name, f"must be {what}", got, "The default is auto.")
