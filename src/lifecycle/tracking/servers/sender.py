"""Sends the runs of an outbox to their server, in a thread of the process that records."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.config.tracking_address import identity
from lifecycle.tracking.servers import outbox, remote
from lifecycle.tracking.servers.explained import explanation, is_no_answer
from lifecycle.tracking.servers.replica import Replica
from lifecycle.tracking.servers.stale import Watch
from lifecycle.tracking.store import database_uri

SECONDS_BETWEEN = 2.0
"""Interval at which runs are looked through."""

SECONDS_BETWEEN_ASKED = 0.1
"""The same while the end of a run is waited for."""

LONGEST_PAUSE = 30.0
"""Between two attempts, while the server cannot be reached; the first pauses are of 1, 2, 4 ... seconds."""

PATIENCE, PATIENCE_BEFORE = 5.0, 0.8
"""How long the end of a run waits without any request that succeeds: of a server that has answered, or has not yet."""

SECONDS_AFTER = 60.0
"""How long the process goes on sending after its client has ended, as long as requests succeed."""


class Sender:
    """Sends runs until it is stopped.

    Attributes:
        store: folder of the local database.
        address: of the server.
        server: what it is known by, see :func:`lifecycle.config.tracking_address.identity`.

    Args:
        store, address: see above.
    """

    def __init__(self, store: Path, address: str) -> None:
        self.store, self.address, self.server = store, address, identity(address)
        self._client: Any = None
        self._watch: Watch | None = None
        self._wake, self._passed = threading.Event(), threading.Condition()
        self._succeeded, self._has_answered = time.monotonic(), False
        self._passes, self._failures, self._why = 0, 0, ""
        self._is_stopped, self._last = False, ""
        self._ids: dict[str, tuple[str, str]] = {}
        self._sent, self._behind = set[str](), set[str]()
        self._of_sets = threading.Lock()  # one of them may not change while it is taken
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def deliver(self, run_id: str | None, patience: float | None = None) -> tuple[bool, str]:
        """Wait until a run is sent in full, for as long as requests succeed.

        Args:
            run_id: of the run; ``None``: all runs.
            patience: seconds without a request that succeeds; ``None``: see :data:`PATIENCE`.

        Returns:
            Whether that is so, and why it is not.
        """
        self._succeeded = time.monotonic()
        begun = self._passes
        self._wake.set()
        while self._is_waiting(run_id):
            seen = self._passes
            with self._passed:
                self._passed.wait(SECONDS_BETWEEN_ASKED)
            if self._passes > begun and self._failures:
                return False, self._why
            most = patience or (PATIENCE if self._has_answered else PATIENCE_BEFORE)
            if time.monotonic() - self._succeeded > most:
                return False, self._why or "it has not answered yet"
            if self._passes > seen:
                time.sleep(SECONDS_BETWEEN_ASKED)
                self._wake.set()
        return True, ""

    def finish(self) -> None:
        """Go on for as long as requests succeed, and then stop."""
        until = time.monotonic() + SECONDS_AFTER
        while time.monotonic() < until and self._is_waiting(None):
            done, _ = self.deliver(None)
            if not done and self._failures:
                break
        self.stop()

    def stop(self) -> None:
        """Send nothing more."""
        self._is_stopped = True
        self._wake.set()

    def ids(self, run_id: str) -> tuple[str, str]:
        """Return the ids of a run and of its experiment on the server; "": it has none yet."""
        return self._ids.get(run_id, ("", ""))

    def take_sent(self) -> set[str]:
        """Return the runs of which the server lacked something, since this was asked last."""
        with self._of_sets:
            sent, self._sent = self._sent, set()
        return sent

    def take_behind(self) -> set[str]:
        """Return the runs that another machine has continued, of which nothing was sent since this was asked last."""
        with self._of_sets:
            behind, self._behind = self._behind, set()
        return behind

    def waiting(self) -> list[str]:
        """Return the ids of the runs that the server does not have in full."""
        return [outbox.run_of(name) for name in outbox.names(self.store, self.server)]

    def _is_waiting(self, run_id: str | None) -> bool:
        if run_id is None:
            return bool(outbox.names(self.store, self.server))
        return outbox.is_waiting(self.store, outbox.Entry(run_id, self.server).name)

    def _run(self) -> None:
        while not self._is_stopped:
            try:
                self._pass()
                self._failures, self._why = 0, ""
            except Exception as error:  # MLflow's, the network's or the database's: tried again
                self._failures += 1
                self._why = explanation(error, self.address)
            with self._passed:
                self._passes += 1
                self._passed.notify_all()
            pause = min(2.0 ** (self._failures - 1), LONGEST_PAUSE) if self._failures else SECONDS_BETWEEN
            self._wake.wait(pause)
            self._wake.clear()

    def _pass(self) -> None:
        """Look through all runs; one that fails does not keep the others from being sent."""
        failed: Exception | None = None
        for name in sorted(outbox.names(self.store, self.server), key=lambda one: one == self._last):
            if self._client is None:
                self._client = remote.client_of(self.address)
                self._watch = Watch(self._client, self.store)
            with outbox.turn(self.store, name) as is_ours:
                entry = outbox.take(self.store, name, self.server) if is_ours else None
                if entry is None:
                    continue
                try:
                    self._update(entry)
                except Exception as error:
                    failed = failed or error  # raised after the others
                    if is_no_answer(error):  # nor would it to the others; this run is the last of the next pass
                        self._last = name
                        break
        if failed is not None:
            raise failed
        if self._watch is not None:
            with suppress(Exception):  # it is done for others, and one of them does it too
                self._watch.look()

    def _update(self, entry: outbox.Entry) -> None:
        replica = Replica(self._client, self.address, self.store, entry, self._progress)
        try:
            is_complete = replica.update()
        finally:
            with self._of_sets:
                self._sent |= {entry.run_id} if replica.has_sent else set()
                self._behind |= {entry.run_id} if replica.is_behind else set()
            # Also where a later step has failed: commands find the run by its id there.
            entry = replica.entry
            if replica.run is not None and entry.server_run:
                self._ids[entry.run_id] = entry.server_run, entry.experiment_id
                _note_server(self.store, entry, replica.run.copy.tags)
        if is_complete:
            outbox.remove(self.store, entry)

    def _progress(self) -> None:
        self._succeeded, self._has_answered = time.monotonic(), True


def _note_server(store: Path, entry: outbox.Entry, known: Mapping[str, str]) -> None:
    """Tag the local run with its server and its id there, by which commands find it; unless it has these tags.

    Raises:
        Exception: the database is locked: the run waits until it has them.
    """
    tags = {layout.SERVER: entry.server, layout.SERVER_RUN: entry.server_run}
    if all(known.get(key) == value for key, value in tags.items()):
        return
    import mlflow

    client = mlflow.MlflowClient(database_uri(store))
    for key, value in tags.items():
        client.set_tag(entry.run_id, key, value)
