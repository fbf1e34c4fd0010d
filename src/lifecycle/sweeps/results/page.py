"""The HTML page of a sweep: one file that loads nothing else, made of ``page.html.jinja``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from lifecycle import layout
from lifecycle.plots.style import number
from lifecycle.sweeps.results import charts
from lifecycle.sweeps.results.board import Board, Failure
from lifecycle.sweeps.results.entries import Entry, short_value
from lifecycle.sweeps.results.importance import importance
from lifecycle.sweeps.results.report import columns_of, counts_of

TEMPLATE = "page.html.jinja"
BOARD, FAILURES, PREDICTIONS = "leader_board.csv", "failures.csv", "out_of_fold.csv"
"""The files next to the page."""

MOST_ROWS = 200
"""Configurations in a table of the page; a browser takes seconds for thousands of rows, and nobody reads them."""

MOST_FAILURES = 50

CLEAR = 0.05
"""Below this p a difference is called clear."""


@dataclass(frozen=True)
class Row:
    """A row of the leader board."""

    cells: tuple[str, ...]
    is_best: bool


@dataclass(frozen=True)
class Shown:
    """A failure as the page shows it."""

    words: str
    error: str
    rerun: str
    trace: str


@dataclass(frozen=True)
class Drawn:
    """What the page shows of runs and their predictions.

    Attributes:
        pooled: scores of out-of-fold predictions by configuration, see
            :func:`lifecycle.sweeps.results.out_of_fold.pooled`.
        curves: learning curves of the runs of the best configuration, as SVG elements.
        pictures: pictures of its out-of-fold predictions by their names: pixels of their width, and an address.
    """

    pooled: Mapping[str, Mapping[str, float]]
    curves: Sequence[str]
    pictures: Mapping[str, tuple[int, str]]


def draw(board: Board, drawn: Drawn) -> str:
    """Return the page.

    Args:
        board: with at least one finished run.
        drawn: what is shown of its runs.
    """
    pooled, entries = drawn.pooled, board.entries[:MOST_ROWS]
    columns = columns_of(board, entries, unlimited=True)
    rows = zip(*(cells for _, cells in columns), strict=True)
    has_front, best = any(entry.is_in_front for entry in board.entries), board.best
    shown = [
        Row(tuple(cells), entry.is_in_front if has_front else entry is best)
        for cells, entry in zip(rows, entries, strict=True)
    ]
    parallel = charts.parallel(board)
    names = list(dict.fromkeys(name for scores in pooled.values() for name in scores))
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            title=f"Sweep {board.plan.name}",
            style=Markup((resources.files("lifecycle.comparison") / "page.css").read_text("utf-8")),  # noqa: S704 - ours
            counts=counts_of(board),
            order=_order(board),
            curves=list(map(Markup, drawn.curves)),  # as above
            best="" if best is None or len(board.entries) == 1 else charts.label_of(best),
            pictures=[(name.removesuffix(".png").replace("_", " "), *of) for name, of in drawn.pictures.items()],
            command=board.plan.command,
            notes=board.notes,
            verdict=verdict(board),
            heads=[head for head, _ in columns],
            rows=shown,
            reading=reading(board),
            means=Markup(charts.means(board)),  # noqa: S704 - matplotlib escapes texts
            parallel=None if parallel is None else Markup(parallel),  # noqa: S704
            importance=[(key, f"{share:.0%}") for key, share in importance(board).items()],
            pooled=[
                (_label(key), [number(scores[name]) for name in names])
                for key, scores in list(pooled.items())[:MOST_ROWS]
            ],
            pooled_names=names,
            failures=[_shown(failure) for failure in board.failures[:MOST_FAILURES]],
            left_out=_left_out(len(board.entries), MOST_ROWS, "configurations", BOARD),
            pooled_left_out=_left_out(len(pooled), MOST_ROWS, "configurations", PREDICTIONS),
            lines_left_out=_left_out(len(board.entries), charts.MOST_LINES, "configurations", BOARD),
            means_left_out=_left_out(len(board.entries), charts.MOST_ROWS, "configurations", BOARD),
            failures_left_out=_left_out(len(board.failures), MOST_FAILURES, "failures", FAILURES),
        )
    )


def _order(board: Board) -> str:
    """Return by what the configurations are ordered; "" of one."""
    if len(board.entries) == 1:
        return ""
    front = "the Pareto front first, then " if len(board.objectives) > 1 else ""
    return f"{front}ordered by the mean of {board.metric}, {'higher' if board.higher else 'lower'} is better"


def _left_out(count: int, most: int, what: str, file: str) -> str:
    """Return the sentence on what is not on the page; "" where all is."""
    return f"The first {most} of {count} {what}; the file {file} next to this page has all." if count > most else ""


def verdict(board: Board) -> str:
    """Return a sentence on which configuration is the best, and how sure that is; "" where there is no comparison."""
    ranked = [entry for entry in board.entries if entry.is_ranked and board.metric in entry.means]
    best = board.best
    if best is None or len(ranked) < 2:
        return ""
    if len(board.objectives) > 1:
        front = sum(entry.is_in_front for entry in ranked)
        scores = " and ".join(board.objectives)
        return f"{front} of {len(ranked)} configurations are on the Pareto front: none is better in {scores} at once."
    name = charts.label_of(best)
    # A mean of NaN is no rival.
    others = [entry for entry in ranked[1:] if entry.against_best and not math.isnan(entry.against_best.mean)]
    if best.means[str(board.metric)].count < 2:
        return f"{name} has the best {board.metric}; with one run of each configuration, chance is not ruled out."
    unclear = [entry for entry in others if entry.against_best and not entry.against_best.p < CLEAR]
    if not unclear:
        return f"{name} is the best: its difference to each of the others is clear (p below {CLEAR:g})."
    least = _least(unclear)
    why = "the differences are equal in all runs, of which there is no p"
    if least is not None:
        why = f"p {least:.2g}{' or more' * (least < 1)}"
    return f"{name} has the best mean, but {len(unclear)} of the other {len(others)} may be as good ({why})."


def _least(entries: list[Entry]) -> float | None:
    """Return the least p that is known."""
    known = [entry.against_best.p for entry in entries if entry.against_best is not None]
    return min((p for p in known if not math.isnan(p)), default=None)


def reading(board: Board) -> str:
    """Return how the numbers of the board are meant."""
    folds = board.plan.jobs[0].record["config"].get("cv")
    interval = (
        "The interval is the corrected resampled t interval (Nadeau and Bengio), as folds share training rows, "
        "over the mean of each fold"
        if folds
        else "The interval is that of t over the runs"
    )
    if len(board.entries) == 1:
        return f"{interval}."
    return (
        f"{interval}; p is that of a paired test against the best on the same {'folds' if folds else 'seeds'}, "
        "corrected for the number of comparisons (Holm)."
    )


def _shown(failure: Failure) -> Shown:
    file = failure.run.artifacts / layout.ERROR_TRACE
    trace = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    return Shown(" ".join(failure.job.words) or failure.run.name, failure.error, failure.rerun, trace)


def _label(settings: str) -> str:
    found: dict[str, str] = json.loads(settings)
    return " ".join(f"{key}={short_value(value)}" for key, value in found.items()) or "all folds"


def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(lambda name: (resources.files("lifecycle.sweeps.results") / name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name fails, where Jinja2 would print nothing
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
