"""Records a run in its journal first, and then in another process, which is replaced if it ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from filelock import Timeout

from lifecycle.errors import RequestError
from lifecycle.tracking.client import Client, WorkerEndedError, give_back
from lifecycle.tracking.messages import (
    CreateRun,
    FailRun,
    FinishRun,
    Message,
    RecoverRun,
    ReopenRun,
    RepeatableMessage,
    ResumeRun,
    RunMessage,
    RunOpened,
)
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
        self._place, self._restarts = (opening.cwd, opening.tracking), 0
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
            self.journal.append(replace(opening, run_id=self.opened.run_id, begun=self.opened.begun))

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
            if self.opened.begun is None:
                self._worker.ask(ReopenRun(*self._place, self.opened.run_id))
                self._worker.send(RecoverRun(self._is_running))
            else:
                self._worker.ask(cast(CreateRun, next(self.journal.messages())))
        except WorkerEndedError as again:
            self._restart(again)

    def close(self) -> None:
        """Give the process back, for the next run."""
        self.journal.close()
        give_back(self._worker)
