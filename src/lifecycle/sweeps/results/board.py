"""The leader board of a sweep: configurations, ranked by their means over the same seeds or folds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lifecycle import layout
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.runtime.memory import uncollected
from lifecycle.sweeps.plan import Plan, PlannedJob
from lifecycle.sweeps.results.entries import Entry, differing_keys, entries_of, is_pruned
from lifecycle.sweeps.results.ranking import by_front, ranked
from lifecycle.tracking import ranking, sweep_runs
from lifecycle.tracking.sweep_runs import SweepRun

LOSS_PARAMETERS = ("loss", "label_smoothing", "class_weights")


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
    entries = entries_of(plan, last, by)
    asked = metric or _own_metric(plan)
    metric = _metric(plan, last.values(), asked, is_option=metric is not None)
    directions: dict[str, bool] = {}
    for text in {run.tags.get(layout.HIGHER_IS_BETTER, "{}") for run in last.values()}:
        directions |= json.loads(text)
    higher = bool(metric and ranking.higher_is_better(directions, metric))
    ordered = ranked(entries, metric, higher)
    if metric is not None and plan.search is not None and len(plan.search.objectives) > 1 and not by:
        ordered = by_front(ordered, plan.search.objectives)
    failures = [
        Failure(job, last[job.number], last[job.number].tags.get(layout.ERROR, ""), _rerun(last[job.number]))
        for job in plan.jobs
        if job.number in last and last[job.number].status == "FAILED"
    ]
    done = sum(run.status == "FINISHED" for run in last.values())
    pruned = {job.configuration for job in plan.jobs if is_pruned(last.get(job.number))}
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


def _is_finished(run: SweepRun | None) -> bool:
    return run is not None and run.status == "FINISHED"


def _check_keys(plan: Plan, by: Sequence[str]) -> None:
    """Refuse keys in which the jobs of a sweep do not differ."""
    known = differing_keys(plan)
    for key in by:
        if key not in known:
            remedy = f"{did_you_mean(key, known)} Its jobs differ in {', '.join(known) or 'seed and fold only'}."
            raise RequestError(Setting("by", key), f"is the same in all jobs of sweep {plan.name}", remedy=remedy)


def _metric(plan: Plan, runs: Iterable[SweepRun], metric: str | None, is_option: bool) -> str | None:
    """Return the metric of the board; one of the sweep's settings that no run has must not hide the results."""
    finished = [run for run in runs if run.status == "FINISHED"]
    names = sorted({name for run in finished for name in run.metrics})
    if metric is None or (finished and metric not in names and not is_option):
        has_folds = plan.jobs[0].record["config"].get("cv") is not None
        return next((name for name in (ranking.OF_FOLDS if has_folds else ranking.DEFAULTS) if name in names), None)
    if finished and metric not in names:
        scores = ", ".join(name for name in names if name.startswith(sweep_runs.FINAL)) or "none"
        problem = "is a score of none of these runs"
        raise RequestError(
            Setting("metric", metric), problem, remedy=f"{did_you_mean(metric, names)} Scores: {scores}."
        )
    return metric if finished else None


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
