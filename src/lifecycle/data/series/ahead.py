"""The steps after the last rows of one or several series, predicted some at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lifecycle.contract import Samples
from lifecycle.data.columns import times
from lifecycle.data.series import calendar, windows
from lifecycle.data.series.stretches import Stretch, groups_of, stretches
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

STEP = "step"
"""The column of a forecast of a series without times: 1, 2, ..."""


class Ahead:
    """The steps to forecast: :meth:`samples` returns the next ones, and :meth:`add` takes their predictions.

    As many steps as the horizon of the training are predicted directly; further ones from the predictions before them.

    Args:
        fields: the data plugin.
        frame: raw rows. Rows at the end of a series may lack the target: they have what is known of the future.
        number: of steps of each series.
        trained: the step between times in training; ``None``: unknown.

    Raises:
        RequestError: there are too few rows, or what is known of the future is missing.
    """

    def __init__(self, fields: Any, frame: pd.DataFrame, number: int, trained: Any) -> None:
        import numpy as np

        self.fields, self.number, self.done = fields, number, 0
        if fields.features and number > fields.horizon:
            raise RequestError(
                Setting("horizon", number),
                f"is more than the {fields.horizon} that were trained, and later values of "
                f"{', '.join(fields.features)} are not known",
                remedy=[
                    "Train with ",
                    Setting("data.horizon", number),
                    ", or name columns that are known in advance in ",
                    Setting("data.known"),
                    ".",
                ],
            )
        self.series: list[Stretch] = []
        self.known: list[int] = []
        self.times: list[pd.Series[Any]] = []
        for _, positions in groups_of(fields, frame):
            self._begin(frame.iloc[positions], trained)
        self.values = [np.full(number, np.nan) for _ in self.series]

    def _begin(self, frame: pd.DataFrame, trained: Any) -> None:
        """Add a series with its steps to forecast."""
        import numpy as np

        fields, number = self.fields, self.number
        last = stretches(replace(fields, group=None), frame, trained, future=True)[-1]
        count = int((~np.isnan(last.values)).sum())
        is_row = last.rows[:count] >= 0
        # The rows since the last gap, whose steps are equal.
        run = last.rows[:count][count - int(np.argmin(is_row[::-1])) if not is_row.all() else 0 :]
        has_times = fields.time is not None and fields.time in frame.columns
        following = times.after(frame[fields.time].iloc[run], number, trained) if has_times else None
        fields.check_length(count, windows.reach(fields))
        columns = len(fields.known)
        available = len(last) - count
        if columns and available < number:
            raise RequestError(
                Setting("data.known", fields.known),
                f"must be known for the {number} steps to forecast, got {available}",
                remedy="Append a row for each step with these columns, and the target empty.",
            )
        future = np.full((number, last.known.shape[1]), np.nan)
        future[: min(available, number)] = last.known[count : count + number]
        if fields.calendar and following is not None:
            local = times.moments(following, trained).local
            future[:, columns:] = calendar.features(local, fields.calendar)
        empty = np.full((number, last.past.shape[1]), np.nan)
        group = None if fields.group is None else frame[fields.group].iloc[0]
        self.series.append(
            Stretch(
                group,
                np.arange(count + number),
                np.concatenate([last.values[:count], np.full(number, np.nan)]),
                np.concatenate([last.past[:count], empty]),
                np.concatenate([last.known[:count], future]),
            )
        )
        self.known.append(count)
        if following is not None:
            self.times.append(following)

    def samples(self) -> Samples | None:
        """Return the next steps of all series as samples; ``None``: all are predicted."""
        import numpy as np

        leads = min(self.fields.horizon, self.number - self.done)
        if leads < 1:
            return None
        found = []
        for stretch, count in zip(self.series, self.known, strict=True):
            last = np.array([count + self.done - 1])
            found.append(windows.of_stretch(self.fields, stretch, last, leads))
        inputs = np.concatenate([each.inputs for each in found])
        bases = [each.base for each in found if each.base is not None]
        return Samples(inputs, None, np.arange(len(inputs)), base=np.concatenate(bases) if bases else None)

    def add(self, predicted: np.ndarray[Any, Any]) -> None:
        """Take the predictions of the last samples, in the user's units."""
        leads = len(predicted) // len(self.series)
        for at, (stretch, count) in enumerate(zip(self.series, self.known, strict=True)):
            part = predicted[at * leads : (at + 1) * leads]
            stretch.values[count + self.done : count + self.done + leads] = part
            self.values[at][self.done : self.done + leads] = part
        self.done += leads

    def table(self, predicted: str) -> pd.DataFrame:
        """Return a row for each step of each series: its group if there are several, its time or step, its value."""
        import numpy as np
        import pandas as pd

        columns: dict[str, Any] = {}
        if self.fields.group is not None:
            names = np.array([stretch.group for stretch in self.series], dtype=object).repeat(self.number)
            columns[self.fields.group] = pd.Series(names).infer_objects().array
        if self.times:
            columns[self.fields.time] = pd.concat(self.times, ignore_index=True).array
        else:
            columns[STEP] = np.tile(np.arange(1, self.number + 1), len(self.series))
        return pd.DataFrame({**columns, predicted: np.concatenate(self.values)})
