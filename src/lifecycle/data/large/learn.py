"""What the training rows of a large table teach, a column at a time; and its rows as a network takes them."""

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
from lifecycle.data.large.blocks import Blocks, room
from lifecycle.data.large.disk_rows import DiskRows
from lifecycle.data.large.scratch import Scratch, check_room
from lifecycle.data.large.table import LargeTable
from lifecycle.data.rows import Rows
from lifecycle.errors import Setting

Array = np.ndarray[Any, Any]

BYTES_BESIDE = 32
"""What a row on disk takes of memory: its number, label, target and place in the order of an epoch."""

THREADS = 2
"""Columns that are looked at together, and blocks of rows that are."""


@dataclass(frozen=True)
class Learnt:
    """What a column of numbers teaches: of training rows alone, missing values being the median of the others."""

    median: float
    mean: float
    variance: float
    low: float
    high: float


def learn(table: LargeTable, train: Array, weights: Array | None = None) -> Any:
    """Return what ``table.plugin.learn`` would, fitted to the rows ``train`` (their numbers in rising order).

    Args:
        table: the rows.
        train: numbers of those that teach.
        weights: ``(train rows,)``: how much each counts; ``None``: all the same.
    """
    numbers = table.numbers
    places = [table.features.index(name) for name in numbers]
    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(lambda place: _learn_numbers(table.blocks, place, train, weights), places))
    categories = {name: _present(table, name, train) for name in table.codes}
    transformer = table.plugin.learn(_like(table, categories))
    if numbers:
        _teach(transformer.named_transformers_[NUMBERS], found, len(train) if weights is None else float(weights.sum()))
    return transformer


def held_out_gaps(table: LargeTable, train: Array) -> tuple[list[str], list[str]]:
    """Return the columns with gaps that miss no value in the rows ``train``, and those that have none there."""
    held_out, empty, rows = [], [], table.blocks.num_rows
    for place, name in enumerate(table.features):
        # Most columns have too many gaps for the held-out rows alone, or too few for all of the training rows.
        if not 0 < (count := table.missing[name]) <= rows - len(train) and count < len(train):
            continue
        gaps = int(np.isnan(table.blocks.column(place, train)).sum()) if count else 0
        if count and not gaps:
            held_out.append(name)
        elif count and gaps == len(train):
            empty.append(name)
    return held_out, empty


def _learn_numbers(blocks: Blocks, place: int, train: Array, weights: Array | None) -> Learnt:
    kept, offset = blocks.column(place, train), blocks.offset(place)
    if weights is not None:
        return _learn_by_weight(kept, offset, weights)
    present = kept[~np.isnan(kept)]
    gaps, count = len(kept) - len(present), len(kept)
    del kept
    if not len(present):
        return Learnt(0.0, 0.0, 0.0, 0.0, 0.0)  # as scikit-learn fills such a column
    median = _median(present)
    mean = (present.sum(dtype=np.float64) + gaps * median) / count
    squares = gaps * (median - mean) ** 2
    for start in range(0, len(present), 2**20):  # in double precision, without a copy of the column
        squares += float(np.square(present[start : start + 2**20] - mean, dtype=np.float64).sum())
    low, high = float(present.min()), float(present.max())
    return Learnt(median + offset, mean + offset, squares / count, low + offset, high + offset)


def _learn_by_weight(kept: Array, offset: float, weights: Array) -> Learnt:
    present = ~np.isnan(kept)
    if not present.any():
        return Learnt(0.0, 0.0, 0.0, 0.0, 0.0)  # as scikit-learn fills such a column
    whole = bool(present.all())
    # The weights count for what is filled in; where nothing is, scikit-learn's own median is kept.
    median = _median(kept.copy()) if whole else weighted_median(kept[present], weights[present])
    filled = np.where(present, kept, median).astype(np.float64)
    mean = float(np.average(filled, weights=weights))
    variance = float(np.average((filled - mean) ** 2, weights=weights))
    low, high = float(kept[present].min()), float(kept[present].max())
    return Learnt(median + offset, mean + offset, variance, low + offset, high + offset)


def _median(values: Array) -> float:
    """Return the median, and leave the values in another order."""
    half = len(values) // 2
    values.partition((half - 1, half) if half else half)
    return float(values[half]) if len(values) % 2 else (float(values[half - 1]) + float(values[half])) / 2


def _present(table: LargeTable, name: str, train: Array) -> list[str | None]:
    """Return the categories of a column that training rows have."""
    texts = [*table.codes[name].texts, None]
    place = table.features.index(name)
    codes = table.blocks.column(place, train) + np.float32(table.blocks.offset(place))
    return [texts[code] for code in np.unique(np.nan_to_num(codes, nan=len(texts) - 1).astype(np.int64))]


def _like(table: LargeTable, categories: dict[str, list[str | None]]) -> pd.DataFrame:
    """Return a few rows with the columns of a table and with all the categories of its training rows."""
    rows = max([2, *map(len, categories.values())])
    columns = {
        name: pd.Series(list(itertools.islice(itertools.cycle(categories[name]), rows)), dtype=object)
        if name in categories
        else pd.Series(np.zeros(rows))
        for name in table.features
    }
    return pd.DataFrame(columns)


