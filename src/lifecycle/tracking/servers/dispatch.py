"""The server that runs are sent to, in the process that records: adds runs to the outbox, and waits for them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lifecycle import layout
from lifecycle.config.schema import TrackingConfig
from lifecycle.config.tracking_address import identity
from lifecycle.errors import RequestError, TrackingError
from lifecycle.tracking import search
from lifecycle.tracking.messages import SendRuns
from lifecycle.tracking.models import registry
from lifecycle.tracking.pages import tags
from lifecycle.tracking.replies import Delivered, Registered, RunsAdded
from lifecycle.tracking.servers import outbox
from lifecycle.tracking.servers.lookup import Lookup, lookup_of
from lifecycle.tracking.servers.sender import Sender
from lifecycle.tracking.store import Store
from lifecycle.tracking.transfer import local
from lifecycle.tracking.transfer.run_copy import ENDED

ALL = "all"
"""Value of ``run``: all runs of a folder."""


class Dispatch:
    """What is sent from a folder to its server, if it has one; it may have another one the next time."""

    def __init__(self) -> None:
        self._sender: Sender | None = None

    def start(self, folder: Path, config: TrackingConfig) -> None:
        """Send the runs that wait in a folder for a server from now on.

        Args:
            folder: of the database.
            config: names the server.
        """
        address = config.server
        if self._sender is not None and (self._sender.address, self._sender.store) != (address, folder):
            self._sender.stop()
            self._sender = None
        if self._sender is None and address is not None:
            self._sender = Sender(folder, address)

    def put(self, folder: Path, run_id: str, config: TrackingConfig, then: str | None = None) -> None:
        """Let a run be sent to its server.

        Args:
            folder: of the database.
            run_id: of the run.
            config: names the server.
            then: the server that has the run already.
        """
        server = identity(config.server) if config.server else then
        if server is not None:
            outbox.put(folder, outbox.Entry(run_id, server, config.artifacts, config.checkpoints == "server"))
        self.start(folder, config)

    def lookup(self, store: Store) -> Lookup | None:
        """Return what finds runs on the server too; ``None``: there is none."""
        return None if self._sender is None else lookup_of(store, self._sender.address)

    def add(self, store: Store, config: TrackingConfig, message: SendRuns) -> RunsAdded:
        """Let runs be sent that were recorded before, with or without a server.

        Args:
            store: the database, whose dead runs are closed.
            config: names the server.
            message: the runs.

        Raises:
            RequestError: there is no such run, or another program has recorded it, or it is still running.
        """
        running = 0
        if message.runs == [ALL]:
            found = _of_folder(store)
            running = sum(is_running for *_, is_running in found)
            runs = {run: name for run, name, is_running in found if not is_running}
        else:
            runs = _named(store, message)
        for run in runs:
            self.put(store.folder, run, config)
        return RunsAdded(runs, running)

    def deliver(self, store: Store, run_id: str, patience: float | None = None) -> Delivered:
        """Wait until a run is on its server, for as long as requests succeed; "": all runs.

        Args:
            store: the database.
            run_id: of the run.
            patience: seconds without a request that succeeds; ``None``: as at the end of a run.
        """
        if self._sender is None:
            return Delivered(elsewhere=_elsewhere(store.folder, None))
        server = self._sender.server
        known = outbox.read(store.folder, outbox.Entry(run_id, server).name)
        _, why = self._sender.deliver(run_id or None, patience)
        waiting = [run for run in self._sender.waiting() if run_id in ("", run)]
        now = outbox.read(store.folder, outbox.Entry(run_id, server).name) or known
        ids = ("", "") if now is None else (now.server_run, now.experiment_id)
        if run_id and not ids[0]:
            ids = self._sender.ids(run_id)
        sent, behind = sorted(self._sender.take_sent()), sorted(self._sender.take_behind())
        return Delivered(waiting, why, server, *ids, _elsewhere(store.folder, server), sent, behind)

    def register(self, store: Store, run_id: str, name: str, aliases: list[str], config: TrackingConfig) -> Registered:
        """Register the model of a run where the run is.

        Raises:
            RequestError: the run saved no model, or MLflow does not take the name or an alias.
            TrackingError: the run is not on its server.
        """
        lookup = self.lookup(store)
        if self._sender is None or lookup is None:
            return registry.register(store.client, run_id, name, aliases)
        server = self._sender.server
        if store.client.get_run(run_id).data.tags.get(layout.SERVER) != server:
            self.put(store.folder, run_id, config)
        done, why = self._sender.deliver(run_id)
        if not done:
            problem = f"is not on {server}, where models are registered: {why}"
            raise TrackingError(f"run {run_id} {problem}. `lifecycle sync` sends it.")
        server_run = store.client.get_run(run_id).data.tags[layout.SERVER_RUN]
        return registry.register(lookup.client, server_run, name, aliases)

    def close(self) -> None:
        """Send what is left, for as long as requests succeed."""
        if self._sender is not None:
            self._sender.finish()


def _named(store: Store, message: SendRuns) -> dict[str, str]:
    """Return the names of the runs that a message names, by their ids; those of a sweep with its summary."""
    found = search.find_many(store, message.runs, message.sweep, ENDED, message.metric)
    for run in found:
        what = f"run {run.name} ({run.id})"
        if not {layout.COMMAND, layout.ROLE} & set(run.tags):
            raise RequestError(what, "was recorded by another program", remedy="Name another run.")
        if run.status == "RUNNING":
            raise RequestError(what, "is still running in another process", remedy="Wait for its end.")
    runs = {run.id: run.name for run in found}
    if not message.runs:
        of_sweep = {run.tags.get(layout.SWEEP, "") for run in found}
        with local.connected(store.folder) as database:
            summaries = database.execute(
                "SELECT runs.run_uuid, name, tags.value FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
                "AND tags.key = ? WHERE lifecycle_stage = 'active' AND status != 'RUNNING' AND runs.run_uuid IN "
                "(SELECT run_uuid FROM tags WHERE key = ?)",
                (layout.SWEEP, layout.ROLE),
            )
            runs |= {run: name or run for run, name, sweep in summaries if sweep in of_sweep}
    return runs


def _of_folder(store: Store) -> list[tuple[str, str, bool]]:
    """Return id, name, and whether it is running, of each run of a folder that this program has recorded."""
    with local.connected(store.folder) as database:
        found = database.execute(
            "SELECT run_uuid, runs.name, status = 'RUNNING' FROM runs JOIN experiments "
            "ON experiments.experiment_id = runs.experiment_id WHERE runs.lifecycle_stage = 'active' "
            "AND experiments.lifecycle_stage = 'active' AND run_uuid IN "
            "(SELECT run_uuid FROM tags WHERE key IN (?, ?, ?)) ORDER BY start_time",
            tags.both(layout.COMMAND, layout.ROLE),
        )
        return [(run, name or run, bool(is_running)) for run, name, is_running in found]


def _elsewhere(folder: Path, server: str | None) -> dict[str, int]:
    return dict(Counter(entry.server for entry in outbox.entries(folder) if entry.server != server))
