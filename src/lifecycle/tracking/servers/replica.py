"""Brings a run on a server up to date with the local database."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.errors import TrackingError
from lifecycle.tracking.pages.tags import HIDDEN, OWN, read
from lifecycle.tracking.servers import comparison, local_points, outbox, remote, remote_files, remote_models
from lifecycle.tracking.servers.explained import may_have_lost
from lifecycle.tracking.servers.outbox import Entry
from lifecycle.tracking.servers.remote_files import FilesOnServer
from lifecycle.tracking.spool.journal import Journal
from lifecycle.tracking.transfer import local
from lifecycle.tracking.transfer.local import LocalRun
from lifecycle.tracking.transfer.run_copy import READY

SECONDS_BETWEEN_BEATS = 60.0

MILLISECONDS_OF_LONG = 60_000
"""A run that took longer is compared with the server at its end: an outage between two requests is seen by none."""

MAX_WAIT = 1.0
"""Seconds that reading waits for a database that another process has locked: the next attempt is soon."""

LOCAL_ONLY = (layout.SERVER, layout.SERVER_RUN)
"""Tags that say where the server is, which are of no use on it."""

VERDICT = (layout.ERROR, layout.SUSPECTED)
"""Tags that another machine sets on a run that it takes for dead."""


class Replica:
    """A run on a server.

    Attributes:
        entry: how far the run has been sent.
        has_sent: whether the server lacked anything.
        is_behind: whether the run was continued on another machine, and the server has that: nothing is sent.
        run: as the local database has it; ``None``: it does not have it, or it was deleted.

    Args:
        client: of the server.
        address: of the server.
        store: folder of the local database.
        entry: see above.
        on_progress: called after each request that has succeeded.
    """

    def __init__(self, client: Any, address: str, store: Path, entry: Entry, on_progress: Callable[[], None]) -> None:
        self._client, self._address, self._store = client, address, store
        self.entry, self._on_progress, self.has_sent = entry, on_progress, False
        self.run: LocalRun | None = None
        self.is_behind = False

    def update(self) -> bool:
        """Send what the server does not have, and return whether that is all of a run that has ended.

        Raises:
            Exception: MLflow's, the database's or the network's; what was sent is in the entry.
        """
        run_id, before = self.entry.run_id, asdict(self.entry)
        # Before the database is read: a process that ends after this may have written more.
        is_settled = not Journal(self._store, run_id).file.exists()
        with local.connected(self._store, wait=MAX_WAIT) as database:
            run = local.described(self._store, database, run_id)
            if run is None or run.is_deleted:  # or not in the database yet
                return is_settled
            self.run = run
            try:
                self._send(database, run)
            except Exception as error:
                if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":  # the server has lost the run
                    known = self.entry
                    self.entry = Entry(run_id, known.server, known.artifacts, known.checkpoints)
                self.entry.is_doubted |= bool(self.entry.server_run) and may_have_lost(error)
                raise
            finally:
                if asdict(self.entry) != before:
                    outbox.write(self._store, self.entry)
        return is_settled and (self.is_behind or not run.is_running) and not run.is_open

    def _send(self, database: sqlite3.Connection, run: LocalRun) -> None:
        self._begin(database, run)
        if self.is_behind:
            return
        self._send_points(database)
        self._send_rest(database, run)
        # Once more: points may have been written meanwhile, and the status must not be ahead of them.
        self._send_points(database)
        if not run.is_running:
            self._check_points(database)
        self._send_status(run)

    def _begin(self, database: sqlite3.Connection, run: LocalRun) -> None:
        """Find the run on the server, or create it there."""
        entry, client = self.entry, self._client
        if not entry.experiment_id:
            entry.experiment_id = remote.experiment_of(
                client, run.copy.experiment, entry.artifacts, self._store, self._address
            )
            self._on_progress()
        if entry.server_run:
            is_last = _is_long(run) and not entry.is_compared
            if entry.is_doubted or is_last:
                self._compare(database, client.get_run(entry.server_run))
                entry.is_compared = is_last
            return
        found = remote.find(client, entry.experiment_id, entry.run_id)
        if found is not None and found.info.start_time != run.copy.started:
            # Begun again under its id, without its points, as runs of a group are that was killed.
            client.delete_run(found.info.run_id)
            found = None
        if found is not None and _resumed(found.data.tags) > _resumed(run.copy.tags):
            self.is_behind = True
            return
        if found is None:
            tags = _tags_of(run)
            found = remote.create(client, entry.experiment_id, run.copy, tags)
            entry.server_run, entry.tags, entry.status = str(found.info.run_id), tags, found.info.status
            self._sent()
        else:  # sent by an earlier attempt, or by another machine
            entry.files = remote_files.known(client, str(found.info.run_id))
            entry.row = local_points.last_row(database, entry.run_id)
            self._compare(database, found)
        outbox.write(self._store, entry)
        self._on_progress()

    def _compare(self, database: sqlite3.Connection, found: Any) -> None:
        """Send the points that the server lacks up to the row of the entry, and note what else it has."""
        entry, client = self.entry, self._client
        comparison.adopt(entry, found)
        missing = list(comparison.missing_points(client, database, entry, found, self._on_progress))
        for start in range(0, len(missing), local_points.AT_ONCE):
            remote.send_points(client, entry.server_run, missing[start : start + local_points.AT_ONCE])
            self._sent()
        entry.points = local_points.count(database, entry.run_id, entry.row)
        entry.is_doubted = False

    def _send_points(self, database: sqlite3.Connection) -> None:
        entry = self.entry
        while True:
            points, row = local_points.after(database, entry.run_id, entry.row)
            if not points:
                return
            remote.send_points(self._client, entry.server_run, points)
            entry.row, entry.points = row, entry.points + len(points)
            self._sent()

    def _check_points(self, database: sqlite3.Connection) -> None:
        """Send all points again where the rows before the last one are others: VACUUM numbers rows anew."""
        if local_points.count(database, self.entry.run_id, self.entry.row) != self.entry.points:
            self.entry.row = self.entry.points = 0
            self._send_points(database)

    def _send_rest(self, database: sqlite3.Connection, run: LocalRun) -> None:
        entry, client = self.entry, self._client
        new = {key: value for key, value in run.copy.params.items() if key not in entry.params}
        if new:
            remote.send_params(client, entry.server_run, new)
            entry.params += list(new)
            self._sent()
        for one in run.copy.datasets:
            if remote.key_of(one) not in entry.inputs:
                remote.send_input(client, entry.server_run, one)
                entry.inputs.append(remote.key_of(one))
                self._sent()
        self._send_tags(run)
        FilesOnServer(client, entry, self._sent).update(run.folders)
        self._send_models(database, run)

    def _send_models(self, database: sqlite3.Connection, run: LocalRun) -> None:
        entry = self.entry
        for model in sorted(run.copy.models, key=lambda one: one.created):
            folder = run.folders.models[model.id]
            if model.id not in entry.models and model.status == READY and folder.is_dir():
                data = next(iter(run.copy.datasets), None)
                is_new = remote_models.send(self._client, entry, model, folder, self._store, data)
                entry.models.append(model.id)
                self._noted(is_new)
        for version in remote_models.versions_of(database, entry.run_id):
            if version.key not in entry.versions:
                is_new = remote_models.send_version(self._client, entry, version)
                entry.versions.append(version.key)
                self._noted(is_new)

    def _send_tags(self, run: LocalRun) -> None:
        entry, tags, now = self.entry, _tags_of(run), time.time()
        is_beat_due = run.is_running and run.is_open and now - entry.beat >= SECONDS_BETWEEN_BEATS
        if is_beat_due or not self._is_status_known(run):
            self._take_back_verdict()
        if is_beat_due:
            tags[layout.HEARTBEAT] = f"{socket.gethostname()} {os.getpid()} {int(now)}"
        elif layout.HEARTBEAT in entry.tags:
            tags[layout.HEARTBEAT] = entry.tags[layout.HEARTBEAT]
        new = {key: value for key, value in tags.items() if entry.tags.get(key) != value}
        gone = [key for key in entry.tags if key not in tags and key.startswith((OWN, HIDDEN))]
        if new or gone:
            remote.send_tags(self._client, entry.server_run, new, gone)
            entry.beat = now if is_beat_due else entry.beat
            entry.tags = tags
            self._sent()

    def _take_back_verdict(self) -> None:
        """Have what another machine has made of the run, which it took for dead, replaced by what it is."""
        entry = self.entry
        found = self._client.get_run(entry.server_run)
        if found.info.lifecycle_stage != "active":
            raise TrackingError("the run was deleted there. Restore it there, or delete it here too")
        self._on_progress()
        # A tag that is not in the local database is deleted, and a status that differs is sent.
        entry.tags |= {key: value for key, value in found.data.tags.items() if key in VERDICT}
        entry.status, entry.ended = found.info.status, found.info.end_time

    def _is_status_known(self, run: LocalRun) -> bool:
        """Return whether the server has the status of a run; that of a dead one is set by the next process."""
        entry, copy = self.entry, run.copy
        if run.is_running:
            return copy.status == entry.status or not run.is_open
        return (copy.status, copy.ended) == (entry.status, entry.ended)

    def _send_status(self, run: LocalRun) -> None:
        if self._is_status_known(run):
            return
        entry, copy = self.entry, run.copy
        if run.is_running:
            self._client.update_run(entry.server_run, status=copy.status)
        else:
            self._client.set_terminated(entry.server_run, copy.status, copy.ended)
        entry.status, entry.ended = copy.status, None if run.is_running else copy.ended
        self._sent()

    def _sent(self) -> None:
        self._noted(True)

    def _noted(self, is_new: bool) -> None:
        self.has_sent = self.has_sent or is_new
        self._on_progress()


def _is_long(run: LocalRun) -> bool:
    """Return whether a run has ended that took longer than a minute."""
    return not run.is_running and (run.copy.ended or 0) - run.copy.started > MILLISECONDS_OF_LONG


def _resumed(tags: Mapping[str, str]) -> int:
    """Return how often a run has been resumed, as its tags say, which may be anybody's."""
    text = read(tags).get(layout.RESUMED, "")[:9]
    return int(text) if text.isdecimal() else 0


def _tags_of(run: LocalRun) -> dict[str, str]:
    return {key: value for key, value in run.copy.tags.items() if key not in LOCAL_ONLY}
