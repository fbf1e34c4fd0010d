"""Mini-batches: slices of tensors, in an order that is a function of (seed, epoch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from lifecycle.data.rows import Rows, arranged, shuffled
from lifecycle.runtime.seeds import epoch_seed


@dataclass(frozen=True)
class Truth:
    """Targets of batches in the units of the user, for scores; always on the CPU, as some devices have no float64.

    Attributes:
        values: ``(rows, 1) float64`` true values in the user's units; ``None`` for classes, whose codes are the
            targets.
        base: ``(rows, 1) float64`` added to a restored output (:class:`lifecycle.contract.Samples`), or ``None``.
        weights: ``(rows,) float64`` sample weights; ``None``: all 1.
    """

    values: Tensor | None = None
    base: Tensor | None = None
    weights: Tensor | None = None

    def __getitem__(self, rows: slice | Tensor) -> Truth:
        return Truth(*(None if one is None else one[rows] for one in (self.values, self.base, self.weights)))

    def split(self, sizes: list[int]) -> Iterator[Truth]:
        """Yield consecutive parts with ``sizes`` rows each."""
        columns = (self.values, self.base, self.weights)
        return map(Truth, *([None] * len(sizes) if one is None else torch.split(one, sizes) for one in columns))

    def to(self, device: Any, **options: Any) -> Truth:
        """Return the same object, which stays on the CPU. Lightning calls this."""
        return self


def together(truths: Sequence[Truth | None]) -> Truth | None:
    """Concatenate the truths of several batches; ``None`` where there are none."""
    known = [truth for truth in truths if truth is not None]
    if not known:
        return None
    # All batches of a data set have the same fields, so the first one decides whether a field is absent.
    columns = zip(*((truth.values, truth.base, truth.weights) for truth in known), strict=True)
    return Truth(*(None if column[0] is None else torch.cat(column) for column in columns))


Batch = tuple[Tensor, Tensor, float, Truth | None, Tensor | None]
"""Inputs; targets; the weight of their mean loss (1.0, or under ddp ``processes * local rows / rows of the batch``);
the truth, if scores need it; and the factors of the training loss of each row, or ``None``."""


MOST_ROWS, MOST_NUMBERS = 1024, 100_000
"""Batch size for evaluation, in rows and in numbers: the activations of large images would not fit into the CPU's
caches."""


@dataclass(frozen=True)
class Chunk:
    """Several consecutive mini-batches, for one ``training_step`` of Lightning's, whose overhead exceeds a small batch.

    Attributes:
        inputs: ``(rows, *input_shape) float32`` of all mini-batches.
        targets: of the same rows.
        truth: see :data:`Batch`.
        sizes: number of rows of each mini-batch; one or more.
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
        # torch.split returns views, so that a chunk costs one indexing of the data, not one for each mini-batch.
        inputs, targets = torch.split(self.inputs, self.sizes), torch.split(self.targets, self.sizes)
        rows = [None] * len(self) if self.row_weights is None else torch.split(self.row_weights, self.sizes)
        return zip(inputs, targets, self.weights, truths, rows, strict=True)

    def to(self, device: Any, **options: Any) -> Chunk:
        """Return the chunk on another device. Lightning calls this."""
        inputs, targets = self.inputs.to(device, **options), self.targets.to(device, **options)
        rows = None if self.row_weights is None else self.row_weights.to(device, **options)
        return Chunk(inputs, targets, self.truth, self.sizes, self.weights, rows)


