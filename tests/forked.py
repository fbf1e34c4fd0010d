"""Processes of the command without the time of its imports: forked from one that has imported the libraries.

They are real processes with their own standard output, exit code and signals. Tests of what a command imports, of
several devices (Lightning starts those itself) or of the first run in a folder start a new Python instead.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

SERVER = Path(__file__).with_name("fork_server.py")
WORKER = "import pathlib, sys\nfrom lifecycle.sweeps import worker\nsys.exit(worker.main(pathlib.Path(sys.argv[1]), 3))"
RECORDER = (
    "from lifecycle.runs.recording_process import IMPORTED_EARLY, draw\nfrom lifecycle.tracking import worker\n"
    "worker.main(draw, IMPORTED_EARLY)"
)
COMMAND = "import sys\nfrom lifecycle.cli.main import main\nsys.exit(main())"


class Forks:
    """The process that others are forked from; it ends with this one.

    Args:
        tables: as :func:`tests.databases.quicken` takes them, and made.
    """

    def __init__(self, tables: Path) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-P", str(SERVER), str(theirs.fileno()), str(tables)]
        # Its first run must not be sent to the database of a test, whose address MLflow leaves in the environment.
        own = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        self._server = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=own)
        theirs.close()
        self._news = threading.Condition()
        self._begun: list[int] = []
        self._codes: dict[int, int] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def start(
        self, code: str, words: list[str], folder: Path, session: bool, files: list[int], imports: Sequence[str] = ()
    ) -> int:
        """Fork a process that executes ``code``; return its id."""
        request = {"code": code, "words": words, "cwd": str(folder), "environment": dict(os.environ)}
        request |= {"session": session, "imports": [*imports]}
        with self._news:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            assert self._news.wait_for(lambda: self._begun, timeout=120), "no process could be forked"
            return self._begun.pop()

    def code(self, pid: int, timeout: float | None) -> int | None:
        """Wait for a process to end; ``None``: it has not."""
        with self._news:
            self._news.wait_for(lambda: pid in self._codes, timeout=timeout)
            return self._codes.get(pid)

    def end(self) -> None:
        """Let it go."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._server.wait(timeout=30)
        self._socket.close()

    def _read(self) -> None:
        while message := self._socket.recv(1 << 16):
            news = json.loads(message)
            with self._news:
                if "code" in news:
                    self._codes[news["pid"]] = news["code"]
                else:
                    self._begun.append(news["pid"])
                self._news.notify_all()


class Process:
    """What :class:`subprocess.Popen` is, as far as the tests use it.

    Args:
        forks: what forks it.
        words: of the command line, after ``lifecycle``.
        folder: its working folder.
        code: what it executes in place of the command.
        session: whether it has a session of its own.
        imports: modules that those forked from now on have imported.
        stdout: a file that it writes to, as with stderr; ``None``: pipes.
        stderr: likewise.
    """

    def __init__(
        self,
        forks: Forks,
        words: list[str],
        folder: Path,
        code: str = COMMAND,
        session: bool = False,
        imports: Sequence[str] = (),
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self._forks, self.args = forks, words
        self.returncode: int | None = None
        pipes = [os.pipe() if file is None else (None, file) for file in (stdout, stderr)]
        with open(os.devnull) as nothing:  # noqa: PTH123 - as a number
            files = [nothing.fileno(), *(writing for _, writing in pipes)]
            self.pid = forks.start(code, ["lifecycle", *words], folder, session, files, imports)
        for reading, writing in pipes:
            if reading is not None:
                os.close(writing)
        self.stdout, self.stderr = (None if end is None else os.fdopen(end) for end, _ in pipes)

    def poll(self) -> int | None:
        """Return the exit code, if it has ended."""
        self.returncode = self._forks.code(self.pid, 0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when it has ended."""
        self.returncode = self._forks.code(self.pid, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with ``kill -9``."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it wrote that was not read, when it has ended."""
        until = None if timeout is None else time.monotonic() + timeout
        texts: dict[str, str] = {}

        def read(name: str, file: IO[str]) -> None:
            texts[name] = file.read()

        both = {"out": self.stdout, "err": self.stderr}
        files: dict[str, Any] = {name: file for name, file in both.items() if file is not None and not file.closed}
        threads = [threading.Thread(target=read, args=each) for each in files.items()]
        for thread in threads:
            thread.start()
        self.wait(timeout)
        for thread in threads:
            thread.join(None if until is None else max(0.1, until - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        for file in files.values():
            file.close()
        return texts.get("out", ""), texts.get("err", "")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *raised: object) -> None:
        for file in (self.stdout, self.stderr):
            if file is not None:
                file.close()
        self.wait()


class SweepWorker(Process):
    """A process that runs jobs of a sweep, in place of ``lifecycle.sweeps.supervise.start_worker``.

    Args:
        forks: what forks it.
        folder: of the sweep.
        answers: file that it writes to.
    """

    def __init__(self, forks: Forks, folder: Path, answers: int) -> None:
        self._forks, self.args, self.returncode = forks, [str(folder)], None
        reading, writing = os.pipe()
        self.pid = forks.start(WORKER, ["worker", str(folder)], Path.cwd(), True, [reading, 1, 2, answers])
        os.close(reading)
        self.stdin, self.stdout, self.stderr = os.fdopen(writing, "wb"), None, None


class Recorder(Process):
    """A process that records, in place of ``lifecycle.tracking.client.start_worker``.

    Args:
        forks: what forks it.
    """

    def __init__(self, forks: Forks) -> None:
        self._forks, self.args, self.returncode = forks, [], None
        read_messages, write_messages = os.pipe()
        read_answers, write_answers = os.pipe()
        self.pid = forks.start(RECORDER, ["recorder"], Path.cwd(), True, [read_messages, write_answers, 2])
        os.close(read_messages)
        os.close(write_answers)
        self.stdin, self.stderr = os.fdopen(write_messages, "wb", 0), None
        self.stdout: Any = os.fdopen(read_answers, "rb", 0)
