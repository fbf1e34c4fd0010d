"""Compares runs: their differing parameters, their scores, and which is the best. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifecycle import layout
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.layout import DATA_DIGEST
from lifecycle.tracking import ranking

if TYPE_CHECKING:
    from lifecycle.tracking.found_run import FoundRun

RESCORED = "evaluate_"
FINAL = ("kept_", "test_", "training_set_", RESCORED)
"""Prefixes of the scores of a finished model; those of validation first."""

DISPLAY_PARAMETERS = ("tracking", "verbose", "profile", "audit")
"""Parameters that change how a run is recorded and displayed, and not its results."""

LOSS_PARAMETERS = ("loss", "label_smoothing")
"""Parameters that must be equal for losses to be comparable."""

SHORT_ID, SHORT_DIGEST = 8, 12
"""Characters that identify a run, and rows; more characters if ids begin alike."""


@dataclass(frozen=True)
class Comparison:
    """Compared runs, the best first; each list has a value for each run, in their order.

    Attributes:
        runs: the runs.
        ids: the first characters of each run's id, as many as identify it.
        metric: the score by which runs are ordered; ``None``: no run has a score.
        higher: whether a higher score is better.
        differing: parameters with different values; ``None``: a run does not have the parameter.
        partial: parameters that only some runs have, with equal values, such as the fields of one optimizer.
        shared: parameters that are equal in all runs.
        scores: of the finished models; ``None``: a run does not have the score.
        best: for each score the positions of the best runs, in each group and set of rows.
        groups: the number of each run's group, from 0. Runs of a group have the same rows; only these are ranked.
        notes: on the comparability of the scores.
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
        """The number of runs as a phrase: ``"6 runs"``."""
        return f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}"


def compare(runs: Sequence[FoundRun], metric: str | None = None) -> Comparison:
    """Compare runs.

    Args:
        runs: in any order; duplicates are dropped.
        metric: the score by which they are ordered; ``None``: the one by which ``run=best`` ranks.

    Raises:
        RequestError: no run has the score; the message lists the scores that there are.
    """
    # run=latest,<id> may name a run twice.
    found = list({run.id: run for run in runs}.values())
    metric = _metric(found, metric)
    # Recorded by the runs, since the metric of a plugin may not be installed here.
    directions = _directions(found)
    higher = bool(metric and ranking.higher_is_better(directions, metric))
    groups = _groups(found, metric or ranking.DEFAULTS[0])
    order = sorted(range(len(found)), key=lambda at: _place(found[at], groups, groups[at], metric, higher))
    found, groups = [found[at] for at in order], [groups[at] for at in order]
    differing, partial, shared = _parameters(found)
    scores = {name: [run.metrics.get(name) for run in found] for name in _score_names(found, metric)}
    best = {
        name: _best(values, _within(groups, found, name), ranking.higher_is_better(directions, name))
        for name, values in scores.items()
    }
    ids, notes = _short_ids([run.id or "" for run in found]), _notes(found, groups, list(scores))
    numbers = [list(dict.fromkeys(groups)).index(group) for group in groups]
    return Comparison(found, ids, metric, higher, differing, partial, shared, scores, best, numbers, notes)


def _metric(runs: list[FoundRun], metric: str | None) -> str | None:
    """Return the score by which runs are ordered: the given one, or the default that most runs have."""
    if metric is None:
        having = {name: sum(name in run.metrics for run in runs) for name in ranking.DEFAULTS}
        most = max(having, key=lambda name: having[name])  # the first of equal ones
        return most if having[most] else None
    names = sorted({name for run in runs for name in run.metrics})
    if metric not in names:
        scores = [name for name in names if name.startswith(FINAL)]
        raise RequestError(
            Setting("metric", metric),
            "is a score of none of these runs",
            remedy=f"{did_you_mean(metric, names)} Scores: {', '.join(scores) or 'none'}.",
        )
    return metric


def _directions(runs: Iterable[FoundRun]) -> dict[str, bool]:
    """Return for each score whether higher is better, as the runs recorded it."""
    merged: dict[str, bool] = {}
    for run in runs:
        merged |= json.loads(run.tags.get(layout.HIGHER_IS_BETTER, "{}"))
    return merged


def _groups(runs: list[FoundRun], metric: str) -> list[str]:
    """Return a key for each run, equal for those with the same rows.

    A run that ended before its rows were known has no score; it joins the first run on data of the same name.
    """
    keyed = [*zip(runs, ranking.row_sets(runs, metric), strict=True)]
    # Reversed, so that the first run of a name is the one that remains.
    by_name = {run.params.get("data", ""): key for run, key in reversed(keyed) if DATA_DIGEST in run.tags}
    return [key if DATA_DIGEST in run.tags else by_name.get(run.params.get("data", ""), "") for run, key in keyed]


