"""Scores the model of a run again, on its test rows or on external labelled rows, and adds the scores to the run."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lifecycle import layout
from lifecycle.capabilities import path_of
from lifecycle.compile import losses, scores
from lifecycle.config.request import Job
from lifecycle.credentials import masked
from lifecycle.data import external
from lifecycle.data.resolving import resolved_like
from lifecycle.data.sources import in_memory
from lifecycle.errors import COMMAND_LINE, RequestError, Setting
from lifecycle.evaluate import scoring
from lifecycle.fit import preflight
from lifecycle.layout import DATA_DIGEST
from lifecycle.plots import artifacts
from lifecycle.predict import saved_model
from lifecycle.runs import pipeline
from lifecycle.runs.outcome import look_of
from lifecycle.runs.recompile import compiled_as
from lifecycle.tracking import provenance
from lifecycle.tracking.run import Run, track_again

if TYPE_CHECKING:
    from lifecycle.data.dataset import Dataset
    from lifecycle.tracking.found_run import FoundRun

FOLDER = "evaluate"
"""Folder of the artifacts, with a folder for each set of rows; also the prefix of the scores' names."""


@dataclass(frozen=True)
class Rescored:
    """The scores of a model on rows.

    Attributes:
        name: of the rows: ``"test"``, ``"training_set"``, or the name of external data.
        data: the data set whose scored rows these are.
        source: path or name of the data, without credentials.
        evaluation: scores, intervals, baselines.
        predictions: of these rows, with the truth.
        notes: for the user.
    """

    name: str
    data: Dataset
    source: str
    evaluation: scoring.Evaluation
    predictions: pd.DataFrame
    notes: list[str]

    @property
    def recorded(self) -> dict[str, float]:
        """The scores as the run records them: ``evaluate_<name>_accuracy``; intervals and baselines are in tables."""
        return scores.prefixed(self.evaluation.recorded, FOLDER)


def own_rows(found: FoundRun, job: Job) -> Rescored:
    """Score the model of a run on the rows that the run was scored on.

    Args:
        found: the run.
        job: its recorded request, resolved.

    Raises:
        RequestError: the rows or their split have changed since.
    """
    # Rows in memory have a made-up path; a file may happen to have the same name.
    if path_of(job.data) == in_memory.PATH and not Path(in_memory.PATH).exists():
        raise RequestError(
            [f"run {found.name} ({found.id})"],
            "was fitted from Python to rows in memory, which are not kept",
            remedy="Score it on labelled rows in a file, with input=<file>.",
        )
    trained = saved_model.load(found.model_folder())
    prepared = pipeline.prepare(job)
    data = prepared.data
    then = found.tags.get(DATA_DIGEST)  # None: the run did not record it
    if then is not None and then != data.digest:
        raise RequestError(
            Setting("data", data.name),
            f"is not what run {found.name} ({found.id}) was fitted to: its rows had the sha256 {then[:16]}..., "
            f"and have {data.digest[:16]}... now",
            remedy=[
                "Put them back; or score all of them as other data, with ",
                Setting("data", data.name),
                " or input=<file>.",
            ],
        )
    # Runs of earlier versions have no digests of the split, and are not refused.
    split = {name: digest for name, digest in data.split_digests.items() if found.tags.get(name, digest) != digest}
    if split:
        raise RequestError(
            Setting("data", data.name),
            f"is split in another way than when run {found.name} ({found.id}) was fitted ({', '.join(split)} differs): "
            "rows that it learnt from would be scored",
            remedy="Score others with input=<file>.",
        )
    # The saved model has the weights; the prepared one the split, which only training data have.
    prepared.network.load_state_dict(trained.network.state_dict())
    evaluation, predictions = _score(job, prepared)
    notes = _comparison(found, evaluation)
    source = masked(path_of(job.data, data.kind))
    return Rescored(data.scored_on, data, source, evaluation, predictions, notes)


