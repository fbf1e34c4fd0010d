"""The data plugin ``series``: values in order of time; the values of a window predict the next ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import one_of
from lifecycle.contract import LOG, Fold, Samples, Split, Target
from lifecycle.data.columns import targets, times, weights
from lifecycle.data.columns.names import Renamed
from lifecycle.data.columns.time_steps import TimeStep
from lifecycle.data.formats.reading import Reading
from lifecycle.data.kinds.card import Card
from lifecycle.data.resolving import AUTO
from lifecycle.data.scaling import SCALINGS, fitted
from lifecycle.data.series import calendar, detection, time_order, windows
from lifecycle.data.series.ahead import STEP, Ahead
from lifecycle.data.series.fields import FEW_STEPS, SEASONS_FOR_A_WINDOW, WINDOW, SeriesFields
from lifecycle.data.series.stretches import groups_of, notes, stretches
from lifecycle.data.series.wide import check_is_one, note_on_months, note_on_order
from lifecycle.data.sources import files
from lifecycle.data.sources.source_fields import SourceFields
from lifecycle.data.splits import Shares, chronological, chronological_fold
from lifecycle.errors import FieldError, RequestError, Setting, Text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

GAPS_REMEDY = (Setting("data.gaps", "fill"), " or ", Setting("data.gaps", "split"))
"""What a series does with missing values."""


@dataclass
class Series(Card, Reading, Renamed, SeriesFields, Shares, SourceFields):
    """A series: from a window of values, the next ones.  CLI: data=series data.path=a.csv data.target=y."""

    sample_dim: ClassVar[int] = 2

    path: str = ""  # a file, folder or pattern, an address, a database, or sklearn:, openml: or hf:<name>; docs/data.md
    target: str = ""  # column that is predicted from its own past
    time: str | None = None  # column of times that rows are put in order by; null: they are in order, a step apart
    weight: str | None = None  # column of how much each target counts in losses and scores; null: all the same
    scaling: str = "standard"  # of windows: standard (mean 0, deviation 1), minmax (0 to 1) or none
    scale_target: bool = True  # train on the standardised target; scores are in its own units

    def __post_init__(self) -> None:
        super().__post_init__()
        targets.check_named(self)
        self.check_series()
        one_of(self, "scaling", SCALINGS)
        weights.check_field(self.weight, self.target)
        if self.time is not None and self.time in ("", self.target):
            raise ValueError(f"time must be a column other than the target, got {self.time!r}. Leave it out for none.")
        for name in ("calendar", "every"):
            if getattr(self, name) and self.time is None:
                raise FieldError(name, "needs the times of rows", getattr(self, name), "Add data.time=<column>.")
        if self.duplicates != time_order.REFUSE and self.time is None:
            raise FieldError("duplicates", "needs the times of rows", self.duplicates, "Add data.time=<column>.")
        if self.target in (*self.features, *self.known, self.group):
            problem = "is an input already, as the past values of the target are"
            raise FieldError(
                "target", problem, self.target, "Leave it out of data.features, data.known and data.group."
            )

    def read(self) -> pd.DataFrame:
        """Return the raw rows, in the order of the source."""
        frame = self.renamed(self.cleaned(files.read(self.path, self), self.path), self.path)
        check_is_one(self.target, list(frame.columns), self.time)
        named = {"target": self.target, "time": self.time, "weight": self.weight, "group": self.group}
        given = {key: name for key, name in named.items() if name is not None}
        for key, names in (("features", self.features), ("known", self.known)):
            for name in names:
                targets.check_name(list(frame.columns), self.path, key, name)
        if self.gaps != time_order.REFUSE:
            targets.check_name(list(frame.columns), self.path, "target", given.pop("target"))
        targets.check_columns(frame, self.path, given, GAPS_REMEDY)
        return frame

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target; a forecast is a regression."""
        return Target(self.target, "regression", self.scale_target, self.is_centred)

    @property
    def target_transform(self) -> str:
        """``"log"`` if logarithms are learnt."""
        return LOG if self.is_log else ""

    def differences(self) -> dict[str, Any]:
        """Return how values are learnt; see :class:`lifecycle.capabilities.PredictsDifferences`."""
        return {
            "difference": self.difference if self.lags else 0,
            "base": {str(step): factor for step, factor in windows.terms(self.lags).items()},
            "transform": LOG if self.is_log else "none",
            "season": self.cycle,
            "window": self.steps,
            "centre": self.is_centred,
            "horizon": self.horizon,
        }

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the columns that a prediction needs: the target, which is predicted from its own past, and others."""
        needed = [self.target, *self.features, *self.known, *([self.group] if self.group else [])]
        return list(dict.fromkeys([*needed, *([self.time] if self.calendar and self.time else [])]))

    @property
    def optional_columns(self) -> list[str]:
        """The column of times, which rows to predict may have."""
        return [] if self.time is None or self.calendar else [self.time]

    def in_order(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the positions of rows in order of time, one group after the other."""
        import numpy as np

        if not self._has_times(frame):
            return np.arange(len(frame))
        parts = []
        for _, positions in groups_of(self, frame):
            column = frame[self.time].iloc[positions]
            parts.append(positions[time_order.in_order(column, self.gaps, self.duplicates, self.every).rows])
        return np.concatenate(parts)

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return the samples in order of time: the windows as inputs, and the values that follow them as targets.

        Returns:
            ``inputs`` ``(samples, window, features) float64``: differences of the target, other columns, the calendar.
            Of one series there is one sample for each row after the first ``window + difference`` rows; with
            ``horizon`` there are as many for each, one for each number of steps ahead.
        """
        import numpy as np

        whole = stretches(self, frame)
        long = [stretch for stretch in whole if len(stretch) > windows.reach(self)]
        if not long:
            self.check_length(max(map(len, whole), default=0), windows.reach(self) + 1)
        parts = [(stretch, windows.of_stretch(self, stretch)) for stretch in long]
        rows = np.concatenate([stretch.rows[part.at] for stretch, part in parts])
        kept = np.flatnonzero(rows >= 0)  # a filled step is no target
        rows = rows[kept]

        def joined(values: list[Any]) -> np.ndarray[Any, Any]:
            whole = values[0] if len(values) == 1 else np.concatenate(values)
            return whole if len(kept) == len(whole) else np.asarray(whole[kept])

        about = {}
        if self.group is not None:
            about[self.group] = joined([np.array([s.group] * len(part.at), dtype=object) for s, part in parts])
        if self.horizon > 1:
            about[STEP] = joined([part.lead for _, part in parts])
        naive = {"last value": joined([part.last for _, part in parts])}
        if self.cycle is not None:
            naive[f"value {self.cycle} steps before"] = joined([part.seasonal for _, part in parts])
        of_rows = weights.column(self, frame)
        return Samples(
            inputs=joined([part.inputs for _, part in parts]),
            targets=joined([part.targets for _, part in parts]),
            rows=rows,
            base=joined([part.base for _, part in parts]) if self.lags else None,
            naive=naive,
            times=times.texts(frame[self.time])[rows] if self._has_times(frame) else None,
            weights=None if of_rows is None else of_rows[rows],
            about=about,
        )

    def one_a_row(self, samples: Samples) -> Samples:
        """Return the samples of one step ahead."""
        import numpy as np

        from lifecycle.data.selection import select

        return select(samples, np.flatnonzero(samples.about[STEP] == 1)) if STEP in samples.about else samples

    def resolved(self, frame: pd.DataFrame, fold: Fold | None = None) -> Series:
        """Return a copy whose fields of ``auto`` are those found in the training part of the rows.

        Args:
            frame: all rows; only the values before the first validation row are used.
            fold: of a cross-validation, whose training part is another one.
        """
        changes: dict[str, Any] = {}
        if self.every is None and self.time is not None and (self.gaps, self.duplicates) != ("refuse", "refuse"):
            step = self._step(frame)
            changes["every"] = None if step is None else str(step)
        if AUTO in (self.window, self.season, self.difference, self.transform, self.centre):
            values, step = self._training_values(frame, fold), self._step(frame)
            changes |= self._found(values, step)
        return replace(self, **changes) if changes else self

    def _found(self, series: list[np.ndarray[Any, Any]], step: TimeStep | None) -> dict[str, Any]:
        """Return the fields that are found in the training values of each series."""
        import numpy as np

        season = self.season
        if season == AUTO:
            season = _most([detection.season_of(values, step) for values in series])
        transform = self.transform
        if transform == AUTO:
            grows = self.difference == AUTO and _most([detection.needs_log(values, season) for values in series])
            transform = LOG if grows else "none"
        if transform == LOG:
            series = [np.log(values) for values in series if len(values) and values.min() > 0]
        lags = list(self.lags)
        if self.difference == AUTO:
            lags = list(_most([tuple(detection.differences_of(values, season)) for values in series]) or ())
        return {
            "season": season,
            "transform": transform,
            "difference": (lags if len(lags) > 1 else lags[0] if lags else 0)
            if self.difference == AUTO
            else self.difference,
            "centre": not (self.difference == AUTO and lags) if self.centre == AUTO else self.centre,
            "window": self._window(season, lags, max(map(len, series), default=0))
            if self.window == AUTO
            else self.window,
        }

    @staticmethod
    def _window(season: int | None, lags: list[int], rows: int) -> int:
        """Return the window: with the differences it reaches over a season, so few rows need no more."""
        if season is None:
            return WINDOW
        # More inputs than so few rows can weigh would hide what little the changes tell.
        few = max(season // 3, min(season, FEW_STEPS))
        return few if season in lags and rows < SEASONS_FOR_A_WINDOW * season else season

    def _training_values(self, frame: pd.DataFrame, fold: Fold | None) -> list[np.ndarray[Any, Any]]:
        """Return the values of each series that are before every validation and test row, of its longest stretch."""
        found: dict[str, list[Any]] = {}
        for stretch in stretches(self, frame):
            found.setdefault(str(stretch.group), []).append(stretch.values)
        parts = []
        for series in found.values():
            total = sum(map(len, series))
            try:
                end = len(self._divided(total, fold).train)
            except RequestError:  # too short, which the split reports
                continue
            training = []
            for values in series:
                training.append(values[:end])
                end = max(0, end - len(values))
            parts.append(max(training, key=len))
        return parts

    def inferred(self, configured: Series, frame: pd.DataFrame) -> tuple[str, str] | None:
        """Return what was found, such as ``trend found: difference 1; season 12``, and what was done to rows."""
        texts = []
        if configured.difference == AUTO:
            texts.append("trend found: difference 1" if 1 in self.lags else "no trend found")
        if configured.season == AUTO:
            by_season = ", difference " + str(self.cycle) if self.cycle in self.lags else ""
            texts.append(
                f"season {self.cycle}{by_season if configured.difference == AUTO else ''}"
                if self.cycle
                else "no season found"
            )
        elif configured.difference == AUTO and self.cycle and self.cycle in self.lags:
            texts.append(f"season {self.cycle}, difference {self.cycle}")
        if configured.transform == AUTO and self.is_log:
            texts.append("amplitude grows: transform log")
        if configured.window == AUTO:
            texts.append(f"window {self.window}")
        found = stretches(self, frame)
        if self.group is not None:
            texts.append(f"{len({str(stretch.group) for stretch in found})} series by {self.group}")
        if (self.gaps, self.duplicates) != ("refuse", "refuse"):
            texts += notes(self, found, len(frame))
        return ("Series", "; ".join(texts)) if texts else None

    def notes(self, frame: pd.DataFrame) -> list[Text]:
        """Return warnings where the target is one of several columns of months, or rows are not in order of time."""
        found = note_on_months(self.target, [str(name) for name in frame.columns], self.time)
        return found if self.time is not None else found + note_on_order(frame, self.columns(frame))

    def ahead_of(self, frame: pd.DataFrame, number: int, trained: TimeStep | None) -> Ahead:
        """Return the steps that follow the last rows of each series; see :class:`lifecycle.data.series.ahead.Ahead`."""
        return Ahead(self, frame, number, trained)

    def time_step(self, frame: pd.DataFrame) -> dict[str, Any] | None:
        """Return the step between the times of rows as a dictionary, for records; ``None``: there are no times."""
        step = self._step(frame)
        return None if step is None else asdict(step)

    def _step(self, frame: pd.DataFrame) -> TimeStep | None:
        import numpy as np

        if not self._has_times(frame):
            return None
        if self.every is not None:
            return time_order.step_named(self.every)
        column = frame[self.time].iloc[max((rows for _, rows in groups_of(self, frame)), key=len)]
        if (self.gaps, self.duplicates) == ("refuse", "refuse") and (self.group is None or len(column) < 2):
            return times.step(column) if self.group is None else None
        read = times.moments(column)
        order = np.argsort(read.instants.to_numpy(), kind="stable")
        new = np.concatenate([[True], np.diff(read.at(order).instants.astype("int64").to_numpy()) > 0])
        return time_order.usual_step(read.at(order[new])) if new.sum() > 1 else None

    def check_step(self, frame: pd.DataFrame, trained: TimeStep) -> None:
        """Check that times have the step of the training rows."""
        if not self._has_times(frame):
            return
        for _, positions in groups_of(self, frame):
            column = frame[self.time].iloc[positions]
            if (self.gaps, self.duplicates) == ("refuse", "refuse"):
                times.check_step(column, trained)
            else:
                time_order.in_order(column, self.gaps, self.duplicates, self.every, trained)

    def _has_times(self, frame: pd.DataFrame) -> bool:
        return self.time is not None and self.time in frame.columns

    def check_length(self, rows: int, needed: int) -> None:
        """Raise ``RequestError`` where there are fewer rows than one sample needs."""
        if rows >= needed:
            return
        window, difference = Setting("data.window", self.steps), Setting("data.difference", self.difference)
        raise RequestError(
            [window, " and ", difference] if self.lags else window,
            f"{'need' if self.lags else 'needs'} {needed} rows or more",
            rows,
            "Give more rows, or train with a shorter window.",
        )

    def split(self, samples: Samples, task: str, seed: int) -> Split:
        """Train on the past and test on the end: with a shuffled split, windows would contain values to predict."""
        return self._by_step(samples, None)

    def split_fold(self, samples: Samples, task: str, seed: int, fold: Fold) -> Split:
        """Test on a block of the series, and train on what is before it, of which ``val_size`` is a share."""
        return self._by_step(samples, fold)

    def _divided(self, total: int, fold: Fold | None) -> Split:
        """Divide the steps of one series."""
        if fold is None:
            return chronological(self.counts(total))
        before = total - (fold.folds - fold.index) * (total // (fold.folds + 1))
        return chronological_fold(total, self.val_count(before, before), fold)

    def _by_step(self, samples: Samples, fold: Fold | None) -> Split:
        """Divide each series in order of time; samples of one step are in one part."""
        import numpy as np

        if self.group is None and self.horizon == 1:
            return self._divided(len(samples.rows), fold)
        names = samples.about.get(str(self.group), np.zeros(len(samples.rows)))
        parts: list[list[Any]] = [[], [], []]
        for name in dict.fromkeys(names.tolist()):
            of_series = np.flatnonzero(names == name)
            _, first, inverse = np.unique(samples.rows[of_series], return_index=True, return_inverse=True)
            step = np.argsort(np.argsort(first))[inverse]  # samples are in order of time, and rows may not be
            split = self._divided(len(first), fold)
            for part, steps in zip(parts, (split.train, split.val, split.test), strict=True):
                part.append(of_series[np.isin(step, steps)])
        train, val, test = (np.sort(np.concatenate(part)) for part in parts)
        return Split(train, val, test)

    def learn(self, inputs: np.ndarray[Any, Any], weights: np.ndarray[Any, Any] | None = None) -> Any:
        """Fit the scaler to the values of the training windows, weighted by the weights of their targets."""
        of_steps = None if weights is None else weights.repeat(inputs.shape[1])
        return fitted(self.scaling, inputs.reshape(-1, inputs.shape[-1]), of_steps)

    def apply(self, transformer: Any, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return ``(samples, steps, features) float32``."""
        import numpy as np

        flat = transformer.transform(inputs.reshape(-1, inputs.shape[-1]))
        return np.asarray(flat, dtype=np.float32).reshape(inputs.shape)

    def feature_names(self, transformer: Any) -> tuple[str, ...]:
        """Return the names of the inputs of a step: the target, past features, known ones, and the calendar."""
        lead = [windows.LEAD] if self.horizon > 1 else []
        return (self.target, *self.features, *self.known, *calendar.names(self.calendar), *lead)


def _most(found: list[Any]) -> Any:
    """Return the most frequent value, the first of several; ``None`` of none."""
    return Counter(found).most_common(1)[0][0] if found else None
