"""The data plugin ``images``: a row holds the pixels of one image, or the name of its file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import in_range, one_of
from lifecycle.contract import MULTILABEL, Fold, Samples, Split, Target
from lifecycle.data import augmentation
from lifecycle.data.columns import features, label_sets, targets
from lifecycle.data.columns.label_sets import SeveralLabels
from lifecycle.data.columns.names import Renamed
from lifecycle.data.formats.names import is_elsewhere
from lifecycle.data.kinds.card import Card
from lifecycle.data.kinds.table import TASKS
from lifecycle.data.sources import image_folders
from lifecycle.data.sources.files import is_table, read
from lifecycle.data.sources.source_fields import SourceFields
from lifecycle.data.splits import ByColumns
from lifecycle.errors import RequestError, Setting, Text

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    import pandas as pd

LABEL = "label"
"""Default name of the target of images in a folder, which is the sub-folder of an image."""

BRIGHTEST = {1: 255.0, 2: 65_535.0}
"""Bytes of a pixel -> the largest value in an image file."""

MOST_NUMBERS = 1 << 28
"""Numbers of one image, that is a gigabyte of float32: the images to predict are converted to the shape."""


@dataclass
class Images(Card, Renamed, ByColumns, SourceFields, SeveralLabels):
    """Images: a folder of one sub-folder a class, a table of files or of pixels; scaled to 0-1.  CLI: data.path=a."""

    sample_dim: ClassVar[int] = 3

    path: str = ""  # a folder; or a table, as of data=table
    file: str | None = (
        None  # of a table: column of the files, relative to the folder of the table; null: a column a pixel
    )
    target: Any = ""  # column to predict, or a list of columns of 0 and 1, a label each; of a folder: what to call it
    task: str | None = None  # classification, multilabel or regression; null: from the target's values
    shape: list[int] = field(
        default_factory=list
    )  # channels, height, width; files are converted to it; []: as they are
    max_value: float | None = None  # pixel value that becomes 1.0; null: 255 of files, else the largest while training
    scale_target: bool = True  # regression: train on the standardised target; scores are in its own units
    augment: Any = None  # changes of training images: light, or a list of flip, shift, rotate and colour; null: none

    def __post_init__(self) -> None:
        self.check_labels()
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
        elif self.has_label_columns or self.task == MULTILABEL or self.label_separator or self.sheet or self.query:
            raise ValueError(
                "path must be a table of files for several labels, data.sheet and data.query, got the folder "
                f"{self.path}. Use for instance data.path=labels.csv data.file=image."
            )
        if self._are_files and self.shape and self.shape[0] not in image_folders.MODES:
            raise ValueError(
                f"shape must begin with 1 (grey) or 3 (red, green, blue) for image files, got {self.shape}. "
                f"Use for instance {self._channels_first()}."
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

    def _channels_first(self) -> str:
        """Return a shape of image files that is near to the one given, which may have its channels last."""
        if self.shape[2] in image_folders.MODES:
            return f"[{self.shape[2]},{self.shape[0]},{self.shape[1]}]: channels come first"
        return f"[1,{self.shape[1]},{self.shape[2]}]"

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
        return self.path if self._in_folder else folder_of(self.path)

    @property
    def augmentation(self) -> augmentation.Augmentation | None:
        """Random changes of training images."""
        return augmentation.of_field(self.augment)

    def read(self) -> pd.DataFrame:
        """Return the raw rows: one column for each pixel; of files their name, the target and their ``sha256``."""
        if self._in_folder:
            return image_folders.read(self.path, self.target or LABEL)
        frame = self.renamed(read(self.path, self), self.path)
        targets.check_columns(frame, self.path, {**({"file": self.file} if self.file else {}), **self.columns_of_split})
        self.check_label_columns(frame, self.path, self._has_sets(frame))
        if self.file is not None:
            frame = self._one_row_a_file(frame) if self._has_sets(frame) else frame
            return image_folders.read_listed(frame, self.path, self._folder, self.file)
        wanted, found = math.prod(self.shape), len(self.columns(frame))
        if found != wanted:
            raise RequestError(
                Setting("data.shape", self.shape),
                f"needs {wanted} pixel columns in addition to {', '.join(self.target_columns)}",
                f"{found} in {self.path}",
                "Give the shape of these images.",
            )
        return frame

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target's name and task."""
        name = self.target_name or LABEL
        if not self._has_sets(frame):
            return Target(name, self.task or targets.infer_task(frame[name]), self.scale_target)
        return Target(name, MULTILABEL, columns=tuple(self.target_columns) if self.has_label_columns else ())

    def _has_sets(self, frame: pd.DataFrame) -> bool:
        """Return whether rows may have several labels, as the fields or the values say."""
        if self.has_label_columns or self.task == MULTILABEL or self.label_separator:
            return True
        name = self.target
        if self.task is not None or self.file is None or name not in frame.columns:
            return False
        if targets.infer_task(frame[name]) == "regression":
            return False
        pairs = frame[[self.file, name]].drop_duplicates()
        return bool(label_sets.looks_like_sets(label_sets.texts(frame[name])) or pairs[self.file].duplicated().any())

    def _one_row_a_file(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return one row for each file, with the labels of all its rows.

        Raises:
            RequestError: the rows of a file differ in another column that is read.
        """
        name, first = self.file, ~frame[self.file].duplicated()
        if first.all():
            return frame
        of_split = list(self.columns_of_split.values())
        differing = frame[[name, *of_split]].drop_duplicates()[name].duplicated(keep=False)
        if differing.any():
            file = frame.loc[differing[differing].index[0], name]
            problem = f"has rows of {file} with different values of {', '.join(of_split)}"
            raise RequestError(Setting("data.path", self.path), problem, remedy="Give a file one value.")
        found = label_sets.of_files(frame[name].to_list(), self.label_sets(frame))
        kept = frame[first].reset_index(drop=True)
        if not self.has_label_columns:
            separator = self.separator_in(label_sets.texts(frame[self.target])) or label_sets.JOIN
            return kept.assign(**{self.target: [one.replace(label_sets.JOIN, separator) for one in found]})
        held = [label_sets.split(one) for one in found]
        return kept.assign(**{column: [int(column in one) for one in held] for column in self.target_columns})

    def resolved(self, frame: pd.DataFrame) -> Self:
        """Return a copy with the task and the separator of labels that the rows show."""
        return self.with_separator(frame) if not self._in_folder and self._has_sets(frame) else self

    def resolved_like(self, other: Any) -> Self:
        """Return a copy that reads labels as the plugin of a trained model."""
        return self if self._in_folder else self.separator_like(other)

    def inferred(self, configured: Any, frame: pd.DataFrame) -> tuple[str, str] | None:
        """Return how several labels are read; ``None``: a row has one."""
        return label_sets.described(self, configured, frame) if self._has_sets(frame) else None

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the columns of pixels, or the column of file names."""
        if self._are_files:
            return [self._column]
        return [name for name in frame.columns if name not in (*self.target_columns, *self.columns_of_split.values())]

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return one unscaled image for each row: ``(rows, channels, height, width)``, integers or ``float32``."""
        import numpy as np

        name = self.target_name or LABEL
        if self._has_sets(frame):
            labels = self.label_sets(frame)
        else:
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
        """Return ``(rows, pixels)``, ``uint8`` or ``float32``, checked to be finite."""
        import numpy as np

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


def folder_of(path: str) -> str:
    """Return the folder to which the file names of a table are relative: that of the table, else the working one."""
    _, sqlite, file = path.partition("sqlite:///")
    if not sqlite and is_elsewhere(path):
        return "."
    return str(Path(file.partition("?")[0] if sqlite else path).expanduser().parent)


def _brightest(pixels: np.ndarray[Any, Any]) -> float:
    """Return the largest value that a pixel of image files may have."""
    return BRIGHTEST[pixels.dtype.itemsize]
