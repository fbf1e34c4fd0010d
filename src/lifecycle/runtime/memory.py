"""Keeps freed memory for the next training step, bounds allocations, and measures free memory.

glibc returns the top of its heap to the system when enough of it is free. A large network frees all its activations at
the end of each step, so that the system would have to clear the same pages again in every step: half the time of a
convolution on images. See ``mallopt(3)``: M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# The numbers of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = 256 * 1024**2
"""Most bytes of freed memory that are kept."""

LARGEST = 32 * 1024**2
"""Bytes of the largest block that is allocated from the heap; glibc allows no more."""

AFTERWARDS = 2 * LARGEST
"""Bytes of freed memory that are kept afterwards: the value that glibc adapts to in a process with large blocks. The
earlier value cannot be restored, as glibc has no function that returns it."""

TUNABLES = "GLIBC_TUNABLES"

_lock = threading.Lock()
_blocks = 0


@contextmanager
def kept() -> Iterator[None]:
    """Keep freed memory within the block; return it to the system when the last such block ends.

    Does nothing without glibc, or if the environment configures malloc, which is the user's choice.
    """
    global _blocks  # noqa: PLW0603 - malloc is the process's
    libc = _glibc()
    if libc is None:
        yield
        return
    with _lock:
        _blocks += 1
        if _blocks == 1:
            libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
            libc.mallopt(M_TRIM_THRESHOLD, KEPT)
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks:
                libc.mallopt(M_TRIM_THRESHOLD, AFTERWARDS)
                libc.malloc_trim(0)


@contextmanager
def uncollected() -> Iterator[None]:
    """Make many objects without a search for reference cycles, which would take half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def trim() -> None:
    """Return freed memory to the system now."""
    import pyarrow as pa

    # pyarrow has an allocator of its own, whose pages glibc does not know.
    pa.default_memory_pool().release_unused()
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@contextmanager
def bounded(free: int | None) -> Iterator[None]:
    """Let an allocation fail that needs more memory than is free; otherwise the system may kill the process.

    Args:
        free: bytes; ``None``: unknown, and nothing is bounded.
    """
    used = _data_bytes()
    if free is None or used is None:
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    # A limit that the user has set stays where it is lower.
    limits = [limit for limit in (used + free, *before) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _data_bytes() -> int | None:
    """Return the bytes that count against ``RLIMIT_DATA``; ``None`` on other systems than Linux."""
    try:
        with open("/proc/self/status") as lines:  # noqa: PTH123
            # A kB of /proc has 1024 bytes.
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    except (OSError, StopIteration, ValueError):
        return None


def _glibc() -> ctypes.CDLL | None:
    # Settings that the user has made for malloc stay as they are.
    configured = any(name.startswith("MALLOC_") for name in os.environ) or "malloc" in os.environ.get(TUNABLES, "")
    if configured or not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    # musl, another C library of Linux, has neither.
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def free_memory() -> int | None:
    """Return the bytes of memory that this process may still use; ``None`` if the system does not say."""
    found = []
    try:
        with open("/proc/meminfo") as lines:  # noqa: PTH123
            kilobytes = {line.partition(":")[0]: line.split()[1] for line in lines}
        found.append(int(kilobytes["MemAvailable"]) * 1024)
        found.append(_control_group())
    except (OSError, KeyError, ValueError):
        names = getattr(os, "sysconf_names", {})
        if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # macOS: half of it, as a guess
        return None
    return min(found)


def _control_group() -> int:
    """Return the bytes left by a container's limit; without a limit, more than any machine has."""
    try:
        with open("/sys/fs/cgroup/memory.max") as limit, open("/sys/fs/cgroup/memory.current") as used:  # noqa: PTH123
            return int(limit.read()) - int(used.read())
    except (OSError, ValueError):  # ValueError: "max"
        return 2**62
