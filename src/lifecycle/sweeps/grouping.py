"""Which jobs of a sweep may be fitted together: those that differ only in what copies of a network may differ in."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lifecycle.sweeps.plan import Plan, PlannedJob

MOST = 128
"""Jobs of one group; more gain little, and are lost together if the process dies."""

FEWEST = 4
"""Jobs of each part of a group that is divided among workers."""

OFF, AUTO, CHECK = "off", "auto", "check"
"""Values of ``sweep.vectorise``."""

Task = tuple[int, ...]
"""Numbers of jobs that a worker runs together."""


@dataclass
class Vectorised:
    """Counts the fits that were vectorised, and those that were not, by reason."""

    fits: int = 0
    groups: set[str] = field(default_factory=set)
    reasons: Counter[str] = field(default_factory=Counter)

    def took(self, group: str) -> None:
        """Count a fit of a group."""
        self.fits += 1
        self.groups.add(group)

    def refused(self, reason: str) -> None:
        """Count a fit that could have been one of a group."""
        self.reasons[reason] += 1

    @property
    def line(self) -> str:
        """``Vectorised 96 of 100 fits in 2 groups; 4 one by one: nn.LSTM``; empty where there was no group."""
        alone = sum(self.reasons.values())
        if not self.fits and not any(self.reasons):  # not even a reason
            return ""
        groups = f" in {len(self.groups)} group{'s' * (len(self.groups) != 1)}" if self.groups else ""
        reasons = ", ".join(reason for reason, _ in self.reasons.most_common() if reason)
        one_by_one = f"; {alone} one by one{': ' * bool(reasons)}{reasons}" if alone else ""
        return f"Vectorised {self.fits} of {self.fits + alone} fits{groups}{one_by_one}"


def tasks(plan: Plan, numbers: Sequence[int], workers: int | None = None) -> list[Task]:
    """Return the tasks of jobs: groups that may be vectorised, and single jobs.

    Whether networks really have one shape is known once they are built, by :mod:`lifecycle.runs.group`.

    Args:
        plan: of the sweep.
        numbers: of the jobs that are left.
        workers: among which groups are divided; ``None``: ``sweep.workers``.
    """
    # With on_error=stop no job may have begun after the one that fails.
    if plan.settings.vectorise == OFF or plan.settings.on_error == "stop":
        return [(number,) for number in numbers]
    groups: dict[str, list[int]] = {}
    for number in numbers:
        job = plan.jobs[number]
        # A profile is of one run.
        groups.setdefault(str(number) if job.record["config"]["profile"] else _family(job), []).append(number)
    found = [task for group in groups.values() for task in _divided(group, workers or plan.settings.workers)]
    return sorted(found)


def _family(job: PlannedJob) -> str:
    """Return a text that is equal for jobs that may be one group."""
    config = dict(job.record["config"])
    for key in ("seed", "optimizer"):
        config.pop(key, None)
    for group, names in (("data", ("split_seed",)), ("cv", ("fold", "repeat", "repeats")), ("tracking", ("run_name",))):
        config[group] = _without(config.get(group) or {}, names)
    config["model"] = {key: value for key, value in config["model"].items() if "dropout" not in key}
    return json.dumps([config, job.record["types"]], sort_keys=True, default=str)


def _without(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


def _divided(group: Sequence[int], workers: int) -> list[Task]:
    """Divide a group into equal parts: one for each worker, and none larger than :data:`MOST`."""
    parts = math.ceil(len(group) / MOST)
    if workers > 1 and len(group) >= FEWEST * workers:
        parts = max(parts, workers)
    size = math.ceil(len(group) / parts)
    return [tuple(group[start : start + size]) for start in range(0, len(group), size)]
