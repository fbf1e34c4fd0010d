"""Names of columns, and ``data.rename``, which replaces the names in a file by others."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.capabilities import RenamesColumns
from lifecycle.errors import Either, RequestError, Setting, Text, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

PREDICTED = "predicted"
"""The column of predicted labels or values."""

ONE, SEVERAL, MAPPINGS = ("target", "weight", "time", "group", "split_column"), ("drop", "missing_zeros"), ("types",)
"""Fields of data plugins that name a column, several columns, or values by column."""

POSITION = re.compile(r"c?(\d+)|(-\d+)")
"""A position: 3 or c3 from the first column, which is 0, or -1 from the last one."""

TYPED = re.compile(r"[A-Za-z0-9_ /%.\\()\[\]{}:=,-]+")
"""Names that Hydra's grammar accepts as keys, with some characters escaped by a backslash."""


@dataclass
class Renamed:
    """The field of data plugins whose rows have columns. All other fields, and predictions, use the new names."""

    rename: Any = None  # columns to rename: {<name in the file>: <new name>}; null: none

    def renamed(self, frame: pd.DataFrame, path: str) -> pd.DataFrame:
        """Return rows with renamed columns; see :func:`new_names`. Fields that give positions then give names."""
        names = new_names(self, list(map(str, frame.columns)), path)
        frame = frame.rename(columns=names) if names else frame
        place(self, list(map(str, frame.columns)))
        return frame


def at_position(name: str, columns: Sequence[str]) -> str:
    """Return the column that a field gives by its position; a name of the file is a name.

    >>> at_position("-1", ["a", "b"]), at_position("c0", ["a", "b"]), at_position("0", ["a", "0"])
    ('b', 'a', '0')
    """
    if name in columns:
        return name
    # A file with a space after each comma has names that begin with one.
    if len(stripped := [column for column in columns if column.strip() == name]) == 1:
        return stripped[0]
    found = POSITION.fullmatch(name)
    if found is None:
        return name
    place = int(found[1] or found[2])
    return columns[place] if -len(columns) <= place < len(columns) else name


def place(plugin: Any, columns: Sequence[str]) -> None:
    """Replace positions of columns in the fields of a data plugin by the names of the columns.

    In place, as the run, its record and the saved model share the plugin.

    Args:
        plugin: the data plugin.
        columns: of the file, in its order, after renaming.
    """
    found: dict[str, Any] = {}
    for field in (*ONE, *SEVERAL, *MAPPINGS):
        value = getattr(plugin, field, None)
        if isinstance(value, str):
            found[field] = at_position(value, columns)
        elif isinstance(value, list):
            found[field] = [at_position(str(name), columns) for name in value]
        elif isinstance(value, Mapping):
            found[field] = {at_position(str(name), columns): one for name, one in value.items()}
    changed = {field: value for field, value in found.items() if value != getattr(plugin, field)}
    if changed:
        dataclasses.replace(plugin, **changed)  # checks that the target is not also the weight, and so on
    for field, value in changed.items():
        setattr(plugin, field, value)


def new_names(plugin: Any, names: list[str], path: str) -> dict[str, str]:
    """Return old name -> new name for the columns of a training file.

    Args:
        plugin: the data plugin.
        names: of all columns.
        path: of the file, for messages.

    Raises:
        RequestError: a column does not exist, or two would have the same name.
    """
    given = of_plugin(plugin)
    rename = {at_position(old, names): new for old, new in given.items()}
    if rename != given:
        plugin.rename = rename
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
