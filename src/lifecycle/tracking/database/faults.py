"""Explains errors of MLflow's database by SQLite's codes, in sentences without SQL."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from lifecycle import layout
from lifecycle.errors import LifecycleError, RequestError, Setting, TrackingError
from lifecycle.runtime.files.paths import shown
from lifecycle.tracking.database.connection import connect

WAITS = 20.0
"""Seconds that a statement waits for a locked database, as MLflow sets it."""

REOPENS = 60.0
"""Seconds that reopening a run waits: the process that had it open may still write, on a disk that is slow."""

BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NOT_WRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)

_SCHEMA = re.compile(r"out-of-date database schema \(found version (\w+), but expected (\w+)\)")
# A whole message has at most 400 characters.
_MOST_CHARACTERS = 200


def wait_until_free(file: Path, seconds: float = WAITS) -> None:
    """Wait until a database can be read.

    Raises:
        sqlite3.Error: it stays locked for longer; or it is no database, or damaged.
    """
    # For SQLite an empty file is a database without tables.
    if not file.is_file() or not file.stat().st_size:
        return
    until = time.monotonic() + seconds
    while True:  # SQLite's own timeout does not cover every case, such as a journal that is rolled back
        try:
            _read(file, max(0.0, until - time.monotonic()))
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() >= until:
                raise
            time.sleep(0.05)  # SQLite's own timeout returned at once, so wait here
        else:
            return


def is_free(file: Path, seconds: float) -> bool:
    """Return whether a database can be locked for writing within a time."""
    try:
        with closing(connect(file, to_write=True, wait=seconds)) as one:
            one.execute("BEGIN IMMEDIATE").close()
            one.rollback()
    except sqlite3.Error as error:
        return not is_busy(error)  # another fault is reported by what writes
    return True


def wait_until_writable(file: Path) -> None:
    """Wait until a database can be written, for :data:`REOPENS` at most.

    Raises:
        TrackingError: it stays locked for longer.
    """
    until = time.monotonic() + REOPENS
    while not is_free(file, max(0.0, until - time.monotonic())):
        if time.monotonic() >= until:
            raise _held(file, REOPENS)
        time.sleep(0.05)  # SQLite's own timeout returned at once, so wait here


def _read(file: Path, seconds: float) -> None:
    # To write, as a journal that a killed process has left is rolled back then.
    with closing(connect(file, to_write=True, wait=seconds)) as database:
        # SQLite opens and reads the file at the first statement only.
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()


def is_busy(error: BaseException) -> bool:
    """Return whether another process has locked the database."""
    return _code(error) in BUSY


def explained(error: BaseException, folder: Path, waited: float = WAITS) -> LifecycleError | None:
    """Return what is wrong with the database in a folder, and what to do; ``None`` if it is another error.

    Args:
        error: as MLflow, SQLAlchemy or SQLite raised it.
        folder: of the database.
        waited: seconds, for a locked database.

    Returns:
        A TrackingError for what may be gone the next time, a RequestError for what will not.
    """
    name, code, text = shown(folder / layout.DATABASE), _code(error), plain(error)
    if code in BUSY:
        return _held(folder / layout.DATABASE, waited)
    if code == sqlite3.SQLITE_FULL:
        return TrackingError(f"no space is left on the disk of the database {name}. Make room, and try again.")
    if code == sqlite3.SQLITE_IOERR:
        return TrackingError(
            f"the disk failed under the database {name} ({text}). Check the disk or the mount, and try again."
        )
    if code in NOT_WRITABLE:
        return RequestError(
            Setting("tracking.dir", shown(folder)),
            f"cannot be written: its database mlflow.db can only be read ({text})",
            remedy="Make the folder and the file writable, or name another folder.",
        )
    if code in DAMAGED:
        return RequestError(
            Setting("tracking.dir", shown(folder)),
            f"holds an mlflow.db that is damaged or no database: {text}",
            remedy="Restore it from a backup, or move it away for a new one, or name another folder.",
        )
    found = _SCHEMA.search(" ".join(str(error).split()))
    return None if found is None else _other_version(found[1], found[2], folder)


def _held(file: Path, waited: float) -> TrackingError:
    return TrackingError(
        f"another process holds the database {shown(file)}, for more than {waited:g} s. The database is not damaged, "
        "and trying again is safe: do so when that process has ended, for instance a backup or an open sqlite3 shell."
    )


def plain(error: BaseException) -> str:
    """Return the text of an error without SQL and parameters: SQLite's, or the first lines of another."""
    own = next((one for one in chain(error) if isinstance(one, sqlite3.Error)), None)
    # SQLAlchemy appends the statement with its values, which may be secrets or rows.
    text = str(own) if own is not None else re.split(r"\n?\[(?:SQL|parameters)\b|\n\(Background", str(error))[0]
    return " ".join(text.split())[:_MOST_CHARACTERS].rstrip(". ") or type(error).__name__


def _other_version(found: str, wanted: str, folder: Path) -> RequestError:
    """Return the error on a database of another version of MLflow, older or newer."""
    import mlflow

    migrations = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
    # A schema version that this MLflow has no migration for is newer than it.
    known = any(file.name.startswith(f"{found}_") for file in migrations.glob("*.py"))
    database = f"sqlite:///{(folder / 'mlflow.db').absolute()}"
    cure = f"Copy it, and then run `mlflow db upgrade {database}`" if known else "Update MLflow"
    return RequestError(
        Setting("tracking.dir", shown(folder)),
        f"holds an mlflow.db of {'an older' if known else 'a newer'} MLflow (schema {found}, and {mlflow.__version__} "
        f"has {wanted})",
        remedy=f"{cure}, or name another folder.",
    )


def _code(error: BaseException) -> int | None:
    """Return SQLite's primary code of an error or its cause; ``None``: it is not from SQLite."""
    for one in chain(error):
        if isinstance(one, sqlite3.Error):
            code = getattr(one, "sqlite_errorcode", None)
            # The lowest byte of an extended code is the primary one.
            return None if code is None else int(code) & 0xFF
    return None


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, also by SQLAlchemy."""
    seen: set[int] = set()  # a context may refer back to an error of the chain
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        behind = getattr(error, "orig", None)  # SQLAlchemy keeps the driver's error here
        error = behind if isinstance(behind, BaseException) else error.__cause__ or error.__context__
