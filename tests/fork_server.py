"""Forks processes on request, each with the libraries imported: ``python -P fork_server.py <socket>``.

Of the ten seconds of processor time that a short command takes on two slow cores, nine are imports: those of the
process that runs, and those of the process that records.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import socket
import sys
import traceback
from typing import Any


class ForkedWorker:
    """The process that records, forked from its client; as far as the client uses it, a ``subprocess.Popen``."""

    def __init__(self) -> None:
        read_messages, write_messages = os.pipe()
        read_answers, write_answers = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _record(read_messages, write_answers)
        os.close(read_messages)
        os.close(write_answers)
        self.stdin, self.stdout = os.fdopen(write_messages, "wb", 0), os.fdopen(read_answers, "rb", 0)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, if the process has ended."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        """Return the exit code once the process has ended."""
        code = self._reap(0)
        assert code is not None
        return code

    def kill(self) -> None:
        """End the process with ``kill -9``."""
        if self.poll() is None:
            os.kill(self.pid, 9)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _record(messages: int, answers: int) -> None:
    """Do what ``python -P -m lifecycle.runs.recording_process`` does, and exit."""
    code = 1
    try:
        os.setsid()
        os.dup2(messages, 0)
        os.dup2(answers, 1)
        os.closerange(3, 1024)  # pipes of the client: its readers would never see their end
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        from lifecycle.runs.recording_process import IMPORTED_EARLY, draw
        from lifecycle.tracking import worker

        worker.main(draw, IMPORTED_EARLY)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def child(request: dict[str, Any], files: list[int]) -> None:
    """Become the process of a request, and exit."""
    if request["session"]:
        os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = request["words"]
    from lifecycle.tracking import client

    client.start_worker = ForkedWorker
    code: Any = 1
    try:
        exec(request["code"], {"__name__": "__main__"})
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            importlib.import_module("atexit")._run_exitfuncs()
        with contextlib.suppress(Exception):
            sys.stdout.flush(), sys.stderr.flush()
        os._exit(code & 255)


def serve(asking: socket.socket) -> None:
    """Fork a process for each request, and report its end."""
    children: dict[int, int] = {}
    while True:
        for file in select.select([asking, *children], [], [])[0]:
            if file is asking:
                message, files, _, _ = socket.recv_fds(asking, 1 << 20, 3)
                if not message:
                    os._exit(0)
                pid = os.fork()
                if not pid:
                    asking.close()
                    child(json.loads(message), files)
                for each in files:
                    os.close(each)
                children[os.pidfd_open(pid)] = pid
                asking.send(json.dumps({"pid": pid}).encode())
            else:
                pid = children.pop(file)
                os.close(file)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                asking.send(json.dumps({"pid": pid, "code": code}).encode())


def preload() -> None:
    """Import what a command and the process that records use."""
    from lifecycle.runtime.lazy_imports import quick_imports

    with quick_imports():
        for name in ("pandas", "hydra", "pytorch_lightning", "lifecycle.config.compose", "lifecycle.runs.pipeline"):
            importlib.import_module(name)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from lifecycle.runs import recording_process
    from lifecycle.tracking import backend

    for name in ("mlflow", *backend.IMPORTED_EARLY, *recording_process.IMPORTED_EARLY):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    sys.path.insert(0, "")  # as ``python -m lifecycle`` has it
    preload()
    serve(socket.socket(fileno=int(sys.argv[1])))
