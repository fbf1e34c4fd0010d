"""Read a sheet of an Excel file as the text of a CSV file, so that both are read by the same rules."""

from __future__ import annotations

import csv
import datetime
import zipfile
from pathlib import Path
from typing import Any

from lifecycle.errors import RequestError, Setting, did_you_mean

MIDNIGHT = datetime.time()
"""The time of day of an Excel date without one."""

MOST_BYTES = 4_000_000_000
"""A larger content of the archive that an Excel file is: the file was made to fill the memory."""


def to_csv(file: Path, csv_file: Path, sheet: str | None, key: Setting) -> None:
    """Write a sheet to a CSV file; dates as ``2024-01-31`` or ``2024-01-31 12:00:00``, formulas as their last values.

    Empty rows and columns around the cells are left out.

    Args:
        file: the Excel file.
        csv_file: to write.
        sheet: name; ``None``: the only one with cells.
        key: of the file, for messages.

    Raises:
        RequestError: openpyxl is not installed, or there is no such sheet, or no only one.
        ValueError: the file cannot be read.
    """
    tables = _tables(file, sheet, key)
    if sheet is None and len(tables) > 1:
        named = ", ".join(tables)
        raise RequestError(key, f"has the sheets {named}", remedy=["Add ", Setting(_field(key), next(iter(tables))), "."])
    rows = next(iter(tables.values()), [])
    if not rows:
        raise RequestError(key, "has no cells" if sheet is None else f"has no cells in the sheet {sheet}", remedy="Add rows.")
    with csv_file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(zip(*(_texts(column) for column in zip(*rows, strict=True)), strict=True))


def _tables(file: Path, sheet: str | None, key: Setting) -> dict[str, list[tuple[Any, ...]]]:
    """Return name -> the rows of each sheet with cells, or of the one that is named."""
    try:
        import openpyxl
    except ImportError as error:
        remedy = "Type pip install 'nn-lifecycle[excel]', or save the sheet as CSV."
        raise RequestError(key, "is an Excel file, which needs openpyxl", remedy=remedy) from error
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(part.file_size for part in archive.infolist()) > MOST_BYTES:
                raise ValueError(f"its content has more than {MOST_BYTES / 1e9:g} GB")
        # read_only: row by row, with a fraction of the memory; data_only: the values of formulas.
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError("it is no Excel file (.xlsx)") from error
    try:
        if sheet is not None and sheet not in book.sheetnames:
            remedy = f"{did_you_mean(sheet, book.sheetnames)} Sheets: {', '.join(book.sheetnames)}."
            raise RequestError(Setting(_field(key), sheet), f"is no sheet of {file.name}", remedy=remedy)
        names = [one.title for one in book.worksheets] if sheet is None else [sheet]
        tables = {name: _trimmed(list(book[name].iter_rows(values_only=True))) for name in names}
        return {name: rows for name, rows in tables.items() if rows}
    finally:
        book.close()


def _field(key: Setting) -> str:
    """Return the option that names the sheet: of a run, or of ``lifecycle predict``."""
    return f"{key.key.removesuffix('path').removesuffix('input')}sheet"


def _trimmed(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Leave out empty rows and columns around the cells, and make all rows as long as the longest."""
    used = [number for number, row in enumerate(rows) if any(value is not None for value in row)]
    if not used:
        return []
    rows = rows[used[0] : used[-1] + 1]
    columns = [number for row in rows for number, value in enumerate(row) if value is not None]
    first, last = min(columns), max(columns) + 1
    return [(*row, *(None,) * (last - len(row)))[first:last] for row in rows]


def _texts(column: tuple[Any, ...]) -> list[str]:
    """Return the cells of a column as texts."""
    times = [value for value in column if isinstance(value, datetime.datetime)]
    # An Excel date is a time at midnight: written so only where another cell of the column has a time of day.
    only_dates = all(value.time() == MIDNIGHT for value in times)
    return [_text(value, only_dates) for value in column]


def _text(value: Any, only_dates: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return str(value.date()) if only_dates else value.isoformat(" ")
    return str(value)
