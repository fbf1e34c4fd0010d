"""The subcommand ``export``: exports a run's network as a program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.errors import RequestError, Setting, Text, did_you_mean
from lifecycle.runtime.lines import say
from lifecycle.tracking import found_run

FORMATS = {"torch_export": (), "onnx": ("onnx", "onnxscript", "onnxruntime"), "safetensors": ()}
"""Format -> the packages that it needs in addition to our own requirements; those of the extra ``export``."""

FILES = (".pt2", ".onnx", ".safetensors")


@dataclass
class Export(found_run.Which):
    """Options of ``lifecycle export``."""

    format: str = option("", "torch_export, onnx or safetensors", tuple(FORMATS))
    output: str | None = option(None, "a new folder; null: <run>-<format> in the working folder")


OPTIONS = Export
EXAMPLE = "lifecycle export run=latest format=onnx"


def run(typed: list[str]) -> None:
    """Export a run's model, and print where it is.

    Raises:
        RequestError: the run, the format or the folder cannot be used, or a package is missing.
        ExportError: the network cannot be exported, or the exported program returns other values; nothing is written.
    """
    options = arguments.read(typed, Export, "export")
    _check_format(options.format)
    if options.output is not None:
        _check_output(options.output)  # before the run is searched, which is slow
    found = found_run.find(options)
    folder = found.model_folder()
    output = Path(_default_output(found, options.format) if options.output is None else options.output).expanduser()
    # Again, since the name of the default folder is known only with the run.
    _check_output(str(output))
    from lifecycle.predict import export

    for line in export.export(folder, options.format, output):
        say(line)


def _check_format(name: str) -> None:
    if not name:
        *others, last = (f"format={one}" for one in FORMATS)
        remedy: Text = f"Add {', '.join(others)} or {last}."
        raise RequestError("format", "is not chosen", remedy=remedy)
    if name not in FORMATS:
        remedy = f"{did_you_mean(name, FORMATS)} Choose from: {', '.join(FORMATS)}."
        raise RequestError(Setting("format", name), "is not known", remedy=remedy)
    missing = [package for package in FORMATS[name] if find_spec(package) is None]
    if missing:
        problem = f"needs the packages {', '.join(missing)}, which are not installed"
        raise RequestError(Setting("format", name), problem, remedy="Run pip install 'nn-lifecycle[export]'.")


def _check_output(output: str) -> None:
    path = Path(output).expanduser()
    if path.suffix in FILES:
        raise RequestError(
            Setting("output", output),
            "names a file, and an export is a folder with the program and its preprocessing",
            remedy=["Write ", Setting("output", path.with_suffix("")), "."],
        )
    # exists() follows links, and is false for one whose target is missing.
    if path.exists() or path.is_symlink():
        raise RequestError(Setting("output", output), "exists already", remedy="Name another folder, or remove it.")


def _default_output(found: found_run.FoundRun, name: str) -> str:
    of = found.name if found.id is None else f"{found.name}-{found.id[:8]}"
    # A run's name may have characters that a folder's name cannot, such as a slash.
    plain = re.sub(r"[^\w.-]+", "-", Path(of).name)
    return f"{plain or 'model'}-{name}"
