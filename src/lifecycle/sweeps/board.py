"""The leader board of a sweep: configurations, ranked by their means over the same seeds or folds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from lifecycle import layout
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.layout import DATA_DIGEST
from lifecycle.runtime.memory import uncollected
from lifecycle.sweeps.plan import Plan, PlannedJob
from lifecycle.sweeps.search.space import Objective
from lifecycle.sweeps.statistics import Difference, Estimate, difference, estimates, holm
from lifecycle.tracking import ranking, search, sweep_runs
from lifecycle.tracking.sweep_runs import SweepRun

LOSS_PARAMETERS = ("loss", "label_smoothing", "class_weights")

ABSENT = "-"
"""In place of a setting that a configuration does not have."""

SHORT = 8
"""Characters of a number that is shown as it is."""

Unit = tuple[tuple[str, Any], ...]
"""Seed, split seed, repetition and fold of a run."""


@dataclass
class Entry:
    """A configuration on the board.

    Attributes:
        settings: value of each key in which configurations of the sweep differ.
        jobs: its jobs.
        runs: the latest run of each job that has one, by the job's number.
        scores: of the finished runs: metric -> value by unit.
        means: metric -> mean over the finished runs.
        rows: tags of the runs by unit, with the digests of their rows.
        against_best: difference of the metric of the board to the best configuration of the same rows, with p
            corrected by Holm's method; ``None``: this is the best, or it is not ranked.
        group: number of the set of rows, from 0; configurations of one group are ranked against each other.
        is_ranked: whether all of its runs are finished that the others of its group have.
        is_pruned: whether a search ended it early.
        is_in_front: with several objectives, whether no other configuration is better in one and as good in all others.
    """

    settings: dict[str, str]
    jobs: list[PlannedJob]
    runs: dict[int, SweepRun]
    scores: dict[str, dict[Unit, float]] = field(default_factory=dict)
    means: dict[str, Estimate] = field(default_factory=dict)
    rows: dict[Unit, dict[str, str]] = field(default_factory=dict)
    against_best: Difference | None = None
    group: int = 0
    is_ranked: bool = True
    is_pruned: bool = False
    is_in_front: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """The settings, with long numbers shortened to four digits: a search draws them with seventeen."""
        return {key: _label(value) for key, value in self.settings.items()}


@dataclass(frozen=True)
class Failure:
    """A job that failed.

    Attributes:
        job: the job.
        run: its last run.
        error: in a sentence.
        rerun: the command that runs it alone.
    """

    job: PlannedJob
    run: SweepRun
    error: str
    rerun: str


@dataclass(frozen=True)
class Board:
    """The state of a sweep.

    Attributes:
        plan: its jobs.
        metric: by which configurations are ranked; ``None``: nothing is finished.
        higher: whether a higher value is better.
        entries: configurations, by group, the best first; those that are not ranked are last in their group.
        counts: number of jobs that are done, pruned, failed and left.
        failures: jobs that failed.
        notes: on what can be compared.
    """

    plan: Plan
    metric: str | None
    higher: bool
    entries: list[Entry]
    counts: dict[str, int]
    failures: list[Failure]
    notes: list[str]

    @property
    def best(self) -> Entry | None:
        """The best configuration; ``None``: nothing is ranked, or on several sets of rows."""
        ranked = [entry for entry in self.entries if entry.is_ranked and entry.means]
        return ranked[0] if ranked and len({entry.group for entry in ranked}) == 1 else None

    @property
    def metrics(self) -> list[str]:
        """The scores that have a column: that of the board first, then those of held-out rows."""
        names = sorted({name for entry in self.entries for name in entry.means})
        first = [*([self.metric] if self.metric else []), *(name for name in self.objectives if name != self.metric)]
        return [*first, *(name for name in names if name not in first)]

    @property
    def objectives(self) -> list[str]:
        """The scores of a search; none of a grid."""
        return [] if self.plan.search is None else [one.metric for one in self.plan.search.objectives]


def board_of(plan: Plan, metric: str | None = None, by: Sequence[str] = ()) -> Board:
    """Return the board of a sweep as MLflow has its runs.

    Args:
        plan: of the sweep.
        metric: by which configurations are ranked; ``None``: that of its settings, or a loss.
        by: keys whose values are compared, each over all runs that have it; empty: configurations are compared.

    Raises:
        RequestError: no run has the metric, or the jobs do not differ in a key of ``by``.
        LifecycleError: the database cannot be read.
    """
    with uncollected():
        return _board_of(plan, metric, by)


def _board_of(plan: Plan, metric: str | None, by: Sequence[str]) -> Board:
    _check_keys(plan, by)
    signatures = [job.signature for job in plan.jobs]
    by_signature = sweep_runs.runs_of(plan.place, plan.tracking.experiment, signatures, plan.name, for_board=True)
    last = {
        job.number: sweep_runs.standing(by_signature[job.signature])
        for job in plan.jobs
        if job.signature in by_signature
    }
    entries = _entries(plan, last, by)
    asked = metric or _own_metric(plan)
    metric = _metric(plan, last.values(), asked, is_option=metric is not None)
    directions: dict[str, bool] = {}
    for text in {run.tags.get(layout.HIGHER_IS_BETTER, "{}") for run in last.values()}:
        directions |= json.loads(text)
    higher = bool(metric and search.higher_is_better(directions, metric))
    ordered = _ranked(entries, metric, higher)
    if metric is not None and plan.search is not None and len(plan.search.objectives) > 1 and not by:
        ordered = _by_front(ordered, plan.search.objectives)
    failures = [
        Failure(job, last[job.number], last[job.number].tags.get(layout.ERROR, ""), _rerun(last[job.number]))
        for job in plan.jobs
        if job.number in last and last[job.number].status == "FAILED"
    ]
    done = sum(run.status == "FINISHED" for run in last.values())
    pruned = {job.configuration for job in plan.jobs if _is_pruned(last.get(job.number))}
    # With the seeds and folds that a pruned trial was not run with.
    ended_early = sum(job.configuration in pruned and not _is_finished(last.get(job.number)) for job in plan.jobs)
    counts = {"done": done, "pruned": ended_early, "failed": len(failures)}
    counts["left"] = plan.total - sum(counts.values())
    return Board(plan, metric, higher, ordered, counts, failures, _notes(ordered, metric, asked))


def _rerun(run: SweepRun) -> str:
    return f"lifecycle rerun run={run.id[:8]}"


def _own_metric(plan: Plan) -> str | None:
    """Return the score that a sweep is ranked by; of a search, its first objective."""
    if plan.search is not None:
        return plan.search.objectives[0].metric
    return next(iter(plan.settings.metrics), None)


def _is_pruned(run: SweepRun | None) -> bool:
    return run is not None and run.status == sweep_runs.PRUNED


def _is_finished(run: SweepRun | None) -> bool:
    return run is not None and run.status == "FINISHED"


def _label(text: str) -> str:
    try:
        return text if len(text) <= SHORT else f"{float(text):.4g}"
    except ValueError:
        return text


def _entries(plan: Plan, last: dict[int, SweepRun], by: Sequence[str]) -> list[Entry]:
    keys = list(by) or _differing(plan)
    grouped: dict[tuple[str, ...], list[PlannedJob]] = {}
    for job in plan.jobs:
        own = tuple(_settings(job).get(key, ABSENT) for key in keys)
        grouped.setdefault(own if by else (job.configuration,), []).append(job)
    entries = []
    for jobs in grouped.values():
        settings = _settings(jobs[0])
        runs = {job.number: last[job.number] for job in jobs if job.number in last}
        entry = Entry({key: settings.get(key, ABSENT) for key in keys}, jobs, runs)
        entry.is_pruned = any(_is_pruned(run) for run in runs.values())
        for job in jobs:
            run = runs.get(job.number)
            if run is None:
                continue
            unit = unit_of(job, keys)
            entry.rows[unit] = run.tags
            if run.status == "FINISHED":
                for name, value in _scores(run).items():
                    entry.scores.setdefault(name, {})[unit] = value
        entry.means = _means(entry)
        entries.append(entry)
    return entries


def _means(entry: Entry) -> dict[str, Estimate]:
    """Return the mean of each score of a configuration; those that all runs have are computed together."""
    overlap = _overlap(entry)
    by_count: dict[int, list[str]] = {}
    for name, values in entry.scores.items():
        by_count.setdefault(len(values), []).append(name)
    found: dict[str, Estimate] = {}
    for names in by_count.values():
        rows = [list(entry.scores[name].values()) for name in names]
        found |= zip(names, estimates(rows, overlap), strict=True)
    return found


def _differing(plan: Plan) -> list[str]:
    """Return the keys in which configurations differ."""
    settings = [_settings(job) for job in plan.jobs]
    known = dict.fromkeys(key for one in settings for key in one)
    return [key for key in known if len({one.get(key) for one in settings}) > 1]


def _check_keys(plan: Plan, by: Sequence[str]) -> None:
    """Refuse keys in which the jobs of a sweep do not differ."""
    known = _differing(plan)
    for key in by:
        if key not in known:
            remedy = f"{did_you_mean(key, known)} Its jobs differ in {', '.join(known) or 'seed and fold only'}."
            raise RequestError(Setting("by", key), f"is the same in all jobs of sweep {plan.name}", remedy=remedy)


def _settings(job: PlannedJob) -> Mapping[str, str]:
    """Return the values in which a configuration may differ from others, by key."""
    return _settings_in(job.words)


@lru_cache(maxsize=2**17)
def _settings_in(job_words: tuple[str, ...]) -> Mapping[str, str]:
    words = [word.lstrip("+").partition("=") for word in job_words]
    return {key: value for key, _, value in words if key not in ("seed", "data.split_seed", "cv.fold", "cv.repeat")}


def _scores(run: SweepRun) -> dict[str, float]:
    return run.metrics  # of a board, only the scores are read


def unit_of(job: PlannedJob, compared: Sequence[str] = ()) -> Unit:
    """Return what tells the runs of one entry apart: seed and fold, and all settings that are not compared."""
    others = {key: value for key, value in sorted(_settings(job).items()) if key not in compared}
    return (*job.unit.items(), *others.items())


def _overlap(entry: Entry) -> float:
    """Return the mean ratio of test rows to those that are trained and validated on, of folds; 0 for seeds.

    Blocks of time have fewer rows before them than the parts of shuffled rows have around them.
    """
    folds = entry.jobs[0].record["config"].get("cv", {}).get("folds")
    if not folds:
        return 0.0
    ratios = []
    for run in entry.runs.values():
        if run.status == "FINISHED" and layout.SPLIT_ROWS in run.tags:
            train, validation, test = map(int, run.tags[layout.SPLIT_ROWS].split(","))
            ratios.append(test / (train + validation))
    # Runs of earlier versions did not record the numbers.
    return float(np.mean(ratios)) if ratios else 1 / (folds - 1)


def _metric(plan: Plan, runs: Iterable[SweepRun], metric: str | None, is_option: bool) -> str | None:
    """Return the metric of the board; one of the sweep's settings that no run has must not hide the results."""
    finished = [run for run in runs if run.status == "FINISHED"]
    names = sorted({name for run in finished for name in _scores(run)})
    if metric is None or (finished and metric not in names and not is_option):
        has_folds = plan.jobs[0].record["config"].get("cv") is not None
        return next((name for name in (search.OF_FOLDS if has_folds else search.DEFAULTS) if name in names), None)
    if finished and metric not in names:
        scores = ", ".join(name for name in names if name.startswith(sweep_runs.FINAL)) or "none"
        problem = "is a score of none of these runs"
        raise RequestError(
            Setting("metric", metric), problem, remedy=f"{did_you_mean(metric, names)} Scores: {scores}."
        )
    return metric if finished else None


