"""Whether a lock file is locked, and whether locks of its file system work; opens it to read only, changes nothing."""

from __future__ import annotations

from pathlib import Path

NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.glusterfs")
"""Beginnings of the types of network file systems."""


def is_locked(file: Path) -> bool:
    """Return whether a process has locked a file with ``FileLock``; a file that does not exist is not locked."""
    if not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            _lock(stream.fileno(), is_shared=True)  # freed with the descriptor
    except BlockingIOError:
        return True
    except OSError:  # it cannot be read, or its file system has no locks
        return False
    return False


def work(file: Path) -> bool:
    """Return whether a lock on a file excludes another one; it is free again at once."""
    try:
        with file.open("rb") as first, file.open("rb") as second:
            _lock(first.fileno())
            _lock(second.fileno())
    except BlockingIOError:
        return True  # also where another process has locked it now
    except OSError:
        return False
    return False


def _lock(descriptor: int, is_shared: bool = False) -> None:
    import fcntl  # as FileLock has it on Unix

    fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


MOUNTS = Path("/proc/self/mounts")
"""Table of the mounted file systems, as Linux has it."""

LOCAL_OPTIONS = ("nolock", "local_lock=all", "local_lock=flock", "nobrl", "localflock")
"""Options with which a network file system keeps its locks to one machine."""
LOCAL_TYPES = ("fuse.sshfs", "9p")
"""Network file systems whose locks never leave a machine."""


def file_system(folder: Path, mounts: Path | None = None) -> str:
    """Return the type of the file system of a folder, such as ``ext4``; "" where it is unknown.

    Args:
        folder: that exists.
        mounts: table of the mounted file systems; ``None``: that of this machine.
    """
    return _mount(folder, mounts)[0]


def hold_here_only(folder: Path, mounts: Path | None = None) -> bool:
    """Return whether a folder is on a network file system whose locks hold on one machine only.

    Args:
        folder: as :func:`file_system` takes it, like the next.
        mounts: likewise.
    """
    kind, options = _mount(folder, mounts)
    if not kind.startswith(NETWORK):
        return False
    without = kind == "lustre" and "flock" not in options
    return without or kind in LOCAL_TYPES or any(option in LOCAL_OPTIONS for option in options)


def _mount(folder: Path, mounts: Path | None) -> tuple[str, list[str]]:
    """Return the type and the options of the file system that a folder is on; empty where they are unknown."""
    try:
        lines = [line.split(" ") for line in (mounts or MOUNTS).read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "", []
    place, point, found = folder.resolve(), "", ("", [""])
    for line in lines:
        # Spaces in a path are written as \040.
        other = line[1].replace("\\040", " ")
        if place.is_relative_to(other) and len(other) >= len(point):
            point, found = other, (line[2], line[3].split(","))
    return found