def _within(groups: list[str], runs: list[FoundRun], metric: str) -> list[str]:
    """Return a key for each run, equal for those of a group in which a score was computed on the same rows."""
    return [f"{group} {rows}" for group, rows in zip(groups, ranking.row_sets(runs, metric), strict=True)]


def _place(run: FoundRun, groups: list[str], group: str, metric: str | None, higher: bool) -> tuple[int, bool, float]:
    """Return the sorting key of a run: by group, then by score; runs without the score are last in their group."""
    value = run.metrics.get(metric or "", math.nan)
    missing = math.isnan(value)
    return groups.index(group), missing, 0.0 if missing else -value if higher else value


Settings = dict[str, list[str | None]]


def _parameters(runs: list[FoundRun]) -> tuple[Settings, Settings, dict[str, str]]:
    """Return the differing, partial and shared parameters; see :class:`Comparison`."""
    values = [{**run.params, **_digest(run)} for run in runs]
    names = {name for of_run in values for name in of_run if not name.startswith(DISPLAY_PARAMETERS)}
    differing: Settings = {}
    partial: Settings = {}
    shared: dict[str, str] = {}
    for name in sorted(names, key=lambda name: ("." in name, name)):  # choices such as optimizer before their fields
        found = [of_run.get(name) for of_run in values]
        known = {value for value in found if value is not None}
        if len(known) > 1:
            differing[name] = found
        elif name == DATA_DIGEST:
            pass  # a digest says something only if it differs
        elif None in found:
            partial[name] = found
        else:
            shared |= dict.fromkeys([name], known.pop())
    return differing, partial, shared


def _digest(run: FoundRun) -> dict[str, str]:
    return {DATA_DIGEST: run.tags[DATA_DIGEST][:SHORT_DIGEST]} if DATA_DIGEST in run.tags else {}


def _score_names(runs: list[FoundRun], metric: str | None) -> list[str]:
    """Return the scores that have a column: those of finished models, and the one that orders the runs."""

    def rank(name: str) -> tuple[int, str, bool, str]:
        rows = name.rpartition("_")[0] if name.startswith(RESCORED) else ""
        return next(at for at, part in enumerate(FINAL) if name.startswith(part)), rows, _is_metric(name), name

    def is_score(name: str) -> bool:
        # The page shows the ends of an interval with their score.
        return name.startswith(FINAL) and not name.endswith(("_low", "_high")) and "_baseline_" not in name

    def is_new(name: str) -> bool:  # scoring the test rows again mostly repeats the scores of the run
        first = name.removeprefix(RESCORED)
        return first == name or any(name in run.metrics and run.metrics[name] != run.metrics.get(first) for run in runs)

    names = sorted({name for run in runs for name in run.metrics if is_score(name) and is_new(name)}, key=rank)
    return names if metric is None or metric in names else [metric, *names]


def _is_metric(name: str) -> bool:
    return not name.endswith("_loss")


def _best(values: list[float | None], groups: list[str], higher: bool | None) -> set[int]:
    """Return the positions of the best values of each set of rows; a single value is not the best of anything."""
    if higher is None:
        return set()
    choose: Callable[[Iterable[float]], float] = max if higher else min
    found: set[int] = set()
    # Scores of different rows are not comparable, so that each group has its own best runs.
    for group in set(groups):
        known = {
            at: value
            for at, value in enumerate(values)
            if groups[at] == group and value is not None and not math.isnan(value)
        }
        if len(known) > 1:
            best = choose(known.values())
            # All of them: runs with equal scores are equally good.
            found |= {at for at, value in known.items() if value == best}
    return found


def _short_ids(ids: list[str]) -> list[str]:
    length = SHORT_ID
    while len({run[:length] for run in ids}) < len(ids):
        length += 1
    return [run[:length] for run in ids]


def _notes(runs: list[FoundRun], groups: list[str], scores: list[str]) -> list[str]:
    notes = []
    different = len({run.tags[DATA_DIGEST] for run in runs if DATA_DIGEST in run.tags})
    if different > 1:
        notes.append(
            f"These runs are of {different} different sets of rows: scores are comparable within one, and the best of "
            "each is marked."
        )
    if split := ranking.note(runs, groups):
        notes.append(split)
    of_rows = [[run for run, of in zip(runs, groups, strict=True) if of == group] for group in set(groups)]
    measures = [
        name
        for name in LOSS_PARAMETERS
        if any(len({run.params.get(name) for run in part} - {None}) > 1 for part in of_rows)
    ]
    if measures:
        other = next(filter(_is_metric, scores), "")
        remedy = f" Order by another score, such as metric={other}." if other else ""
        notes.append(f"The runs differ in {' and '.join(measures)}: their losses are not comparable.{remedy}")
    return notes