def _ranked(entries: list[Entry], metric: str | None, higher: bool) -> list[Entry]:
    """Return the entries in order, with their groups and their differences to the best of each."""
    if metric is None:
        return entries
    groups: list[tuple[dict[Unit, str], list[Entry]]] = []
    for entry in sorted(entries, key=lambda entry: -len(entry.scores.get(metric, {}))):
        own = _rows(entry, metric)
        rows, group = next((found for found in groups if _are_of(own, found[0])), ({}, []))
        if not group:
            groups.append((rows, group))
        rows |= own
        group.append(entry)
    ordered: list[Entry] = []
    for number, (units, group) in enumerate(groups):
        for entry in group:
            # A configuration without a seed or fold of the others would be compared on other rows.
            entry.group, entry.is_ranked = number, bool(units) and set(entry.scores.get(metric, {})) == set(units)
        ranked = sorted(
            (entry for entry in group if entry.is_ranked), key=lambda entry: _place(entry.means[metric].mean, higher)
        )
        _compare(ranked, metric)
        ordered += [*ranked, *(entry for entry in group if not entry.is_ranked)]
    return ordered


def _by_front(entries: list[Entry], objectives: Sequence[Objective]) -> list[Entry]:
    """Return the entries with those of the Pareto front first, which are marked; else in the same order."""
    points = {
        at: [-mean if one.higher else mean for one, mean in zip(objectives, means, strict=True)]
        for at, entry in enumerate(entries)
        if entry.is_ranked and None not in (means := [_mean(entry, one.metric) for one in objectives])
    }
    for at, own in points.items():
        worse_than = (
            all(a <= b for a, b in zip(other, own, strict=True)) and other != own for other in points.values()
        )
        entries[at].is_in_front = not any(worse_than)
    return sorted(entries, key=lambda entry: (entry.group, not entry.is_in_front))


