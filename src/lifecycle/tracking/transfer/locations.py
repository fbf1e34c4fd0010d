"""Finds the files of a store that was moved or copied: MLflow's database has the absolute address of each folder.

An address is a path or a ``file:`` URI. Only addresses below the folder that a store was in before are changed; the
location that somebody chose for an experiment outside of it stays. Imports no MLflow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from lifecycle import layout
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime.files import locks
from lifecycle.runtime.files.paths import shown
from lifecycle.tracking.database.connection import MAX_WAIT, connect

ADDRESSES = (
    ("experiments", "artifact_location", ""),
    ("runs", "artifact_uri", ""),
    ("logged_models", "artifact_location", ""),
    ("model_versions", "source", ""),
    ("model_versions", "storage_location", ""),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation' AND "),
)
"""Table and column of each address, and which of the rows have one."""

FILES = f"/{layout.ARTIFACTS}/"


@dataclass(frozen=True)
class Locations:
    """Where the files of a store are.

    Attributes:
        folder: of the store.
        moves: beginnings of addresses of folders that it was in before, and what they are now; empty where the database
            has the addresses of this folder.
    """

    folder: Path
    moves: tuple[tuple[str, str], ...] = ()

    def address(self, address: str) -> str:
        """Return the present address of a folder."""
        for then, now in self.moves:
            if address.startswith(then) and not (now.startswith(then) and address.startswith(now)):
                return now + address[len(then) :]
        return address

    def path(self, address: str) -> Path:
        """Return the present path of a folder."""
        return path_of(self.address(address))


def path_of(address: str) -> Path:
    """Return the path of an address."""
    return Path(url2pathname(urlsplit(address).path)) if address.startswith("file:") else Path(address)


def locations_of(folder: Path, database: sqlite3.Connection) -> Locations:
    """Return where the files of a store are, by its database."""
    roots = dict.fromkeys(root for root in _roots(folder, database) if not _is_same(path_of(root), folder))
    moves = dict.fromkeys(
        move
        for root in map(path_of, roots)
        for move in ((f"{root.as_uri()}/", f"{folder.as_uri()}/"), (f"{root}/", f"{folder}/"))
    )
    # The longest first: one folder may have been within another.
    return Locations(folder, tuple(sorted(moves, key=lambda move: -len(move[0]))))


def read(folder: Path) -> Locations:
    """Return where the files of a store are, which is not changed.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    file = folder / layout.DATABASE
    if not file.is_file() or not file.stat().st_size:
        return Locations(folder)
    with closing(connect(file, wait=MAX_WAIT)) as database:
        return locations_of(folder, database)


def settle(folder: Path, must: bool = True) -> Locations:
    """Have the database name the folder that it is in; the caller has the store's lock.

    Args:
        folder: of the store.
        must: whether it must; else a database that is in use keeps the addresses.

    Raises:
        RequestError: a process records in the folder under its other name.
        sqlite3.Error: the database cannot be read or written.
    """
    found = read(folder)
    if not found.moves:
        return found
    with closing(connect(folder / layout.DATABASE, to_write=True, wait=MAX_WAIT)) as database:
        if (run := _open_run(folder, database)) is not None:
            if not must:
                return found
            then = path_of(found.moves[0][0])
            raise RequestError(
                Setting("tracking.dir", shown(folder)),
                f"is used by run {run} as {then}",
                remedy=["Write ", Setting("tracking.dir", then), " too, or wait for the end of the run."],
            )
        with database:
            for table, column, condition in ADDRESSES:
                if column in _columns(database, table):
                    _rewrite(database, table, column, condition, found.moves)
    return Locations(folder)


def _rewrite(
    database: sqlite3.Connection, table: str, column: str, condition: str, moves: tuple[tuple[str, str], ...]
) -> None:
    for then, now in moves:
        own, values = "", [now, len(then) + 1, len(then), then]
        # An address that has the new beginning is not changed again, where one folder is within the other.
        if now.startswith(then):
            own, values = f" AND substr({column}, 1, ?) != ?", [*values, len(now), now]
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - our own names
            f"WHERE {condition}substr({column}, 1, ?) = ?{own}",
            values,
        )


def _roots(folder: Path, database: sqlite3.Connection) -> Iterator[str]:
    """Yield the address of each folder that the database names as that of the store, this one too."""
    if not {"artifact_location", "name"} <= _columns(database, "experiments"):
        return
    for name, location in database.execute("SELECT name, artifact_location FROM experiments"):
        if (root := _root_of_experiment(folder, str(name), str(location or ""))) is not None:
            yield root
    # Runs that were recorded by a process that had the store under its other name.
    others = database.execute(
        "SELECT runs.run_uuid, runs.artifact_uri, experiments.artifact_location FROM runs JOIN experiments "
        "ON experiments.experiment_id = runs.experiment_id WHERE runs.artifact_uri IS NOT NULL "
        "AND substr(runs.artifact_uri, 1, length(artifact_location) + 1) != artifact_location || '/'"
    )
    for run, address, location in others:
        files, place = str(address).removesuffix(f"/{run}/artifacts"), f"{FILES}{str(location).rpartition(FILES)[2]}"
        if files != address and files.endswith(place):
            yield files.removesuffix(place)


def _root_of_experiment(folder: Path, name: str, location: str) -> str | None:
    """Return the address of the store in which an experiment was created; ``None``: its files are elsewhere."""
    pieces = location.split(FILES)
    splits = [(FILES.join(pieces[:at]), unquote(FILES.join(pieces[at:]))) for at in range(1, len(pieces))]
    for root, rest in splits:
        # An experiment that was renamed keeps the name of its folder.
        if rest == name or (folder / layout.ARTIFACTS / rest).is_dir():
            is_here = (folder / layout.ARTIFACTS / rest).is_dir()
            is_chosen = path_of(location).is_dir() and not (path_of(root) / layout.DATABASE).is_file()
            return None if is_chosen and not is_here else root
    return None


def _open_run(folder: Path, database: sqlite3.Connection) -> str | None:
    """Return a run that a process has open: it has the addresses in memory."""
    for (run,) in database.execute("SELECT run_uuid FROM runs WHERE status = 'RUNNING'").fetchall():
        if locks.is_locked(folder / layout.CHECKPOINTS / run / layout.LOCK):
            return str(run)
    return None


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two paths are of one folder, such as a symbolic link and its target."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
