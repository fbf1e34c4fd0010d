"""The kind ``images``: a row holds the pixels of one image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import in_range, one_of
from lifecycle.contract import Samples, Split, Target
from lifecycle.data import sources, targets
from lifecycle.data.splits import Shares, stratified
from lifecycle.data.table import TASKS
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass
class Images(Shares):
    """Images, a row of pixel columns each, scaled to 0-1.  CLI: data=images data.path=a.csv data.shape=[1,28,28]."""

    sample_dim: ClassVar[int] = 3

    path: str = ""  # a CSV or Parquet file, sklearn:<name> or lifecycle:<file>
    target: str = ""  # column to predict
    task: str | None = None  # classification or regression; null: from the target's type
    shape: list[int] = field(default_factory=list)  # channels, height, width; the order of the pixel columns
    max_value: float | None = None  # pixel value that becomes 1.0; null: the largest of the training images
    scale_target: bool = True  # regression: train on the standardised target; scores are in its own units

    def __post_init__(self) -> None:
        super().__post_init__()
        targets.check_named(self)
        one_of(self, "task", TASKS)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"shape must be channels, height and width, got {self.shape}. Use for instance [1,28,28].")
        in_range(self, "max_value", above=0)

    def read(self) -> pd.DataFrame:
        """Return the raw rows."""
        frame = sources.read(self.path)
        targets.check_columns(frame, self.path, {"target": self.target})
        wanted, found = math.prod(self.shape), len(frame.columns) - 1
        if found != wanted:
            raise RequestError(
                f"data.shape={self.shape} needs {wanted} pixel columns beside {self.target}, got {found} in "
                f"{self.path}. Give the shape of these images."
            )
        return frame

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target's name and task."""
        return Target(self.target, self.task or targets.infer_task(frame[self.target]), self.scale_target)

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the pixels."""
        return [name for name in frame.columns if name != self.target]

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return one image a row: ``(rows, channels, height, width) float32``."""
        import numpy as np

        labels = frame[self.target].to_numpy() if self.target in frame.columns else None
        pixels = frame[self.columns(frame)]
        try:
            values = pixels.to_numpy(dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise RequestError(
                f"data.path={self.path} has a pixel that is no number: {error}. Mend the file."
            ) from error
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise RequestError(f"data.path={self.path} misses a pixel in row {row}. Mend or remove the row.")
        return Samples(values.reshape(-1, *self.shape), labels, np.arange(len(frame)))

    def split(self, samples: Samples, task: str, seed: int) -> Split:
        """Divide at random, by class where there are classes."""
        return stratified(samples, self.counts(len(samples.rows)), task, seed)

    def learn(self, inputs: np.ndarray[Any, Any]) -> Any:
        """Fit the pixel value that becomes 1.0."""
        import numpy as np
        from sklearn.preprocessing import MaxAbsScaler

        largest = self.max_value or float(np.abs(inputs).max())
        return MaxAbsScaler().fit(np.array([[largest]], dtype=np.float32))

    def apply(self, transformer: Any, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return ``(images, channels, height, width) float32``."""
        import numpy as np

        return np.asarray(transformer.transform(inputs.reshape(-1, 1)), dtype=np.float32).reshape(inputs.shape)

    def feature_names(self, transformer: Any) -> tuple[str, ...]:
        """Return nothing: pixels have no names."""
        return ()
