"""Turn what ``data.path`` names (files, patterns, folders, archives, addresses) into plain files of this machine."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lifecycle.credentials import masked
from lifecycle.data.formats import names
from lifecycle.data.sources import scratch_files, several, text_files, unpack
from lifecycle.data.sources.addresses import fetch, hugging_face
from lifecycle.errors import RequestError, Setting, first_line

PATH = "data.path"


@dataclass(frozen=True)
class Files:
    """Plain files of rows, all of one format.

    Attributes:
        form: their format, of :data:`lifecycle.data.formats.names.TABLE`; an Excel sheet is a CSV file here.
        files: in the order of their rows.
        shown: what each is called in messages.
        source: the format at the path.
    """

    form: str
    files: tuple[Path, ...]
    shown: tuple[str, ...]
    source: str


_plain_files: dict[tuple[Any, ...], Path] = {}  # what was unpacked or converted by this process


def find(path: str, fields: Any = None, key: str = PATH) -> Files:
    """Return the files at a path.

    Args:
        path: a file, a folder of files, a pattern such as ``part-*.csv``, an address, or ``hf:<name>``.
        fields: whose ``sheet`` is that of Excel files.
        key: of the path, for messages.

    Raises:
        RequestError: there is no such file, it cannot be unpacked or fetched, or the files have several formats.
    """
    setting = Setting(key, path)
    found = listed(path, setting)
    shown = tuple(shown for _, shown in found)
    plain = [_plain(file, Setting(key, name)) for file, name in found]
    forms = [form for _, form in plain]
    other = next((number for number, form in enumerate(forms) if form != forms[0]), None)
    if other is not None:
        problem = f"has files of several formats, {Path(shown[0]).name} and {Path(shown[other]).name}"
        raise RequestError(setting, problem, remedy="Give files of one format, for instance as *.csv.")
    files, form = [file for file, _ in plain], forms[0]
    if form == names.EXCEL:
        sheet = getattr(fields, "sheet", None)
        files = [_csv_of(file, Setting(key, name), sheet) for file, name in zip(files, shown, strict=True)]
    return Files(names.CSV if form == names.EXCEL else form, tuple(files), shown, form)


def listed(path: str, key: Setting) -> list[tuple[Path, str]]:
    """Return files, which may be compressed, and what each is called in messages.

    Args:
        path: as for :func:`find`.
        key: of the path, for messages.

    Raises:
        RequestError: there is none.
    """
    if path.startswith("hf:"):
        return [(file, f"{path} ({number})") for number, file in enumerate(hugging_face.files(path, key))]
    if names.scheme_of(path) == "file":
        path = path.partition("://")[2]
    if fetch.is_remote(path):
        return _fetched(path, key)
    file = Path(path).expanduser()
    if names.is_pattern(path):
        found = sorted(one for one in glob.glob(str(file), recursive=True) if Path(one).is_file())  # noqa: PTH207
        if not found:
            raise RequestError(key, "matches no file", remedy=f"Check the folder {file.parent} and the pattern.")
        several.check_partitions(found, str(file.parent), key)
        return [(Path(one), one) for one in found]
    if file.is_dir():
        return [(one, str(one)) for one in several.of_folder(file, key)]
    if not file.is_file():
        raise names.no_file(key, file)
    return [(file, path)]


def joined(files: Files, fields: Any = None) -> Files:
    """Return files of texts as one file; those of other formats unchanged.

    Args:
        files: as :func:`find` returns them.
        fields: whose ``header`` tells whether the files begin with the names of columns.

    Raises:
        RequestError: the files have different columns.
    """
    if len(files.files) == 1 or files.form not in names.CELLS:
        return files
    header = getattr(fields, "header", None)
    stamp = ("joined", *map(_stamp, files.files), header)
    return replace(files, files=(_once(stamp, lambda: text_files.joined(files.files, files.shown, header)),))


def check_unused(path: str, form: str, fields: Any) -> None:
    """Refuse fields that the format of a path does not have.

    Args:
        path: for messages.
        form: of its files, before Excel sheets are converted.
        fields: with ``sheet`` and ``query``.
    """
    for name, wanted, what in (("sheet", (names.EXCEL,), "Excel files"), ("query", (names.SQLITE, ""), "databases")):
        value = getattr(fields, name, None)
        if value is not None and form not in wanted:
            problem = f"is for {what}, and {masked(path)} is none"
            raise RequestError(Setting(f"data.{name}", value), problem, remedy="Leave it out.")


def _fetched(address: str, key: Setting) -> list[tuple[Path, str]]:
    found = [address]
    if names.scheme_of(address) in fetch.STORAGE and any(sign in address for sign in "*?["):
        from lifecycle.data.sources.addresses import storage

        found = storage.listed(address, key)
        if not found:
            raise RequestError(key, "matches no file", remedy="Check the address and the pattern.")
    return [(fetch.fetch(one, key), one) for one in found]


def _plain(file: Path, key: Setting) -> tuple[Path, str]:
    """Return a file that is not compressed, and its format."""
    form = names.ending(file.name, key)
    if names.compression_of(file.name) is not None:
        file = _once(("unpacked", _stamp(file)), lambda: unpack.unpacked(file, key))
        form = names.ending(file.name, key)
    assert form is not None  # noqa: S101 - for the types: nothing is compressed any more
    return file, form


def _csv_of(file: Path, key: Setting, sheet: str | None) -> Path:
    from lifecycle.data.formats import excel

    def make() -> Path:
        target = scratch_files.new_file(f"{file.stem}.csv")
        try:
            target.write_bytes(excel.to_csv(file, sheet, key))
        except (ValueError, OSError) as error:
            raise RequestError(key, f"cannot be read: {first_line(error)}", remedy="Fix the file.") from error
        return target

    return _once(("sheet", _stamp(file), sheet), make)


def _once(stamp: tuple[Any, ...], make: Callable[[], Path]) -> Path:
    if stamp not in _plain_files or not _plain_files[stamp].is_file():
        _plain_files[stamp] = make()
    return _plain_files[stamp]


def _stamp(file: Path) -> tuple[Any, ...]:
    """Return what changes with the content of a file."""
    about = file.stat()
    return (str(file.resolve()), about.st_mtime_ns, about.st_size)
