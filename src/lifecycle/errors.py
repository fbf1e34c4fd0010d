"""What can go wrong, and the exit code that each kind of wrong ends with."""

from __future__ import annotations

import difflib
import enum
import signal
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


class Unset(enum.Enum):
    """No value was given."""

    UNSET = enum.auto()


UNSET = Unset.UNSET


@dataclass(frozen=True)
class Setting:
    """A key of the configuration in a message, with its value where one is meant.

    The command line writes ``trainer.max_epochs=5``, Python ``epochs=5``: see :class:`Wording`.
    """

    key: str
    value: Any = UNSET


@dataclass(frozen=True)
class Either:
    """A phrase that differs between the command line and Python in more than the name of a key."""

    command: str
    python: str


Text = str | Setting | Either | Sequence["str | Setting | Either"]
"""A phrase of a message. A sequence holds the pieces of one phrase, spaces included."""


class Wording:
    """How the command line words a message; another interface overrides both methods."""

    def setting(self, setting: Setting) -> str:
        """Return ``trainer.max_epochs=5``, or the key alone."""
        return setting.key if setting.value is UNSET else f"{setting.key}={as_typed(setting.value)}"

    def either(self, phrase: Either) -> str:
        """Return the phrase of this interface."""
        return phrase.command

    def text(self, text: Text) -> str:
        """Return a phrase with its settings worded."""
        if isinstance(text, str):
            return text
        if isinstance(text, Setting):
            return self.setting(text)
        return self.either(text) if isinstance(text, Either) else "".join(map(self.text, text))


def as_typed(value: Any) -> str:
    """Return a value as it is typed on the command line.

    >>> as_typed([None, True, "a b"])
    '[null,true,a b]'
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_typed, value))}]"
    return str(value)


COMMAND_LINE = Wording()


class RequestError(LifecycleError):
    """The request cannot be met as it stands. Exit code 2; only a sweep records it.

    The message is ``<key> <problem>, got <got>. <remedy>``:

    >>> print(RequestError("trainer.patience", "must be 1 or more", 0, ["Use ", Setting("trainer.patience", 30), "."]))
    trainer.patience must be 1 or more, got 0. Use trainer.patience=30.

    Args:
        key: the key that is wrong, or a :class:`Setting` where its value belongs to the subject; else what is.
        problem: what is wrong with it.
        got: the value that was given, if the problem does not say it.
        remedy: one or more sentences on what to do.
        wording: how keys are written; as on the command line by default.
    """

    exit_code = 2

    def __init__(
        self, key: Text, problem: Text = "", got: Any = UNSET, remedy: Text = "", wording: Wording = COMMAND_LINE
    ) -> None:
        self.key, self.problem, self.got, self.remedy = key, problem, got, remedy
        subject = wording.setting(Setting(key)) if isinstance(key, str) and problem else wording.text(key)
        what = f" {wording.text(problem)}" if problem else ""
        value = "" if got is UNSET else f", got {wording.text(got) if isinstance(got, Setting) else got}"
        super().__init__(f"{subject}{what}{value}. {wording.text(remedy).strip()}".strip() if problem else subject)

    def worded(self, wording: Wording) -> RequestError:
        """Return the same error with its keys as another interface writes them."""
        return RequestError(self.key, self.problem, self.got, self.remedy, wording)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the fields, not the sentence, to another process."""
        return RequestError, (self.key, self.problem, self.got, self.remedy)


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
