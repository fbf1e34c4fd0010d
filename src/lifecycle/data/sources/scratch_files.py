"""A folder for temporary files of this process, such as unpacked ones, which is removed when the process ends."""

from __future__ import annotations

import atexit
import itertools
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

_PREFIX = f"lifecycle-{re.sub(r'[^A-Za-z0-9]', '_', socket.gethostname())}-"
_folders: dict[int, Path] = {}  # process -> its folder; a forked process has one of its own
_numbers = itertools.count()


def new_file(name: str) -> Path:
    """Return the path of a file to write, in a folder of its own, so that it may have any name."""
    folder = _folder() / str(next(_numbers))
    folder.mkdir()
    return folder / Path(name).name


def _folder() -> Path:
    process = os.getpid()
    if process not in _folders:
        _remove_left_over()
        _folders[process] = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{process}-"))
        atexit.register(_remove, process)
    return _folders[process]


def _remove(process: int) -> None:
    # A forked process inherits the function, and must not remove the folder of its parent.
    if process == os.getpid():
        shutil.rmtree(_folders.pop(process), ignore_errors=True)


def _remove_left_over() -> None:
    """Remove the folders of processes of this machine that were killed."""
    if os.name != "posix":  # elsewhere os.kill would end the process that it is to look for
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdigit() and not _is_alive(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
