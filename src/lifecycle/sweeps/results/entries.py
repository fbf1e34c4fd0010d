"""The configurations of a sweep: the runs of each, and the means of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from lifecycle import layout
from lifecycle.sweeps.plan import Plan, PlannedJob
from lifecycle.sweeps.results.statistics import Difference, Estimate, estimates
from lifecycle.tracking import sweep_runs
from lifecycle.tracking.sweep_runs import SweepRun

ABSENT = "-"
"""In place of a setting that a configuration does not have."""

SHORT = 8
"""Characters of a number that is shown as it is."""

Unit = tuple[tuple[str, Any], ...]
"""Seed, split seed, repetition and fold of a run."""

Block = tuple[Any, ...]
"""What runs with the same test rows share: one observation of their configuration."""


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
        blocks: of the runs by unit.
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
    blocks: dict[Unit, Block] = field(default_factory=dict)
    against_best: Difference | None = None
    group: int = 0
    is_ranked: bool = True
    is_pruned: bool = False
    is_in_front: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """The settings, with long numbers shortened to four digits: a search draws them with seventeen."""
        return {key: short_value(value) for key, value in self.settings.items()}


def entries_of(plan: Plan, last: dict[int, SweepRun], by: Sequence[str]) -> list[Entry]:
    """Return the configurations of a sweep in the order of their jobs.

    Args:
        plan: of the sweep.
        last: the run that stands for each job that has one, by the job's number.
        by: keys whose values are compared, each over all runs that have it; empty: configurations are compared.
    """
    keys = list(by) or differing_keys(plan)
    grouped: dict[tuple[str, ...], list[PlannedJob]] = {}
    for job in plan.jobs:
        own = tuple(_settings(job).get(key, ABSENT) for key in keys)
        grouped.setdefault(own if by else (job.configuration,), []).append(job)
    entries = []
    for jobs in grouped.values():
        settings = _settings(jobs[0])
        runs = {job.number: last[job.number] for job in jobs if job.number in last}
        entry = Entry({key: settings.get(key, ABSENT) for key in keys}, jobs, runs)
        entry.is_pruned = any(is_pruned(run) for run in runs.values())
        for job in jobs:
            run = runs.get(job.number)
            if run is None:
                continue
            unit = unit_of(job, keys)
            entry.rows[unit], entry.blocks[unit] = run.tags, _block_of(job, unit, run)
            if run.status == "FINISHED":
                for name, value in run.metrics.items():
                    entry.scores.setdefault(name, {})[unit] = value
        entry.means = _means(entry)
        entries.append(entry)
    return entries


def _block_of(job: PlannedJob, unit: Unit, run: SweepRun) -> Block:
    """Return the block of a run: of a fold, what determines its test rows; else the run is a block of its own.

    Runs with other seeds on the same fold are no other sample of the data, from which the spread over folds is learnt.
    """
    if not job.record["config"].get("cv", {}).get("folds"):
        return unit
    own = job.unit
    split = own["seed"] if own["data.split_seed"] is None else own["data.split_seed"]
    return split, own["cv.repeat"], own["cv.fold"], run.tags.get(layout.TEST_DIGEST)


def by_block(values: Mapping[Unit, float], blocks: Mapping[Unit, Block]) -> list[float]:
    """Return the mean of the values of each block, in the order of the first unit of each."""
    found: dict[Block, list[float]] = {}
    for unit, value in values.items():
        found.setdefault(blocks[unit], []).append(value)
    return [of[0] if len(of) == 1 else sum(of) / len(of) for of in found.values()]


def _means(entry: Entry) -> dict[str, Estimate]:
    """Return the mean of each score of a configuration; those that all runs have are computed together."""
    overlap = overlap_of(entry)
    by_count: dict[int, dict[str, list[float]]] = {}
    for name, values in entry.scores.items():
        row = by_block(values, entry.blocks)
        by_count.setdefault(len(row), {})[name] = row
    found: dict[str, Estimate] = {}
    for rows in by_count.values():
        found |= zip(rows, estimates(list(rows.values()), overlap), strict=True)
    return found


def differing_keys(plan: Plan) -> list[str]:
    """Return the keys in which configurations differ."""
    settings = [_settings(job) for job in plan.jobs]
    known = dict.fromkeys(key for one in settings for key in one)
    return [key for key in known if len({one.get(key) for one in settings}) > 1]


def _settings(job: PlannedJob) -> Mapping[str, str]:
    """Return the values in which a configuration may differ from others, by key."""
    return _settings_in(job.words)


@lru_cache(maxsize=2**17)
def _settings_in(job_words: tuple[str, ...]) -> Mapping[str, str]:
    words = [word.lstrip("+").partition("=") for word in job_words]
    return {key: value for key, _, value in words if key not in ("seed", "data.split_seed", "cv.fold", "cv.repeat")}


def unit_of(job: PlannedJob, compared: Sequence[str] = ()) -> Unit:
    """Return what tells the runs of one entry apart: seed and fold, and all settings that are not compared."""
    others = {key: value for key, value in sorted(_settings(job).items()) if key not in compared}
    return (*job.unit.items(), *others.items())


def overlap_of(entry: Entry) -> float:
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


def short_value(text: str) -> str:
    """Return a setting as it is shown: a long number with four digits."""
    try:
        return text if len(text) <= SHORT else f"{float(text):.4g}"
    except ValueError:
        return text


def is_pruned(run: SweepRun | None) -> bool:
    """Return whether the run of a job was pruned by its search."""
    return run is not None and run.status == sweep_runs.PRUNED
