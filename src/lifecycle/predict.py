"""Step 5, predict: samples become labels and probabilities, or values in the user's units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lifecycle.contract import BINARY, REGRESSION, DataSpec
from lifecycle.profiling import phase

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lifecycle.compile import CompiledModel
    from lifecycle.data.batches import Batches
    from lifecycle.data.dataset import Part
    from lifecycle.units import Units


def predict(module: CompiledModel, batches: Batches, trainer: pl.Trainer) -> pd.DataFrame:
    """Return the predictions of a model for rows, each once and in order; see :func:`as_frame`."""
    return as_frame(outputs_of(module, batches, trainer), module.units, module.spec, batches.base)


@phase("predict")
def outputs_of(module: CompiledModel, batches: Batches, trainer: pl.Trainer) -> Tensor:
    """Return the network's own outputs for rows, ``(rows, num_outputs)`` logits or values, each once and in order."""
    outputs: Any = trainer.predict(module, batches)
    return torch.cat(outputs).cpu()


@phase("predict")
def as_frame(outputs: Tensor, units: Units, spec: DataSpec, base: Tensor | None = None) -> pd.DataFrame:
    """Return a row a sample: ``predicted``, and ``probability_<class>`` for each class.

    Args:
        outputs: ``(rows, num_outputs)`` logits or values, as a network returns them.
        units: what makes probabilities, or values in the user's units, of them.
        spec: the task and its class names.
        base: ``(rows, 1)`` that a regression's values are differences to, where they are.
    """
    # In double precision, so that the probabilities of a row sum to 1 as closely as other tools ask for.
    values: np.ndarray[Any, Any] = units(outputs.detach().cpu().double(), base).numpy()
    if spec.task == REGRESSION:
        return pd.DataFrame({"predicted": values[:, 0]})
    if spec.task == BINARY:
        values = np.column_stack([1 - values[:, 0], values[:, 0]])
    names = np.array(spec.class_names, dtype=object)
    shares = {f"probability_{name}": values[:, code] for code, name in enumerate(spec.class_names)}
    return pd.DataFrame({"predicted": names[values.argmax(axis=1)], **shares})


@phase("predict")
def beside_truth(predictions: pd.DataFrame, part: Part) -> pd.DataFrame:
    """Put row number, time and file, as far as there are such, and the true label or value before each prediction."""
    known = {"time": part.times, "file": part.files}
    named = {name: values for name, values in known.items() if values is not None}
    return pd.concat([pd.DataFrame({"row": part.rows, **named, "actual": part.labels}), predictions], axis=1)
