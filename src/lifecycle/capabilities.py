"""Optional abilities of a data plugin beyond :class:`lifecycle.contract.DataPlugin`: a protocol for each.

A plugin has an ability if it has the methods of the protocol; nothing is registered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.contract import Fold, Samples, Split
    from lifecycle.errors import Text


@runtime_checkable
class ChecksRows(Protocol):
    """Checks rows in memory as its ``read`` checks those of a file."""

    def check(self, frame: pd.DataFrame) -> None:
        """Raise ``RequestError`` for rows that cannot be used."""
        ...


@runtime_checkable
class ResolvesFields(Protocol):
    """Infers some of its fields, such as the types of columns, from the training rows."""

    def resolved(self, frame: pd.DataFrame) -> Any:
        """Return a copy of the plugin in which all inferred fields are set; a function of frame and fields alone.

        Raises ``RequestError`` for rows that cannot be used.
        """
        ...


@runtime_checkable
class TakesInferredFields(Protocol):
    """Reads other rows as a trained model read its own."""

    def resolved_like(self, other: Any) -> Any:
        """Return a copy of the plugin with the inferred fields of ``other``, the plugin of a trained model."""
        ...


@runtime_checkable
class NotesReading(Protocol):
    """Reports how it reads rows."""

    def notes(self, frame: pd.DataFrame) -> list[Text]:
        """Return warnings about how a resolved plugin reads rows, a sentence each."""
        ...


@runtime_checkable
class SplitsIntoFolds(Protocol):
    """Divides samples for cross-validation, by its own rules: by class, in order of time, ..."""

    def split_fold(self, samples: Samples, task: str, seed: int, fold: Fold) -> Split:
        """Return the split whose test samples are those of a fold."""
        ...


@runtime_checkable
class ReadsLargeFiles(Protocol):
    """Reads files that are too large for a frame."""

    def large(self) -> Any:
        """Return a :class:`lifecycle.data.large.table.LargeTable`; ``None``: ``read`` returns the rows."""
        ...

    def large_file(self) -> Path | None:
        """Return the file, whose digest identifies the rows; ``None``: ``read`` returns the rows."""
        ...


@runtime_checkable
class PredictsRowByRow(Protocol):
    """Has one sample per row, so that files of any length can be predicted block by block."""

    def numbers(self, transformer: Any, columns: Sequence[str]) -> list[str]:
        """Return the numeric columns; all others are texts."""
        ...


@runtime_checkable
class FillsColumns(Protocol):
    """Fills missing values of more columns than those of numbers."""

    def filled(self, transformer: Any) -> list[str]:
        """Return the columns whose missing values are filled; in all others they are categories."""
        ...


@runtime_checkable
class ReportsUnseenCategories(Protocol):
    """Counts the categories that no training row had."""

    def unseen(self, transformer: Any, inputs: Any) -> dict[str, Counter[str | None]]:
        """Return the number of occurrences of each, by column; ``None`` stands for a missing value."""
        ...


@runtime_checkable
class EncodesPlainCells(Protocol):
    """Encodes plain cells faster than through a frame."""

    def encoder(self, transformer: Any, columns: Sequence[str]) -> Any:
        """Return a :class:`lifecycle.data.encoder.RowEncoder`; ``None``: it cannot encode all kinds of columns."""
        ...


@runtime_checkable
class ReadsImageFiles(Protocol):
    """Reads image files as rows."""

    def rows_of_files(self, files: Sequence[str], columns: Sequence[str], transformer: Any) -> pd.DataFrame:
        """Return one raw row for each file."""
        ...


@runtime_checkable
class HasOptionalColumns(Protocol):
    """Has columns that a prediction uses if they exist."""

    @property
    def optional_columns(self) -> list[str]:
        """Their names."""
        ...


@runtime_checkable
class HasTimes(Protocol):
    """Has rows with times."""

    def time_step(self, frame: pd.DataFrame) -> dict[str, Any] | None:
        """Return the interval between the times of rows, in plain values; ``None``: they have no times."""
        ...

    def check_step(self, frame: pd.DataFrame, trained: Any) -> None:
        """Raise ``RequestError`` for rows with another interval than the training rows."""
        ...


@runtime_checkable
class Forecasts(Protocol):
    """Predicts the steps after the last row."""

    def known(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the last values in order of time, as many as the next prediction needs."""
        ...

    def ahead(self, known: np.ndarray[Any, Any]) -> Samples:
        """Return the sample whose target follows the values that :meth:`known` returned."""
        ...

    def times_after(self, frame: pd.DataFrame, number: int, trained: Any) -> pd.Series[Any]:
        """Return the times that follow those of rows."""
        ...


@runtime_checkable
class HasPath(Protocol):
    """Has a path of its rows."""

    path: str


@runtime_checkable
class HasWeight(Protocol):
    """May have a column of row weights."""

    weight: str | None


@runtime_checkable
class DropsColumns(Protocol):
    """May drop columns."""

    drop: list[str]


@runtime_checkable
class RenamesColumns(Protocol):
    """May rename columns of its source."""

    rename: Any  # old name -> new name, as configured; None: none


@runtime_checkable
class HasTimeColumn(Protocol):
    """May have a column of times."""

    time: str | None


@runtime_checkable
class OrdersRows(Protocol):
    """Puts rows in order."""

    def in_order(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the positions of the rows in order."""
        ...


@runtime_checkable
class PredictsDifferences(Protocol):
    """Predicts the difference of a value to the one some rows earlier."""

    difference: int  # rows; 0: predicts the values


def resolved(plugin: Any, frame: pd.DataFrame) -> Any:
    """Return a plugin whose inferred fields are set as its training rows determine them."""
    return plugin.resolved(frame) if isinstance(plugin, ResolvesFields) else plugin


def notes_of(plugin: Any, frame: pd.DataFrame) -> list[Text]:
    """Return warnings about how a resolved plugin reads rows."""
    return plugin.notes(frame) if isinstance(plugin, NotesReading) else []


def resolved_like(plugin: Any, other: Any) -> Any:
    """Return a plugin that reads rows as ``other``, that of a trained model, read the training rows."""
    return plugin.resolved_like(other) if isinstance(plugin, TakesInferredFields) else plugin


def filled_by(plugin: Any, transformer: Any, columns: Sequence[str]) -> list[str]:
    """Return the columns whose missing values a plugin fills; of others they are categories."""
    if isinstance(plugin, FillsColumns):
        return plugin.filled(transformer)
    return plugin.numbers(transformer, columns) if isinstance(plugin, PredictsRowByRow) else []


def path_of(plugin: Any, otherwise: str = "") -> str:
    """Return the path of a plugin's rows; ``otherwise`` if it has none."""
    return str(plugin.path) if isinstance(plugin, HasPath) else otherwise


def weight_of(plugin: Any) -> str | None:
    """Return the column of weights of a plugin; ``None``: it has none."""
    return plugin.weight if isinstance(plugin, HasWeight) else None


def dropped_by(plugin: Any) -> list[str]:
    """Return the columns that a plugin drops."""
    return plugin.drop if isinstance(plugin, DropsColumns) else []


def optional_columns(plugin: Any) -> list[str]:
    """Return the columns that a prediction uses if they exist."""
    return plugin.optional_columns if isinstance(plugin, HasOptionalColumns) else []


def large_file_of(plugin: Any) -> Path | None:
    """Return the file of a plugin that is too large for a frame; ``None`` if it is not."""
    return plugin.large_file() if isinstance(plugin, ReadsLargeFiles) else None
