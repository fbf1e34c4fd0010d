"""Mini-batches as slices of tensors in memory, several at once, in an order that is a function of (seed, epoch)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from lifecycle.data.rows import Rows, arranged, shuffled
from lifecycle.runtime.seeds import epoch_seed


@dataclass(frozen=True)
class Truth:
    """What scores take of rows that a network does not; on the CPU, as some devices have no float64.

    Attributes:
        values: ``(rows, 1) float64`` true values in the user's units; ``None`` of classes, whose codes are the targets.
        base: ``(rows, 1) float64``: what is added to a restored output (:class:`lifecycle.contract.Samples`), or none.
        weights: ``(rows,) float64``: how much each row counts; ``None``: all the same.
    """

    values: Tensor | None = None
    base: Tensor | None = None
    weights: Tensor | None = None

    def __getitem__(self, rows: slice | Tensor) -> Truth:
        return Truth(*(None if one is None else one[rows] for one in (self.values, self.base, self.weights)))

    def split(self, sizes: list[int]) -> Iterator[Truth]:
        """Yield as many rows as each of ``sizes`` says, in order."""
        columns = (self.values, self.base, self.weights)
        return map(Truth, *([None] * len(sizes) if one is None else torch.split(one, sizes) for one in columns))

    def to(self, device: Any, **options: Any) -> Truth:
        """Return the same, on the CPU: Lightning calls this."""
        return self


def together(truths: Sequence[Truth | None]) -> Truth | None:
    """Return the true values of several batches as one; ``None`` where there are none."""
    known = [truth for truth in truths if truth is not None]
    if not known:
        return None
    columns = zip(*((truth.values, truth.base, truth.weights) for truth in known), strict=True)
    return Truth(*(None if column[0] is None else torch.cat(column) for column in columns))


Batch = tuple[Tensor, Tensor, float, Truth | None, Tensor | None]
"""Inputs; targets; the weight of their mean loss, 1.0, or under ddp ``processes * own rows / rows of the batch``; what
scores use in addition, where there is such; and what the training loss of each row is multiplied by."""


MOST_ROWS, MOST_NUMBERS = 1024, 100_000
"""At once where nothing is learnt: of images fewer, whose layers would leave the processor's caches."""


@dataclass(frozen=True)
class Chunk:
    """Several mini-batches that lie behind each other in memory, for one ``training_step``.

    Attributes:
        inputs: ``(rows, *input_shape) float32`` of all of them.
        targets: of the same rows.
        truth: see :data:`Batch`.
        sizes: rows of each mini-batch; one or more.
        weights: of each mini-batch, see :data:`Batch`.
        row_weights: ``(rows,) float32``; see :data:`Batch`.
    """

    inputs: Tensor
    targets: Tensor
    truth: Truth | None
    sizes: list[int]
    weights: list[float]
    row_weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Batch]:
        truths = [None] * len(self) if self.truth is None else self.truth.split(self.sizes)
        inputs, targets = torch.split(self.inputs, self.sizes), torch.split(self.targets, self.sizes)
        rows = [None] * len(self) if self.row_weights is None else torch.split(self.row_weights, self.sizes)
        return zip(inputs, targets, self.weights, truths, rows, strict=True)

    def to(self, device: Any, **options: Any) -> Chunk:
        """Return the chunk on another device; Lightning calls this."""
        inputs, targets = self.inputs.to(device, **options), self.targets.to(device, **options)
        rows = None if self.row_weights is None else self.row_weights.to(device, **options)
        return Chunk(inputs, targets, self.truth, self.sizes, self.weights, rows)


