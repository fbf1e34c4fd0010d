"""The data plugin ``series``: values in order of time; the values of a window predict the next value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import in_range, one_of
from lifecycle.contract import Fold, Samples, Split, Target
from lifecycle.data.columns import targets, times, weights
from lifecycle.data.columns.names import Renamed
from lifecycle.data.columns.times import TimeStep
from lifecycle.data.formats.reading import Reading
from lifecycle.data.kinds.card import Card
from lifecycle.data.scaling import SCALINGS, fitted
from lifecycle.data.sources import files
from lifecycle.data.sources.source_fields import SourceFields
from lifecycle.data.splits import Shares, chronological, chronological_fold
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

STEP = "step"
"""The column of a forecast of a series without times: 1, 2, ..."""


@dataclass
class Series(Card, Reading, Renamed, Shares, SourceFields):
    """A series: from `window` values, the next one.  CLI: data=series data.path=a.csv data.target=y data.window=5."""

    sample_dim: ClassVar[int] = 2

    path: str = ""  # a file, folder or pattern, an address, a database, or sklearn:, openml: or hf:<name>; docs/data.md
    target: str = ""  # column that is predicted from its own past
    time: str | None = None  # column of times that rows are put in order by; null: they are in order, a step apart
    window: int = 5  # steps that a prediction sees
    season: int | None = None  # steps after which the series repeats itself, 12 for months: for a naive forecast
    difference: int = 0  # learn how much values differ from those so many steps before; 0: the values themselves
    weight: str | None = None  # column of how much each target counts in losses and scores; null: all the same
    scaling: str = "standard"  # of windows: standard (mean 0, deviation 1), minmax (0 to 1) or none
    scale_target: bool = True  # train on the standardised target; scores are in its own units

    def __post_init__(self) -> None:
        super().__post_init__()
        targets.check_named(self)
        in_range(self, "window", low=1)
        in_range(self, "season", low=2)
        in_range(self, "difference", low=0)
        one_of(self, "scaling", SCALINGS)
        weights.check_field(self.weight, self.target)
        if self.time is not None and self.time in ("", self.target):
            raise ValueError(f"time must be a column other than the target, got {self.time!r}. Leave it out for none.")

    def read(self) -> pd.DataFrame:
        """Return the raw rows, in the order of the source."""
        frame = self.renamed(self.cleaned(files.read(self.path, self), self.path), self.path)
        named = {"target": self.target, "time": self.time, "weight": self.weight}
        targets.check_columns(frame, self.path, {key: name for key, name in named.items() if name is not None})
        if self.time is not None:
            times.check_packed(frame[self.time])  # also of evenly spaced numbers, such as the months of one year
        return frame

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target; a forecast is a regression."""
        return Target(self.target, "regression", self.scale_target)

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the target: it is predicted from its own past."""
        return [self.target]

    @property
    def optional_columns(self) -> list[str]:
        """The column of times, which rows to predict may have."""
        return [] if self.time is None else [self.time]

    def in_order(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the positions of rows in order of time."""
        import numpy as np

        if not self._has_times(frame):
            return np.arange(len(frame))
        return times.order(frame[self.time])

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return the samples in order of time: the windows as inputs, and the values that follow them as targets.

        Returns:
            ``inputs`` ``(samples, window, 1) float64``. There is one sample for each row after the first
            ``window + difference`` rows.
        """
        import numpy as np

        self._check_length(len(frame), self._before() + 1)
        rows = self.in_order(frame)
        values = self._values(frame)[rows]
        lag = self.difference
        known = values[lag:] - values[: len(values) - lag] if lag else values
        # The last value is in no window: it is only a target.
        windows = np.lib.stride_tricks.sliding_window_view(known[:-1], self.window)  # (samples, steps)
        at = np.arange(self._before(), len(values))  # positions of the targets
        seasonal = {} if self.season is None else {f"value {self.season} steps before": _ago(values, self.season)[at]}
        of_rows = weights.column(self, frame)
        return Samples(
            inputs=windows[at - self.window - lag, :, np.newaxis],
            targets=values[at],
            rows=rows[at],
            base=values[at - lag] if lag else None,
            naive={"last value": values[at - 1], **seasonal},
            times=times.texts(frame[self.time])[rows[at]] if self._has_times(frame) else None,
            weights=None if of_rows is None else of_rows[rows[at]],
        )

    def known(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the last values in order of time, as many as a forecast of the next value needs."""
        self._check_length(len(frame), self._before())
        values: np.ndarray[Any, Any] = self._values(frame)[self.in_order(frame)]
        return values[-self._before() :]

    def ahead(self, known: np.ndarray[Any, Any]) -> Samples:
        """Return the one sample whose target follows the values that :meth:`known` returned."""
        import numpy as np

        lag = self.difference
        window = known[lag:] - known[: len(known) - lag] if lag else known
        return Samples(
            inputs=window[np.newaxis, :, np.newaxis],
            targets=None,
            rows=np.zeros(1, dtype=np.int64),
            base=known[-lag:][:1] if lag else None,
        )

    def time_step(self, frame: pd.DataFrame) -> dict[str, Any] | None:
        """Return the step between the times of rows as a dictionary, for records; ``None``: there are no times."""
        step = times.step(frame[self.time]) if self._has_times(frame) else None
        return None if step is None else asdict(step)

    def check_step(self, frame: pd.DataFrame, trained: TimeStep) -> None:
        """Check that times have the step of the training rows."""
        if self._has_times(frame):
            times.check_step(frame[self.time], trained)

    def times_after(self, frame: pd.DataFrame, number: int, trained: TimeStep | None) -> pd.Series[Any]:
        """Return the times that follow those of rows, named like their column; without times ``step``: 1, 2, ..."""
        import pandas as pd

        if not self._has_times(frame):
            return pd.Series(range(1, number + 1), name=STEP)
        return times.after(frame[self.time], number, trained).rename(self.time)

    def _has_times(self, frame: pd.DataFrame) -> bool:
        return self.time is not None and self.time in frame.columns

    def _values(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        return targets.as_numbers(frame[self.target].to_numpy(), self.target)

    def _before(self) -> int:
        """Return how many values must precede a target."""
        return self.window + self.difference

    def _check_length(self, rows: int, needed: int) -> None:
        if rows >= needed:
            return
        window, difference = Setting("data.window", self.window), Setting("data.difference", self.difference)
        raise RequestError(
            [window, " and ", difference] if self.difference else window,
            f"{'need' if self.difference else 'needs'} {needed} rows or more",
            rows,
            "Give more rows, or train with a shorter window.",
        )

    def split(self, samples: Samples, task: str, seed: int) -> Split:
        """Train on the past and test on the end: with a shuffled split, windows would contain values to predict."""
        return chronological(self.counts(len(samples.rows)))

    def split_fold(self, samples: Samples, task: str, seed: int, fold: Fold) -> Split:
        """Test on a block of the series, and train on what is before it, of which ``val_size`` is a share."""
        total = len(samples.rows)
        before = total - (fold.folds - fold.index) * (total // (fold.folds + 1))
        return chronological_fold(total, self.val_count(before, before), fold)

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
        """Return the name of the only feature."""
        return (self.target,)


def _ago(values: np.ndarray[Any, Any], steps: int) -> np.ndarray[Any, Any]:
    """Return the value ``steps`` steps before each; NaN before the first."""
    import numpy as np

    return np.concatenate([np.full(min(steps, len(values)), np.nan), values[:-steps]])
