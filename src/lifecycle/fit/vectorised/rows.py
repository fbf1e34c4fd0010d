"""The training or validation rows of many fits; rows that several fits share are kept once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lifecycle.data.batches import Truth
from lifecycle.data.dataset import Part


class StackedRows:
    """The rows of the copies of a group.

    Attributes:
        counts: ``(copies,) int64`` rows of each copy.

    Args:
        parts: of each copy.
        device: of inputs, targets and weights; what scores compare with stays on the CPU.
    """

    def __init__(self, parts: Sequence[Part], device: torch.device) -> None:
        distinct = list({id(part): part for part in parts}.values())
        places = {id(part): place for place, part in enumerate(distinct)}
        sizes = torch.tensor([len(part) for part in distinct])
        own = torch.tensor([places[id(part)] for part in parts])
        self.counts = sizes[own]
        self._first_row = (sizes.cumsum(0) - sizes)[own]
        self._inputs = _joined([torch.as_tensor(part.inputs) for part in distinct]).to(device)
        self._targets = _joined([part.targets for part in distinct]).to(device)
        truths = [part.truth for part in distinct]
        self._truth = None if truths[0] is None else _joined_truth([truth for truth in truths if truth is not None])
        weights = [part.loss_weights for part in distinct]
        self._weights = None if weights[0] is None else _joined([w for w in weights if w is not None]).to(device)

    def numbers(self, copies: Sequence[int], order: Tensor) -> Tensor:
        """Return the numbers of rows in here, on the device.

        Args:
            copies: numbers of the copies.
            order: ``(copies, rows) int64`` numbers within the rows of each copy.
        """
        return (self._first_row[list(copies)].unsqueeze(1) + order).to(self._targets.device)

    def all_numbers(self, copies: Sequence[int]) -> Tensor:
        """Return the numbers of all rows of copies; those of a copy with fewer rows end with its last one repeated."""
        counts = self.counts[list(copies)].unsqueeze(1)
        return self.numbers(copies, torch.arange(int(counts.max())).minimum(counts - 1))

    def inputs(self, numbers: Tensor) -> Tensor:
        """Return the inputs of rows by :meth:`numbers`, ``(copies, rows, *input_shape)``."""
        return self._inputs.index_select(0, numbers.flatten()).view(*numbers.shape, *self._inputs.shape[1:])

    def targets(self, numbers: Tensor) -> Tensor:
        """Return the targets, ``(copies, rows)`` or ``(copies, rows, 1)``."""
        return self._targets.index_select(0, numbers.flatten()).view(*numbers.shape, *self._targets.shape[1:])

    def weights(self, numbers: Tensor) -> Tensor | None:
        """Return the factors of the training loss, ``(copies, rows)``; or ``None``."""
        return None if self._weights is None else self._weights[numbers]

    def truth(self, numbers: Tensor) -> Truth | None:
        """Return what scores compare with, of all rows one copy after the other; or ``None``."""
        return None if self._truth is None else self._truth[numbers.flatten().cpu()]

    def bytes_of_a_row(self) -> int:
        """Return the size of the inputs of a row."""
        return self._inputs[0].numel() * self._inputs.element_size()


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))


def _joined_truth(truths: Sequence[Truth]) -> Truth:
    columns = zip(*((truth.values, truth.base, truth.weights) for truth in truths), strict=True)
    return Truth(*(None if column[0] is None else torch.cat(column) for column in columns))
