"""What a data plugin may do beyond :class:`lifecycle.contract.DataPlugin`: a protocol for each ability.

A plugin has an ability when it has the methods of its protocol; nothing is registered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.contract import Samples


@runtime_checkable
class ChecksRows(Protocol):
    """Refuses rows that a caller holds, as its own ``read`` would."""

    def check(self, frame: pd.DataFrame) -> None:
        """Raise ``RequestError`` for rows that cannot be used."""
        ...


@runtime_checkable
class ReadsLargeFiles(Protocol):
    """Reads files that are too large for a frame."""

    def large(self) -> Any:
        """Return a :class:`lifecycle.data.large.table.LargeTable`; ``None``: ``read`` returns the rows."""
        ...

    def large_file(self) -> Path | None:
        """Return that file, whose digest is that of the rows; ``None``: ``read`` returns the rows."""
        ...


@runtime_checkable
class PredictsRowByRow(Protocol):
    """Has a sample in each row, so that files of any length are predicted block by block."""

    def numbers(self, transformer: Any, columns: Sequence[str]) -> list[str]:
        """Return those of the columns that are numbers; all others are texts."""
        ...


@runtime_checkable
class ReportsUnseenCategories(Protocol):
    """Counts the categories that no training row had."""

    def unseen(self, transformer: Any, inputs: Any) -> dict[str, Counter[str | None]]:
        """Return, by column, how often each occurs; ``None`` stands for a missing value."""
        ...


@runtime_checkable
class EncodesPlainCells(Protocol):
    """Makes inputs of plain cells with less work than through a frame."""

    def encoder(self, transformer: Any, columns: Sequence[str]) -> Any:
        """Return a :class:`lifecycle.data.encoder.RowEncoder`."""
        ...


@runtime_checkable
class ReadsImageFiles(Protocol):
    """Makes rows of image files."""

    def rows_of_files(self, files: Sequence[str], columns: Sequence[str], transformer: Any) -> pd.DataFrame:
        """Return raw rows, one for each file."""
        ...


@runtime_checkable
class HasOptionalColumns(Protocol):
    """Reads columns for a prediction where they are there, and does without them where they are not."""

    @property
    def optional_columns(self) -> list[str]:
        """Their names."""
        ...


@runtime_checkable
class HasTimes(Protocol):
    """Has rows in steps of time."""

    def time_step(self, frame: pd.DataFrame) -> dict[str, Any] | None:
        """Return how far the times of rows are apart, in plain values; ``None``: they have no times."""
        ...

    def check_step(self, frame: pd.DataFrame, trained: Any) -> None:
        """Refuse rows whose times are not as far apart as those of the training rows."""
        ...


@runtime_checkable
class Forecasts(Protocol):
    """Predicts steps after the last row."""

    def known(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the last values of rows, in order of time, as many as the next prediction takes."""
        ...

    def ahead(self, known: np.ndarray[Any, Any]) -> Samples:
        """Return the one sample whose target comes after values that :meth:`known` returned."""
        ...

    def times_after(self, frame: pd.DataFrame, number: int, trained: Any) -> pd.Series[Any]:
        """Return the times that follow those of rows."""
        ...


@runtime_checkable
class HasPath(Protocol):
    """Says where its rows are."""

    path: str


@runtime_checkable
class HasWeight(Protocol):
    """May have a column of how much each row counts."""

    weight: str | None


@runtime_checkable
class DropsColumns(Protocol):
    """Leaves columns out."""

    drop: list[str]


def path_of(plugin: Any, otherwise: str = "") -> str:
    """Return the path of a plugin's rows."""
    return str(plugin.path) if isinstance(plugin, HasPath) else otherwise


def weight_of(plugin: Any) -> str | None:
    """Return the column of weights of a plugin; ``None``: it has none."""
    return plugin.weight if isinstance(plugin, HasWeight) else None


def dropped_by(plugin: Any) -> list[str]:
    """Return the columns that a plugin leaves out."""
    return plugin.drop if isinstance(plugin, DropsColumns) else []


def optional_columns(plugin: Any) -> list[str]:
    """Return the columns that a prediction uses where they are there."""
    return plugin.optional_columns if isinstance(plugin, HasOptionalColumns) else []


def large_file_of(plugin: Any) -> Path | None:
    """Return the file of rows that are too many for a frame; ``None``: there is none."""
    return plugin.large_file() if isinstance(plugin, ReadsLargeFiles) else None
