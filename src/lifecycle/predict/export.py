"""Exports a trained network as a standalone program, after a comparison of its outputs with the network's.

The program takes preprocessed samples and returns probabilities by class, or values in the units of the target. The
folder of the export also holds the preprocessing of raw rows.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lifecycle import layout
from lifecycle.compile.output_units import Units
from lifecycle.contract import BINARY
from lifecycle.errors import LifecycleError, RequestError, Setting
from lifecycle.predict import saved_model
from lifecycle.predict.export_readme import INPUTS, PREDICTIONS, describe
from lifecycle.predict.trained_model import TrainedModel

BATCHES = (1, 7)
"""Batch sizes of the checks: neither is that of the traced example, and tracing may specialize on 1."""

TOLERANCE = 1e-5
"""Largest difference of a probability, or of a value on the scale of training; relative for values beyond 1."""

SINGLE = 2.0**-22
"""Largest relative difference by rounding to float32, two units in the last place."""

Program = Callable[[Tensor], Tensor]


class ExportError(LifecycleError):
    """A network cannot be exported, or the exported program gives other outputs. No files are left."""


class WithUnits(nn.Module):
    """A network followed by its output units.

    Args:
        network: returns logits or standardised values.
        units: turns them into probabilities, or values in the units of the target.
    """

    def __init__(self, network: nn.Module, units: Units) -> None:
        super().__init__()
        self.network, self.units = network, units

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, *input_shape)`` to ``(batch, classes)`` probabilities or ``(batch, 1)`` values."""
        predictions: Tensor = self.units(self.network(inputs))
        return torch.cat([1 - predictions, predictions], dim=1) if self.units.task == BINARY else predictions


def export(folder: Path, name: str, output: Path) -> list[str]:
    """Export a saved model.

    Args:
        folder: of the saved model.
        name: of the format: ``torch_export``, ``onnx`` or ``safetensors``.
        output: the folder to create.

    Returns:
        Lines for the user: what was written and how it was checked.

    Raises:
        ExportError: the network cannot be exported, or the program's outputs differ.
        RequestError: the folder cannot be created.
    """
    trained = saved_model.load(folder)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=output.parent) as scratch:
            fresh = Path(scratch) / output.name
            fresh.mkdir()
            # `lifecycle.saved.prepare` reads them.
            for file in (layout.MANIFEST, layout.PREPROCESSING):
                shutil.copyfile(folder / file, fresh / file)
            file, difference = _EXPORTERS[name](trained, folder, fresh)
            describe(trained, fresh, file, name)
            fresh.rename(output)  # the folder appears complete or not at all
    except OSError as error:
        raise RequestError(
            Setting("output", output), f"cannot be written: {error.strerror or error}", remedy="Name another folder."
        ) from error
    return [
        f"Wrote {output / file} and its preprocessing; {output / 'README.md'} says how to use them.",
        f"Batches of 1 and of 7 give the run's numbers: the largest difference is {difference:.1e}.",
    ]


def compare(trained: TrainedModel, program: Program) -> float:
    """Return the largest difference between the outputs of a program and the network, on random samples.

    Raises:
        ExportError: it exceeds :data:`TOLERANCE`.
    """
    reference, largest = WithUnits(trained.network.eval(), trained.units), 0.0
    draws = torch.Generator().manual_seed(0)  # the same samples each time, so that an export fails always or never
    for batch in BATCHES:
        for draw in (torch.rand, torch.randn):  # pixels are 0 to 1; standardised numbers around 0
            inputs = draw(batch, *trained.spec.input_shape, generator=draws)
            with torch.no_grad():
                expected = reference(inputs)
            largest = max(largest, _difference(program, inputs, expected, trained))
    return largest


