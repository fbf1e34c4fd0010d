"""Step 5, predict: samples become labels and probabilities, or values in the user's units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from lifecycle.contract import BINARY, REGRESSION, DataSpec

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lifecycle.compile import CompiledModel
    from lifecycle.data.batches import Batches
    from lifecycle.data.dataset import Part


def predict(module: CompiledModel, batches: Batches, trainer: pl.Trainer) -> np.ndarray[Any, Any]:
    """Return ``(rows, num_outputs) float32``: probabilities, or values in the user's units, in the rows' order."""
    outputs: Any = trainer.predict(module, batches)
    return np.asarray(torch.cat(outputs).float().cpu().numpy())


def as_frame(outputs: np.ndarray[Any, Any], spec: DataSpec) -> pd.DataFrame:
    """Return a row a sample: ``predicted``, and ``probability_<class>`` for each class.

    Args:
        outputs: ``(rows, num_outputs)`` probabilities or values, as :func:`predict` returns them.
        spec: the task and its class names.
    """
    if spec.task == REGRESSION:
        return pd.DataFrame({"predicted": outputs[:, 0]})
    if spec.task == BINARY:
        outputs = np.column_stack([1 - outputs[:, 0], outputs[:, 0]])
    names = np.array(spec.class_names, dtype=object)
    frame = pd.DataFrame({"predicted": names[outputs.argmax(axis=1)]})
    for code, name in enumerate(spec.class_names):
        frame[f"probability_{name}"] = outputs[:, code]
    return frame


def beside_truth(predictions: pd.DataFrame, part: Part) -> pd.DataFrame:
    """Put the source's row number and the true label or value before each prediction."""
    return pd.concat([pd.DataFrame({"row": part.rows, "actual": part.labels}), predictions], axis=1)
