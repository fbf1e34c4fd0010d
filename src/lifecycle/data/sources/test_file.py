"""A separate file of test rows: its rows follow those of the training file in one frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lifecycle.data.digests import digest
from lifecycle.data.splits.given import TEST_ROWS, test_rows_of
from lifecycle.data.splits.rules import FILES, ByColumns
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    import pandas as pd


def appended(
    plugin: ByColumns,
    frame: pd.DataFrame,
    read: Callable[[str], pd.DataFrame],
    check: Callable[[pd.DataFrame, str], None],
) -> pd.DataFrame:
    """Return the rows of training followed by those of the test file, where the plugin names one.

    Args:
        plugin: with ``test_path``.
        frame: the rows of training.
        read: returns the rows at a path.
        check: of the rows at a path, that columns exist and have no missing values where they must not.

    Raises:
        RequestError: the file cannot be read, or lacks a column.
    """
    path = plugin.test_path
    if plugin.rule != FILES or path is None:
        return frame
    import pandas as pd

    test = read(path)
    key = Setting("data.test_path", path)
    used = [name for name in frame.columns if name not in getattr(plugin, "drop", ())]
    missing = [str(name) for name in used if name not in test.columns]
    if missing:
        problem = f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing[:8])} of the training rows"
        raise RequestError(key, problem, ", ".join(map(str, test.columns)), "Give a file with the same columns.")
    check(test, path)
    # Other columns of the test file say nothing of the training rows.
    test = test.reindex(columns=frame.columns)
    odd = [
        str(name)
        for name in used
        if pd.api.types.is_numeric_dtype(frame[name]) != pd.api.types.is_numeric_dtype(test[name])
        and frame[name].notna().any()
        and test[name].notna().any()
    ]
    if odd:
        kinds = ("texts", "numbers") if pd.api.types.is_numeric_dtype(frame[odd[0]]) else ("numbers", "texts")
        problem = f"has {kinds[0]} in column {odd[0]}, and the training rows have {kinds[1]}"
        raise RequestError(key, problem, remedy="Write the column in the same way in both files.")
    both = pd.concat([frame, test], ignore_index=True)
    both.attrs = {**frame.attrs, TEST_ROWS: len(test)}
    return both


def test_digest(frame: pd.DataFrame) -> str | None:
    """Return the SHA-256 of the rows of the test file; ``None``: there is none."""
    number = test_rows_of(frame)
    return digest(frame.iloc[len(frame) - number :]) if number else None
