"""The summary run of a sweep in MLflow: leader board, failures, out-of-fold predictions and the page."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd

from lifecycle import layout
from lifecycle.credentials import masked
from lifecycle.runtime.lines import say
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.results import out_of_fold, page, pictures
from lifecycle.sweeps.results.board import Board, board_of
from lifecycle.sweeps.results.entries import Entry
from lifecycle.sweeps.results.page import BOARD, FAILURES, PREDICTIONS, Drawn
from lifecycle.sweeps.results.report import columns_of, counts_of
from lifecycle.tracking import sweep_runs
from lifecycle.tracking.found_run import Which
from lifecycle.tracking.messages import CreateRun, ReopenRun
from lifecycle.tracking.provenance import installed, user
from lifecycle.tracking.run import session
from lifecycle.tracking.sweep_runs import SweepRun

ROLE = "sweep"
MOST_WIDTH = 440
"""Pixels of a picture in it, as the page shows pictures; wider ones are links."""

MOST_ROWS = 10
"""Configurations in the description that MLflow shows."""


def write(plan: Plan) -> None:
    """Write the summary run of a sweep, or bring it up to date; nothing where no run is finished."""
    board = board_of(plan)
    if board.metric is None:
        return
    from lifecycle.runs.description import images  # it imports Lightning, which the printed board does not need

    _complete_best(board)
    cwd, tracking, name = str(Path.cwd()), plan.tracking.for_process(), f"sweep-{plan.name}"
    note = {"mlflow.note.content": _note(board)}  # without pictures, should they fail
    source = {**user(), "mlflow.source.name": "lifecycle", "mlflow.source.type": "LOCAL"}
    known = sweep_runs.summary_of(plan.place, plan.tracking.experiment, plan.name)
    opening = (
        CreateRun(cwd, tracking, name, {layout.ROLE: ROLE, layout.SWEEP: plan.name, **source, **note})
        if known is None
        else ReopenRun(cwd, tracking, known)
    )
    with session(opening, name) as run:
        files = run.scratch / "summary"
        files.mkdir()
        drawn = _write_files(board, files)
        shown = images(list(drawn.pictures), run.id, _wide(drawn))
        run.tag(**{"mlflow.note.content": f"{_note(board)}\n\n{shown}".rstrip()})
        run.log_folder(files)


def _complete_best(board: Board) -> None:
    """Add the MLflow model and the pictures to the best vectorised run of each configuration."""
    best = [run for entry in board.entries if (run := _best_run(board, entry)) is not None]
    waiting = [run for run in best if (run.artifacts / layout.MODEL_LATER).is_file()]
    if not waiting:
        return
    from lifecycle.runs.complete import complete

    for run in waiting:
        with _reported(f"run {run.name} has no MLflow model and no pictures"):
            complete(Which(run=run.id, tracking=replace(board.plan.tracking)), board.plan.tracking.figures)


def _best_run(board: Board, entry: Entry) -> SweepRun | None:
    """Return the finished run of a configuration that is best by the metric of the board."""
    name = str(board.metric)
    known = [run for run in entry.runs.values() if math.isfinite(run.metrics.get(name, math.nan))]
    sign = 1 if board.higher else -1
    return max(known, key=lambda run: sign * run.metrics[name], default=None)


def attempt(plan: Plan) -> None:
    """Write the summary, or print why it cannot be: the runs are recorded, and the board is printed without it."""
    with _reported("the summary of the sweep was not written"):
        write(plan)


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Print an error rather than raise it."""
    from lifecycle.runtime.faults import explanation

    try:
        yield
    except Exception as raised:
        error = explanation(raised) or raised
        say(masked(f"lifecycle: {what}: {error}"), file=sys.stderr, flush=True)


