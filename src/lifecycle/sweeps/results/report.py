"""Prints the leader board of a sweep."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lifecycle import layout
from lifecycle.console.tables import GAP, blocks, print_table
from lifecycle.console.titles import print_titled
from lifecycle.plots.style import number, short
from lifecycle.runtime.lines import WIDE, width_of
from lifecycle.sweeps.results.board import Board
from lifecycle.sweeps.results.entries import Entry
from lifecycle.tracking import sweep_runs

MOST_LINES = 20
"""Configurations that are printed; the page and the table of the summary have all."""

MOST_FAILURES = 5
MOST_CHARACTERS = 40


def print_board(board: Board, verbose: int, continues: bool = True) -> None:
    """Print the configurations of a sweep, the best first, the failures, and the command that continues.

    Args:
        board: of the sweep.
        verbose: 0: only failures.
        continues: whether to print the command that continues an unfinished sweep.
    """
    console = Console(highlight=False, soft_wrap=True, width=width_of(sys.stdout) or WIDE)
    if verbose:
        console.print()
        print_titled(console, "Sweep", f"{board.plan.name}, {counts_of(board)}")
        if any(entry.means for entry in board.entries):
            _print_entries(console, board)
        for note in board.notes:
            print_titled(console, "Note", note)
    for failure in board.failures[:MOST_FAILURES] if verbose else ():
        print_titled(console, "Failed", f"{' '.join(failure.job.words) or failure.run.name}: {failure.error}")
        print_titled(console, "", failure.rerun)
    if len(board.failures) > MOST_FAILURES and verbose:
        print_titled(console, "", f"and {len(board.failures) - MOST_FAILURES} more")
    if verbose and continues and board.counts["left"]:
        print_titled(console, "Continue", board.plan.to_continue)
    if verbose:
        _print_files(console, board)
        folder = board.plan.place
        is_usual = folder == Path.cwd() / "mlruns"
        print_titled(console, "Next", "lifecycle ui" + ("" if is_usual else f" tracking.dir={os.path.relpath(folder)}"))


def _print_files(console: Console, board: Board) -> None:
    """Print where the page of the sweep is, and what is next to it."""
    plan = board.plan
    folder = sweep_runs.summary_folder(plan.place, plan.tracking.experiment, plan.name)
    if folder is None or not (folder / layout.SWEEP_PAGE).is_file():
        return
    others = sorted(file.name for file in folder.iterdir() if file.suffix in (".csv", ".png"))
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    print_titled(console, "Files", str(shown))
    print_titled(console, "", ", ".join([layout.SWEEP_PAGE, *others]))


def counts_of(board: Board) -> str:
    """Return how many jobs ended how: ``18 of 20 runs finished, 1 failed, 1 left``."""
    total = board.plan.total
    words = [f"{board.counts['done']} of {total} run{'s' * (total != 1)} finished"]
    words += [f"{board.counts[name]} {name}" for name in ("pruned", "failed", "left") if board.counts[name]]
    return ", ".join(words)


def _print_entries(console: Console, board: Board) -> None:
    several = len(board.entries) > 1
    if board.metric and several:
        direction = "higher" if board.higher else "lower"
        first = "the Pareto front first, then " if len(board.objectives) > 1 else ""
        print_titled(console, "", f"{first}by the mean of {board.metric} ({direction} is better)")
    shown = [entry for entry in board.entries if entry.means][:MOST_LINES]
    if not several:
        print_table(console, _table_of_one(shown[0]))
        return
    columns = columns_of(board, shown)
    for at, block in enumerate(blocks(list(map(_width, columns)), console.width, first=len(shown[0].settings))):
        if at:
            console.print()
        print_table(console, _table([columns[column] for column in block], board, shown))
    pruned = sum(entry.is_pruned for entry in board.entries)
    without = sum(not entry.means and not entry.is_pruned for entry in board.entries)
    if more := len(board.entries) - pruned - without - len(shown):
        print_titled(console, "", f"and {_configurations(more)} more")
    if pruned:
        print_titled(console, "", f"{_configurations(pruned)} pruned")
    if without:
        print_titled(console, "", f"{_configurations(without)} without a finished run")


def _table(columns: list[Column], board: Board, shown: list[Entry]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for head, _ in columns:
        # Rich would read [64,32] in a plain str as markup.
        table.add_column(Text(head), overflow="fold", justify="left")
    best = board.best
    for at, row in enumerate(zip(*(cells for _, cells in columns), strict=True)):
        if at and shown[at].group != shown[at - 1].group:
            table.add_row()
        table.add_row(*(Text(cell, "bold" if shown[at] is best else "") for cell in row))
    return table


def _width(column: Column) -> int:
    head, cells = column
    return max(cell_len(head), *map(cell_len, cells))


def _configurations(count: int) -> str:
    return f"{count} configuration{'s' * (count != 1)}"


Column = tuple[str, list[str]]


def columns_of(board: Board, shown: list[Entry], unlimited: bool = False) -> list[Column]:
    """Return the columns of the board: what differs, the runs, the metric with its interval, the difference, scores.

    Args:
        board: of a sweep.
        shown: its entries that are shown.
        unlimited: whether all columns are wanted, and all of their texts.
    """
    most = 10**6 if unlimited else MOST_CHARACTERS
    columns: list[Column] = [(key, [short(entry.labels[key], most) for entry in shown]) for key in shown[0].settings]
    if len(board.objectives) > 1:
        columns.append(("Pareto", ["front" if entry.is_in_front else "" for entry in shown]))
    if any(entry.group for entry in shown):
        columns.append(("group", [str(entry.group + 1) for entry in shown]))
    jobs = max(len(entry.jobs) for entry in board.entries)
    if jobs > 1 or any(not entry.is_ranked for entry in shown):
        columns.append(("runs", [_runs(entry) for entry in shown]))
    metric = board.metric or ""
    columns.append((metric, [_mean(entry, metric) for entry in shown]))
    if jobs > 1:
        columns.append(("sd", [_sd(entry, metric) for entry in shown]))
        columns.append(("95% interval", [_interval(entry, metric) for entry in shown]))
        if len(board.entries) > 1:
            columns.append(("to the best", [_to_best(entry) for entry in shown]))
            columns.append(("p", [_p(entry) for entry in shown]))
    for name in board.metrics:
        if name != metric and (name in board.objectives or not name.startswith("kept_")):
            columns.append((name, [_mean(entry, name) for entry in shown]))
    width = sum(max(cell_len(head), *map(cell_len, cells)) + 3 for head, cells in columns)
    while width > WIDE and len(columns) > 3 and not unlimited:
        head, cells = columns.pop()
        width -= max(cell_len(head), *map(cell_len, cells)) + 3
    return columns


def _table_of_one(entry: Entry) -> Table:
    """Return the scores of one configuration, a line each."""
    table = Table("score", "mean", "sd", "95% interval", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.header_style = "dim"
    for name in sorted(entry.means, key=lambda name: (name.startswith("kept_"), name)):
        table.add_row(name, _mean(entry, name), _sd(entry, name), _interval(entry, name))
    return table


def _runs(entry: Entry) -> str:
    return "pruned" if entry.is_pruned else f"{_finished(entry)}/{len(entry.jobs)}"


def _finished(entry: Entry) -> int:
    return sum(run.status == "FINISHED" for run in entry.runs.values())


def _mean(entry: Entry, name: str) -> str:
    return number(entry.means[name].mean) if name in entry.means else "-"


def _sd(entry: Entry, name: str) -> str:
    return _or_dash(entry.means[name].sd) if name in entry.means else "-"


def _interval(entry: Entry, name: str) -> str:
    if name not in entry.means or math.isnan(entry.means[name].low):
        return "-"
    return f"{number(entry.means[name].low)} to {number(entry.means[name].high)}"


def _to_best(entry: Entry) -> str:
    return "best" if entry.is_ranked and entry.against_best is None else _or_dash(_difference(entry))


def _difference(entry: Entry) -> float:
    return math.nan if entry.against_best is None else entry.against_best.mean


def _p(entry: Entry) -> str:
    return "" if entry.against_best is None or math.isnan(entry.against_best.p) else f"{entry.against_best.p:.2g}"


def _or_dash(value: float) -> str:
    return "-" if math.isnan(value) else number(value)
