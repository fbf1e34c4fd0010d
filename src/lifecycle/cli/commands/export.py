"""The verb ``export``: a run's network as a program of its own, checked before it is called done."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lifecycle.cli import arguments
from lifecycle.errors import RequestError, did_you_mean
from lifecycle.tracking import found_run

FORMATS = {"torch_export": (), "onnx": ("onnx", "onnxscript", "onnxruntime"), "safetensors": ()}
"""Each format with the packages that it takes beyond our own; pip knows them as the extra ``export``."""

FILES = (".pt2", ".onnx", ".safetensors")


@dataclass
class Export(found_run.Which):
    """What ``lifecycle export`` takes."""

    format: str = ""  # torch_export, onnx or safetensors
    output: str | None = None  # a folder, which is made; null: <run>-<format> in the working folder


def run(typed: list[str]) -> None:
    """Export a run's model, and say where it is.

    Raises:
        RequestError: the run, the format or the folder cannot be used as it is, or a package is missing.
        ExportError: the network cannot be exported, or what came of it gives other numbers; nothing is left behind.
    """
    asked = arguments.read(typed, Export, "export")
    _check_format(asked.format)
    if asked.output is not None:
        _check_output(asked.output)
    found = found_run.find(asked)
    folder = found.model_folder()
    output = Path(_default(found, asked.format) if asked.output is None else asked.output).expanduser()
    _check_output(str(output))
    from lifecycle.predict import export

    for line in export.export(folder, asked.format, output):
        print(line)


def _check_format(name: str) -> None:
    known = ", ".join(FORMATS)
    if not name:
        raise RequestError(f"format is not chosen. Add {', '.join(f'format={one}' for one in FORMATS)}.")
    if name not in FORMATS:
        raise RequestError(f"format={name} is not known.{did_you_mean(name, FORMATS)} Choose from: {known}.")
    missing = [package for package in FORMATS[name] if find_spec(package) is None]
    if missing:
        raise RequestError(
            f"format={name} needs the packages {', '.join(missing)}, which are not installed. "
            "Run pip install 'nn-lifecycle[export]'."
        )


def _check_output(output: str) -> None:
    path = Path(output).expanduser()
    if path.suffix in FILES:
        raise RequestError(
            f"output={output} names a file, and an export is a folder: the program with its preprocessing beside it. "
            f"Write output={path.with_suffix('')}."
        )
    if path.exists() or path.is_symlink():
        raise RequestError(f"output={output} is there already. Name another folder, or remove it.")


def _default(found: found_run.FoundRun, name: str) -> str:
    of = found.name if found.id is None else f"{found.name}-{found.id[:8]}"
    plain = re.sub(r"[^\w.-]+", "-", Path(of).name)
    return f"{plain or 'model'}-{name}"
