"""Where raw rows come from: a file of the user's, scikit-learn, the package itself, or a registered download."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.data import csv_lines, downloads
from lifecycle.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("NA", "N/A", "nan", "NaN", "null", "NULL", "None")
"""What stands for a missing number in a CSV file, beside an empty field."""

SCHEMES = ("sklearn", "lifecycle", "download")

LARGE = 8_000_000
"""Numbers in a file from which on it is read in blocks, and never held twice."""

BYTES_A_NUMBER = 8
"""Of a CSV file, about."""

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

MADE = "two_classes"
"""A data set that scikit-learn makes up."""


def read(path: str) -> pd.DataFrame:
    """Return the raw rows at ``path``.

    Args:
        path: a CSV or Parquet file, ``sklearn:<name>``, ``lifecycle:<file>`` for a file of the package, or
            ``download:<name>`` for a registered file, which is fetched once and checked each time.

    Raises:
        RequestError: nothing is there, or it cannot be read without dropping or shifting something.
    """
    scheme, found, name = path.partition(":")
    if found and scheme == "sklearn":
        return _sklearn(name)
    if found and scheme == "lifecycle":
        with resources.as_file(resources.files("lifecycle.data.embedded") / name) as file:
            return _file(file, path)
    if found and scheme == "download":
        return _download(name, path)
    return _file(Path(path).expanduser(), path)


def is_table(path: str) -> bool:
    """Tell whether a path names one table, there or not; otherwise it is a folder's."""
    scheme, found, _ = path.partition(":")
    file = Path(path).expanduser()
    return bool(found and scheme in SCHEMES) or file.suffix.lower() in _READERS or file.is_file()


def _download(name: str, path: str) -> pd.DataFrame:
    files = downloads.registered(name)
    if name == "mnist":
        from lifecycle.data import idx

        return idx.digits({Path(file.name).name.removesuffix(".gz"): downloads.content(file, path) for file in files})
    downloads.content(files[0], path)  # there, and the one that is registered
    return _file(downloads.folder() / files[0].name, path)


def _sklearn(name: str) -> pd.DataFrame:
    if name == MADE:
        return _two_classes()
    if name not in SKLEARN_TARGETS:
        known = [*SKLEARN_TARGETS, MADE]
        raise RequestError(
            f"data.path=sklearn:{name} is not known.{did_you_mean(name, known)} Choose from: {', '.join(known)}."
        )
    import sklearn.datasets

    loaded = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = loaded.data.copy()
    classes = loaded.get("target_names")
    target = SKLEARN_TARGETS[name]
    frame[target] = loaded.target if classes is None else [str(classes[code]) for code in loaded.target]
    return frame


def _two_classes() -> pd.DataFrame:
    """Return 1,000 rows of 20 numbers, of which scikit-learn hides two classes in four; the same at each call."""
    import numpy as np
    import pandas as pd
    from sklearn.datasets import make_classification

    values, codes = make_classification(n_samples=1000, n_classes=2, random_state=1)
    frame = pd.DataFrame(values, columns=[f"x{number:02}" for number in range(1, values.shape[1] + 1)])
    return frame.assign(label=np.array(["a", "b"], dtype=object)[codes])


def _csv(file: Path) -> pd.DataFrame:
    import pandas as pd

    check_header(file)
    # pyarrow refuses rows that are too short or too long; pandas' own parsers fill or shift them.
    try:
        frame = pd.read_csv(file, engine="pyarrow", keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise csv_lines.explained_in(error, file) from error
    dated = [name for name in frame.columns if pd.api.types.is_datetime64_any_dtype(frame[name])]
    codes = [*codes_of(file), *dated]  # dates with a time of day stay as they are written, zone and all
    if codes:  # by themselves: told of one column's type, pandas lets no whole number of another be missing
        kinds = dict.fromkeys(codes, "str")
        texts = pd.read_csv(file, engine="pyarrow", keep_default_na=False, na_values=[""], usecols=codes, dtype=kinds)
        frame = frame.assign(**{name: texts[name] for name in codes})
    # "NA" among numbers is a missing one; among texts it is a word, such as the code of a country.
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]) and name not in codes:
            numbers, wrong = without_words(frame[name])
            if numbers.notna().any() and not wrong.any():
                frame[name] = numbers
    return frame


