"""What can be removed from a store: files that no run needs, and checkpoints of finished runs that are not kept."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from filelock import FileLock, Timeout

from lifecycle import layout
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.tracking import ranking, sweep_runs
from lifecycle.tracking.maintenance.folders import Folder, Inventory, RunRow, inventory
from lifecycle.tracking.transfer import local

BEST, LATEST = "best", "latest"


@dataclass(frozen=True)
class Keep:
    """Which checkpoints are kept.

    Attributes:
        how: ``best`` or ``latest``; ``""``: those of all runs.
        count: how many runs.
        metric: of ``best``; ``None``: that of ``run=best``.
        experiment: the only one of which checkpoints are removed.
        sweep: the only sweep of which they are; ``None``: all runs of the experiment.
        before: only what was changed before this time is removed, in seconds since 1970; ``None``: all.
    """

    how: str = ""
    count: int = 0
    metric: str | None = None
    experiment: str = "lifecycle"
    sweep: str | None = None
    before: float | None = None


@dataclass(frozen=True)
class Removable:
    """A folder that can be removed: why, and its size in bytes."""

    folder: Folder
    reason: str
    size: int


def removable(folder: Path, keep: Keep) -> list[Removable]:
    """Return the folders of a store that can be removed, in order; changes nothing.

    Never a folder of a run that has not ended, that failed or was killed (resuming it needs them), of a registered
    model, or of which something is still to be sent.

    Raises:
        RequestError: no run has the metric.
    """
    with local.connected(folder) as database:
        known = inventory(folder, database)
        kept = _kept(folder, database, known, keep)
    reasons = [(one, _reason(folder, known, kept, one)) for one in known.folders]
    found = [Removable(one, reason, one.size) for one, reason in reasons if reason]
    return [one for one in found if keep.before is None or one.folder.changed < keep.before]


def _reason(folder: Path, known: Inventory, kept: set[str] | None, one: Folder) -> str:
    """Return why a folder can be removed; "": it cannot."""
    if one.kind == "unpacking":
        return "left by a command that was killed while it copied a run"
    run = known.run_of(one)
    ids = {one.owner, run.id if run is not None else one.owner}
    if ids & (known.registered | known.pending) or any(local.is_open(folder, name) for name in ids):
        return ""
    if one.owner in known.deleted_models:
        return "the model was deleted"
    if run is None:
        # A model that belongs to no run was logged by another tool.
        return "" if one.owner in known.models else "its run is not in the database"
    if run.is_deleted:
        return f"run {run.name} was deleted" if run.status != "RUNNING" else ""
    is_left = one.kind == "checkpoints" and run.status == "FINISHED" and kept is not None and run.id not in kept
    return f"run {run.name} is finished and not kept" if is_left and _has_checkpoints(one) else ""


def _has_checkpoints(folder: Folder) -> bool:
    """Return whether it has more than a lock, as that of a run of a vectorised group."""
    return any(file.name != layout.LOCK for file in folder.path.iterdir())


def _kept(folder: Path, database: sqlite3.Connection, known: Inventory, keep: Keep) -> set[str] | None:
    """Return the runs whose checkpoints are kept; ``None``: all."""
    if not keep.how:
        return None
    asked = [run for run in known.runs.values() if run.experiment == keep.experiment and not run.is_deleted]
    read = sweep_runs.read_runs(folder, database, [run.id for run in asked], with_params=True)
    asked = [run for run in asked if run.status == "FINISHED" and layout.ROLE not in read[run.id].tags]
    if keep.sweep is not None:
        asked = [run for run in asked if read[run.id].tags.get(layout.SWEEP, "").startswith(keep.sweep)]
    others = set(known.runs) - {run.id for run in asked}
    if keep.how == LATEST:
        latest = sorted(asked, key=lambda run: (run.ended, run.id), reverse=True)
        return others | {run.id for run in latest[: keep.count]}
    return others | _best(asked, read, keep)


def _best(asked: Sequence[RunRow], read: dict[str, Any], keep: Keep) -> set[str]:
    """Return the best runs on each data set, and those that cannot be ranked."""
    runs = [SimpleNamespace(id=run.id, data=read[run.id]) for run in asked]
    if not runs:
        return set()
    metric = keep.metric or next((name for name in ranking.DEFAULTS if any(name in r.data.metrics for r in runs)), "")
    having = [run for run in runs if metric in run.data.metrics]
    if not having:
        names = sorted({name for run in runs for name in run.data.metrics})
        problem = "is a score of none of these runs" if keep.metric else "has no score that a run has"
        setting = Setting("metric", keep.metric) if keep.metric else Setting("keep", f"{BEST}:{keep.count}")
        remedy = f"{did_you_mean(metric, names)} Scores: {', '.join(names[:10])}."
        raise RequestError(setting, problem, remedy=remedy)
    kept = {run.id for run in runs} - {run.id for run in having}
    groups: dict[str, list[Any]] = {}
    # Not by the rows that validated, as run=best does: with a split for each seed, each run would be the only one.
    for run in having:
        groups.setdefault(run.data.tags.get(layout.DATA_DIGEST, ""), []).append(run)
    for group in groups.values():
        directions = json.loads(group[0].data.tags.get(layout.HIGHER_IS_BETTER, "{}"))
        better = bool(ranking.higher_is_better(directions, metric))
        numbers = sorted(group, key=lambda run: run.data.metrics[metric], reverse=better)
        kept |= {run.id for run in numbers[: keep.count]}
    return kept


def remove(folder: Path, keep: Keep) -> list[Removable]:
    """Remove what :func:`removable` returns, and return what was removed.

    Raises:
        OSError: a folder cannot be removed.
    """
    removed = []
    with FileLock(folder / layout.LOCK):  # no run begins meanwhile
        for one in removable(folder, keep):
            with suppress(Timeout):
                if one.folder.kind == "checkpoints":
                    with FileLock(one.folder.path / layout.LOCK, timeout=0):  # nor is one resumed
                        shutil.rmtree(one.folder.path)
                else:
                    shutil.rmtree(one.folder.path)
                removed.append(one)
    return removed
