"""Records a run in its journal first, and then in another process, which is replaced if it ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from filelock import Timeout

from lifecycle.config.tracking_address import identity
from lifecycle.credentials import masked_values
from lifecycle.errors import RequestError, TrackingError, first_line
from lifecycle.tracking.client import Client, WorkerEndedError, give_back
from lifecycle.tracking.messages import (
    CreateRun,
    Deliver,
    FailRun,
    FinishRun,
    Message,
    RecoverRun,
    ReopenRun,
    RepeatableMessage,
    ResumeRun,
    RunMessage,
)
from lifecycle.tracking.replies import Delivered, RunOpened
from lifecycle.tracking.spool.journal import Journal

Reply = TypeVar("Reply")

MOST_RESTARTS = 3
"""Of the process that records one run; it does not end by itself."""


class SpooledRecorder:
    """Records one run: a :class:`lifecycle.tracking.client.Recorder`.

    Attributes:
        opened: the run.
        journal: of the run.

    Args:
        worker: the process that records, as long as it does not end.
        opening: creates the run, or reopens it.

    Raises:
        RequestError: the database cannot be opened, or another process has the run open.
        TrackingError: it cannot be read or written now.
        OSError: the disk is full.
    """

    def __init__(self, worker: Client, opening: CreateRun | ReopenRun) -> None:
        self._opening, self._restarts = opening, 0
        self._is_running = isinstance(opening, CreateRun)
        self._worker = worker
        # Before the first message: Client.end() kills a process that has recorded nothing.
        worker.has_recorded = True
        self.opened: RunOpened = worker.ask(opening)
        self.journal = Journal(Path(self.opened.folder), self.opened.run_id)
        try:
            self.journal.begin()
        except Timeout as error:
            raise RequestError(
                f"run {self.opened.run_id}", "is still running in another process", remedy="Wait for its end."
            ) from error
        if self.opened.begun is not None and isinstance(opening, CreateRun):
            tracking = masked_values(opening.tracking)
            self.journal.append(replace(opening, tracking=tracking, run_id=self.opened.run_id, begun=self.opened.begun))

    def keep(self, messages: Sequence[RepeatableMessage]) -> None:
        """Put messages into the journal only; what they say is sent later, see ``kept`` of :meth:`send`."""
        for message in messages:
            self.journal.append(message)

    def send(self, message: RunMessage[Any], kept: bool = False) -> None:
        """Record something of the run, now or later.

        Args:
            message: what is recorded.
            kept: whether the journal has it already.

        Raises:
            OSError: the disk is full.
            TrackingError: the process that records has ended too often.
        """
        if isinstance(message, RepeatableMessage) and not kept:
            self.journal.append(message)
        try:
            self._worker.send(message)
        except WorkerEndedError as ended:
            self._restart(ended)  # it has written the journal, and with it the message

    def ask(self, message: Message[Reply], within: float | None = None) -> Reply:
        """Send a message and return its reply, see :meth:`lifecycle.tracking.client.Recorder.ask`."""
        if isinstance(message, FinishRun | FailRun):
            # Even on a full disk, the process that records is asked to end the run.
            with suppress(OSError):
                self.journal.append(message)
                self.journal.sync()
        while True:
            try:
                reply = self._worker.ask(message, within)
            except WorkerEndedError as ended:
                self._restart(ended)
            else:
                self._is_running = self._is_running or isinstance(message, ResumeRun)
                return reply

    def _restart(self, ended: WorkerEndedError) -> None:
        """Let another process record the run, beginning with all of its journal.

        Raises:
            TrackingError: it ended too.
        """
        self._restarts += 1
        if self._restarts > MOST_RESTARTS:
            raise ended
        give_back(self._worker)
        self._worker = Client()
        self._worker.has_recorded = True
        self.journal.sync()
        try:
            if self.opened.begun is None or not isinstance(self._opening, CreateRun):
                self._worker.ask(ReopenRun(self._opening.cwd, self._opening.tracking, self.opened.run_id))
                self._worker.send(RecoverRun(self._is_running))
            else:
                again = replace(self._opening, run_id=self.opened.run_id, begun=self.opened.begun)
                self._worker.ask(again)
        except WorkerEndedError as once_more:
            self._restart(once_more)

    def deliver(self) -> Delivered:
        """Wait until the run, which has ended, is on its server, for as long as requests succeed."""
        run_id, tracking = self.opened.run_id, self._opening.tracking
        try:
            return self._worker.ask(Deliver(self._opening.cwd, tracking, run_id))
        except TrackingError as error:  # the run is recorded, which this changes nothing about
            return Delivered([run_id], first_line(error), identity(str(tracking["uri"])))

    def close(self) -> None:
        """Give the process back, for the next run."""
        self.journal.close()
        give_back(self._worker)
