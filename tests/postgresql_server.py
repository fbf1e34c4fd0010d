"""Real PostgreSQL for tests: a server on a free port; skipped where there is none."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import as_user, execute, execute_statements, folder_for, free_port, give, programs_of, wait_for

BINARIES = ("initdb", "postgres")
QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=16MB", "max_connections=40")
"""Settings of a server whose data need not survive a crash."""


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
        execute_statements(self.connect(database), statements)


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Start a server with password authentication; stop it and remove its folder at the end.

    Skips the test where PostgreSQL or its driver is not installed.
    """
    psycopg2 = pytest.importorskip("psycopg2", reason="psycopg2-binary is not installed")
    # Debian keeps the programs of each version in a folder of their own.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -float(folder.parent.name))
    programs = programs_of("PostgreSQL", BINARIES, folders)
    server = PostgreSQL(free_port())
    with folder_for("postgresql") as folder:
        secret = folder / "password"
        secret.write_text(server.password)
        give(secret)
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
            wait_for(server.connect, psycopg2.OperationalError, process, log)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # ends the sessions of clients; SIGTERM would wait for them
            process.wait(timeout=30)
