"""Steps that the loaders of tables in memory, large tables and external rows share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lifecycle.contract import MULTICLASS, MULTILABEL, DataPlugin, DataSpec, Samples, Target
from lifecycle.data.dataset import Part
from lifecycle.data.preprocessing import Preprocessing, differences
from lifecycle.data.rows import Rows
from lifecycle.errors import RequestError, Text


def check_finite(inputs: np.ndarray[Any, Any], rows: Sequence[int] | np.ndarray[Any, Any], key: Text) -> None:
    """Refuse inputs with a value that is not finite.

    Args:
        inputs: ``(rows, *input_shape) float32``.
        rows: the number of each row in its source.
        key: subject of the message.

    Raises:
        RequestError: names the row.
    """
    if not np.isfinite(inputs).all():
        row = rows[int(np.flatnonzero(~np.isfinite(inputs.reshape(len(inputs), -1)).all(axis=1))[0])]
        problem = f"has a value that is no finite number in row {row}"
        raise RequestError(key, problem, remedy="Fix or remove the row.")


def learn(plugin: DataPlugin, inputs: Any, of_rows: np.ndarray[Any, Any] | None) -> Any:
    """Return the result of ``plugin.learn`` for the training rows.

    Args:
        plugin: the data plugin; ``weights`` is an optional parameter of its ``learn``.
        inputs: of the training samples.
        of_rows: their weights, if any.
    """
    # Plugins written before there were weights, and those of images, have no such parameter.
    if of_rows is None or "weights" not in inspect.signature(plugin.learn).parameters:
        return plugin.learn(inputs)
    learn_by_weight: Callable[..., Any] = plugin.learn
    return learn_by_weight(inputs, weights=of_rows)


def as_targets(encoded: np.ndarray[Any, Any], task: str) -> Tensor:
    """Return encoded targets in the form of the loss.

    Returns:
        ``(samples,) int64`` classes; ``(samples, labels) float32`` of several labels; else ``(samples, 1) float32``.
    """
    codes = torch.from_numpy(encoded)
    if task == MULTILABEL:
        return codes
    # The losses of a binary classification and of a regression compare with an output of shape (batch, 1).
    return codes if task == MULTICLASS else codes.to(torch.float32).reshape(-1, 1)


def spec_of(plugin: DataPlugin, task: str, target: Target, preprocessing: Preprocessing, inputs: Rows) -> DataSpec:
    """Return the description of the data for the network."""
    return DataSpec(
        task=task,
        input_shape=tuple(inputs.shape[1:]),
        num_outputs=len(preprocessing.class_names) if task in (MULTICLASS, MULTILABEL) else 1,
        target_name=target.name,
        class_names=preprocessing.class_names,
        feature_names=plugin.feature_names(preprocessing.inputs),
    )


def as_column(values: np.ndarray[Any, Any]) -> Tensor:
    """Return ``(samples, 1) float64``."""
    return torch.from_numpy(values.astype(np.float64)).reshape(-1, 1)


def part_of(
    plugin: DataPlugin,
    samples: Samples,
    labels: np.ndarray[Any, Any],
    preprocessing: Preprocessing,
    task: str,
    key: Text,
) -> Part:
    """Preprocess samples in memory.

    Args:
        plugin: applies the preprocessing of inputs.
        samples: the raw samples.
        labels: ``(samples,)`` clean targets.
        preprocessing: fitted.
        task: of the network.
        key: subject of messages.

    Raises:
        RequestError: a preprocessed value is not finite.
    """
    inputs = plugin.apply(preprocessing.inputs, samples.inputs)
    # Values that were finite in float64 may overflow in float32.
    check_finite(inputs, samples.rows, key)
    # With a base, the network learns the difference to it: see Samples.base.
    targets = differences(labels, samples.base, preprocessing.transform)
    return Part(
        inputs=torch.from_numpy(inputs),
        targets=as_targets(preprocessing.encode(targets), task),
        labels=labels,
        rows=samples.rows,
        base=None if samples.base is None else as_column(samples.base),
        naive=dict(samples.naive),
        times=samples.times,
        files=samples.files,
        weights=samples.weights,
        about=dict(samples.about),
    )
