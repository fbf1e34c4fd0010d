"""Continues a run from its last checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from lifecycle import layout
from lifecycle.config.records import request_record
from lifecycle.config.request import Job, Request, SweepJob
from lifecycle.config.resolve import resolve
from lifecycle.credentials import hiding
from lifecycle.errors import RequestError, Setting, as_typed
from lifecycle.layout import DATA_DIGEST, TEST_DIGEST, VALIDATION_DIGEST
from lifecycle.runs import reopen
from lifecycle.runtime.processes import is_helper
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.schedules import OneCycle
from lifecycle.tracking import found_run
from lifecycle.tracking.found_run import FoundRun, Which

if TYPE_CHECKING:
    from lifecycle.fit.history import Row
    from lifecycle.runs.pipeline import Prepared
    from lifecycle.runs.restore_points import Points
    from lifecycle.tracking.provenance import Difference
    from lifecycle.tracking.run import Run

UNFINISHED = ("KILLED", "FAILED", "RUNNING")
"""Statuses among which ``run=latest`` chooses. A run whose process was killed by SIGKILL is still RUNNING in MLflow."""

EPOCHS = "trainer.max_epochs"


def resume(
    which: Which,
    overrides: list[str],
    checkpoint: str = "last",
    sweep: SweepJob | None = None,
    on_epoch: Callable[[Row], None] | None = None,
) -> None:
    """Continue a run in the same MLflow run; a finished one if ``trainer.max_epochs`` is raised.

    Args:
        which: the run.
        overrides: ``key=value`` arguments that change its recorded request.
        checkpoint: ``best`` trains no further and finishes the run with the weights of its best epoch.
        sweep: the job of a running sweep that the run is; ``None``: it is resumed alone.
        on_epoch: called with the row of each epoch; may raise ``Pruned``.

    Raises:
        Pruned: ``on_epoch`` raised it; the run is FINISHED, with the tag ``lifecycle.status=pruned``.
        RequestError: nothing is left to do, or a change would invalidate the completed epochs.
        SavedModelError: a checkpoint of the run is altered.
        LifecycleError: the run failed again.
    """
    found = found_run.find(which, found_run.ANY if _raises_epochs(overrides) or is_helper() else UNFINISHED)
    _check_has_begun(which, found)
    record = found.record()
    request, changed = reopen.changed(record, overrides, "resume")
    _check_changes(found, changed)
    if checkpoint == "best":
        _check_can_be_finished(found, overrides)
    _check_is_left(found, request, changed)
    job = resolve(replace(request, sweep=sweep))
    _check_schedule(job, record, changed, overrides)
    reopen.set_helper_arguments("resume", found, overrides, request)
    from lifecycle.runtime.imports.quick import quick_imports
    from lifecycle.tracking import client

    if not is_helper():
        client.warm_up(which.tracking)
    with quick_imports():  # Lightning, only once the request is checked
        from lifecycle.runs import pipeline
    with quiet_libraries():
        points = found_run.histories(which, found) if not is_helper() else {}
        if is_helper():
            last = found.checkpoints / layout.LAST_CHECKPOINT
            pipeline.help_fit(job, pipeline.prepare(job, is_fitted=True), last if last.is_file() else None)
        elif checkpoint == "best":
            _finish(found, job, points)
        else:
            _continue(found, job, record, points, on_epoch)


def _raises_epochs(overrides: list[str]) -> bool:
    """Return whether a run may be finished: only such a run can have more epochs, and run=latest then means any run."""
    return any(word.startswith(f"{EPOCHS}=") for word in overrides)


def _check_has_begun(which: Which, found: FoundRun) -> None:
    """Refuse a run whose request was not recorded, and close it if no process is running it."""
    # Other kinds of runs have their own messages in FoundRun.record().
    if found.artifacts is None or found.status not in UNFINISHED or layout.COMMAND not in found.tags:
        return
    try:
        json.loads((found.artifacts / layout.REQUEST).read_bytes())
    except (OSError, ValueError):
        # MLflow shows a run whose process was killed as RUNNING until another process closes it.
        found_run.close_dead(which)
        now = found_run.find(replace(which, run=str(found.id)))
        if now.status == "RUNNING":
            raise RequestError(_run(found), "is still running in another process", remedy="Wait for its end.") from None
        raise RequestError(
            _run(found),
            f"ended before its request was recorded, so there is nothing to continue; it is {now.status}",
            remedy=f"Start it again: {found.tags[layout.COMMAND]}",
        ) from None


def _check_changes(found: FoundRun, changed: dict[str, tuple[Any, Any]]) -> None:
    """Refuse changes that would invalidate the completed epochs."""
    for key, (then, now) in changed.items():
        if key == EPOCHS and now < then:
            raise RequestError(key, f"can only be raised above {then} in {_run(found)}", now, "Use more.")
        if key not in (EPOCHS, *reopen.DISPLAY_SETTINGS):
            raise RequestError(
                key,
                f"must stay {as_typed(then)} in {_run(found)}",
                as_typed(now),
                "Changing it would invalidate the completed epochs. Leave it out, or begin a new run with it.",
            )


def _check_is_left(found: FoundRun, request: Request, changed: dict[str, tuple[Any, Any]]) -> None:
    """Refuse a finished run unless it is to have more epochs."""
    # For helper processes of a DDP fit, the main process has checked it.
    if found.status != "FINISHED" or is_helper():
        return
    if found.tags.get(layout.STATUS) == layout.PRUNED:
        words = found.tags.get(layout.OVERRIDES, "")
        raise RequestError(
            _run(found), "was pruned by its search", remedy=f"To run it to its end: lifecycle {words}".rstrip()
        )
    stopped, epochs = found.tags.get("stopped", ""), request.config.trainer.max_epochs
    if stopped and not stopped.startswith("max_epochs="):
        raise _stopped_early(found, request)
    if EPOCHS not in changed:
        raise RequestError(
            _run(found),
            f"is FINISHED: max_epochs={epochs} was reached, and nothing is left to do",
            remedy=["Add ", Setting(EPOCHS, f"<more than {epochs}>"), " to train it further."],
        )


def _stopped_early(found: FoundRun, request: Request) -> RequestError:
    trainer = request.config.trainer
    why = found.tags.get("stopped", "")
    # A fit whose patience ended in its last epoch is recorded as one that reached max_epochs.
    if not why or why.startswith("max_epochs="):
        why = f"{trainer.monitor} had not improved for {trainer.patience} epochs"
    alternatives = Setting("trainer.patience", trainer.patience), Setting("trainer.early_stopping", False)
    return RequestError(
        _run(found),
        f"was ended by early stopping: {why}, and with more epochs it would have stopped there too",
        remedy=["Begin a new run with more than ", alternatives[0], ", or with ", alternatives[1], "."],
    )


def _check_schedule(
    job: Job, record: dict[str, Any], changed: dict[str, tuple[Any, Any]], overrides: list[str]
) -> None:
    """Refuse more epochs if the schedule depends on their number, so that past learning rates would differ."""
    if EPOCHS not in changed:
        return
    then, now = changed[EPOCHS]
    # Schedules without a length of their own take it from max_epochs when the request is resolved.
    before = [word for word in overrides if not word.startswith(f"{EPOCHS}=")]
    if (
        isinstance(job.schedule, OneCycle)
        or resolve(request_record.request_of(record, before)).schedule != job.schedule
    ):
        schedule = Setting("schedule", job.schedule_name)
        raise RequestError(
            EPOCHS,
            [f"must stay {then} with ", schedule, ", whose rates were planned over these epochs"],
            now,
            "Begin a new run with it.",
        )


def _check_can_be_finished(found: FoundRun, overrides: list[str]) -> None:
    """Refuse ``checkpoint=best`` for a finished run, or with more epochs."""
    if found.status == "FINISHED":
        raise RequestError(
            Setting("checkpoint", "best"),
            f"finishes a run that was ended, and {_run(found)} is FINISHED",
            remedy="Leave it out.",
        )
    if any(word.startswith(f"{EPOCHS}=") for word in overrides):
        raise RequestError(
            Setting("checkpoint", "best"), "fits no more epochs", f"{EPOCHS} as well", "Leave one of them out."
        )


def _finish(found: FoundRun, job: Job, points: Points) -> None:
    """Score and save the weights of the best epoch, without training."""
    from lifecycle.console import report
    from lifecycle.runs import pipeline, pruning, restore_points
    from lifecycle.tracking.run import track_again

    printer = report.Report(job.request.config.verbose)
    # Opened first, since it locks the run: two processes must not finish it at once.
    with pruning.prunable(track_again(found, resume=False), printer) as tracked:
        weights, history = restore_points.best(found, points)
        prepared = pipeline.prepare(job)
        differences = reopen.differences(found, prepared.data)
        _check_data(found, prepared, differences)
        prepared.module.load_state_dict(weights)
        printer.note("Finished", f"{_named(found)} with the weights of epoch {history.weights_epoch} in best.ckpt")
        tracked.resume()
        tracked.tag(**{layout.FINISHED_FROM: layout.BEST_CHECKPOINT})
        pipeline.conclude(job, prepared, printer, tracked, history)


def _continue(
    found: FoundRun, job: Job, record: dict[str, Any], points: Points, on_epoch: Callable[[Row], None] | None
) -> None:
    """Reopen the run and do the remaining epochs. Its status changes only after all checks have passed."""
    from lifecycle.console import report
    from lifecycle.runs import pipeline, pruning
    from lifecycle.tracking.run import track_again

    printer = report.Report(job.request.config.verbose)
    tracking = pruning.prunable(track_again(found, resume=False), printer)
    with hiding(job.request.hidden), tracking as tracked:
        checkpoint, rows = _completed(found, job.request, points)
        prepared = pipeline.prepare(job, is_fitted=True)
        differences = reopen.differences(found, prepared.data)
        _check_data(found, prepared, differences)
        after = f"after epoch {len(rows)}" if rows else "from its beginning"
        printer.note("Resumed", f"{_named(found)} {after}", _warnings(differences))
        tracked.resume()  # RUNNING from here on
        # After all checks: a refused resume leaves the record as it was.
        _record_epochs(tracked, job, record)
        for row in rows:  # MLflow may lack the last ones, since points are sent in batches
            tracked.log_epoch(row)
        pipeline.life(job, prepared, printer, tracked, checkpoint, on_epoch=on_epoch)


def _completed(found: FoundRun, request: Request, points: Points) -> tuple[Path | None, list[dict[str, float]]]:
    """Return the checkpoint to resume from, and the rows of the completed epochs."""
    from lifecycle.fit import epochs
    from lifecycle.runs import restore_points

    path = restore_points.last(found, points)
    if path is None:
        return None, []
    checkpoint = restore_points.checked(found, path)
    if found.status == "FINISHED" and epochs.has_stopped(checkpoint):
        raise _stopped_early(found, request)
    return path, epochs.rows_of(checkpoint)


def _check_data(found: FoundRun, prepared: Prepared, differences: list[Difference]) -> None:
    """Refuse data or a split other than those of the completed epochs."""
    for difference in differences:
        if difference.name == DATA_DIGEST:
            raise RequestError(
                Setting("data", prepared.data.name),
                f"has the sha256 {difference.now}, and {_run(found)} began with {difference.then}: the rest of the run "
                "would be of other data",
                remedy="Bring the data back, or begin a new run.",
            )
        if difference.name in (VALIDATION_DIGEST, TEST_DIGEST):
            raise RequestError(
                Setting("data", prepared.data.name),
                f"is split in another way than when {_run(found)} began ({difference.name} differs): it would train on "
                "rows that it held out",
                remedy="Begin a new run.",
            )


def _warnings(differences: list[Difference]) -> list[str]:
    if not differences:
        return []
    return [*map(str, differences), "so the last digits may differ from those of an uninterrupted run"]


def _record_epochs(tracked: Run, job: Job, record: dict[str, Any]) -> None:
    """Update the recorded request and configuration if ``trainer.max_epochs`` was raised."""
    config, epochs = record["config"], job.trainer.max_epochs
    if config["trainer"]["max_epochs"] == epochs:
        return
    updated = {**record, "config": {**config, "trainer": {**config["trainer"], "max_epochs": epochs}}}
    if request_record.is_own(record):
        updated = request_record.sealed(updated)
    tracked.log_text(json.dumps(updated, indent=2) + "\n", layout.REQUEST)
    tracked.tag(**{layout.MAX_EPOCHS: str(epochs)})  # a tag, since MLflow refuses to change a parameter
    file = tracked.artifacts / layout.CONFIG
    lines = file.read_text().splitlines(keepends=True) if file.is_file() else []
    head = "".join(line for line in lines if line.startswith("#"))  # the command of the first start
    tracked.log_text(head + OmegaConf.to_yaml(OmegaConf.create(updated["config"])), file.name)


def _run(found: FoundRun) -> str:
    """Return ``run <name> (<id>)``, as messages name a run."""
    return f"run {_named(found)}"


def _named(found: FoundRun) -> str:
    return f"{found.name} ({found.id})"
