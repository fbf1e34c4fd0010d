"""MLflow's databases and other files, made quickly: its migrations take seconds, and each write waits for the disk."""

from __future__ import annotations

import functools
import logging
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow.store.db import utils

_migrate = utils._initialize_tables


def make(tables: Path) -> None:
    """Have MLflow make the tables of an empty database, unless they are there."""
    if not tables.exists():
        # What MLflow says of it would be in the output of the first command of a test.
        logging.getLogger(utils.__name__).setLevel(logging.WARNING)
        made = sqlalchemy.create_engine(f"sqlite:///{tables}")
        _migrate(made)
        made.dispose()


def quicken(tables: Path) -> None:
    """Have a new SQLite database of this process begin with tables that MLflow has made before; wait for no disk.

    Args:
        tables: a database of MLflow's with nothing else, which is made when the first one is needed.
    """

    def copy(engine: sqlalchemy.Engine) -> None:
        if engine.dialect.name != "sqlite":
            _migrate(engine)
            return
        make(tables)
        with closing(sqlite3.connect(tables)) as source, closing(sqlite3.connect(str(engine.url.database))) as target:
            source.backup(target)

    utils._initialize_tables = copy
    # MLflow reads all its migrations for each database that is opened, to see that it has the latest schema.
    utils._get_latest_schema_revision = functools.cache(utils._get_latest_schema_revision)
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _trust_power)
    os.fsync = lambda _file: None  # a run waits for the disk a dozen times, and no test loses power


def _trust_power(connection: Any, _record: object) -> None:
    """Leave it to the system when what is written gets to the disk: no test loses power."""
    if isinstance(connection, sqlite3.Connection):
        (waits,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")
        with suppress(sqlite3.Error):  # one that is locked or damaged, which a test wants to see later
            connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA busy_timeout = {waits}")
