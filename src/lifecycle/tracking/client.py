"""The process that talks to MLflow, as this one sees it: started early, told what happens, asked before a run ends.

MLflow takes as long to import as PyTorch, and to write a history. It is done beside the work rather than in its way,
and the process that does it outlives this one by as long as it takes to close the run.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lifecycle.config.schema import TrackingConfig
from lifecycle.config.tracking_address import check_environment
from lifecycle.errors import RequestError, TrackingError

ENDS_WITHIN = 60.0
"""Seconds that a run which failed waits for its last words to be recorded."""


class Recorder:
    """One such process. It serves one run at a time."""

    def __init__(self) -> None:
        # -P: a file of the working folder that is called as a library is no library of ours.
        command = [sys.executable, "-P", "-m", "lifecycle.runs.recording_process"]
        # A session of its own: Ctrl-C on the terminal is for this process, which then says how the run is to be closed.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self._asked = 0
        self._unread = b""
        self.owner, self.served = os.getpid(), False

    def tell(self, verb: str, **values: Any) -> None:
        """Say what happened. What goes wrong with it is told by the next answer.

        Raises:
            TrackingError: the process is gone.
        """
        line = memoryview(json.dumps({"verb": verb, **values}).encode() + b"\n")
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        try:
            while line:
                line = line[self._process.stdin.write(line) :]
        except (BrokenPipeError, ValueError) as error:
            raise _gone(self._process.poll()) from error

    def ask(self, verb: str, within: float | None = None, **values: Any) -> dict[str, Any]:
        """Say something and wait for the answer: at most ``within`` seconds, or as long as it takes.

        Raises:
            RequestError: what was asked for cannot be.
            TrackingError: what was told could not be recorded, or nobody answers.
        """
        self._asked += 1
        self.tell(verb, asked=self._asked, **values)
        answer: dict[str, Any] = {}
        while answer.get("asked") != self._asked:  # one that was waited for, and then not, may come first
            answer = json.loads(self._line(within))
        if "refused" in answer:
            raise RequestError(answer["refused"])
        if "failed" in answer:
            raise TrackingError(answer["failed"])
        return answer

    def _line(self, within: float | None) -> bytes:
        """Return the next line that the process writes."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        until = None if within is None else time.monotonic() + within
        while b"\n" not in self._unread:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise TrackingError(
                    f"MLflow did not answer within {within:g} s. Check which process has locked its database."
                )
            part = os.read(self._process.stdout.fileno(), 65536)
            if not part:
                raise _gone(self._process.wait())
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def is_alive(self) -> bool:
        """Tell whether it can serve this process."""
        return self.owner == os.getpid() and self._process.poll() is None

    def end(self) -> None:
        """Let it go; one that never had a run to record has nothing to bring to an end."""
        if self.owner != os.getpid():
            return
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if not self.served:
            self._process.kill()


_idle: list[Recorder] = []
_lock = threading.Lock()


def warm(config: TrackingConfig) -> None:
    """Have a process ready by the time that a run begins.

    Raises:
        RequestError: the environment names another place for runs.
    """
    check_environment(config.dir)
    recorder = borrow()
    recorder.tell("warm", dir=config.dir, cwd=str(Path.cwd()))
    give_back(recorder)


def borrow() -> Recorder:
    """Return a process for a run, to be given back."""
    with _lock:
        while _idle:
            recorder = _idle.pop()
            if recorder.is_alive():
                return recorder
    return Recorder()


def give_back(recorder: Recorder) -> None:
    """Keep a process for the next run, such as that of a sweep."""
    with _lock:
        _idle.append(recorder)


@atexit.register
def end_all() -> None:
    """Let all processes go that wait for a run."""
    with _lock:
        while _idle:
            with suppress(OSError):
                _idle.pop().end()


def _gone(code: int | None) -> TrackingError:
    return TrackingError(f"the process that records the run ended (exit code {code}). Run again.")
