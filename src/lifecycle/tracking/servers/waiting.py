"""Waits until what was recorded is on its server, from the main process."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import RequestError, Setting, Text
from lifecycle.tracking import client
from lifecycle.tracking.found_run import Which
from lifecycle.tracking.messages import CloseDeadRuns, Deliver, SendRuns
from lifecycle.tracking.replies import Delivered, RunsAdded
from lifecycle.tracking.servers import outbox
from lifecycle.tracking.servers.delivery import sentences, sync
from lifecycle.tracking.spool import journal

SECONDS_OF_SYNC = 15.0
"""How long `lifecycle sync` waits without a request that succeeds: longer than for the answer to one."""


@dataclass(frozen=True)
class Waiting:
    """What is not recorded in full.

    Attributes:
        runs: number of runs that a server does not have in full, by its address.
        journals: ids of ended runs that the database of the folder does not have in full.
    """

    runs: dict[str, int]
    journals: list[str]


def of(folder: Path) -> Waiting:
    """Return what waits in a folder of runs."""
    left = [one.run_id for one in journal.waiting(folder) if not one.is_written()]
    return Waiting(dict(Counter(entry.server for entry in outbox.entries(folder))), left)


def add(which: Which) -> RunsAdded:
    """Let runs that were recorded before be sent to a server: ``run=a,b``, ``run=all``, or those of ``sweep=...``.

    Raises:
        RequestError: there is no server, no such run, or it is still running.
    """
    tracking = which.tracking
    if tracking.server is None:
        remedy: Text = ["Add ", Setting("tracking.uri", "http://host:5000"), ", or set MLFLOW_TRACKING_URI."]
        raise RequestError("sync", "has no server to send runs to", remedy=remedy)
    runs = [name for name in which.run.strip("[]").replace(" ", "").split(",") if name]
    message = SendRuns(str(Path.cwd()), tracking.for_process(), runs, which.metric, which.sweep)
    worker = client.borrow()
    try:
        worker.has_recorded = True
        return worker.ask(message)
    finally:
        client.give_back(worker)


def deliver_all(config: TrackingConfig, patience: float | None = None) -> Delivered:
    """Send all runs that wait, for as long as requests succeed; nothing where there is no server.

    Args:
        config: names the server.
        patience: seconds without a request that succeeds; ``None``: as at the end of a run.

    Raises:
        TrackingError: the database cannot be opened.
    """
    worker, sent, behind = client.borrow(), set[str](), set[str]()
    try:
        worker.has_recorded = True
        before: int | None = None
        while True:  # a few at a time: a long outbox takes longer than one request is waited for
            found = worker.ask(Deliver(str(Path.cwd()), config.for_process(), patience=patience))
            sent, behind = sent | set(found.sent), behind | set(found.behind)
            if not found.waiting or (before is not None and len(found.waiting) >= before):
                return replace(found, sent=sorted(sent), behind=sorted(behind))
            before = len(found.waiting)
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
    for server, number in left.runs.items():
        if server != found.server:
            runs = "1 run waits" if number == 1 else f"{number} runs wait"
            said.append(f"{runs} for {server}. Type `{sync(server)}`.")
    if left.journals:
        runs = "1 run is" if len(left.journals) == 1 else f"{len(left.journals)} runs are"
        said.append(
            f"{runs} not in the database in full. Another process has locked it, or their journals cannot be read: "
            "`lifecycle doctor` says more."
        )
    return said


def ended(config: TrackingConfig) -> tuple[str, str]:
    """Return where the runs of a sweep are, and what waits to be sent; both empty where there is no server."""
    return ("", "") if config.server is None else sentences(deliver_all(config))
