"""Rewords command-line messages for the Python API: ``epochs`` for ``trainer.max_epochs``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lifecycle.data.sources.in_memory import PATH
from lifecycle.errors import UNSET, Either, RequestError, Setting, Text, Wording
from lifecycle.runtime.faults import explained

ARGUMENTS = {"max_epochs": "epochs"}
"""Arguments of :meth:`lifecycle.Model.fit` whose name is not that of the field."""

VALUES = {"false": "False", "true": "True", "null": "None"}

TURNS: tuple[tuple[str, Any], ...] = (
    (
        r"class_weights=balanced, or a weight for each class as in '.*?'",
        'class_weights="balanced" or {"good": 1, "bad": 3}',
    ),
    (rf"\bdata\.path={PATH}\b", "X"),
    (r"\bdata\.weight=sample_weight_*", "sample_weight"),
    (r"(from|of|in) data=(?:table|array)\b", r"\1 X"),
    (r"\bdata=(?:table|array)\b", "X"),
    (r"\bdata\.target=.*? (?=is |has |holds )", "y "),
    (r"Name a column of numbers", "Give numbers"),
    (r"Add (?:'data\.rename=|rename: ).*?(?:, or data\.drop=\[.*?\])?\.$", "Rename the column in X."),
    (r"\b([Aa])dd data\.drop=\[.*?\]", lambda found: ("L" if found[1] == "A" else "l") + "eave the column out of X"),
    (r"got data\.val_size=0\b", "got none"),
    (r"\bdata\.target has\b", "y has"),
    (r"\(data\.val_size=0, data\.test_size=0\)", "(validation_split=0)"),
    (r"data\.test_size=0 and ", ""),
    (r"^input (?=has )", "X "),
    (r"\bmodel=(\w+)", r'Model("\1")'),
    (
        r"(?<!lifecycle )\b(?:trainer|optimizer|schedule|model|data)\.([a-z_]+)\b",
        lambda found: ARGUMENTS.get(found[1], found[1]),
    ),
    (r"=(false|true|null)\b", lambda found: f"={VALUES[found[1]]}"),
    (r"(?<![\w.])([a-z_]+)=([a-z][a-z0-9_-]*)\b(?!\(|\.\w)", r'\1="\2"'),
)
"""Patterns and what takes their place, one after the other."""


GROUPS = ("trainer", "optimizer", "schedule", "model", "data")
"""Groups whose fields are arguments of the same name."""

IN_MEMORY = {("data.path", PATH), ("data", "table"), ("data", "array")}
"""Settings with which :mod:`lifecycle.api.request` composes a request for rows in memory."""

ROWS = {"input": "X", "data.target": "y", "data.weight": "sample_weight"}
"""Arguments that stand for a setting whatever its value, which is a name that the API made up."""


class Python(Wording):
    """How Python words a message: ``epochs=5`` for ``trainer.max_epochs=5``, ``X`` for ``data.path``.

    >>> Python().setting(Setting("trainer.early_stopping", False))
    'early_stopping=False'
    """

    def setting(self, setting: Setting) -> str:
        """Return the argument, and its value as Python writes it."""
        key, value = setting.key, setting.value
        if isinstance(value, str) and (key, value) in IN_MEMORY:
            return "X"
        if key in ROWS:
            return ROWS[key]
        group, _, name = key.rpartition(".")
        name = ARGUMENTS.get(name, name) if group in GROUPS else key
        if value is UNSET:
            return name
        # Double quotes, as in the documentation; repr() has single ones.
        written = json.dumps(value) if isinstance(value, str) else repr(value)
        return f"Model({written})" if key == "model" else f"{name}={written}"

    def either(self, phrase: Either) -> str:
        """Return Python's phrase."""
        return phrase.python


PYTHON = Python()


@contextmanager
def worded_for_python() -> Iterator[None]:
    """Raise each ``RequestError`` of the block with its settings named as arguments."""
    try:
        with explained():  # a full disk or too little memory becomes an error with a remedy as well
            yield
    except RequestError as error:
        if error.problem:
            raise error.worded(PYTHON) from error
        sentence = translated(str(error))
        if sentence == str(error):
            raise
        raise RequestError(sentence) from error


def worded(note: Text) -> str:
    """Return a note on the rows or the fit as Python words it."""
    return translated(note) if isinstance(note, str) else PYTHON.text(note)


def translated(message: str) -> str:
    """Return a message of the command line in the words of Python.

    >>> translated("trainer.max_epochs must be 1 or more, got 0. Add trainer.early_stopping=false.")
    'epochs must be 1 or more, got 0. Add early_stopping=False.'
    """
    for pattern, turn in TURNS:
        message = re.sub(pattern, turn, message)
    return message
