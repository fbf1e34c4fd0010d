"""Advice that many messages give on a column."""

from __future__ import annotations

from typing import Any

from lifecycle.errors import Either


def drop(*names: Any) -> Either:
    """Return the advice to leave columns out of the features, within a sentence.

    >>> drop("id").command, drop("id").python
    ('add data.drop=[id]', 'leave the column out of X')
    """
    columns = "the column" if len(names) == 1 else "the columns"
    return Either(f"add data.drop=[{','.join(map(str, names))}]", f"leave {columns} out of X")


def drop_only(*names: Any) -> Either:
    """Return the same advice at the beginning of a sentence."""
    advice = drop(*names)
    # Once: the name of a column may contain the word too.
    return Either(advice.command.replace("add", "Add", 1), advice.python.replace("leave", "Leave", 1))


def typed(name: Any, kind: str) -> Either:
    """Return the option that declares the type of a column, within a sentence.

    >>> typed("zip", "category").command, typed("zip", "category").python
    ('data.types={zip: category}', 'types={"zip": "category"}')
    """
    return Either(f"data.types={{{name}: {kind}}}", f'types={{"{name}": "{kind}"}}')
