"""Executes several jobs of a sweep at once: those whose networks have one shape are fitted in one vectorised group."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch

from lifecycle import layout
from lifecycle.config.resolve import resolve
from lifecycle.config.schema import Job, Request
from lifecycle.credentials import hiding
from lifecycle.data.batches import in_order
from lifecycle.data.dataset import Dataset
from lifecycle.data.load import large_table
from lifecycle.errors import LifecycleError, TrainingError
from lifecycle.evaluate import scoring
from lifecycle.fit import preflight
from lifecycle.fit.history import History, Row
from lifecycle.fit.vectorised import check
from lifecycle.fit.vectorised.group import Group
from lifecycle.fit.vectorised.members import Member, kind_of, obstacle
from lifecycle.plots import artifacts
from lifecycle.predict.outputs import as_frame, column_names, with_truth
from lifecycle.runs import outcome as outcomes
from lifecycle.runs import pipeline
from lifecycle.runtime import process_state
from lifecycle.tracking import failures
from lifecycle.tracking.bulk import BulkStore
from lifecycle.tracking.messages import FinishRun
from lifecycle.tracking.run import Run, log_record, log_settings

NO_COMPANION = "no other fit has its shape"


@dataclass(frozen=True)
class Alone:
    """A job that has to run by itself; its run has not begun.

    Attributes:
        reason: in a few words; empty: the request cannot be met, which its own run will report.
    """

    reason: str


@dataclass(frozen=True)
class Vectorised:
    """A job whose run has ended.

    Attributes:
        group: number of the group among those of these jobs, from 0.
        error: that it failed with; ``None``: it is FINISHED.
    """

    group: int
    error: LifecycleError | None = None


Ended = Alone | Vectorised
OnRow = Callable[[int, Row], str | None]


@dataclass
class _Shared:
    """What jobs have in common is read and computed once."""

    frames: dict[str, Any] = field(default_factory=dict)
    data: dict[Hashable, Dataset] = field(default_factory=dict)
    dummies: dict[int, scoring.Dummies] = field(default_factory=dict)

    def data_of(self, job: Job) -> Dataset:
        """Return the data of a job, which jobs with one split share."""
        source = repr((job.data_name, job.data_kind, job.data))
        split_seed = getattr(job.data, "split_seed", None)
        key = source, job.seed if split_seed is None else None, job.fold
        if key not in self.data:
            if source not in self.frames:
                # Rows on disk are refused by obstacle(), and need no frame.
                self.frames[source] = None if large_table(job.data) is not None else job.data.read()
            self.data[key] = pipeline.loaded(job, frame=self.frames[source])
        return self.data[key]

    def dummies_of(self, prepared: pipeline.Prepared) -> scoring.Dummies:
        """Return the baselines, which fits to one split share."""
        key = id(prepared.data)
        if key not in self.dummies:
            self.dummies[key] = scoring.dummies_of(prepared.module, prepared.data)
        return self.dummies[key]


@dataclass
class _Fit:
    """A job of a group, with what it needs."""

    number: int
    job: Job
    prepared: pipeline.Prepared
    member: Member
    begun: str | None


@dataclass
class Result:
    """How jobs ended.

    Attributes:
        ended: of each job.
        notes: sentences on the groups.
    """

    ended: list[Ended]
    notes: list[str]


def run(
    requests: Sequence[Request], begun: Sequence[str | None], on_row: OnRow | None = None, checked: bool = False
) -> Result:
    """Run jobs of a sweep.

    Args:
        requests: of the jobs.
        begun: the id of the run that a job has begun in an earlier group; or ``None``.
        on_row: called with the number of a job and the row of an epoch; returns why the job is pruned, or ``None``.
        checked: whether two fits of each group are repeated in full, one by one, and the difference is noted.

    Raises:
        Interrupted: a signal arrived; the runs that were open are KILLED.
    """
    with process_state.preserved(), ExitStack() as hidden:
        for request in requests:
            hidden.enter_context(hiding(request.hidden))
        return _Runner(requests, begun, on_row, checked).run()


class _Runner:
    def __init__(
        self, requests: Sequence[Request], begun: Sequence[str | None], on_row: OnRow | None, checked: bool
    ) -> None:
        self._requests, self._begun, self._on_row, self._checked = requests, begun, on_row, checked
        self._shared = _Shared()
        self._ended: dict[int, Ended] = {}
        self._notes: list[str] = []
        self._pruned: dict[int, str] = {}

    def run(self) -> Result:
        groups: dict[Hashable, list[_Fit]] = {}
        for number, request in enumerate(self._requests):
            fit = self._prepared(number, request)
            if isinstance(fit, Alone):
                self._ended[number] = fit
            else:
                groups.setdefault((kind_of(fit.member), fit.job.request.tracking.experiment), []).append(fit)
        done = 0
        for fits in groups.values():
            if (reason := self._fit(fits, done)) is None:
                done += 1
            else:
                self._ended |= {fit.number: Alone(reason) for fit in fits}
        return Result([self._ended[number] for number in range(len(self._requests))], self._notes)

    def _prepared(self, number: int, request: Request) -> _Fit | Alone:
        if request.config.profile:
            return Alone("profile=true")
        try:
            job = resolve(request)
            prepared = pipeline.compiled(job, self._shared.data_of(job))
            preflight.check_names(prepared.data, column_names(prepared.data.spec))
        except LifecycleError:
            return Alone("")
        member = Member(prepared.module, prepared.data, job.trainer, job.seed)
        reason = obstacle(member)
        return _Fit(number, job, prepared, member, self._begun[number]) if reason is None else Alone(reason)

    def _fit(self, fits: Sequence[_Fit], number: int) -> str | None:
        """Fit a group and record its runs, unless there is a reason against it, which is returned."""
        if len(fits) == 1:
            return NO_COMPANION
        group = Group([fit.member for fit in fits])
        if (reason := check.objection(group)) is not None:
            return reason
        store = BulkStore(fits[0].job.request.tracking)
        tag = {layout.VECTORISED: str(len(fits))}
        with store.open([fit.job.request for fit in fits], [fit.begun for fit in fits], **tag) as runs:

            def on_row(place: int, row: Row) -> bool:
                runs[place].log_epoch(row)
                number = fits[place].number
                reason = None if self._on_row is None else self._on_row(number, row)
                if reason is not None:
                    self._pruned[number] = reason
                return reason is not None

            repeated = check.Repeated([fit.member for fit in fits]) if self._checked else None
            histories = group.fit(on_row)
            if repeated is not None:
                self._notes.append(repeated.compared(histories))
            for fit, tracked, history in zip(fits, runs, histories, strict=True):
                error = self._conclude(fit, tracked, history)
                self._ended[fit.number] = Vectorised(number, error)
        return None

    def _conclude(self, fit: _Fit, tracked: Run, history: History | TrainingError) -> LifecycleError | None:
        """Record the results of a fit, and end its run."""
        try:
            log_settings(tracked, fit.job.request)
            pipeline.describe(fit.job, fit.prepared, tracked)
            if isinstance(history, TrainingError):
                raise history
            if fit.number in self._pruned:
                tracked.tag(**{layout.STATUS: layout.PRUNED, "stopped": f"pruned: {self._pruned[fit.number]}"})
            else:
                self._record(fit, tracked, history)
            tracked.send()
            log_record(tracked, fit.job.request)
            tracked.recorder.ask(FinishRun())
        except LifecycleError as error:
            return failures.close(tracked.recorder, tracked, error) or error
        return None

    def _record(self, fit: _Fit, tracked: Run, history: History) -> None:
        data, module = fit.prepared.data, fit.prepared.module
        part = data.scored
        module.eval()
        rows = in_order(part.inputs, part.targets, part.truth)
        with torch.inference_mode():
            outputs = torch.cat([module(batch[0]) for batch in rows])
        scores = module.test_scores.alone(outputs, part.targets, part.truth)
        dummies = self._shared.dummies_of(fit.prepared)
        evaluation = scoring.judge(module, data, scores, outputs, fit.job.seed, dummies)
        predictions = with_truth(as_frame(outputs, module.units, data.spec, part.base), part)
        trained = pipeline.trained_model(fit.job, fit.prepared, history, tracked.id)
        result = outcomes.Outcome(data, history, evaluation, predictions, trained, "32")
        tracked.scratch.mkdir(parents=True, exist_ok=True)
        outcomes.record_scores(tracked, result)
        artifacts.write_scores(tracked.artifacts, evaluation)
        saved = tracked.artifacts / layout.SAVED
        outcomes.record_model(tracked, result, saved)
