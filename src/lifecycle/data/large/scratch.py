"""A temporary file for numbers that do not fit into memory, which is removed however the process ends."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from lifecycle.errors import RequestError, Setting, Text

MORE_ROOM: Text = ["Set TMPDIR to a folder with more room, or raise ", Setting("data.memory_gb"), "."]


class Scratch:
    """A file of numbers, read and written at byte offsets.

    The file is in the folder for temporary files (``TMPDIR``). Where the system allows it, the file has no name, so its
    space is freed when it is closed or garbage-collected, and when the process is killed.

    It is not memory-mapped: mapped pages would count as memory of the process, whose limit the user set.

    Args:
        path: of a file that other processes open too, which the caller removes; ``None``: a file without a name.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.size = 0
        # A finalizer rather than a context manager: rows are read for as long as something refers to them.
        file: Any = _opened(path)
        self._file = file
        self._lock = threading.Lock()
        weakref.finalize(self, file.close)

    def append(self, values: np.ndarray[Any, Any]) -> int:
        """Write at the end, and return the offset in bytes."""
        place = self.size
        self.write(values, place)
        return place

    def write(self, values: np.ndarray[Any, Any], place: int) -> None:
        """Write an array at the offset ``place``, in bytes.

        Raises:
            RequestError: the disk is full.
        """
        left = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        try:
            with self._lock:
                self._file.seek(place)
                while left:
                    # A file without a buffer may take a part only.
                    left = left[self._file.write(left) :]
                self.size = max(self.size, self._file.tell())
        except OSError as error:
            folder, written = tempfile.gettempdir(), f"{self.size / 1e9:.3g} GB"
            problem = f"needs rows on disk, and {folder} failed after {written} of them: {error.strerror}"
            raise RequestError("data.memory_gb", problem, remedy=MORE_ROOM) from error

    def read(self, values: np.ndarray[Any, Any], place: int) -> None:
        """Fill a contiguous array from the offset ``place``, in bytes."""
        left = values.reshape(-1).view(np.uint8).data
        with self._lock:
            self._file.seek(place)
            while left:
                got = self._file.readinto(left)
                if not got:
                    raise OSError(f"a scratch file ended {len(left)} bytes too early")
                left = left[got:]


def _opened(path: Path | None) -> Any:
    if path is None:
        return tempfile.TemporaryFile(buffering=0)
    # Created if there is none, and never truncated: another process may have written to it.
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)


def check_room(needed: int) -> None:
    """Check that the folder for temporary files has enough space.

    Args:
        needed: bytes.

    Raises:
        RequestError: names the folder and its free space.
    """
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needed > free:
        problem = f"needs {needed / 1e9:.3g} GB of rows on disk, and {folder} has {free / 1e9:.3g} GB free"
        raise RequestError("data.memory_gb", problem, remedy=MORE_ROOM)
