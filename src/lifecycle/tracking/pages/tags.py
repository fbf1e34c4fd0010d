"""Which tags MLflow's page of a run shows: those that a person reads.

The others are stored with the prefix of MLflow's own tags, which its pages leave out, and are listed in the artifact
``tags.json``. In Python all tags have their names of :mod:`lifecycle.layout`; runs of version 0.1 have them in MLflow
too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle import layout

HIDDEN = "mlflow.lifecycle."

SHOWN = frozenset(
    {
        *(layout.SWEEP, layout.ROLE, layout.STATUS, layout.ERROR, layout.AUDIT_TAG, layout.RERUN_OF),
        *(layout.RUN_ID, layout.SERVER, layout.SERVER_RUN, layout.HEARTBEAT, layout.SUSPECTED),
    }
)
"""Tags that a person reads, and those of runs on a server, which is searched by them."""

OWN, OTHERS = "lifecycle.", ("version.", "hardware.", "data.", "split.", "evaluate.", "git.")
"""Beginnings of the names of our tags."""

PRECISION = "precision"

MOST_CHARACTERS = 5000
"""Of the value of a tag: MLflow's limit."""


def stored(name: str) -> str:
    """Return the name of a tag in MLflow.

    >>> stored("lifecycle.signature"), stored("data.sha256"), stored("lifecycle.sweep"), stored("stopped")
    ('mlflow.lifecycle.signature', 'mlflow.lifecycle.data.sha256', 'lifecycle.sweep', 'stopped')
    """
    is_hidden = name == PRECISION or (name.startswith((OWN, *OTHERS)) and name not in SHOWN)
    return HIDDEN + name.removeprefix(OWN) if is_hidden else name


def as_stored(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as MLflow takes them: by their names there, and no longer than it allows."""
    return {stored(name): text[:MOST_CHARACTERS] for name, text in tags.items()}


def both(*names: str) -> tuple[str, ...]:
    """Return the names of tags in MLflow, today's and those of version 0.1."""
    return tuple(dict.fromkeys(one for name in names for one in (stored(name), name)))


def named(key: str) -> str:
    """Return the name of a tag in Python; the inverse of :func:`stored`.

    >>> named("mlflow.lifecycle.signature"), named("mlflow.lifecycle.data.sha256"), named("lifecycle.signature")
    ('lifecycle.signature', 'data.sha256', 'lifecycle.signature')
    """
    if not key.startswith(HIDDEN):
        return key
    name = key.removeprefix(HIDDEN)
    return name if name == PRECISION or name.startswith(OTHERS) else OWN + name


def read(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a run by their names in Python.

    A run of version 0.1 that was resumed since may have a tag under both names: today's is the latest.
    """
    in_order = sorted(tags, key=lambda key: key.startswith(HIDDEN))
    return {named(key): tags[key] for key in in_order}


def name(run: Any) -> Any:
    """Give the tags of an ``mlflow.entities.Run`` their names in Python, and return the run."""
    found = read(run.data.tags)
    run.data.tags.clear()
    run.data.tags.update(found)
    return run


def listed(tags: Mapping[str, str]) -> dict[str, str]:
    """Return what ``tags.json`` lists: all tags of a run but MLflow's own."""
    return {key: value for key, value in sorted(read(tags).items()) if not key.startswith("mlflow.")}
