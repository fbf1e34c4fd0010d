"""A trained network as a program of its own, whose numbers are compared with the network's before it is left behind.

The program takes preprocessed samples and returns what a person reads: a probability a class, or values in the
target's units. What preprocesses raw rows lies beside it.
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

from lifecycle.compile.output_units import Units
from lifecycle.contract import BINARY
from lifecycle.errors import LifecycleError, RequestError, Setting
from lifecycle.predict import saved_model
from lifecycle.predict.export_readme import INPUTS, PREDICTIONS, describe
from lifecycle.predict.trained_model import TrainedModel

BATCHES = (1, 7)
"""Samples at once in the checks."""

TOLERANCE = 1e-5
"""Of a probability, or of a value in the scale that was trained on; beyond 1, a share of it."""

SINGLE = 2.0**-22
"""Of a value in its own units: what single precision rounds."""

Program = Callable[[Tensor], Tensor]


class ExportError(LifecycleError):
    """A network cannot be exported, or the program that came of it gives other numbers. Nothing is left behind."""


class Readable(nn.Module):
    """A network whose outputs are what a person reads.

    Args:
        network: returns logits or values.
        units: makes probabilities of them, or values in the target's units.
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
        name: ``torch_export``, ``onnx`` or ``safetensors``.
        output: the folder to make.

    Returns:
        Lines that say what is there and how it was checked.

    Raises:
        ExportError: see there.
        RequestError: the folder cannot be made.
    """
    trained = saved_model.load(folder)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=output.parent) as scratch:
            fresh = Path(scratch) / output.name
            fresh.mkdir()
            for file in (saved_model.MANIFEST, saved_model.PREPROCESSING):
                shutil.copyfile(folder / file, fresh / file)
            file, difference = _EXPORTERS[name](trained, folder, fresh)
            describe(trained, fresh, file, name)
            fresh.rename(output)
    except OSError as error:
        raise RequestError(
            Setting("output", output), f"cannot be written: {error.strerror or error}", remedy="Name another folder."
        ) from error
    return [
        f"Wrote {output / file}, with its preprocessing beside it; {output / 'README.md'} says how to use it.",
        f"Batches of 1 and of 7 give the run's numbers: the largest difference is {difference:.1e}.",
    ]


def compare(trained: TrainedModel, program: Program) -> float:
    """Return the largest difference of a program's numbers and the run's, on samples of the scale of training rows.

    Raises:
        ExportError: it is above :data:`TOLERANCE`.
    """
    readable, largest = Readable(trained.network.eval(), trained.units), 0.0
    draws = torch.Generator().manual_seed(0)
    for batch in BATCHES:
        for draw in (torch.rand, torch.randn):  # pixels are 0 to 1; standardised numbers around 0
            inputs = draw(batch, *trained.spec.input_shape, generator=draws)
            with torch.no_grad():
                wanted = readable(inputs)
            largest = max(largest, _difference(program, inputs, wanted, trained))
    return largest


def _difference(program: Program, inputs: Tensor, wanted: Tensor, trained: TrainedModel) -> float:
    """Return the largest difference for one batch."""
    try:
        with torch.no_grad():
            found = program(inputs)
    except Exception as error:  # a program that took the batch of its example for the only one
        raise ExportError(f"the program cannot take a batch of {len(inputs)}: {_reason(error)}.") from error
    if found.shape != wanted.shape:
        raise ExportError(
            f"the program gives {tuple(found.shape)} numbers for a batch of {len(inputs)}, and the run gives "
            f"{tuple(wanted.shape)}."
        )
    units, values = trained.units, wanted.double()
    apart = (found.double() - values).abs()
    scaled = ((values - units.offset) / units.scale).abs().clamp_min(1)  # beyond 1, a share of it
    if not (apart <= TOLERANCE * units.scale * scaled + SINGLE * values.abs()).all():  # nor is NaN
        raise ExportError(
            f"the program's numbers differ from the run's by {float(apart.max()):.1e} on a batch of {len(inputs)}: "
            f"more than {TOLERANCE:g}. Nothing is left of it."
        )
    return float(apart.max())


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
        names: dict[str, Any] = {"input_names": [INPUTS], "output_names": [PREDICTIONS]}
        torch.onnx.export(_traced(trained), (), fresh / name, dynamo=True, external_data=False, verbose=False, **names)
        session = onnxruntime.InferenceSession(fresh / name, providers=["CPUExecutionProvider"])

    def program(inputs: Tensor) -> Tensor:
        (predictions,) = session.run([PREDICTIONS], {INPUTS: inputs.numpy()})
        return torch.from_numpy(predictions)

    return name, compare(trained, program)


def _safetensors(trained: TrainedModel, folder: Path, fresh: Path) -> tuple[str, float]:
    shutil.copyfile(folder / saved_model.WEIGHTS, fresh / saved_model.WEIGHTS)
    copied = saved_model.load(fresh)
    return saved_model.WEIGHTS, compare(trained, Readable(copied.network, copied.units))


_EXPORTERS: dict[str, Callable[[TrainedModel, Path, Path], tuple[str, float]]] = {
    "torch_export": _torch_export,
    "onnx": _onnx,
    "safetensors": _safetensors,
}


def _traced(trained: TrainedModel) -> torch.export.ExportedProgram:
    """Return what the network does with a batch of any size, without its dropout."""
    readable = Readable(trained.network.eval(), trained.units).eval()
    example = torch.zeros(3, *trained.spec.input_shape)  # neither 1 nor a size that a layer has
    return torch.export.export(readable, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))


@contextmanager
def _failing(trained: TrainedModel, name: str) -> Iterator[None]:
    """Tell in a sentence why a network cannot be exported; what the exporters say meanwhile is for their authors."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # the exporters' own, or what a plugin's network raises
        raise ExportError(
            f"model={trained.model_name} cannot be exported as format={name}: {_reason(error)}. Mend its forward(), "
            "in which the batch may have any size (x.shape[0], not len(x)) and no branch may depend on values; or use "
            "format=safetensors."
        ) from error
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """Return the line of an exporter's long words that says what is wrong."""
    while error.__cause__ is not None and type(error).__module__.startswith("torch.onnx"):
        error = error.__cause__
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()] or ["no more is known"]
    why = next((line for line in lines if "specialized" in line or "data-dependent" in line), lines[0])
    return f"{type(error).__name__}: {why}".rstrip(".")[:400]
