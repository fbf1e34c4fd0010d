"""Parts of loading that tables in memory, tables on disk and external rows share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lifecycle.contract import MULTICLASS, DataPlugin, DataSpec, Target
from lifecycle.data.preprocessing import Preprocessing
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
    """Return what a plugin learns from training rows, by their weights where it takes such."""
    if of_rows is None or "weights" not in inspect.signature(plugin.learn).parameters:
        return plugin.learn(inputs)
    learn_by_weight: Callable[..., Any] = plugin.learn
    return learn_by_weight(inputs, weights=of_rows)


def as_targets(encoded: np.ndarray[Any, Any], task: str) -> Tensor:
    """Return encoded targets as the loss takes them: ``(samples,) int64`` classes, or ``(samples, 1) float32``."""
    codes = torch.from_numpy(encoded)
    return codes if task == MULTICLASS else codes.to(torch.float32).reshape(-1, 1)


def spec_of(plugin: DataPlugin, task: str, target: Target, preprocessing: Preprocessing, inputs: Rows) -> DataSpec:
    """Return what a network has to know of the data."""
    return DataSpec(
        task=task,
        input_shape=tuple(inputs.shape[1:]),
        num_outputs=len(preprocessing.class_names) if task == MULTICLASS else 1,
        target_name=target.name,
        class_names=preprocessing.class_names,
        feature_names=plugin.feature_names(preprocessing.inputs),
    )


def as_column(values: np.ndarray[Any, Any]) -> Tensor:
    """Return ``(samples, 1) float64``."""
    return torch.from_numpy(values.astype(np.float64)).reshape(-1, 1)


def take(inputs: pd.DataFrame | np.ndarray[Any, Any], positions: np.ndarray[Any, Any]) -> Any:
    """Return the rows at some positions, of a frame or of an array."""
    return inputs.iloc[positions] if isinstance(inputs, pd.DataFrame) else inputs[positions]
