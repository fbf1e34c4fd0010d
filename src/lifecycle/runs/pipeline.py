"""Executes a run: data, define, compile, fit, evaluate, predict, tracked from start to end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from torch import nn

from lifecycle import layout
from lifecycle.capabilities import path_of
from lifecycle.compile import losses, metrics, optimization
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.scores import prefixed
from lifecycle.config.records.request_record import not_repeatable
from lifecycle.config.request import Job, Request
from lifecycle.config.resolve import resolve
from lifecycle.config.tasks import OwnName
from lifecycle.console import report
from lifecycle.console.advice import Facts, next_step
from lifecycle.credentials import hiding
from lifecycle.data.audit.findings import check_strict
from lifecycle.data.batches import in_order
from lifecycle.data.dataset import Dataset
from lifecycle.data.formats.reading import record as reading_record
from lifecycle.data.load import load
from lifecycle.data.sources.in_memory import MemoryRows
from lifecycle.define.network import begin, define
from lifecycle.define.summary import Layer, summarize
from lifecycle.errors import COMMAND_LINE, RequestError, Setting, Text
from lifecycle.evaluate import scoring
from lifecycle.fit import extra_loggers, preflight, trainer
from lifecycle.fit.history import History, Row
from lifecycle.fit.launch import reading_together
from lifecycle.plots import artifacts
from lifecycle.predict import saved_model
from lifecycle.predict.outputs import as_frame, column_names, outputs_of, with_truth
from lifecycle.predict.trained_model import CHANNELS_LAST, OWN_NAMES, READING, TIME_STEP, TrainedModel
from lifecycle.profiling import clock, files
from lifecycle.runs import card, description, profiled, pruning
from lifecycle.runs.outcome import Outcome, record, record_pictures
from lifecycle.runtime import process_state
from lifecycle.runtime.faults import Cures, explained, largest
from lifecycle.runtime.processes import is_helper
from lifecycle.runtime.quiet import one_at_a_time
from lifecycle.runtime.signals import interruption_kept
from lifecycle.tracking.parameters import flatten
from lifecycle.tracking.run import Run, record_failure

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from pytorch_lightning.loggers.logger import Logger


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a run.

    Attributes:
        run_id: of the MLflow run.
        scores: ``test_loss`` and the test metrics; ``training_set_loss`` and so on if no rows were held out.
        history: of the fit.
        predictions: of the scored rows, with the truth.
        model: the trained model, which takes raw rows.
        evaluation: the scores with their bootstrap intervals, and those of the baselines.

    >>> import lifecycle
    >>> result = lifecycle.run(["data=iris", "trainer.max_epochs=2", "tracking.figures=false", "verbose=0"])
    >>> list(result.scores), len(result.history.rows), len(result.predictions)
    (['test_loss', 'test_accuracy'], 2, 30)
    >>> result.model.predict(result.predictions.assign(**dict.fromkeys(result.model.columns, 1.0)))["predicted"].size
    30
    """

    run_id: str
    scores: dict[str, float]
    history: History
    predictions: pd.DataFrame
    model: TrainedModel
    evaluation: scoring.Evaluation

    def __repr__(self) -> str:
        return card.text(self)

    def _repr_html_(self) -> str:
        return card.html(self)


@dataclass(frozen=True)
class Prepared:
    """Data and compiled model, ready before a run is opened.

    Attributes:
        data: loaded, split and preprocessed.
        network: with its initial weights.
        layers: of the network.
        module: the compiled model.
    """

    data: Dataset
    network: nn.Module
    layers: list[Layer]
    module: CompiledModel


OnStart = Callable[[Prepared, report.Report, Run], None]


def run(
    request: Request, on_start: OnStart | None = None, on_epoch: Callable[[Row], None] | None = None
) -> Result | None:
    """Execute a request, from its data to its predictions.

    Args:
        request: the composed request.
        on_start: called when the run is open, before the fit.
        on_epoch: called with the row of each epoch; may raise ``Pruned``.

    Returns:
        The result; ``None`` in a helper process of a DDP fit.

    Raises:
        RequestError: the request cannot be met; no run was opened, except in a sweep, where it is FAILED.
        LifecycleError: the run failed; it is FAILED in MLflow.
        Pruned: ``on_epoch`` raised it; the run is FINISHED, with the tag ``lifecycle.status=pruned``.
    """
    with process_state.preserved(), clock.profiled(request), hiding(request.hidden):
        return _run(request, on_start, on_epoch)


