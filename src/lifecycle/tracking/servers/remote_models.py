"""The models of a run on a server, and the versions that were registered of them; each step can be repeated."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import yaml

from lifecycle.config import bounded_yaml
from lifecycle.tracking.filters import quoted
from lifecycle.tracking.models import registry
from lifecycle.tracking.servers import remote
from lifecycle.tracking.servers.outbox import Entry
from lifecycle.tracking.transfer import timeouts
from lifecycle.tracking.transfer.run_copy import DatasetCopy, ModelCopy

MODEL_TAG = "lifecycle.model_id"
"""Of a model on a server: its id in the local database."""

MLMODEL = "MLmodel"
STAGED = ".sending-"
"""Beginning of the name of a folder in the store while the files of a model are sent."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        name: of the registered model.
        number: of the version in the local database; the server numbers its own.
        model_id: local id of the model.
        aliases: that point to it.
    """

    name: str
    number: int
    model_id: str
    aliases: tuple[str, ...]

    @property
    def key(self) -> str:
        """What the outbox notes."""
        return f"{self.name}/{self.number}/{','.join(self.aliases)}"


def send(client: Any, entry: Entry, model: ModelCopy, files: Path, store: Path, data: DatasetCopy | None) -> bool:
    """Send an MLflow model of a run, and return whether the server lacked it.

    Args:
        client: of the server.
        entry: of the run.
        model: that is complete.
        files: folder of its files.
        store: folder of the local database.
        data: the data set of the run; ``None``: it has none.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    sent = _on_server(client, entry, model)
    if sent.status == "READY" and sent.model_id in remote.outputs_of(client.get_run(entry.server_run)):
        return False
    # On the disk of the store, whose room is known to suffice: files are linked, not copied, where that is possible.
    with tempfile.TemporaryDirectory(prefix=STAGED, dir=store) as folder:
        copy = Path(folder) / "model"
        shutil.copytree(files, copy, copy_function=_link)
        _rename(copy / MLMODEL, sent.model_id, entry.server_run, sent.artifact_location)
        with timeouts.of_files(*(file for file in copy.rglob("*") if file.is_file())):
            client.log_model_artifacts(sent.model_id, str(copy))
    client.finalize_logged_model(sent.model_id, LoggedModelStatus.READY)
    _send_scores(client, entry.server_run, sent.model_id, model, data)
    if sent.model_id not in remote.outputs_of(client.get_run(entry.server_run)):  # refused where it is sent twice
        client.log_outputs(entry.server_run, [LoggedModelOutput(sent.model_id, model.step)])
    return True


def _send_scores(client: Any, server_run: str, sent: str, model: ModelCopy, data: DatasetCopy | None) -> None:
    """Send the scores of a model; those that are not of the epoch of its weights are of the data set of the run."""
    from mlflow.entities import Metric

    named = {} if data is None else {"dataset_name": data.name, "dataset_digest": data.digest}
    listed = [
        Metric(key, value, when, step, model_id=sent, run_id=server_run, **({} if step == model.step else named))
        for key, value, when, step in model.points
        if not math.isnan(value)  # which MLflow would store as 0
    ]
    if listed:
        client.log_batch(server_run, metrics=listed)


def _link(source: str, target: str) -> str:
    try:
        Path(target).hardlink_to(source)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)
    return target


def find(client: Any, entry: Entry, model_id: str) -> Any | None:
    """Return the model on the server that a local model was sent to, if there is one."""
    of_run = f"source_run_id = {quoted(entry.server_run)}"
    found = client.search_logged_models([entry.experiment_id], filter_string=of_run)
    return next((one for one in found if one.tags.get(MODEL_TAG) == model_id), None)


def _on_server(client: Any, entry: Entry, model: ModelCopy) -> Any:
    """Return the model on the server, which is created if there is none, with all of its parameters."""
    found = find(client, entry, model.id)
    if found is None:
        return client.create_logged_model(
            entry.experiment_id,
            name=model.name,
            source_run_id=entry.server_run,
            tags={**model.tags, MODEL_TAG: model.id},
            params=model.params,
            model_type=model.type,
        )
    missing = {key: value for key, value in model.params.items() if key not in (found.params or {})}
    if missing:  # the client sends them in several requests
        client.log_model_params(found.model_id, missing)
    return found


def _rename(file: Path, model_id: str, run_id: str, location: str) -> None:
    """Replace the ids in an ``MLmodel`` file, which may be anybody's, by those on the server."""
    about = bounded_yaml.load(file.read_text(encoding="utf-8"), MLMODEL)
    about |= {"model_id": model_id, "model_uuid": model_id, "run_id": run_id, "artifact_path": location}
    file.unlink()  # it is a link to the local one
    file.write_text(yaml.safe_dump(about, sort_keys=True), encoding="utf-8")


def versions_of(database: Connection, run_id: str) -> list[Version]:
    """Return the versions that were registered of the models of a run in the local database, in their order."""
    found = database.execute(
        "SELECT name, version, source FROM model_versions WHERE run_id = ? AND current_stage != 'Deleted_Internal' "
        "ORDER BY name, version",
        (run_id,),
    ).fetchall()
    aliases = "SELECT alias FROM registered_model_aliases WHERE name = ? AND version = ? ORDER BY alias"
    return [
        Version(name, number, source[1], tuple(alias for (alias,) in database.execute(aliases, (name, number))))
        for name, number, address in found
        if (source := registry.SOURCE.fullmatch(address or "")) is not None
    ]


def send_version(client: Any, entry: Entry, version: Version) -> bool:
    """Register a model of the server under the name that it has here, and return whether that was new.

    An alias that the server has already stays where it is: other people use it.
    """
    model = find(client, entry, version.model_id)
    if model is None:  # it was deleted here
        return False
    number = next(
        (one.version for one in registry.versions(client, version.name) if registry.model_of(one) == model.model_id),
        None,
    )
    is_new = False
    if number is None:
        if not client.search_registered_models(f"name = {quoted(version.name)}"):
            client.create_registered_model(version.name)
        source = f"models:/{model.model_id}"
        created = client.create_model_version(version.name, source, run_id=entry.server_run, model_id=model.model_id)
        number = created.version
        is_new = True
    known: Mapping[str, Any] = client.get_registered_model(version.name).aliases
    for alias in version.aliases:
        if alias not in known:
            client.set_registered_model_alias(version.name, alias, str(number))
            is_new = True
    return is_new
