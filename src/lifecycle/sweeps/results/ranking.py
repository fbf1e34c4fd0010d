"""Orders the configurations of a sweep, and compares each with the best one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lifecycle.layout import DATA_DIGEST
from lifecycle.sweeps.results.entries import Entry, Unit, by_block, overlap_of
from lifecycle.sweeps.results.statistics import Difference, difference, holm
from lifecycle.sweeps.search.space import Objective
from lifecycle.tracking import ranking


def ranked(entries: list[Entry], metric: str | None, higher: bool) -> list[Entry]:
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
        comparable = [entry for entry in group if entry.is_ranked]
        comparable.sort(key=lambda entry: _place(entry.means[metric].mean, higher))
        _compare(comparable, metric)
        ordered += [*comparable, *(entry for entry in group if not entry.is_ranked)]
    return ordered


def by_front(entries: list[Entry], objectives: Sequence[Objective]) -> list[Entry]:
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
    best, blocks = ranked[0].scores[metric], ranked[0].blocks
    overlap, of_best = overlap_of(ranked[0]), by_block(best, blocks)
    found = [
        difference(by_block({unit: entry.scores[metric][unit] for unit in best}, blocks), of_best, overlap)
        for entry in ranked[1:]
    ]
    for entry, one, p in zip(ranked[1:], found, holm([one.p for one in found]), strict=True):
        entry.against_best = Difference(one.mean, p)
