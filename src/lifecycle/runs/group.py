"""Executes several jobs of a sweep at once: those whose networks have one shape are fitted in one vectorised group."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from lifecycle import layout
from lifecycle.compile.devices import device_of
from lifecycle.config.request import Job, Request
from lifecycle.config.resolve import resolve
from lifecycle.credentials import hiding, mask_error
from lifecycle.data.batches import in_order
from lifecycle.data.dataset import Dataset
from lifecycle.data.load import large_table
from lifecycle.data.resolving import resolved_for_all_splits
from lifecycle.errors import LifecycleError, TrackingError, TrainingError
from lifecycle.evaluate import scoring
from lifecycle.fit import preflight
from lifecycle.fit.history import History, Row
from lifecycle.fit.vectorised import check
from lifecycle.fit.vectorised.group import Group
from lifecycle.fit.vectorised.members import Member, bytes_needed, bytes_of, kind_of, obstacle
from lifecycle.plots import artifacts
from lifecycle.predict.outputs import as_frame, column_names, with_truth
from lifecycle.runs import description, pipeline
from lifecycle.runs import outcome as outcomes
from lifecycle.runtime import process_state
from lifecycle.runtime.memory import free_memory
from lifecycle.runtime.signals import interruption_kept
from lifecycle.tracking import failures
from lifecycle.tracking.direct.bulk import BulkStore
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
        error: that it failed with, which is no ``LifecycleError`` where it is a bug; ``None``: it is FINISHED.
    """

    group: int
    error: Exception | None = None


Ended = Alone | Vectorised
OnRow = Callable[[int, Row], str | None]


@dataclass
class _Shared:
    """What jobs have in common is read and computed once."""

    most_bytes: float
    frames: dict[str, Any] = field(default_factory=dict)
    plugins: dict[str, Any] = field(default_factory=dict)
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
            frame = self.frames[source]
            if frame is not None and source not in self.plugins:  # once for all splits of the rows
                self.plugins[source] = resolved_for_all_splits(job.data, frame)
            self.data[key] = pipeline.loaded(replace(job, data=self.plugins.get(source, job.data)), frame=frame)
        return self.data[key]

    def obstacle(self) -> str | None:
        """Return why no more data should be kept; ``None``: there is room."""
        parts = [part for data in self.data.values() for part in (data.train, data.val, data.test) if part is not None]
        return "memory" if sum(map(bytes_of, parts)) > self.most_bytes and len(self.data) > 1 else None

    def dummies_of(self, prepared: pipeline.Prepared) -> scoring.Dummies:
        """Return the baselines, which fits to one split share."""
        key = id(prepared.data)
        if key not in self.dummies:
            self.dummies[key] = scoring.dummies_of(prepared.module, prepared.data)
        return self.dummies[key]


@dataclass
class Fit:
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


def _share_of_memory(fits: Sequence[Fit] = ()) -> float:
    """Return the bytes that a group may take: half of what is free, in memory and on the GPU of the fits."""
    free = free_memory()
    most = math.inf if free is None else free / 2
    if any(device_of(fit.job.trainer).type == "cuda" for fit in fits):
        most = min(most, torch.cuda.mem_get_info()[0] / 2)
    return most


def divided(fits: list[Fit], most_bytes: float) -> list[list[Fit]]:
    """Divide fits into groups of which none takes more memory than a number of bytes."""
    if len(fits) < 2 or bytes_needed([fit.member for fit in fits]) <= most_bytes:
        return [fits]
    half = len(fits) // 2
    return [*divided(fits[:half], most_bytes), *divided(fits[half:], most_bytes)]


class _Runner:
    def __init__(
        self, requests: Sequence[Request], begun: Sequence[str | None], on_row: OnRow | None, checked: bool
    ) -> None:
        self._requests, self._begun, self._on_row, self._checked = requests, begun, on_row, checked
        self._shared = _Shared(_share_of_memory())
        self._ended: dict[int, Ended] = {}
        self._notes: list[str] = []
        self._pruned: dict[int, str] = {}

    def run(self) -> Result:
        groups: dict[Hashable, list[Fit]] = {}
        for number, request in enumerate(self._requests):
            fit = self._prepared(number, request)
            if isinstance(fit, Alone):
                self._ended[number] = fit
            else:
                groups.setdefault((kind_of(fit.member), fit.job.request.tracking.experiment), []).append(fit)
        done = 0
        for fits in (part for group in groups.values() for part in divided(group, _share_of_memory(group))):
            if (reason := self._fit(fits, done)) is None:
                done += 1
            else:
                self._ended |= {fit.number: Alone(reason) for fit in fits}
        return Result([self._ended[number] for number in range(len(self._requests))], self._notes)

    def _prepared(self, number: int, request: Request) -> Fit | Alone:
        if request.config.profile:
            return Alone("profile=true")
        try:
            job = resolve(request)
            prepared = pipeline.compiled(job, self._shared.data_of(job))
            preflight.check_names(prepared.data, column_names(prepared.data.spec))
        except LifecycleError:
            return Alone("")
        member = Member(prepared.module, prepared.data, job.trainer, job.seed)
        reason = obstacle(member) or self._shared.obstacle()
        return Fit(number, job, prepared, member, self._begun[number]) if reason is None else Alone(reason)

    def _fit(self, fits: Sequence[Fit], number: int) -> str | None:
        """Fit a group and record its runs, unless there is a reason against it, which is returned."""
        if len(fits) == 1:
            return NO_COMPANION
        group = Group([fit.member for fit in fits])
        if (reason := check.objection(group)) is not None:
            return reason
        store = BulkStore(fits[0].job.request.tracking)
        tag = {layout.VECTORISED: str(len(fits))}
        try:
            with store.open([fit.job.request for fit in fits], [fit.begun for fit in fits], **tag) as runs:
                for fit, tracked in zip(fits, runs, strict=True):
                    log_settings(tracked, fit.job.request)
                histories = self._histories(group, fits, runs)
                for fit, tracked, history in zip(fits, runs, histories, strict=True):
                    error = self._conclude(fit, tracked, history)
                    self._ended[fit.number] = Vectorised(number, error)
        except TrackingError as error:  # the database cannot be written, which ends all runs of the group
            self._ended |= {fit.number: Vectorised(number, error) for fit in fits}
        return None

    def _histories(self, group: Group, fits: Sequence[Fit], runs: Sequence[Run]) -> Sequence[History | TrainingError]:
        """Fit a group; the scores of each epoch are recorded, and reported to the search."""

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
        return histories

    def _conclude(self, fit: Fit, tracked: Run, history: History | TrainingError) -> Exception | None:
        """Record the results of a fit, and end its run; return the error that it ended with."""
        try:
            with interruption_kept():
                self._report(fit, tracked, history)
        except TrackingError:
            raise
        except Exception as error:  # of a metric, or a full disk: it must not end the other runs
            found = failures.close(tracked.recorder, tracked, error) or error
            with suppress(OSError):
                log_record(tracked, fit.job.request)  # not before: it would offer to resume the run
            mask_error(found)  # while the values are known that it may quote
            return found
        return None

    def _report(self, fit: Fit, tracked: Run, history: History | TrainingError) -> None:
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

    def _record(self, fit: Fit, tracked: Run, history: History) -> None:
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
        subject = description.Subject(fit.job, data, module, fit.prepared.layers)
        tracked.describe(description.ended(subject, history, evaluation, ""))
        artifacts.write_scores(tracked.artifacts, evaluation)
        saved = tracked.artifacts / layout.SAVED
        outcomes.record_model(tracked, result, saved)
