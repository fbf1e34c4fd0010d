"""Several files with the same columns, as one source of rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    import pandas as pd

PARTITION = re.compile(r"[^/\\=]+=[^/\\]*")
"""A folder such as ``year=2020``, in whose name Spark and Hive write the value of a column."""


def of_folder(folder: Path, key: Setting) -> list[Path]:
    """Return the files of rows in a folder, sorted by name; those that begin with ``_`` or ``.`` are no rows.

    Raises:
        RequestError: there is none.
    """
    entries = sorted(one for one in folder.iterdir() if not one.name.startswith(("_", ".")))
    found = [one for one in entries if one.is_file()]
    inner = [one for one in entries if one.is_dir()]
    if inner:
        check_partitions([str(one / "a file") for one in inner], str(folder), key)
        remedy = f"Give one of them, or all with {folder}/**/*.parquet."
        raise RequestError(key, f"is a folder of folders, such as {inner[0].name}", remedy=remedy)
    if not found:
        raise RequestError(key, "is a folder without files", remedy="Give a file, or a folder of files of rows.")
    return found


def check_partitions(files: Sequence[str], top: str, key: Setting) -> None:
    """Refuse folders whose names hold values, which are in no file.

    Args:
        files: paths of files.
        top: the folder that the user has given.
        key: of the folder, for messages.
    """
    for file in files:
        inner = file.removeprefix(top.partition("*")[0])
        if found := next((part for part in Path(inner).parts[:-1] if PARTITION.fullmatch(part)), None):
            problem = f"has folders such as {found}, whose values are in no file"
            remedy = "Write the rows without partitionBy, with the column in the files."
            raise RequestError(key, problem, remedy=remedy)


def other_columns(first: str, wanted: Sequence[str], other: str, found: Sequence[str]) -> RequestError:
    """Return the error of a file with other columns than the first."""
    lacking, more = [name for name in wanted if name not in found], [name for name in found if name not in wanted]
    what = [f"has no column {lacking[0]}"] if lacking else []
    what += [f"has the column {more[0]}"] if more else []
    if not what:
        what = ["has the columns in another order"]
    problem = f"{' and '.join(what)}, unlike {Path(first).name}"
    return RequestError(Setting("data.path", other), problem, remedy="Give files with the same columns.")


def together(frames: Sequence[pd.DataFrame], shown: Sequence[str]) -> pd.DataFrame:
    """Return the rows of frames with the same columns, one after the other.

    Args:
        frames: one for each file.
        shown: what the files are called in messages.

    Raises:
        RequestError: a file has other columns, or another kind of values in one.
    """
    import pandas as pd

    first = frames[0]
    if len(frames) == 1:
        return first
    kinds: dict[object, tuple[str, int]] = {}
    for number, frame in enumerate(frames):
        if set(frame.columns) != set(first.columns):
            raise other_columns(shown[0], list(first.columns), shown[number], list(frame.columns))
        for name in first.columns:
            kind = _kind(frame[name])
            wanted, earlier = kinds.setdefault(name, (kind, number)) if kind else (kind, number)
            if wanted != kind:
                problem = f"has {kind} in column {name}, and {Path(shown[earlier]).name} has {wanted}"
                raise RequestError(Setting("data.path", shown[number]), problem, remedy="Use one of the two.")
    parts = [frame[list(first.columns)] for frame in frames]
    types = {name: frames[number][name].dtype for name, (_, number) in kinds.items()}
    # A file in which a column has no value at all says nothing of its type.
    joined: pd.DataFrame = pd.concat([_typed(part, types) for part in parts], ignore_index=True)
    return joined


def _typed(frame: pd.DataFrame, types: Mapping[Any, Any]) -> pd.DataFrame:
    """Return rows whose columns without values have the types of other files; of numbers float64."""
    import pandas as pd

    values = {}
    for name in frame.columns:
        if name in types and not _kind(frame[name]):
            kind = types[name]
            if pd.api.types.is_bool_dtype(kind):
                kind = object
            elif pd.api.types.is_integer_dtype(kind):
                kind = "float64"
            values[name] = frame[name].astype(kind)
    return frame.assign(**values) if values else frame


def _kind(column: pd.Series[Any]) -> str:
    """Return what the values of a column are; "" where there is none."""
    import pandas as pd

    if column.isna().all():
        return ""
    if pd.api.types.is_bool_dtype(column.dropna()):
        return "truth values"
    if pd.api.types.is_numeric_dtype(column):
        return "numbers"
    return "times" if pd.api.types.is_datetime64_any_dtype(column) else "texts"
