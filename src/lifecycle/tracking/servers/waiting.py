"""Waits until what was recorded is on its server, from the main process."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lifecycle.config.schema import TrackingConfig
from lifecycle.tracking import client
from lifecycle.tracking.messages import CloseDeadRuns, Deliver, Delivered
from lifecycle.tracking.servers import outbox
from lifecycle.tracking.servers.delivery import sentences
from lifecycle.tracking.spool import journal


@dataclass(frozen=True)
class Waiting:
    """What is not recorded in full.

    Attributes:
        runs: ids of the runs that a server does not have in full, with its address.
        journals: ids of ended runs that the database of the folder does not have in full.
    """

    runs: dict[str, str]
    journals: list[str]


def of(folder: Path) -> Waiting:
    """Return what waits in a folder of runs."""
    left = [one.run_id for one in journal.waiting(folder) if not one.is_written()]
    return Waiting({entry.run_id: entry.server for entry in outbox.entries(folder)}, left)


def deliver_all(config: TrackingConfig) -> Delivered:
    """Send all runs that wait, for as long as requests succeed; nothing where there is no server.

    Raises:
        TrackingError: the database cannot be opened.
    """
    worker = client.borrow()
    try:
        worker.has_recorded = True
        found = worker.ask(Deliver(str(Path.cwd()), config.for_process()))
        while found.waiting:  # a few at a time: a long outbox takes longer than one request is waited for
            before = len(found.waiting)
            found = worker.ask(Deliver(str(Path.cwd()), config.for_process()))
            if len(found.waiting) >= before:
                break
        return found
    finally:
        client.give_back(worker)


def record_rest(config: TrackingConfig) -> None:
    """Write the journals that ended runs have left, if there are any.

    Raises:
        TrackingError: the database cannot be opened.
    """
    folder = Path(config.dir).expanduser().absolute()
    if of(folder).journals:
        worker = client.borrow()
        try:
            worker.ask(CloseDeadRuns(str(Path.cwd()), config.for_process()))
        finally:
            client.give_back(worker)


def problems(left: Waiting, found: Delivered) -> list[str]:
    """Return a sentence for each kind of what waits."""
    said = []
    if found.waiting:
        said.append(sentences(found)[1].partition(" Nothing is lost")[0])
    others = Counter(server for server in left.runs.values() if server != found.server)
    for server, number in others.items():
        runs = "1 run waits" if number == 1 else f"{number} runs wait"
        said.append(f"{runs} for {server}: name it with tracking.uri or MLFLOW_TRACKING_URI.")
    if left.journals:
        runs = "1 run is" if len(left.journals) == 1 else f"{len(left.journals)} runs are"
        said.append(f"{runs} not in the database in full, which another process has locked.")
    return said


def ended(config: TrackingConfig) -> tuple[str, str]:
    """Return where the runs of a sweep are, and what waits to be sent; both empty where there is no server."""
    return ("", "") if config.server is None else sentences(deliver_all(config))
