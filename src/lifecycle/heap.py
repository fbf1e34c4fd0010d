"""Memory that a step frees stays with the process for the next step, instead of going to the system and back.

glibc gives the top of its heap back as soon as enough of it is free. A network of some size frees all its activations
at the end of each step, so that every step would have the system clear the same pages again: half the time of a
convolution on images. See ``mallopt(3)``: M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = 256 * 1024**2
"""Bytes of freed memory that stay at most, meanwhile."""

LARGEST = 32 * 1024**2
"""Bytes of the largest block that comes from the heap; glibc allows no more."""

AFTERWARDS = 2 * LARGEST
"""The same afterwards: what glibc by itself comes to, in a process that uses large blocks."""


@contextmanager
def kept() -> Iterator[None]:
    """Keep freed memory meanwhile, and give it back at the end. Elsewhere than on glibc nothing happens."""
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
    libc.mallopt(M_TRIM_THRESHOLD, KEPT)
    try:
        yield
    finally:
        libc.mallopt(M_TRIM_THRESHOLD, AFTERWARDS)
        libc.malloc_trim(0)


def trim() -> None:
    """Give freed memory back to the system now."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
