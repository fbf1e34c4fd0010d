"""Closes runs on a server that are RUNNING without a process: no machine watches over those of another one.

A run is closed when it has had no heartbeat for a time *and* no new one since that was noticed: after the server itself
was away, all heartbeats are old, and the runs that are alive renew theirs first. Clocks of two machines may differ, so
that a heartbeat is compared with the one that was there before, and not with the time of this machine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.tracking.servers import outbox

SECONDS_WITHOUT_BEAT = 15 * 60.0
SECONDS_OF_SUSPICION = 5 * 60.0
SECONDS_BETWEEN = 60.0
"""Interval at which the runs of an experiment are looked through."""

NO_BEAT = "the process or its machine has ended without a word: no heartbeat since {minutes} minutes"


class Watch:
    """Looks through the RUNNING runs of the experiments that are being sent to, now and then.

    Args:
        client: of the server.
        store: folder of the local database, whose own runs are not looked at: their status is sent.
    """

    def __init__(self, client: Any, store: Path) -> None:
        self._client, self._store, self._looked = client, store, -SECONDS_BETWEEN

    def look(self) -> None:
        """Suspect and close runs.

        Raises:
            Exception: MLflow's or the network's; such as of a user who may not change runs of others.
        """
        if time.monotonic() - self._looked < SECONDS_BETWEEN:
            return
        self._looked = time.monotonic()
        ids = {entry.run_id: entry.experiment_id for entry in outbox.entries(self._store) if entry.experiment_id}
        for experiment in sorted(set(ids.values())):
            for run in self._client.search_runs([experiment], "attributes.status = 'RUNNING'"):
                if run.data.tags.get(layout.RUN_ID) not in ids:
                    check(self._client, run)


def check(client: Any, run: Any) -> bool:
    """Suspect, or close, a RUNNING run of another machine; return whether it was closed."""
    beat = beat_of(run.data.tags)
    if beat is None:
        return False  # of another tool
    now = time.time()
    if now - beat < SECONDS_WITHOUT_BEAT:
        return False
    since, of_beat = _suspicion(run.data.tags)
    if of_beat != int(beat):
        client.set_tag(run.info.run_id, layout.SUSPECTED, f"{int(now)} {int(beat)}")
        return False
    if now - since < SECONDS_OF_SUSPICION:
        return False
    client.set_tag(run.info.run_id, layout.ERROR, NO_BEAT.format(minutes=int((now - beat) / 60)))
    client.set_terminated(run.info.run_id, "KILLED")
    return True


def _suspicion(tags: Mapping[str, str]) -> tuple[float, int]:
    """Return since when a run is suspected, and the heartbeat that it had then; 0: it is not."""
    try:
        since, beat = tags[layout.SUSPECTED].split()
        return float(since), int(beat)
    except (KeyError, ValueError):
        return 0.0, 0


def beat_of(tags: Mapping[str, str]) -> float | None:
    """Return the time of the last heartbeat of a run, in seconds since 1970; ``None``: it has none."""
    try:
        return float(tags[layout.HEARTBEAT].split()[-1])
    except (KeyError, ValueError, IndexError):
        return None
