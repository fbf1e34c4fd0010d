"""Formats of files of rows, by their endings. Imports no reader or writer, so that ``--help`` stays fast."""

from __future__ import annotations

from pathlib import Path

from lifecycle.errors import RequestError, Setting, did_you_mean

STANDARD = "-"
"""The path of standard input and output."""

CSV, PARQUET, JSON, JSON_LINES = FORMATS = ("csv", "parquet", "json", "jsonl")
"""Formats of files, which are their endings, and of standard input and output."""

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Endings of image files."""


def of_input(path: str | Path, form: str = CSV) -> str:
    """Return the format of a file of rows, by its ending.

    Args:
        path: the file, or ``-``.
        form: the format of standard input.

    Raises:
        RequestError: the file does not exist, or its format is not known.
    """
    if str(path) == STANDARD:
        return form
    file = Path(path).expanduser()
    if not file.is_file():
        neighbours = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
        hint = did_you_mean(file.name, neighbours)
        remedy = f"{hint} Give the path of a CSV, Parquet or JSON file."
        raise RequestError(Setting("input", path), "is no file", remedy=remedy)
    return _ending(file, Setting("input", path))


def of_output(path: str | Path, form: str = CSV) -> str:
    """Return the format of a file to write, by its ending.

    Args:
        path: the file, or ``-``.
        form: the format of standard output.

    Raises:
        RequestError: the format is not known, or the folder does not exist.
    """
    if str(path) == STANDARD:
        return form
    file = Path(path).expanduser()
    ending = _ending(file, Setting("output", path))
    # Checked here, so that a command fails before it has predicted anything.
    if not file.parent.is_dir():
        problem = "is in a folder that does not exist"
        raise RequestError(Setting("output", path), problem, remedy=f"Make {file.parent}, or give another file.")
    return ending


def is_images(path: str | Path) -> bool:
    """Return whether a path is that of a folder or of an image."""
    file = Path(path).expanduser()
    return str(path) != STANDARD and (file.is_dir() or (file.is_file() and file.suffix.lower() in IMAGE_ENDINGS))


def endings() -> str:
    """Return the endings of files that can be read and written, for messages."""
    return " or ".join((", ".join(f".{form}" for form in FORMATS[:-1]), f".{FORMATS[-1]}"))


def _ending(file: Path, key: Setting) -> str:
    ending = file.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        problem = f"ends in {file.suffix or 'nothing'}"
        raise RequestError(key, problem, remedy=f"Give a file ending in {endings()}.")
    return ending