def other_rows(found: FoundRun, job: Job, request: Job, name: str, missing: str = "refuse") -> Rescored:
    """Score the model of a run on all rows of external data, with the preprocessing of the run.

    Args:
        found: the run.
        job: its recorded request, resolved.
        request: with the data to score.
        name: of the data.
        missing: ``"refuse"`` or ``"impute"`` missing values in columns that were complete in training.

    Raises:
        RequestError: the data lack a column or a value, have an unknown class, or samples of another shape.
    """
    # The device of the run may be missing on this machine.
    preflight.check_devices(job.trainer)
    trained = saved_model.load(found.model_folder())
    plugin = resolved_like(external.with_names(request.data, trained.known), trained.data)
    data = external.load(plugin, name, request.data_kind, trained.spec, trained.preprocessing, trained.columns, missing)
    module = compiled_as(trained)
    losses.check_data(module.loss_name, data)
    preflight.check_metrics(module, data)
    evaluation, predictions = _score(job, pipeline.Prepared(data, trained.network, [], module))
    notes = list(map(COMMAND_LINE.text, data.notes))
    if data.digest == found.tags.get(DATA_DIGEST):
        notes.append("These are the rows of the run itself, its training rows included.")
    source = masked(path_of(request.data, data.kind))
    return Rescored(name, data, source, replace(evaluation, on=name), predictions, notes)


def record(found: FoundRun, scored: Rescored, figures: bool | str) -> tuple[Run, Path, list[str]]:
    """Add the scores of a model on rows to its run, without a change of the run's status.

    Returns:
        The run, the folder of its artifacts with the tables, and the names of the pictures in it.
    """
    into = f"{FOLDER}/{scored.name}"
    # resume=False: a finished run stays FINISHED while scores are added to it.
    with track_again(found, resume=False) as tracked:
        tracked.log_scores(scored.recorded)
        tracked.tag(
            **{f"{FOLDER}.{scored.name}.sha256": scored.data.digest, f"{FOLDER}.{scored.name}.source": scored.source}
        )
        folder = tracked.scratch / FOLDER
        folder.mkdir()
        artifacts.write_tables(folder, scored.data, scored.predictions, scored.evaluation)
        scored.predictions.to_csv(folder / layout.PREDICTIONS, index=False)
        pictures: list[str] = []
        if figures:
            look = look_of(scored.data, found.name, figures)
            pictures = artifacts.write_forecast(folder, scored.data, scored.predictions, look)
            tracked.log_figures(None, scored.predictions, scored.data.spec, into, **vars(look))
            pictures += artifacts.pictures_of(scored.data.spec, fitted=False, look=look)
        tracked.log_folder(folder, into)
    return tracked, tracked.artifacts / into, pictures


def _score(job: Job, prepared: pipeline.Prepared) -> tuple[scoring.Evaluation, pd.DataFrame]:
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        return pipeline.score(job, prepared, Path(folder))


def _comparison(found: FoundRun, evaluation: scoring.Evaluation) -> list[str]:
    """Return a note on whether the scores equal the recorded ones; if not, the differences and possible reasons."""
    differing = []
    for name, value in scores.prefixed(evaluation.scores, evaluation.on).items():
        then = found.metrics.get(name)
        # Compared exactly, since the same code on the same machine gives the same bits.
        if then is not None and then != value and not (math.isnan(then) and math.isnan(value)):
            differing.append(f"{name} was {then!r} and is {value!r}")
    if not differing:
        return ["(the same as the run recorded, to the last digit)"]
    versions = [
        f"{name} was {found.tags[tag]} and is {now}"
        for name, now in provenance.versions().items()
        if found.tags.get(tag := f"version.{name}", now) != now
    ]
    why = f" Since then: {'; '.join(versions)}." if versions else " Another processor or device may round differently."
    return [f"The scores differ from those that the run recorded: {'; '.join(differing)}.{why}"]
