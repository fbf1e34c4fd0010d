"""What can go wrong, and the exit code that each kind of wrong ends with."""

from __future__ import annotations

import difflib
import signal
import sys
import warnings
from collections.abc import Iterable
from typing import Any

from lifecycle.credentials import masked

MOST_CHARACTERS, MOST_OF_A_WORD = 400, 60
"""Of a message, and of what has no spaces in a message that would be longer."""

FIRST, LAST = 230, 160
"""Characters of a longer message that stay: the key and what is wrong; the cure."""


class LifecycleError(Exception):
    """A fault with a sentence for a person, without credentials; printed without a traceback.

    The run, if open, is FAILED; exit code 1.

    Attributes:
        is_table: it is a report of several lines, and as long as these are.
    """

    exit_code = 1
    is_table = False

    def __init__(self, message: str = "") -> None:
        message = masked(message)
        super().__init__(message if self.is_table else shortened(message))


class RequestError(LifecycleError):
    """The request cannot be met as it stands: names key, value and cure. Exit code 2; only a sweep records it."""

    exit_code = 2


class TrainingError(LifecycleError):
    """Training began and cannot go on, for instance because the loss is no longer a number."""


class SavedModelError(LifecycleError):
    """A saved model or checkpoint is missing, altered, or of another format."""


class TrackingError(LifecycleError):
    """What happened could not be recorded: the disk is full, the database is gone, or the process that writes to it."""


class DataWarning(UserWarning):
    """What a caller from Python must know of the rows of a fit; the command prints it."""


def warn(sentence: str) -> None:
    """Warn a caller from Python, at the line that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("lifecycle.", "contextlib")):
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, DataWarning, stacklevel=level)


class DiskError(TrackingError):
    """A file could not be written, because its disk is full or the file as large as it may be."""


class OutOfMemoryError(LifecycleError):
    """More memory was asked for than there is."""


class PluginError(LifecycleError):
    """A plugin, or the network that it built, raised an error of its own."""


class Interrupted(BaseException):
    """A signal asked the process to end. The run is KILLED; the exit code is 128 + the signal's number."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum


def shortened(message: str) -> str:
    """Return a message of at most 400 characters, whatever values it quotes: these lose their middle.

    >>> shortened("data.target must be a column, got " + "x" * 10_000 + ". Name one.")[-40:]
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx. Name one.'
    """
    if len(message) <= MOST_CHARACTERS:
        return message
    words = message.split()
    message = " ".join(words)
    for word in sorted((word for word in words if len(word) > MOST_OF_A_WORD), key=len, reverse=True):
        if len(message) > MOST_CHARACTERS:
            kept = max(MOST_OF_A_WORD, len(word) - (len(message) - MOST_CHARACTERS))
            message = message.replace(word, _without_middle(word, kept * 2 // 3, kept - 3 - kept * 2 // 3), 1)
    if len(message) <= MOST_CHARACTERS:
        return message
    return _without_middle(message, FIRST, LAST)


def _without_middle(text: str, first: int, last: int) -> str:
    return f"{text[:first]}...{text[-last:]}"


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``" Did you mean <prefix><nearest>?"``, or nothing where no known name is near."""
    by_lower_case = {str(word).lower(): word for word in known}
    nearest = difflib.get_close_matches(name.lower(), list(by_lower_case), n=1, cutoff=0.6)
    return f" Did you mean {prefix}{by_lower_case[nearest[0]]}?" if nearest else ""


def unknown_field(key: str, value: str, known: Iterable[Any], owner: str = "") -> str:
    """Return the sentence on a key that names no field."""
    parent, _, name = key.rpartition(".")
    names = [str(field) for field in known if field != "hydra"]
    hint = did_you_mean(name, names, f"{parent}." if parent else "")
    got = f", got {value}" if value else ""
    cure = f"Fields: {', '.join(names)}." if names else "It has none."
    return f"{key} is not a field of {owner or parent or 'a run'}{got}.{hint} {cure}"
