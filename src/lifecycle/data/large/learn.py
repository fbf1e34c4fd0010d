"""Fit the preprocessing to the training rows of a large table, column by column, and apply it to all rows."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lifecycle.data import steps
from lifecycle.data.assembly import check_finite
from lifecycle.data.columns.features import CATEGORIES, TEXTS, TIMES
from lifecycle.data.columns.meaning import categories as categories_module
from lifecycle.data.columns.meaning import dates
from lifecycle.data.columns.meaning.meaning import BOOLEAN, ORDERED, TIME
from lifecycle.data.columns.step_inputs import PART, Columns
from lifecycle.data.columns.weights import median as weighted_median
from lifecycle.data.large.blocks import AnyArray, room
from lifecycle.data.large.disk_rows import DiskRows
from lifecycle.data.large.meanings import moments
from lifecycle.data.large.scratch import Scratch, check_room
from lifecycle.data.large.statistics import Statistics, set_scaler
from lifecycle.data.large.table import LargeTable
from lifecycle.data.large.texts import TextColumn
from lifecycle.data.rows import Rows
from lifecycle.errors import Setting

BYTES_A_ROW = 32
"""Memory for a row on disk: its number, label, target and position in the order of an epoch."""

THREADS = 2
"""Columns, and blocks of rows, that are processed at the same time."""


def learn(table: LargeTable, train: AnyArray, weights: AnyArray | None = None) -> tuple[Any, list[TextColumn]]:
    """Return the transformer that ``table.plugin.learn`` would return for the training rows, and its columns of text.

    Args:
        table: the rows, whose texts are replaced by their words.
        train: numbers of the training rows, in increasing order.
        weights: ``(train rows,)`` sample weights; ``None``: all 1.

    Raises:
        RequestError: a column of texts has no word.
    """
    times = table.of_kind(TIME)
    columns = _columns(table)
    scaled = [*columns.numbers, *columns.booleans, *columns.ordered]
    column = _TrainingRows(table, train)
    of_column = _divided(table, "numbers", scaled, lambda name: _of_values(*column(name), weights))
    of_times = _divided(table, "times", times, lambda name: _of_times(name, *column(name), weights))
    of_part = {part: Statistics(*one) for of_parts in of_times.values() for part, one in of_parts.items()}
    categories = _divided(table, "categories", list(table.codes), lambda name: _present(table, name, *column(name)))
    # A few rows with the same columns and categories are fitted; then the statistics are replaced by those of all
    # training rows. So the transformer is that of a small table, and the encoding is implemented once.
    texts = [TextColumn(table, name, train) for name in columns.texts]
    few = _few_rows(table, categories, texts, len(train))
    transformer = steps.learn(few, columns, table.plugin.scaling, parts=list(of_part))
    count = len(train) if weights is None else float(weights.sum())
    for step, names in steps.scaled_in(transformer).items():
        pipeline = transformer.named_transformers_[step]
        found = [of_part[name] if step == TIMES else Statistics(*of_column[name]) for name in names]
        if step == TIMES:
            steps.set_origin(pipeline, names, np.array([one.low for one in found]))
        _set_statistics(pipeline, found, count)
    for place, text in enumerate(texts):
        text.learn(transformer.named_transformers_[f"{TEXTS}{place}"])
    return transformer, texts


class _TrainingRows:
    """The training rows of columns, one after the other in the same memory of each thread.

    A new array for each would be in the heap of the thread, which keeps its memory when the thread has ended.
    """

    def __init__(self, table: LargeTable, train: AnyArray) -> None:
        self._table, self._train, self._memory = table, train, threading.local()

    def __call__(self, name: str) -> tuple[AnyArray, float]:
        """Return ``(train rows,) float32`` differences to an offset, until the next call in this thread; the offset."""
        if not hasattr(self._memory, "values"):
            self._memory.values = room(len(self._train), 1)[:, 0]
        place = self._table.features.index(name)
        return self._table.blocks.column(place, self._train, self._memory.values), self._table.blocks.offset(place)


def _divided(table: LargeTable, step: str, names: list[str], function: Callable[[str], Any]) -> dict[str, Any]:
    """Return a value for each column, of which each of several processes computes some."""

    def compute(some: list[str]) -> dict[str, Any]:
        with ThreadPoolExecutor(THREADS) as threads:
            return dict(zip(some, threads.map(function, some), strict=True))

    return compute(names) if table.team is None else table.team.divided(step, names, compute)


def _columns(table: LargeTable) -> Columns:
    """Return which step each feature belongs to."""
    booleans, ordered, times = (table.of_kind(kind) for kind in (BOOLEAN, ORDERED, TIME))
    others = {*booleans, *ordered, *times, *table.texts}
    return Columns(
        numbers=[name for name in table.numbers if name not in others],
        booleans=booleans,
        ordered={name: table.plugin.meanings[name].order for name in ordered},
        times=times,
        texts=list(table.texts),
        categories=list(table.codes),
    )


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


def _of_times(name: str, stored: AnyArray, offset: float, weights: AnyArray | None) -> dict[str, Statistics]:
    """Return the statistics of the parts of a column of times, by the names of the parts that vary."""
    first = float(np.nanmin(stored)) + offset if not np.isnan(stored).all() else 0.0
    since = float(dates.expand(moments(np.array([first])), [dates.ELAPSED])[dates.ELAPSED][0])
    found, varies = {}, {}
    for part in dates.PARTS:
        values = np.empty(len(stored), dtype=np.float32)
        shift = since if part == dates.ELAPSED else 0.0
        for start in range(0, len(stored), 2**20):
            some = moments(stored[start : start + 2**20].astype(np.float64) + offset)
            values[start : start + 2**20] = dates.expand(some, [part])[part] - shift
        present = values[~np.isnan(values)]
        varies[part] = bool(len(present) and (present != present[0]).any())
        found[part] = _of_values(values, shift, weights)
    return {f"{name}{PART}{part}": found[part] for part in dates.kept(varies)}


def _of_values(values: AnyArray, offset: float, weights: AnyArray | None) -> Statistics:
    """Return the statistics of ``(rows,) float32`` differences to an offset."""
    if weights is not None:
        return _weighted_statistics(values, offset, weights)
    missing = np.isnan(values)
    present = values[~missing] if missing.any() else values  # whose order may change
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
    values.partition(half)  # at one position: for two, NumPy needs ten times as long
    return float(values[half]) if len(values) % 2 else (float(values[:half].max()) + float(values[half])) / 2


def _present(table: LargeTable, name: str, stored: AnyArray, offset: float) -> list[str | None]:
    """Return the categories of a column in the training rows, with ``None`` where one is missing."""
    texts = [*table.codes[name].texts, None]
    codes = stored + np.float32(offset)
    found, counts = np.unique(np.nan_to_num(codes, nan=len(texts) - 1).astype(np.int64), return_counts=True)
    counted: Counter[str | None] = Counter()
    for code, count in zip(found, counts.tolist(), strict=True):
        counted[_cleaned(table, texts[code])] += count
    if table.plugin.rare is None:
        return list(counted)
    rare = categories_module.rare(counted.items(), table.plugin.rare)
    return [text for text in counted if text not in rare] + [categories_module.RARE] * bool(rare)


def _cleaned(table: LargeTable, text: str | None) -> str | None:
    return None if text is None else categories_module.cleaned(text, table.plugin.fold_case)


def _few_rows(
    table: LargeTable, categories: dict[str, list[str | None]], texts: list[TextColumn], train_rows: int
) -> pd.DataFrame:
    """Return a few rows with the columns of a table and all categories and words of its training rows."""
    # A text has no more inputs than rows.
    rows = max([2, *map(len, categories.values()), min(steps.TEXT_FEATURES, train_rows) if texts else 0])
    columns: dict[str, Any] = {name: pd.Series(np.zeros(rows)) for name in table.features}
    columns |= dict.fromkeys(table.of_kind(TIME), pd.Series(np.full(rows, np.datetime64("2000-01-01", "us"))))
    columns |= {name: pd.Series(table.plugin.meanings[name].order[:1] * rows) for name in table.of_kind(ORDERED)}
    columns |= {
        name: pd.Series(list(itertools.islice(itertools.cycle(known), rows)), dtype=object)
        for name, known in categories.items()
    }
    columns |= {text.name: pd.Series(text.few_texts(rows), dtype=object) for text in texts}
    return pd.DataFrame({name: columns[name] for name in table.features})


def _set_statistics(pipeline: Any, found: list[Statistics], rows: float) -> None:
    """Set the fitted attributes of scikit-learn's imputer and scaler to those of all training rows."""
    fill, scaler = pipeline[0], pipeline[-1]
    fill.statistics_ = np.array([one.median for one in found])
    if len(pipeline) > 2:  # of times, whose days are counted from the first row
        found = [one.less(by) for one, by in zip(found, pipeline[1].mean_.tolist(), strict=True)]
    set_scaler(scaler, found, rows)


