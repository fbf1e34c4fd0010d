"""Optional abilities of a plugin beyond those of :mod:`lifecycle.contract`: a protocol for each.

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
class TakesNetwork(Protocol):
    """A model plugin of a saved model that may need the caller's code to build its network."""

    def with_network(self, given: Any = None) -> Any:
        """Return the plugin with a network, or a class or function that builds it; raise ``RequestError`` without."""
        ...


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

        ``fold``, a :class:`lifecycle.contract.Fold`, is an optional parameter of a plugin whose training rows depend on
        the fold of a cross-validation. Raises ``RequestError`` for rows that cannot be used.
        """
        ...


@runtime_checkable
class SplitsItself(Protocol):
    """Divides samples into training, validation and test samples; :class:`SplitsSamples` comes first."""

    def split(self, samples: Samples, task: str, seed: int) -> Split:
        """Return the split; only ``seed`` makes it random."""
        ...


@runtime_checkable
class SplitsSamples(Protocol):
    """Divides samples as :class:`SplitsItself`, where ``split`` is a field that says how."""

    def split_samples(self, samples: Samples, task: str, seed: int) -> Split:
        """Return the split; only ``seed`` makes it random."""
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

    def large_file(self) -> Path | tuple[Path, ...] | None:
        """Return the file or files, whose digest identifies the rows; ``None``: ``read`` returns the rows."""
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
class AugmentsImages(Protocol):
    """Changes training images at random."""

    @property
    def augmentation(self) -> Any:
        """A :class:`lifecycle.data.augmentation.Augmentation`; ``None``: no changes."""
        ...


@runtime_checkable
class HasOptionalColumns(Protocol):
    """Has columns that a prediction uses if they exist."""

    @property
    def optional_columns(self) -> list[str]:
        """Their names."""
        ...


@runtime_checkable
class DescribesResolved(Protocol):
    """Says what it inferred."""

    def inferred(self, configured: Any, frame: pd.DataFrame) -> tuple[str, str] | None:
        """Return a title and a sentence for the report, such as ``("Series", "season 12")``; ``None``: nothing."""
        ...


@runtime_checkable
class TransformsTarget(Protocol):
    """May learn another scale of a regression's target."""

    @property
    def target_transform(self) -> str:
        """``"log"``: the logarithm of the target; ``""``: the target itself."""
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
class ForecastsBlocks(Protocol):
    """Predicts the steps after the last rows of one or several series, some at a time."""

    def ahead_of(self, frame: pd.DataFrame, number: int, trained: Any) -> Any:
        """Return a :class:`lifecycle.data.series.ahead.Ahead`; ``None``: :class:`Forecasts` does."""
        ...


@runtime_checkable
class PredictsSteps(Protocol):
    """Has samples of several steps ahead for the same row."""

    def one_a_row(self, samples: Samples) -> Samples:
        """Return those of one step ahead: one sample a row."""
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
class HasSplitColumns(Protocol):
    """May have columns that say how rows are divided."""

    @property
    def columns_of_split(self) -> dict[str, str]:
        """Field -> column."""
        ...


@runtime_checkable
class OrdersRows(Protocol):
    """Puts rows in order."""

    def in_order(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the positions of the rows in order."""
        ...


@runtime_checkable
class PredictsDifferences(Protocol):
    """May predict the difference of a value to its base: the value that follows if all differences are 0."""

    def differences(self) -> dict[str, Any]:
        """Return how values are learnt, in plain values.

        The keys are ``difference``, ``base`` (the factors of earlier values in a base, by the steps before it; of their
        logarithms with a transform; empty: the values are learnt), ``transform``, ``season``, ``window``, ``centre``
        and ``horizon``.
        """
        ...


def notes_of(plugin: Any, frame: pd.DataFrame) -> list[Text]:
    """Return warnings about how a resolved plugin reads rows."""
    return plugin.notes(frame) if isinstance(plugin, NotesReading) else []


def filled_by(plugin: Any, transformer: Any, columns: Sequence[str]) -> list[str]:
    """Return the columns whose missing values a plugin fills; of others they are categories."""
    if isinstance(plugin, FillsColumns):
        return plugin.filled(transformer)
    return plugin.numbers(transformer, columns) if isinstance(plugin, PredictsRowByRow) else []


def transform_of(plugin: Any) -> str:
    """Return the transform of the target that a plugin chooses; ``""``: none."""
    return plugin.target_transform if isinstance(plugin, TransformsTarget) else ""


def augmentation_of(plugin: Any) -> Any:
    """Return the random changes of training images; ``None``: there are none."""
    return plugin.augmentation if isinstance(plugin, AugmentsImages) else None


def time_step_of(plugin: Any, frame: pd.DataFrame) -> dict[str, Any] | None:
    """Return the step between the times of rows; ``None``: they have no times."""
    return plugin.time_step(frame) if isinstance(plugin, HasTimes) else None


def path_of(plugin: Any, otherwise: str = "") -> str:
    """Return the path of a plugin's rows; ``otherwise`` if it has none."""
    return str(plugin.path) if isinstance(plugin, HasPath) else otherwise


def weight_of(plugin: Any) -> str | None:
    """Return the column of weights of a plugin; ``None``: it has none."""
    return plugin.weight if isinstance(plugin, HasWeight) else None


def split_columns_of(plugin: Any) -> dict[str, str]:
    """Return field -> column, of the columns that say how the rows of a plugin are divided."""
    return plugin.columns_of_split if isinstance(plugin, HasSplitColumns) else {}


def dropped_by(plugin: Any) -> list[str]:
    """Return the columns that a plugin drops."""
    return plugin.drop if isinstance(plugin, DropsColumns) else []


def optional_columns(plugin: Any) -> list[str]:
    """Return the columns that a prediction uses if they exist."""
    return plugin.optional_columns if isinstance(plugin, HasOptionalColumns) else []


def large_file_of(plugin: Any) -> Path | tuple[Path, ...] | None:
    """Return the file or files of a plugin that are too large for a frame; ``None`` if they are not."""
    return plugin.large_file() if isinstance(plugin, ReadsLargeFiles) else None
