"""Read raw rows from a path: a user's file, scikit-learn, the package itself, or a registered download."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.data.formats.csv import _csv
from lifecycle.data.formats.text.dialect import Declared
from lifecycle.data.sources import downloads
from lifecycle.data.sources.sklearn_sets import _sklearn
from lifecycle.errors import RequestError, Setting, did_you_mean, first_line

if TYPE_CHECKING:
    import pandas as pd

SCHEMES = ("sklearn", "lifecycle", "download")

LARGE = 8_000_000
"""A file with more numbers than this is read in blocks: reading it at once needs several copies in memory."""

BYTES_A_NUMBER = 8
"""Bytes of a number in a CSV file, approximately."""


def read(path: str, declared: Declared | None = None) -> pd.DataFrame:
    """Return the raw rows at ``path``.

    Args:
        path: a CSV or Parquet file, ``sklearn:<name>``, ``lifecycle:<file>`` for a file of the package, or
            ``download:<name>`` for a registered file, which is downloaded once and verified each time.
        declared: what is known of a text file; the rest is detected.

    Raises:
        RequestError: the path does not exist, or it cannot be read without dropping or shifting something.
    """
    scheme, found, name = path.partition(":")
    if found and scheme == "sklearn":
        return _sklearn(name)
    if found and scheme == "lifecycle":
        # A package may be imported from a zip archive, in which there is no file to open.
        with resources.as_file(resources.files("lifecycle.data.embedded") / name) as file:
            return _file(file, path, declared)
    if found and scheme == "download":
        return _download(name, path, declared)
    return _file(Path(path).expanduser(), path, declared)


def is_table(path: str) -> bool:
    """Return whether a path is one of a table, which need not exist; otherwise it is one of a folder."""
    scheme, found, _ = path.partition(":")
    file = Path(path).expanduser()
    return bool(found and scheme in SCHEMES) or file.suffix.lower() in _READERS or file.is_file()


def _download(name: str, path: str, declared: Declared | None) -> pd.DataFrame:
    files = downloads.registered(name)
    if name == "mnist":
        from lifecycle.data.sources import idx

        return idx.digits({Path(file.name).name.removesuffix(".gz"): downloads.content(file, path) for file in files})
    downloads.content(files[0], path)  # downloads and verifies it
    return _file(downloads.folder() / files[0].name, path, declared)


def _parquet(file: Path, declared: Declared | None = None) -> pd.DataFrame:
    import pandas as pd

    frame = pd.read_parquet(file)
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    if any(name is None for name in frame.index.names):
        raise ValueError("it has an index without a name")
    return frame.reset_index()  # an index with a name is a column like any other


_READERS: dict[str, Callable[[Path, Declared | None], pd.DataFrame]] = {".csv": _csv, ".parquet": _parquet}


def large_file(path: str, most_bytes: int | None = None) -> Path | None:
    """Return the CSV or Parquet file at ``path`` if it has too many numbers for a frame; else ``None``.

    Args:
        path: as for :func:`read`.
        most_bytes: memory limit, if it is lower than that of :data:`LARGE` numbers in single precision.
    """
    file, suffix = Path(path).expanduser(), Path(path).suffix.lower()
    if path.partition(":")[0] in SCHEMES or suffix not in _READERS or not file.is_file():
        return None
    numbers = file.stat().st_size // BYTES_A_NUMBER  # an estimate, without reading the file
    if suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        try:
            about = parquet.read_metadata(file)
        except (pa.ArrowException, OSError):
            return None  # reading the file will raise the error
        numbers = about.num_rows * about.num_columns
    # 4 bytes a number: large tables are kept in single precision.
    return file if numbers > min(LARGE, LARGE if most_bytes is None else most_bytes // 4) else None


def csv_file(path: str) -> Path | None:
    """Return the CSV file at a path; ``None``: the path is one of something else."""
    file = Path(path).expanduser()
    scheme, found, _ = path.partition(":")
    return file if file.suffix.lower() == ".csv" and not (found and scheme in SCHEMES) and file.is_file() else None


def _file(file: Path, path: str, declared: Declared | None = None) -> pd.DataFrame:
    if not file.is_file():
        remedy = f"{_hint(file)} Give the path of a CSV or Parquet file."
        raise RequestError(Setting("data.path", path), "is no file", remedy=remedy)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        problem = f"ends in {file.suffix or 'nothing'}"
        remedy = f"Give a file ending in {' or '.join(_READERS)}."
        raise RequestError(Setting("data.path", path), problem, remedy=remedy)
    try:
        frame = reader(file, declared)
    except (ValueError, OSError, ImportError) as error:  # the errors of pandas and pyarrow are ValueErrors
        raise unreadable(path, error) from error
    if frame.empty:
        raise no_rows(path)
    for name in frame.columns:
        # pyarrow returns texts that are not UTF-8 as bytes.
        if frame[name].dtype == object and any(isinstance(value, bytes) for value in frame[name]):
            raise not_utf8(path, str(name))
    return frame


def unreadable(path: str, error: Exception) -> RequestError:
    """Return the error of a file that cannot be read, with the parser's message."""
    return RequestError(Setting("data.path", path), f"cannot be read: {first_line(error)}", remedy="Fix the file.")


def no_rows(path: str) -> RequestError:
    """Return the error of a file without rows."""
    return RequestError(Setting("data.path", path), "has a header and no rows", remedy="Add rows.")


def not_utf8(path: str, name: str) -> RequestError:
    """Return the error of a column of bytes that are not text."""
    return RequestError(Setting("data.path", path), f"is not UTF-8 in column {name}", remedy="Save it as UTF-8.")


def _hint(file: Path) -> str:
    """Return the file of the same folder whose name is nearest, as a question; nothing where none is near."""
    names = [other.name for other in file.parent.iterdir() if other.is_file()] if file.parent.is_dir() else []
    return did_you_mean(file.name, names)
