"""The client of the process that records a run.

Importing MLflow takes as long as importing PyTorch, and writing a history takes a while too. A second process does
both while this one trains; it outlives this one for as long as it takes to end the run.
"""

from __future__ import annotations

import atexit
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import TrackingError
from lifecycle.tracking.encoding import decode_answer, decode_error, encode
from lifecycle.tracking.messages import Message, RepeatableMessage, RunMessage, WarmUp

ENDS_WITHIN = 60.0
"""Seconds to wait until the end of a failed run is recorded."""

CREDENTIALS = (
    *(
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_TRACKING_SERVER_CERT_PATH",
    ),
    *("MLFLOW_TRACKING_CLIENT_CERT_PATH", "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_S3_"),
    *("AWS_", "AZURE_", "GOOGLE_", "DATABRICKS_"),
)
"""Beginnings of the names of variables with credentials, and with how a server or its storage is asked."""

Reply = TypeVar("Reply")


class WorkerEndedError(TrackingError):
    """The process that records has ended before its client."""


class Recorder(Protocol):
    """What a run is recorded by.

    Another process (:mod:`lifecycle.tracking.spool.recorder`), MLflow in this one (:mod:`active_run`), or a transaction
    together with other runs (:mod:`bulk`).
    """

    def keep(self, messages: Sequence[RepeatableMessage]) -> None:
        """Put messages on the disk where sending them later may fail; see ``kept`` of :meth:`send`."""
        ...

    def send(self, message: RunMessage[Any], kept: bool = False) -> None:
        """Record something of the run, now or later.

        Args:
            message: what is recorded.
            kept: whether :meth:`keep` has been called with it, or with its parts.

        Raises:
            TrackingError: it could not be recorded; or only the next :meth:`ask` raises this.
        """
        ...

    def ask(self, message: Message[Reply], within: float | None = None) -> Reply:
        """Send a message and return its reply.

        Args:
            message: what is asked.
            within: seconds to wait; ``None``: as long as it takes.

        Raises:
            RequestError: the worker refuses it.
            TrackingError: an earlier message could not be recorded, or there is no answer.
        """
        ...


def start_worker() -> subprocess.Popen[bytes]:
    """Start :mod:`lifecycle.runs.recording_process`, which reads messages and writes answers."""
    # -P: a file of the working folder that is named like a library must not be imported in its place.
    command = [sys.executable, "-P", "-m", "lifecycle.runs.recording_process"]
    # Its own session keeps Ctrl-C on the terminal from it: this process reports how the run ended.
    # bufsize=0: select() does not see bytes that wait in a buffer of this process.
    return subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
    )


class Client:
    """A process that records, which this process has started. It records one run at a time."""

    def __init__(self) -> None:
        self._process = start_worker()
        self._number = 0
        self._unread = b""  # bytes after the last complete line
        self.owner, self.has_recorded = os.getpid(), False
        self.credentials = credentials()  # which the process has, and cannot change

    def send(self, message: Message[Any]) -> None:
        """Send a message without waiting; errors surface on the next :meth:`ask`.

        Raises:
            TrackingError: the process has ended.
        """
        self._write(message, None)

    def ask(self, message: Message[Reply], within: float | None = None) -> Reply:
        """Send a message and return its reply, see :meth:`Recorder.ask`."""
        self._number += 1
        self._write(message, self._number)
        # The answer to a message whose waiting was given up may still arrive: it has a smaller number.
        while (answer := decode_answer(self._line(within))).number != self._number:
            pass
        if answer.refused is not None:
            raise decode_error(answer.refused)
        if answer.failed:
            raise TrackingError(answer.failed)
        return cast(Reply, message.reply(**answer.reply))

    def _write(self, message: Message[Any], number: int | None) -> None:
        line = memoryview(encode(message, number))
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            while line:  # an unbuffered pipe may take a part only
                line = line[self._process.stdin.write(line) :]
        except (BrokenPipeError, ValueError) as error:
            raise _ended(self._process.poll()) from error

    def _line(self, within: float | None) -> bytes:
        """Return the next line that the process writes."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        until = None if within is None else time.monotonic() + within
        while b"\n" not in self._unread:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise TrackingError(
                    f"MLflow did not answer within {within:g} s. Check which process has locked its database."
                )
            # The default size of a pipe on Linux.
            part = os.read(self._process.stdout.fileno(), 65536)
            if not part:  # the pipe was closed: the process is gone
                raise _ended(self._process.wait())
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def is_alive(self) -> bool:
        """Return whether the process can record for this one: a fork of its owner must not share the pipes."""
        return self.owner == os.getpid() and self._process.poll() is None

    def end(self) -> None:
        """Close the pipes, upon which the process ends; one that has recorded nothing has nothing to complete."""
        if self.owner != os.getpid():
            return
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if not self.has_recorded:
            self._process.kill()


# Processes are kept between runs: starting one costs as much as a short run.
_idle: list[Client] = []
_lock = threading.Lock()


def warm_up(config: TrackingConfig) -> None:
    """Start a process, or prepare one that waits, so that it is ready when a run begins.

    Raises:
        RequestError: an environment variable names another place for runs.
    """
    config.check()
    client = borrow()
    client.send(WarmUp(config.dir, str(Path.cwd()), bool(config.figures)))
    give_back(client)


def credentials() -> dict[str, str]:
    """Return the variables of the environment that a server or its storage is asked with."""
    return {name: value for name, value in os.environ.items() if name.startswith(CREDENTIALS)}


def borrow() -> Client:
    """Return a client for one run, to be given back."""
    with _lock:
        while _idle:
            client = _idle.pop()
            if client.is_alive() and client.credentials == credentials():
                return client
            client.end()
    return Client()


def give_back(client: Client) -> None:
    """Keep a client for the next run: a sweep has many."""
    with _lock:
        _idle.append(client)


@atexit.register
def end_all() -> None:
    """End all processes that wait for a run."""
    with _lock:
        while _idle:
            with suppress(OSError):  # a process that was killed has no pipes to close
                _idle.pop().end()


def _ended(code: int | None) -> WorkerEndedError:
    return WorkerEndedError(f"the process that records the run ended (exit code {code}). Run again.")
