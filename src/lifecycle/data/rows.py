"""Samples as a network takes them, in memory or on disk: they have a length and a shape, and are taken by number."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Generator, Tensor

from lifecycle.data.large.disk_rows import DiskRows


class Rows(Protocol):
    """``(rows, *input_shape) float32``: a Tensor is one, and :class:`DiskRows` are."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of one."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | Tensor, /) -> Tensor: ...


def shuffled(rows: Rows, generator: Generator) -> Tensor:
    """Return the order of an epoch, ``(rows,) int64``: any is as likely in memory; see :meth:`DiskRows.order`."""
    return rows.order(generator) if isinstance(rows, DiskRows) else torch.randperm(len(rows), generator=generator)


def arranged(rows: Rows, drawn: Tensor, generator: Generator) -> Tensor:
    """Return rows that were drawn at random, in an order in which they can be read."""
    return rows.order(generator, drawn) if isinstance(rows, DiskRows) else drawn
