"""Columns of free text of a large table, row by row on disk: the texts, and later their words."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lifecycle.data.large.blocks import AnyArray
from lifecycle.data.large.codes import MISSING_HASH, Codes
from lifecycle.data.large.scratch import Scratch

ROWS_AT_ONCE = 16_384
"""Texts that are written together where all of them are known."""


class Chunks:
    """Rows of different sizes in a scratch file, written in the order of the rows and read by their numbers.

    Several threads may read.

    Args:
        first: number of the first row.

    Attributes:
        first: number of the first row.
        stop: number of the row after the last one.
    """

    def __init__(self, first: int = 0) -> None:
        self.first = self.stop = first
        self._starts = [first]
        self._places = [0]
        self._scratch = Scratch()
        self._lock = threading.Lock()
        self._last: tuple[int, pa.RecordBatch] | None = None  # rows are mostly read in order

    def append(self, **columns: pa.Array) -> None:
        """Write the next rows."""
        batch = pa.record_batch(columns)
        if not len(batch):
            return
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        self._scratch.append(np.frombuffer(sink.getvalue(), dtype=np.uint8))
        self._places.append(self._scratch.size)
        self.stop += len(batch)
        self._starts.append(self.stop)

    def parts(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the number of a first row, and some rows from there on."""
        for number, start in enumerate(self._starts[:-1]):
            yield start, self._chunk(number)

    def read(self, start: int, stop: int) -> pa.Table:
        """Return the rows from ``start`` to ``stop``."""
        found = []
        for number in range(bisect.bisect_right(self._starts, start) - 1, bisect.bisect_left(self._starts, stop)):
            low, high = max(start, self._starts[number]), min(stop, self._starts[number + 1])
            found.append(self._chunk(number).slice(low - self._starts[number], high - low))
        return pa.Table.from_batches(found)

    def _chunk(self, number: int) -> pa.RecordBatch:
        with self._lock:
            if self._last is None or self._last[0] != number:
                start, stop = self._places[number : number + 2]
                content = np.empty(stop - start, dtype=np.uint8)
                self._scratch.read(content, start)
                self._last = number, next(iter(pa.ipc.open_stream(content)))
            return self._last[1]


def of_codes(codes: Codes, rows: Iterator[AnyArray], first: int) -> Chunks:
    """Return the texts of rows that were read as codes.

    Args:
        codes: the texts.
        rows: ``(some rows,) float32`` codes, NaN where a text is missing.
        first: number of the first row.
    """
    found, texts = Chunks(first), pa.array([*codes.texts, ""], pa.large_string())
    for some in rows:
        found.append(text=texts.take(pa.array(np.nan_to_num(some, nan=len(texts) - 1).astype(np.int64))))
    return found


def add(rows: Chunks, column: pa.ChunkedArray) -> tuple[AnyArray, AnyArray]:
    """Write the next texts.

    Args:
        rows: of the column.
        column: texts, or values that are converted to texts.

    Returns:
        ``(rows,) float64``: NaN where a text is missing, else 0; and ``(rows,) uint64``, equal for equal texts.
    """
    array = column.combine_chunks()
    array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        array = pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.large_string())
    rows.append(text=array.cast(pa.large_string()).fill_null(""))
    gaps = array.is_null().to_numpy(zero_copy_only=False)
    hashes = pd.util.hash_array(array.fill_null("").to_numpy(zero_copy_only=False), categorize=False)
    hashes[gaps] = MISSING_HASH
    return np.where(gaps, np.nan, 0.0), hashes


def as_columns(matrix: sparse.csr_matrix) -> dict[str, pa.Array]:
    """Return a sparse matrix as the columns that :func:`matrix_of` reads."""
    ends = pa.array(matrix.indptr.astype(np.int64))
    columns = {"word": matrix.indices.astype(np.int32), "value": matrix.data}
    return {name: pa.LargeListArray.from_arrays(ends, pa.array(values)) for name, values in columns.items()}


def matrix_of(rows: pa.Table | pa.RecordBatch, words: int) -> sparse.csr_matrix:
    """Return ``(rows, words) float64``."""
    lengths = pc.list_value_length(rows["word"]).to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    indices, values = (pc.list_flatten(rows[name]).to_numpy(zero_copy_only=False) for name in ("word", "value"))
    return sparse.csr_matrix((values, indices, ends), shape=(len(lengths), words))


def row_numbers(first: int, stop: int) -> Iterator[AnyArray]:
    """Yield the numbers of rows from ``first`` to ``stop``, some at a time."""
    for start, end in itertools.pairwise([*range(first, stop, ROWS_AT_ONCE), stop]):
        yield np.arange(start, end)
