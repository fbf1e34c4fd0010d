"""Parts that the source gives: a column that says train, validation or test, or a separate file of test rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lifecycle.contract import Samples, Split
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)

SPELLINGS = {
    TRAIN: ("train", "training", "tr", "learn", "learning", "fit"),
    VALIDATION: ("validation", "validate", "valid", "val", "dev", "eval", "evaluation", "tune"),
    TEST: ("test", "testing", "tst", "holdout", "hold-out", "held out", "held-out", "hold out"),
}
"""How files call the parts, in any case."""

TEST_ROWS = "lifecycle.test_rows"
"""Key of the attributes of a frame: how many of its rows, the last ones, are from the file of test rows."""

_MEANINGS = {word: part for part, words in SPELLINGS.items() for word in words}


def parts_of(column: pd.Series[Any], declared: Mapping[str, str]) -> np.ndarray[Any, Any]:
    """Return the part of each row, ``(rows,)`` of :data:`PARTS`.

    Args:
        column: of the file.
        declared: value, as a text -> part; values that are not in it are read by :data:`SPELLINGS`.

    Raises:
        RequestError: a value means no part.
    """
    import numpy as np

    written = column.map(lambda value: str(value).strip())
    meaning = {}
    for value in written.unique():
        found = declared.get(value) or declared.get(value.removesuffix(".0")) or _MEANINGS.get(value.lower())
        if found is None:
            values = ", ".join(map(str, sorted(written.unique())[:8]))
            example = "{" + f"{value}: test" + "}"
            raise RequestError(
                Setting("data.split_column", str(column.name)),
                f"has the value {value[:50]} in row {int(np.flatnonzero(written == value)[0])}, and the parts are "
                "train, validation and test",
                remedy=f"Say what its values mean ({values}): 'data.split_values={example}'.",
            )
        meaning[value] = found
    return np.asarray(written.map(meaning).to_numpy(dtype=object))


def declared(values: Any) -> dict[str, str]:
    """Return the mapping of a field ``split_values``: value as a text -> part.

    Raises:
        ValueError: it is not a mapping, or names another part.
    """
    if values is None:
        return {}
    known = isinstance(values, Mapping) and all(str(part).lower() in _MEANINGS for part in values.values())
    if not known:
        raise ValueError(
            f"split_values must map values of data.split_column to train, validation or test, got {values}. Write for "
            "instance 'data.split_values={0: train, 1: test}'."
        )
    # As a file has them: Hydra parses {true: test} with a truth value as the key.
    named = {str(value): _MEANINGS[str(part).lower()] for value, part in values.items()}
    return named | {value.capitalize(): part for value, part in named.items() if value in ("true", "false")}


def given_split(samples: Samples) -> Split:
    """Return the split that the source gives.

    Raises:
        RequestError: no sample is for training.
    """
    import numpy as np

    assert samples.parts is not None  # noqa: S101 - the caller has checked it
    train, val, test = (np.flatnonzero(samples.parts == name) for name in PARTS)
    if not len(train):
        problem = "has no rows to train on"
        raise RequestError(Setting("data.split_column"), problem, remedy="Say which with data.split_values.")
    return Split(train, val, test)


def test_rows_of(frame: pd.DataFrame) -> int:
    """Return how many rows of a frame, the last ones, are from the file of test rows."""
    return int(frame.attrs.get(TEST_ROWS, 0))
