"""Real MariaDB for tests, which speaks MySQL's protocol: a server on a free port; skipped where there is none."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import as_user, execute, execute_statements, folder_for, free_port, give, programs_of, wait_for

BINARIES = ("mariadbd", "mariadb-install-db")
SMALL = ("--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--skip-log-bin", "--skip-performance-schema")
QUICK = ("--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync")
"""Settings of a server whose data need not survive a crash of the machine, but one of the server.

With 0, what it has confirmed within the last second is lost with its process.
"""


class MariaDB:
    """A server, which can be stopped and started again.

    Attributes:
        port: on 127.0.0.1.
        user: its administrator.
        password: of the administrator; a word that must never be printed or recorded.
    """

    user, password = "keeper", "Correct-Horse-8"

    def __init__(self, folder: Path, program: str) -> None:
        self.port, self._folder, self._program = free_port(), folder, program
        self._process: subprocess.Popen[bytes] | None = None
        self.start(f"--init-file={folder / 'users.sql'}")

    def address(self, database: str, *, scheme: str = "mysql", password: str | None = None) -> str:
        """Return the address of a database as a user of SQLAlchemy or MLflow writes it.

        Args:
            database: its name.
            scheme: ``mysql``, ``mariadb``, or with a driver.
            password: instead of the right one, such as ``${oc.env:PASSWORD}``.
        """
        return f"{scheme}://{self.user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def start(self, *words: str) -> None:
        """Start it, and wait until it takes connections."""
        folder = self._folder
        command = [self._program, "--no-defaults", f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}"]
        command += [f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={folder / 'pid'}", *SMALL, *QUICK]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--skip-name-resolve", *words], cwd=folder, stdout=log, stderr=log, **as_user()
            )
        wait_for(self.connect, OSError, self._process, folder / "log")

    def stop(self) -> None:
        """Stop it at once, as a power loss would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=30)
            self._process = None

    def connect(self) -> Any:
        """Return an open connection of PyMySQL's that commits each statement.

        Raises:
            OSError: nothing listens.
        """
        import pymysql

        given = {"user": self.user, "password": self.password, "autocommit": True}
        try:
            return pymysql.connect(host="127.0.0.1", port=self.port, **given)
        except pymysql.err.OperationalError as error:
            raise OSError(str(error)) from error

    def create_database(self, name: str, *statements: str) -> str:
        """Make a database anew, execute statements in it, and return its address."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`", f"CREATE DATABASE `{name}`", f"USE `{name}`", *statements)
        return self.address(name)

    def execute(self, *statements: str) -> None:
        """Execute statements."""
        execute_statements(self.connect(), statements)


@contextmanager
def mariadb() -> Iterator[MariaDB]:
    """Start a server with password authentication; stop it and remove its folder at the end.

    Skips the test where MariaDB or its driver is not installed.
    """
    pytest.importorskip("pymysql", reason="PyMySQL is not installed")
    # Debian keeps servers outside the PATH of other users than root.
    programs = programs_of("MariaDB", BINARIES, ("/usr/sbin", "/usr/local/sbin"))
    with folder_for("mariadb") as folder:
        users = folder / "users.sql"
        who = f"'{MariaDB.user}'@'%'"
        users.write_text(f"CREATE USER {who} IDENTIFIED BY '{MariaDB.password}';\nGRANT ALL ON *.* TO {who};\n")
        give(users)
        options = ["--skip-test-db", "--auth-root-authentication-method=normal", *SMALL, *QUICK]
        execute([programs["mariadb-install-db"], "--no-defaults", f"--datadir={folder / 'data'}", *options], folder)
        server = MariaDB(folder, programs["mariadbd"])
        try:
            yield server
        finally:
            server.stop()