def in_order(inputs: Rows, targets: Tensor, truth: Truth | None) -> Batches:
    """Return rows in their order, in mini-batches of a size that is quick where nothing is learnt."""
    size = max(1, min(MOST_ROWS, MOST_NUMBERS // math.prod(inputs.shape[1:])))
    return Batches(inputs, targets, size, truth=truth)


class Batches:
    """An iterable of mini-batches.

    ``batch_size`` is that of a step over all processes: under ddp each process gets every n-th row of a batch, and a
    weight with which the averaged gradients are those of the whole batch. So the number of devices changes the results
    of a network without dropout or batch normalisation by rounding alone, and no row is repeated or left out.

    Args:
        inputs: ``(rows, *input_shape) float32``, in memory or on disk, where the order is one of windows of rows.
        targets: ``(rows,) int64`` or ``(rows, 1) float32``.
        batch_size: rows a step; the last batch of an epoch may be smaller.
        shuffle_seed: shuffle by this seed and the epoch; ``None``: rows in order.
        truth: see :data:`Batch`.
        class_balanced: draw each class equally often, with replacement, and in all as many rows as there are; needs a
            ``shuffle_seed``, and targets that are classes.
        row_weights: see :data:`Batch`.
    """

    def __init__(
        self,
        inputs: Rows,
        targets: Tensor,
        batch_size: int,
        shuffle_seed: int | None = None,
        truth: Truth | None = None,
        class_balanced: bool = False,
        row_weights: Tensor | None = None,
    ) -> None:
        self.inputs, self.targets, self.truth, self.batch_size = inputs, targets, truth, batch_size
        self.shuffle_seed, self.class_balanced, self.row_weights = shuffle_seed, class_balanced, row_weights
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass (epochs count from 0)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.inputs) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for chunk in self.chunks(1):
            yield from chunk

    def chunks(self, steps: int) -> Iterator[Chunk]:
        """Return the same mini-batches, ``steps`` of them at once."""
        order, per_chunk = self._order(), steps * self.batch_size
        for start in range(0, len(self.inputs), per_chunk):
            stop = min(start + per_chunk, len(self.inputs))
            yield self._chunk(slice(start, stop) if order is None else order[start:stop], stop - start)

    def _chunk(self, rows: slice | Tensor, num_rows: int) -> Chunk:
        starts = range(0, num_rows, self.batch_size)
        sizes = [min(self.batch_size, num_rows - start) for start in starts]
        rank, processes = _rank()
        if processes == 1:
            return self._take(rows, sizes, [1.0] * len(sizes))
        if isinstance(rows, slice):
            rows = torch.arange(rows.start, rows.stop)
        whole = torch.split(rows, sizes)
        # Fewer rows than processes: keep in step with the others, at no weight.
        own = [batch[rank::processes] if rank < len(batch) else batch[:1] for batch in whole]
        weights = [processes * len(batch[rank::processes]) / len(batch) for batch in whole]
        return self._take(torch.cat(own), [len(batch) for batch in own], weights)

    def _take(self, rows: slice | Tensor, sizes: list[int], weights: list[float]) -> Chunk:
        truth = None if self.truth is None else self.truth[rows]
        row_weights = None if self.row_weights is None else self.row_weights[rows]
        return Chunk(self.inputs[rows], self.targets[rows], truth, sizes, weights, row_weights)

    def _order(self) -> Tensor | None:
        if self.shuffle_seed is None:
            return None
        generator = torch.Generator().manual_seed(epoch_seed(self.shuffle_seed, self.epoch, stream=0))
        if self.class_balanced:
            return arranged(self.inputs, balanced(self.targets, generator), generator)
        return shuffled(self.inputs, generator)


class Chunks:
    """The chunks of :class:`Batches`, for Lightning's Trainer: each is one ``training_step``, and it counts these.

    Args:
        batches: the mini-batches.
        steps: of them at once, in a chunk.
    """

    def __init__(self, batches: Batches, steps: int) -> None:
        self.batches, self.steps = batches, steps

    def __len__(self) -> int:
        return math.ceil(len(self.batches) / self.steps)

    def __iter__(self) -> Iterator[Chunk]:
        return self.batches.chunks(self.steps)


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
