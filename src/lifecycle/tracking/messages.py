"""The messages from a process that runs to the process that records; :mod:`.encoding` makes lines of them.

:mod:`lifecycle.tracking.client` sends them, :mod:`lifecycle.tracking.worker` receives them. Each message names the
class of its reply; a message without one is acknowledged by ``Done`` where an answer is awaited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from lifecycle.tracking.replies import (
    Delivered,
    Done,
    Ended,
    RecordedPoints,
    Registered,
    RunOpened,
    RunRecord,
    RunRecords,
    RunsAdded,
)

Reply = TypeVar("Reply")
Points = list[tuple[str, float, int, int]]
"""Name of the metric, value, milliseconds since 1970, step."""


@dataclass(frozen=True)
class Message(Generic[Reply]):
    """What a client asks the worker to do. Subclasses of this class itself need no open run."""

    reply: ClassVar[type[Any]] = Done


@dataclass(frozen=True)
class StoreMessage(Message[Reply]):
    """A message that opens a database first.

    Attributes:
        cwd: working folder of the client, which a relative ``tracking.dir`` refers to.
        tracking: fields of :class:`lifecycle.config.schema.TrackingConfig`.
    """

    cwd: str
    tracking: dict[str, Any]


@dataclass(frozen=True)
class RunMessage(Message[Reply]):
    """A message on the open run: not handled once recording this run has failed."""


@dataclass(frozen=True)
class RepeatableMessage(RunMessage[Done]):
    """A message that has the same effect when it is handled twice: repeated while the database is locked."""


@dataclass(frozen=True)
class WarmUp(Message[Done]):
    """Message to import what a run will need, and to connect to its database if there is one."""

    dir: str
    cwd: str
    figures: bool = True


@dataclass(frozen=True)
class CreateRun(StoreMessage[RunOpened]):
    """Message to create a run.

    Attributes:
        run_id: its id, where it has begun while the database was locked; else MLflow chooses one.
        begun: the time of that, in milliseconds since 1970.
        is_numbered: whether a number is added to the name where other runs of the experiment have it.
    """

    reply = RunOpened
    name: str
    tags: dict[str, str]
    run_id: str = ""
    begun: int = 0
    is_numbered: bool = False


@dataclass(frozen=True)
class ReopenRun(StoreMessage[RunOpened]):
    """Message to open an existing run, to add to it or to resume it; its status stays until :class:`ResumeRun`."""

    reply = RunOpened
    run_id: str


@dataclass(frozen=True)
class FindRun(StoreMessage[RunRecord]):
    """Message to find one run; see :func:`lifecycle.tracking.search.find`."""

    reply = RunRecord
    run: str
    statuses: list[str]
    metric: str | None = None
    sweep: str | None = None


@dataclass(frozen=True)
class FindRuns(StoreMessage[RunRecords]):
    """Message to find several runs; see :func:`lifecycle.tracking.search.find_many`."""

    reply = RunRecords
    runs: list[str]
    statuses: list[str]
    metric: str | None = None
    sweep: str | None = None


@dataclass(frozen=True)
class GetHistories(StoreMessage[RecordedPoints]):
    """Message to get the points of each score that a run records once an epoch."""

    reply = RecordedPoints
    run: str


@dataclass(frozen=True)
class RegisterModel(StoreMessage[Registered]):
    """Message to register the model of a run; see :func:`lifecycle.tracking.models.registry.register`."""

    reply = Registered
    run_id: str
    name: str
    aliases: list[str]


@dataclass(frozen=True)
class CloseDeadRuns(StoreMessage[Done]):
    """Message to set RUNNING runs whose process is gone to KILLED."""


@dataclass(frozen=True)
class Deliver(StoreMessage[Delivered]):
    """Message to wait until a run is on its server, for as long as requests succeed.

    Attributes:
        run_id: of the run; "": all runs.
        patience: seconds without a request that succeeds; ``None``: as at the end of a run.
    """

    reply = Delivered
    run_id: str = ""
    patience: float | None = None


@dataclass(frozen=True)
class SendRuns(StoreMessage[RunsAdded]):
    """Message to let runs be sent to the server that were recorded before; :class:`Deliver` waits for them.

    Attributes:
        runs: as :func:`lifecycle.tracking.search.find` takes them, or ``all`` of the folder.
        metric: that ``best`` compares.
        sweep: of which all runs are sent where ``runs`` is empty, and which ``latest`` and ``best`` search.
    """

    reply = RunsAdded
    runs: list[str]
    metric: str | None = None
    sweep: str | None = None


@dataclass(frozen=True)
class DiscardRun(StoreMessage[Done]):
    """Message to delete a run of which nothing was recorded; MLflow can restore it."""

    run_id: str


@dataclass(frozen=True)
class ResumeRun(RunMessage[RecordedPoints]):
    """Message to set a reopened run to RUNNING; the reply has the points that it recorded before."""

    reply = RecordedPoints


@dataclass(frozen=True)
class RecoverRun(RunMessage[Done]):
    """Message to write the journal of a reopened run, whose recording process was killed.

    Attributes:
        is_running: whether the run had been created or resumed, and not only been added to.
    """

    is_running: bool


@dataclass(frozen=True)
class FailRun(RunMessage[Ended]):
    """Message to end the run as FAILED or KILLED.

    Attributes:
        status: ``FAILED`` or ``KILLED``.
        error: the reason, as a sentence.
        trace: the traceback, for a bug.
        at: the time of it, in milliseconds since 1970; ``None``: now.
    """

    reply = Ended
    status: str
    error: str
    trace: str | None
    at: int | None = None


@dataclass(frozen=True)
class FinishRun(RunMessage[Ended]):
    """Message to end the run as FINISHED, at a time in milliseconds since 1970; ``None``: now."""

    reply = Ended
    at: int | None = None


@dataclass(frozen=True)
class LogRequest(RepeatableMessage):
    """Message to log the parameters and the configuration of a run, with the versions of all packages."""

    params: dict[str, str]
    config: str


@dataclass(frozen=True)
class LogParams(RepeatableMessage):
    """Message to log parameters."""

    params: dict[str, str]


@dataclass(frozen=True)
class LogMetrics(RepeatableMessage):
    """Message to log points of metrics."""

    points: Points


@dataclass(frozen=True)
class LogDataset(RepeatableMessage):
    """Message to log which data the run is trained on."""

    name: str
    digest: str  # SHA-256
    source: str
    rows: int


@dataclass(frozen=True)
class SetTags(RepeatableMessage):
    """Message to set tags of the run."""

    tags: dict[str, str]


@dataclass(frozen=True)
class LogTags(RepeatableMessage):
    """Message to log all tags of the run as an artifact."""


@dataclass(frozen=True)
class LogText(RepeatableMessage):
    """Message to log a text as the artifact ``name``."""

    text: str
    name: str


@dataclass(frozen=True)
class LogFile(RepeatableMessage):
    """Message to log a file as an artifact in ``folder``."""

    file: str
    folder: str | None = None


@dataclass(frozen=True)
class LogFolder(RepeatableMessage):
    """Message to log the files of a folder as artifacts, in ``into``."""

    folder: str
    into: str | None = None


@dataclass(frozen=True)
class LogFigures(RepeatableMessage):
    """Message to draw the figures of a run, and log them as artifacts in ``into``.

    Attributes:
        history: fields of a :class:`lifecycle.fit.history.History`; ``None``: no learning curves.
        predictions: Parquet file of predictions and actual values.
        spec: fields of the :class:`lifecycle.contract.DataSpec`.
        into: a folder of the artifacts.
        about: caption of the figures: data and run.
        has_copies: whether they are also written as vectors.
    """

    history: dict[str, Any] | None
    predictions: str
    spec: dict[str, Any]
    into: str | None = None
    about: str = ""
    has_copies: bool = False


@dataclass(frozen=True)
class LogModel(RepeatableMessage):
    """Message to log a saved model as an MLflow model that takes raw rows.

    Attributes:
        folder: the three files.
        columns: those that a prediction reads.
        outputs: MLflow's type of each column of a prediction.
        params: what ``predict`` takes in addition to rows, with its defaults.
        name: of the model.
        step: the epoch of its weights, whose scores are those of the model.
    """

    folder: str
    columns: list[str]
    outputs: dict[str, str]
    params: dict[str, int | str] = field(default_factory=dict)
    name: str = "model"
    step: int = 0
