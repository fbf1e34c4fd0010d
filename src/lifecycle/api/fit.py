"""Runs the fit and the evaluation of :class:`lifecycle.Model`; a fit is tracked in a new run, the caller's, or none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from lifecycle.api import callbacks, continued_rows
from lifecycle.api.continuing import Before, Kept
from lifecycle.api.display import FitHistory
from lifecycle.api.messages import worded
from lifecycle.capabilities import weight_of
from lifecycle.compile import metrics
from lifecycle.config.request import Job
from lifecycle.console import report
from lifecycle.data import external
from lifecycle.data.batches import Batches, in_order
from lifecycle.data.sources.in_memory import MemoryRows
from lifecycle.errors import RequestError, warn
from lifecycle.evaluate import scoring
from lifecycle.fit import learning_rates, preflight, trainer
from lifecycle.fit.rising_rates import LearningRates
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

    from lifecycle.data.dataset import Part
    from lifecycle.fit.history import History
    from lifecycle.tracking.run import Run


@dataclass(frozen=True)
class Given:
    """The arguments of a fit that are no part of its request.

    Attributes:
        rows: in memory.
        callbacks: Lightning callbacks.
        track: ``True``: in a new run; ``None``: in the run that the caller has open in MLflow, if there is one.
        next_rows: returns the rows of the next epoch; ``None``: they stay the same.
        before: the fit to continue; ``None``: this one begins.
        resumes: whether the optimizer is continued too, rather than the weights alone.
    """

    rows: MemoryRows
    callbacks: Sequence[pl.Callback] = ()
    track: bool | None = None
    next_rows: Callable[[], pd.DataFrame] | None = None
    before: Before | None = None
    resumes: bool = False


@dataclass(frozen=True)
class Fitted:
    """The result of a fit."""

    history: FitHistory
    trained: TrainedModel
    run_id: str | None
    kept: Kept


def run(job: Job, given: Given) -> Fitted:
    """Fit a model, and track the fit if requested.

    Args:
        job: the checked request.
        given: rows, callbacks, and how to track.

    Raises:
        RequestError: the rows cannot be used as they are.
        TrainingError: the loss is no longer finite.
    """
    # A folder would count as true, and the fit would be recorded in mlruns/ instead of there.
    if not (given.track is None or isinstance(given.track, bool)):
        raise RequestError("track", "must be True, False or None", repr(given.track), "Use tracking= to say where.")
    # Before the data are loaded: tracking to another place than MLflow's environment names is refused.
    if given.track:
        job.request.tracking.check()
    # Also around the preparation: building a network draws random numbers.
    with process_state.preserved():
        prepared = _prepared(job, given)
        preflight.check_names(prepared.data, column_names(prepared.data.spec))
        for note in prepared.data.notes:
            warn(worded(note))
        callbacks.check_monitors(given.callbacks, preflight.measured(prepared.module, prepared.data))
        printer = report.Report(job.request.config.verbose)
        with _tracked(job, given.track) as tracked:
            if tracked is None:
                return _untracked(job, prepared, printer, given)
            fitted = _recorded(job, prepared, printer, given, tracked)
        if tracked.pending:
            warn(tracked.pending)
        return fitted


def find_rates(job: Job, given: Given, lowest: float, highest: float, steps: int) -> LearningRates:
    """Search a learning rate; see :func:`lifecycle.fit.learning_rates.find`.

    Raises:
        RequestError: the rows or the rates cannot be used.
    """
    with process_state.preserved():
        prepared = _prepared(job, given)
        return learning_rates.find(prepared.module, prepared.data, job.trainer, job.seed, lowest, highest, steps)


@one_at_a_time()
def _prepared(job: Job, given: Given) -> pipeline.Prepared:
    """Load the rows, and define and compile the model; rows of a fit that continues keep its preprocessing."""
    if given.before is None:
        prepared = pipeline.prepare(job, given.rows, is_fitted=True)
    else:
        prepared = pipeline.compiled(job, continued_rows.load(job, given.rows, given.before.trained))
    if given.next_rows is None:
        return prepared
    data, next_rows = prepared.data, given.next_rows
    plugin = job.data if data.plugin is None else data.plugin

    def next_train() -> Part:
        return external.part_of_frame(plugin, data.preprocessing, data.spec, next_rows())

    return replace(prepared, data=replace(data, next_train=next_train))


def _recorded(job: Job, prepared: pipeline.Prepared, printer: report.Report, given: Given, tracked: Run) -> Fitted:
    """Fit within an open run."""
    checkpoint = None
    if given.before is not None and given.resumes:
        checkpoint = given.before.into(tracked.checkpoints)
        for row in given.before.rows:
            tracked.log_epoch(row)
    logger = callbacks.CallbackLogger(tracked.log_points) if given.callbacks else None
    result = pipeline.life(job, prepared, printer, tracked, checkpoint, callbacks=given.callbacks, logger=logger)
    kept = Kept()
    kept.take(tracked.checkpoints)
    return Fitted(_with_display(result.history, logger), result.model, result.run_id, kept)


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


def _untracked(job: Job, prepared: pipeline.Prepared, printer: report.Report, given: Given) -> Fitted:
    epochs = job.trainer.max_epochs
    # Without a listener, an epoch costs no formatting of its scores.
    listeners = [lambda row: printer.epoch(row, epochs)] if job.request.config.verbose else []
    if (note := preflight.reduced_batch_size(job.trainer, prepared.data)) is not None:
        printer.note("Batches", worded(note))
    bars = printer.callbacks(epochs)
    # Checkpoints are needed for the best weights, and to continue the fit.
    kept = Kept()
    checkpoint = given.before.into(kept.path) if given.before is not None and given.resumes else None
    logger = callbacks.CallbackLogger() if given.callbacks else None
    history = trainer.fit(
        prepared.module,
        prepared.data,
        job.trainer,
        job.seed,
        kept.path,
        listeners,
        [*bars, *given.callbacks],
        checkpoint,
        logger,
    )
    printer.fitted(history)
    trained = pipeline.trained_model(job, prepared, history, None)
    return Fitted(_with_display(history, logger), trained, None, kept)


def evaluate(
    trained: TrainedModel,
    frame: pd.DataFrame,
    weights: np.ndarray[Any, Any] | None = None,
    batch_size: int | None = None,
) -> dict[str, float]:
    """Return ``{"loss": ..., <metric>: ...}`` of a model on labelled rows, each scored once.

    Args:
        trained: the model.
        frame: the rows.
        weights: ``(rows,)`` weights; ``None``: each row counts the same.
        batch_size: rows in a pass of the network; ``None``: a size that is fast.

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
    if batch_size is not None:
        batches = Batches(part.inputs, part.targets, batch_size, truth=part.truth)
    # Without `preserved`, which would wait for a fit in another thread: scoring changes no global state.
    with quiet_libraries(), process_state.own_arithmetic():
        return scoring.evaluate_here(compiled_as(trained), batches)


def _with_display(history: History, logger: callbacks.CallbackLogger | None) -> FitHistory:
    logged = () if logger is None else tuple(logger.rows)
    return FitHistory(history.rows, history.best_epoch, history.weights_epoch, history.stopped, logged)
