"""Columns of a large table in blocks of rows, in single precision, in memory or on disk."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lifecycle.data.large.scratch import Scratch

AnyArray = np.ndarray[Any, Any]
"""An array of any shape and dtype; `Array` is the data plugin of that name."""

BLOCK_BYTES = 16 * 1024**2
ROWS_AT_ONCE = 16_384
"""Rows that :meth:`Blocks.drain` yields together, which fit into the CPU's cache."""

FAR_FROM_ZERO = 1000
"""A column whose mean is more than so many standard deviations from zero is stored as differences to an offset."""


class Blocks:
    """Columns of numbers, with NaN for missing ones, in blocks of ``(columns, rows) float32``.

    A number is stored as its difference to an offset of its column. The offset is 0, unless the first rows are far from
    0 (years, seconds since 1970), where single precision would lose the digits in which the rows differ.

    Args:
        columns: number of columns.
        most: bytes of memory; with more, all blocks are written to disk.
        scratch: a file for all blocks, whatever memory there is; ``None``: one is made when it is needed.

    Attributes:
        num_rows: rows of all blocks.
        tables: for columns of codes: column -> the number for each code, and NaN at the end for missing ones.
    """

    def __init__(self, columns: int, most: int, scratch: Scratch | None = None) -> None:
        self.num_rows = 0
        self.tables: dict[int, AnyArray] = {}
        self._most, self._columns = most, columns
        self._rows = max(1, min(BLOCK_BYTES, most // 8) // (4 * columns))  # of a block; the last may have fewer
        self._offsets: AnyArray = np.zeros((columns, 1))
        self._blocks: list[AnyArray | None] = []  # None: on disk
        self._scratch = scratch
        self._free: AnyArray | None = None  # the memory of a block that was written to disk, for the next block

    @property
    def on_disk(self) -> bool:
        """Whether the blocks are in a scratch file."""
        return self._scratch is not None

    @property
    def own_rows(self) -> tuple[int, int]:
        """The first of the rows that this process has read, and the one after the last."""
        return 0, self.num_rows

    def append(self, columns: Sequence[AnyArray]) -> None:
        """Add rows: ``(rows,) float64`` a column."""
        if not self.num_rows:
            self._offsets = np.array([[_offset(values)] for values in columns])
        done, rows = 0, len(columns[0])
        while done < rows:
            filled = self.num_rows % self._rows
            if not filled:
                self._next_block()
            some = min(rows - done, self._rows - filled)
            block = self._blocks[-1]
            assert block is not None  # noqa: S101 - for the types: only whole blocks are on disk
            for row, values, offset in zip(block, columns, self._offsets[:, 0], strict=True):
                part = values[done : done + some]
                row[filled : filled + some] = part - offset if offset else part
            self.num_rows, done = self.num_rows + some, done + some

    def _next_block(self) -> None:
        if self.on_disk or (self.num_rows + self._rows) * self._columns * 4 > self._most:
            self.write()
        free, self._free = self._free, None
        self._blocks.append(room(self._columns, self._rows) if free is None else free)

    def write(self) -> None:
        """Write the blocks in memory to disk."""
        self._scratch = self._scratch or Scratch()
        for number, block in enumerate(self._blocks):
            if block is not None:
                self._scratch.write(block, number * block.nbytes)
                self._blocks[number], self._free = None, block

    def shared(self) -> tuple[list[int], AnyArray]:
        """Return what another process needs to read the file: rows, rows of a block; and the offsets."""
        self.write()
        self._free = None
        return [self.num_rows, self._rows], self._offsets

    @classmethod
    def of_file(cls, scratch: Scratch, columns: int, sizes: list[int], offsets: AnyArray) -> Blocks:
        """Return the blocks that another process has written; ``sizes`` and ``offsets`` as it has shared them."""
        found = cls(columns, 0, scratch)
        found.num_rows, found._rows = sizes
        found._blocks = [None] * -(-found.num_rows // found._rows)
        found._offsets = offsets
        return found

    def of_some_blocks(self, most: int) -> AnyArray | None:
        """Return which rows are in a few blocks, evenly spaced, ``(rows,) bool``; ``None``: all blocks are in memory.

        Args:
            most: number of blocks, each of which is read from disk once for each column.
        """
        if not self.on_disk or len(self._blocks) <= most:
            return None
        found = np.zeros(self.num_rows, dtype=bool)
        for block in np.linspace(0, len(self._blocks) - 1, most).astype(int):
            found[block * self._rows : (block + 1) * self._rows] = True
        return found

    def offset(self, number: int) -> float:
        """Return the offset to add to the values of :meth:`column`."""
        return 0.0 if number in self.tables else float(self._offsets[number, 0])

    def column(self, number: int, rows: AnyArray, out: AnyArray | None = None) -> AnyArray:
        """Return some rows of a column, ``(rows,) float32``, as differences to its offset.

        Args:
            number: of the column.
            rows: their numbers in increasing order, ``int64``.
            out: ``(rows,) float32``, to which they are written; ``None``: a new array.
        """
        out = np.empty(len(rows), dtype=np.float32) if out is None else out
        starts = np.arange(len(self._blocks) + 1) * self._rows
        ends = np.searchsorted(rows, starts)
        for block, (start, stop) in enumerate(itertools.pairwise(ends)):
            if stop > start:
                # With the default mode NumPy would buffer `out`.
                self._segment(number, block).take(rows[start:stop] - starts[block], out=out[start:stop], mode="clip")
        return self._looked_up(number, out).astype(np.float32) if number in self.tables else out

    def _segment(self, number: int, block: int) -> AnyArray:
        kept = self._blocks[block]
        if kept is not None:
            return np.asarray(kept[number])
        assert self._scratch is not None  # noqa: S101 - for the types
        segment = np.empty(self._rows, dtype=np.float32)
        self._scratch.read(segment, 4 * self._rows * (block * self._columns + number))
        return segment

    def _looked_up(self, number: int, kept: AnyArray) -> AnyArray:
        table = self.tables[number]
        codes = kept + self._offsets[number]
        # The last entry of a table is that of missing texts.
        return np.asarray(table[np.nan_to_num(codes, nan=len(table) - 1).astype(np.int64)])

    def drain(self) -> Iterator[tuple[int, AnyArray]]:
        """Yield the number of a first row, and ``(columns, some rows) float64`` from there on; free the blocks."""
        for block in range(len(self._blocks)):
            kept, self._blocks[block] = self._blocks[block], None
            if kept is None:
                assert self._scratch is not None  # noqa: S101 - for the types
                kept = np.empty((self._columns, self._rows), dtype=np.float32)
                self._scratch.read(kept, block * kept.nbytes)
            first = block * self._rows
            whole = min(self._rows, self.num_rows - first)
            for start in range(0, whole, ROWS_AT_ONCE):
                some = kept[:, start : min(start + ROWS_AT_ONCE, whole)]
                values = some + self._offsets
                for number in self.tables:
                    values[number] = self._looked_up(number, some[number])
                yield first + start, values
            # Else this block would stay in memory while the next one is read.
            del kept, some


def room(rows: int, columns: int) -> AnyArray:
    """Return an uninitialised array ``(rows, columns) float32`` in memory of its own mapping.

    The memory returns to the system when the array is deleted, which the heap does not guarantee. Its pages are small:
    NumPy requests huge pages, for which a system with fragmented memory first moves other pages, at several times the
    cost.
    """
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
    memory = mmap.mmap(-1, max(1, 4 * rows * columns), **private)
    return np.frombuffer(memory, np.float32, rows * columns).reshape(rows, columns)


def _offset(values: AnyArray) -> float:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0
    mean = float(finite.mean())
    # Rounded to single precision, so that differences between whole numbers stay whole.
    return float(np.float32(mean)) if abs(mean) > FAR_FROM_ZERO * max(float(finite.std()), 1e-30) else 0.0
