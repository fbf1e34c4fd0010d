"""The verb ``resume``: goes on with a run from its last checkpoint, as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifecycle.checks import one_of
from lifecycle.config.resolve import resolve
from lifecycle.config.schema import Job
from lifecycle.errors import RequestError
from lifecycle.runs import reopen
from lifecycle.runs.resume import (
    EPOCHS,
    UNFINISHED,
    _check_changes,
    _check_data,
    _check_has_begun,
    _check_is_left,
    _check_schedule,
    _go_on,
    _named,
)
from lifecycle.runtime.processes import is_helper
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.tracking import found_run
from lifecycle.tracking.found_run import FoundRun

if TYPE_CHECKING:
    from lifecycle.runs.restore_points import Points


@dataclass
class Resume(found_run.Which):
    """What ``lifecycle resume`` takes, in addition to changes of the run such as ``trainer.max_epochs=500``."""

    checkpoint: str = "last"  # last or best: best fits no more and finishes the run with the weights of best.ckpt

    def __post_init__(self) -> None:
        one_of(self, "checkpoint", ("last", "best"))


def run(typed: list[str]) -> None:
    """Go on with a run in the same MLflow run; with ``trainer.max_epochs`` raised, one that is finished too.

    Raises:
        RequestError: there is nothing to go on with, or what is asked for would not be what the run began as.
        SavedModelError: a checkpoint of the run is altered.
        LifecycleError: the run failed, again.
    """
    asked, changes = reopen.read_changes(typed, Resume, "resume")
    raises = any(word.startswith(f"{EPOCHS}=") for word in changes)
    found = found_run.find(asked, found_run.ANY if raises or is_helper() else UNFINISHED)
    _check_has_begun(asked, found)
    record = found.record()
    request, changed = reopen.changed(record, changes, "resume")
    _check_changes(found, changed)
    if asked.checkpoint == "best":
        _check_can_be_finished(found, changes)
    _check_is_left(found, request, changed)
    job = resolve(request)
    _check_schedule(job, record, changed)
    reopen.told_to_helpers("resume", found, changes, request)
    from lifecycle.runtime import lazy_imports
    from lifecycle.tracking import client

    if not is_helper():
        client.warm(asked.tracking)
    with lazy_imports.quick_imports():
        from lifecycle.runs import pipeline
    with quiet_libraries():
        points = found_run.histories(asked, found) if not is_helper() else {}
        if is_helper():
            last = found.checkpoints / "last.ckpt"
            pipeline.help_fit(job, pipeline.prepare(job), last if last.is_file() else None)
        elif asked.checkpoint == "best":
            _finish(found, job, points)
        else:
            _go_on(found, job, record, points)


def _check_can_be_finished(found: FoundRun, changes: list[str]) -> None:
    """Refuse to finish a run that is finished, or as another one than it was."""
    if found.status == "FINISHED":
        raise RequestError(
            f"checkpoint=best finishes a run that was ended, and run {_named(found)} is FINISHED. Leave it out."
        )
    if any(word.startswith(f"{EPOCHS}=") for word in changes):
        raise RequestError(f"checkpoint=best fits no more epochs, got {EPOCHS} as well. Leave one of them out.")


def _finish(found: FoundRun, job: Job, points: Points) -> None:
    """Fit nothing more, and score and save the weights of the best epoch."""
    from lifecycle.console import report
    from lifecycle.runs import pipeline, restore_points
    from lifecycle.tracking.run import track_again

    printer = report.Report(job.request.config.verbose)
    with track_again(found, resume=False) as tracked:
        weights, history = restore_points.best(found, points)
        prepared = pipeline.prepare(job)
        differences = reopen.differences(found, prepared.data)
        _check_data(found, prepared, differences)
        prepared.module.load_state_dict(weights)
        printer.note("Finished", f"{_named(found)} with the weights of epoch {history.weights_epoch} in best.ckpt")
        tracked.go_on()
        tracked.tag(**{"lifecycle.finished_from": "best.ckpt"})
        pipeline.conclude(job, prepared, printer, tracked, history)
