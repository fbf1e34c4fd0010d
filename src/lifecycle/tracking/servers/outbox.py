"""The runs that a server does not have in full, one file each, in the folder of the local database.

A file says which server a run is sent to, and how far that has got. Without this knowledge, all of the run is sent
again, which changes nothing on the server.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lifecycle import layout

SUFFIX = ".json"


@dataclass
class Entry:
    """A run that is sent to a server.

    Attributes:
        run_id: of the run in the local database.
        server: address, without credentials.
        experiment: name.
        artifacts: where a new experiment keeps artifacts; ``None``: the server decides.
        checkpoints: whether they are sent.
        server_run: id of the run on the server; "": none yet.
        experiment_id: on the server.
        row: the last row of the local table of metrics that was sent.
        params: keys that were sent.
        tags: as they were sent.
        inputs: data sets that were sent.
        files: size and time of change of each file that was sent, in nanoseconds.
        models: local ids of the models that were sent.
        status: as it was sent.
        beat: time of the last heartbeat, in seconds since 1970.
    """

    run_id: str
    server: str
    experiment: str
    artifacts: str | None = None
    checkpoints: bool = False
    server_run: str = ""
    experiment_id: str = ""
    row: int = 0
    params: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    files: dict[str, list[int]] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    status: str = ""
    beat: float = 0.0


def put(store: Path, entry: Entry) -> None:
    """Add a run, or let one that was added before be looked through again.

    Raises:
        OSError: the file cannot be written.
    """
    known = read(store, entry.run_id)
    # It may begin again, with new rows.
    again = None if known is None or known.server != entry.server else replace(known, row=0)
    write(store, again or entry)


def write(store: Path, entry: Entry) -> None:
    """Write a file in full, or not at all; only its owner can read it."""
    folder = store / layout.OUTBOX
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f".{entry.run_id}.{os.getpid()}.part"
    with open(part, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(asdict(entry), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / f"{entry.run_id}{SUFFIX}")


def read(store: Path, run_id: str) -> Entry | None:
    """Return the entry of a run, if there is one."""
    try:
        found: dict[str, Any] = json.loads((store / layout.OUTBOX / f"{run_id}{SUFFIX}").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = {one.name for one in fields(Entry)}
    return Entry(**{name: value for name, value in found.items() if name in known})


def entries(store: Path) -> Iterator[Entry]:
    """Yield the entries, the oldest first."""
    files = [(_age(file), file) for file in (store / layout.OUTBOX).glob(f"*{SUFFIX}")]
    for _, file in sorted(files):
        entry = read(store, file.stem)
        if entry is not None:
            yield entry


def remove(store: Path, run_id: str) -> None:
    """Remove the entry of a run: the server has all of it."""
    folder = store / layout.OUTBOX
    (folder / f"{run_id}{SUFFIX}").unlink(missing_ok=True)
    with suppress(OSError):
        (folder / f"{run_id}.lock").unlink(missing_ok=True)
        folder.rmdir()  # fails while there are others


@contextmanager
def turn(store: Path, run_id: str) -> Iterator[bool]:
    """Yield whether this process is the one that sends a run, during the block."""
    lock = FileLock(store / layout.OUTBOX / f"{run_id}.lock", timeout=0)
    try:
        lock.acquire()
    except (Timeout, OSError):  # the folder may be gone, with the last entry
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _age(file: Path) -> int:
    with suppress(OSError):  # removed by another process
        return file.stat().st_mtime_ns
    return 0
