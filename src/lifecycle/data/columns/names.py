"""Names of columns, and ``data.rename``, which replaces the names in a file by others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.capabilities import RenamesColumns
from lifecycle.errors import Either, RequestError, Setting, Text, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

PREDICTED = "predicted"
"""The column of predicted labels or values."""

TYPED = re.compile(r"[A-Za-z0-9_ /%.\\()\[\]{}:=,-]+")
"""Names that Hydra's grammar accepts as keys, with some characters escaped by a backslash."""


@dataclass
class Renamed:
    """The field of data plugins whose rows have columns. All other fields, and predictions, use the new names."""

    rename: Any = None  # columns to rename: {<name in the file>: <new name>}; null: none

    def renamed(self, frame: pd.DataFrame, path: str) -> pd.DataFrame:
        """Return rows with renamed columns; see :func:`new_names`."""
        names = new_names(self, list(map(str, frame.columns)), path)
        return frame.rename(columns=names) if names else frame


def new_names(plugin: Any, names: list[str], path: str) -> dict[str, str]:
    """Return old name -> new name for the columns of a training file.

    Args:
        plugin: the data plugin.
        names: of all columns.
        path: of the file, for messages.

    Raises:
        RequestError: a column does not exist, or two would have the same name.
    """
    rename = of_plugin(plugin)
    for old, new in rename.items():
        if old not in names:
            if new in names:
                continue  # a file of predictions has the new names already
            hint = did_you_mean(old, names)
            raise RequestError(
                Setting("data.rename", old), f"is no column of {path}", remedy=f"{hint} Columns: {', '.join(names)}."
            )
    return applicable(rename, names, path)


def applicable(rename: Mapping[str, str], names: Iterable[Any], source: str) -> dict[str, str]:
    """Return the renamings whose old name is among the columns.

    Args:
        rename: old name -> new name.
        names: of the columns.
        source: where the columns are from, for messages.

    Raises:
        RequestError: two columns would have the same name.
    """
    names = list(map(str, names))
    found = {old: new for old, new in rename.items() if old in names}
    after = [found.get(name, name) for name in names]
    for old, new in found.items():
        if not new or after.count(new) > 1 or new in rename:
            what = "is nothing" if not new else f"is another column of {source}" if new in names else "is given twice"
            raise RequestError([Setting("data.rename"), f"={{{old}: {new}}}"], what, remedy="Choose a new name.")
    return found


def of_plugin(plugin: Any) -> dict[str, str]:
    """Return old name -> new name as a data plugin has it; empty for a plugin without the field.

    Raises:
        RequestError: the field is not a mapping.
    """
    rename = plugin.rename if isinstance(plugin, RenamesColumns) else None
    if rename is None:
        return {}
    # Hydra parses {a: 1} with a number as the new name.
    if not isinstance(rename, Mapping) or not all(isinstance(new, str | int | float) for new in rename.values()):
        remedy: Text = ["Write ", Either("'data.rename={old: new}'", 'rename={"old": "new"}'), "."]
        raise RequestError("data.rename", "must be a mapping of old names to new ones", rename, remedy)
    return {str(old): str(new) for old, new in rename.items()}


def override(old: str, new: str) -> str | None:
    """Return ``data.rename`` as typed in a shell; ``None``: only a YAML file can hold the name.

    >>> override("predicted", "predicted_")
    "'data.rename={predicted: predicted_}'"
    """
    if not TYPED.fullmatch(old):
        return None
    return f"'data.rename={{{_escaped(old)}: {_escaped(new)}}}'"


def _escaped(name: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\()[]{}:=," else sign for sign in name)
