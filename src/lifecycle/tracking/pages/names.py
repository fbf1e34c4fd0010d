"""Names that tell runs apart in a list: ``mlp-pima-0``, then ``mlp-pima-0-2``."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from lifecycle import layout
from lifecycle.tracking.database.connection import connect


def distinct(names: Sequence[str], taken: set[str]) -> list[str]:
    """Return names of which no two are equal, and none is taken; a number is added where one is.

    >>> distinct(["mlp-pima-0", "mlp-pima-0", "mlp-iris-0"], {"mlp-pima-0"})
    ['mlp-pima-0-2', 'mlp-pima-0-3', 'mlp-iris-0']
    """
    known, found, last = set(taken), [], dict[str, int]()
    for name in names:
        number, given = last.get(name, 1), name
        while given in known:
            number += 1
            given = f"{name}-{number}"
        last[name] = number
        known.add(given)
        found.append(given)
    return found


def free(folder: Path, experiment_id: int, names: Sequence[str]) -> list[str]:
    """Return names that no run of an experiment has, see :func:`distinct`.

    Args:
        folder: of the database.
        experiment_id: of the experiment.
        names: of the runs that are to be created.

    Raises:
        sqlite3.Error: the database is locked.
    """
    with closing(connect(folder / layout.DATABASE)) as database:
        return distinct(names, {name for one in set(names) for name in _beginning(database, experiment_id, one)})


def _beginning(database: sqlite3.Connection, experiment_id: int, name: str) -> set[str]:
    """Return the names of runs that begin with a name; deleted runs do not count."""
    found = database.execute(
        "SELECT name FROM runs WHERE experiment_id = ? AND lifecycle_stage = 'active' AND substr(name, 1, ?) = ?",
        (experiment_id, len(name), name),
    )
    return {str(row[0]) for row in found}
