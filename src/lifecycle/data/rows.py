"""Preprocessed inputs, in memory or on disk."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Generator, Tensor


# Protocols, because a Tensor cannot be given a base class.
class Rows(Protocol):
    """``(rows, *input_shape) float32``; implemented by ``Tensor`` and :class:`WindowedRows`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(rows, *input_shape)``."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | Tensor, /) -> Tensor: ...


@runtime_checkable
class WindowedRows(Rows, Protocol):
    """Rows on disk, of which a window is in memory: :class:`lifecycle.data.large.disk_rows.DiskRows`."""

    @property
    def window_rows(self) -> int:
        """Number of rows that are shuffled together."""
        ...

    def order(self, generator: Generator, drawn: Tensor | None = None) -> Tensor:
        """Return an order to train in, ``(rows,) int64``."""
        ...

    def forget(self) -> None:
        """Free the memory of the window until rows are read again."""
        ...


def shuffled(rows: Rows, generator: Generator) -> Tensor:
    """Return the order of an epoch, ``(rows,) int64``: a random permutation, on disk one within windows."""
    # Not a check for the protocol, which looks up all of its methods: that takes longer than the permutation.
    if isinstance(rows, torch.Tensor) or not isinstance(rows, WindowedRows):
        return torch.randperm(len(rows), generator=generator)
    return rows.order(generator)


def arranged(rows: Rows, drawn: Tensor, generator: Generator) -> Tensor:
    """Return drawn rows in an order in which they can be read efficiently."""
    return rows.order(generator, drawn) if isinstance(rows, WindowedRows) else drawn
