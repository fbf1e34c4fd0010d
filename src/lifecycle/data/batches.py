"""Mini-batches as slices of tensors in memory, in an order that is a function of (seed, epoch) alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.distributed
from torch import Tensor

from lifecycle.data.rows import Rows, arranged, shuffled
from lifecycle.seeds import epoch_seed

Batch = tuple[Tensor, Tensor, float, Tensor | None]
"""Inputs; targets; the weight of their mean loss, 1.0, or under ddp ``processes * own rows / rows of the batch``; and
the base of each, in the user's units (:class:`lifecycle.contract.Samples`), where there is one."""


EVALUATION_BATCH = 1024
"""Rows at once where nothing is learnt."""


class Batches:
    """An iterable of mini-batches for Lightning's Trainer.

    ``batch_size`` is that of a step over all processes: under ddp each process gets every n-th row of a batch, and a
    weight with which the averaged gradients are those of the whole batch. So the number of devices changes the results
    of a network without dropout or batch normalisation by rounding alone, and no row is repeated or left out.

    Args:
        inputs: ``(rows, *input_shape) float32``, in memory or on disk, where the order is one of windows of rows.
        targets: ``(rows,) int64`` or ``(rows, 1) float32``.
        batch_size: rows a step; the last batch of an epoch may be smaller.
        shuffle_seed: shuffle by this seed and the epoch; ``None``: rows in order.
        base: ``(rows, 1) float32``, see :data:`Batch`.
        class_balanced: draw each class equally often, with replacement, and in all as many rows as there are; needs a
            ``shuffle_seed``, and targets that are classes.
    """

    def __init__(
        self,
        inputs: Rows,
        targets: Tensor,
        batch_size: int,
        shuffle_seed: int | None = None,
        base: Tensor | None = None,
        class_balanced: bool = False,
    ) -> None:
        self.inputs, self.targets, self.base, self.batch_size = inputs, targets, base, batch_size
        self.shuffle_seed, self.class_balanced = shuffle_seed, class_balanced
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass (epochs count from 0)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.inputs) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self._order()
        rank, processes = _rank()
        for start in range(0, len(self.inputs), self.batch_size):
            stop = min(start + self.batch_size, len(self.inputs))
            if order is None and processes == 1:
                yield self._take(slice(start, stop), 1.0)
                continue
            rows = torch.arange(start, stop) if order is None else order[start:stop]
            own = rows[rank::processes]
            weight = processes * len(own) / len(rows)
            if not len(own):  # fewer rows than processes: keep in step with the others, at no weight
                own = rows[:1]
            yield self._take(own, weight)

    def _take(self, rows: slice | Tensor, weight: float) -> Batch:
        return self.inputs[rows], self.targets[rows], weight, None if self.base is None else self.base[rows]

    def _order(self) -> Tensor | None:
        if self.shuffle_seed is None:
            return None
        generator = torch.Generator().manual_seed(epoch_seed(self.shuffle_seed, self.epoch, stream=0))
        if self.class_balanced:
            return arranged(self.inputs, balanced(self.targets, generator), generator)
        return shuffled(self.inputs, generator)


def balanced(targets: Tensor, generator: torch.Generator) -> Tensor:
    """Draw as many rows as there are: of each first a class, at equal chances, and then one of its rows.

    Args:
        targets: ``(rows,)`` or ``(rows, 1)`` class codes.
        generator: of the draws.

    Returns:
        ``(rows,) int64``; a row may come several times, or not at all.
    """
    _, codes, counts = torch.unique(targets.flatten(), return_inverse=True, return_counts=True)
    by_class, starts = torch.argsort(codes, stable=True), counts.cumsum(0) - counts
    drawn = torch.randint(len(counts), (len(codes),), generator=generator)
    within = (torch.rand(len(codes), generator=generator, dtype=torch.float64) * counts[drawn]).long()
    return by_class[starts[drawn] + within]


def _rank() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
