"""The kind ``series``: values in order of time; the values of a window predict the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import in_range
from lifecycle.contract import Samples, Split, Target
from lifecycle.data import sources, targets
from lifecycle.data.splits import Shares, chronological
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass
class Series(Shares):
    """A series: from `window` values, the next one.  CLI: data=series data.path=a.csv data.target=y data.window=5."""

    sample_dim: ClassVar[int] = 2

    path: str = ""  # a CSV or Parquet file, sklearn:<name> or lifecycle:<file>, its rows in order of time
    target: str = ""  # column that is predicted from its own past
    window: int = 5  # steps that a prediction sees
    scale_target: bool = True  # train on the standardised target; scores are in its own units

    def __post_init__(self) -> None:
        super().__post_init__()
        targets.check_named(self)
        in_range(self, "window", low=1)

    def read(self) -> pd.DataFrame:
        """Return the raw rows, in order of time."""
        frame = sources.read(self.path)
        targets.check_columns(frame, self.path, {"target": self.target})
        return frame

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target; forecasting a value is a regression."""
        return Target(self.target, "regression", self.scale_target)

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the target: it is predicted from its own past."""
        return [self.target]

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return a window and the value after it for each row that has a whole window before it."""
        import numpy as np

        if len(frame) <= self.window:
            raise RequestError(
                f"data.window={self.window} needs more than {self.window} rows, got {len(frame)}. "
                "Give more rows, or train with a shorter window."
            )
        values = targets.as_numbers(frame[self.target].to_numpy(), self.target)
        windows = np.lib.stride_tricks.sliding_window_view(values[:-1], self.window)  # (samples, steps)
        return Samples(windows[:, :, np.newaxis], values[self.window :], np.arange(self.window, len(values)))

    def split(self, samples: Samples, task: str, seed: int) -> Split:
        """Train on the past, test on the end: a shuffled split would let the network see what it is to foretell."""
        return chronological(self.counts(len(samples.rows)))

    def learn(self, inputs: np.ndarray[Any, Any]) -> Any:
        """Fit mean and scale to the values of the training windows."""
        from sklearn.preprocessing import StandardScaler

        return StandardScaler().fit(inputs.reshape(-1, inputs.shape[-1]))

    def apply(self, transformer: Any, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return ``(samples, steps, features) float32``."""
        import numpy as np

        flat = transformer.transform(inputs.reshape(-1, inputs.shape[-1]))
        return np.asarray(flat, dtype=np.float32).reshape(inputs.shape)

    def feature_names(self, transformer: Any) -> tuple[str, ...]:
        """Return the name of the one feature of a step."""
        return (self.target,)
