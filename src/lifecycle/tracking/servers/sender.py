"""Sends the runs of an outbox to their server, in a thread of the process that records."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.credentials import masked
from lifecycle.tracking.servers import outbox, remote, stale
from lifecycle.tracking.servers.explained import explanation
from lifecycle.tracking.servers.replica import Replica

SECONDS_BETWEEN = 2.0
"""Interval at which runs are looked through."""

LONGEST_PAUSE = 30.0
"""Between two attempts, while the server cannot be reached; the first pauses are of 1, 2, 4 ... seconds."""

PATIENCE, PATIENCE_BEFORE = 5.0, 1.0
"""How long the end of a run waits without any request that succeeds: of a server that has answered, or has not yet."""

SECONDS_AFTER = 60.0
"""How long the process goes on sending after its client has ended, as long as requests succeed."""


class Sender:
    """Sends runs until it is stopped.

    Args:
        store: folder of the local database.
        address: of the server.
    """

    def __init__(self, store: Path, address: str) -> None:
        self.store, self.address, self.server = store, address, masked(address)
        self._client: Any = None
        self._wake, self._passed = threading.Event(), threading.Condition()
        self._succeeded, self._has_answered = time.monotonic(), False
        self._passes, self._failed, self._why = 0, 0, ""
        self._is_stopped = False
        self._ids: dict[str, tuple[str, str]] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def deliver(self, run_id: str | None) -> tuple[bool, str]:
        """Wait until a run is sent in full, for as long as requests succeed.

        Args:
            run_id: of the run; ``None``: all runs.

        Returns:
            Whether that is so, and why it is not.
        """
        self._succeeded = time.monotonic()
        begun = self._passes
        self._wake.set()
        while self._is_waiting(run_id):
            with self._passed:
                self._passed.wait(0.05)
            if self._passes > begun and self._failed:
                return False, self._why
            if time.monotonic() - self._succeeded > (PATIENCE if self._has_answered else PATIENCE_BEFORE):
                return False, self._why or "it has not answered yet"
            if self._passes > begun:
                self._wake.set()
        return True, ""

    def finish(self) -> None:
        """Go on for as long as requests succeed, and then stop."""
        until = time.monotonic() + SECONDS_AFTER
        while time.monotonic() < until and self._is_waiting(None):
            done, _ = self.deliver(None)
            if not done and self._failed:
                break
        self.stop()

    def stop(self) -> None:
        """Send nothing more."""
        self._is_stopped = True
        self._wake.set()

    def ids(self, run_id: str) -> tuple[str, str]:
        """Return the ids of a run and of its experiment on the server; "": it has none yet."""
        return self._ids.get(run_id, ("", ""))

    def _is_waiting(self, run_id: str | None) -> bool:
        if run_id is not None:
            return outbox.read(self.store, run_id) is not None
        return any(entry.server == self.server for entry in outbox.entries(self.store))

    def _run(self) -> None:
        while not self._is_stopped:
            try:
                self._pass()
                self._failed, self._why = 0, ""
            except Exception as error:  # MLflow's, the network's or the database's: tried again
                self._failed += 1
                self._why = explanation(error, self.address)
            with self._passed:
                self._passes += 1
                self._passed.notify_all()
            pause = min(2.0 ** (self._failed - 1), LONGEST_PAUSE) if self._failed else SECONDS_BETWEEN
            self._wake.wait(pause)
            self._wake.clear()

    def _pass(self) -> None:
        """Look through all runs; one that fails does not keep the others from being sent."""
        failed: Exception | None = None
        for entry in outbox.entries(self.store):
            if entry.server != self.server:
                continue
            if self._client is None:
                self._client = remote.client_of(self.address)
            with outbox.turn(self.store, entry.run_id) as is_ours:
                known = outbox.read(self.store, entry.run_id) if is_ours else None  # as another process has left it
                if known is None:
                    continue
                try:
                    self._update(known)
                except Exception as error:  # kept, and raised after the others
                    failed = failed or error
        if failed is not None:
            raise failed
        if self._client is not None:
            stale.close(self._client, self.store)

    def _update(self, entry: outbox.Entry) -> None:
        replica = Replica(self._client, self.address, self.store, entry, self._progress)
        had, is_complete = entry.server_run, False
        try:
            is_complete = replica.update()
        finally:
            self._ids[entry.run_id] = entry.server_run, entry.experiment_id
            # At the end once more: the database may have been locked before.
            if entry.server_run and (entry.server_run != had or is_complete):
                _note_server(self.store, entry)
        if is_complete:
            outbox.remove(self.store, entry.run_id)

    def _progress(self) -> None:
        self._succeeded, self._has_answered = time.monotonic(), True


def _note_server(store: Path, entry: outbox.Entry) -> None:
    """Tag the local run with its id on the server; a database that is locked now has it in the outbox."""
    import mlflow

    from lifecycle.tracking.store import database_uri

    with suppress(Exception):
        client = mlflow.MlflowClient(database_uri(store))
        client.set_tag(entry.run_id, layout.SERVER, entry.server)
        client.set_tag(entry.run_id, layout.SERVER_RUN, entry.server_run)
