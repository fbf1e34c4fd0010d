"""Runs side by side as one page of HTML: it needs no network, and what a run is called is never taken for HTML."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lifecycle.comparison import curves
from lifecycle.layout import VALIDATION
from lifecycle.plots.style import number

if TYPE_CHECKING:
    from lifecycle.comparison.compare import Comparison
    from lifecycle.tracking.found_run import FoundRun

SHOWN = (
    *("curves.png", "confusion_matrix.png", "roc.png", "precision_recall.png", "residuals.png", "forecast.png"),
    *("model.svg", "predictions.csv", "scores.csv", "history.csv", "config.yaml", "profile.html", "error.txt"),
)
"""Artifacts that a run's links lead to, where they are there."""

SHORT_DIGEST = 12
"""Characters that distinguish sets of rows."""

NOTHING = '<td class="none" data-v="">&ndash;</td>'


def draw(compared: Comparison, histories: Sequence[curves.Scores], folder: Path) -> str:
    """Return the page.

    Args:
        compared: the runs.
        histories: what the epochs of each came to.
        folder: the page's own, which the links begin in.
    """
    script, title = _part("page.js"), f"{compared.count} side by side"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Nothing from elsewhere is loaded, and no script runs but the one whose digest is named.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title><style>{_part('page.css')}</style></head><body>",
        f"<h1>{_text(title)}</h1>",
        *_head(compared),
        *_board(compared, folder),
        *_curves(compared, histories),
        *_configuration(compared),
        *_runs(compared, folder),
        f"<script>{script}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _part(name: str) -> str:
    return (resources.files("lifecycle.comparison") / name).read_text(encoding="utf-8")


def _text(text: object) -> str:
    """Return a text as HTML shows it; what cannot be printed is left out."""
    return escape("".join(letter for letter in str(text) if letter.isprintable() or letter == "\n"))


def _head(compared: Comparison) -> Iterable[str]:
    experiments = ", ".join(dict.fromkeys(run.experiment for run in compared.runs))
    order = "no run has a score yet"
    if compared.metric:
        order = f"ordered by {compared.metric}, {'higher' if compared.higher else 'lower'} is better"
    yield f'<p class="muted">Experiment {_text(experiments)}; {_text(order)}. Click on a column to order by it.</p>'
    for note in compared.notes:
        yield f'<p class="note">{_text(note)}</p>'


def _board(compared: Comparison, folder: Path) -> Iterable[str]:
    heads = ["", "run", "status", *compared.scores, *compared.differing]
    yield '<h2>Leader board</h2><div class="wide"><table class="sortable"><thead><tr>'
    yield "".join(
        f'<th scope="col"{_order(compared, name)}>{_text(name.replace("_", " ") if name in compared.scores else name)}'
        "</th>"
        for name in heads
    )
    yield "</tr></thead>"
    first = 0
    for at, run in enumerate(compared.runs):
        if not at or compared.groups[at] != compared.groups[at - 1]:
            first = at
            yield f"{'</tbody>' * bool(at)}<tbody>{_group(compared, at, len(heads))}"
        alone = compared.groups.count(compared.groups[at]) == 1 and compared.groups[-1] > 0
        rank = NOTHING if alone else f'<td class="number" data-v="{at - first + 1}">{at - first + 1}</td>'
        name = f'<i class="swatch {curves.style(at)}"></i>{_link(run.artifacts, _text(run.name), folder)}'
        settings = [_setting(values[at]) for values in compared.differing.values()]
        scores = [_score(compared, name, at) for name in compared.scores]
        yield (
            f'<tr>{rank}<th scope="row">{name} <a class="id" href="#{run.id}">{_text(compared.ids[at])}</a></th>'
            f'<td><span class="status {_text(run.status.lower())}">{_text(run.status)}</span></td>'
            f"{''.join(scores)}{''.join(settings)}</tr>"
        )
    yield "</tbody></table></div>"
    within = " within its group" if compared.groups[-1] else ""
    yield f'<p class="muted">Green: the best of its column{within}. Below a score: its 95% bootstrap interval.</p>'


def _group(compared: Comparison, at: int, columns: int) -> str:
    """Return the heading of the group that a run begins, where there are several."""
    if not compared.groups[-1]:
        return ""
    run, group = compared.runs[at], compared.groups[at]
    rows = run.tags.get(VALIDATION)
    which = f"validation rows {rows[:SHORT_DIGEST]}" if rows else "rows not recorded"
    named = f"Group {group + 1} of {compared.groups[-1] + 1}: {run.params.get('data', '')}, {which}"
    return f'<tr class="group"><th scope="rowgroup" colspan="{columns}">{_text(named)}</th></tr>'


def _order(compared: Comparison, name: str) -> str:
    if name != compared.metric:
        return ' class="number"' if name in compared.scores else ""
    return f' class="number" aria-sort="{"descending" if compared.higher else "ascending"}"'


def _setting(value: str | None) -> str:
    if value is None:
        return NOTHING
    try:
        float(value)
    except ValueError:
        return f"<td>{_text(value)}</td>"
    return f'<td class="number" data-v="{_text(value)}">{_text(value)}</td>'


