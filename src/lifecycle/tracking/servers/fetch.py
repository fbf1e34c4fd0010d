"""Copies a run from a server into the folder of runs, so that every command can use it."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.tracking.pages import tags
from lifecycle.tracking.servers import stale
from lifecycle.tracking.servers.remote import MODEL_TAG
from lifecycle.tracking.store import NO_STATUS, Store
from lifecycle.tracking.transfer import local, server
from lifecycle.tracking.transfer.files import ARTIFACTS, CHECKPOINTS, MODELS
from lifecycle.tracking.transfer.run_copy import RUN_ID, RunCopy

SECONDS_ALIVE = 150.0
"""Age of a heartbeat up to which a RUNNING run is taken to be alive; there is one a minute."""

NOT_COPIED = (layout.RUN_ID, layout.HEARTBEAT, layout.SUSPECTED)
"""Tags of the run on the server only."""


def is_ours(run: Any) -> bool:
    """Return whether a run of a server was recorded by this program: others have no files that commands could use."""
    return bool({layout.COMMAND, layout.ROLE} & set(tags.read(run.data.tags)))


def own_id(run: Any) -> str:
    """Return the id that a run of a server has in folders."""
    own = run.data.tags.get(layout.RUN_ID, "")
    return own if RUN_ID.fullmatch(own) else str(run.info.run_id)


def is_running(run: Any) -> bool:
    """Return whether another machine is at work on a run: it is RUNNING and its heartbeat is recent."""
    beat = stale.beat_of(run.data.tags)
    return run.info.status == "RUNNING" and beat is not None and time.time() - beat < SECONDS_ALIVE


def fetch(client: Any, run: Any, store: Store, address: str) -> str:
    """Copy a run into a store, unless it is there, and return its id there.

    Args:
        client: of the server.
        run: as the client has it.
        store: the local database.
        address: of the server, without credentials.
    """
    own = own_id(run)
    with store.lock():
        if local.read(store.folder, own) is not None:
            return own
        copy = _renamed(server.read(client, run.info.run_id, own), run, address)
        staged = Path(tempfile.mkdtemp(prefix=".fetched-", dir=store.folder))
        try:
            server.download(client, run.info.run_id, replace(copy, models=_as_on_server(client, run)), staged, None)
            _rename_models(staged, client, run)
            if (staged / ARTIFACTS / layout.CHECKPOINTS).is_dir():
                shutil.copytree(staged / ARTIFACTS / layout.CHECKPOINTS, staged / CHECKPOINTS)
            _make_experiment(store, copy.experiment)
            local.write(store.folder, copy, staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return own


def _renamed(copy: RunCopy, run: Any, address: str) -> RunCopy:
    """Return a copy with the ids and tags that it has in a folder; a run whose process is gone is KILLED."""
    tags = {key: value for key, value in copy.tags.items() if key not in NOT_COPIED}
    tags |= {layout.SERVER: address, layout.SERVER_RUN: str(run.info.run_id)}
    status, ended = copy.status, copy.ended
    if status == "RUNNING" and not is_running(run):
        status, ended = "KILLED", int(1000 * (stale.beat_of(run.data.tags) or time.time()))
        tags.setdefault(layout.ERROR, NO_STATUS)
    models = [replace(model, id=model.tags.get(MODEL_TAG, model.id)) for model in copy.models]
    models = [replace(model, tags={k: v for k, v in model.tags.items() if k != MODEL_TAG}) for model in models]
    return replace(copy, tags=tags, status=status, ended=ended, models=models)


def _as_on_server(client: Any, run: Any) -> list[Any]:
    return server.read(client, run.info.run_id).models


def _rename_models(staged: Path, client: Any, run: Any) -> None:
    """Name the folders of models by their ids in folders."""
    for model in _as_on_server(client, run):
        own = model.tags.get(MODEL_TAG, model.id)
        if own != model.id and (staged / MODELS / model.id).is_dir():
            (staged / MODELS / model.id).rename(staged / MODELS / own)
    (staged / ARTIFACTS).mkdir(exist_ok=True)


def _make_experiment(store: Store, name: str) -> None:
    if store.client.get_experiment_by_name(name) is None:
        location = (store.folder / layout.ARTIFACTS / layout.folder_of_experiment(name)).as_uri()
        store.client.create_experiment(name, artifact_location=location)
