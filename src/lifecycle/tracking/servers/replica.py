"""Brings a run on a server up to date with the local database."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.tracking.pages.tags import HIDDEN
from lifecycle.tracking.servers import local_run, outbox, remote
from lifecycle.tracking.servers.local_run import LocalRun
from lifecycle.tracking.servers.outbox import Entry
from lifecycle.tracking.spool.journal import Journal

SECONDS_BETWEEN_BEATS = 60.0

LOCAL_ONLY = (layout.SERVER, layout.SERVER_RUN)
"""Tags that say where the server is, which are of no use on it."""


class Replica:
    """A run on a server.

    Args:
        client: of the server.
        address: of the server.
        store: folder of the local database.
        entry: how far the run has been sent.
        on_progress: called after each request that has succeeded.
    """

    def __init__(self, client: Any, address: str, store: Path, entry: Entry, on_progress: Callable[[], None]) -> None:
        self._client, self._address, self._store = client, address, store
        self.entry, self._on_progress = entry, on_progress

    def update(self) -> bool:
        """Send what the server does not have, and return whether that is all of a run that has ended.

        Raises:
            Exception: MLflow's, the database's or the network's; what was sent is in the entry.
        """
        with local_run.opened(self._store) as database:
            run = local_run.read(database, self._store, self.entry.run_id)
            if run is None:  # deleted, or not in the database yet
                return not Journal(self._store, self.entry.run_id).file.exists()
            try:
                self._begin(run)
                self._send_points(database)
                self._send_rest(run)
                # Once more: points may have been written meanwhile, and the status must not be ahead of them.
                self._send_points(database)
                self._send_status(run)
            finally:
                outbox.write(self._store, self.entry)
        return run.ended is not None

    def _begin(self, run: LocalRun) -> None:
        entry = self.entry
        if not entry.experiment_id:
            entry.experiment_id = remote.experiment_of(
                self._client, entry.experiment, entry.artifacts, self._store, self._address
            )
            self._on_progress()
        if not entry.server_run:
            entry.server_run, tags = remote.run_of(self._client, entry, run)
            # Of an earlier attempt, or of another machine: tags that are gone since are deleted there.
            entry.tags = {key: value for key, value in tags.items() if key.startswith(("lifecycle.", HIDDEN))}
            entry.tags.pop(layout.RUN_ID, None)
            outbox.write(self._store, entry)
            self._on_progress()

    def _send_points(self, database: Any) -> None:
        while True:
            points, row = local_run.points(database, self.entry.run_id, self.entry.row)
            if not points:
                return
            remote.send_points(self._client, self.entry.server_run, points)
            self.entry.row = row
            self._on_progress()

    def _send_rest(self, run: LocalRun) -> None:
        entry, server_run = self.entry, self.entry.server_run
        new = {key: value for key, value in run.params.items() if key not in entry.params}
        if new:
            remote.send_params(self._client, server_run, new)
            entry.params += list(new)
            self._on_progress()
        for one in run.inputs:
            if one.digest not in entry.inputs:
                remote.send_input(self._client, server_run, one)
                entry.inputs.append(one.digest)
                self._on_progress()
        self._send_tags(run)
        self._send_files(run)
        for model in run.models:
            if model.model_id not in entry.models and model.folder.is_dir():
                remote.send_model(self._client, entry, model)
                entry.models.append(model.model_id)
                self._on_progress()

    def _send_tags(self, run: LocalRun) -> None:
        entry = self.entry
        tags = {key: value for key, value in run.tags.items() if key not in LOCAL_ONLY}
        now = time.time()
        if run.ended is None and now - entry.beat >= SECONDS_BETWEEN_BEATS:
            tags[layout.HEARTBEAT] = f"{socket.gethostname()} {os.getpid()} {int(now)}"
        else:
            kept = (layout.HEARTBEAT, layout.SUSPECTED)
            tags |= {key: entry.tags[key] for key in kept if key in entry.tags}
        new = {key: value for key, value in tags.items() if entry.tags.get(key) != value}
        gone = [key for key in entry.tags if key not in tags]
        if new or gone:
            remote.send_tags(self._client, entry.server_run, new, gone)
            entry.beat = now if layout.HEARTBEAT in new else entry.beat
            entry.tags = tags
            self._on_progress()

    def _send_files(self, run: LocalRun) -> None:
        files = local_run.files_of(run)
        if self.entry.checkpoints:
            files |= checkpoints_of(self._store, self.entry.run_id)
        for name, file in files.items():
            try:
                now = file.stat()
            except FileNotFoundError:  # replaced at this moment
                continue
            state = [now.st_size, now.st_mtime_ns]
            if self.entry.files.get(name) != state:
                remote.send_file(self._client, self.entry.server_run, name, file)
                self.entry.files[name] = state
                self._on_progress()

    def _send_status(self, run: LocalRun) -> None:
        entry = self.entry
        if run.status == entry.status:
            return
        if run.ended is None:
            self._client.update_run(entry.server_run, status=run.status)
        else:
            self._client.set_terminated(entry.server_run, run.status, run.ended)
        entry.status = run.status
        self._on_progress()


def checkpoints_of(store: Path, run_id: str) -> dict[str, Path]:
    """Return the checkpoints of a run and their digests, by their paths among the artifacts of the server."""
    folder = store / layout.CHECKPOINTS / run_id
    return {
        f"{layout.CHECKPOINTS}/{file.name}": file
        for file in sorted(folder.glob("*"))
        if file.is_file() and not file.name.startswith(".") and file.name != layout.LOCK
    }
