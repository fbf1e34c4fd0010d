"""Names of columns: those that a user gives to the columns of a source, which all other words and messages then use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

PREDICTED = "predicted"
"""The column of labels or values that are predicted."""

TYPED = re.compile(r"[A-Za-z0-9_ /%.\\()\[\]{}:=,-]+")
"""Names that Hydra's grammar takes as keys, some of their signs behind a backslash."""


@dataclass
class Renamed:
    """The field of kinds whose rows have columns. All other words, and predictions, use the new names."""

    rename: Any = None  # columns to call otherwise: {<name in the file>: <new name>}; null: none

    def renamed(self, frame: pd.DataFrame, path: str) -> pd.DataFrame:
        """Return rows under their new names; see :func:`new_names`."""
        names = new_names(self, list(map(str, frame.columns)), path)
        return frame.rename(columns=names) if names else frame


def new_names(plugin: Any, names: list[str], path: str) -> dict[str, str]:
    """Return what columns of a file that is trained on are renamed to.

    Args:
        plugin: a kind of data.
        names: of all columns.
        path: of the file, for messages.

    Raises:
        RequestError: a column is not there, or two would be called the same.
    """
    rename = of_plugin(plugin)
    for old, new in rename.items():
        if old not in names:
            if new in names:
                continue  # as the rows of an earlier output are
            raise RequestError(
                f"data.rename={old} is no column of {path}.{did_you_mean(old, names)} Columns: {', '.join(names)}."
            )
    return applicable(rename, names, path)


def applicable(rename: Mapping[str, str], names: Iterable[Any], source: str) -> dict[str, str]:
    """Return those of the new names whose columns are there under the old ones.

    Raises:
        RequestError: two columns would be called the same.
    """
    names = list(map(str, names))
    found = {old: new for old, new in rename.items() if old in names}
    after = [found.get(name, name) for name in names]
    for old, new in found.items():
        if not new or after.count(new) > 1 or new in rename:
            what = "is nothing" if not new else f"is another column of {source}" if new in names else "is given twice"
            raise RequestError(f"data.rename={{{old}: {new}}} {what}. Choose a new name.")
    return found


def of_plugin(plugin: Any) -> dict[str, str]:
    """Return the new names of a kind of data, by those in its source; nothing of a kind that renames none.

    Raises:
        RequestError: they are no mapping.
    """
    rename = getattr(plugin, "rename", None)
    if rename is None:
        return {}
    if not isinstance(rename, Mapping) or not all(isinstance(new, str | int | float) for new in rename.values()):
        raise RequestError(f"data.rename must be names by names, got {rename}. Write 'data.rename={{old: new}}'.")
    return {str(old): str(new) for old, new in rename.items()}


def override(old: str, new: str) -> str | None:
    """Return ``data.rename`` as it is typed in a shell; ``None``: the name can only be given in a YAML file.

    >>> override("predicted", "predicted_")
    "'data.rename={predicted: predicted_}'"
    """
    if not TYPED.fullmatch(old):
        return None
    return f"'data.rename={{{_escaped(old)}: {_escaped(new)}}}'"


def _escaped(name: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\()[]{}:=," else sign for sign in name)
