"""The trials of a search: suggests their jobs, and tells Optuna how they ended.

The stored jobs say which configurations were suggested, and MLflow how their runs ended. The study is what Optuna
makes of both: what it lacks after a kill is added to it at the next start.
"""

from __future__ import annotations

import itertools
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lifecycle import layout
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime import lines
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.execute import DONE, PRUNED
from lifecycle.sweeps.grouping import MOST, OFF
from lifecycle.sweeps.plan import Plan, PlannedJob
from lifecycle.sweeps.planning import Signatures
from lifecycle.sweeps.search import composing, earlier
from lifecycle.sweeps.search.space import Search
from lifecycle.sweeps.search.study import CONFIGURATION, OWNER, RUN, Study
from lifecycle.tracking import sweep_runs
from lifecycle.tracking.sweep_runs import SweepRun

REPEATS = 10
"""Suggestions of the sampler that may repeat an earlier trial, before values are drawn at random; and then again."""

MOST_LISTED = 100_000
"""Combinations of a finite space that are gone through to find one that was not tried."""


@dataclass
class Open:
    """A trial whose jobs are being run.

    Attributes:
        number: of the trial in the study.
        jobs: all of its jobs.
        waiting: those that have not ended.
        ended: how the others ended.
    """

    number: int
    jobs: list[PlannedJob]
    waiting: list[int]
    ended: list[str] = field(default_factory=list)


