"""Step 5, predict: turns samples into labels and probabilities, or into values in the user's units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lifecycle.contract import BINARY, MULTILABEL, REGRESSION, DataSpec
from lifecycle.data.columns import label_sets
from lifecycle.data.columns.names import PREDICTED
from lifecycle.profiling.clock import phase
from lifecycle.runtime import memory
from lifecycle.runtime.threads import shared_pool

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lifecycle.compile.compiled_model import CompiledModel
    from lifecycle.compile.output_units import Units
    from lifecycle.data.batches import Batches
    from lifecycle.data.dataset import Part


def predict(module: CompiledModel, batches: Batches, trainer: pl.Trainer) -> pd.DataFrame:
    """Return the predictions of a model for rows, each once and in order; see :func:`as_frame`."""
    base = None if batches.truth is None else batches.truth.base
    return as_frame(outputs_of(module, batches, trainer), module.units, module.spec, base)


@phase("predict")
def outputs_of(module: CompiledModel, batches: Batches, trainer: pl.Trainer) -> Tensor:
    """Return the outputs of the network for rows, ``(rows, num_outputs)`` logits or values, each once and in order."""
    from pytorch_lightning import Callback

    found: list[Tensor] = []

    class Collect(Callback):
        """Puts the outputs of each batch into one tensor; kept by themselves, they would divide the freed memory."""

        def on_predict_batch_end(self, *about: Any) -> None:
            outputs, index = about[2], about[4]
            if not found:
                with torch.inference_mode(False):
                    shape = len(batches.inputs), *outputs.shape[1:]
                    found.append(torch.empty(shape, dtype=outputs.dtype, device=outputs.device))
            found[0][index * batches.batch_size :][: len(outputs)] = outputs

    collect = Collect()
    trainer.callbacks.append(collect)  # type: ignore[attr-defined]
    try:
        with memory.kept():
            trainer.predict(module, batches, return_predictions=False)
    finally:
        trainer.callbacks.remove(collect)  # type: ignore[attr-defined]
    return found[0].cpu()


def passes(network: nn.Module, inputs: Tensor, rows_at_once: int) -> Tensor:
    """Return a network's outputs for ``(rows, *input_shape)``, ``rows_at_once`` rows in a pass, in order.

    Each thread computes whole passes, instead of a share of each pass. So the arithmetic does not depend on the number
    of threads, and no thread waits for another, which on a busy machine takes longer than the arithmetic.
    """

    def output(part: Tensor) -> Tensor:
        # Autocast that a caller switched on would change the numbers.
        with torch.inference_mode(), torch.autocast(part.device.type, enabled=False):
            result: Tensor = network(part)
            return result

    parts = torch.split(inputs, rows_at_once)
    threads = torch.get_num_threads()
    if threads == 1:
        return torch.cat([output(part) for part in parts])
    return torch.cat(list(shared_pool(threads).map(output, parts)))


@phase("predict")
def as_frame(outputs: Tensor, units: Units, spec: DataSpec, base: Tensor | None = None) -> pd.DataFrame:
    """Return the columns of :func:`as_columns` as a frame, a row for each sample."""
    return pd.DataFrame(as_columns(outputs, units, spec, base))


def as_columns(
    outputs: Tensor, units: Units, spec: DataSpec, base: Tensor | None = None
) -> dict[str, np.ndarray[Any, Any]]:
    """Return ``predicted``, and ``probability_<class>`` for each class or label, ``(rows,)`` each.

    Of several labels, ``predicted`` is the set of those with a probability above 0.5, such as ``cat|dog``.

    Args:
        outputs: ``(rows, num_outputs)`` logits or values of a network.
        units: turn them into probabilities, or values in the user's units.
        spec: the task and its class names.
        base: ``(rows, 1)`` values to which the outputs of a regression are differences; ``None``: they are not.
    """
    # In float64, so that the probabilities of a row sum to 1 within the tolerance that scikit-learn checks.
    values: np.ndarray[Any, Any] = units(outputs.detach().cpu().double(), base).numpy()
    if spec.task == REGRESSION:
        return {PREDICTED: values[:, 0]}
    if spec.task == MULTILABEL:
        sets = [[name for name, value in zip(spec.class_names, row, strict=True) if value > 0.5] for row in values]
        predicted = np.array(list(map(label_sets.joined, sets)), dtype=object)
        return dict(zip(column_names(spec), [predicted, *values.T], strict=True))
    if spec.task == BINARY:
        values = np.column_stack([1 - values[:, 0], values[:, 0]])
    names = np.array(spec.class_names, dtype=object)  # of objects, so that rows share one text for each class
    columns = [names[values.argmax(axis=1)], *values.T]
    return dict(zip(column_names(spec), columns, strict=True))


def column_names(spec: DataSpec) -> list[str]:
    """Return the names of the columns of predictions."""
    return [PREDICTED, *(f"probability_{name}" for name in spec.class_names)]


@phase("predict")
def with_truth(predictions: pd.DataFrame, part: Part) -> pd.DataFrame:
    """Return predictions after the row number, the time and file if known, and the true label or value."""
    known = {"time": part.times, "file": part.files, **part.about}
    named = {name: values for name, values in known.items() if values is not None}
    return pd.concat([pd.DataFrame({"row": part.rows, **named, "actual": part.labels}), predictions], axis=1)
