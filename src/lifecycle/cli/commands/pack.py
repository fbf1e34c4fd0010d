"""The subcommand ``pack``: writes one run with its model, artifacts and checkpoints into a zip file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime.lines import say
from lifecycle.tracking import found_run

ENDING = ".zip"


@dataclass
class Pack(found_run.Which):
    """Options of ``lifecycle pack``."""

    output: str = option("", "a new file, such as run.zip")


OPTIONS = Pack
EXAMPLE = "lifecycle pack run=best output=run.zip"


def run(typed: list[str]) -> None:
    """Write a run into a zip file, and print what is in it.

    Raises:
        RequestError: the run or the file cannot be used.
    """
    options = arguments.read(typed, Pack, "pack")
    output = _checked(options.output)
    found = found_run.find(options, found_run.ANY if options.run != "latest" else found_run.ENDED)
    if found.id is None or found.folder is None:
        problem = "is a folder with a saved model, and only a run can be packed"
        raise RequestError(Setting("run", options.run), problem, remedy="Name the run, or copy the folder.")
    from lifecycle.runtime.files.disk import size_text
    from lifecycle.tracking.transfer import archive

    try:
        packed = archive.pack(found.folder, found.id, output)
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise RequestError(Setting("output", options.output), problem, remedy="Name another file.") from error
    size = size_text(output.stat().st_size)
    status = "" if packed.copy.status == found.status else f" as {packed.copy.status}, as its process is gone"
    say(f"Packed run {found.name} ({found.id}) into {options.output}{status}: {len(packed.files)} files, {size}")
    say(f"Use it elsewhere: lifecycle unpack input={output.name}")


def _checked(typed: str) -> Path:
    if not typed:
        raise RequestError("output", "is not chosen", remedy="Add output=run.zip, for instance.")
    output = Path(typed).expanduser()
    if output.suffix.lower() != ENDING:
        problem = "must be a zip file"
        raise RequestError(Setting("output", typed), problem, remedy=f"Write output={output.with_suffix(ENDING)}.")
    if output.exists() or output.is_symlink():
        raise RequestError(Setting("output", typed), "exists already", remedy="Name another file, or remove it.")
    if not output.absolute().parent.is_dir():
        problem = f"is in a folder that does not exist: {output.parent}"
        raise RequestError(Setting("output", typed), problem, remedy="Create it, or name another.")
    return output
