"""One run as a zip file: its rows as JSON, its files, and the SHA-256 of each; nothing is pickled.

Reading takes anybody's file: names, sizes and digests are checked, and nothing is in the store before all of it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lifecycle import layout
from lifecycle.errors import RequestError, Setting, first_line
from lifecycle.runtime.files import disk
from lifecycle.runtime.files.paths import shown
from lifecycle.tracking.store import NO_STATUS
from lifecycle.tracking.transfer import local, run_copy
from lifecycle.tracking.transfer.files import Folders, is_safe
from lifecycle.tracking.transfer.local import LocalRun
from lifecycle.tracking.transfer.run_copy import RunCopy

FORMAT = 1
MANIFEST = "lifecycle-run.json"
"""The first file of the zip: format, rows of the run, and size and SHA-256 of each file."""

MOST_FILES = 100_000
MOST_MANIFEST_BYTES = 256_000_000
"""A manifest has each point of each metric, in about 60 bytes."""

BYTES_AT_ONCE = 1 << 20
STAGED = ".unpacking-"
"""Beginning of the name of a folder in the store while its files are checked."""

DIGEST = re.compile(r"[0-9a-f]{64}")
ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RecursionError)
"""What a damaged zip or manifest raises."""


@dataclass(frozen=True)
class Packed:
    """What a zip has: the run, and name -> (size in bytes, SHA-256) of each file."""

    copy: RunCopy
    files: dict[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for size, _ in self.files.values())


def pack(folder: Path, run: str, output: Path) -> Packed:
    """Write a run of a store into a zip file.

    Args:
        folder: of the store.
        run: id of the run.
        output: the file, which does not exist.

    Raises:
        RequestError: a process records the run, or it is not there.
        OSError: the file cannot be written.
    """
    with _unused(folder, run):
        found = local.read(folder, run)
        if found is None:
            raise RequestError(f"run {run}", f"is not in {shown(folder)}", remedy="Name another run.")
        copy, files = _ended(found.copy), found.folders.files()
        sizes = {name: (file.stat().st_size, _digest(file)) for name, file in files.items()}
        packed = Packed(copy, sizes)
        part = output.with_name(f".{output.name}.part")
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(MANIFEST, json.dumps(_manifest(packed), indent=1))
                for name, file in files.items():
                    archive.write(file, name)
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
    return packed


@contextmanager
def _unused(folder: Path, run: str) -> Iterator[None]:
    """Hold the lock of a run, so that no process resumes it meanwhile."""
    checkpoints = folder / layout.CHECKPOINTS / run
    lock = FileLock(checkpoints / layout.LOCK, timeout=0)
    try:
        if os.access(checkpoints, os.W_OK):  # nothing records in a store that can only be read
            lock.acquire()
        yield
    except Timeout as error:
        problem = "is still running in another process"
        raise RequestError(f"run {run}", problem, remedy="Wait for its end, or end it.") from error
    finally:
        lock.release()


def _ended(copy: RunCopy) -> RunCopy:
    """Return a run with its end, which a process that was killed has not recorded."""
    if copy.ended is not None and copy.status != "RUNNING":
        return copy
    last = max((when for _, _, when, _ in copy.points), default=copy.started)
    return replace(copy, status="KILLED", ended=max(last, copy.started), tags={layout.ERROR: NO_STATUS, **copy.tags})


def _manifest(packed: Packed) -> dict[str, Any]:
    files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in packed.files.items()}
    return {"format": FORMAT, "run": packed.copy.content(), "files": files}


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def opened(file: Path, key: Setting) -> Iterator[tuple[zipfile.ZipFile, Packed]]:
    """Open a zip file, and check everything of it but the bytes of its files.

    Args:
        file: of :func:`pack`, or of anybody.
        key: of the file, for messages.

    Raises:
        RequestError: it is no such file, or damaged, or unsafe.
    """
    try:
        archive = zipfile.ZipFile(file)
    except FileNotFoundError as error:
        raise RequestError(key, "does not exist", remedy="Name a file that lifecycle pack wrote.") from error
    except ERRORS as error:
        problem = f"cannot be read as a zip: {first_line(error)}"
        raise RequestError(key, problem, remedy="Copy it again: it may be incomplete.") from error
    with archive:
        try:
            packed = _checked(archive)
        except ERRORS as error:
            raise _refusal(key, error) from error
        yield archive, packed


def _refusal(key: Setting, error: BaseException) -> RequestError:
    problem = f"is no run that can be unpacked: {first_line(error)}"
    return RequestError(key, problem, remedy="Pack the run again, and copy the file again.")


def _checked(archive: zipfile.ZipFile) -> Packed:
    """Return what a zip has; raises ``ValueError`` for one that is not as :func:`pack` writes it."""
    names = _names(archive)
    if MANIFEST not in names:
        raise ValueError(f"it has no {MANIFEST}")
    if archive.getinfo(MANIFEST).file_size > MOST_MANIFEST_BYTES:
        raise ValueError(f"its {MANIFEST} has more than {disk.size_text(MOST_MANIFEST_BYTES)}")
    packed = _packed(json.loads(archive.read(MANIFEST)))
    if {*packed.files, MANIFEST} != set(names):
        other = min({*packed.files, MANIFEST} ^ set(names))
        raise ValueError(f"{other[:60]!r} is in the manifest or in the zip, and not in both")
    models = {one.id for one in packed.copy.models}
    for name, (size, _) in packed.files.items():
        if archive.getinfo(name).file_size != size:
            raise ValueError(f"{name[:60]!r} has another size than the manifest says")
        if name.startswith("models/") and name.split("/")[1] not in models:
            raise ValueError(f"{name[:60]!r} belongs to no model of the run")
    return packed


def _names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the files of a zip, each of which can be written within a folder."""
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise ValueError(f"it has {len(entries)} files, and {MOST_FILES} are the most")
    for entry in entries:
        if entry.flag_bits & 1:
            raise ValueError(f"{entry.filename[:60]!r} is encrypted")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ValueError(f"{entry.filename[:60]!r} is no plain file")
        if entry.filename != MANIFEST and not is_safe(entry.filename):
            raise ValueError(f"the name {entry.filename[:60]!r} is no name of a file of a run")
    names = [entry.filename for entry in entries]
    if len({name.casefold() for name in names}) != len(names):
        raise ValueError("it has two files of one name")
    return names


