"""Closes runs on a server that are RUNNING without a process: no machine watches over those of another one.

A run is closed when it has had no heartbeat for a time *and* no new one since that was noticed: after the server itself
was away, all heartbeats are old, and the runs that are alive renew theirs first.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.tracking.servers import outbox

SECONDS_WITHOUT_BEAT = 15 * 60.0
SECONDS_OF_SUSPICION = 5 * 60.0
SECONDS_BETWEEN = 60.0
"""Interval at which the runs of an experiment are looked through."""

NO_BEAT = "the process or its machine has ended without a word: no heartbeat since {minutes} minutes"

_looked: dict[tuple[int, str], float] = {}


def close(client: Any, store: Path) -> None:
    """Look through the RUNNING runs of the experiments that are being sent to.

    Args:
        client: of the server.
        store: folder of the local database, whose own runs are not looked at: their status is sent.
    """
    ids = {entry.run_id: entry.experiment_id for entry in outbox.entries(store) if entry.experiment_id}
    for experiment in sorted(set(ids.values())):
        key = (id(client), experiment)
        if time.monotonic() - _looked.get(key, -SECONDS_BETWEEN) < SECONDS_BETWEEN:
            continue
        _looked[key] = time.monotonic()
        for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
            if run.data.tags.get(layout.RUN_ID) not in ids:
                check(client, run)


def check(client: Any, run: Any) -> bool:
    """Suspect, or close, a RUNNING run of another machine; return whether it was closed."""
    beat = beat_of(run.data.tags)
    if beat is None:
        return False  # of another tool
    now, suspected = time.time(), run.data.tags.get(layout.SUSPECTED)
    if now - beat < SECONDS_WITHOUT_BEAT:
        return False
    if suspected is None or float(suspected) < beat:
        client.set_tag(run.info.run_id, layout.SUSPECTED, str(int(now)))
        return False
    if now - float(suspected) < SECONDS_OF_SUSPICION:
        return False
    client.set_tag(run.info.run_id, layout.ERROR, NO_BEAT.format(minutes=int((now - beat) / 60)))
    client.set_terminated(run.info.run_id, "KILLED")
    return True


def beat_of(tags: dict[str, str]) -> float | None:
    """Return the time of the last heartbeat of a run, in seconds since 1970; ``None``: it has none."""
    try:
        return float(tags[layout.HEARTBEAT].split()[-1])
    except (KeyError, ValueError, IndexError):
        return None