def in_order(inputs: Rows, targets: Tensor, truth: Truth | None) -> Batches:
    """Return rows in order, in mini-batches of a size that is fast for evaluation."""
    size = max(1, min(MOST_ROWS, MOST_NUMBERS // math.prod(inputs.shape[1:])))
    return Batches(inputs, targets, size, truth=truth)


class Batches:
    """An iterable of mini-batches.

    ``batch_size`` counts the rows of a step over all processes. Under ddp each process gets every n-th row of a batch,
    and a weight with which the averaged gradients are those of the whole batch. So the number of devices changes the
    results of a network without dropout or batch normalisation only by rounding, and no row is repeated or left out.

    Args:
        inputs: ``(rows, *input_shape) float32``, in memory or on disk; on disk, rows are shuffled within windows.
        targets: ``(rows,) int64`` or ``(rows, 1) float32``.
        batch_size: rows of a step; the last batch of an epoch may be smaller.
        shuffle_seed: shuffle with this seed and the epoch; ``None``: rows in order.
        truth: see :data:`Batch`.
        class_balanced: draw as many rows as there are, with replacement and each class equally often; requires a
            ``shuffle_seed``, and targets that are classes.
        row_weights: see :data:`Batch`.
        augment: changes the inputs of a mini-batch, given the epoch and a number that is its own in the epoch;
            ``None``: they are as they are.
        refill: returns inputs, targets, truth and row weights of the next epoch, as many rows; ``None``: they stay.
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
        augment: Callable[[Tensor, int, int], Tensor] | None = None,
        refill: Callable[[], tuple[Rows, Tensor, Truth | None, Tensor | None]] | None = None,
    ) -> None:
        self.inputs, self.targets, self.truth, self.batch_size = inputs, targets, truth, batch_size
        self.shuffle_seed, self.class_balanced, self.row_weights = shuffle_seed, class_balanced, row_weights
        self.epoch, self.augment, self.refill, self._filled = 0, augment, refill, False

    @property
    def num_bytes(self) -> int | None:
        """The size of inputs, targets and factors; ``None``: they are on disk."""
        if not isinstance(self.inputs, Tensor):
            return None
        return sum(one.nbytes for one in (self.inputs, self.targets, self.row_weights) if one is not None)

    @contextmanager
    def kept_on(self, device: torch.device) -> Iterator[None]:
        """Keep inputs, targets and factors on a device within the block; they must be in memory.

        The order of the rows is drawn on the CPU, and is the same on each device.
        """
        assert isinstance(self.inputs, Tensor)  # noqa: S101 - num_bytes says so
        before = self.inputs, self.targets, self.row_weights
        self.inputs, self.targets = self.inputs.to(device), self.targets.to(device)
        self.row_weights = None if self.row_weights is None else self.row_weights.to(device)
        try:
            yield
        finally:
            self.inputs, self.targets, self.row_weights = before

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch (from 0), which determines the order of the next pass."""
        self.epoch = epoch
        if self.refill is not None and self._filled:
            device = self.targets.device
            inputs, targets, self.truth, weights = self.refill()
            self.inputs = inputs.to(device) if isinstance(inputs, Tensor) else inputs
            self.targets = targets.to(device)
            self.row_weights = None if weights is None else weights.to(device)
        self._filled = True

    def __len__(self) -> int:
        return math.ceil(len(self.inputs) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for chunk in self.chunks(1):
            yield from chunk

    def chunks(self, steps: int) -> Iterator[Chunk]:
        """Yield the same mini-batches, ``steps`` in each chunk."""
        order, per_chunk = self.order(), steps * self.batch_size
        for start in range(0, len(self.inputs), per_chunk):
            stop = min(start + per_chunk, len(self.inputs))
            chunk = self._chunk(slice(start, stop) if order is None else order[start:stop], stop - start)
            yield chunk if self.augment is None else self._augmented(chunk, start // self.batch_size)

    def _augmented(self, chunk: Chunk, first: int) -> Chunk:
        """Return a chunk with changed inputs.

        Args:
            chunk: of the epoch.
            first: number of its first mini-batch.
        """
        assert self.augment is not None  # noqa: S101 - for the types
        # Each mini-batch by itself: how many are in a chunk must not change the results.
        rank, processes = _rank()
        parts = [
            self.augment(part, self.epoch, number * processes + rank)
            for number, part in enumerate(torch.split(chunk.inputs, chunk.sizes), first)
        ]
        return replace(chunk, inputs=parts[0] if len(parts) == 1 else torch.cat(parts))

    def _chunk(self, rows: slice | Tensor, num_rows: int) -> Chunk:
        starts = range(0, num_rows, self.batch_size)
        sizes = [min(self.batch_size, num_rows - start) for start in starts]
        rank, processes = _rank()
        if processes == 1:
            return self._take(rows, sizes, [1.0] * len(sizes))
        if isinstance(rows, slice):
            rows = torch.arange(rows.start, rows.stop)
        whole = torch.split(rows, sizes)
        # A batch may have fewer rows than there are processes. All must take part in each step, or the others would
        # wait forever for its gradients: a process without rows takes the first one, with weight 0.
        local = [batch[rank::processes] if rank < len(batch) else batch[:1] for batch in whole]
        weights = [processes * len(batch[rank::processes]) / len(batch) for batch in whole]
        return self._take(torch.cat(local), [len(batch) for batch in local], weights)

    def _take(self, rows: slice | Tensor, sizes: list[int], weights: list[float]) -> Chunk:
        truth = None if self.truth is None else self.truth[rows]
        # Numbers on the CPU would be copied once for each of the tensors.
        rows = rows if isinstance(rows, slice) else rows.to(self.targets.device)
        row_weights = None if self.row_weights is None else self.row_weights[rows]
        return Chunk(self.inputs[rows], self.targets[rows], truth, sizes, weights, row_weights)

    def order(self) -> Tensor | None:
        """Return the order of the rows in the epoch, ``(rows,) int64``; ``None``: as they are."""
        if self.shuffle_seed is None:
            return None
        # A generator of its own: dropout, or a callback that draws numbers, must not change the order.
        generator = torch.Generator().manual_seed(epoch_seed(self.shuffle_seed, self.epoch, stream=0))
        if self.class_balanced:
            return arranged(self.inputs, balanced(self.targets.cpu(), generator), generator)
        return shuffled(self.inputs, generator)


class Chunks:
    """The chunks of :class:`Batches`, for Lightning's Trainer, which counts a chunk as one ``training_step``.

    Args:
        batches: the mini-batches.
        steps: number of mini-batches in a chunk.
    """

    def __init__(self, batches: Batches, steps: int) -> None:
        self.batches, self.steps = batches, steps

    def __len__(self) -> int:
        return math.ceil(len(self.batches) / self.steps)

    def __iter__(self) -> Iterator[Chunk]:
        return self.batches.chunks(self.steps)


def balanced(targets: Tensor, generator: torch.Generator) -> Tensor:
    """Draw as many rows as there are: for each a class with equal probability, then one of the rows of the class.

    Args:
        targets: ``(rows,)`` or ``(rows, 1)`` class codes.
        generator: of the draws.

    Returns:
        ``(rows,) int64``; a row may be drawn several times, or never.
    """
    # Vectorised, as torch.multinomial is limited to 2^24 rows and needs float weights.
    _, codes, counts = torch.unique(targets.flatten(), return_inverse=True, return_counts=True)
    by_class, starts = torch.argsort(codes, stable=True), counts.cumsum(0) - counts
    drawn = torch.randint(len(counts), (len(codes),), generator=generator)
    # In double precision: float32 has 24 bits, too few to reach each row of a large class.
    within = (torch.rand(len(codes), generator=generator, dtype=torch.float64) * counts[drawn]).long()
    return by_class[starts[drawn] + within]


def _rank() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
