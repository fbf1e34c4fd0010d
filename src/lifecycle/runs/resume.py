"""Continue a run from its last checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from lifecycle.config import request_record
from lifecycle.config.resolve import resolve
from lifecycle.config.schema import Job, Request
from lifecycle.credentials import hiding
from lifecycle.errors import RequestError, Setting, as_typed
from lifecycle.layout import DATA, TEST, VALIDATION
from lifecycle.runs import reopen
from lifecycle.runtime.processes import is_helper
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.schedules import OneCycle
from lifecycle.tracking import found_run
from lifecycle.tracking.found_run import FoundRun, Which

if TYPE_CHECKING:
    from lifecycle.runs.pipeline import Prepared
    from lifecycle.runs.restore_points import Points
    from lifecycle.tracking.provenance import Difference
    from lifecycle.tracking.run import Run

UNFINISHED = ("KILLED", "FAILED", "RUNNING")
"""What ``run=latest`` chooses among; RUNNING as well, which a run is called that was ended without a word."""

EPOCHS = "trainer.max_epochs"


def resume(asked: Which, changes: list[str], last_or_best: str = "last") -> None:
    """Continue a run in the same MLflow run; with ``trainer.max_epochs`` raised, one that is finished too.

    Args:
        asked: which run.
        changes: ``key=value`` words on its record.
        last_or_best: ``best`` fits nothing more and finishes the run with the weights of its best epoch.

    Raises:
        RequestError: nothing is left to do, or a change would invalidate the completed epochs.
        SavedModelError: a checkpoint of the run is altered.
        LifecycleError: the run failed, again.
    """
    raises = any(word.startswith(f"{EPOCHS}=") for word in changes)
    found = found_run.find(asked, found_run.ANY if raises or is_helper() else UNFINISHED)
    _check_has_begun(asked, found)
    record = found.record()
    request, changed = reopen.changed(record, changes, "resume")
    _check_changes(found, changed)
    if last_or_best == "best":
        _check_can_be_finished(found, changes)
    _check_is_left(found, request, changed)
    job = resolve(request)
    _check_schedule(job, record, changed)
    reopen.told_to_helpers("resume", found, changes, request)
    from lifecycle.runtime import lazy_imports
    from lifecycle.tracking import client

    if not is_helper():
        client.warm_up(asked.tracking)
    with lazy_imports.quick_imports():
        from lifecycle.runs import pipeline
    with quiet_libraries():
        points = found_run.histories(asked, found) if not is_helper() else {}
        if is_helper():
            last = found.checkpoints / "last.ckpt"
            pipeline.help_fit(job, pipeline.prepare(job), last if last.is_file() else None)
        elif last_or_best == "best":
            _finish(found, job, points)
        else:
            _go_on(found, job, record, points)


def _check_has_begun(asked: Which, found: FoundRun) -> None:
    """Refuse a run whose request was not recorded, and close it if no process goes on with it."""
    if found.artifacts is None or found.status not in UNFINISHED or "lifecycle.command" not in found.tags:
        return
    try:
        json.loads((found.artifacts / request_record.FILE).read_bytes())
    except (OSError, ValueError):
        found_run.close_dead(asked)
        now = found_run.find(replace(asked, run=str(found.id)))
        if now.status == "RUNNING":
            raise RequestError(
                _run(found), "is still going on in another process", remedy="Wait for its end."
            ) from None
        raise RequestError(
            _run(found),
            f"ended before its request was recorded, so there is nothing to continue; it is {now.status}",
            remedy=f"Start it again: {found.tags['lifecycle.command']}",
        ) from None


def _check_changes(found: FoundRun, changed: dict[str, tuple[Any, Any]]) -> None:
    for key, (then, now) in changed.items():
        if key == EPOCHS and now < then:
            raise RequestError(key, f"can only be raised above {then} in {_run(found)}", now, "Use more.")
        if key not in (EPOCHS, *reopen.SHOWN):
            raise RequestError(
                key,
                f"must stay {as_typed(then)} in {_run(found)}",
                as_typed(now),
                "Changing it would invalidate the completed epochs. Leave it out, or begin a new run with it.",
            )


def _check_is_left(found: FoundRun, request: Request, changed: dict[str, tuple[Any, Any]]) -> None:
    """Refuse a finished run unless there are more epochs for it."""
    if found.status != "FINISHED" or is_helper():
        return
    stopped, epochs = found.tags.get("stopped", ""), request.config.trainer.max_epochs
    if stopped and not stopped.startswith("max_epochs="):
        raise _stopped_by_itself(found, request)
    if EPOCHS not in changed:
        raise RequestError(
            _run(found),
            f"is FINISHED: max_epochs={epochs} was reached, and nothing is left to do",
            remedy=["Add ", Setting(EPOCHS, f"<more than {epochs}>"), " to train it further."],
        )


def _stopped_by_itself(found: FoundRun, request: Request) -> RequestError:
    trainer = request.config.trainer
    why = found.tags.get("stopped", "")
    if not why or why.startswith("max_epochs="):
        why = f"{trainer.monitor} had not improved for {trainer.patience} epochs"
    alternatives = Setting("trainer.patience", trainer.patience), Setting("trainer.early_stopping", False)
    return RequestError(
        _run(found),
        f"was ended by early stopping: {why}, and with more epochs it would have stopped there too",
        remedy=["Begin a new run with more than ", alternatives[0], ", or with ", alternatives[1], "."],
    )


def _check_schedule(job: Job, record: dict[str, Any], changed: dict[str, tuple[Any, Any]]) -> None:
    """Refuse more epochs where the learning rates of those that are done would have been others with them."""
    if EPOCHS not in changed:
        return
    then, now = changed[EPOCHS]
    if isinstance(job.schedule, OneCycle) or resolve(request_record.request_of(record)).schedule != job.schedule:
        schedule = Setting("schedule", job.schedule_name)
        raise RequestError(
            EPOCHS,
            [f"must stay {then} with ", schedule, ", whose rates were planned over these epochs"],
            now,
            "Begin a new run with it.",
        )


def _check_can_be_finished(found: FoundRun, changes: list[str]) -> None:
    """Refuse to finish a run that is finished, or as another one than it was."""
    if found.status == "FINISHED":
        raise RequestError(
            Setting("checkpoint", "best"),
            f"finishes a run that was ended, and {_run(found)} is FINISHED",
            remedy="Leave it out.",
        )
    if any(word.startswith(f"{EPOCHS}=") for word in changes):
        raise RequestError(
            Setting("checkpoint", "best"), "fits no more epochs", f"{EPOCHS} as well", "Leave one of them out."
        )


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
        tracked.resume()
        tracked.tag(**{"lifecycle.finished_from": "best.ckpt"})
        pipeline.conclude(job, prepared, printer, tracked, history)


def _go_on(found: FoundRun, job: Job, record: dict[str, Any], points: Points) -> None:
    """Open the run and do what is left of it; until all is checked its status stays what it was."""
    from lifecycle.console import report
    from lifecycle.runs import pipeline
    from lifecycle.tracking.run import track_again

    printer = report.Report(job.request.config.verbose)
    with hiding(job.request.hidden), track_again(found, resume=False) as tracked:
        checkpoint, rows = _fitted(found, job.request, points)
        prepared = pipeline.prepare(job)
        differences = reopen.differences(found, prepared.data)
        _check_data(found, prepared, differences)
        after = f"after epoch {len(rows)}" if rows else "from its beginning"
        printer.note("Resumed", f"{_named(found)} {after}", _warnings(differences))
        tracked.resume()
        _record(tracked, job, record)
        for row in rows:
            tracked.log_epoch(row)
        pipeline.life(job, prepared, printer, tracked, checkpoint)


def _fitted(found: FoundRun, request: Request, points: Points) -> tuple[Path | None, list[dict[str, float]]]:
    """Return the checkpoint to go on from, and the rows of the epochs that are done."""
    from lifecycle.fit import epochs
    from lifecycle.runs import restore_points

    path = restore_points.last(found, points)
    if path is None:
        return None, []
    checkpoint = restore_points.checked(found, path)
    if found.status == "FINISHED" and epochs.has_stopped(checkpoint):
        raise _stopped_by_itself(found, request)
    return path, epochs.rows_of(checkpoint)


def _check_data(found: FoundRun, prepared: Prepared, differences: list[Difference]) -> None:
    for difference in differences:
        if difference.name == DATA:
            raise RequestError(
                Setting("data", prepared.data.name),
                f"has the sha256 {difference.now}, and {_run(found)} began with {difference.then}: the rest of the run "
                "would be of other data",
                remedy="Bring the data back, or begin a new run.",
            )
        if difference.name in (VALIDATION, TEST):
            raise RequestError(
                Setting("data", prepared.data.name),
                f"is split in another way than when {_run(found)} began ({difference.name} differs): it would train on "
                "rows that it held out",
                remedy="Begin a new run.",
            )


def _warnings(differences: list[Difference]) -> list[str]:
    if not differences:
        return []
    return [*map(str, differences), "so the last digits may not be those of a run without a stop"]


def _record(tracked: Run, job: Job, record: dict[str, Any]) -> None:
    """Record how many epochs there are to be where they have become more, so that the record is of what is done."""
    config, epochs = record["config"], job.trainer.max_epochs
    if config["trainer"]["max_epochs"] == epochs:
        return
    more = {**record, "config": {**config, "trainer": {**config["trainer"], "max_epochs": epochs}}}
    tracked.log_text(json.dumps(more, indent=2) + "\n", request_record.FILE)
    tracked.tag(**{"lifecycle.max_epochs": str(epochs)})  # the parameter stays as it was: MLflow changes none
    file = tracked.artifacts / "config.yaml"
    lines = file.read_text().splitlines(keepends=True) if file.is_file() else []
    head = "".join(line for line in lines if line.startswith("#"))
    tracked.log_text(head + OmegaConf.to_yaml(OmegaConf.create(more["config"])), file.name)


def _run(found: FoundRun) -> str:
    """Return ``run <name> (<id>)``, as messages name a run."""
    return f"run {_named(found)}"


def _named(found: FoundRun) -> str:
    return f"{found.name} ({found.id})"
