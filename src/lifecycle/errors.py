"""The errors that a user sees, their exit codes, and how their messages are worded."""

from __future__ import annotations

import difflib
import enum
import signal
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union

from lifecycle.credentials import masked

# Five lines of a terminal of 80 columns.
MOST_CHARACTERS = 400
"""Longest message."""

MOST_WORD_CHARACTERS = 60
"""A longer word, which is a quoted value, is shortened first where a message is too long."""

FIRST, LAST = 230, 160
"""Characters kept at the start (key and problem) and at the end (remedy) of a message that is still too long."""


class LifecycleError(Exception):
    """An error with a message for the user, printed without a traceback and with credentials masked.

    An open run becomes FAILED. Exit code 1.

    Attributes:
        is_table: the message is a report of several lines, which is not shortened.
    """

    exit_code = 1
    is_table = False

    def __init__(self, message: str = "") -> None:
        message = masked(message)
        super().__init__(message if self.is_table else shortened(message))

    def _render_traceback_(self) -> list[str]:
        # What IPython shows: the message says what to do, and the traceback leads into this package.
        return [f"{type(self).__name__}: {self}"]


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


Text = Union[str, Setting, Either, Sequence["Text"]]  # noqa: UP007 - a recursive alias has to be quoted
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


def packed(text: Text) -> Any:
    """Return a phrase as a value of JSON, for another process, which words it itself; see :func:`unpacked`."""
    if isinstance(text, str):
        return text
    if isinstance(text, Setting):
        return {"key": text.key} if text.value is UNSET else {"key": text.key, "value": _plain(text.value)}
    return vars(text) if isinstance(text, Either) else [packed(one) for one in text]


def unpacked(value: Any) -> Text:
    """Return the phrase of a value of JSON.

    >>> unpacked(packed(["Add ", Setting("data.drop", ["a"]), Either("", "."), " now"]))
    ['Add ', Setting(key='data.drop', value=['a']), Either(command='', python='.'), ' now']
    """
    if isinstance(value, dict):
        return Setting(**value) if "key" in value else Either(**value)
    return value if isinstance(value, str) else [unpacked(one) for one in value]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, or its text."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _message(key: Text, problem: Text, got: Any, remedy: Text, wording: Wording) -> str:
    """Return ``<key> <problem>, got <got>. <remedy>``; without a problem, the key is the whole message."""
    if not problem:
        return wording.text(key)
    subject = wording.setting(Setting(key)) if isinstance(key, str) else wording.text(key)
    value = "" if got is UNSET else f", got {wording.text(got) if isinstance(got, Setting) else got}"
    return f"{subject} {wording.text(problem)}{value}. {wording.text(remedy).strip()}".strip()


class RequestError(LifecycleError):
    """The request cannot be met as it is. Exit code 2; recorded as a failed run only in a multirun.

    The message is ``<key> <problem>, got <got>. <remedy>``:

    >>> print(RequestError("trainer.patience", "must be 1 or more", 0, ["Use ", Setting("trainer.patience", 30), "."]))
    trainer.patience must be 1 or more, got 0. Use trainer.patience=30.

    Args:
        key: the key that is wrong, or a :class:`Setting` where its value belongs to the subject; else what is wrong.
        problem: what is wrong with it.
        got: the value that was given, unless the problem states it.
        remedy: one or more sentences on what to do.
        wording: how keys are written; as on the command line by default.
    """

    exit_code = 2

    def __init__(
        self, key: Text, problem: Text = "", got: Any = UNSET, remedy: Text = "", wording: Wording = COMMAND_LINE
    ) -> None:
        self.key, self.problem, self.got, self.remedy = key, problem, got, remedy
        super().__init__(_message(key, problem, got, remedy, wording))

    def worded(self, wording: Wording) -> RequestError:
        """Return the same error with its keys as another interface writes them."""
        return RequestError(self.key, self.problem, self.got, self.remedy, wording)

    def packed(self) -> list[Any]:
        """Return the fields as a value of JSON; see :meth:`unpacked`."""
        got = [] if self.got is UNSET else [packed(self.got) if isinstance(self.got, Setting) else str(self.got)]
        return [packed(self.key), packed(self.problem), got, packed(self.remedy)]

    @classmethod
    def unpacked(cls, value: list[Any]) -> RequestError:
        """Return the error of another process."""
        key, problem, got, remedy = value
        return RequestError(unpacked(key), unpacked(problem), unpacked(got[0]) if got else UNSET, unpacked(remedy))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields: another process words the message itself."""
        return RequestError, (self.key, self.problem, self.got, self.remedy)


class Pruned(Exception):  # noqa: N818 - no error: the run ends as FINISHED
    """A search ends a run early, as its scores are worse than those of others after as many epochs."""


class FieldError(ValueError):
    """A field of a configuration dataclass cannot have its value; raised by ``__post_init__``.

    A plain ``ValueError("<field> <problem>, got <got>. <remedy>")`` is as good where the remedy names no key of the
    configuration. See :func:`field_error`.

    Args:
        field: its name, without the group.
        problem, got, remedy: as in :class:`RequestError`.
    """

    def __init__(self, field: str, problem: Text, got: Any = UNSET, remedy: Text = "") -> None:
        self.field, self.problem, self.got, self.remedy = field, problem, got, remedy
        super().__init__(_message(field, problem, got, remedy, COMMAND_LINE))


def field_error(group: str, error: ValueError) -> RequestError:
    """Return the request error of what the ``__post_init__`` of a group's dataclass refused.

    Args:
        group: of the configuration, such as ``optimizer``; "" where the fields are keys themselves.
        error: its message begins with the name of the field.

    >>> print(field_error("optimizer", ValueError("lr must be above 0, got -1. The default is 0.001.")))
    optimizer.lr must be above 0, got -1. The default is 0.001.
    """
    prefix = f"{group}." if group else ""
    if isinstance(error, FieldError):
        return RequestError(prefix + error.field, error.problem, error.got, error.remedy)
    name, _, rest = str(error).partition(" ")
    problem, _, remedy = rest.partition(". ")
    return RequestError(prefix + name, problem.removesuffix("."), remedy=remedy)


class TrainingError(LifecycleError):
    """Training cannot continue, for instance because the loss is not a finite number."""


class SavedModelError(LifecycleError):
    """A saved model or checkpoint is missing, altered, or of another format."""


class TrackingError(LifecycleError):
    """A run could not be recorded: a full disk, a missing database, or a process that ended."""


class DataWarning(UserWarning):
    """A warning to a Python caller about the rows of a fit; the command prints it as a note."""


def warn(sentence: str) -> None:
    """Issue a :class:`DataWarning` at the line of the caller outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("lifecycle.", "contextlib")):
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, DataWarning, stacklevel=level)