def _difference(program: Program, inputs: Tensor, expected: Tensor, trained: TrainedModel) -> float:
    """Return the largest difference for one batch."""
    try:
        with torch.no_grad():
            outputs = program(inputs)
    except Exception as error:  # tracing may have fixed the batch size to that of the example
        raise ExportError(f"the program cannot take a batch of {len(inputs)}: {_reason(error)}.") from error
    if outputs.shape != expected.shape:
        raise ExportError(
            f"the program returns outputs of shape {tuple(outputs.shape)} for a batch of {len(inputs)}, and the run of "
            f"shape {tuple(expected.shape)}."
        )
    units, values = trained.units, expected.double()
    difference = (outputs.double() - values).abs()
    scaled = ((values - units.offset) / units.scale).abs().clamp_min(1)  # relative beyond 1
    # Not written as `difference > limit`, which would let NaN pass.
    if not (difference <= TOLERANCE * units.scale * scaled + SINGLE * values.abs()).all():
        raise ExportError(
            f"the program's outputs differ from the run's by {float(difference.max()):.1e} on a batch of "
            f"{len(inputs)}: more than {TOLERANCE:g}. Nothing was written."
        )
    return float(difference.max())


def _torch_export(trained: TrainedModel, _folder: Path, fresh: Path) -> tuple[str, float]:
    name = "model.pt2"
    with _failing(trained, "torch_export"):
        torch.export.save(_traced(trained), fresh / name)
        program: Any = torch.export.load(fresh / name).module()
    return name, compare(trained, program)


def _onnx(trained: TrainedModel, _folder: Path, fresh: Path) -> tuple[str, float]:
    import onnxruntime

    name = "model.onnx"
    with _failing(trained, "onnx"):
        # external_data=False: one file, which can be copied without its weights being forgotten.
        names: dict[str, Any] = {"input_names": [INPUTS], "output_names": [PREDICTIONS]}
        torch.onnx.export(_traced(trained), (), fresh / name, dynamo=True, external_data=False, verbose=False, **names)
        session = onnxruntime.InferenceSession(fresh / name, providers=["CPUExecutionProvider"])

    def program(inputs: Tensor) -> Tensor:
        (predictions,) = session.run([PREDICTIONS], {INPUTS: inputs.numpy()})
        return torch.from_numpy(predictions)

    return name, compare(trained, program)


def _safetensors(trained: TrainedModel, folder: Path, fresh: Path) -> tuple[str, float]:
    shutil.copyfile(folder / layout.WEIGHTS, fresh / layout.WEIGHTS)
    copied = saved_model.load(fresh)
    return layout.WEIGHTS, compare(trained, WithUnits(copied.network, copied.units))


_EXPORTERS: dict[str, Callable[[TrainedModel, Path, Path], tuple[str, float]]] = {
    "torch_export": _torch_export,
    "onnx": _onnx,
    "safetensors": _safetensors,
}


def _traced(trained: TrainedModel) -> torch.export.ExportedProgram:
    """Trace the network in evaluation mode, for batches of any size."""
    module = WithUnits(trained.network.eval(), trained.units).eval()
    # Neither 1, on which torch.export specializes, nor a size that a layer is likely to have.
    example = torch.zeros(3, *trained.spec.input_shape)
    return torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))


@contextmanager
def _failing(trained: TrainedModel, name: str) -> Iterator[None]:
    """Raise ``ExportError`` with one sentence if an exporter fails; hide its own log and warnings."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # of the exporter, or of a plugin's network
        raise ExportError(
            f"model={trained.model_name} cannot be exported as format={name}: {_reason(error)}. Fix its forward(), "
            "in which the batch may have any size (x.shape[0], not len(x)) and no branch may depend on values; or use "
            "format=safetensors."
        ) from error
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """Return the line of an exporter's long message that gives the reason."""
    while error.__cause__ is not None and type(error).__module__.startswith("torch.onnx"):
        error = error.__cause__
    # torch.export writes pages of advice, in which one of these two words marks the line with the reason.
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()] or ["no reason given"]
    why = next((line for line in lines if "specialized" in line or "data-dependent" in line), lines[0])
    return f"{type(error).__name__}: {why}".rstrip(".")[:400]