class Trials:
    """Suggests jobs, of one trial or of a batch of them.

    Attributes:
        plan: with the jobs that were suggested so far.
        over: why no more trials are suggested, in a sentence; "": the number of trials is reached, or it goes on.

    Args:
        plan: of the search, stored.

    Raises:
        RequestError: the data or the code have changed since the search was planned.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.over = plan, ""
        self._signed = Signatures()
        composing.check_unchanged(plan, self._signed)
        claims = plan.folder / layout.CLAIMS
        claims.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._owner = f"search-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._alive = FileLock(claims / f"{self._owner}.lock")  # held while this process lives
        self._alive.acquire()
        self._turn = plans.turn(plan)
        self._open: dict[str, Open] = {}
        self._later: list[int] = []
        self._listed = itertools.islice(self._search.combinations(), MOST_LISTED)
        self._tried, self._seen = set[frozenset[tuple[str, str]]](), 0
        with self._turn:
            self._study = Study(plan)
            self._recover()
        self._check_progress()

    def close(self) -> None:
        """Let other processes see that this one waits for no trial any more."""
        self._alive.release()
        Path(self._alive.lock_file).unlink(missing_ok=True)

    def next(self) -> list[int]:
        """Return the numbers of jobs to run now; empty: none, until one that is being run has ended."""
        if self._later:
            numbers, self._later = self._later, []
            return numbers
        if self.over:
            return []
        with self._turn:
            self.plan = plans.current(self.plan)  # another process may suggest too
            known = len(self.plan.jobs)
            batches = iter(self._suggest, [])  # until nothing is left to suggest
            found = [number for numbers in itertools.islice(batches, self._batch) for number in numbers]
            if len(self.plan.jobs) > known:
                # Once for a batch. A trial whose jobs were not stored when this process is killed has failed.
                plans.write(self.plan)
            return found

    def ended(self, number: int, how: str) -> None:
        """Take note of the end of a job.

        Args:
            number: of the job.
            how: see :mod:`lifecycle.sweeps.execute`.

        Raises:
            RequestError: a finished run has no score of an objective.
        """
        trial = self._open.get(self.plan.jobs[number].configuration)
        if trial is None:
            return
        trial.ended.append(how)
        trial.waiting.remove(number)
        if how == PRUNED:
            self._tell(trial, "PRUNED")
        elif trial.waiting:
            if self._prunes and len(trial.ended) == 1:  # the first one is through: the others are not pruned
                self._later += trial.waiting
        elif set(trial.ended) == {DONE}:
            scores = self._scores(trial.jobs, self._runs(trial.jobs))
            has_all = all(math.isfinite(score) for score in scores)
            self._tell(trial, "COMPLETE" if has_all else "FAIL", scores)
        else:
            self._tell(trial, "FAIL")

    @property
    def _search(self) -> Search:
        assert self.plan.search is not None  # noqa: S101 - its creator has checked it
        return self.plan.search

    @property
    def _batch(self) -> int:
        """Trials to suggest at once."""
        settings = self.plan.settings
        if settings.batch is not None:
            return settings.batch
        # These samplers suggest the same whatever has become of earlier trials. When the time is over, no trial should
        # be left that was suggested and not begun.
        learns = settings.sampler not in ("random", "qmc", "grid")
        is_single = learns or settings.vectorise == OFF or settings.on_error == "stop" or settings.minutes is not None
        return 1 if is_single else MOST * settings.workers

    @property
    def _prunes(self) -> bool:
        return self.plan.settings.prune != "none"

    def _tell(self, trial: Open, state: str, scores: Sequence[float] | None = None) -> None:
        del self._open[trial.jobs[0].configuration]
        self._study.tell(trial.number, state, scores)
        self._check_progress()

    def _check_progress(self) -> None:
        if self.plan.settings.terminate and self._study.has_stagnated():
            self.over = "The search ended early: the last trials brought nothing better."
            with self._turn:
                self.plan = replace(plans.current(self.plan), is_over=True)
                plans.write(self.plan)

    def _suggest(self) -> list[int]:
        by_configuration = _by_configuration(self.plan)
        waiting = [one for one in self._study.trials if one.state.name == "WAITING"]
        trials = self.plan.settings.trials
        if not waiting and trials is not None and len(by_configuration) >= trials:
            return []
        for at in range(2 * REPEATS + 1):
            if not waiting and (at == 2 * REPEATS or self.plan.settings.sampler == "grid"):
                untried = self._untried()
                if untried is None:
                    self.over = "The search ended early: all combinations were tried." if trials else ""
                    return []
                self._study.wait(untried)
            trial, values = self._study.ask(len(by_configuration) * (2 * REPEATS + 1) + at, anywhere=at >= REPEATS)
            known = trial.user_attrs.get(CONFIGURATION)
            jobs = by_configuration.get(known) if known else composing.jobs_of(self.plan, values, self._signed)
            if jobs and (known or jobs[0].configuration not in by_configuration):
                trial.set_user_attr(CONFIGURATION, jobs[0].configuration)
                trial.set_user_attr(OWNER, self._owner)
                return self._begin(trial.number, jobs, is_new=not known)
            self._study.tell(trial.number, "FAIL")  # a repetition, from which nothing is to be learnt
        return []

    def _begin(self, number: int, jobs: list[PlannedJob], is_new: bool) -> list[int]:
        if is_new:
            self.plan = replace(self.plan, jobs=(*self.plan.jobs, *jobs))
        numbers = [job.number for job in jobs]
        self._open[jobs[0].configuration] = Open(number, jobs, list(numbers))
        return numbers[:1] if self._prunes else numbers

    def _untried(self) -> Mapping[str, str] | None:
        """Return the next combination that no trial has; ``None``: all were tried, or they cannot be listed.

        What was passed over had been tried, or is by now, so that the list is gone through once.
        """
        if self._search.size is None:
            return None
        for job in self.plan.jobs[self._seen :]:
            self._tried.add(frozenset(self._search.of_words(job.words).items()))
        self._seen = len(self.plan.jobs)
        return next((values for values in self._listed if frozenset(values.items()) not in self._tried), None)

    def _recover(self) -> None:
        """Bring the study in line with the stored jobs and their runs."""
        if self._study.is_new and self.plan.settings.warm_start:
            self._warm_start()
        known = set[Any]()
        for trial in self._study.trials:
            of = trial.user_attrs.get(CONFIGURATION)
            if trial.state.name == "RUNNING" and not self._is_alive(trial.user_attrs.get(OWNER)):
                self._study.tell(trial.number, "FAIL")  # the process that waited for it has died
            elif trial.state.name != "FAIL":
                known.add(of)
        for of, jobs in _by_configuration(self.plan).items():
            if of not in known:
                self._take_up(of, jobs)

    def _take_up(self, configuration: str, jobs: list[PlannedJob]) -> None:
        """Add a trial that has ended without the study knowing, or let one that has not be run again."""
        runs, values = self._runs(jobs), self._search.of_words(jobs[0].words)
        found = [runs.get(job.number) for job in jobs]
        if any(run is not None and run.status == sweep_runs.PRUNED for run in found):
            self._study.add(values, None, **{CONFIGURATION: configuration})
        elif all(run is not None and run.status == "FINISHED" for run in found):
            scores = self._scores(jobs, runs)
            if all(math.isfinite(score) for score in scores):
                self._study.add(values, scores, **{CONFIGURATION: configuration})
        elif all(run is None or not self._is_given_up(run) for run in found):
            self._study.wait(values, **{CONFIGURATION: configuration})

    def _is_given_up(self, run: SweepRun) -> bool:
        return run.status == "FAILED" and run.attempt > self.plan.settings.retries

    def _is_alive(self, owner: Any) -> bool:
        """Return whether the process that waits for a trial is alive: it holds its lock."""
        file = self.plan.folder / layout.CLAIMS / f"{owner}.lock"
        if owner is None or not file.is_file():
            return False
        try:
            with FileLock(file, timeout=0):
                pass
        except Timeout:
            return True
        file.unlink(missing_ok=True)
        return False

    def _warm_start(self) -> None:
        found = earlier.trials_of(self.plan)
        for values, scores, run in found:
            self._study.add(values, scores, **{RUN: run})
        if found and self.plan.verbose:
            lines.say(
                f"Warm start with {len(found)} earlier run{'s' * (len(found) != 1)} of these settings", flush=True
            )

    def _runs(self, jobs: Sequence[PlannedJob]) -> dict[int, SweepRun]:
        """Return the run that stands for each job that has one: a finished one, else the latest."""
        signatures = [job.signature for job in jobs]
        found = sweep_runs.runs_of(self.plan.place, self.plan.tracking.experiment, signatures, self.plan.name)
        return {job.number: sweep_runs.standing(found[job.signature]) for job in jobs if job.signature in found}

    def _scores(self, jobs: Sequence[PlannedJob], runs: Mapping[int, SweepRun]) -> list[float]:
        """Return the mean of each objective over the runs of a trial."""
        means = []
        for objective in self._search.objectives:
            values = [runs[job.number].metrics.get(objective.metric) for job in jobs]
            if None in values:
                names = ", ".join(sorted(runs[jobs[0].number].metrics))
                problem = f"is a score that run {runs[jobs[0].number].name} did not log"
                raise RequestError(Setting("sweep.metric", objective.metric), problem, remedy=f"Scores: {names}.")
            means.append(sum(value for value in values if value is not None) / len(values))
        return means


def _by_configuration(plan: Plan) -> dict[str, list[PlannedJob]]:
    found: dict[str, list[PlannedJob]] = {}
    for job in plan.jobs:
        found.setdefault(job.configuration, []).append(job)
    return found


def print_reason(sentence: str, verbose: int) -> None:
    """Print why a search ended."""
    if sentence and verbose:
        lines.say(f"\n{sentence}", flush=True)
