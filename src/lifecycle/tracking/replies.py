"""The replies to the messages of :mod:`lifecycle.tracking.messages`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Done:
    """Reply without a value."""


@dataclass(frozen=True)
class RunOpened:
    """Reply: a run is open.

    Attributes:
        run_id: its id.
        folder: of the database.
        artifacts: folder of its artifacts.
        begun: milliseconds since 1970, where the database is locked and the run is not in it yet.
        name: of a run that was created: other runs may have had the one that was asked for.
    """

    run_id: str
    folder: str
    artifacts: str
    begun: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Ended:
    """Reply: a run has ended.

    Attributes:
        pending: messages that are not in its database yet; they are in the journal of the run.
        why: the reason, without a full stop.
    """

    pending: int = 0
    why: str = ""


@dataclass(frozen=True)
class RecordedPoints:
    """Reply: step and value of each point that a run has, by metric."""

    points: dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class RunRecord:
    """Reply: a run as MLflow has it; see :class:`lifecycle.tracking.found_run.FoundRun` for the fields."""

    id: str
    name: str
    status: str
    experiment: str
    start_time: int
    end_time: int | None
    folder: str | None  # like the next, None where only a server has the run
    artifacts: str | None
    saved: str | None
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


@dataclass(frozen=True)
class RunRecords:
    """Reply: several runs."""

    runs: list[dict[str, Any]]  # fields of RunRecord


@dataclass(frozen=True)
class Registered:
    """Reply: a version of a registered model.

    Attributes:
        version: its number.
        new: whether it was created by this message.
        moved: for each alias that moved, the version that it pointed to before.
    """

    version: str
    new: bool
    moved: dict[str, str]


@dataclass(frozen=True)
class Delivered:
    """Reply: how far runs are on their server.

    Attributes:
        waiting: ids of the runs that are not there in full.
        why: the reason, without a full stop; "": there is none.
        server: what it is known by, without credentials; "": there is none.
        server_run, experiment_id: of the run on the server; "": it has none, or all runs were asked for.
        elsewhere: number of runs that wait for other servers, by server.
        sent: ids of the runs of which the server lacked something.
        behind: ids of the runs that another machine has continued since, so that nothing was sent.
    """

    waiting: list[str] = field(default_factory=list)
    why: str = ""
    server: str = ""
    server_run: str = ""
    experiment_id: str = ""
    elsewhere: dict[str, int] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunsAdded:
    """Reply: runs are to be sent.

    Attributes:
        runs: their names by id.
        running: number of runs that are left out, as they are still running.
    """

    runs: dict[str, str]
    running: int
