"""The subcommand ``compare``: runs in a table and on an HTML page. Imports no torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lifecycle import layout
from lifecycle.cli import arguments
from lifecycle.comparison.compare import Comparison, compare
from lifecycle.config.fields import option
from lifecycle.console.tables import GAP, blocks, print_table
from lifecycle.console.titles import print_titled
from lifecycle.errors import RequestError, Setting
from lifecycle.plots.style import number, short
from lifecycle.runtime.lines import say, width_of
from lifecycle.tracking import found_run
from lifecycle.tracking.found_run import FoundRun

MOST_CHARACTERS = 40
"""Longest value on a terminal; the middle of a longer one is left out. A file or a pipe gets all of it."""

MOST_RUNS = 100
"""Runs of a sweep in one table."""

LATEST = "latest"

ALWAYS = ("model", "data")
"""Shared parameters that are named also where nobody has typed them."""

# Rich wraps at the width of its console: for a file or a pipe, no line may be longer.
UNLIMITED = 100_000


@dataclass
class Compare(found_run.Which):
    """Options of ``lifecycle compare``."""

    output: str | None = option("compare.html", "the page; null: none")
    by: str | None = option(None, "of a sweep: keys whose values are compared, such as optimizer.lr,model.hidden")

    def __post_init__(self) -> None:
        if self.output is not None and Path(self.output).suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"output must end in .html, got {self.output}. Use for instance output=compare.html.")


OPTIONS = Compare
NOTE = "run= takes several runs, separated by commas; with sweep= it may be left out, and by= compares values."


def run(typed: list[str]) -> None:
    """Print the differences between runs, in configuration and scores, and write the page.

    Raises:
        RequestError: a run does not exist, no run has the score, or the page cannot be written.
    """
    options = arguments.read(typed, Compare, "compare")
    if options.by is not None:
        if options.output is not None and any(word.startswith("output=") for word in typed):
            problem = "is a page of runs, and by= compares values"
            raise RequestError(Setting("output", options.output), problem, remedy="Leave one of them out.")
        _print_by(options)
        return
    note = _limit(options)
    found = found_run.find_many(options, found_run.ANY)
    compared = compare(found, options.metric)
    page = None if options.output is None else _write_page(options, compared, Path(options.output).expanduser())
    _print(compared, page)
    if note:
        say(note)


def _limit(options: Compare) -> str:
    """Choose the runs of a sweep that has too many for a table, and return a sentence on that; "": it has not."""
    from lifecycle.tracking import sweep_runs

    if options.sweep is None or options.run:
        return ""
    folder = Path(options.tracking.dir).expanduser().absolute()
    known = sweep_runs.names(folder)
    name = (known[0] if known else "") if options.sweep == LATEST else options.sweep
    signatures = sweep_runs.signatures_of(folder, name)
    if signatures is None or len(signatures) <= MOST_RUNS:
        return ""
    from lifecycle.sweeps import plan
    from lifecycle.sweeps.results import board

    found = board.board_of(plan.find(options.tracking, name), options.metric)
    runs = [entry.runs[job.number].id for entry in found.entries for job in entry.jobs if job.number in entry.runs]
    if len(runs) <= MOST_RUNS:
        return ""
    options.run = ",".join(runs[:MOST_RUNS])
    return (
        f"These are {MOST_RUNS} of {len(runs)} runs, of the best configurations. "
        f"`lifecycle sweep sweep={found.plan.name}` ranks all configurations, and `lifecycle ui` shows all runs."
    )


def _print_by(options: Compare) -> None:
    """Print the values of keys of a sweep, each with its mean over the runs that have it."""
    from lifecycle.sweeps import plan
    from lifecycle.sweeps.results import board, report

    if options.sweep is None or options.run:
        problem = "compares values within a sweep"
        raise RequestError(Setting("by", options.by), problem, remedy="Name it: sweep=latest.")
    keys = [key.strip() for key in str(options.by).split(",")]
    found = plan.find(options.tracking, options.sweep)
    report.print_board(board.board_of(found, options.metric, keys), verbose=1)


def _write_page(options: Compare, compared: Comparison, file: Path) -> Path:
    from lifecycle.comparison import curves, page

    histories = []
    for one in compared.runs:
        recorded = None if one.artifacts is None else one.artifacts / layout.HISTORY
        if recorded is not None and recorded.is_file():
            histories.append(curves.read(recorded))
        else:  # an unfinished run has no file, only the metrics that were logged
            logged = found_run.histories(options, one)
            histories.append({name: [(float(epoch), value) for epoch, value in logged[name]] for name in logged})
    text = page.draw(compared, histories, file.absolute().parent)
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)  # a full disk leaves the page of an earlier call intact
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise RequestError(Setting("output", file), problem, remedy="Name a file in an existing folder.") from error
    return file


def _print(compared: Comparison, page: Path | None) -> None:
    fits = width_of(sys.stdout)
    # Rich would colour numbers and wrap lines at words, which breaks tables that another program reads.
    console = Console(highlight=False, soft_wrap=True, width=fits or UNLIMITED)
    order = f", by {compared.metric} ({'higher' if compared.higher else 'lower'} is better)" if compared.metric else ""
    experiments = ", ".join(dict.fromkeys(run.experiment for run in compared.runs))
    print_titled(console, "Compared", f"{compared.count} of experiment {experiments}{order}")
    columns = list(_columns(compared, UNLIMITED if fits is None else MOST_CHARACTERS))
    print_titled(console, "Shared", _shared(compared))
    for block in blocks(list(map(_width, columns)), console.width, first=2):
        console.print()
        print_table(console, _table([columns[number] for number in block], compared.groups))
    console.print()
    if compared.partial:
        print_titled(
            console, "", f"({len(compared.partial)} more parameters, which only some runs have, are on the page)"
        )
    if any(compared.best.values()):
        print_titled(console, "", f"* the best of its column{' within its group' if compared.groups[-1] else ''}")
    for note in compared.notes:
        print_titled(console, "Note", note)
    for at, one in enumerate(compared.runs):
        if error := one.tags.get(layout.ERROR):
            print_titled(console, one.status.capitalize(), f"{one.name} {compared.ids[at]}: {error}")
    # Last, where a reader looks for it.
    if page is not None:
        print_titled(console, "Page", str(page))


def _shared(compared: Comparison) -> str:
    """Return what all runs have in common and somebody has typed, and how many more parameters are equal."""
    typed = {
        word.lstrip("+~").partition("=")[0]
        for run in compared.runs
        for word in run.tags.get(layout.OVERRIDES, "").split()
    }
    named = [name for name in compared.shared if name in {*ALWAYS, *typed}]
    found = "  ".join(f"{name}={compared.shared[name]}" for name in named)
    more = len(compared.shared) - len(named)
    rest = f"{more} more parameters are equal" if more else ""
    return "  ".join(filter(None, [found, f"({rest})" if found and rest else rest])) or "nothing"


Column = tuple[str, list[Text]]
"""A heading, and one cell per run."""


def _columns(compared: Comparison, most: int) -> Iterator[Column]:
    yield "run", [Text(short(one.name, most)) for one in compared.runs]
    yield "id", [Text(name) for name in compared.ids]
    # Scores on different data cannot be compared: such runs are in different groups.
    if compared.groups[-1]:
        yield "group", [Text(str(group + 1)) for group in compared.groups]
    yield "status", [_status(one) for one in compared.runs]
    for name, values in compared.differing.items():
        yield name, [Text("-" if value is None else short(value, most)) for value in values]
    for name, scores in compared.scores.items():
        yield name, [_score(value, at in compared.best[name]) for at, value in enumerate(scores)]


def _status(run: FoundRun) -> Text:
    return Text(run.outcome, "" if run.status == "FINISHED" else "red")


def _score(value: float | None, is_best: bool) -> Text:
    if value is None:
        return Text("-")
    return Text(f"{number(value)}*", "bold green") if is_best else Text(number(value))


def _width(column: Column) -> int:
    head, cells = column
    return max(cell_len(head), *(cell.cell_len for cell in cells))


def _table(columns: list[Column], groups: list[int]) -> Table:
    """Return a table of the columns, with an empty line between groups."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for head, _ in columns:
        # Rich would read [red] in a plain str as markup, and names of columns may hold brackets.
        table.add_column(Text(head), overflow="fold", no_wrap=False)
    for at, row in enumerate(zip(*(cells for _, cells in columns), strict=True)):
        if at and groups[at] != groups[at - 1]:
            table.add_row()
        table.add_row(*row)
    return table
