"""Turns errors from outside our code into messages: full disks, too little memory, long names, errors of plugins."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from lifecycle import registry
from lifecycle.errors import (
    DiskError,
    LifecycleError,
    OutOfMemoryError,
    PluginError,
    RequestError,
    Setting,
    Text,
)

# EDQUOT: the quota of the user is used up. EFBIG: a limit on the size of a file, as of `ulimit -f`.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_TEXT = re.compile(r"No space left on device|Disk quota exceeded|File too large|database or disk is full")
"""Messages of libraries that raise other exceptions than ``OSError``, such as SQLite and PyTorch."""

MEMORY_TEXT = re.compile(
    r"can't allocate memory|not enough memory|out of memory|Unable to allocate|malloc of size|std::bad_alloc",
    re.IGNORECASE,
)
REQUESTED = (
    re.compile(r"[Tt]ried to allocate ([\d.]+ ?\w+)"),  # torch
    re.compile(r"Unable to allocate ([\d.]+ ?\w+)"),  # numpy
    re.compile(r"(?:malloc|realloc) of size (\d+)"),  # pyarrow
)
OURS = "lifecycle"
FORWARD = ("forward", "probe")
"""Our functions that call a network."""


@dataclass(frozen=True)
class Cures:
    """Remedies of the messages.

    Attributes:
        less: where memory does not suffice, without a full stop.
        again: after a full disk has space again, without a full stop.
        refused: whether too little memory is a ``RequestError``, as no run is open yet.
    """

    less: Text = "Use fewer rows, or a smaller network"
    again: str = "run again"
    refused: bool = False


@contextmanager
def explained(cures: Cures = Cures()) -> Iterator[None]:
    """Replace faults of the machine within the block (memory, disk) by errors for the user; see :func:`explanation`."""
    try:
        yield
    except Exception as error:
        found = explanation(error, cures)
        if found is None:
            raise
        raise found from error


def explanation(error: BaseException, cures: Cures = Cures()) -> LifecycleError | None:
    """Return the error with a message for the user; ``None`` if it has one already, or is a bug of ours."""
    if isinstance(error, LifecycleError):
        return None
    return _of_disk(error, cures) or _of_memory(error, cures) or _of_name(error) or _of_plugin(error)


def largest(plugin: object) -> Text:
    """Return the field of a model plugin with the largest whole number: ``model.hidden=[512,512]``."""
    fields = vars(plugin)
    numbers = {
        # type() rather than isinstance(), since True is an int.
        name: max((one for one in (value if isinstance(value, list) else [value]) if type(one) is int), default=0)
        for name, value in fields.items()
    }
    name = max(numbers, key=lambda key: numbers[key], default="")
    return Setting(f"model.{name}", fields[name]) if numbers.get(name) else "the sizes of the model"


def is_full(error: BaseException) -> bool:
    """Return whether an exception, or one that it was raised from, says that a disk is full."""
    return full_errno(error) is not None


def full_errno(error: BaseException) -> int | None:
    """Return the ``errno`` of a full disk in a chain of exceptions; ``None`` if there is none."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in FULL:
            return one.errno
    return errno.ENOSPC if any(FULL_TEXT.search(str(one)) for one in _chain(error)) else None


def _of_disk(error: BaseException, cures: Cures) -> LifecycleError | None:
    if (number := full_errno(error)) is None:
        return None
    names = [one.filename for one in _chain(error) if isinstance(one, OSError) and one.filename]
    what = f"{names[0]} could not be written" if names else "a file could not be written"
    return DiskError(f"{what}: {os.strerror(number)}. Free some room on that disk, then {cures.again}.")


def _of_memory(error: BaseException, cures: Cures) -> LifecycleError | None:
    chain = list(_chain(error))
    if not any(isinstance(one, MemoryError) or _says_memory(one) for one in chain):
        return None
    # The size may be in the message of a cause: libraries wrap the exceptions of others.
    text = " ".join(map(str, chain))
    found = next((match[1] for pattern in REQUESTED if (match := pattern.search(text))), None)
    size = _readable(found) if found else ""
    device = "the GPU's memory" if "CUDA" in text else "memory"
    problem = f"does not suffice{f', {size} were requested' if size else ''}"
    refused = RequestError(device, problem, remedy=[cures.less, "."])
    return refused if cures.refused else OutOfMemoryError(str(refused))


def _says_memory(error: BaseException) -> bool:
    """Return whether an exception of torch or pyarrow is about memory; by name, as pyarrow may not be imported."""
    known = isinstance(error, RuntimeError | MemoryError) or type(error).__name__ == "ArrowMemoryError"
    return known and MEMORY_TEXT.search(str(error)) is not None


def _readable(size: str) -> str:
    """Return a size with a unit; torch and pyarrow give bytes.

    >>> _readable("160000000000 bytes"), _readable("3.5 GiB")
    ('160 GB', '3.5 GiB')
    """
    number, _, unit = size.partition(" ")
    if unit not in ("", "bytes"):
        return size
    value = float(number)
    for name in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or name == "TB":
            return f"{value:.3g} {name}" if value < 1000 else f"{value:,.0f} {name}"
        value /= 1000
    return size


def _of_name(error: BaseException) -> LifecycleError | None:
    if not isinstance(error, OSError) or error.errno != errno.ENAMETOOLONG:
        return None
    return RequestError("the name of a file", "is too long", error.filename, "Use a shorter one.")


def _of_plugin(error: BaseException) -> LifecycleError | None:
    """Return the error for an exception in a plugin of another package; ``None`` if none is to blame."""
    loaded = registry.loaded()
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    theirs = {cls.__module__.split(".")[0]: (kind, name) for (kind, name), cls in loaded.items()}
    # An error in a built-in plugin is our own.
    theirs.pop(OURS, None)
    for frame in frames:
        if (package := _package(frame)) in theirs:
            return _plugin_error(*theirs[package], frame.f_code.co_name, error)
    # Of the models that the process has loaded, the latest is the one that runs.
    model = next((key for key in reversed(loaded) if key[0] == "model"), None)
    called = any(_package(frame) == OURS and frame.f_code.co_name in FORWARD for frame in frames)
    # Its network consists of torch's layers only: no frame is of the plugin's package.
    if model is not None and model in theirs.values() and called:
        return _plugin_error(*model, "forward", error)
    return None


def _package(frame: FrameType) -> str:
    """Return the top-level package of the code of a frame."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _plugin_error(kind: str, name: str, function: str, error: BaseException) -> LifecycleError:
    source = registry.plugins(kind)[name].source if name in registry.plugins(kind) else "an installed package"
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    what = f"{type(error).__name__}: {first}" if first else type(error).__name__
    missing = isinstance(error, ImportError)
    remedy = "Install what it needs, or remove it." if missing else "Report it to its author, or use another."
    problem = f"from {source} failed in {function}(): {what}"
    refused = RequestError(Setting(kind, name), problem, remedy=remedy)
    return refused if missing and function == "build" else PluginError(str(refused))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, its cause or context, the cause or context of that, and so on."""
    # A chain can have a cycle, where an exception is raised again from one that it caused.
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
