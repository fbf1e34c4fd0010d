"""The subcommand ``sweep``: lists the sweeps, or shows the leader board of one. Imports neither torch nor MLflow."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.config.schema import TrackingConfig
from lifecycle.plots.style import short

MOST_CHARACTERS = 80

WITH_COMMANDS = 120
"""Columns of a terminal in which a command has a column; in a narrower one it is below its sweep."""


@dataclass
class Sweep:
    """Options of ``lifecycle sweep``."""

    sweep: str | None = option(None, "a sweep whose leader board is shown, or latest; null: a list of all", ("latest",))
    metric: str | None = option(None, "score that ranks configurations; null: that of the sweep")
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


OPTIONS = Sweep
EXAMPLE = "lifecycle sweep sweep=latest"


def run(typed: list[str]) -> None:
    """Print the sweeps of a folder of runs, the latest first, or the leader board of one.

    Raises:
        RequestError: there is no such sweep, or no run has the metric.
    """
    options = arguments.read(typed, Sweep, "sweep")
    # They import NumPy, which the help does not need.
    from lifecycle.console.tables import print_table
    from lifecycle.runtime.lines import WIDE, say, width_of
    from lifecycle.sweeps import plan as plans
    from lifecycle.sweeps.results.board import board_of
    from lifecycle.sweeps.results.report import print_board
    from lifecycle.tracking import sweep_runs

    if options.sweep is not None:
        print_board(board_of(plans.find(options.tracking, options.sweep), options.metric), verbose=1)
        return
    console = Console(highlight=False, soft_wrap=True, width=width_of(sys.stdout) or WIDE)
    names = sweep_runs.names(Path(options.tracking.dir).expanduser().absolute())
    if not names:
        console.print("no sweeps yet; begin one with for instance: lifecycle -m data=iris seed=1,2,3")
        return
    heads = ("sweep", "started", "done", "pruned", "failed", "left", "command")
    is_narrow = console.width < WITH_COMMANDS
    commands = []
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for head in heads[:-1] if is_narrow else heads:
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    for name in names:
        plan = plans.read_head(plans.folder_of(options.tracking, name))
        signatures = sweep_runs.signatures_in(plan.folder)
        counts = sweep_runs.counts_of(plan.place, plan.tracking.experiment, signatures, name)
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(plan.started))
        numbers = [Text(str(counts[key]), "red" if key == "failed" and counts[key] else "") for key in counts]
        commands.append(plan.command)
        table.add_row(name, started, *numbers, *([] if is_narrow else [Text(short(plan.command, MOST_CHARACTERS))]))
    print_table(console, table, below=commands if is_narrow else ())
    say("\nlifecycle resume sweep=<name> continues one, lifecycle sweep sweep=<name> shows its leader board")