def _run(request: Request, on_start: OnStart | None, on_epoch: Callable[[Row], None] | None = None) -> Result | None:
    printer = report.Report(0 if is_helper() else request.config.verbose)
    request.tracking.check()  # outside of try: a failure could not be recorded either
    try:
        with interruption_kept():
            job = resolve(request)
            prepared = prepare(job, is_fitted=True)
            preflight.check_names(prepared.data, column_names(prepared.data.spec))
    except Exception as error:
        # A request that cannot be met is recorded only in a sweep, whose table lists each of its jobs.
        if not is_helper() and (request.sweep or not isinstance(error, RequestError)):
            record_failure(request, error)
        raise
    if is_helper():
        help_fit(job, prepared)
        return None
    with pruning.prunable(profiled.track(request, printer), printer) as tracked:
        if on_start is not None:
            on_start(prepared, printer, tracked)
        return life(job, prepared, printer, tracked, on_epoch=on_epoch)


def help_fit(job: Job, prepared: Prepared, checkpoint: Path | None = None) -> None:
    """Fit as a helper process of a DDP fit, which writes no checkpoints that are kept."""
    with tempfile.TemporaryDirectory() as folder:
        trainer.fit(prepared.module, prepared.data, job.trainer, job.seed, Path(folder), checkpoint=checkpoint)


@one_at_a_time()
@clock.phase("define and compile")
def prepare(job: Job, rows: MemoryRows | None = None, is_fitted: bool = False) -> Prepared:
    """Load the data, and define and compile the model: everything that may refuse a request.

    Args:
        job: the checked request.
        rows: rows in memory; ``None``: the data plugin reads its source.
        is_fitted: whether a fit follows, whose processes then divide the files among them.

    Raises:
        RequestError: the request cannot be met.
    """
    with reading_together(job.trainer, job.data, is_fitted and rows is None):
        return compiled(job, loaded(job, rows))


def loaded(job: Job, rows: MemoryRows | None = None, frame: pd.DataFrame | None = None) -> Dataset:
    """Load the data of a job.

    Args:
        job: the checked request.
        rows: rows in memory; ``None``: the data plugin reads its source.
        frame: what the plugin has read before, of the same source.

    Raises:
        RequestError: they cannot be used, or have changed since the sweep was planned.
    """
    # First, as it needs no data, whose loading may take minutes.
    preflight.check_devices(job.trainer)
    planned = job.request.sweep.data if job.request.sweep else ""
    with explained(Cures(["Set ", Setting("data.memory_gb"), ", or use fewer rows or columns"], refused=True)):
        data = load(job.data, job.data_name, job.data_kind, job.seed, rows, job.fold, frame, job.audit != "off")
    if planned and data.digest != planned:
        problem = "has changed since the sweep was planned"
        remedy = "Type the command of the sweep again, which plans it anew, or bring the data back."
        raise RequestError(Setting("data", data.name), problem, remedy=remedy)
    if job.audit == "strict" and data.audit is not None:
        check_strict(data.audit, data.notes)
    saved_model.check_preprocessing(data.preprocessing, Setting("data", data.name))
    return data


def compiled(job: Job, data: Dataset) -> Prepared:
    """Define and compile the model of a job.

    Args:
        job: the checked request.
        data: loaded.

    Raises:
        RequestError: the request cannot be met.
    """
    with explained(Cures(["Lower ", largest(job.model)], refused=True)):
        return _compiled(job, data)


def _compiled(job: Job, data: Dataset) -> Prepared:
    network = define(job.model, job.model_name, data.spec, job.seed, source=Setting("data", data.name))
    frozen = begin(network, job.start.weights, job.start.frozen)
    layers = summarize(network, data.spec)
    # Before CompiledModel, whose optimizer would fail later and without a remedy.
    optimization.check(job.optimizer, job.optimizer_name, network, job.trainer.devices)
    module = CompiledModel(
        network,
        data.spec,
        job.optimizer,
        job.loss,
        metrics.for_data(data.spec, data.train.targets) if job.metrics is None else job.metrics,
        data.preprocessing.target_scale,
        job.schedule,
        losses.class_weights(job.class_weights, data.spec, data.train.targets, data.train.loss_weights),
        job.label_smoothing,
        data.preprocessing.transform,
    )
    module.frozen = tuple(frozen)
    # After the module, which knows the default loss of the task.
    losses.check_data(module.loss_name, data)
    preflight.check(job.trainer, module, data)
    return Prepared(data, network, layers, module)


