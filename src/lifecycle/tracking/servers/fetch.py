"""Copies a run from a server into the folder of runs, so that every command can use it."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.errors import RequestError
from lifecycle.tracking.pages import tags
from lifecycle.tracking.servers import stale
from lifecycle.tracking.servers.remote_models import MODEL_TAG
from lifecycle.tracking.store import NO_STATUS, Store
from lifecycle.tracking.transfer import archive, local, run_copy, server
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
        address: what the server is known by.

    Raises:
        RequestError: a name or an id of the run could not be one of a file here.
    """
    own = own_id(run)
    if local.has(store.folder, own):
        return own
    on_server = server.read(client, run.info.run_id, own)
    copy = _as_here(on_server, run, address)
    staged = Path(tempfile.mkdtemp(prefix=archive.STAGED, dir=store.folder))
    try:
        server.download(client, run.info.run_id, on_server, staged, None)  # without a lock: it takes time
        for there, here in zip(on_server.models, copy.models, strict=True):
            if there.id != here.id:
                (staged / MODELS / there.id).rename(staged / MODELS / here.id)
        (staged / ARTIFACTS / layout.DIGESTS).unlink(missing_ok=True)
        if (staged / ARTIFACTS / layout.CHECKPOINTS).is_dir():
            shutil.copytree(staged / ARTIFACTS / layout.CHECKPOINTS, staged / CHECKPOINTS)
        with store.lock():
            if not local.has(store.folder, own):  # no other process has copied it meanwhile
                _make_experiment(store, copy.experiment)
                local.write(store.folder, copy, staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return own


def _as_here(there: RunCopy, run: Any, address: str) -> RunCopy:
    """Return a copy with the ids and tags that it has in a folder; a run whose process is gone is KILLED.

    Raises:
        RequestError: a name or an id of the run could not be one of a file here.
    """
    tags = {key: value for key, value in there.tags.items() if key not in NOT_COPIED}
    tags |= {layout.SERVER: address, layout.SERVER_RUN: str(run.info.run_id)}
    status, ended = there.status, there.ended
    if status == "RUNNING" and not is_running(run):
        status, ended = "KILLED", int(1000 * (stale.beat_of(run.data.tags) or time.time()))
        tags.setdefault(layout.ERROR, NO_STATUS)
    models = [replace(model, id=model.tags.get(MODEL_TAG, model.id)) for model in there.models]
    models = [replace(model, tags={k: v for k, v in model.tags.items() if k != MODEL_TAG}) for model in models]
    try:
        run_copy.check_names(there)
        copy = replace(there, tags=tags, status=status, ended=ended, models=models)
        run_copy.check_names(copy)
    except ValueError as error:
        what = f"run {there.name} ({run.info.run_id})"
        raise RequestError(what, f"cannot be copied from {address}: {error}", remedy="Use another run.") from error
    return copy


def _make_experiment(store: Store, name: str) -> None:
    if store.client.get_experiment_by_name(name) is None:
        location = (store.folder / layout.ARTIFACTS / layout.folder_of_experiment(name)).as_uri()
        store.client.create_experiment(name, artifact_location=location)
