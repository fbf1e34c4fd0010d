"""Rows in memory, for tests: real kinds of data whose rows need no file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.contract import DataPlugin
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.images import Images
from lifecycle.data.kinds.series import Series
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load


@dataclass
class TableRows(Table):
    """A table whose rows are given."""

    path: str = "memory"
    target: str = "y"
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)

    def read(self) -> pd.DataFrame:
        """Return the given rows."""
        return self.frame


@dataclass
class ImageRows(Images):
    """Images whose rows are given."""

    path: str = "memory.csv"
    target: str = "y"
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)

    def read(self) -> pd.DataFrame:
        """Return the given rows."""
        return self.frame


@dataclass
class SeriesRows(Series):
    """A series whose rows are given."""

    path: str = "memory"
    target: str = "y"
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)

    def read(self) -> pd.DataFrame:
        """Return the given rows."""
        return self.frame


def load_rows(plugin: DataPlugin, seed: int = 0) -> Dataset:
    """Load a kind of data as a run does."""
    return load(plugin, "mine", "table", seed)


def held_out(data: Dataset) -> np.ndarray[Any, Any]:
    """Return the rows of the source that no statistic may come from."""
    assert data.val is not None
    return np.sort(np.concatenate([data.val.rows, data.test.rows]))


def labels(rows: int, classes: int = 2) -> list[str]:
    """Return class labels, in turn."""
    return ["abcdefghij"[row % classes] for row in range(rows)]
