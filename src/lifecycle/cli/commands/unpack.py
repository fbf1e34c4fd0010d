"""The subcommand ``unpack``: takes the run of a zip file that ``pack`` wrote into a folder of runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import RequestError, Setting, first_line
from lifecycle.runtime.lines import say

if TYPE_CHECKING:
    from lifecycle.tracking.transfer.archive import Packed


@dataclass
class Unpack:
    """Options of ``lifecycle unpack``."""

    input: str = option("", "a file that lifecycle pack wrote")
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


OPTIONS = Unpack
EXAMPLE = "lifecycle unpack input=run.zip"
NOTE = "The run keeps its id, and its experiment unless tracking.experiment names another."


def run(typed: list[str]) -> None:
    """Check a zip file and take its run into a folder of runs, all of it or nothing.

    Raises:
        RequestError: the file is damaged or unsafe, or the folder has another run of this id.
    """
    options = arguments.read(typed, Unpack, "unpack")
    if not options.input:
        raise RequestError("input", "is not chosen", remedy="Add input=run.zip, for instance.")
    options.tracking.check()
    key = Setting("input", options.input)
    from lifecycle.tracking.store import open_store
    from lifecycle.tracking.transfer import archive, local

    with archive.opened(Path(options.input).expanduser(), key) as (opened, packed_run):
        packed = packed_run
        if options.tracking.experiment != TrackingConfig.experiment:
            packed = replace(packed, copy=replace(packed.copy, experiment=options.tracking.experiment))
        store = open_store(replace(options.tracking, experiment=packed.copy.experiment))
        with store.lock():
            known = local.read(store.folder, packed.copy.id)
            if known is not None:
                _check_is_same(options, archive.is_same(packed, known), packed)
                return
            try:
                archive.unpack(opened, packed, store.folder, key)
            except OSError as error:
                problem, remedy = f"cannot be written: {first_line(error)}", "Name another folder."
                raise RequestError(Setting("tracking.dir", options.tracking.dir), problem, remedy=remedy) from error
    where = "" if options.tracking.dir == TrackingConfig.dir else f" tracking.dir={options.tracking.dir}"
    run_id = packed.copy.id
    say(f"Unpacked run {packed.copy.name} ({run_id}), {packed.copy.status}: {len(packed.files)} files, as packed")
    use = "predict" if packed.copy.models or packed.copy.status == "FINISHED" else "resume"
    words = " input=new.csv output=predicted.csv" if use == "predict" else ""
    say(f"Use it: lifecycle {use} run={run_id[:8]}{words}{where}")


def _check_is_same(options: Unpack, is_same: bool, packed: Packed) -> None:
    name = f"run {packed.copy.name} ({packed.copy.id})"
    if is_same:
        say(f"{options.tracking.dir} has {name} already, with the same content; nothing was changed.")
        return
    raise RequestError(
        [name],
        f"is in {options.tracking.dir} already, and has other content there",
        remedy="It was resumed, scored or changed since it was packed. Name another tracking.dir.",
    )