def _teach(pipeline: Any, found: list[Learnt], rows: float) -> None:
    """Give scikit-learn's objects what they would have learnt from all the rows at once."""
    fill, scaler = pipeline[0], pipeline[1]
    fill.statistics_ = np.array([one.median for one in found])
    if hasattr(scaler, "data_min_"):
        scaler.fit(np.array([[one.low for one in found], [one.high for one in found]]))
    elif scaler.mean_ is not None:
        scaler.mean_ = np.array([one.mean for one in found])
        scaler.var_ = np.array([one.variance for one in found])
        # A deviation within the rounding of the mean is none, and nothing is divided by it: scikit-learn's bound.
        rounding = np.finfo(np.float64).eps * rows
        constant = scaler.var_ <= rounding * scaler.var_ + (rounding * scaler.mean_) ** 2
        scaler.scale_ = np.where(constant, 1.0, np.sqrt(scaler.var_))
    scaler.n_samples_seen_ = type(scaler.n_samples_seen_)(rows) if isinstance(rows, int) else np.float64(rows)


def transform(table: LargeTable, transformer: Any, parts: list[Array], name: str) -> list[Rows]:
    """Return the rows of each part as a network takes them, and forget the table's own.

    They are one array, or in a scratch file where they are more than ``table.most``.

    Args:
        table: the rows.
        transformer: what :func:`learn` returned.
        parts: the numbers of the rows of each, in rising order.
        name: of the data set, for messages.

    Raises:
        RequestError: a value is no finite number, or there is no room on the disk.
    """
    width = len(transformer.get_feature_names_out())
    ends = [int(end) for end in np.cumsum([0, *map(len, parts)])]
    in_memory = 4 * width * ends[-1] <= table.most
    store = _Memory(ends[-1], width) if in_memory else _Disk(ends[-1], width, table.most)
    prepare = _Prepare(table, transformer, width)

    def put(block: tuple[int, Array]) -> None:
        start, rows = block[0], prepare(block[1])
        check_finite(rows, range(start, start + len(rows)), Setting("data", name))
        for end, positions in zip(ends, parts, strict=False):
            first, last = np.searchsorted(positions, (start, start + len(rows)))
            store.put(rows[positions[first:last] - start], end + int(first))

    blocks = table.blocks.drain()
    with ThreadPoolExecutor(THREADS) as threads:
        while some := list(itertools.islice(blocks, 4 * THREADS)):
            list(threads.map(put, some))
    return [store.rows(start, stop) for start, stop in itertools.pairwise(ends)]


class _Prepare:
    """Turns raw columns into rows of inputs, with the transformer's own numbers but without frames and copies."""

    def __init__(self, table: LargeTable, transformer: Any, width: int) -> None:
        self.width, self.numbers = width, [table.features.index(name) for name in table.numbers]
        named = transformer.named_transformers_
        if self.numbers:
            self.fill, self.scaler = named[NUMBERS]
        self.categories: list[tuple[int, Array]] = []  # place of a column, and the output of each code, -1: none
        first = len(self.numbers)
        for name, known in zip(table.codes, named[CATEGORIES].categories_ if table.codes else [], strict=True):
            output = {text: first + number for number, text in enumerate(known)}
            texts = [*table.codes[name].texts, None]
            self.categories.append((table.features.index(name), np.array([output.get(text, -1) for text in texts])))
            first += len(known)

    def __call__(self, columns: Array) -> Array:
        """Return ``(rows, width) float32`` of ``(columns, rows) float64``."""
        out = np.zeros((columns.shape[1], self.width), dtype=np.float32)
        if self.numbers:
            numbers = np.ascontiguousarray(columns[self.numbers].T)
            gaps = np.isnan(numbers)
            if gaps.any():
                numbers = np.where(gaps, self.fill.statistics_, numbers)
            out[:, : len(self.numbers)] = self.scaler.transform(numbers)
        for place, outputs in self.categories:
            codes = np.nan_to_num(columns[place], nan=len(outputs) - 1).astype(np.int64)
            hot = outputs[codes]
            rows = np.flatnonzero(hot >= 0)
            out[rows, hot[rows]] = 1
        return out


class _Memory:
    """Rows in one array."""

    def __init__(self, rows: int, width: int) -> None:
        self._array = room(rows, width)

    def put(self, rows: Array, at: int) -> None:
        self._array[at : at + len(rows)] = rows

    def rows(self, start: int, stop: int) -> Rows:
        return torch.from_numpy(self._array[start:stop])


class _Disk:
    """Rows in a scratch file."""

    def __init__(self, rows: int, width: int, most: int) -> None:
        check_room(4 * width * rows)
        self._width, self._scratch = width, Scratch()
        # The limit is that of a run: what else it keeps of each row is in memory beside the window.
        self._window = max(most // 8, most // 2 - BYTES_BESIDE * rows)

    def put(self, rows: Array, at: int) -> None:
        self._scratch.write(rows, 4 * self._width * at)

    def rows(self, start: int, stop: int) -> Rows:
        return DiskRows(self._scratch, 4 * self._width * start, (stop - start, self._width), self._window)
