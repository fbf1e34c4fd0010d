"""Rewords command-line messages for the Python API: ``epochs`` for ``trainer.max_epochs``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from lifecycle.data.sources.in_memory import PATH
from lifecycle.errors import UNSET, Either, FieldError, RequestError, Setting, Text, Wording
from lifecycle.runtime.faults import explained

ARGUMENTS = {"max_epochs": "epochs"}
"""Arguments of :meth:`lifecycle.Model.fit` whose name is not that of the field."""

GROUPS = ("trainer", "optimizer", "schedule", "model", "data")
"""Groups whose fields are arguments of the same name."""

IN_MEMORY = {("data.path", PATH), ("data", "table"), ("data", "array")}
"""Settings with which :mod:`lifecycle.api.request` composes a request for rows in memory."""

OWN_NETWORK = Setting("model", "network")
"""The setting of a network that the caller gave."""

FOLDS = {"cv.folds": "cv", "cv.repeats": "repeats"}
"""Arguments of ``cross_validate`` by the keys of the command line."""
ROWS = {"input": "X", "data.target": "y", "data.weight": "sample_weight", "data.group": "groups"}
"""Arguments that stand for a setting whatever its value, which is a name that the API made up."""


class Python(Wording):
    """How Python words a message: ``epochs=5`` for ``trainer.max_epochs=5``, ``X`` for ``data.path``.

    >>> Python().setting(Setting("trainer.early_stopping", False))
    'early_stopping=False'
    """

    def setting(self, setting: Setting) -> str:
        """Return the argument, and its value as Python writes it."""
        key, value = setting.key, setting.value
        # Only texts: a list among the values cannot be hashed.
        if isinstance(value, str) and (key, value) in IN_MEMORY:
            return "X"
        if key in ROWS:
            return ROWS[key]
        group, _, name = key.rpartition(".")
        name = ARGUMENTS.get(name, name) if group in GROUPS else FOLDS.get(key, key)
        if value is UNSET:
            return name
        # Double quotes, as in the documentation; repr() has single ones.
        written = json.dumps(value) if isinstance(value, str) else repr(value)
        if setting == OWN_NETWORK:
            return "the network"
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
        # From the cause of the error: the error itself would be printed a second time, as would that of a field.
        cause = error.__cause__
        said = isinstance(cause, FieldError) or type(cause).__module__.startswith("omegaconf")
        raise error.worded(PYTHON).with_traceback(error.__traceback__) from None if said else cause


def worded(note: Text) -> str:
    """Return a note on the rows or the fit as Python words it."""
    return PYTHON.text(note)
