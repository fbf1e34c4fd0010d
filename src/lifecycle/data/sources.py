"""Where raw rows come from: a file of the user's, a data set of scikit-learn's, or one shipped with this package."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("NA", "N/A", "nan", "NaN", "null", "NULL", "None")
"""What stands for a missing number in a CSV file, beside an empty field."""

CODE = re.compile(r"0\d+")
ROWS_TO_JUDGE = 10_000

SKLEARN_TARGETS = {
    "iris": "species",
    "wine": "cultivar",
    "breast_cancer": "diagnosis",
    "digits": "digit",
    "diabetes": "progression",
}
"""Data sets of scikit-learn, and the name that this package gives the column of their target."""


def read(path: str) -> pd.DataFrame:
    """Return the raw rows at ``path``.

    Args:
        path: a CSV or Parquet file, ``sklearn:<name>``, or ``lifecycle:<file>`` for a file of the package.

    Raises:
        RequestError: nothing is there, or it cannot be read without dropping or shifting something.
    """
    scheme, found, name = path.partition(":")
    if found and scheme == "sklearn":
        return _sklearn(name)
    if found and scheme == "lifecycle":
        with resources.as_file(resources.files("lifecycle.data.embedded") / name) as file:
            return _file(file, path)
    return _file(Path(path).expanduser(), path)


def _sklearn(name: str) -> pd.DataFrame:
    if name not in SKLEARN_TARGETS:
        raise RequestError(
            f"data.path=sklearn:{name} is not known.{did_you_mean(name, SKLEARN_TARGETS)} "
            f"Choose from: {', '.join(SKLEARN_TARGETS)}."
        )
    import sklearn.datasets

    loaded = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = loaded.data.copy()
    classes = loaded.get("target_names")
    target = SKLEARN_TARGETS[name]
    frame[target] = loaded.target if classes is None else [str(classes[code]) for code in loaded.target]
    return frame


def _csv(file: Path) -> pd.DataFrame:
    import pandas as pd

    _check_header(file)
    # pyarrow refuses rows that are too short or too long; pandas' own parsers fill or shift them.
    codes = dict.fromkeys(_codes(file), "str")
    frame = pd.read_csv(file, engine="pyarrow", keep_default_na=False, na_values=[""], dtype=codes)
    # "NA" among numbers is a missing one; among texts it is a word, such as the code of a country.
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]) and name not in codes:
            numbers = pd.to_numeric(frame[name].where(~frame[name].isin(MISSING)), errors="coerce")
            if numbers.notna().any() and (numbers.isna() <= (frame[name].isna() | frame[name].isin(MISSING))).all():
                frame[name] = numbers
    return frame


def _codes(file: Path) -> list[str]:
    """Return the columns that hold codes such as 007, judged by the first rows: a number would lose their zeros."""
    with file.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        rows = csv.reader(stream)
        names = next(rows, [])
        found = {
            i for row in itertools.islice(rows, ROWS_TO_JUDGE) for i, cell in enumerate(row) if CODE.fullmatch(cell)
        }
    return [names[i] for i in sorted(found) if i < len(names)]


def _check_header(file: Path) -> None:
    """Refuse what a parser would rename: a name that is there twice, or not at all."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        try:
            names = next(csv.reader(stream), [])
        except UnicodeDecodeError as error:
            raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from error
    if len(names) == 1 and (found := [sign for sign in ";\t|" if sign in names[0]]):
        raise ValueError(f"its header is separated by {found[0]!r} rather than a comma")
    if any(not name.strip() for name in names):
        number = next(i for i, name in enumerate(names, 1) if not name.strip())
        raise ValueError(f"column {number} has no name; an index is left out by to_csv(index=False)")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"it has the column {min(repeated)} twice")


def _parquet(file: Path) -> pd.DataFrame:
    import pandas as pd

    frame = pd.read_parquet(file)
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    if any(name is None for name in frame.index.names):
        raise ValueError("it has an index without a name")
    return frame.reset_index()  # an index with a name is a column like any other


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _csv, ".parquet": _parquet}


def _file(file: Path, path: str) -> pd.DataFrame:
    if not file.is_file():
        raise RequestError(f"data.path={path} is no file{_beside(file)}. Give the path of a CSV or Parquet file.")
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise RequestError(
            f"data.path={path} ends in {file.suffix or 'nothing'}. Give a file ending in {' or '.join(_READERS)}."
        )
    try:
        frame = reader(file)
    except (ValueError, OSError, ImportError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise RequestError(f"data.path={path} cannot be read: {_first_line(error)}. Mend the file.") from error
    if frame.empty:
        raise RequestError(f"data.path={path} has a header and no rows. Add rows.")
    for name in frame.columns:
        if frame[name].dtype.kind == "O" and any(isinstance(value, bytes) for value in frame[name]):
            raise RequestError(f"data.path={path} is not UTF-8 in column {name}. Save it as UTF-8.")
    return frame


def _beside(file: Path) -> str:
    """Return the nearest file in the same folder, as the middle of a sentence."""
    names = [other.name for other in file.parent.iterdir() if other.is_file()] if file.parent.is_dir() else []
    return did_you_mean(file.name, names).replace(" Did you mean ", " (did you mean ").replace("?", "?)")


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
