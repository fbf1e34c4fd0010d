"""Whether a lock file is locked, and whether locks of its file system work; opens it to read only, changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.glusterfs")
"""Beginnings of the types of network file systems."""


def is_locked(file: Path) -> bool:
    """Return whether a process has locked a file with ``FileLock``; a file that does not exist is not locked."""
    if os.name != "posix":
        try:
            with FileLock(file, timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return False
    import fcntl

    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # freed with the descriptor
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def work(file: Path) -> bool:
    """Return whether a lock on a file excludes another one; it is free again at once."""
    import fcntl

    first, second = os.open(file, os.O_RDONLY), os.open(file, os.O_RDONLY)
    try:
        for descriptor in (first, second):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True  # also where another process has locked it now
    except OSError:
        return False
    finally:
        os.close(second)
        os.close(first)
    return False


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
