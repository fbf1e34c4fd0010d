"""A file for numbers that memory has no room for: without a name, and gone when its process is, however that ends."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from typing import Any

import numpy as np

from lifecycle.errors import RequestError, Setting, Text

MORE_ROOM: Text = ["Set TMPDIR to a folder with more room, or raise ", Setting("data.memory_gb"), "."]


class Scratch:
    """Numbers by their place, written and read without ever being mapped into memory.

    The file is in the folder for temporary files, which ``TMPDIR`` names. It has no name there (where the system allows
    it), so that its room is given back when it is closed or forgotten, and when the process is killed.
    """

    def __init__(self) -> None:
        self.size = 0
        # weakref rather than a context: rows are read as long as anything holds them
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._file: Any = file
        self._lock = threading.Lock()
        weakref.finalize(self, file.close)

    def append(self, values: np.ndarray[Any, Any]) -> int:
        """Write after all that is there, and return where, in bytes."""
        place = self.size
        self.write(values, place)
        return place

    def write(self, values: np.ndarray[Any, Any], place: int) -> None:
        """Write an array's numbers from ``place`` on, in bytes.

        Raises:
            RequestError: the disk is full.
        """
        left = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        try:
            with self._lock:
                self._file.seek(place)
                while left:
                    left = left[self._file.write(left) :]
                self.size = max(self.size, self._file.tell())
        except OSError as error:
            folder, written = tempfile.gettempdir(), f"{self.size / 1e9:.3g} GB"
            problem = f"needs rows on disk, and {folder} failed after {written} of them: {error.strerror}"
            raise RequestError("data.memory_gb", problem, remedy=MORE_ROOM) from error

    def read(self, values: np.ndarray[Any, Any], place: int) -> None:
        """Fill a contiguous array with what stands from ``place`` on, in bytes."""
        left = values.reshape(-1).view(np.uint8).data
        with self._lock:
            self._file.seek(place)
            while left:
                got = self._file.readinto(left)
                if not got:
                    raise OSError(f"a scratch file ended {len(left)} bytes too early")
                left = left[got:]


def check_room(needed: int) -> None:
    """Refuse rows that the folder for temporary files cannot hold.

    Args:
        needed: bytes.

    Raises:
        RequestError: names the folder and its room.
    """
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needed > free:
        problem = f"needs {needed / 1e9:.3g} GB of rows on disk, and {folder} has {free / 1e9:.3g} GB free"
        raise RequestError("data.memory_gb", problem, remedy=MORE_ROOM)
