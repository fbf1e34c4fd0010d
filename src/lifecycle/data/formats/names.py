"""What files rows are read from and written to, told by their endings; imports nothing that reads or writes them."""

from __future__ import annotations

from pathlib import Path

from lifecycle.errors import RequestError, did_you_mean

STANDARD = "-"
"""What stands for standard input and output."""

CSV, PARQUET, JSON, JSON_LINES = FORMATS = ("csv", "parquet", "json", "jsonl")
"""Endings of files; and what standard input and output may hold."""

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Endings of files that hold one image each."""


def of_input(path: str | Path, form: str = CSV) -> str:
    """Return what a file of rows holds, by its ending; or what standard input does.

    Raises:
        RequestError: there is no such file, or it is of no known format.
    """
    if str(path) == STANDARD:
        return form
    file = Path(path).expanduser()
    if not file.is_file():
        beside = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
        raise RequestError(
            f"input={path} is no file.{did_you_mean(file.name, beside)} Give the path of a CSV, Parquet or JSON file."
        )
    return _ending(file, f"input={path}")


def of_output(path: str | Path, form: str = CSV) -> str:
    """Return what a file is to hold, by its ending; or what standard output is.

    Raises:
        RequestError: it is of no known format, or in no folder.
    """
    if str(path) == STANDARD:
        return form
    file = Path(path).expanduser()
    ending = _ending(file, f"output={path}")
    if not file.parent.is_dir():
        raise RequestError(f"output={path} is in no folder that is there. Make {file.parent}, or give another file.")
    return ending


def is_images(path: str | Path) -> bool:
    """Tell whether a path is that of a folder or of an image."""
    file = Path(path).expanduser()
    return str(path) != STANDARD and (file.is_dir() or (file.is_file() and file.suffix.lower() in IMAGE_ENDINGS))


def endings() -> str:
    """Return the endings of files that can be read and written, for a message."""
    return " or ".join((", ".join(f".{form}" for form in FORMATS[:-1]), f".{FORMATS[-1]}"))


def _ending(file: Path, name: str) -> str:
    ending = file.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise RequestError(f"{name} ends in {file.suffix or 'nothing'}. Give a file ending in {endings()}.")
    return ending