def _score(compared: Comparison, name: str, at: int) -> str:
    run, value = compared.runs[at], compared.scores[name][at]
    if value is None:
        return NOTHING
    low, high = (run.metrics.get(f"{name}_{end}") for end in ("low", "high"))
    between = f"<small>{number(low)} to {number(high)}</small>" if low is not None and high is not None else ""
    best = " best" if at in compared.best[name] else ""
    exact = "" if math.isnan(value) else repr(value)
    return f'<td class="number{best}" data-v="{exact}" title="{exact}">{number(value)}{between}</td>'


def _curves(compared: Comparison, histories: Sequence[curves.Scores]) -> Iterable[str]:
    panels = curves.draw(compared, histories)
    yield "<h2>Learning curves</h2>"
    if not panels:
        yield '<p class="muted">No run has finished an epoch.</p>'
        return
    yield '<ul class="legend">'
    named = [at for at, scores in enumerate(histories) if scores][: curves.MOST_COLOURED]
    for at in [at for at in named if curves.style(at) != "other"]:
        yield (
            f'<li><i class="swatch {curves.style(at)}"></i>{_text(compared.runs[at].name)} '
            f'<span class="id">{_text(compared.ids[at])}</span></li>'
        )
    if others := sum(curves.style(at) == "other" and bool(scores) for at, scores in enumerate(histories)):
        yield f'<li><i class="swatch other"></i>{others} more</li>'
    yield "</ul>"
    yield (
        '<p class="muted"><svg class="key" viewBox="0 0 30 10"><path d="M0 5H30"/></svg> validation '
        '<svg class="key" viewBox="0 0 30 10"><path class="dashed" d="M0 5H30"/></svg> training '
        '<svg class="key" viewBox="0 0 30 10"><circle cx="15" cy="5" r="4"/></svg> best epoch</p>'
    )
    yield f'<div class="panels">{"".join(f"<figure>{panel}</figure>" for panel in panels)}</div>'


def _configuration(compared: Comparison) -> Iterable[str]:
    yield "<h2>Configuration</h2>"
    settings = {**compared.differing, **compared.partial}
    if settings:
        heads = "".join(
            f'<th scope="col"><i class="swatch {curves.style(at)}"></i>{_text(run.name)}<br>'
            f'<span class="id">{_text(compared.ids[at])}</span></th>'
            for at, run in enumerate(compared.runs)
        )
        yield '<div class="wide"><table class="settings"><thead><tr><th scope="col">differs in</th>'
        yield f"{heads}</tr></thead><tbody>"
        for name, values in settings.items():
            yield f'<tr><th scope="row">{_text(name)}</th>{"".join(map(_setting, values))}</tr>'
        yield "</tbody></table></div>"
    else:
        yield "<p>The same in all runs.</p>"
    shared = "".join(f"<li>{_text(name)}={_text(value)}</li>" for name, value in compared.shared.items())
    yield f"<details><summary>{len(compared.shared)} parameters are the same in all</summary>"
    yield f'<ul class="shared">{shared}</ul></details>'


def _runs(compared: Comparison, folder: Path) -> Iterable[str]:
    yield "<h2>Runs</h2>"
    for at, run in enumerate(compared.runs):
        yield (
            f'<section id="{_text(run.id)}"><h3><i class="swatch {curves.style(at)}"></i>{_text(run.name)} '
            f'<span class="status {_text(run.status.lower())}">{_text(run.status)}</span> {_when(run)}</h3>'
        )
        if error := run.tags.get("lifecycle.error"):
            yield f'<p class="error">{_text(error)}</p>'
        yield f"<pre>{_text(_command(run))}</pre>"
        yield f'<p class="links">{" ".join(_links(run, folder))}</p>'
        yield f'<p class="id">{_text(run.id)}</p></section>'


def _command(run: FoundRun) -> str:
    """Return what was typed; of a job of a multirun, its own words."""
    if "lifecycle.sweep" in run.tags:
        return f"lifecycle {run.tags.get('lifecycle.overrides', '')}"
    return run.tags.get("lifecycle.command", "")


def _when(run: FoundRun) -> str:
    started = datetime.fromtimestamp(run.start_time / 1000, UTC)
    took = "" if run.end_time is None else f", {(run.end_time - run.start_time) / 1000:.1f} s"
    return f'<span class="muted">{started:%Y-%m-%d %H:%M:%S} UTC{took}</span>'


def _links(run: FoundRun, folder: Path) -> Iterable[str]:
    if run.artifacts is None or not run.artifacts.is_dir():
        return
    yield _link(run.artifacts, "all artifacts", folder)
    for name in SHOWN:
        if (run.artifacts / name).is_file():
            yield _link(run.artifacts / name, name, folder)
    for other in sorted(run.artifacts.glob("evaluate/*")):
        yield _link(other, _text(f"evaluate/{other.name}"), folder)


def _link(target: Path | None, shown: str, folder: Path) -> str:
    """Return a link to a file, from the page's folder, so that both can be moved together."""
    if target is None or not target.exists():
        return shown
    address = quote(Path(os.path.relpath(target, folder)).as_posix() + "/" * target.is_dir())
    return f'<a href="{escape(address)}">{shown}</a>'
