"""What the tests of faults share: a real server of MLflow's, and a proxy in front of it that fails on demand."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ready
from tests.faults.proxy import Proxy, in_front_of
from tests.forked import Forks
from tests.tracking.servers import MLflowServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path, forks: Forks) -> Iterator[MLflowServer]:
    """Have one server for all tests of a process."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "server.db")
    running = MLflowServer(folder, forks=forks)
    yield running
    running.stop()


@pytest.fixture
def proxy(server: MLflowServer) -> Iterator[Proxy]:
    """Have a proxy of the test's own in front of the server."""
    with in_front_of(server.port) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    """Return a working folder with a database that is ready."""
    ready(tmp_path, empty_database)
    return tmp_path


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
