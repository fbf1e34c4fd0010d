"""The data plugin ``images``: a row holds the pixels of one image, or the name of its file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import in_range, one_of
from lifecycle.contract import Fold, Samples, Split, Target
from lifecycle.data import augmentation
from lifecycle.data.columns import features, targets
from lifecycle.data.columns.names import Renamed
from lifecycle.data.kinds.card import Card
from lifecycle.data.kinds.table import TASKS
from lifecycle.data.sources import image_folders
from lifecycle.data.sources.files import is_table, read
from lifecycle.data.splits import ByColumns
from lifecycle.errors import RequestError, Setting, Text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

LABEL = "label"
"""Default name of the target of images in a folder, which is the sub-folder of an image."""

BRIGHTEST = {1: 255.0, 2: 65_535.0}
"""Bytes of a pixel -> the largest value in an image file."""

MOST_NUMBERS = 1 << 28
"""Numbers of one image, that is a gigabyte of float32: the images to predict are converted to the shape."""


@dataclass
class Images(Card, Renamed, ByColumns):
    """Images: a folder of one sub-folder a class, a table of files or of pixels; scaled to 0-1.  CLI: data.path=a."""

    sample_dim: ClassVar[int] = 3

    path: str = ""  # a folder; or a table: a CSV or Parquet file, sklearn:, lifecycle: or download:<name>
    file: str | None = (
        None  # of a table: column of the files, relative to the folder of the table; null: a column a pixel
    )
    target: str = ""  # column to predict; of a folder: what to call it, "label" if left out
    task: str | None = None  # classification or regression; null: from the target's type
    shape: list[int] = field(
        default_factory=list
    )  # channels, height, width; files are converted to it; []: as they are
    max_value: float | None = None  # pixel value that becomes 1.0; null: 255 of files, else the largest while training
    scale_target: bool = True  # regression: train on the standardised target; scores are in its own units
    augment: Any = None  # changes of training images: light, or a list of flip, shift, rotate and colour; null: none

    def __post_init__(self) -> None:
        super().__post_init__()
        targets.check_named(self, "path")
        one_of(self, "task", TASKS)
        augmentation.check(self.augment)
        if self.file is not None and not is_table(self.path):
            raise ValueError(f"file must be left out for a folder of images, got {self.file}. Leave it out.")
        if (self.shape or not self._are_files) and (len(self.shape) != 3 or min(self.shape) < 1):
            advice = "" if self._are_files else ", or data.file=<column> for a table of image files"
            raise ValueError(
                f"shape must be channels, height and width, got {self.shape}. Use for instance [1,28,28]{advice}."
            )
        if not self._in_folder:
            targets.check_named(self, "target")
        if self._are_files and self.shape and self.shape[0] not in image_folders.MODES:
            raise ValueError(
                f"shape must begin with 1 (grey) or 3 (red, green, blue) for image files, got {self.shape}. "
                f"Use for instance [1,{self.shape[1]},{self.shape[2]}]."
            )
        if math.prod(self.shape) > MOST_NUMBERS:  # a saved model of a stranger may ask for any shape
            raise ValueError(
                f"shape must have at most {MOST_NUMBERS:,} numbers, got {self.shape}. Use a smaller height and width."
            )
        in_range(self, "max_value", above=0)
        if self.test_path is not None:
            raise ValueError(
                f"test_path must be left out for images, got {self.test_path}. Use data.split_column, or folders train "
                "and test."
            )

    @property
    def _in_folder(self) -> bool:
        return not is_table(self.path)

    @property
    def _are_files(self) -> bool:
        return self.file is not None or self._in_folder

    @property
    def _column(self) -> str:
        """The column of file names."""
        return self.file or image_folders.FILE

    @property
    def _folder(self) -> str:
        """The folder to which file names are relative."""
        return self.path if self._in_folder else str(Path(self.path).parent)

    @property
    def augmentation(self) -> augmentation.Augmentation | None:
        """Random changes of training images."""
        return augmentation.of_field(self.augment)

    def read(self) -> pd.DataFrame:
        """Return the raw rows: one column for each pixel; of files their name, the target and their ``sha256``."""
        if self._in_folder:
            return image_folders.read(self.path, self.target or LABEL)
        frame = self.renamed(read(self.path), self.path)
        of_files = {} if self.file is None else {"file": self.file}
        named = {"target": self.target, **of_files, **self.columns_of_split}
        targets.check_columns(frame, self.path, named)
        if self.file is not None:
            return image_folders.read_listed(frame, self.path, self.file)
        wanted, found = math.prod(self.shape), len(frame.columns) - len(named)
        if found != wanted:
            raise RequestError(
                Setting("data.shape", self.shape),
                f"needs {wanted} pixel columns in addition to {self.target}",
                f"{found} in {self.path}",
                "Give the shape of these images.",
            )
        return frame

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target's name and task."""
        name = self.target or LABEL
        return Target(name, self.task or targets.infer_task(frame[name]), self.scale_target)

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the columns of pixels, or the column of file names."""
        if self._are_files:
            return [self._column]
        return [name for name in frame.columns if name not in (self.target, *self.columns_of_split.values())]

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return one unscaled image for each row: ``(rows, channels, height, width)``, integers or ``float32``."""
        import numpy as np

        name = self.target or LABEL
        labels = targets.labels_of(frame[name]) if name in frame.columns else None
        if self._are_files:
            files = frame[self._column].to_numpy()
            images = image_folders.load(self._folder, files, self.shape, listed=image_folders.DIGEST in frame.columns)
        else:
            images, files = self._pixels(frame[self.columns(frame)]).reshape(-1, *self.shape), None
        samples = Samples(images, labels, np.arange(len(frame)), files=files)
        if self._in_folder and image_folders.DIGEST in frame.columns:
            return replace(samples, parts=image_folders.parts_of(frame[image_folders.FILE]))
        return self.with_split(samples, frame)

    def _pixels(self, pixels: pd.DataFrame) -> np.ndarray[Any, Any]:
        import numpy as np

        """Return ``(rows, pixels)``, ``uint8`` or ``float32``, checked to be finite."""
        if all(dtype == np.uint8 for dtype in pixels.dtypes):  # a quarter of the memory, and always finite
            return np.ascontiguousarray(pixels.to_numpy())
        return features.finite_numbers(pixels, self.path, np.float32, "pixel")

    def rows_of_files(self, files: Sequence[str], columns: Sequence[str], transformer: Any) -> pd.DataFrame:
        """Return the raw rows of image files: ``file``, and their pixels where the rows of the data hold pixels.

        Pixels are rescaled from 255 to the largest value that :meth:`learn` found.

        Args:
            files: paths.
            columns: those that a prediction needs.
            transformer: the result of :meth:`learn`.

        Raises:
            RequestError: a file cannot be read as such an image.
        """
        import pandas as pd

        if self._are_files:
            return pd.DataFrame({self._column: files})
        if self.shape[0] not in image_folders.MODES:
            shape = Setting("data.shape", self.shape)
            raise RequestError(
                Setting("input", files[0]),
                ["is an image, and ", shape, " is neither grey nor red, green and blue"],
                remedy="Give a table with a column for each pixel.",
            )
        pixels = image_folders.load("", files, self.shape, listed=False).reshape(len(files), -1)
        largest, brightest = float(transformer.scale_[0]), _brightest(pixels)
        frame = pd.DataFrame(pixels if largest == brightest else pixels * (largest / brightest), columns=list(columns))
        return pd.concat([pd.DataFrame({image_folders.FILE: files}), frame], axis=1)

    def learn(self, inputs: np.ndarray[Any, Any]) -> Any:
        """Determine the pixel value that becomes 1.0."""
        import numpy as np
        from sklearn.preprocessing import MaxAbsScaler

        # Of files always 255: an underexposed data set is not to be brightened, and new files may be brighter.
        largest = self.max_value or (_brightest(inputs) if self._are_files else float(np.abs(inputs).max()))
        return MaxAbsScaler().fit(np.array([[largest]], dtype=np.float32))

    def apply(self, transformer: Any, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return ``(images, channels, height, width) float32``."""
        import numpy as np

        # Files to predict may have 8 bits where those to train on had 16.
        by_depth = self._are_files and self.max_value is None
        largest = _brightest(inputs) if by_depth else transformer.scale_[0]
        # The same as ``transformer.transform``, without its copies in double precision, which may take gigabytes.
        return np.asarray(inputs / np.float32(largest), dtype=np.float32)

    def numbers(self, transformer: Any, columns: Sequence[str]) -> list[str]:
        """Return the columns of pixels; a column of file names holds no numbers."""
        return [] if self._are_files else list(columns)

    def split_fold(self, samples: Samples, task: str, seed: int, fold: Fold) -> Split:
        """Divide into folds."""
        if self._in_folder and samples.parts is not None:
            problem = f"needs rows that may be divided anew, and {self.path} has folders for its parts"
            remedy: Text = [
                "Leave it out, or give a folder with one sub-folder for each class as ",
                Setting("data.path"),
                ".",
            ]
            raise RequestError(Setting("cv.folds", fold.folds), problem, remedy=remedy)
        return super().split_fold(samples, task, seed, fold)

    def feature_names(self, transformer: Any) -> tuple[str, ...]:
        """Return an empty tuple: pixels have no names."""
        return ()


def _brightest(pixels: np.ndarray[Any, Any]) -> float:
    """Return the largest value that a pixel of image files may have."""
    return BRIGHTEST[pixels.dtype.itemsize]