def transform(
    table: LargeTable, transformer: Any, texts: list[TextColumn], parts: list[AnyArray], name: str
) -> list[Rows]:
    """Return the preprocessed rows of each part, and free the table's blocks.

    They are in one array, or in a scratch file if they need more memory than ``table.most``.

    Args:
        table: the rows.
        transformer: the result of :func:`learn`.
        texts: its columns of text.
        parts: the numbers of the rows of each part, in increasing order.
        name: of the data set, for messages.

    Raises:
        RequestError: a value is not finite, or the disk is too small.
    """
    width = len(transformer.get_feature_names_out())
    ends = [int(end) for end in np.cumsum([0, *map(len, parts)])]
    # 4 bytes a float32.
    in_memory = 4 * width * ends[-1] <= table.most
    store = _store(table, ends[-1], width, in_memory)
    prepare = _Prepare(table, transformer, texts, width)

    def put(block: tuple[int, AnyArray]) -> None:
        start, rows = block[0], prepare(*block)
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
    if table.team is not None:
        table.team.gathered("written")
    found = [store.rows(start, stop) for start, stop in itertools.pairwise(ends)]
    if table.team is not None:
        table.team.arrived("opened")  # the main process then removes the file
    return found


def _store(table: LargeTable, rows: int, width: int, in_memory: bool) -> _Memory | _Shared | _Disk:
    """Return the empty place of preprocessed rows."""
    if table.team is None:
        return _Memory(rows, width) if in_memory else _Disk(rows, width, table.most)
    file = table.team.folder / "rows"
    return _Shared(rows, width, file) if in_memory else _Disk(rows, width, table.most, file)


