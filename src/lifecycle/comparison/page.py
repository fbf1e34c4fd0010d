"""The HTML page of a comparison: one file that loads nothing else, made of ``page.html.jinja``."""

from __future__ import annotations

import base64
import csv
import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from lifecycle import layout
from lifecycle.comparison import curves
from lifecycle.layout import VALIDATION_DIGEST
from lifecycle.plots.style import number

if TYPE_CHECKING:
    from lifecycle.comparison.compare import Comparison
    from lifecycle.tracking.found_run import FoundRun

TEMPLATE = "page.html.jinja"

LINKED_ARTIFACTS = (
    *(
        layout.CURVES,
        "confusion_matrix.png",
        "labels.png",
        "roc.png",
        "precision_recall.png",
        "residuals.png",
        "forecast.png",
    ),
    *(
        layout.MODEL_DIAGRAM,
        layout.PREDICTIONS,
        layout.SCORES,
        layout.HISTORY,
        layout.CONFIG,
        layout.PROFILE_PAGE,
        layout.ERROR_TRACE,
    ),
)
"""Artifacts to which the page links, if a run has them."""

DIGEST = ".sha256"
"""End of the names of digests."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table; ``None`` in its place stands for no value.

    Attributes:
        text: what it shows.
        exact: the number by which the page's script sorts; empty for NaN.
        is_number: else a text.
        is_best: the best of its column.
        interval: below the text.
    """

    text: str
    exact: str = ""
    is_number: bool = False
    is_best: bool = False
    interval: str = ""


@dataclass(frozen=True)
class Link:
    """A link, or a text without one if ``href`` is empty."""

    text: str
    href: str = ""


@dataclass(frozen=True)
class Column:
    """The heading of a column of the leader board; ``sorted`` is a value of ``aria-sort``, or empty."""

    text: str
    is_number: bool = False
    sorted: str = ""


@dataclass(frozen=True)
class Run:
    """A run as the page shows it.

    Attributes:
        id: of MLflow.
        short_id: its first characters.
        name: of the run.
        status: of MLflow.
        colour: class of its colour in the style sheet.
        rank: within its group; ``None``: it is alone in it.
        artifacts: link to the folder, with the name of the run.
        scores: a cell for each score of the comparison.
        differing: a cell for each differing parameter.
        time: when it started and how long it took.
        error: of a failed run, or empty.
        command: that started it.
        links: to its artifacts.
    """

    id: str
    short_id: str
    name: str
    status: str
    colour: str
    rank: Cell | None
    artifacts: Link
    scores: list[Cell | None]
    differing: list[Cell | None]
    time: str
    error: str
    command: str
    links: list[Link]


@dataclass(frozen=True)
class Group:
    """Runs that were scored on the same rows; ``title`` is empty if all runs were, and ``hint`` explains it."""

    title: str
    runs: list[Run]
    hint: str = ""


@dataclass(frozen=True)
class Legend:
    """The runs with colours of their own, and the number of the others."""

    runs: list[Run]
    num_others: int


def draw(compared: Comparison, histories: Sequence[curves.Scores], folder: Path) -> str:
    """Return the page.

    Args:
        compared: the runs.
        histories: the scores of the epochs of each run.
        folder: of the page, to which its links are relative.
    """
    script, title = _source("page.js"), f"{compared.count} side by side"
    runs = [_run(compared, at, folder) for at in range(len(compared.runs))]
    settings = _without_digests(compared.differing)
    digests = {name: values for name, values in compared.differing.items() if name.endswith(DIGEST)}
    page = _environment().get_template(TEMPLATE)
    return page.render(
        policy=_policy(script),
        title=title,
        style=Markup(_source("page.css")),  # noqa: S704 - files of this package
        script=Markup(script),  # noqa: S704
        experiments=", ".join(dict.fromkeys(run.experiment for run in compared.runs)),
        order=_order(compared),
        notes=compared.notes,
        columns=_columns(compared),
        groups=list(_groups(compared, runs)),
        panels=[Markup(panel) for panel in curves.draw(compared, histories)],  # noqa: S704 - escaped by curves
        legend=_legend(runs, histories),
        settings={name: list(map(_setting, values)) for name, values in settings.items()},
        # Runs of other models or data have many fields that the others lack.
        partial={name: list(map(_setting, values)) for name, values in compared.partial.items()},
        digests={name: list(map(_setting, values)) for name, values in digests.items()},
        shared=compared.shared,
        runs=runs,
    )


