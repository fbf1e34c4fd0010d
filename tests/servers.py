"""Real databases for tests: servers of their own on free ports, in temporary folders; skipped where there are none."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BINARIES = ("initdb", "postgres")
QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=16MB", "max_connections=40")
"""Settings of a server whose data need not survive a crash."""

SECONDS_TO_START = 60


@dataclass(frozen=True)
class PostgreSQL:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        user: its administrator.
        password: of the administrator; a word that must never be printed or recorded.
    """

    port: int
    user: str = "keeper"
    password: str = "Correct-Horse-7"

    def address(self, database: str = "postgres", *, password: str | None = None) -> str:
        """Return the address of a database as a user of SQLAlchemy or MLflow writes it.

        Args:
            database: its name.
            password: instead of the right one, such as ``${oc.env:PASSWORD}``.
        """
        return f"postgresql://{self.user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> Any:
        """Return an open connection of psycopg2's that commits each statement."""
        import psycopg2

        connection = psycopg2.connect(self.address(database))
        connection.autocommit = True
        return connection

    def create_database(self, name: str, *statements: str) -> str:
        """Make a database anew, execute statements in it, and return its address."""
        self.execute("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
        self.execute(name, *statements)
        return self.address(name)

    def execute(self, database: str, *statements: str) -> None:
        """Execute statements, each of which is committed."""
        connection = self.connect(database)
        try:
            for statement in statements:
                connection.cursor().execute(statement)
        finally:
            connection.close()


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Start a server with password authentication; stop it and remove its folder at the end.

    Skips the test where PostgreSQL or its driver is not installed.
    """
    pytest.importorskip("psycopg2", reason="psycopg2-binary is not installed")
    programs = _programs()
    # Not below pytest's own folders, which only the user of the tests may enter: PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    server = PostgreSQL(free_port())
    try:
        secret = folder / "password"
        secret.write_text(server.password)
        for path in (folder, secret):
            give(path)
        data = folder / "data"
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", f"--pwfile={secret}"]
        execute([programs["initdb"], f"--pgdata={data}", f"--username={server.user}", *options], folder)
        settings = [word for setting in QUICK for word in ("-c", setting)]
        address = ["-p", str(server.port), "-h", "127.0.0.1", "-k", str(folder)]
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [programs["postgres"], "-D", str(data), *address, *settings],
                cwd=folder,
                stdout=output,
                stderr=output,
                **as_user(),
            )
        try:
            _wait(server, process, log)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # ends the sessions of clients; SIGTERM would wait for them
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> dict[str, str]:
    # Debian keeps the programs of each version in a folder of their own, outside PATH.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, reversed(folders))])
    found = {name: shutil.which(name, path=path) for name in BINARIES}
    programs = {name: program for name, program in found.items() if program}
    if len(programs) < len(BINARIES):
        pytest.skip("PostgreSQL is not installed here: no initdb and postgres")
    return programs


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


def _wait(server: PostgreSQL, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg2

    end = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            server.connect().close()
        except psycopg2.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
