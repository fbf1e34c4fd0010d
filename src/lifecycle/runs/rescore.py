"""The model of a run scored again: on the run's own test rows, or on other labelled rows; and added to the run."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lifecycle.capabilities import path_of
from lifecycle.compile import losses, scores
from lifecycle.config.schema import Job
from lifecycle.credentials import masked
from lifecycle.data import labelled_rows
from lifecycle.data.sources import in_memory
from lifecycle.errors import COMMAND_LINE, RequestError, Setting
from lifecycle.evaluate import scoring
from lifecycle.fit import preflight
from lifecycle.plots import artifacts
from lifecycle.predict import saved_model
from lifecycle.runs import pipeline
from lifecycle.runs.recompile import compiled_as
from lifecycle.tracking import provenance
from lifecycle.tracking.run import Run, track_again

if TYPE_CHECKING:
    from lifecycle.data.dataset import Dataset
    from lifecycle.tracking.found_run import FoundRun

DIGEST = "data.sha256"
FOLDER = "evaluate"
"""Of the artifacts; a folder in it for each set of rows. The same begins the names of the scores."""


@dataclass(frozen=True)
class Rescored:
    """What a model came to on rows.

    Attributes:
        name: what the rows are called: ``"test"``, ``"training_set"``, or the name of other data.
        data: with these rows as those that are scored.
        source: where they are from.
        evaluation: scores, intervals, baselines.
        predictions: of these rows, beside the truth.
        notes: what a reader must know of it.
    """

    name: str
    data: Dataset
    source: str
    evaluation: scoring.Evaluation
    predictions: pd.DataFrame
    notes: list[str]

    @property
    def flat(self) -> dict[str, float]:
        """All scores as the run records them: ``evaluate_<name>_accuracy``, ``evaluate_<name>_baseline_accuracy``."""
        known = scores.prefixed(self.evaluation.own, FOLDER)
        return known | scores.prefixed(self.evaluation.baseline, f"{FOLDER}_{self.name}_baseline")


def own_rows(found: FoundRun, job: Job) -> Rescored:
    """Score the model of a run on the rows that the run was scored on.

    Args:
        found: the run.
        job: what it recorded.

    Raises:
        RequestError: the rows are no longer what they were.
    """
    if path_of(job.data) == in_memory.PATH and not Path(in_memory.PATH).exists():
        raise RequestError(
            [f"run {found.name} ({found.id})"],
            "was fitted from Python to rows in memory, which are not kept",
            remedy="Score it on labelled rows in a file, with input=<file>.",
        )
    trained = saved_model.load(found.model_folder())
    prepared = pipeline.prepare(job)
    data = prepared.data
    then = found.tags.get(DIGEST)
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
    split = {name: digest for name, digest in data.split_digests.items() if found.tags.get(name, digest) != digest}
    if split:
        raise RequestError(
            Setting("data", data.name),
            f"is split in another way than when run {found.name} ({found.id}) was fitted ({', '.join(split)} differs): "
            "rows that it learnt from would be scored",
            remedy="Score others with input=<file>.",
        )
    prepared.network.load_state_dict(trained.network.state_dict())
    evaluation, predictions = _score(job, prepared)
    notes = _compared(found, evaluation)
    source = masked(path_of(job.data, data.kind))
    return Rescored(data.scored_on, data, source, evaluation, predictions, notes)


def other_rows(found: FoundRun, job: Job, asked: Job, name: str, missing: str = "refuse") -> Rescored:
    """Score the model of a run on all rows of other data, which its own preprocessing brings into its form.

    Args:
        found: the run.
        job: what it recorded.
        asked: whose data are to be scored.
        name: what they are called.
        missing: what becomes of a value that is missing where each training row had one.

    Raises:
        RequestError: the data lack a column or a value, hold a class that is not known, have samples of another shape.
    """
    preflight.check_devices(job.trainer)
    trained = saved_model.load(found.model_folder())
    data = labelled_rows.load(
        asked.data, name, asked.data_kind, trained.spec, trained.preprocessing, trained.columns, missing
    )
    module = compiled_as(trained)
    losses.check_data(module.loss_name, data)
    preflight.check_metrics(module, data)
    evaluation, predictions = _score(job, pipeline.Prepared(data, trained.network, [], module))
    notes = list(map(COMMAND_LINE.text, data.notes))
    if data.digest == found.tags.get(DIGEST):
        notes.append("These are the rows that the run was made with: those that it was fitted to are among them.")
    source = masked(path_of(asked.data, data.kind))
    return Rescored(name, data, source, replace(evaluation, on=name), predictions, notes)


def record(found: FoundRun, scored: Rescored, figures: bool) -> tuple[Run, Path, list[str]]:
    """Add what a model came to on rows to its run, whose status stays as it is.

    Returns:
        The run, the folder of its artifacts that has the tables, and the names of the pictures in it.
    """
    into = f"{FOLDER}/{scored.name}"
    with track_again(found, resume=False) as tracked:
        tracked.log_scores(scored.flat)
        tracked.tag(
            **{f"{FOLDER}.{scored.name}.sha256": scored.data.digest, f"{FOLDER}.{scored.name}.source": scored.source}
        )
        folder = tracked.scratch / FOLDER
        folder.mkdir()
        artifacts.write_tables(folder, scored.data, scored.predictions, scored.evaluation)
        scored.predictions.to_csv(folder / "predictions.csv", index=False)
        pictures: list[str] = []
        if figures:
            pictures = artifacts.write_forecast(folder, scored.data, scored.predictions)
            tracked.log_figures(None, scored.predictions, scored.data.spec, into)
            pictures += artifacts.pictures_of(scored.data.spec, fitted=False)
        tracked.log_folder(folder, into)
    return tracked, tracked.artifacts / into, pictures


def _score(job: Job, prepared: pipeline.Prepared) -> tuple[scoring.Evaluation, pd.DataFrame]:
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        return pipeline.score(job, prepared, Path(folder))


def _compared(found: FoundRun, evaluation: scoring.Evaluation) -> list[str]:
    """Return whether the scores are those that the run recorded; where not, each that differs, and what may be why."""
    differing = []
    for name, value in scores.prefixed(evaluation.scores, evaluation.on).items():
        then = found.metrics.get(name)
        if then is not None and then != value and not (math.isnan(then) and math.isnan(value)):
            differing.append(f"{name} was {then!r} and is {value!r}")
    if not differing:
        return ["(the same as the run recorded, to the last digit)"]
    versions = [
        f"{name} was {found.tags[tag]} and is {now}"
        for name, now in provenance.versions().items()
        if found.tags.get(tag := f"version.{name}", now) != now
    ]
    why = f" Since then: {'; '.join(versions)}." if versions else " Another processor or device rounds in its own way."
    return [f"Not to the last digit what the run recorded: {'; '.join(differing)}.{why}"]
