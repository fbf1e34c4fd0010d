"""Opens a SQLite database that exists."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

OF_SQLITE = 5.0
"""Seconds that a statement waits for a locked database where nothing else is said."""

MAX_WAIT = 60.0
"""Seconds that a transaction that must succeed waits."""


def connect(file: Path, to_write: bool = False, wait: float = OF_SQLITE) -> sqlite3.Connection:
    """Open a database; one that does not exist is not created.

    Args:
        file: of the database.
        to_write: whether it is opened for writing too.
        wait: seconds that a statement waits where another process has locked it.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    mode = "rw" if to_write else "ro"
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode={mode}", timeout=wait, uri=True)
