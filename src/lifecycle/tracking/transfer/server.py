"""Reads a run from any MLflow client, of a tracking server or a database, with its files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lifecycle.tracking.database.tables import Point
from lifecycle.tracking.transfer import timeouts
from lifecycle.tracking.transfer.files import ARTIFACTS, CHECKPOINTS, MODELS
from lifecycle.tracking.transfer.run_copy import DatasetCopy, ModelCopy, RunCopy

STATUSES = {"PENDING": 1, "READY": 2, "UPLOAD_FAILED": 3}
"""MLflow's numbers of the statuses of logged models."""


def read(client: Any, run: str, own: str | None = None) -> RunCopy:
    """Return a run as a client has it.

    Args:
        client: ``mlflow.MlflowClient``.
        run: its id there.
        own: its id in the copy; ``None``: the same.
    """
    found = client.get_run(run)
    points: list[Point] = [
        (point.key, float(point.value), int(point.timestamp), int(point.step))
        for name in found.data.metrics
        for point in client.get_metric_history(run, name)
    ]
    outputs = found.outputs.model_outputs if found.outputs is not None else []
    return RunCopy(
        id=own or run,
        name=found.info.run_name or run,
        experiment=client.get_experiment(found.info.experiment_id).name,
        status=found.info.status,
        started=found.info.start_time,
        ended=found.info.end_time,
        user=found.info.user_id or "",
        params=dict(found.data.params),
        tags=dict(found.data.tags),
        points=points,
        datasets=[_dataset(one) for one in (found.inputs.dataset_inputs if found.inputs is not None else [])],
        models=[_model(client.get_logged_model(one.model_id), one.step, run) for one in outputs],
    )


def download(client: Any, run: str, copy: RunCopy, into: Path, checkpoints: str | None = CHECKPOINTS) -> None:
    """Download the files of a run, named as :meth:`lifecycle.tracking.transfer.files.Folders.within` takes them.

    Args:
        client: ``mlflow.MlflowClient``.
        run: its id there.
        copy: what :func:`read` returned.
        into: an empty folder.
        checkpoints: folder of the artifacts that has the run's checkpoints, where it has one; ``None``: none has.
    """
    _download(client, client.get_run(run).info.artifact_uri, into / ARTIFACTS)
    if checkpoints is not None and (into / ARTIFACTS / checkpoints).is_dir():
        (into / ARTIFACTS / checkpoints).rename(into / CHECKPOINTS)
    for model in copy.models:
        _download(client, client.get_logged_model(model.id).artifact_location, into / MODELS / model.id)


def _download(client: Any, address: str, into: Path) -> None:
    # Not by the client, which keeps the folder of a run by its id, whatever its server.
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    repository: Any = get_artifact_repository(address, tracking_uri=client.tracking_uri)
    into.mkdir(parents=True)
    with timeouts.of_files():
        for item in repository.list_artifacts(None):  # a run without artifacts has no folder that could be downloaded
            repository.download_artifacts(item.path, str(into))


def _dataset(used: Any) -> DatasetCopy:
    one = used.dataset
    tags = {tag.key: tag.value for tag in used.tags}
    return DatasetCopy(one.name, one.digest, one.source_type, one.source, one.schema, one.profile, tags)


def _model(model: Any, step: int, run: str) -> ModelCopy:
    scores = [one for one in model.metrics or [] if one.run_id == run]
    return ModelCopy(
        id=model.model_id,
        name=model.name,
        created=model.creation_timestamp,
        updated=model.last_updated_timestamp,
        status=STATUSES.get(str(model.status), STATUSES["PENDING"]),
        type=model.model_type,
        step=step,
        params=dict(model.params or {}),
        tags=dict(model.tags or {}),
        points=[(one.key, float(one.value), int(one.timestamp), int(one.step)) for one in scores],
    )
