"""A table too large for a frame: its columns in single precision, their kinds, and its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from lifecycle.contract import DataPlugin, Samples
from lifecycle.data.columns import targets
from lifecycle.data.columns.kinds import CATEGORY, DROPPED, NUMBER, OF_SPLIT, TARGET, WEIGHT, of_meaning
from lifecycle.data.columns.meaning.infer import Found
from lifecycle.data.columns.meaning.meaning import Meaning
from lifecycle.data.formats.text.dialect import Dialect
from lifecycle.data.large.blocks import AnyArray, Blocks
from lifecycle.data.large.codes import MOST_TEXTS, Codes
from lifecycle.errors import RequestError, Setting, Text

ROWS_AT_ONCE = 2**20
"""Targets that are processed together: NumPy's temporary copies of all of them would exceed the memory limit."""


class TableFields(DataPlugin, Protocol):
    """The fields and methods of :class:`lifecycle.data.kinds.table.Table` that are used here."""

    path: str
    target: str
    task: str | None
    weight: str | None
    missing_target: str
    scale_target: bool
    missing_zeros: list[str]
    memory_gb: float | None
    scaling: str
    rare: float | None
    fold_case: bool
    keep_duplicates_together: bool

    @property
    def meanings(self) -> dict[str, Meaning]:
        """Column -> its meaning."""
        ...

    def with_meanings(self, found: dict[str, Found]) -> Any:
        """Return a copy with the types that were found."""
        ...

    def check_typed(self, columns: Sequence[str]) -> None:
        """Check that the columns that are typed exist."""
        ...

    @property
    def columns_of_split(self) -> dict[str, str]:
        """Field -> column, of the columns that say how rows are divided."""
        ...

    def with_split(self, samples: Samples, frame: pd.DataFrame) -> Samples:
        """Return samples with what is needed to divide them."""
        ...

    def feature_columns(self, columns: list[str]) -> list[str]:
        """Return the feature columns."""
        ...

    def check_numbers(self, columns: list[str], numbers: list[str]) -> None:
        """Check fields that list columns of numbers."""
        ...


@dataclass
class LargeTable:
    """The columns of a large table.

    Attributes:
        plugin: the data plugin that read it.
        most: bytes of rows that may be in memory.
        names: of all columns.
        features: the feature columns.
        blocks: the features, in that order; categories as codes, NaN where one is missing.
        codes: column of categories -> its texts.
        target: ``(rows,)`` values, or positions in ``classes``.
        classes: the different texts of the target; ``None``: it does not hold texts.
        missing: feature -> number of missing values.
        digest: SHA-256 of the file.
        weights: ``(rows,) float64`` sample weights; ``None``: all 1.
        notes: column -> warning about its rounded whole numbers.
        dialect: of a text file.
        readings: warnings about how columns are read.
        hashes: ``(rows,) uint64`` of the features, equal for equal rows; ``None``: they are not needed.
        of_split: the columns that say how rows are divided.
        labelled: ``(rows,) bool``, which rows have a target; ``None``: all. The others are left out.
    """

    plugin: TableFields
    most: int
    names: list[str]
    features: list[str]
    blocks: Blocks
    codes: dict[str, Codes]
    target: AnyArray
    classes: AnyArray | None
    missing: dict[str, int]
    digest: str
    weights: AnyArray | None = None
    notes: dict[str, Text] = field(default_factory=dict)
    dialect: Dialect | None = None
    readings: list[Text] = field(default_factory=list)
    hashes: AnyArray | None = None
    of_split: pd.DataFrame = field(default_factory=pd.DataFrame)
    labelled: AnyArray | None = None

    def rounded(self, task: str) -> list[Text]:
        """Return the warnings about rounded numbers; labels of a classification are texts, and not rounded."""
        return [note for name, note in self.notes.items() if name != self.plugin.target or task == "regression"]

    @property
    def numbers(self) -> list[str]:
        """The features of numbers."""
        return [name for name in self.features if name not in self.codes]

    def of_kind(self, kind: str) -> list[str]:
        """Return the features of a kind of :mod:`lifecycle.data.columns.meaning.meaning`."""
        meanings = self.plugin.meanings
        return [name for name in self.features if name in meanings and meanings[name].kind == kind]

    @property
    def gaps(self) -> frozenset[str]:
        """The features with missing values."""
        return frozenset(column for column, count in self.missing.items() if count)

    @property
    def column_kinds(self) -> dict[str, str]:
        """Column -> kind; see :func:`lifecycle.data.columns.kinds.column_kinds`."""
        kinds = dict.fromkeys(self.names, DROPPED) | dict.fromkeys(self.features, NUMBER)
        meanings = self.plugin.meanings
        kinds |= {name: of_meaning(meanings[name]) for name in self.numbers if name in meanings}
        for name, codes in self.codes.items():
            values = len(codes.texts)
            kinds[name] = f"{CATEGORY} ({values} value{'s' if values != 1 else ''})"
        kinds |= {name: OF_SPLIT[key] for key, name in self.plugin.columns_of_split.items()}
        return kinds | {self.plugin.target: TARGET, **({self.plugin.weight: WEIGHT} if self.plugin.weight else {})}

    @property
    def task(self) -> str:
        """The task of the target; see :func:`lifecycle.data.columns.targets.infer_task`."""
        if self.classes is not None or self.target.dtype.kind == "b":
            return "classification"
        whole = all(np.isfinite(some).all() and (some == np.round(some)).all() for some in self._target_in_parts())
        return "classification" if whole and self._distinct(targets.MOST_CLASSES) is not None else "regression"

    def _target_in_parts(self) -> list[AnyArray]:
        return [self.target[start : start + ROWS_AT_ONCE] for start in range(0, len(self.target), ROWS_AT_ONCE)]

    def _distinct(self, most: int) -> AnyArray | None:
        """Return the different values of the target, sorted; ``None``: they are more than ``most``."""
        found = self.target[:0]
        for some in self._target_in_parts():
            found = np.unique(np.concatenate([found, some]))
            if len(found) > most:
                return None
        return found

    def labels(self) -> tuple[AnyArray, AnyArray]:
        """Return the classes as sorted texts, and the position of each row's class among them, ``(rows,) int32``.

        Raises:
            RequestError: there are too many classes.
        """
        values = np.arange(len(self.classes)) if self.classes is not None else self._distinct(MOST_TEXTS)
        if values is None:
            raise too_many_classes(self.plugin.target)
        texts = np.array([str(value) for value in (values if self.classes is None else self.classes)], dtype=object)
        order = np.argsort(texts, kind="stable")  # "10" before "9"; learn_target orders the classes
        places = np.argsort(order).astype(np.int32)
        codes = np.empty(len(self.target), dtype=np.int32)  # half of int64; MOST_TEXTS fits
        for start, some in zip(range(0, len(codes), ROWS_AT_ONCE), self._target_in_parts(), strict=True):
            codes[start : start + len(some)] = places[np.searchsorted(values, some)]
        return texts[order], codes


def too_many_classes(name: str) -> RequestError:
    """Return the error of a target with too many classes."""
    return RequestError(
        Setting("data.target", name),
        f"has more than {MOST_TEXTS} different values, which are too many for classes",
        remedy=["Name another column, or add ", Setting("data.task", "regression"), " if these are numbers."],
    )