class DiskError(TrackingError):
    """A file could not be written: the disk is full, or the file has reached its maximum size."""


class OutOfMemoryError(LifecycleError):
    """Not enough memory."""


class PluginError(LifecycleError):
    """A plugin, or the network that it built, raised an exception."""


class Interrupted(BaseException):
    """A signal asked the process to end. The run is KILLED; the exit code is 128 + the signal's number."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum


def shortened(message: str) -> str:
    """Return a message of at most 400 characters; of quoted values that are too long the middle is left out.

    >>> shortened("data.target must be a column, got " + "x" * 10_000 + ". Name one.")[-40:]
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx. Name one.'
    """
    if len(message) <= MOST_CHARACTERS:
        return message
    words = message.split()
    message = " ".join(words)
    # The longest word first: it is a value. Paths and commands, which a reader copies, are mostly shorter.
    for word in sorted((word for word in words if len(word) > MOST_WORD_CHARACTERS), key=len, reverse=True):
        if len(message) > MOST_CHARACTERS:
            kept = max(MOST_WORD_CHARACTERS, len(word) - (len(message) - MOST_CHARACTERS))
            message = message.replace(word, _without_middle(word, kept * 2 // 3, kept - 3 - kept * 2 // 3), 1)
    if len(message) <= MOST_CHARACTERS:
        return message
    return _without_middle(message, FIRST, LAST)


def _without_middle(text: str, first: int, last: int) -> str:
    return f"{text[:first]}...{text[-last:]}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like ``name``, whatever its case; "" where none is similar."""
    by_lower_case = {str(word).lower(): word for word in known}
    found = difflib.get_close_matches(name.lower(), list(by_lower_case), n=1, cutoff=0.6)
    return by_lower_case[found[0]] if found else ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error of another library, for a sentence; its class if it has no message.

    >>> first_line(ValueError("no such column.")), first_line(KeyError())
    ('no such column', 'KeyError')
    """
    text = str(error).strip()
    return text.splitlines()[0].strip().rstrip(".") if text else type(error).__name__


def said_by_driver(error: BaseException) -> str:
    """Return what a database says without the number that drivers of MySQL put before it; "" for any other error.

    >>> said_by_driver(Exception(1146, "Table 'a.b' doesn't exist")), said_by_driver(Exception("no table"))
    ("Table 'a.b' doesn't exist", '')
    """
    if len(error.args) == 2 and isinstance(error.args[0], int) and isinstance(error.args[1], str):
        return first_line(Exception(error.args[1]))
    return ""


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``" Did you mean <prefix><nearest>?"``, or nothing where no known name is similar."""
    found = nearest(name, known)
    return f" Did you mean {prefix}{found}?" if found else ""


def did_you_mean_setting(key: str, value: str, known: Iterable[str]) -> Text:
    """Return ``"Did you mean <key>=<nearest>? "``, or nothing where no known value is similar."""
    found = nearest(value, known)
    return ["Did you mean ", Setting(key, found), "? "] if found else ""


def unknown_field(key: str, value: Any, known: Iterable[Any], owner: Text = "") -> RequestError:
    """Return the error of a key that names no field.

    Args:
        key: as given, with its group.
        value: as given; "" where there is none.
        known: names of the fields.
        owner: whose fields they are; "" for those of the key's group.
    """
    parent, _, name = key.rpartition(".")
    names = [str(field) for field in known if field != "hydra"]
    found = nearest(name, names)
    hint: Text = ["Did you mean ", Setting(f"{parent}.{found}" if parent else found), "? "] if found else ""
    fields = f"Fields: {', '.join(names)}." if names else "It has none."
    problem = ["is not a field of ", owner or parent or "a run"]
    return RequestError(key, problem, UNSET if value == "" else value, [hint, fields])
