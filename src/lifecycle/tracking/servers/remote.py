"""A run on a server: each step can be repeated, and then changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.errors import TrackingError
from lifecycle.tracking.database.tables import Point
from lifecycle.tracking.filters import of_tag
from lifecycle.tracking.servers import answers, databases
from lifecycle.tracking.transfer import timeouts
from lifecycle.tracking.transfer.run_copy import DatasetCopy, RunCopy

SECONDS_OF_REQUEST = 10
"""How long a request waits for an answer."""

MAX_PARAMS, MAX_TAGS = 100, 100
"""Of one request."""


def client_of(address: str) -> Any:
    """Return an ``mlflow.MlflowClient`` of a server, whose requests fail soon: they are repeated anyway.

    Raises:
        Exception: a database cannot be connected to, or MLflow finds no credentials of Databricks.
    """
    os.environ.setdefault(timeouts.VARIABLE, str(SECONDS_OF_REQUEST))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # What goes through a server is not taken from its storage, which this machine may not reach.
    for what in ("DOWNLOAD", "UPLOAD"):
        os.environ.setdefault(f"MLFLOW_ENABLE_PROXY_MULTIPART_{what}", "false")
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


def find(client: Any, experiment_id: str, run_id: str) -> Any | None:
    """Return the run on the server that a local run was sent to, if there is one."""
    return next(iter(client.search_runs([experiment_id], of_tag(layout.RUN_ID, run_id), max_results=1)), None)


def create(client: Any, experiment_id: str, run: RunCopy, tags: Mapping[str, str]) -> Any:
    """Return a new run on the server."""
    tags = {**tags, layout.RUN_ID: run.id}
    return client.create_run(experiment_id, start_time=run.started, tags=tags, run_name=run.name)


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


def points_of(client: Any, server_run: str, metric: str) -> list[Point]:
    """Return the points of a metric that the server has."""
    return [(one.key, one.value, one.timestamp, one.step) for one in client.get_metric_history(server_run, metric)]


def send_input(client: Any, server_run: str, one: DatasetCopy) -> None:
    """Send which data set a run is fitted to."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if key_of(one) in inputs_of(client.get_run(server_run)):
        return  # some servers refuse the same one twice
    dataset = Dataset(one.name, one.digest, one.source_type, one.source, one.schema, one.profile)
    client.log_inputs(server_run, [DatasetInput(dataset, [InputTag(*tag) for tag in one.tags.items()])])


def inputs_of(run: Any) -> list[str]:
    """Return the keys of the data sets of a run on the server, see :func:`key_of`."""
    inputs = run.inputs.dataset_inputs if run.inputs is not None else []
    return [key_of(one.dataset) for one in inputs]


def key_of(dataset: Any) -> str:
    """Return name and digest of a data set, of which a run has one."""
    return f"{dataset.name} {dataset.digest}"


def outputs_of(run: Any) -> list[str]:
    """Return the ids of the models of a run on the server."""
    return [one.model_id for one in run.outputs.model_outputs] if run.outputs is not None else []


def send_file(client: Any, server_run: str, name: str, file: Path) -> None:
    """Send an artifact, to its path within the artifacts."""
    folder = name.rpartition("/")[0]
    with timeouts.of_files(file):
        client.log_artifact(server_run, str(file), folder or None)


def sizes_of(client: Any, server_run: str, folder: str | None = None) -> dict[str, int]:
    """Return the size in bytes of each artifact that the server has, by its path."""
    found: dict[str, int] = {}
    for one in client.list_artifacts(server_run, folder):
        if one.is_dir:
            found |= sizes_of(client, server_run, one.path)
        else:
            found[one.path] = -1 if one.file_size is None else int(one.file_size)
    return found
