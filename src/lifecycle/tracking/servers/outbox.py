"""The runs that servers do not have in full, in the folder of the local database: a file for each run and server.

A file says how far a run has been sent. Without this knowledge, the run is compared with what the server has of it, so
that a file can always be begun anew.

A process that opens a run adds it with :func:`put`, which writes a file of its own (``.new``) and never touches what
the process that sends has written (``.json``): neither waits for the other, and neither undoes what the other did.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lifecycle import layout

NEW, TAKEN, KNOWN = SUFFIXES = ".new", ".taken", ".json"
"""A run that was added; one that is being taken over by the process that sends; how far it has been sent."""


@dataclass
class Entry:
    """A run that is sent to a server.

    Attributes:
        run_id: of the run in the local database.
        server: what it is known by, see :func:`lifecycle.config.tracking_address.identity`.
        artifacts: where a new experiment keeps artifacts; ``None``: the server decides.
        checkpoints: whether they are sent.
        server_run: id of the run on the server; "": none yet.
        experiment_id: on the server.
        row: the last row of the local table of metrics that was sent.
        points: number of rows that were sent up to that one.
        params: keys that were sent.
        tags: as they were sent.
        inputs: name and digest of each data set that was sent.
        files: of each file that was sent: size, time of change in nanoseconds, and SHA-256.
        models: local ids of the models that were sent.
        versions: name and number of each version of a registered model that was sent.
        status, ended: as they were sent; milliseconds since 1970, ``None``: the run has not ended.
        beat: time of the last heartbeat, in seconds since 1970.
        is_doubted: whether the server has gone away since, and may have lost some of it.
        is_compared: whether the server was compared since the run has ended.
    """

    run_id: str
    server: str
    artifacts: str | None = None
    checkpoints: bool = False
    server_run: str = ""
    experiment_id: str = ""
    row: int = 0
    points: int = 0
    params: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    files: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    status: str = ""
    ended: int | None = None
    beat: float = 0.0
    is_doubted: bool = False
    is_compared: bool = False

    @property
    def name(self) -> str:
        """Name of its files, without the suffix."""
        return f"{self.run_id}-{_digest(self.server)}"


def put(store: Path, entry: Entry) -> None:
    """Add a run, also one that was added before: it is compared with the server again, as it may begin again.

    Raises:
        OSError: the file cannot be written.
    """
    _write(store, f"{entry.name}{NEW}", entry)


def write(store: Path, entry: Entry) -> None:
    """Write how far a run has been sent; its caller has its turn."""
    _write(store, f"{entry.name}{KNOWN}", entry)


def _write(store: Path, name: str, entry: Entry) -> None:
    """Write a file in full, or not at all; only its owner can read it."""
    folder = store / layout.OUTBOX
    part = folder / f".{name}.{os.getpid()}.part"
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with open(part, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                json.dump(asdict(entry), file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(folder / name)
        except FileNotFoundError:  # another process has removed the folder with its last file
            continue
        return


def take(store: Path, name: str, server: str) -> Entry | None:
    """Return how far a run has been sent to a server, with what was added since; ``None``: it is there in full.

    Its caller has its turn.
    """
    new, taken, known = (store / layout.OUTBOX / f"{name}{suffix}" for suffix in (NEW, TAKEN, KNOWN))
    with suppress(FileNotFoundError):
        new.replace(taken)  # one that is put from now on is another file
    if taken.exists():
        added, before = _read(taken) or Entry(run_of(name), server), _read(known)
        is_sent = added.checkpoints or (before is not None and before.checkpoints)
        write(store, replace(added, checkpoints=is_sent))
        taken.unlink(missing_ok=True)
    if not known.exists():
        return None
    return _read(known) or Entry(run_of(name), server)  # of another version: the run is compared with the server


def names(store: Path, server: str | None = None) -> list[str]:
    """Return the names of the entries for a server, the oldest first; ``None``: of all."""
    ages: dict[str, int] = {}
    for file in (store / layout.OUTBOX).glob("*" if server is None else f"*-{_digest(server)}.*"):
        if file.suffix in SUFFIXES and not file.name.startswith("."):
            ages[file.stem] = min(_age(file), ages.get(file.stem, sys.maxsize))
    return sorted(ages, key=lambda name: (ages[name], name))


def run_of(name: str) -> str:
    """Return the id of the run of an entry, by the name of the entry or of one of its files."""
    return name.partition("-")[0]


def is_waiting(store: Path, name: str) -> bool:
    """Return whether there is an entry of a name."""
    return any((store / layout.OUTBOX / f"{name}{suffix}").exists() for suffix in SUFFIXES)


def read(store: Path, name: str) -> Entry | None:
    """Return an entry, if it is there; one that was added again has its earlier progress until it is taken."""
    found = (_read(store / layout.OUTBOX / f"{name}{suffix}") for suffix in (KNOWN, TAKEN, NEW))
    return next((entry for entry in found if entry is not None), None)


def entries(store: Path) -> Iterator[Entry]:
    """Yield the entries, the oldest first."""
    for name in names(store):
        entry = read(store, name)
        if entry is not None:
            yield entry


def remove(store: Path, entry: Entry) -> None:
    """Remove how far a run has been sent: the server has all of it. One that was put meanwhile stays.

    Its caller has its turn.
    """
    (store / layout.OUTBOX / f"{entry.name}{KNOWN}").unlink(missing_ok=True)


@contextmanager
def turn(store: Path, name: str) -> Iterator[bool]:
    """Yield whether this process is the one that sends a run, during the block; another one may be."""
    if not is_waiting(store, name):  # the lock would be a file that nobody removes
        yield False
        return
    lock = FileLock(store / layout.OUTBOX / f"{name}.lock", timeout=0)
    try:
        lock.acquire()
    except (Timeout, OSError):  # the folder may be gone, with the last entry
        yield False
        return
    try:
        yield True
        if not is_waiting(store, name):
            with suppress(OSError):
                (store / layout.OUTBOX / f"{name}.lock").unlink(missing_ok=True)
                (store / layout.OUTBOX).rmdir()
    finally:
        lock.release()


def _read(file: Path) -> Entry | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        kept = {one.name: found[one.name] for one in fields(Entry) if one.name in found}
        kept["files"] = {name: (size, when, digest) for name, (size, when, digest) in kept["files"].items()}
        return Entry(**kept)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none, or one of another version
        return None


def _digest(server: str) -> str:
    return hashlib.sha256(server.encode()).hexdigest()[:8]


def _age(file: Path) -> int:
    with suppress(OSError):  # removed by another process
        return file.stat().st_mtime_ns
    return 0
