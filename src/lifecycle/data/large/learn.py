"""Fit the preprocessing to the training rows of a large table, column by column, and apply it to all rows."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from lifecycle.data.assembly import check_finite
from lifecycle.data.columns.features import CATEGORIES, NUMBERS
from lifecycle.data.columns.weights import median as weighted_median
from lifecycle.data.large.blocks import AnyArray, Blocks, room
from lifecycle.data.large.disk_rows import DiskRows
from lifecycle.data.large.scratch import Scratch, check_room
from lifecycle.data.large.table import LargeTable
from lifecycle.data.rows import Rows
from lifecycle.errors import Setting

BYTES_A_ROW = 32
"""Memory for a row on disk: its number, label, target and position in the order of an epoch."""

THREADS = 2
"""Columns, and blocks of rows, that are processed at the same time."""


@dataclass(frozen=True)
class Statistics:
    """Statistics of a column of numbers in the training rows, with missing values replaced by the median."""

    median: float
    mean: float
    variance: float
    low: float
    high: float


def learn(table: LargeTable, train: AnyArray, weights: AnyArray | None = None) -> Any:
    """Return the transformer that ``table.plugin.learn`` would return for the training rows.

    Args:
        table: the rows.
        train: numbers of the training rows, in increasing order.
        weights: ``(train rows,)`` sample weights; ``None``: all 1.
    """
    numbers = table.numbers
    places = [table.features.index(name) for name in numbers]
    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(lambda place: _statistics(table.blocks, place, train, weights), places))
    categories = {name: _present(table, name, train) for name in table.codes}
    # The plugin fits a few rows with the same columns and categories; then the statistics are replaced by those of all
    # training rows. So the transformer is that of a small table, and the encoding is implemented once.
    transformer = table.plugin.learn(_few_rows(table, categories))
    if numbers:
        count = len(train) if weights is None else float(weights.sum())
        _set_statistics(transformer.named_transformers_[NUMBERS], found, count)
    return transformer


def held_out_gaps(table: LargeTable, train: AnyArray) -> tuple[list[str], list[str]]:
    """Return the columns with missing values in held-out rows only, and those without a value in training rows."""
    held_out, empty, rows = [], [], table.blocks.num_rows
    for place, name in enumerate(table.features):
        # Read only columns whose number of missing values allows one of the two.
        if not 0 < (count := table.missing[name]) <= rows - len(train) and count < len(train):
            continue
        gaps = int(np.isnan(table.blocks.column(place, train)).sum()) if count else 0
        if count and not gaps:
            held_out.append(name)
        elif count and gaps == len(train):
            empty.append(name)
    return held_out, empty


def _statistics(blocks: Blocks, place: int, train: AnyArray, weights: AnyArray | None) -> Statistics:
    values, offset = blocks.column(place, train), blocks.offset(place)
    if weights is not None:
        return _weighted_statistics(values, offset, weights)
    present = values[~np.isnan(values)]
    gaps, count = len(values) - len(present), len(values)
    del values  # before the next copies: a column may take gigabytes
    if not len(present):
        return Statistics(0.0, 0.0, 0.0, 0.0, 0.0)  # as scikit-learn fills a column without values
    median = _median(present)
    mean = (present.sum(dtype=np.float64) + gaps * median) / count
    squares = gaps * (median - mean) ** 2
    for start in range(0, len(present), 2**20):  # in double precision, without a float64 copy of the column
        squares += float(np.square(present[start : start + 2**20] - mean, dtype=np.float64).sum())
    low, high = float(present.min()), float(present.max())
    return Statistics(median + offset, mean + offset, squares / count, low + offset, high + offset)


def _weighted_statistics(values: AnyArray, offset: float, weights: AnyArray) -> Statistics:
    present = ~np.isnan(values)
    if not present.any():
        return Statistics(0.0, 0.0, 0.0, 0.0, 0.0)  # as scikit-learn fills a column without values
    # As for a table in memory: the weighted median only where something is filled, else scikit-learn's median.
    median = _median(values.copy()) if present.all() else weighted_median(values[present], weights[present])
    filled = np.where(present, values, median).astype(np.float64)
    mean = float(np.average(filled, weights=weights))
    variance = float(np.average((filled - mean) ** 2, weights=weights))
    low, high = float(values[present].min()), float(values[present].max())
    return Statistics(median + offset, mean + offset, variance, low + offset, high + offset)


def _median(values: AnyArray) -> float:
    """Return the median; reorders the values in place."""
    half = len(values) // 2
    values.partition((half - 1, half) if half else half)
    return float(values[half]) if len(values) % 2 else (float(values[half - 1]) + float(values[half])) / 2


def _present(table: LargeTable, name: str, train: AnyArray) -> list[str | None]:
    """Return the categories of a column in the training rows, with ``None`` where one is missing."""
    texts = [*table.codes[name].texts, None]
    place = table.features.index(name)
    codes = table.blocks.column(place, train) + np.float32(table.blocks.offset(place))
    return [texts[code] for code in np.unique(np.nan_to_num(codes, nan=len(texts) - 1).astype(np.int64))]


def _few_rows(table: LargeTable, categories: dict[str, list[str | None]]) -> pd.DataFrame:
    """Return a few rows with the columns of a table and all categories of its training rows."""
    rows = max([2, *map(len, categories.values())])
    columns = {
        name: pd.Series(list(itertools.islice(itertools.cycle(categories[name]), rows)), dtype=object)
        if name in categories
        else pd.Series(np.zeros(rows))
        for name in table.features
    }
    return pd.DataFrame(columns)


def _set_statistics(pipeline: Any, found: list[Statistics], rows: float) -> None:
    """Set the fitted attributes of scikit-learn's imputer and scaler to those of all training rows."""
    fill, scaler = pipeline[0], pipeline[1]
    fill.statistics_ = np.array([one.median for one in found])
    if hasattr(scaler, "data_min_"):
        # A MinMaxScaler depends only on the least and the greatest value.
        scaler.fit(np.array([[one.low for one in found], [one.high for one in found]]))
    elif scaler.mean_ is not None:
        scaler.mean_ = np.array([one.mean for one in found])
        scaler.var_ = np.array([one.variance for one in found])
        # scikit-learn's bound: a deviation within the rounding error of the mean counts as 0, and the scale is 1.
        rounding = np.finfo(np.float64).eps * rows
        constant = scaler.var_ <= rounding * scaler.var_ + (rounding * scaler.mean_) ** 2
        scaler.scale_ = np.where(constant, 1.0, np.sqrt(scaler.var_))
    scaler.n_samples_seen_ = type(scaler.n_samples_seen_)(rows) if isinstance(rows, int) else np.float64(rows)