def _packed(manifest: Any) -> Packed:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise ValueError(f"its format is {str(found)[:20]}, and this version reads {FORMAT}")
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        raise ValueError("its manifest lists no files")  # noqa: TRY004 - as for all else that is wrong with it
    files = {}
    for name, about in listed.items():
        size, digest = (about.get("bytes"), about.get("sha256")) if isinstance(about, dict) else (None, None)
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise ValueError(f"its manifest has no size and sha256 of {name[:60]!r}")
        files[name] = (size, digest)
    return Packed(run_copy.read(manifest.get("run")), files)


def is_same(packed: Packed, known: LocalRun) -> bool:
    """Return whether a store has the run of a zip already, with the same rows and files."""
    if {**packed.copy.content(), "experiment": ""} != {**_ended(known.copy).content(), "experiment": ""}:
        return False
    return {name: digest for name, (_, digest) in packed.files.items()} == known.folders.digests()


def unpack(archive: zipfile.ZipFile, packed: Packed, folder: Path, key: Setting) -> Folders:
    """Write the run of a zip into a store, which does not have it; the caller has the store's lock.

    Args:
        archive: of :func:`opened`.
        packed: likewise.
        folder: of the store, which has the experiment of ``packed.copy``.
        key: of the zip file, for messages.

    Raises:
        RequestError: a file is damaged, or the disk has no room; the store is as before.
    """
    if disk.is_full(folder, packed.size):
        problem = f"unpacks to {disk.size_text(packed.size)}, for which {shown(folder)} has no room"
        raise RequestError(key, problem, remedy="Free some room, or name another tracking.dir.")
    staged = Path(tempfile.mkdtemp(prefix=STAGED, dir=folder))
    try:
        try:
            for name, (size, digest) in packed.files.items():
                _extract(archive, name, size, digest, staged / name)
        except ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk, not of the zip
            raise _refusal(key, error) from error
        return local.write(folder, packed.copy, staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _extract(archive: zipfile.ZipFile, name: str, size: int, digest: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    found, written = hashlib.sha256(), 0
    with archive.open(name) as stream, target.open("xb") as out:
        while block := stream.read(BYTES_AT_ONCE):
            written += len(block)
            if written > size:
                break  # it is longer than it says
            found.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if written != size or found.hexdigest() != digest:
        raise ValueError(f"{name[:60]!r} has another sha256 than the manifest says")
