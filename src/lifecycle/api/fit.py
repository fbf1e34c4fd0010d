"""Runs the fit and the evaluation of :class:`lifecycle.Model`; a fit is tracked in a new run, the caller's, or none."""

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
from lifecycle.console import report
from lifecycle.data import external
from lifecycle.data.batches import in_order
from lifecycle.data.sources.in_memory import MemoryRows
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
    """The result of a fit."""

    history: FitHistory
    trained: TrainedModel
    run_id: str | None


def run(job: Job, rows: MemoryRows, callbacks: Sequence[pl.Callback], track: bool | None) -> Fitted:
    """Fit a model, and track the fit if requested.

    Args:
        job: the checked request.
        rows: in memory.
        callbacks: Lightning callbacks.
        track: ``True``: in a new run; ``None``: in the run that the caller has open in MLflow, if there is one.

    Raises:
        RequestError: the rows cannot be used as they are.
        TrainingError: the loss is no longer finite.
    """
    # A folder would count as true, and the fit would be recorded in mlruns/ instead of there.
    if not (track is None or isinstance(track, bool)):
        raise RequestError("track", "must be True, False or None", repr(track), "Use tracking= to say where.")
    # Before the data are loaded: tracking to another place than MLflow's environment names is refused.
    if track:
        job.request.tracking.check()
    # Also around the preparation: building a network draws random numbers.
    with process_state.preserved():
        prepared = pipeline.prepare(job, rows, is_fitted=True)
        preflight.check_names(prepared.data, column_names(prepared.data.spec))
        for note in prepared.data.notes:
            warn(worded(note))
        printer = report.Report(job.request.config.verbose)
        with _tracked(job, track) as tracked:
            if tracked is None:
                return _untracked(job, prepared, printer, callbacks)
            result = pipeline.life(job, prepared, printer, tracked, callbacks=callbacks)
        if tracked.pending:
            warn(tracked.pending)
        return Fitted(_with_display(result.history), result.model, result.run_id)


def callback_list(callbacks: Any) -> list[pl.Callback]:
    """Return one or several callbacks as a list.

    Raises:
        RequestError: one is not a Lightning callback.
    """
    several = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    for callback in several:
        if not isinstance(callback, pl.Callback):
            raise RequestError(
                "callbacks", "must be Lightning callbacks", repr(callback), "Derive the class from pl.Callback."
            )
    return several


@contextmanager
def _tracked(job: Job, track: bool | None) -> Iterator[run_module.Run | None]:
    if track:
        with run_module.track(job.request) as run:
            yield run
        return
    # A caller with an open run has imported MLflow. Importing it here would slow down each plain fit.
    mlflow = sys.modules.get("mlflow")
    active = mlflow.active_run() if track is None and mlflow is not None else None
    if active is None:
        yield None
        return
    with active_run(job.request, active) as run:
        yield run


def _untracked(
    job: Job, prepared: pipeline.Prepared, printer: report.Report, callbacks: Sequence[pl.Callback]
) -> Fitted:
    epochs = job.trainer.max_epochs
    # Without a listener, an epoch costs no formatting of its scores.
    listeners = [lambda row: printer.epoch(row, epochs)] if job.request.config.verbose else []
    if (note := preflight.reduced_batch_size(job.trainer, prepared.data)) is not None:
        printer.note("Batches", worded(note))
    bars = printer.callbacks(epochs)
    # Checkpoints are needed for the best weights, and removed afterwards.
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        history = trainer.fit(
            prepared.module, prepared.data, job.trainer, job.seed, Path(folder), listeners, [*bars, *callbacks]
        )
    printer.fitted(history)
    return Fitted(_with_display(history), pipeline.trained_model(job, prepared, history, None), None)


def evaluate(
    trained: TrainedModel, frame: pd.DataFrame, weights: np.ndarray[Any, Any] | None = None
) -> dict[str, float]:
    """Return ``{"loss": ..., <metric>: ...}`` of a model on labelled rows, each scored once.

    Args:
        trained: the model.
        frame: the rows.
        weights: ``(rows,)`` weights; ``None``: each row counts the same.

    Raises:
        RequestError: the rows cannot be used as they are, or a metric cannot be weighted.
    """
    if weights is not None:
        metrics.check_weights(trained.spec, trained.settings["metrics"], "sample_weight")
    # The column of weights of training would be taken for those of these rows.
    frame = frame.drop(columns=[name for name in [weight_of(trained.data)] if name in frame.columns])
    with one_at_a_time():
        part = external.part_of_frame(
            trained.data, trained.preprocessing, trained.spec, frame, trained.missing, weights
        )
    batches = in_order(part.inputs, part.targets, part.truth)
    # Without `preserved`, which would wait for a fit in another thread: scoring changes no global state.
    with quiet_libraries(), process_state.own_arithmetic():
        return scoring.evaluate_here(compiled_as(trained), batches)


def _with_display(history: History) -> FitHistory:
    return FitHistory(history.rows, history.best_epoch, history.weights_epoch, history.stopped)
