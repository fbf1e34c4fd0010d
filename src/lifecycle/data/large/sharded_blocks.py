"""The columns of a large table of which each process has read some rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lifecycle.data.large.blocks import AnyArray, Blocks


class ShardedBlocks:
    """The blocks of all processes: each can read all rows, and drains those that it has read itself.

    Args:
        shards: the blocks of each process, in files, in the order of the rows. Their ``tables`` turn the codes that a
            process has given to the texts of a column into those of all processes.
        own: number of the blocks of this process.

    Attributes:
        num_rows: rows of all blocks.
        tables: for columns of codes: column -> the number for each code, and NaN at the end for missing ones.
    """

    on_disk = True

    def __init__(self, shards: Sequence[Blocks], own: int) -> None:
        self._shards, self._own = shards, own
        self._starts = np.cumsum([0, *(shard.num_rows for shard in shards)])
        self.num_rows = int(self._starts[-1])
        self.tables: dict[int, AnyArray] = {}
        self._first = next((shard for shard in shards if shard.num_rows), shards[0])

    @property
    def own_rows(self) -> tuple[int, int]:
        """The first of the rows that this process has read, and the one after the last."""
        return int(self._starts[self._own]), int(self._starts[self._own + 1])

    def offset(self, number: int) -> float:
        """Return the offset to add to the values of :meth:`column`."""
        return 0.0 if number in self.tables else self._first.offset(number)

    def column(self, number: int, rows: AnyArray, out: AnyArray | None = None) -> AnyArray:
        """Return some rows of a column; see :meth:`lifecycle.data.large.blocks.Blocks.column`."""
        ends = np.searchsorted(rows, self._starts)
        out = np.empty(len(rows), dtype=np.float32) if out is None else out
        for place, shard in enumerate(self._shards):
            start, stop = ends[place : place + 2]
            if stop > start:
                values = shard.column(number, rows[start:stop] - self._starts[place])
                out[start:stop] = self._common(values, number, shard.offset(number))
        return out

    def _common(self, values: AnyArray, number: int, offset: float) -> AnyArray:
        """Return the values of one process as all have them."""
        if number in self.tables:
            return self._looked_up(number, values + np.float32(offset))
        # Processes whose first rows are different may have stored differences to different offsets.
        shift = offset - self._first.offset(number)
        return values.astype(np.float64) + shift if shift else values

    def _looked_up(self, number: int, codes: AnyArray) -> AnyArray:
        table = self.tables[number]
        return np.asarray(table[np.nan_to_num(codes, nan=len(table) - 1).astype(np.int64)])

    def of_some_blocks(self, most: int) -> AnyArray | None:
        """Return which rows are in a few blocks; see :meth:`lifecycle.data.large.blocks.Blocks.of_some_blocks`."""
        each = max(1, most // max(1, sum(shard.num_rows > 0 for shard in self._shards)))
        some = [shard.of_some_blocks(each) if shard.num_rows else None for shard in self._shards]
        if all(one is None for one in some):
            return None
        sizes = [shard.num_rows for shard in self._shards]
        return np.concatenate(
            [np.ones(size, dtype=bool) if one is None else one for size, one in zip(sizes, some, strict=True)]
        )

    def drain(self) -> Iterator[tuple[int, AnyArray]]:
        """Yield the rows that this process has read; see :meth:`lifecycle.data.large.blocks.Blocks.drain`."""
        start = int(self._starts[self._own])
        for first, values in self._shards[self._own].drain():
            for number in self.tables:
                values[number] = self._looked_up(number, values[number])
            yield start + first, values
