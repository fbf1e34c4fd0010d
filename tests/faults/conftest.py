"""What the tests of faults share: a real server of MLflow's, and a proxy in front of it that fails on demand."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from lifecycle.tracking.store import database_file
from tests.conftest import ready
from tests.faults.proxy import Proxy, in_front_of
from tests.servers import PostgreSQL, postgresql


@dataclass(frozen=True)
class Server:
    """A server of MLflow's that runs.

    Attributes:
        port: on 127.0.0.1.
        folder: of its database and its artifacts.
    """

    port: int
    folder: Path

    @property
    def artifacts(self) -> Path:
        """Return the folder where it keeps the files of runs."""
        return self.folder / "artifacts"


@contextmanager
def serving(folder: Path, port: int | None = None) -> Iterator[Server]:
    """Start a server on a database that is there, and stop it at the end of the block."""
    server = Server(port or _free_port(), folder)
    server.artifacts.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(server.port)),
        *("--backend-store-uri", f"sqlite:///{database_file(folder)}"),
        *("--artifacts-destination", server.artifacts.as_uri(), "--workers", "1"),
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        _wait(server, process)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while True:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health", timeout=5):
            return
        assert process.poll() is None, (server.folder / "log").read_text()
        assert time.monotonic() < until, (server.folder / "log").read_text()
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    """Have one server for all tests."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, database_file(folder))
    with serving(folder) as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """Have a proxy of the test's own in front of the server."""
    with in_front_of(server.port) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    """Return a working folder with a database that is ready."""
    ready(tmp_path, empty_database)
    return tmp_path


@pytest.fixture(scope="session")
def database() -> Iterator[PostgreSQL]:
    """Have a PostgreSQL server for all tests; they are skipped where there is none."""
    with postgresql() as running:
        yield running


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[Path, str], None]]:
    """Mount small disks, which go with the test; it is skipped where that is not allowed."""
    mounted: list[Path] = []

    def mount(where: Path, size: str) -> None:
        if os.geteuid() != 0 or not shutil.which("mount"):
            pytest.skip("only root may mount a small disk")
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", where]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            pytest.skip(f"no disk can be mounted here: {ended.stderr.strip()}")
        mounted.append(where)

    yield mount
    for where in mounted:
        subprocess.run(["umount", "--lazy", where], check=False)
