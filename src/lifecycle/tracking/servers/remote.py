"""A run on a server: each step can be repeated, and then changes nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lifecycle import layout
from lifecycle.errors import TrackingError
from lifecycle.tracking.model_registry import quoted
from lifecycle.tracking.servers import answers, databases
from lifecycle.tracking.servers.local_run import Input, LocalRun, LoggedModel, Point, profile_of
from lifecycle.tracking.servers.outbox import Entry
from lifecycle.tracking.transfer import timeouts

SECONDS_OF_REQUEST = 10
"""How long a request waits for an answer."""

MAX_PARAMS, MAX_TAGS = 100, 100
"""Of one request."""

MODEL_TAG = "lifecycle.model_id"
"""Of a model on a server: its id in the local database."""

MLMODEL = "MLmodel"


def client_of(address: str) -> Any:
    """Return an ``mlflow.MlflowClient`` of a server, whose requests fail soon: they are repeated anyway.

    Raises:
        Exception: a database cannot be connected to, or MLflow finds no credentials of Databricks.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(SECONDS_OF_REQUEST))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # Likewise of S3, where a server keeps its artifacts.
    os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")
    import mlflow

    answers.require_complete()
    address = databases.with_driver(address)
    databases.check(address)
    return mlflow.MlflowClient(address, address)


def experiment_of(client: Any, name: str, location: str | None, folder: Path, address: str) -> str:
    """Return the id of an experiment, which is created if there is none.

    Args:
        client: of the server.
        name: of the experiment.
        location: of the artifacts of a new experiment; ``None``: where the server likes.
        folder: of the local database, in which a database without a server keeps its artifacts.
        address: of the server.

    Raises:
        TrackingError: it was deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        if location is None and not address.lower().startswith(("http", "databricks")):
            location = (folder / "server-artifacts" / layout.folder_of_experiment(name)).as_uri()
        return str(client.create_experiment(name, artifact_location=location))
    if found.lifecycle_stage != "active":
        raise TrackingError(f"its experiment {name} was deleted. Restore it there, or name another")
    return str(found.experiment_id)


def run_of(client: Any, entry: Entry, run: LocalRun) -> tuple[str, dict[str, str]]:
    """Return the id of a run on the server, which is created if there is none, and its tags."""
    found = find(client, entry.experiment_id, entry.run_id)
    if found is not None:
        return str(found.info.run_id), dict(found.data.tags)
    tags = {**run.tags, layout.RUN_ID: entry.run_id}
    created = client.create_run(entry.experiment_id, start_time=run.begun, tags=tags, run_name=run.name)
    return str(created.info.run_id), tags


def find(client: Any, experiment_id: str, run_id: str) -> Any | None:
    """Return the run on the server that a local run was sent to, if there is one."""
    named = f"tags.`{layout.RUN_ID}` = {quoted(run_id)}"
    return next(iter(client.search_runs([experiment_id], named, max_results=1)), None)


def send_params(client: Any, server_run: str, params: Mapping[str, str]) -> None:
    """Send parameters."""
    from mlflow.entities import Param

    listed = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(listed), MAX_PARAMS):
        client.log_batch(server_run, params=listed[start : start + MAX_PARAMS])


def send_tags(client: Any, server_run: str, tags: Mapping[str, str], gone: Sequence[str] = ()) -> None:
    """Send tags, and delete those that are gone."""
    from mlflow.entities import RunTag
    from mlflow.exceptions import MlflowException

    listed = [RunTag(key, value) for key, value in tags.items()]
    for start in range(0, len(listed), MAX_TAGS):
        client.log_batch(server_run, tags=listed[start : start + MAX_TAGS])
    for key in gone:
        try:
            client.delete_tag(server_run, key)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # an earlier attempt has deleted it
                raise


def send_points(client: Any, server_run: str, points: Sequence[Point]) -> None:
    """Send points of metrics, at most 1,000; the server keeps one of equal points."""
    from mlflow.entities import Metric

    client.log_batch(server_run, metrics=[Metric(*point) for point in points])


def send_input(client: Any, server_run: str, one: Input) -> None:
    """Send which data set a run is fitted to."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = client.get_run(server_run).inputs
    if any(known.dataset.digest == one.digest for known in (inputs.dataset_inputs if inputs is not None else [])):
        return  # some servers refuse the same one twice
    dataset = Dataset(
        name=one.name,
        digest=one.digest,
        source_type=one.source_type,
        source=one.source,
        profile=profile_of(one),
    )
    client.log_inputs(server_run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def send_model(client: Any, entry: Entry, model: LoggedModel) -> None:
    """Send an MLflow model of a run."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    sent = _model_of(client, entry, model)
    if sent.status == "READY" and sent.model_id in outputs_of(client, entry.server_run):
        return
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        copy = Path(folder) / "model"
        shutil.copytree(model.folder, copy)
        _rename(copy / MLMODEL, sent.model_id, entry.server_run, sent.artifact_location)
        with timeouts.of_files(*(file for file in copy.rglob("*") if file.is_file())):
            client.log_model_artifacts(sent.model_id, str(copy))
    client.finalize_logged_model(sent.model_id, LoggedModelStatus.READY)
    if sent.model_id not in outputs_of(client, entry.server_run):  # a server refuses the same one twice
        client.log_outputs(entry.server_run, [LoggedModelOutput(sent.model_id, 0)])


def outputs_of(client: Any, server_run: str) -> list[str]:
    """Return the ids of the models of a run on the server."""
    outputs = client.get_run(server_run).outputs
    return [one.model_id for one in outputs.model_outputs] if outputs is not None else []


def _model_of(client: Any, entry: Entry, model: LoggedModel) -> Any:
    """Return the model on the server, which is created if there is none."""
    found = client.search_logged_models(
        [entry.experiment_id], filter_string=f"source_run_id = {quoted(entry.server_run)}"
    )
    for one in found:
        if one.tags.get(MODEL_TAG) == model.model_id:
            return one
    return client.create_logged_model(
        entry.experiment_id, name=model.name, source_run_id=entry.server_run, tags={MODEL_TAG: model.model_id}
    )


def _rename(file: Path, model_id: str, run_id: str, location: str) -> None:
    """Replace the ids in an ``MLmodel`` file by those on the server."""
    about = yaml.safe_load(file.read_text(encoding="utf-8"))
    about |= {"model_id": model_id, "model_uuid": model_id, "run_id": run_id, "artifact_path": location}
    file.write_text(yaml.safe_dump(about, sort_keys=True), encoding="utf-8")


def send_file(client: Any, server_run: str, name: str, file: Path) -> None:
    """Send an artifact, to its path within the artifacts."""
    folder = name.rpartition("/")[0]
    with timeouts.of_files(file):
        client.log_artifact(server_run, str(file), folder or None)