def without_words(column: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Return texts as numbers, with :data:`MISSING` words as missing; and whether each is a text that is no number."""
    import pandas as pd

    missing = column.isna() | column.isin(MISSING)
    numbers = pd.to_numeric(column.where(~missing), errors="coerce")
    return numbers, numbers.isna() & ~missing


def codes_of(file: Path) -> list[str]:
    """Return the columns that hold codes such as 007, judged by the first rows: a number would lose their zeros."""
    with file.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        rows = csv.reader(stream)
        names = next(rows, [])
        found = {
            i for row in itertools.islice(rows, ROWS_TO_JUDGE) for i, cell in enumerate(row) if CODE.fullmatch(cell)
        }
    return [names[i] for i in sorted(found) if i < len(names)]


def header(file: Path) -> list[str]:
    """Return the names of a CSV file's columns."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return next((names for names in csv.reader(stream) if names), [])


def check_header(file: Path) -> None:
    """Refuse what a parser would rename: a name that is there twice, or not at all."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        names = names_of(stream)
    check_names(names)


def names_of(lines: Iterable[str]) -> list[str]:
    """Return what the first line of a CSV file names that is not empty."""
    try:
        return next(filter(None, csv.reader(lines)), [])
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise ValueError(f"its first line is no names of columns: {error}") from error


def check_names(names: list[str]) -> None:
    """Refuse the names of a CSV file's columns that a parser would change."""
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


def large_file(path: str, most_bytes: int | None = None) -> Path | None:
    """Return the CSV or Parquet file at ``path`` if its numbers are too many for a frame; else ``None``.

    Args:
        path: as :func:`read` takes it.
        most_bytes: of its numbers in single precision, where that is less than :data:`LARGE` numbers.
    """
    file, suffix = Path(path).expanduser(), Path(path).suffix.lower()
    if path.partition(":")[0] in SCHEMES or suffix not in _READERS or not file.is_file():
        return None
    numbers = file.stat().st_size // BYTES_A_NUMBER
    if suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        try:
            about = parquet.read_metadata(file)
        except (pa.ArrowException, OSError):
            return None  # told where it is read
        numbers = about.num_rows * about.num_columns
    return file if numbers > min(LARGE, LARGE if most_bytes is None else most_bytes // 4) else None


def csv_file(path: str) -> Path | None:
    """Return the CSV file that a path names; ``None``: it names something else."""
    file = Path(path).expanduser()
    scheme, found, _ = path.partition(":")
    return file if file.suffix.lower() == ".csv" and not (found and scheme in SCHEMES) and file.is_file() else None


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
        raise unreadable(path, error) from error
    if frame.empty:
        raise RequestError(f"data.path={path} has a header and no rows. Add rows.")
    for name in frame.columns:
        if frame[name].dtype.kind == "O" and any(isinstance(value, bytes) for value in frame[name]):
            raise not_utf8(path, str(name))
    return frame


def unreadable(path: str, error: Exception) -> RequestError:
    """Return the refusal of a file, in the words of what cannot read it."""
    return RequestError(f"data.path={path} cannot be read: {_first_line(error)}. Fix the file.")


def not_utf8(path: str, name: str) -> RequestError:
    """Return the refusal of a column of bytes that are no text."""
    return RequestError(f"data.path={path} is not UTF-8 in column {name}. Save it as UTF-8.")


def _beside(file: Path) -> str:
    """Return the nearest file in the same folder, as the middle of a sentence."""
    names = [other.name for other in file.parent.iterdir() if other.is_file()] if file.parent.is_dir() else []
    return did_you_mean(file.name, names).replace(" Did you mean ", " (did you mean ").replace("?", "?)")


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
