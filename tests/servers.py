"""What servers of tests have in common: free ports, programs that are installed, and another user than root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SECONDS_TO_START = 60


@contextmanager
def folder_for(name: str) -> Iterator[Path]:
    """Make a folder for a database, and remove it at the end.

    Not below pytest's own folders, which only the user of the tests may enter: databases refuse to run as root.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    give(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def programs_of(server: str, names: Sequence[str], folders: Iterable[str | Path]) -> dict[str, str]:
    """Return the path of each program of a server; skips the test where one is not installed.

    Args:
        server: its name.
        names: of its programs.
        folders: outside of PATH, where Debian keeps them.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    found = {name: program for name in names if (program := shutil.which(name, path=path)) is not None}
    if len(found) < len(names):
        pytest.skip(f"{server} is not installed here: no {' and '.join(names)}")
    return found


def wait_for(connect: Callable[[], Any], refused: type[Exception], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server takes connections.

    Args:
        connect: opens one.
        refused: what it raises until then.
        process: of the server.
        log: its file, which is shown where it ends or takes too long.
    """
    end = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            connect().close()
        except refused:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        else:
            return


def as_user() -> dict[str, Any]:
    """Return the arguments of ``Popen`` with which a process of root's runs as somebody else."""
    if os.geteuid() != 0:
        return {}
    user = other_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def other_user() -> pwd.struct_passwd:
    """Return the user that a database runs as where we are root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("databases do not run as root, and there is no user postgres or nobody")


def give(path: Path) -> None:
    """Let that user own a file or a folder."""
    if os.geteuid() == 0:
        user = other_user()
        os.chown(path, user.pw_uid, user.pw_gid)


def execute(command: Sequence[str], folder: Path) -> None:
    """Run a program as that user."""
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **as_user())
    assert ended.returncode == 0, ended.stderr


def execute_statements(connection: Any, statements: Iterable[str]) -> None:
    """Execute SQL statements one by one, and close the connection."""
    try:
        for statement in statements:
            connection.cursor().execute(statement)
    finally:
        connection.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