class _Prepare:
    """Encodes blocks of columns with the parameters of the transformer, but without frames and copies."""

    def __init__(self, table: LargeTable, transformer: Any, texts: list[TextColumn], width: int) -> None:
        self.width = width
        named, starts = transformer.named_transformers_, transformer.output_indices_
        of_texts = [f"{TEXTS}{place}" for place in range(len(texts))]
        self.texts = [(starts[step], named[step], text) for step, text in zip(of_texts, texts, strict=True)]
        self.scaled: list[tuple[int, int, _Scaled]] = []  # output, position of a column, its imputer and scaler
        self.times: list[tuple[int, str, int, _Scaled]] = []  # output, part, position of a column, and so on
        for step, names in steps.scaled_in(transformer).items():
            for number, name in enumerate(names):
                output, scaled = starts[step].start + number, _Scaled(named[step], number)
                column, _, part = name.rpartition(PART) if step == TIMES else (name, "", "")
                place = table.features.index(column)
                if step == TIMES:
                    self.times.append((output, part, place, scaled))
                else:
                    self.scaled.append((output, place, scaled))
        self.categories: list[tuple[int, AnyArray]] = []  # position of a column; code -> input that is 1, -1: none
        first = starts[CATEGORIES].start if table.codes else 0
        for name, known in zip(table.codes, named[CATEGORIES].categories_ if table.codes else [], strict=True):
            output_of = {text: first + number for number, text in enumerate(known)}
            cleaned = [*(_cleaned(table, text) for text in table.codes[name].texts), None]
            # A missing value is never a rare category.
            others = [-1 if text is None else output_of.get(categories_module.RARE, -1) for text in cleaned]
            outputs = [output_of.get(text, other) for text, other in zip(cleaned, others, strict=True)]
            self.categories.append((table.features.index(name), np.array(outputs)))
            first += len(known)

    def __call__(self, start: int, columns: AnyArray) -> AnyArray:
        """Return ``(rows, width) float32`` of ``(columns, rows) float64``, the rows from number ``start`` on."""
        out = np.zeros((columns.shape[1], self.width), dtype=np.float32)
        for output, place, scaled in self.scaled:
            out[:, output] = scaled(columns[place])
        for place, of_place in itertools.groupby(self.times, key=lambda one: one[2]):
            some = list(of_place)
            parts = dates.expand(moments(columns[place]), [part for _, part, _, _ in some])
            for output, part, _, scaled in some:
                out[:, output] = scaled(parts[part])
        for place, outputs in self.categories:
            codes = np.nan_to_num(columns[place], nan=len(outputs) - 1).astype(np.int64)
            hot = outputs[codes]
            rows = np.flatnonzero(hot >= 0)
            out[rows, hot[rows]] = 1
        for outputs_of_text, pipeline, text in self.texts:
            out[:, outputs_of_text] = text.inputs(pipeline, start, start + len(out))
        return out


