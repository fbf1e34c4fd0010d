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


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system of a folder, such as ``ext4``; "" where it is unknown.

    Args:
        folder: that exists.
        mounts: table of the mounted file systems, as Linux has it.
    """
    try:
        lines = [line.split(" ") for line in mounts.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ""
    place, found = folder.resolve(), ("", "")
    for line in lines:
        # Spaces in a path are written as \040.
        point = line[1].replace("\\040", " ")
        if place.is_relative_to(point) and len(point) >= len(found[0]):
            found = point, line[2]
    return found[1]