def _mean(entry: Entry, metric: str) -> Any:
    mean = entry.means[metric].mean if metric in entry.means else math.nan
    return None if math.isnan(mean) else mean


def _place(mean: float, higher: bool) -> tuple[bool, float]:
    return math.isnan(mean), 0.0 if math.isnan(mean) else -mean if higher else mean


def _rows(entry: Entry, metric: str) -> dict[Unit, str]:
    """Return for each finished run of a configuration a key of the rows that a score is of."""
    parts = ranking.digests_of(metric)
    units = entry.scores.get(metric, {})
    return {unit: " ".join(entry.rows[unit].get(name, "") for name in (DATA_DIGEST, *parts)) for unit in units}


def _are_of(own: dict[Unit, str], others: dict[Unit, str]) -> bool:
    """Return whether two configurations have the same rows for the seeds and folds that both have."""
    return all(others.get(unit, rows) == rows for unit, rows in own.items())


def _compare(ranked: list[Entry], metric: str) -> None:
    """Set the difference of each entry to the best one, on the same seeds or folds."""
    if not ranked:
        return
    best = ranked[0].scores[metric]
    overlap = _overlap(ranked[0])
    found = [
        difference([entry.scores[metric][unit] for unit in best], list(best.values()), overlap) for entry in ranked[1:]
    ]
    for entry, one, p in zip(ranked[1:], found, holm([one.p for one in found]), strict=True):
        entry.against_best = Difference(one.mean, p)


def _notes(entries: list[Entry], metric: str | None, asked: str | None) -> list[str]:
    notes = []
    if metric is not None and asked is not None and asked != metric:
        names = sorted({name for entry in entries for name in entry.means})
        notes.append(f"sweep.metric={asked} is a score of none of these runs. Scores: {', '.join(names)}.")
    if len({entry.group for entry in entries if entry.means}) > 1:
        notes.append("Configurations with other rows are in other groups: only those of one group are ranked.")
    if any(not entry.is_ranked and entry.runs and not entry.is_pruned for entry in entries):
        notes.append("A configuration without all runs of the others is not ranked.")
    if metric is not None and metric.endswith("_loss"):
        configs = [entry.jobs[0].record["config"] for entry in entries]
        if len({json.dumps([config.get(name) for name in LOSS_PARAMETERS]) for config in configs}) > 1:
            remedy = "order them by another score, such as metric=test_accuracy"
            notes.append(f"The configurations differ in their loss: {remedy}.")
    return notes
