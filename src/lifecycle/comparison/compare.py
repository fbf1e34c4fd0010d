"""Runs side by side: in what they differ, what they came to, and which is the best. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.layout import DATA
from lifecycle.tracking import ranking, search

if TYPE_CHECKING:
    from lifecycle.tracking.found_run import FoundRun

AGAIN = "evaluate_"
FINAL = ("kept_", "test_", "training_set_", AGAIN)
"""What the scores of a finished model begin with; those of validation first."""

NO_SETTING = ("tracking", "verbose", "profile")
"""Parameters that say how a run is recorded and told, and change nothing that it comes to."""

LOSS_IS = ("loss", "label_smoothing")
"""Parameters without which the losses of two runs are not the same measure."""

SHORT_ID, SHORT_DIGEST = 8, 12
"""Characters by which a run, and rows, are told apart; more where runs begin alike."""


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other, the best first; each list has a value a run, in their order.

    Attributes:
        runs: the runs.
        ids: enough of each run's id to find it again.
        metric: the score that they are ordered by; ``None`` where none has a score.
        higher: whether more of it is better.
        differing: the parameters that are not the same in all that have them; ``None`` where a run has none such.
        partial: those that some have, and have the same: the fields of an optimizer that others do not use.
        shared: the others.
        scores: of the finished models; ``None`` where a run has none.
        best: for each score the positions of the best; one for each group and set of rows.
        groups: the number of each run's group, from 0: only runs of a group are ranked, as they have the same rows.
        notes: what a reader must know before comparing scores.
    """

    runs: list[FoundRun]
    ids: list[str]
    metric: str | None
    higher: bool
    differing: dict[str, list[str | None]]
    partial: dict[str, list[str | None]]
    shared: dict[str, str]
    scores: dict[str, list[float | None]]
    best: dict[str, set[int]]
    groups: list[int]
    notes: list[str]

    @property
    def count(self) -> str:
        """How many runs: ``"6 runs"``."""
        return f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}"


def compare(runs: Sequence[FoundRun], metric: str | None = None) -> Comparison:
    """Put runs side by side.

    Args:
        runs: in any order; one that is named twice counts once.
        metric: the score that they are ordered by; ``None``: the one that ``run=best`` chooses by.

    Raises:
        RequestError: no run has such a score; says which there are.
    """
    found = list({run.id: run for run in runs}.values())
    metric = _metric(found, metric)
    directions = _directions(found)
    higher = bool(metric and search.higher_is_better(directions, metric))
    groups = _groups(found, metric or search.DEFAULTS[0])
    order = sorted(range(len(found)), key=lambda at: _place(found[at], groups, groups[at], metric, higher))
    found, groups = [found[at] for at in order], [groups[at] for at in order]
    differing, partial, shared = _parameters(found)
    scores = {name: [run.metrics.get(name) for run in found] for name in _score_names(found, metric)}
    best = {
        name: _best(values, _within(groups, found, name), search.higher_is_better(directions, name))
        for name, values in scores.items()
    }
    ids, notes = _short_ids([run.id or "" for run in found]), _notes(found, groups, list(scores))
    numbers = [list(dict.fromkeys(groups)).index(group) for group in groups]
    return Comparison(found, ids, metric, higher, differing, partial, shared, scores, best, numbers, notes)


def _metric(runs: list[FoundRun], asked: str | None) -> str | None:
    if asked is None:
        having = {name: sum(name in run.metrics for run in runs) for name in search.DEFAULTS}
        most = max(having, key=lambda name: having[name])  # of equal ones the first
        return most if having[most] else None
    names = sorted({name for run in runs for name in run.metrics})
    if asked not in names:
        scores = [name for name in names if name.startswith(FINAL)]
        raise RequestError(
            Setting("metric", asked),
            "is a score of none of these runs",
            remedy=f"{did_you_mean(asked, names)} Scores: {', '.join(scores) or 'none'}.",
        )
    return asked


def _directions(runs: Iterable[FoundRun]) -> dict[str, bool]:
    """Return for each score of the runs whether more is better, as they recorded it."""
    merged: dict[str, bool] = {}
    for run in runs:
        merged |= json.loads(run.tags.get(search.DIRECTIONS, "{}"))
    return merged


def _groups(runs: list[FoundRun], metric: str) -> list[str]:
    """Return a key for each run, equal for those with the same rows.

    A run that ended before its rows were known has no score: it goes with the first run on data of the same name.
    """
    sets = ranking.row_sets(runs, metric)
    in_turn = [*zip(runs, sets, strict=True)]
    by_name = {run.params.get("data", ""): key for run, key in reversed(in_turn) if DATA in run.tags}
    return [key if DATA in run.tags else by_name.get(run.params.get("data", ""), "") for run, key in in_turn]


