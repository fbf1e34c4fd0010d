"""What :class:`lifecycle.Model` asks for: fits that are recorded in our database, in the caller's run, or nowhere."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from lifecycle.api.display import FitHistory
from lifecycle.api.messages import worded
from lifecycle.capabilities import weight_of
from lifecycle.compile import metrics
from lifecycle.config.schema import Job
from lifecycle.config.tracking_address import check_environment
from lifecycle.console import report
from lifecycle.data import labelled_rows
from lifecycle.data.batches import in_order
from lifecycle.data.sources.in_memory import Given
from lifecycle.errors import RequestError, warn
from lifecycle.evaluate import scoring
from lifecycle.fit import preflight, trainer
from lifecycle.predict.outputs import column_names
from lifecycle.predict.trained_model import TrainedModel
from lifecycle.runs import pipeline
from lifecycle.runs.recompile import compiled_as
from lifecycle.runtime import process_state
from lifecycle.runtime.quiet import one_at_a_time, quiet_libraries
from lifecycle.tracking import run as run_module
from lifecycle.tracking.active_run import active_run

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.fit.history import History


@dataclass(frozen=True)
class Fitted:
    """What a fit came to."""

    history: FitHistory
    trained: TrainedModel
    run_id: str | None


def run(job: Job, rows: Given, callbacks: Sequence[pl.Callback], track: bool | None) -> Fitted:
    """Fit, and record it where that is asked for.

    Args:
        job: checked.
        rows: in memory.
        callbacks: of Lightning's.
        track: ``True``: a run of its own; ``None``: in the run that the caller has open in MLflow, if there is one.

    Raises:
        RequestError: the rows cannot be used as they are.
        TrainingError: the loss is no longer a number.
    """
    if not (track is None or isinstance(track, bool)):
        raise RequestError("track", "must be True, False or None", repr(track), "Use tracking= to say where.")
    if track:
        check_environment(job.request.tracking.dir)
    with process_state.preserved():
        prepared = pipeline.prepare(job, rows)
        preflight.check_names(prepared.data, column_names(prepared.data.spec))
        for note in prepared.data.notes:
            warn(worded(note))
        printer = report.Report(job.request.config.verbose)
        with _tracked(job, track) as tracked:
            if tracked is None:
                return _alone(job, prepared, printer, callbacks)
            result = pipeline.life(job, prepared, printer, tracked, callbacks=callbacks)
            return Fitted(_shown(result.history), result.model, result.run_id)


def listed(callbacks: Any) -> list[pl.Callback]:
    """Return callbacks as a list, one alone too.

    Raises:
        RequestError: something among them is none of Lightning's.
    """
    found = [callbacks] if not isinstance(callbacks, list | tuple) else list(callbacks)
    for callback in found:
        if not isinstance(callback, pl.Callback):
            raise RequestError(
                "callbacks", "must be Lightning callbacks", repr(callback), "Derive the class from pl.Callback."
            )
    return found


@contextmanager
def _tracked(job: Job, track: bool | None) -> Iterator[run_module.Run | None]:
    if track:
        with run_module.track(job.request) as run:
            yield run
        return
    mlflow = sys.modules.get("mlflow")
    active = mlflow.active_run() if track is None and mlflow is not None else None
    if active is None:
        yield None
        return
    with active_run(job.request, active) as run:
        yield run


def _alone(job: Job, prepared: pipeline.Prepared, printer: report.Report, callbacks: Sequence[pl.Callback]) -> Fitted:
    epochs = job.trainer.max_epochs
    listeners = [lambda row: printer.epoch(row, epochs)] if job.request.config.verbose else []
    if (note := preflight.reduced_batch_size(job.trainer, prepared.data)) is not None:
        printer.note("Batches", worded(note))
    bars = printer.callbacks(epochs)
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        history = trainer.fit(
            prepared.module, prepared.data, job.trainer, job.seed, Path(folder), listeners, [*bars, *callbacks]
        )
    return Fitted(_shown(history), pipeline.trained_model(job, prepared, history, None), None)


def evaluate(
    trained: TrainedModel, frame: pd.DataFrame, weights: np.ndarray[Any, Any] | None = None
) -> dict[str, float]:
    """Return ``{"loss": ..., <metric>: ...}`` of a model on labelled rows, each scored once.

    Args:
        trained: the model.
        frame: the rows.
        weights: ``(rows,)``: how much each counts; ``None``: all the same.

    Raises:
        RequestError: the rows cannot be used as they are, or a metric cannot be weighted.
    """
    if weights is not None:
        metrics.check_weights(trained.spec, trained.settings["metrics"], "sample_weight")
    frame = frame.drop(columns=[name for name in [weight_of(trained.data)] if name in frame.columns])
    with one_at_a_time():
        part = labelled_rows.labelled(
            trained.data, trained.preprocessing, trained.spec, frame, trained.missing, weights
        )
    batches = in_order(part.inputs, part.targets, part.truth)
    with quiet_libraries(), process_state.own_arithmetic():
        return scoring.evaluate_here(compiled_as(trained), batches)


def _shown(history: History) -> FitHistory:
    return FitHistory(history.rows, history.best_epoch, history.weights_epoch, history.stopped)
