"""Missing values: which columns had some in the rows of a run, and what becomes of them in other rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

REFUSE, IMPUTE = "refuse", "impute"
CHOICES = (REFUSE, IMPUTE)
"""What may be done with a value that is missing for the first time."""

MOST_NAMED = 4
"""Columns that a message names."""


def check_choice(missing: str) -> None:
    """Refuse a word that is none of :data:`CHOICES`."""
    if missing not in CHOICES:
        raise RequestError(
            f"missing must be {' or '.join(CHOICES)}, got {missing}.{did_you_mean(str(missing), CHOICES)} Leave it out "
            "to refuse them."
        )


def gaps(inputs: Any) -> frozenset[str] | None:
    """Return the columns that miss a value in some row; ``None`` where inputs are no columns, and never miss one."""
    if not hasattr(inputs, "columns"):
        return None
    return frozenset(str(name) for name in inputs.columns if inputs[name].isna().any())


def check(inputs: Any, known: frozenset[str] | None, missing: str) -> None:
    """Refuse a row that misses a value in a column that had one in each row of the run.

    Args:
        inputs: of samples; other than columns, they are checked by their own kind.
        known: the columns that had gaps; ``None``: that was not recorded, and nothing is refused.
        missing: one of :data:`CHOICES`.

    Raises:
        RequestError: names row, columns and cure.
    """
    if known is None or missing == IMPUTE or not hasattr(inputs, "columns"):
        return
    names = [name for name in inputs.columns if name not in known]
    absent = inputs[names].isna().to_numpy()
    if not absent.any():
        return
    place = int(absent.any(axis=1).argmax())
    lacking = [str(name) for name, lacks in zip(names, absent[place], strict=True) if lacks]
    more = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
    columns = f"column{'s' if len(lacking) > 1 else ''} {', '.join(lacking[:MOST_NAMED])}{more}"
    raise RequestError(
        f"input has no value in row {inputs.index[place]}, {columns}, and no training row was without one. Give a "
        f"value, or add missing={IMPUTE} to fill it as in training."
    )


def filled(inputs: Any, known: frozenset[str] | None, numbers: Collection[str]) -> dict[str, Counter[str | None]]:
    """Return how many values of columns of numbers are filled that had a value in each row of the run.

    Returns:
        Counts by column, under ``None`` as :meth:`lifecycle.data.audit.unseen_categories.Unseen.add` takes them.
    """
    if not hasattr(inputs, "columns"):
        return {}
    counts = {name: int(inputs[name].isna().sum()) for name in numbers if name not in (known or ())}
    return {name: Counter({None: count}) for name, count in counts.items() if count}


def check_empty(name: str, missing: Mapping[str, int], rows: int) -> None:
    """Refuse a column without any value: a network would later see numbers in it that it never learnt from.

    Args:
        name: of the data set, for the message.
        missing: values that each column lacks.
        rows: how many there are.

    Raises:
        RequestError: names the columns and the cure.
    """
    empty = [column for column, count in missing.items() if count == rows]
    if empty:
        more = f" and {len(empty) - MOST_NAMED} more" if len(empty) > MOST_NAMED else ""
        raise RequestError(
            f"data={name} has no value in column{'s' if len(empty) > 1 else ''} {', '.join(empty[:MOST_NAMED])}{more}, "
            f"in {rows} rows. Add data.drop=[{','.join(empty[:MOST_NAMED])}{',...' if more else ''}]."
        )


def notes(name: str, inputs: Any, with_gaps: frozenset[str] | None, train: np.ndarray[Any, Any]) -> list[str]:
    """Return what a person must know of the columns with gaps, a sentence each.

    Args:
        name: of the data set.
        inputs: of the samples.
        with_gaps: what :func:`gaps` returns of them.
        train: positions of the training samples.

    Raises:
        RequestError: a column has no value at all.
    """
    absent = {column: inputs[column].isna().to_numpy() for column in with_gaps or ()}
    check_empty(name, {column: int(lacks.sum()) for column, lacks in absent.items()}, len(inputs))
    held_out = [column for column, lacks in absent.items() if not lacks[train].any()]
    empty = [column for column, lacks in absent.items() if lacks[train].all()]
    return notes_on(sorted(held_out), sorted(empty))


def notes_on(held_out: list[str], empty: list[str]) -> list[str]:
    """Return what a person must know of columns.

    Args:
        held_out: those that miss a value in validation or test rows, and in no training row.
        empty: those without a value in the training rows.
    """
    return [
        *(f"{name}: values are missing in validation or test rows alone; filled as in training" for name in held_out),
        *(f"{name}: no training row has a value: nothing is learnt from it. Add data.drop=[{name}]" for name in empty),
    ]