def _within(groups: list[str], runs: list[FoundRun], metric: str) -> list[str]:
    """Return a key for each run, equal for those of a group whose score is of the same rows too."""
    return [f"{group} {rows}" for group, rows in zip(groups, ranking.row_sets(runs, metric), strict=True)]


def _place(run: FoundRun, groups: list[str], group: str, metric: str | None, higher: bool) -> tuple[int, bool, float]:
    """Return where a run stands: runs of the same rows together, those without the score last among them."""
    value = run.metrics.get(metric or "", math.nan)
    missing = math.isnan(value)
    return groups.index(group), missing, 0.0 if missing else -value if higher else value


Settings = dict[str, list[str | None]]


def _parameters(runs: list[FoundRun]) -> tuple[Settings, Settings, dict[str, str]]:
    """Return the parameters that differ, those that some have alike, and those that all share."""
    values = [{**run.params, **_digest(run)} for run in runs]
    names = {name for of_run in values for name in of_run if not name.startswith(NO_SETTING)}
    differing: Settings = {}
    partial: Settings = {}
    shared: dict[str, str] = {}
    for name in sorted(names, key=lambda name: ("." in name, name)):  # what was chosen, before the fields of it
        found = [of_run.get(name) for of_run in values]
        known = {value for value in found if value is not None}
        if len(known) > 1:
            differing[name] = found
        elif name == DATA:
            pass  # of use only where it differs
        elif None in found:
            partial[name] = found
        else:
            shared |= dict.fromkeys([name], known.pop())
    return differing, partial, shared


def _digest(run: FoundRun) -> dict[str, str]:
    return {DATA: run.tags[DATA][:SHORT_DIGEST]} if DATA in run.tags else {}


def _score_names(runs: list[FoundRun], metric: str | None) -> list[str]:
    """Return the scores that a column is made of: those of finished models, and the one that is asked for."""

    def rank(name: str) -> tuple[int, str, bool, str]:
        rows = name.rpartition("_")[0] if name.startswith(AGAIN) else ""
        return next(at for at, part in enumerate(FINAL) if name.startswith(part)), rows, _is_metric(name), name

    def is_score(name: str) -> bool:
        return name.startswith(FINAL) and not name.endswith(("_low", "_high")) and "_baseline_" not in name

    def is_news(name: str) -> bool:  # the own test rows scored again say something only where they say something else
        first = name.removeprefix(AGAIN)
        return first == name or any(name in run.metrics and run.metrics[name] != run.metrics.get(first) for run in runs)

    names = sorted({name for run in runs for name in run.metrics if is_score(name) and is_news(name)}, key=rank)
    return names if metric is None or metric in names else [metric, *names]


def _is_metric(name: str) -> bool:
    return not name.endswith("_loss")


def _best(values: list[float | None], groups: list[str], higher: bool | None) -> set[int]:
    """Return the positions of the best values, of each set of rows its own; of a single value nothing is said."""
    if higher is None:
        return set()
    choose: Callable[[Iterable[float]], float] = max if higher else min
    found: set[int] = set()
    for group in set(groups):
        known = {
            at: value
            for at, value in enumerate(values)
            if groups[at] == group and value is not None and not math.isnan(value)
        }
        if len(known) > 1:
            best = choose(known.values())
            found |= {at for at, value in known.items() if value == best}
    return found


def _short_ids(ids: list[str]) -> list[str]:
    length = SHORT_ID
    while len({run[:length] for run in ids}) < len(ids):
        length += 1
    return [run[:length] for run in ids]


def _notes(runs: list[FoundRun], groups: list[str], scores: list[str]) -> list[str]:
    notes = []
    different = len({run.tags[DATA] for run in runs if DATA in run.tags})
    if different > 1:
        notes.append(
            f"These runs are of {different} different sets of rows: scores compare within one, and the best of each "
            "is marked."
        )
    if split := ranking.note(runs, groups):
        notes.append(split)
    of_rows = [[run for run, of in zip(runs, groups, strict=True) if of == group] for group in set(groups)]
    measures = [
        name for name in LOSS_IS if any(len({run.params.get(name) for run in part} - {None}) > 1 for part in of_rows)
    ]
    if measures:
        other = next(filter(_is_metric, scores), "")
        cure = f" Order by another score, such as metric={other}." if other else ""
        notes.append(f"The runs differ in {' and '.join(measures)}: their losses do not compare.{cure}")
    return notes
