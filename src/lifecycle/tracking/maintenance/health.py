"""Checks of a folder of runs, which change nothing in it. Imports no MLflow."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lifecycle import layout
from lifecycle.credentials import MASK
from lifecycle.errors import LifecycleError
from lifecycle.runtime.files import disk, locks
from lifecycle.runtime.files.digests import sha256
from lifecycle.tracking.maintenance import removal
from lifecycle.tracking.maintenance.folders import Inventory, inventory
from lifecycle.tracking.pages import tags
from lifecycle.tracking.servers import outbox
from lifecycle.tracking.spool import end_notes
from lifecycle.tracking.spool.journal import waiting
from lifecycle.tracking.transfer import local, locations

OK, WARNING, ERROR = "ok", "warning", "error"
LITTLE_ROOM = 2_000_000_000
"""Bytes; with less, a warning."""

REVISION = re.compile(r"^(down_)?revision\b[^=\n]*=\s*[\"'](\w+)[\"']", re.MULTILINE)
MOST_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """What a check found; ``cure`` says what to do, and is empty where nothing is to be done."""

    name: str
    state: str
    text: str
    cure: str = ""


def check(folder: Path) -> Iterator[Finding]:
    """Yield the findings of a folder of runs, which is absolute."""
    if not (folder / layout.DATABASE).is_file():
        yield Finding("runs", OK, f"{folder} has no runs yet")
        return
    yield from _disk(folder)
    yield from _locks(folder)
    try:
        with local.connected(folder) as database:
            damage = [row[0] for row in database.execute("PRAGMA integrity_check(3)")]
            if damage != ["ok"]:
                text = f"SQLite's integrity_check says: {damage[0]}"
                yield Finding("database", ERROR, text, "Restore mlflow.db from a backup, or copy it with `.recover`.")
                return
            yield Finding("database", OK, "SQLite's integrity_check finds no damage")
            yield _schema(database)
            known = inventory(folder, database)
            yield _moved(folder, database)
            yield _stale(folder, database)
            yield from _digests(folder, known, database)
    except LifecycleError as error:
        yield Finding("database", ERROR, str(error))
        return
    yield _orphans(folder)
    yield from _pending(folder)


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    state = ERROR if free < disk.LEAST_FREE else WARNING if free < LITTLE_ROOM else OK
    text = f"{disk.size_text(free)} are free on the disk of {folder}"
    yield Finding("disk", state, text, "" if state == OK else "Free some room; `lifecycle clean` lists what can go.")


def _locks(folder: Path) -> Iterator[Finding]:
    kind = locks.file_system(folder)
    name = f"file system {kind}" if kind else "file system"
    if not (folder / layout.LOCK).is_file():
        yield Finding("locks", WARNING, f"{name}; there is no {layout.LOCK} yet, so locks were not tried")
    elif not locks.work(folder / layout.LOCK):
        text = f"{name}: two processes can lock one file, so they could damage the database"
        yield Finding(
            "locks", ERROR, text, "Use a local folder, or mount the file system with locks (NFS: not nolock)."
        )
    elif kind.startswith(locks.NETWORK):
        text = f"{name} is a network file system; its locks work on this machine"
        yield Finding("locks", WARNING, text, "Check that they work between machines, or use a local folder.")
    else:
        yield Finding("locks", OK, f"{name}: locks work")


def _schema(database: sqlite3.Connection) -> Finding:
    found = str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    known, latest = _schemas()
    if found == latest:
        return Finding("schema", OK, f"{found}, that of the installed MLflow")
    if found in known:
        cure = "Copy mlflow.db, and then run `mlflow db upgrade` on it."
        return Finding("schema", ERROR, f"{found} is older than that of the installed MLflow, {latest}", cure)
    return Finding("schema", ERROR, f"{found} is of a newer MLflow than the installed one ({latest})", "Update MLflow.")


def _schemas() -> tuple[set[str], str]:
    """Return the versions of the schema that the installed MLflow knows, and the latest."""
    spec = find_spec("mlflow")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    own, before = set[str](), set[str]()
    for place in places:
        for file in (Path(place) / "store" / "db_migrations" / "versions").glob("*.py"):
            for is_before, version in REVISION.findall(file.read_text(encoding="utf-8")):
                (before if is_before else own).add(version)
    return own, next(iter(own - before), "unknown")


def _moved(folder: Path, database: sqlite3.Connection) -> Finding:
    moves = locations.locations_of(folder, database).moves
    if not moves:
        return Finding("folder", OK, "the database names the folder that it is in")
    text = f"the database names {locations.path_of(moves[0][0])}: the folder was moved or copied"
    return Finding("folder", WARNING, text, "Nothing is to be done: the next command that records corrects it.")


def _stale(folder: Path, database: sqlite3.Connection) -> Finding:
    found = database.execute(
        "SELECT runs.run_uuid, name FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key IN (?, ?) "
        "WHERE status = 'RUNNING' AND lifecycle_stage = 'active'",
        tags.both(layout.COMMAND),
    ).fetchall()
    dead = [f"{name} ({run})" for run, name in found if not local.is_open(folder, run)]
    alive = f"{len(found) - len(dead)} running"
    if not dead:
        return Finding("running", OK, f"{alive}, and no run is RUNNING whose process is gone")
    text = f"{alive}; {len(dead)} RUNNING without a process: {_some(dead)}"
    return Finding("running", WARNING, text, "The next run sets them to KILLED; `lifecycle resume` continues one.")


def _digests(folder: Path, known: Inventory, database: sqlite3.Connection) -> Iterator[Finding]:
    """Compare the files of saved models and checkpoints with the SHA-256 that was recorded of them."""
    models = [one.path for one in known.folders if one.kind in ("model", "artifacts")]
    manifests = [file for one in models for file in sorted(one.rglob(layout.MANIFEST)) if not file.is_symlink()]
    wrong = [str(file.parent.relative_to(folder)) for file in manifests if not _is_whole(file)]
    yield _compared("models", len(manifests), wrong, "Train that run again, or restore the files from a backup.")
    checkpoints = [one.path for one in known.folders if one.kind == "checkpoints"]
    digests = [file for one in checkpoints for file in sorted(one.glob("*.ckpt.sha256"))]
    wrong = [str(file.relative_to(folder)).removesuffix(".sha256") for file in digests if not _is_as_written(file)]
    yield _compared(
        "checkpoints", len(digests), wrong, "`lifecycle resume run=<id>` says whether best.ckpt can be used."
    )
    found = locations.locations_of(folder, database)
    rows = database.execute(
        "SELECT run_uuid, name, artifact_uri FROM runs WHERE lifecycle_stage = 'active' AND status = 'FINISHED'"
    )
    lost = [f"{name} ({run})" for run, name, address in rows if not found.path(address).is_dir()]
    if lost:
        text = f"{len(lost)} finished without a folder of artifacts: {_some(lost)}"
        yield Finding("artifacts", WARNING, text, "Copy the whole folder of runs, not only mlflow.db.")
    else:
        yield Finding("artifacts", OK, "each finished run has its folder")


def _compared(name: str, count: int, wrong: list[str], cure: str) -> Finding:
    if wrong:
        return Finding(name, ERROR, f"{len(wrong)} of {count} differ from their sha256: {_some(wrong)}", cure)
    return Finding(name, OK, f"{count} compared with their sha256, all equal")


def _is_whole(manifest: Path) -> bool:
    try:
        digests = json.loads(manifest.read_text(encoding="utf-8"))["sha256"]
        names = [name for name in digests if name != layout.MANIFEST and Path(name).name == name]
        return all(sha256(manifest.parent / name) == digests[name] for name in names)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _is_as_written(digests: Path) -> bool:
    try:
        return sha256(digests.with_name(digests.name.removesuffix(".sha256"))) in digests.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _orphans(folder: Path) -> Finding:
    found = removal.removable(folder, removal.Keep())
    if not found:
        return Finding("orphans", OK, "no folder is without a run")
    size = disk.size_text(sum(one.size for one in found))
    text = f"{len(found)} folder{'s' * (len(found) != 1)} without a run, {size}"
    return Finding("orphans", WARNING, text, "`lifecycle clean` lists and removes them.")


def _pending(folder: Path) -> Iterator[Finding]:
    notes = [file.stem for file in (folder / end_notes.FOLDER).glob("*.json")]
    recorded = [f"run {one.run_id}" for one in waiting(folder) if not one.is_written()]
    sent = [f"run {entry.run_id} to {entry.server}" for entry in outbox.entries(folder)]
    if recorded or notes:
        names = _some([*recorded, *(f"the end of run {run}" for run in sorted(notes))])
        text = f"{len(recorded) + len(notes)} still to be recorded: {names}"
        yield Finding("pending", WARNING, text, "`lifecycle sync` or the next command does it.")
    if sent:
        servers = {entry.server for entry in outbox.entries(folder)}
        address = next(iter(servers)) if len(servers) == 1 and MASK not in "".join(servers) else "<server>"
        text = f"{len(sent)} still to be sent: {_some(sent)}"
        yield Finding("pending", WARNING, text, f"`lifecycle sync tracking.uri={address}` does it.")
    if not (recorded or notes or sent):
        yield Finding("pending", OK, "nothing is still to be recorded or sent")


def _some(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
