"""Forks processes on request, each with the libraries imported: ``python -P fork_server.py <socket>``.

Of the ten seconds of processor time that a short command takes on two slow cores, nine are imports: those of the
process that runs, and those of the process that records.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from pathlib import Path
from typing import Any


def _exit(code: int) -> None:
    """Do what Python does at its end, and exit."""
    with contextlib.suppress(Exception):
        threading._shutdown()  # waits for threads; joblib lets its processes end here
    with contextlib.suppress(Exception):
        importlib.import_module("atexit")._run_exitfuncs()
    with contextlib.suppress(Exception):
        sys.stdout.flush(), sys.stderr.flush()
    os._exit(code & 255)


class ForkedProcess:
    """What the two classes below have in common; as far as they are used, a ``subprocess.Popen``."""

    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, if the process has ended."""
        return self._reap(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once the process has ended."""
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self._reap(0 if until is None else os.WNOHANG)) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process with ``kill -9``."""
        self.send_signal(9)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class ForkedSweepWorker(ForkedProcess):
    """A process that runs jobs of a sweep, forked from the one that supervises it."""

    def __init__(self, folder: Path, answers: int) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _run_jobs(folder, reading, answers)
        os.close(reading)
        self.stdin = os.fdopen(writing, "wb")


def _let_go(first: int) -> None:
    """Let go of the files of the parent, from a number on, without freeing the numbers.

    Objects of the parent's still own them, and would close what is opened under the same number here.
    """
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - as a number
        for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
            if number >= first and number != nothing.fileno():
                with contextlib.suppress(OSError):  # that of listdir itself
                    os.fstat(number)
                    os.dup2(nothing.fileno(), number)


def _run_jobs(folder: Path, numbers: int, answers: int) -> None:
    """Do what ``python -P -m lifecycle.sweeps.worker`` does, and exit."""
    code = 1
    try:
        os.setsid()
        os.dup2(numbers, 0)
        os.dup2(answers, 3)
        _let_go(4)
        sys.stdin = os.fdopen(0)
        from lifecycle.sweeps import worker

        code = worker.main(folder, 3)
    except BaseException:
        traceback.print_exc()
    finally:
        _exit(code)


class ForkedWorker(ForkedProcess):
    """The process that records, forked from its client."""

    def __init__(self) -> None:
        read_messages, write_messages = os.pipe()
        read_answers, write_answers = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _record(read_messages, write_answers)
        os.close(read_messages)
        os.close(write_answers)
        self.stdin, self.stdout = os.fdopen(write_messages, "wb", 0), os.fdopen(read_answers, "rb", 0)


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
    from lifecycle.sweeps import supervise

    supervise.start_worker = ForkedSweepWorker
    code: Any = 1
    try:
        exec(request["code"], {"__name__": "__main__"})
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        _exit(code)


def serve(asking: socket.socket) -> None:
    """Fork a process for each request, and report its end."""
    children: dict[int, int] = {}
    while True:
        for file in select.select([asking, *children], [], [])[0]:
            if file is asking:
                message, files, _, _ = socket.recv_fds(asking, 1 << 20, 4)
                if not message:
                    os._exit(0)
                request = json.loads(message)
                for name in request["imports"]:
                    importlib.import_module(name)
                pid = os.fork()
                if not pid:
                    asking.close()
                    child(request, files)
                for each in files:
                    os.close(each)
                children[os.pidfd_open(pid)] = pid
                asking.send(json.dumps({"pid": pid}).encode())
            else:
                pid = children.pop(file)
                os.close(file)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                asking.send(json.dumps({"pid": pid, "code": code}).encode())


class ThreadWorker:
    """The process that records, as a thread of this process; it ends with its input."""

    pid = 0

    def __init__(self) -> None:
        read_messages, write_messages = os.pipe()
        read_answers, write_answers = os.pipe()
        self.stdin, self.stdout = os.fdopen(write_messages, "wb", 0), os.fdopen(read_answers, "rb", 0)
        self._thread = threading.Thread(target=self._serve, args=(read_messages, write_answers))
        self._thread.start()

    def _serve(self, messages: int, answers: int) -> None:
        from lifecycle.runs.recording_process import IMPORTED_EARLY, draw
        from lifecycle.tracking import worker
        from lifecycle.tracking.encoding import encode_answer

        with os.fdopen(messages, "rb") as reader, os.fdopen(answers, "wb", 0) as writer:
            worker.serve(reader, lambda answer: writer.write(encode_answer(answer)), draw, IMPORTED_EARLY)

    def poll(self) -> None:
        """Return that it has not ended."""

    def kill(self) -> None:
        """Do nothing: its input has ended."""
        self._thread.join()

    def wait(self) -> int:
        """Wait for its end."""
        self._thread.join()
        return 0


OPTIONS = (("data=iris", "sweep=optuna"), ("data=digits",), ("data=digits", "model=cnn"))
"""Options of many tests: Hydra merges what they name once in a process, which those forked from it need not repeat."""


def warm_up() -> None:
    """Do a run here, once: each command would import, compile and compose the same in its turn."""
    import torch

    from lifecycle.cli.main import main
    from lifecycle.tracking import client

    threads, start_worker = torch.get_num_threads(), client.start_worker
    torch.set_num_threads(1)  # OpenMP's threads would be missing after a fork, and be waited for
    client.start_worker = ThreadWorker
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        sys.argv[1:] = ["data=iris", "trainer.max_epochs=1", "verbose=0"]
        main()
        client.end_all()
        with contextlib.redirect_stdout(io.StringIO()):
            for options in OPTIONS:
                sys.argv[1:] = [*options, "--cfg", "job"]
                main()
    client.start_worker = start_worker
    importlib.import_module("mlflow.tracking.fluent")._active_experiment_id = None  # the next has another database
    torch.set_num_threads(threads)


def preload(tables: Path) -> None:
    """Import what a command and the process that records use."""
    from lifecycle.runtime.imports.quick import load_deferred, quick_imports

    with quick_imports():
        for name in ("pandas", "hydra", "pytorch_lightning", "lifecycle.config.compose", "lifecycle.runs.group"):
            importlib.import_module(name)
        load_deferred()  # once, rather than in each process that uses it
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from lifecycle.runs import recording_process
    from lifecycle.tracking import backend

    for name in (
        "mlflow",
        "lifecycle.sweeps.results.summary",
        "lifecycle.sweeps.run",
        "lifecycle.sweeps.hydra_jobs",
        "lifecycle.sweeps.execute_group",
        "lifecycle.sweeps.search.study",
        "lifecycle.runs.resume",
        "lifecycle.comparison.compare",
        "lifecycle.plugins.cnn",
        "lifecycle.data.kinds.images",
        "optuna.terminator",
        "matplotlib.backends.backend_svg",
        *backend.IMPORTED_EARLY,
        *backend.MLFLOWS,
        *recording_process.IMPORTED_EARLY,
    ):
        importlib.import_module(name)
    # Our own folder is not on the path: its modules have names of the tests.
    sys.path.append(str(Path(__file__).parents[1]))
    from tests import databases

    sys.path.pop()
    databases.quicken(tables)
    warm_up()
    # What is to be undone at the end of this process is none of its children's: PyTorch would take back each operator.
    for finalizer in [*weakref.finalize._registry]:
        finalizer.atexit = False
    gc.collect()
    gc.freeze()
    use_huge_pages()


HUGE_PAGE, MADV_COLLAPSE = 2 << 20, 25


def use_huge_pages() -> None:
    """Have Linux keep the memory of this process in huge pages, where it can: a fork then copies 1 entry for 512.

    A page that the forked process changes is copied alone, as before.
    """
    libc = ctypes.CDLL(None)
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, access, _, _, inode, *_ = line.split()
        first, end = (int(text, 16) for text in addresses.split("-"))
        first, end = -(-first // HUGE_PAGE) * HUGE_PAGE, end // HUGE_PAGE * HUGE_PAGE
        if access.startswith("rw") and inode == "0" and first < end:
            libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), MADV_COLLAPSE)


if __name__ == "__main__":
    sys.path.insert(0, "")  # as ``python -m lifecycle`` has it
    number, tables = sys.argv[1:]
    preload(Path(tables))
    serve(socket.socket(fileno=int(number)))