def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,  # a misspelt name fails, where Jinja2 would print nothing
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _source(name: str) -> str:
    return (resources.files("lifecycle.comparison") / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Return the content security policy: nothing is loaded, and no script runs but the one with this digest."""
    # A second defence besides escaping, against scripts in the name of a run.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _printable(value: Any) -> Any:
    """Remove characters that cannot be printed from a text; the name of a run may hold any."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(letter for letter in value if letter.isprintable() or letter == "\n")


def _order(compared: Comparison) -> str:
    if not compared.metric:
        return "no run has a score yet"
    return f"ordered by {compared.metric}, {'higher' if compared.higher else 'lower'} is better"


def _columns(compared: Comparison) -> list[Column]:
    columns = [Column(""), Column("run"), Column("status")]
    for name in compared.scores:
        direction = "descending" if compared.higher else "ascending"
        columns.append(Column(name.replace("_", " "), True, direction if name == compared.metric else ""))
    for name, values in _without_digests(compared.differing).items():
        cells = [cell for cell in map(_setting, values) if cell is not None]
        columns.append(Column(name, is_number=all(cell.is_number for cell in cells)))
    return columns


def _groups(compared: Comparison, runs: list[Run]) -> Iterator[Group]:
    """Yield the groups in order, with titles if there are several."""
    for group in dict.fromkeys(compared.groups):
        positions = [at for at, other in enumerate(compared.groups) if other == group]
        title = hint = ""
        if compared.groups[-1]:  # the number of the last group: there are several
            first = compared.runs[positions[0]]
            digest = first.tags.get(VALIDATION_DIGEST, "")
            rows = _rows(first) if digest else "rows not recorded"
            title = f"Group {group + 1} of {compared.groups[-1] + 1}: {first.params.get('data', '')}, {rows}"
            hint = f"sha256 of the validation rows: {digest}" if digest else ""
        yield Group(title, [runs[at] for at in positions], hint)


def _rows(run: FoundRun) -> str:
    """Return how many rows validated."""
    counts = run.tags.get(layout.SPLIT_ROWS, "").split(",")
    return f"{counts[1]} validation rows" if len(counts) == 3 else "validation rows"


def _without_digests(differing: Mapping[str, list[str | None]]) -> dict[str, list[str | None]]:
    """Return the settings that a person reads; a digest is in a list that is closed at first."""
    return {name: values for name, values in differing.items() if not name.endswith(DIGEST)}


def _legend(runs: list[Run], histories: Sequence[curves.Scores]) -> Legend:
    drawn = [run for run, scores in zip(runs, histories, strict=True) if scores]
    return Legend(
        [run for run in drawn if run.colour != curves.OTHER], sum(run.colour == curves.OTHER for run in drawn)
    )


def _run(compared: Comparison, at: int, folder: Path) -> Run:
    run = compared.runs[at]
    return Run(
        id=run.id or "",
        short_id=compared.ids[at],
        name=run.name,
        status=run.outcome,
        colour=curves.colour(at),
        rank=_rank(compared, at),
        artifacts=_link(run.artifacts, run.name, folder),
        scores=[_score(compared, name, at) for name in compared.scores],
        differing=[_setting(values[at]) for values in _without_digests(compared.differing).values()],
        time=_time(run),
        error=run.tags.get(layout.ERROR, ""),
        command=_command(run),
        links=list(_links(run, folder)),
    )


def _rank(compared: Comparison, at: int) -> Cell | None:
    """Return the rank of a run within its group; of several groups, one with a single run has no ranks."""
    group = compared.groups[at]
    if compared.groups[-1] and compared.groups.count(group) == 1:
        return None
    rank = str(at - compared.groups.index(group) + 1)
    return Cell(rank, rank, is_number=True)


def _setting(value: str | None) -> Cell | None:
    if value is None:
        return None
    # MLflow records all parameters as texts; numbers are sorted as numbers.
    try:
        float(value)
    except ValueError:
        return Cell(value)
    return Cell(value, value, is_number=True)


def _score(compared: Comparison, name: str, at: int) -> Cell | None:
    run, value = compared.runs[at], compared.scores[name][at]
    if value is None:
        return None
    low, high = _intervals(run).get(name, (math.nan, math.nan))
    interval = "" if math.isnan(low + high) else f"{number(low)} to {number(high)}"
    exact = "" if math.isnan(value) else repr(value)  # the script sorts empty values last
    return Cell(number(value), exact, True, at in compared.best[name], interval)


def _intervals(run: FoundRun) -> dict[str, tuple[float, float]]:
    """Return the ends of the interval of each score that has one: from its tables, in version 0.1 from metrics."""
    found = {
        name: (run.metrics[f"{name}_low"], run.metrics[f"{name}_high"])
        for name in run.metrics
        if {f"{name}_low", f"{name}_high"} <= set(run.metrics)
    }
    if run.artifacts is None:
        return found
    own = ["test_", "training_set_"]
    tables = [(run.artifacts / layout.SCORES, own)]
    tables += [(file, [f"evaluate_{file.parent.name}_"]) for file in run.artifacts.glob(f"evaluate/*/{layout.SCORES}")]
    for file, beginnings in tables:
        with suppress(OSError, ValueError, KeyError), file.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                if row["low"] and row["high"]:
                    ends = float(row["low"]), float(row["high"])
                    found |= {f"{beginning}{row['score']}": ends for beginning in beginnings}
    return found


def _time(run: FoundRun) -> str:
    # MLflow has milliseconds since 1970.
    started = datetime.fromtimestamp(run.start_time / 1000, UTC)
    duration = "" if run.end_time is None else f", {(run.end_time - run.start_time) / 1000:.1f} s"
    return f"{started:%Y-%m-%d %H:%M:%S} UTC{duration}"


def _command(run: FoundRun) -> str:
    """Return the command of a run; of a job of a multirun, one that repeats this job alone."""
    if layout.SWEEP in run.tags:
        return f"lifecycle {run.tags.get(layout.OVERRIDES, '')}"
    return run.tags.get(layout.COMMAND, "")


def _links(run: FoundRun, folder: Path) -> Iterator[Link]:
    if run.artifacts is None or not run.artifacts.is_dir():
        return
    yield _link(run.artifacts, "all artifacts", folder)  # a browser lists the folder
    for name in LINKED_ARTIFACTS:
        if (run.artifacts / name).is_file():
            yield _link(run.artifacts / name, name, folder)
    for other in sorted(run.artifacts.glob("evaluate/*")):
        yield _link(other, f"evaluate/{other.name}", folder)


def _link(target: Path | None, text: str, folder: Path) -> Link:
    """Return a link to a file, relative to the folder of the page, so that both can be moved together."""
    if target is None or not target.exists():
        return Link(text)
    return Link(text, quote(Path(os.path.relpath(target, folder)).as_posix() + "/" * target.is_dir()))