class _Scaled:
    """Fills and scales one column as scikit-learn would, with the same operations in the same order."""

    def __init__(self, pipeline: Any, column: int) -> None:
        self._column, self._fill, self._scaler = column, pipeline[0], pipeline[-1]
        self._shift = pipeline[1].mean_[column] if len(pipeline) > 2 else 0.0

    def __call__(self, values: AnyArray) -> AnyArray:
        """Return scaled values, which are changed in place."""
        scaler, column = self._scaler, self._column
        if (gaps := np.isnan(values)).any():
            values[gaps] = self._fill.statistics_[column]
        if self._shift:
            values -= self._shift
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


class _Shared:
    """Rows in memory that several processes write to and read: a mapped file, whose pages they have in common."""

    def __init__(self, rows: int, width: int, file: Path) -> None:
        check_room(4 * width * rows)
        self._rows, self._width, self._file, self._scratch = rows, width, file, Scratch(file)

    def put(self, rows: AnyArray, at: int) -> None:
        self._scratch.write(rows, 4 * self._width * at)

    def rows(self, start: int, stop: int) -> Rows:
        # A private mapping: nobody writes to it, and torch demands memory that could be written to.
        mapped = np.memmap(self._file, np.float32, "c", shape=(self._rows, self._width))
        return torch.from_numpy(mapped[start:stop])


class _Disk:
    """Rows in a scratch file."""

    def __init__(self, rows: int, width: int, most: int, file: Path | None = None) -> None:
        check_room(4 * width * rows)
        self._width, self._scratch = width, Scratch(file)
        # The limit is that of the run, which also needs memory for each row outside the window.
        self._window = max(most // 8, most // 2 - BYTES_A_ROW * rows)

    def put(self, rows: AnyArray, at: int) -> None:
        self._scratch.write(rows, 4 * self._width * at)

    def rows(self, start: int, stop: int) -> Rows:
        return DiskRows(self._scratch, 4 * self._width * start, (stop - start, self._width), self._window)
