"""Read raw rows from a path: a user's file, scikit-learn, the package itself, or a registered download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.data.formats import names
from lifecycle.data.formats.csv import _csv
from lifecycle.data.formats.reading import declared_of
from lifecycle.data.sources import databases, downloads, local, several
from lifecycle.data.sources.addresses import openml
from lifecycle.data.sources.sklearn_sets import _sklearn
from lifecycle.errors import RequestError, Setting, Text, first_line

if TYPE_CHECKING:
    import pandas as pd

LARGE = 8_000_000
"""A file with more numbers than this is read in blocks: reading it at once needs several copies in memory."""

BYTES_A_NUMBER = 8
"""Bytes of a number in a CSV file, approximately."""


def read(path: str, fields: Any = None) -> pd.DataFrame:
    """Return the raw rows at ``path``.

    Args:
        path: a file of rows, which may be compressed; a folder of them, or a pattern such as ``part-*.csv``; an address
            (``https://``, ``s3://``, ``gs://``); a database (``sqlite:///a.db``, ``postgresql://host/name``); or
            ``sklearn:<name>``, ``openml:<number>``, ``hf:<owner>/<name>``, ``lifecycle:<file>`` for a file of the
            package, ``download:<name>`` for a registered file, which is downloaded once and verified each time.
        fields: a data plugin, whose fields such as ``sheet`` and ``query`` choose the rows; ``None``: their defaults.

    Raises:
        RequestError: the path does not exist, or it cannot be read without dropping or shifting something.
    """
    scheme, found, name = path.partition(":")
    if found and scheme in SETS:
        local.check_unused(path, scheme, fields)
        return SETS[scheme](name, path, fields)
    if databases.is_address(path):
        local.check_unused(path, "", fields)
        return databases.of_address(path, getattr(fields, "query", None), Setting("data.path", path))
    files = local.find(path, fields)
    whole = local.joined(files, fields)
    try:
        return _checked(_frame(whole, path, fields), path)
    except RequestError:
        for file, shown in zip(files.files, files.shown, strict=True) if len(files.files) > 1 else ():
            # A message about one of the files has its name, and counts its lines.
            _checked(_frame(replace(files, files=(file,), shown=(shown,)), shown, fields), shown)
        raise


def is_table(path: str) -> bool:
    """Return whether a path is one of a table, which need not exist; otherwise it is one of a folder."""
    file = Path(path).expanduser()
    has_format = names.format_of(file.name) is not None or names.compression_of(file.name) is not None
    return names.is_elsewhere(path) or names.is_pattern(path) or (has_format and not file.is_dir()) or file.is_file()


def _download(name: str, path: str, fields: Any) -> pd.DataFrame:
    files = downloads.registered(name)
    if name == "mnist":
        from lifecycle.data.sources import idx

        return idx.digits({Path(file.name).name.removesuffix(".gz"): downloads.content(file, path) for file in files})
    downloads.content(files[0], path)  # downloads and verifies it
    return _one(downloads.folder() / files[0].name, path, fields)


def _embedded(name: str, path: str, fields: Any) -> pd.DataFrame:
    # A package may be imported from a zip archive, in which there is no file to open.
    with resources.as_file(resources.files("lifecycle.data.embedded") / name) as file:
        return _one(file, path, fields)


def _one(file: Path, path: str, fields: Any) -> pd.DataFrame:
    """Return the rows of a file of the package or the cache."""
    found = local.find(str(file))
    return _checked(_frame(replace(found, shown=(path,)), path, fields), path)


SETS: dict[str, Callable[[str, str, Any], pd.DataFrame]] = {
    "sklearn": lambda name, _path, _fields: _sklearn(name),
    "openml": lambda name, path, _fields: openml.read(name, Setting("data.path", path)),
    "lifecycle": _embedded,
    "download": _download,
}
"""What is before the colon of a path -> how the data set of that name is read."""


def _parquet(file: Path) -> pd.DataFrame:
    import pandas as pd

    from lifecycle.data.formats import feather

    return feather.without_index(pd.read_parquet(file))


def _feather(file: Path) -> pd.DataFrame:
    from lifecycle.data.formats import feather

    return feather.frame(file)


def _json(file: Path) -> pd.DataFrame:
    from lifecycle.data.formats import json

    with file.open("rb") as stream:
        return json.frame(stream)


def _npz(file: Path) -> pd.DataFrame:
    from lifecycle.data.formats import npz

    return npz.read(file)


def _programs() -> Any:
    from lifecycle.data.formats import statistics_programs

    return statistics_programs


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    names.PARQUET: _parquet,
    names.FEATHER: _feather,
    names.JSON: _json,
    names.JSON_LINES: _json,
    names.NUMPY: _npz,
    names.STATA: lambda file: _programs().stata(file),
    names.SAS: lambda file: _programs().sas(file),
    names.XPORT: lambda file: _programs().xport(file),
}


def large_file(path: str, most_bytes: int | None = None, fields: Any = None) -> Path | tuple[Path, ...] | None:
    """Return the CSV or Parquet file at ``path`` if it has too many numbers for a frame; else ``None``.

    Args:
        path: as for :func:`read`.
        most_bytes: memory limit, if it is lower than that of :data:`LARGE` numbers in single precision.
        fields: as for :func:`read`.

    Returns:
        A plain file, which is a temporary one where that at the path is compressed; several files of Parquet in order.

    Raises:
        RequestError: as :func:`read`, if the path exists.
    """
    files = _plain_files(path, fields)
    if files is None or files.form not in (*names.CELLS, names.PARQUET):
        return None
    files = local.joined(files, fields)
    numbers = sum(file.stat().st_size for file in files.files) // BYTES_A_NUMBER  # an estimate, without reading them
    if files.form == names.PARQUET:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            about = [parquet.read_metadata(file) for file in files.files]
        except (pa.ArrowException, OSError):
            return None  # reading the file will raise the error
        numbers = sum(map(_numbers_in, about))
    # 4 bytes a number: large tables are kept in single precision.
    if numbers <= min(LARGE, LARGE if most_bytes is None else most_bytes // 4):
        return None
    return files.files[0] if len(files.files) == 1 else files.files


def _numbers_in(about: Any) -> int:
    """Return the size of a Parquet file as a number of numbers, by its metadata; long texts count as several."""
    kinds = [about.schema.column(place).physical_type for place in range(about.num_columns)]
    texts = [place for place, kind in enumerate(kinds) if kind == "BYTE_ARRAY"]
    groups = [about.row_group(number) for number in range(about.num_row_groups)] if texts else []
    of_texts = [sum(group.column(place).total_uncompressed_size for group in groups) for place in texts]
    many = sum(max(about.num_rows, size // BYTES_A_NUMBER) for size in of_texts)
    return int(about.num_rows * (len(kinds) - len(texts)) + many)


def csv_file(path: str, fields: Any = None) -> Path | None:
    """Return the CSV file at a path, unpacked where it is compressed; ``None``: the path is one of something else."""
    try:
        files = _plain_files(path, fields)
    except RequestError:  # such as a folder of images
        return None
    return local.joined(files, fields).files[0] if files is not None and files.form in names.CELLS else None


def _plain_files(path: str, fields: Any) -> local.Files | None:
    """Return the files at a path; ``None``: there are none."""
    scheme, found, _ = path.partition(":")
    if (found and scheme in SETS) or databases.is_address(path) or names.is_images(path):
        return None
    is_file = names.is_elsewhere(path) or names.is_pattern(path) or Path(path).expanduser().exists()
    return local.find(path, fields) if is_file else None


def _frame(files: local.Files, path: str, fields: Any) -> pd.DataFrame:
    """Return the rows of plain files."""
    frames = []
    local.check_unused(path, files.source, fields)
    for file, shown in zip(files.files, files.shown, strict=False):
        if files.form == names.SQLITE:
            frames.append(databases.of_file(file, getattr(fields, "query", None), Setting("data.path", shown)))
            continue
        try:
            read_text = files.form in names.CELLS
            frames.append(_csv(file, declared_of(fields)) if read_text else _READERS[files.form](file))
        except (ValueError, OSError, ImportError) as error:  # the errors of pandas and pyarrow are ValueErrors
            raise unreadable(shown if len(files.files) > 1 else path, error) from error
    return several.together(frames, files.shown)


def _checked(frame: pd.DataFrame, path: str) -> pd.DataFrame:
    if frame.empty:
        raise no_rows(path)
    for name in frame.columns:
        # pyarrow returns texts that are not UTF-8 as bytes.
        if frame[name].dtype == object and any(isinstance(value, bytes) for value in frame[name]):
            raise not_utf8(path, str(name))
    return frame


def unreadable(path: str, error: Exception) -> RequestError:
    """Return the error of a file that cannot be read, with the parser's message."""
    remedy: Text = getattr(error, "remedy", "Fix the file.")
    return RequestError(Setting("data.path", path), f"cannot be read: {first_line(error)}", remedy=remedy)


def no_rows(path: str) -> RequestError:
    """Return the error of a file without rows."""
    return RequestError(Setting("data.path", path), "has a header and no rows", remedy="Add rows.")


def not_utf8(path: str, name: str) -> RequestError:
    """Return the error of a column of bytes that are not text."""
    return RequestError(Setting("data.path", path), f"is not UTF-8 in column {name}", remedy="Save it as UTF-8.")
