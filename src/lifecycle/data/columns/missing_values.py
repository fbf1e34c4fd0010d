"""Missing values: which columns had some in the rows of a run, and how they are treated in other rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns.remedies import drop_only
from lifecycle.errors import RequestError, Setting, Text, did_you_mean

if TYPE_CHECKING:
    import numpy as np

REFUSE, IMPUTE = "refuse", "impute"
CHOICES = (REFUSE, IMPUTE)
"""How to treat a value that is missing in a column without missing values in training."""

MOST_NAMED = 4
"""Columns that a message lists."""

MOST_LISTED = 200
"""Characters of the names of columns that an option lists; with more, the names that a message lists and ``...``."""


def check_choice(missing: str) -> None:
    """Check that a value is one of :data:`CHOICES`."""
    if missing not in CHOICES:
        hint = did_you_mean(str(missing), CHOICES)
        raise RequestError(
            "missing", f"must be {' or '.join(CHOICES)}", missing, f"{hint} Leave it out to refuse missing values."
        )


def gaps(inputs: Any) -> frozenset[str] | None:
    """Return the columns with a missing value; ``None`` where inputs are an array, which has none."""
    if not hasattr(inputs, "columns"):
        return None
    return frozenset(str(name) for name in inputs.columns if inputs[name].isna().any())


def check(inputs: Any, known: frozenset[str] | None, missing: str) -> None:
    """Refuse a missing value in a column that had a value in every row of the run.

    Args:
        inputs: of samples; an array is not checked here but by its data plugin.
        known: the columns with missing values in the run; ``None``: not recorded, and nothing is refused.
        missing: one of :data:`CHOICES`.

    Raises:
        RequestError: names row, columns and remedy.
    """
    if known is None or missing == IMPUTE or not hasattr(inputs, "columns"):
        return
    names = [name for name in inputs.columns if name not in known]
    absent = inputs[names].isna().to_numpy()
    if not absent.any():
        return
    # Only the first row, with its first columns: a file may lack a column in each of a million rows.
    place = int(absent.any(axis=1).argmax())
    lacking = [str(name) for name, lacks in zip(names, absent[place], strict=True) if lacks]
    more = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
    columns = f"column{'s' if len(lacking) > 1 else ''} {', '.join(lacking[:MOST_NAMED])}{more}"
    raise RequestError(
        "input",
        f"has no value in row {inputs.index[place]}, {columns}, and every training row had one",
        remedy=["Give a value, or add ", Setting("missing", IMPUTE), " to fill it as in training."],
    )


def filled(inputs: Any, known: frozenset[str] | None, numbers: Collection[str]) -> dict[str, Counter[str | None]]:
    """Return how many values are filled in columns of numbers that had a value in every row of the run.

    Returns:
        Column -> ``{None: count}``, as :meth:`lifecycle.data.audit.unseen_categories.Unseen.add` takes it.
    """
    if not hasattr(inputs, "columns"):
        return {}
    counts = {name: int(inputs[name].isna().sum()) for name in numbers if name not in (known or ())}
    return {name: Counter({None: count}) for name, count in counts.items() if count}


def check_empty(name: str, missing: Mapping[str, int], rows: int) -> None:
    """Refuse a column without any value: rows to predict may have values in it, from which nothing was learnt.

    Args:
        name: of the data set, for the message.
        missing: column -> number of missing values.
        rows: number of rows.

    Raises:
        RequestError: names the columns and the remedy.
    """
    empty = [column for column, count in missing.items() if count == rows]
    if empty:
        some, more = empty[:MOST_NAMED], len(empty) - MOST_NAMED
        columns = f"column{'s' if len(empty) > 1 else ''} {', '.join(some)}{f' and {more} more' if more > 0 else ''}"
        raise RequestError(
            Setting("data", name),
            f"has no value in {columns}, in {rows} rows",
            # All of them, so that the option can be copied; a message has 400 characters.
            remedy=[drop_only(*(empty if len(",".join(empty)) <= MOST_LISTED else [*some, "..."])), "."],
        )


def notes(name: str, inputs: Any, with_gaps: frozenset[str] | None, train: np.ndarray[Any, Any]) -> list[Text]:
    """Return warnings about the columns with missing values, a sentence each.

    Args:
        name: of the data set.
        inputs: of the samples.
        with_gaps: the result of :func:`gaps` for them.
        train: positions of the training samples.

    Raises:
        RequestError: a column has no value at all.
    """
    # Computed once for the columns with gaps, of which there are usually few.
    in_order = [column for column in getattr(inputs, "columns", with_gaps or ()) if column in (with_gaps or ())]
    absent = {column: inputs[column].isna().to_numpy() for column in in_order}
    check_empty(name, {column: int(lacks.sum()) for column, lacks in absent.items()}, len(inputs))
    held_out = [column for column, lacks in absent.items() if not lacks[train].any()]
    empty = [column for column, lacks in absent.items() if lacks[train].all()]
    return notes_on(sorted(held_out), sorted(empty))


def notes_on(held_out: list[str], empty: list[str]) -> list[Text]:
    """Return a warning for each column.

    Args:
        held_out: columns with missing values in validation or test rows, and in no training row.
        empty: columns without a value in the training rows.
    """
    in_held_out = "values are missing in validation or test rows alone; filled as in training"
    found: list[Text] = [f"{name}: {in_held_out}" for name in held_out]
    for name in empty:
        found.append([f"{name}: no training row has a value: nothing is learnt from it. ", drop_only(name)])
    return found