def _note(board: Board) -> str:
    """Return the description that MLflow's UI shows of the summary, in Markdown."""
    from lifecycle.runs.description import plain
    from lifecycle.runs.description import table as markdown_table

    entries = [entry for entry in board.entries if entry.means][:MOST_ROWS]
    columns = columns_of(board, entries)
    rows = [list(map(plain, cells)) for cells in zip(*(cells for _, cells in columns), strict=True)]
    listed = markdown_table([plain(head) for head, _ in columns], rows)
    about = f"{counts_of(board)}. {plain(page.verdict(board))}".strip()
    more = f"\n\nand {len(board.entries) - len(entries)} more" if len(board.entries) > len(entries) else ""
    command = " ".join(board.plan.command.split())  # indented, so that no character of it is Markdown
    return f"{about}\n\n{listed}{more}\n\n**Command**\n\n    {command}\n\nThe artifact {layout.SWEEP_PAGE} has charts."


def _wide(drawn: Drawn) -> set[str]:
    """Return the pictures that would leave no room for what MLflow shows next to them."""
    return {name for name, (width, _) in drawn.pictures.items() if width > MOST_WIDTH}


def _write_files(board: Board, folder: Path) -> Drawn:
    """Write the files of the summary, and return what the page shows of runs."""
    # Runs of vectorised groups do not have it each.
    (folder / layout.REQUIREMENTS).write_text(installed(), encoding="utf-8")
    table(board).to_csv(folder / BOARD, index=False)
    if board.failures:
        rows = [
            {"job": failure.job.number, "words": " ".join(failure.job.words), "run": failure.run.id}
            | {"error": failure.error, "rerun": failure.rerun}
            for failure in board.failures
        ]
        pd.DataFrame(rows).to_csv(folder / FAILURES, index=False)
    drawn, shown = Drawn({}, [], {}), pictures.shown_of(board)
    # A file of a run that cannot be read must not cost the rest of the summary.
    with _reported(f"{PREDICTIONS} was not written"):
        parts = _predictions(board)
        drawn = replace(drawn, pooled=out_of_fold.pooled(parts))
        _write_predictions(parts, folder / PREDICTIONS)
        own = next((found for entry, found in parts if entry is shown and out_of_fold.is_complete(entry)), None)
        if own is not None and shown is not None:
            names = pictures.draw_out_of_fold(board, shown, own, folder)
            drawn = replace(drawn, pictures={name: pictures.as_data(folder / name) for name in names})
    if shown is not None:
        with _reported("the learning curves of the sweep were not drawn"):
            drawn = replace(drawn, curves=pictures.curves_of(shown))
    with _reported(f"{layout.SWEEP_PAGE} was not written"):
        (folder / layout.SWEEP_PAGE).write_text(page.draw(board, drawn), encoding="utf-8")
    return drawn


def _predictions(board: Board) -> list[tuple[Entry, pd.DataFrame]]:
    """Return the out-of-fold predictions of each configuration that has some."""
    return [(entry, found) for entry in board.entries if (found := out_of_fold.predictions_of(entry)) is not None]


def _write_predictions(parts: list[tuple[Entry, pd.DataFrame]], file: Path) -> None:
    """Write the out-of-fold predictions, if there are folds, with the settings of their configuration."""
    whole = []
    for entry, found in parts:
        named = found.copy(deep=False)
        for at, (key, value) in enumerate(entry.settings.items()):
            named.insert(at, key, value)
        whole.append(named)
    if whole:
        pd.concat(whole, ignore_index=True).to_csv(file, index=False)


def table(board: Board) -> pd.DataFrame:
    """Return the leader board: a row per configuration, with mean, sd and interval of each score."""
    rows = []
    for rank, entry in enumerate(board.entries, start=1):
        row: dict[str, object] = {"rank": rank if entry.is_ranked else None, "group": entry.group + 1, **entry.settings}
        row["finished"] = sum(run.status == "FINISHED" for run in entry.runs.values())
        row["jobs"] = len(entry.jobs)
        if board.plan.search is not None:
            row["pruned"] = entry.is_pruned
        if len(board.objectives) > 1:
            row["front"] = entry.is_in_front
        if board.metric is not None:
            against = entry.against_best
            row["difference"] = None if against is None else against.mean
            row["p"] = None if against is None else against.p
        for name in board.metrics:
            one = entry.means.get(name)
            for suffix, attribute in (("", "mean"), ("_sd", "sd"), ("_low", "low"), ("_high", "high")):
                row[f"{name}{suffix}"] = None if one is None else getattr(one, attribute)
        rows.append(row)
    return pd.DataFrame(rows)
