"""The data plugin ``array``: a row holds the numbers of one sample, of any shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from lifecycle.checks import in_range, one_of
from lifecycle.contract import SAMPLE_SHAPES, Samples, Target
from lifecycle.data.columns import features, targets, weights
from lifecycle.data.columns.names import Renamed
from lifecycle.data.kinds.card import Card
from lifecycle.data.kinds.table import TASKS
from lifecycle.data.scaling import SCALINGS, fitted
from lifecycle.data.sources import files, test_file
from lifecycle.data.sources.source_fields import SourceFields
from lifecycle.data.splits import ByColumns
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass
class Array(Card, Renamed, ByColumns, SourceFields):
    """Samples of numbers, of any shape, a row each.  CLI: data=array data.path=a.csv data.target=y data.shape=[5,2]."""

    path: str = ""  # as of data=table, with one column for each number, in C order of the shape; or a .npz file
    target: str = ""  # column to predict
    task: str | None = None  # classification or regression; null: from the target's type
    weight: str | None = None  # column of how much each row counts in losses and scores; no feature. null: all the same
    shape: list[int] = field(default_factory=list)  # of a sample: steps and features, or channels, height and width
    scaling: str = "standard"  # of each feature, or channel: standard (mean 0, deviation 1), minmax (0 to 1) or none
    scale_target: bool = True  # regression: train on the standardised target; scores are in its own units

    def __post_init__(self) -> None:
        super().__post_init__()
        targets.check_named(self)
        weights.check_field(self.weight, self.target)
        one_of(self, "task", TASKS)
        one_of(self, "scaling", SCALINGS)
        if len(self.shape) not in SAMPLE_SHAPES or min(self.shape) < 1:
            raise ValueError(
                f"shape must be one to three numbers above 0, got {self.shape}. Use for instance [5,2] for 5 steps of "
                "2 features."
            )
        in_range(self, "shape", low=1)

    @property
    def sample_dim(self) -> int:
        """Number of axes of a sample."""
        return len(self.shape)

    def read(self) -> pd.DataFrame:
        """Return the raw rows."""
        frame = self.renamed(files.read(self.path, self), self.path)
        targets.check_columns(frame, self.path, self._named)
        self.check(frame)
        check = partial(targets.check_columns, columns=self._named)
        return test_file.appended(self, frame, lambda path: self.renamed(files.read(path), path), check)

    @property
    def _named(self) -> dict[str, str]:
        """Field -> column, of the columns that are not part of a sample."""
        weight = {} if self.weight is None else {"weight": self.weight}
        return {"target": self.target, **weight, **self.columns_of_split}

    def check(self, frame: pd.DataFrame) -> None:
        """Check that rows have as many numbers as the shape."""
        wanted, found = math.prod(self.shape), len(self.columns(frame))
        if found != wanted:
            raise RequestError(
                Setting("data.shape", self.shape),
                f"needs {wanted} columns in addition to {self.target}",
                f"{found} in {self.path}",
                "Give the shape of these samples.",
            )

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target's name and task."""
        return Target(self.target, self.task or targets.infer_task(frame[self.target]), self.scale_target)

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the columns of numbers."""
        return [name for name in frame.columns if name not in self._named.values()]

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return one sample a row: ``(rows, *shape) float64``."""
        import numpy as np

        labels = targets.labels_of(frame[self.target]) if self.target in frame.columns else None
        numbers = features.finite_numbers(frame[self.columns(frame)], self.path, np.float64)
        samples = Samples(
            numbers.reshape(-1, *self.shape), labels, np.arange(len(frame)), weights=weights.column(self, frame)
        )
        return self.with_split(samples, frame)

    def learn(self, inputs: np.ndarray[Any, Any], weights: np.ndarray[Any, Any] | None = None) -> Any:
        """Fit the scale of each feature, or channel, to the training samples, by their weights."""
        values = self._by_feature(inputs)
        # Each number of a sample counts with the weight of the sample.
        return fitted(self.scaling, values, None if weights is None else weights.repeat(len(values) // len(inputs)))

    def apply(self, transformer: Any, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return ``(samples, *shape) float32``."""
        import numpy as np

        axis = self._feature_axis
        last = np.moveaxis(inputs, axis, -1)
        scaled = transformer.transform(self._by_feature(inputs)).reshape(last.shape)
        with np.errstate(over="ignore"):  # overflow in single precision becomes inf, which the caller refuses
            return np.ascontiguousarray(np.moveaxis(scaled, -1, axis), dtype=np.float32)

    def numbers(self, transformer: Any, columns: Sequence[str]) -> list[str]:
        """Return all columns: each holds numbers."""
        return list(columns)

    def feature_names(self, transformer: Any) -> tuple[str, ...]:
        """Return an empty tuple: the numbers of an array have no names."""
        return ()

    @property
    def _feature_axis(self) -> int:
        """The axis that is scaled separately, counted from that of samples: the last one; of images the channels."""
        return 1 if len(self.shape) == 3 else len(self.shape)

    def _by_feature(self, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return samples as ``(numbers of one feature, features)``, as scikit-learn's scalers expect them."""
        import numpy as np

        last = np.moveaxis(inputs, self._feature_axis, -1)
        return last.reshape(-1, last.shape[-1])
