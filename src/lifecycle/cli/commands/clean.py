"""The subcommand ``clean``: lists checkpoints and files that no run needs, and removes them if asked to."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle import layout
from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import RequestError, Setting, first_line
from lifecycle.runtime.lines import say

if TYPE_CHECKING:
    from lifecycle.tracking.maintenance.removal import Keep, Removable

KEEP = re.compile(r"(best|latest):(\d{1,9})")
OLDER = re.compile(r"(\d{1,6})([hdw])")
SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}


@dataclass
class Clean:
    """Options of ``lifecycle clean``."""

    keep: str | None = option(
        None, "best:20 or latest:20: finished runs that keep checkpoints; null: all runs", ("best:20", "latest:20")
    )
    metric: str | None = option(
        None, "score that keep=best:20 compares; null: the validation loss of the saved weights"
    )
    sweep: str | None = option(None, "multirun of which checkpoints are removed; null: the whole experiment")
    older: str | None = option(None, "remove only what was changed longer ago: 12h, 30d or 8w; null: whenever")
    yes: bool = option(False, "true removes what is listed", ("true", "false"))
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


OPTIONS = Clean
EXAMPLE = "lifecycle clean keep=best:20"
NOTE = (
    "Without yes=true it only lists. Never removed: files of runs that are running or did not finish, and of "
    "registered models."
)


def run(typed: list[str]) -> None:
    """List what can be removed with its size, or remove it.

    Raises:
        RequestError: an option cannot be read, or there are no runs.
    """
    options = arguments.read(typed, Clean, "clean")
    options.tracking.check()
    keep = _keep(options)
    folder = Path(options.tracking.dir).expanduser().absolute()
    if not (folder / layout.DATABASE).is_file():
        raise RequestError(
            Setting("tracking.dir", options.tracking.dir), "has no runs", remedy="Name the folder of your runs."
        )
    from lifecycle.tracking.maintenance import deleted_runs, removal

    try:
        found = removal.remove(folder, keep) if options.yes else removal.removable(folder, keep)
        forgotten = deleted_runs.forget(folder) if options.yes and options.older is None else 0
    except OSError as error:
        problem = f"cannot be cleaned: {first_line(error)}"
        remedy = "Correct this, and type the command again."
        raise RequestError(Setting("tracking.dir", options.tracking.dir), problem, remedy=remedy) from error
    _print(folder, found, options)
    if forgotten:
        rows = "1 deleted run is" if forgotten == 1 else f"{forgotten} deleted runs are"
        say(f"{rows} no longer in the database.")


def _print(folder: Path, found: list[Removable], options: Clean) -> None:
    from lifecycle.runtime.files.disk import size_text

    sizes = [size_text(one.size) for one in found]
    names = [str(one.folder.path.relative_to(folder)) for one in found]
    for one, size, name in zip(found, sizes, names, strict=True):
        say(f"{size:>9}  {name:<{max(map(len, names))}}  {one.reason}")
    total = f"{len(found)} folder{'s' * (len(found) != 1)}, {size_text(sum(one.size for one in found))}"
    if not found:
        say("Nothing to remove.")
    elif options.yes:
        say(f"Removed {total}.")
    else:
        say(f"In all {total}. Nothing was removed: add yes=true to remove them.")


def _keep(options: Clean) -> Keep:
    from lifecycle.tracking.maintenance.removal import Keep

    how, count, before = "", 0, None
    if options.keep is not None:
        found = KEEP.fullmatch(options.keep)
        if found is None:
            remedy = "Write keep=best:20 or keep=latest:20."
            raise RequestError(
                Setting("keep", options.keep), "does not say which runs keep their checkpoints", remedy=remedy
            )
        how, count = found[1], int(found[2])
    elif options.metric is not None or options.sweep is not None:
        name = "metric" if options.metric is not None else "sweep"
        raise RequestError(name, "is about checkpoints of finished runs", remedy="Add keep=best:20, for instance.")
    if options.older is not None:
        age = OLDER.fullmatch(options.older)
        if age is None:
            raise RequestError(Setting("older", options.older), "is no time", remedy="Write older=30d, 12h or 8w.")
        before = time.time() - int(age[1]) * SECONDS[age[2]]
    return Keep(how, count, options.metric, options.tracking.experiment, options.sweep, before)
