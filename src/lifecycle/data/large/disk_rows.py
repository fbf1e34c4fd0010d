"""Preprocessed rows on disk, read in windows of blocks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from lifecycle.data.large.scratch import Scratch

BLOCK_BYTES = 64 * 1024
"""Size of a block, consecutive rows that are read together."""

FEWEST_BLOCKS = 64
"""Minimum number of blocks of a window: rows are well shuffled because the blocks come from all over the file."""

MOST_WINDOW_BYTES = 256 * 1024**2
"""Maximum size of a window: a larger one would need memory without better shuffling."""


class DiskRows:
    """Rows in a scratch file, of which a window of blocks is in memory.

    A slice is read directly. Rows by number are gathered from the window, into which their blocks are read first; in an
    order from :meth:`order`, each block is read once.

    Args:
        scratch: the file.
        place: offset of the first row, in bytes.
        shape: ``(rows, *input_shape)``.
        memory: bytes that the window may use.
    """

    def __init__(self, scratch: Scratch, place: int, shape: tuple[int, ...], memory: int) -> None:
        self.shape, self.scratch, self.place = shape, scratch, place
        self._width = int(np.prod(shape[1:]))
        self.block = max(1, min(BLOCK_BYTES, memory // FEWEST_BLOCKS) // (4 * self._width))  # rows
        blocks = -(-shape[0] // self.block)
        self.window = max(1, min(blocks, min(memory, MOST_WINDOW_BYTES) // (4 * self._width * self.block)))  # blocks
        self._slots = np.full(blocks, -1)  # block -> its position in the window, -1: not in it
        self._rows = np.empty((0, self._width), dtype=np.float32)
        self._taken = 0  # blocks in the window

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def window_rows(self) -> int:
        """Number of rows that are shuffled together."""
        return min(len(self), self.window * self.block)

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return torch.from_numpy(self._read(start, stop)).reshape(-1, *self.shape[1:])
            rows = torch.arange(start, stop, step)
        return torch.from_numpy(self._gather(rows.numpy())).reshape(-1, *self.shape[1:])

    def order(self, generator: Generator, drawn: Tensor | None = None) -> Tensor:
        """Return an order to train in, ``(rows,) int64``: blocks are shuffled, and the rows of each window of blocks.

        Args:
            generator: the only source of randomness.
            drawn: the rows to order, possibly repeated; ``None``: each row once.
        """
        blocks = torch.randperm(len(self._slots), generator=generator)
        if drawn is not None:
            rank = torch.empty_like(blocks)
            rank[blocks] = torch.arange(len(blocks)) // self.window  # block -> its window
            drawn = drawn[torch.randperm(len(drawn), generator=generator)]
            return drawn[torch.argsort(rank[drawn // self.block], stable=True)]
        order = torch.empty(len(self), dtype=torch.int64)
        done = 0
        for some in torch.split(blocks, self.window):
            rows = (some[:, None] * self.block + torch.arange(self.block)).flatten()
            rows = rows[rows < len(self)]  # the last block may be shorter
            order[done : done + len(rows)] = rows[torch.randperm(len(rows), generator=generator)]
            done += len(rows)
        return order

    def forget(self) -> None:
        """Free the memory of the window until rows are read again."""
        self._rows = np.empty((0, self._width), dtype=np.float32)
        self._slots[:], self._taken = -1, 0

    def _read(self, start: int, stop: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        out = np.empty((max(0, stop - start), self._width), dtype=np.float32)
        self.scratch.read(out, self.place + start * self._width * 4)
        return out

    def _gather(
        self, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        if not len(self._rows):  # allocated on first use, as evaluation only reads slices
            self._rows = np.empty((self.window * self.block, self._width), dtype=np.float32)
        out = np.empty((len(rows), self._width), dtype=np.float32)
        blocks, within = np.divmod(rows, self.block)
        left = np.arange(len(rows))
        while len(left):
            loaded = self._slots[blocks[left]] >= 0
            found = left[loaded]
            out[found] = self._rows[self._slots[blocks[found]] * self.block + within[found]]
            left = left[~loaded]
            _, first = np.unique(blocks[left], return_index=True)
            self._load(blocks[left][np.sort(first)])  # in the order of the rows, so that windows stay together
        return out

    def _load(self, blocks: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
        """Read as many of these blocks as the window has room for; a full window is emptied first."""
        if len(blocks) and self._taken == self.window:
            self._slots[:], self._taken = -1, 0
        for block in blocks[: self.window - self._taken]:
            start, stop = block * self.block, min((block + 1) * self.block, len(self))
            at = self._taken * self.block
            self.scratch.read(self._rows[at : at + stop - start], self.place + int(start) * self._width * 4)
            self._slots[block] = self._taken
            self._taken += 1
