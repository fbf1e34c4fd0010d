"""The room on a disk."""

from __future__ import annotations

import shutil
from pathlib import Path

LEAST_FREE = 100_000_000
"""Bytes of a disk that unpacked files leave free."""


def is_full(folder: Path, more: int = 0) -> bool:
    """Return whether a disk has too little room.

    Args:
        folder: on the disk.
        more: bytes that are needed.
    """
    return shutil.disk_usage(folder).free - more < LEAST_FREE


def size_text(count: int) -> str:
    """Return a number of bytes for people, in powers of 1000 as tools for disks write them.

    >>> [size_text(count) for count in (0, 999, 1000, 1_250_000, 3_000_000_000)]
    ['0 B', '999 B', '1.0 kB', '1.2 MB', '3.0 GB']
    """
    amount, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 999.95 or unit == "TB":
            break
        amount /= 1000
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