def life(
    job: Job,
    prepared: Prepared,
    printer: report.Report,
    tracked: Run,
    checkpoint: Path | None = None,
    callbacks: Sequence[pl.Callback] = (),
    on_epoch: Callable[[Row], None] | None = None,
    logger: Logger | None = None,
) -> Result:
    """Fit, evaluate, predict and save, within an open run.

    Args:
        job: the checked request.
        prepared: data and model.
        printer: prints progress.
        tracked: the run.
        checkpoint: to resume from; ``None``: start from the beginning.
        callbacks: Lightning callbacks for the fit.
        on_epoch: called with the row of each epoch, after it is recorded.
        logger: that callbacks log to.
    """
    data, module = prepared.data, prepared.module
    printer.begin(job, data, prepared.layers, module)
    if clauses := job.request.not_recorded:
        printer.note("Rerun", f"is not possible: the run {not_repeatable(clauses)}")
    if (note := describe(job, prepared, tracked)) is not None:
        printer.note("Batches", COMMAND_LINE.text(note))

    with _also_recorded(job, tracked) as also:
        listeners = [tracked.log_epoch, lambda row: printer.epoch(row, job.trainer.max_epochs), *also]
        listeners += [on_epoch] if on_epoch is not None else []
        bars = [*printer.callbacks(job.trainer.max_epochs), *files.callbacks(), *callbacks]
        folder = tracked.checkpoints
        history = trainer.fit(module, data, job.trainer, job.seed, folder, listeners, bars, checkpoint, logger)

    return conclude(job, prepared, printer, tracked, history)


@contextmanager
def _also_recorded(job: Job, tracked: Run) -> Iterator[list[Callable[[Row], None]]]:
    """Yield what records each epoch in addition to MLflow; the files are artifacts of the run."""
    names = job.request.tracking.also
    if not names:
        yield []
        return
    with extra_loggers.opened(names, tracked.artifacts, flatten(job.request.recorded)) as loggers:
        yield [loggers.log_epoch]
    if tracked.artifacts == tracked.scratch:  # the caller's own run
        for name in names:
            tracked.log_folder(tracked.artifacts / name, name)


def describe(job: Job, prepared: Prepared, tracked: Run) -> Text | None:
    """Record what is known of a run before its fit: the data, resolved parameters and the layers.

    Returns:
        The note on a batch size that is reduced; or ``None``.
    """
    data, module = prepared.data, prepared.module
    tracked.describe(description.begun(description.Subject(job, data, module, prepared.layers)))
    tracked.log_data(data.name, data.digest, path_of(job.data, data.kind), data.num_rows)
    tracked.tag(
        **data.split_digests, **{layout.SPLIT_ROWS: data.split_rows}
    )  # by which resume, rerun and compare recognise the same rows
    if data.reading:
        tracked.tag(**{layout.READING: data.reading})
    _describe_audit(data, tracked)
    rows_a_step = preflight.batch_size(job.trainer, data)
    names = list(module.metric_names)
    plugin = job.data if data.plugin is None else data.plugin
    inferred = {f"data__{name}": value for name, value in vars(plugin).items()}
    schedule = {f"schedule__{key}": value for key, value in asdict(job.schedule).items()}
    tracked.log_resolved(
        job.request, loss=module.loss_name, metrics=names, trainer__batch_size=rows_a_step, **schedule, **inferred
    )
    if data.task_choice is not None:
        tracked.tag(**{layout.TASK_TAG: COMMAND_LINE.text(data.task_choice)})
    if data.inferred is not None:
        tracked.tag(**{layout.INFERRED: data.inferred[1]})
    note = preflight.reduced_batch_size(job.trainer, data)
    if note is not None:
        tracked.tag(**{layout.BATCH_SIZE: str(rows_a_step)})  # the parameter records the requested size
    tracked.log_text(report.summary_text(prepared.layers), "summary.txt")
    return note


def _describe_audit(data: Dataset, tracked: Run) -> None:
    """Record how the rows were divided, and what was found in them."""
    if data.split_report:
        tracked.tag(**{layout.SPLIT_TAG: "; ".join(map(COMMAND_LINE.text, data.split_report))})
    if data.test_digest is not None:
        tracked.tag(**{layout.TEST_FILE_DIGEST: data.test_digest})
    if data.audit is not None:
        tracked.tag(**{layout.AUDIT_TAG: data.audit.tag(data.notes)})
        tracked.log_text(data.audit.json(data.notes), layout.AUDIT)