def transform(table: LargeTable, transformer: Any, parts: list[AnyArray], name: str) -> list[Rows]:
    """Return the preprocessed rows of each part, and free the table's blocks.

    They are in one array, or in a scratch file if they need more memory than ``table.most``.

    Args:
        table: the rows.
        transformer: the result of :func:`learn`.
        parts: the numbers of the rows of each part, in increasing order.
        name: of the data set, for messages.

    Raises:
        RequestError: a value is not finite, or the disk is too small.
    """
    width = len(transformer.get_feature_names_out())
    ends = [int(end) for end in np.cumsum([0, *map(len, parts)])]
    # 4 bytes a float32.
    in_memory = 4 * width * ends[-1] <= table.most
    store = _Memory(ends[-1], width) if in_memory else _Disk(ends[-1], width, table.most)
    prepare = _Prepare(table, transformer, width)

    def put(block: tuple[int, AnyArray]) -> None:
        start, rows = block[0], prepare(block[1])
        check_finite(rows, range(start, start + len(rows)), Setting("data", name))
        # Not strict: the last of the ends is the number of all rows, where no part begins.
        for end, positions in zip(ends, parts, strict=False):
            first, last = np.searchsorted(positions, (start, start + len(rows)))
            store.put(rows[positions[first:last] - start], end + int(first))

    blocks = table.blocks.drain()
    # A few blocks at a time: map() would read all of them ahead.
    with ThreadPoolExecutor(THREADS) as threads:
        while some := list(itertools.islice(blocks, 4 * THREADS)):
            list(threads.map(put, some))
    return [store.rows(start, stop) for start, stop in itertools.pairwise(ends)]


class _Prepare:
    """Encodes blocks of columns with the parameters of the transformer, but without frames and copies."""

    def __init__(self, table: LargeTable, transformer: Any, width: int) -> None:
        self.width, self.numbers = width, [table.features.index(name) for name in table.numbers]
        named = transformer.named_transformers_
        if self.numbers:
            self.fill, self.scaler = named[NUMBERS]
        self.categories: list[tuple[int, AnyArray]] = []  # position of a column; code -> input that is 1, -1: none
        first = len(self.numbers)
        for name, known in zip(table.codes, named[CATEGORIES].categories_ if table.codes else [], strict=True):
            output = {text: first + number for number, text in enumerate(known)}
            texts = [*table.codes[name].texts, None]
            self.categories.append((table.features.index(name), np.array([output.get(text, -1) for text in texts])))
            first += len(known)

    def __call__(self, columns: AnyArray) -> AnyArray:
        """Return ``(rows, width) float32`` of ``(columns, rows) float64``."""
        out = np.zeros((columns.shape[1], self.width), dtype=np.float32)
        for output, place in enumerate(self.numbers):
            values = columns[place]
            if (gaps := np.isnan(values)).any():
                values[gaps] = self.fill.statistics_[output]
            out[:, output] = self._scaled(values, output)
        for place, outputs in self.categories:
            codes = np.nan_to_num(columns[place], nan=len(outputs) - 1).astype(np.int64)
            hot = outputs[codes]
            rows = np.flatnonzero(hot >= 0)
            out[rows, hot[rows]] = 1
        return out

    def _scaled(self, values: AnyArray, column: int) -> AnyArray:
        """Return values as scikit-learn's scaler would, with the same operations in the same order."""
        scaler = self.scaler
        if hasattr(scaler, "data_min_"):  # a MinMaxScaler
            values *= scaler.scale_[column]
            values += scaler.min_[column]
        elif scaler.mean_ is not None:  # else not scaled
            values -= scaler.mean_[column]
            values /= scaler.scale_[column]
        return values


class _Memory:
    """Rows in one array."""

    def __init__(self, rows: int, width: int) -> None:
        self._array = room(rows, width)

    def put(self, rows: AnyArray, at: int) -> None:
        self._array[at : at + len(rows)] = rows

    def rows(self, start: int, stop: int) -> Rows:
        return torch.from_numpy(self._array[start:stop])


class _Disk:
    """Rows in a scratch file."""

    def __init__(self, rows: int, width: int, most: int) -> None:
        check_room(4 * width * rows)
        self._width, self._scratch = width, Scratch()
        # The limit is that of the run, which also needs memory for each row outside the window.
        self._window = max(most // 8, most // 2 - BYTES_A_ROW * rows)

    def put(self, rows: AnyArray, at: int) -> None:
        self._scratch.write(rows, 4 * self._width * at)

    def rows(self, start: int, stop: int) -> Rows:
        return DiskRows(self._scratch, 4 * self._width * start, (stop - start, self._width), self._window)
