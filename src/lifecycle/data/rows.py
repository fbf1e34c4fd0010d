"""Samples as a network takes them, in memory or on disk: they have a length and a shape, and are taken by number."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Generator, Tensor


class Rows(Protocol):
    """``(rows, *input_shape) float32``: a Tensor is one, and rows on disk are."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of one."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | Tensor, /) -> Tensor: ...


@runtime_checkable
class WindowedRows(Rows, Protocol):
    """Rows on disk, of which a window is in memory: :class:`lifecycle.data.large.disk_rows.DiskRows`."""

    @property
    def window_rows(self) -> int:
        """Rows that are shuffled together."""
        ...

    def order(self, generator: Generator, drawn: Tensor | None = None) -> Tensor:
        """Return an order to train in, ``(rows,) int64``."""
        ...

    def forget(self) -> None:
        """Give back the memory of the window, until rows are taken again."""
        ...


def shuffled(rows: Rows, generator: Generator) -> Tensor:
    """Return the order of an epoch, ``(rows,) int64``: any is as likely in memory; see :meth:`WindowedRows.order`."""
    return rows.order(generator) if isinstance(rows, WindowedRows) else torch.randperm(len(rows), generator=generator)


def arranged(rows: Rows, drawn: Tensor, generator: Generator) -> Tensor:
    """Return rows that were drawn at random, in an order in which they can be read."""
    return rows.order(generator, drawn) if isinstance(rows, WindowedRows) else drawn