@one_at_a_time()
def conclude(job: Job, prepared: Prepared, printer: report.Report, tracked: Run, history: History) -> Result:
    """Evaluate, predict and save a fitted model."""
    data, module = prepared.data, prepared.module
    evaluation, predictions = score(job, prepared, tracked.checkpoints)
    trained = trained_model(job, prepared, history, tracked.id)
    precision = "bf16-mixed" if module.step_options.bf16 else "32"
    outcome = Outcome(data, history, evaluation, predictions, trained, precision)
    # First, since the recording process draws them while this one saves the rest.
    pictures = record_pictures(tracked, outcome, job.request.tracking.figures)
    record(tracked, outcome)
    images = description.images(pictures, tracked.id, artifacts.wide(data.spec, history))
    subject = description.Subject(job, data, module, prepared.layers)
    tracked.describe(description.ended(subject, history, evaluation, images))
    facts = Facts(job, data, history, evaluation, sum(layer.num_params for layer in prepared.layers))
    printer.end(data, history, evaluation, tracked, pictures, next_step(facts))
    if job.request.sweep is None:  # a sweep prints it once, at its end
        printer.next(tracked.folder)
    scores = prefixed(evaluation.scores, data.scored_on)
    return Result(tracked.id, scores, history, predictions, trained, evaluation)


def score(job: Job, prepared: Prepared, folder: Path) -> tuple[scoring.Evaluation, pd.DataFrame]:
    """Evaluate and predict the scored rows with the current weights of a model.

    Args:
        job: its trainer and seed.
        prepared: data and model.
        folder: for files that Lightning may write.
    """
    data, module = prepared.data, prepared.module
    # One device, also after a DDP fit: a distributed sampler would repeat rows to fill the last batch.
    single_device = trainer.trainer_for(job.trainer, devices=1, folder=folder)
    rows = in_order(data.scored.inputs, data.scored.targets, data.scored.truth)
    scores = scoring.evaluate(module, rows, single_device)
    outputs = outputs_of(module, rows, single_device)
    evaluation = scoring.judge(module, data, scores, outputs, job.seed)
    predictions = as_frame(outputs, module.units, data.spec, data.scored.base)
    return evaluation, with_truth(predictions, data.scored)


def trained_model(job: Job, prepared: Prepared, history: History, run_id: str | None) -> TrainedModel:
    """Return a fitted network with its preprocessing; ``run_id`` is that of its run, if it has one."""
    data, module = prepared.data, prepared.module
    prepared.network.eval()  # once, since changing the mode later would disturb predictions on other threads
    return TrainedModel(
        model_name=job.model_name,
        model=job.model,
        data_name=data.name,
        data_kind=data.kind,
        data=job.data if data.plugin is None else data.plugin,  # with the fields that the rows determined
        spec=data.spec,
        preprocessing=data.preprocessing,
        network=prepared.network,
        columns=data.columns,
        settings={
            "loss": module.loss_name,
            "metrics": list(module.metric_names),
            "class_values": list(data.class_values),
            "class_weights": None if module.loss.class_weights is None else module.loss.class_weights.tolist(),
            "label_smoothing": job.label_smoothing,
            **_own_names(module),
            **({CHANNELS_LAST: True} if job.start.channels_last else {}),
            "optimizer": {"name": job.optimizer_name, **asdict(job.optimizer)},
            "schedule": {"name": job.schedule_name, **asdict(job.schedule)},
        },
        expressions=job.request.expressions,
        provenance={
            "run_id": run_id,
            "epoch": history.weights_epoch,
            "data_sha256": data.digest,
            **data.split_digests,
            "seed": job.seed,
            **({} if data.time_step is None else {TIME_STEP: data.time_step}),
            **({} if data.dialect is None else {READING: reading_record(data.dialect)}),
        },
    )


def _own_names(module: CompiledModel) -> dict[str, list[str]]:
    """Return the names of the loss and the metrics that are functions or objects of a Python caller."""
    found = [str(name) for name in (module.loss_name, *module.metric_names) if isinstance(name, OwnName)]
    return {OWN_NAMES: found} if found else {}
