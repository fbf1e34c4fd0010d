"""Batches as rows: a DataLoader, an iterable dataset, a generator or a list of batches.

Preprocessing is learnt from the rows of the first epoch. A source whose batches may change with each epoch (all but a
``TensorDataset``) is read anew in each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

from lifecycle.errors import RequestError

Rows = tuple[Any, Any, Any]
"""Inputs, targets, and weights or ``None``."""

WHERE = "Give steps_per_epoch: the number of its batches in an epoch."


@dataclass(frozen=True)
class Stream:
    """Rows of a fit in batches.

    Attributes:
        rows: of the first epoch.
        next_rows: returns those of the next epoch; ``None``: they are the same.
        batch_size: of the batches.
        shuffle: whether the fit shuffles the rows, as the source did or did not do itself.
    """

    rows: Rows
    next_rows: Callable[[], Rows] | None
    batch_size: int
    shuffle: bool


def is_stream(X: Any) -> bool:  # noqa: N803
    """Return whether an argument holds batches of inputs and targets, rather than inputs."""
    if isinstance(X, Dataset | DataLoader | Iterator) or inspect.isgeneratorfunction(X):
        return True
    # Keras's Sequence and PyDataset, and other iterables of batches; arrays and frames have a shape, lists are rows.
    is_rows = hasattr(X, "shape") or hasattr(X, "columns") or isinstance(X, list | tuple | dict | str)
    return not is_rows and (hasattr(X, "__iter__") or hasattr(X, "__getitem__"))


def read(source: Any, steps_per_epoch: int | None, name: str = "X") -> Stream:
    """Read the batches of an epoch.

    Args:
        source: what :func:`is_stream` recognises; batches are ``(X, y)`` or ``(X, y, sample_weight)``.
        steps_per_epoch: number of batches in an epoch; ``None``: all of them.
        name: of the argument, for messages.

    Raises:
        RequestError: there are no batches, or they hold no inputs and targets.
    """
    if steps_per_epoch is not None and (not isinstance(steps_per_epoch, int | np.integer) or steps_per_epoch < 1):
        raise RequestError("steps_per_epoch", "must be 1 or more", steps_per_epoch, "Leave it out to take all.")
    if isinstance(source, DataLoader) and isinstance(source.dataset, TensorDataset) and steps_per_epoch is None:
        tensors = source.dataset.tensors
        if len(tensors) in (2, 3) and isinstance(source.sampler, RandomSampler) and not source.drop_last:
            rows = (tensors[0], tensors[1], tensors[2] if len(tensors) == 3 else None)
            return Stream(rows, None, source.batch_size or 32, shuffle=not source.sampler.replacement)
    if isinstance(source, Dataset):
        source = DataLoader(source, batch_size=32, shuffle=not isinstance(source, IterableDataset))
    epochs = _epochs(source, steps_per_epoch, name)
    batches = next(epochs)
    size = len(batches[0][0])
    first = _together(batches, name)
    rows_of_epoch = len(first[0])

    def next_rows() -> Rows:
        found = _together(next(epochs), name)
        if len(found[0]) != rows_of_epoch:
            problem = f"has {len(found[0])} rows in an epoch after {rows_of_epoch} in the first"
            raise RequestError(name, problem, remedy="Give the same number of rows in each epoch: batches of one size.")
        return found

    fixed = isinstance(source, DataLoader) and isinstance(source.dataset, TensorDataset)
    fixed = fixed and not isinstance(source.sampler, RandomSampler)
    return Stream(first, None if fixed and steps_per_epoch is None else next_rows, size, shuffle=False)


def all_rows(source: Any, name: str) -> Rows:
    """Return all rows of a source of batches, for validation or evaluation.

    Raises:
        RequestError: as :func:`read`; a generator without an end cannot be read.
    """
    return read(source, None, name).rows


def inputs(source: Any) -> np.ndarray[Any, Any]:
    """Return the inputs of a source of batches, in order; batches are inputs, or tuples that begin with them.

    Raises:
        RequestError: it has no batches.
    """
    if isinstance(source, Dataset):
        source = DataLoader(source, batch_size=32)
    found = [_array(batch[0] if isinstance(batch, tuple | list) else batch) for batch in _started(source)]
    if not found:
        raise RequestError("X", "has no batches", remedy="Give one or more.")
    return np.concatenate(found)


def _epochs(source: Any, steps: int | None, name: str) -> Iterator[list[Any]]:
    """Yield the batches of each epoch; an iterable that ends begins again, a generator cannot."""
    batches = _started(source)
    if steps is None and isinstance(source, Iterator):
        raise RequestError(name, "is a generator, whose end is not known", remedy=WHERE)
    number = 0
    while True:
        found = list(islice(batches, steps))
        while steps is not None and len(found) < steps:
            if isinstance(source, Iterator):
                problem = f"ended in epoch {number + 1}, after {number * steps + len(found)} batches"
                remedy = "Give a function that returns a new generator, or fewer epochs or steps_per_epoch."
                raise RequestError(name, problem, remedy=remedy)
            batches = _started(source)
            more = list(islice(batches, steps - len(found)))
            if not more:
                raise RequestError(name, "has no batches", remedy="Give one or more.")
            found += more
        if not found:
            raise RequestError(name, "has no batches", remedy="Give one or more.")
        number += 1
        yield found
        batches = _started(source) if steps is None else batches


def _started(source: Any) -> Iterator[Any]:
    if inspect.isgeneratorfunction(source):
        return iter(source())
    if hasattr(source, "__iter__"):
        return iter(source)
    return (source[index] for index in range(len(source)))  # Keras's Sequence


def _together(batches: Iterable[Any], name: str) -> Rows:
    """Return the rows of batches."""
    columns: list[list[np.ndarray[Any, Any]]] = [[], [], []]
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            problem = "must yield batches of (X, y) or (X, y, sample_weight)"
            raise RequestError(name, problem, type(batch).__name__, "Return inputs and targets.")
        for column, values in zip(columns, batch, strict=False):
            column.append(_array(values))
    inputs, targets, weights = columns
    return np.concatenate(inputs), np.concatenate(targets), np.concatenate(weights) if weights else None


def _array(values: Any) -> np.ndarray[Any, Any]:
    values = values.detach().cpu() if hasattr(values, "detach") else values
    return np.asarray(values)
