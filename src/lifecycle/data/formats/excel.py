"""Read a sheet of an Excel file as the text of a CSV file, so that both are read by the same rules."""

from __future__ import annotations

import csv
import datetime
import io
from pathlib import Path
from typing import IO, Any

from lifecycle.data.formats.archives import check_size
from lifecycle.errors import RequestError, Setting, Text, did_you_mean, first_line

MIDNIGHT = datetime.time()
"""The time of day of an Excel date without one."""

MOST_BYTES = 4_000_000_000
"""A larger content of the archive that an Excel file is: the file was made to fill the memory."""


def to_csv(source: Path | IO[bytes], sheet: str | None, key: Setting) -> bytes:
    """Return a sheet as a CSV file; dates as ``2024-01-31`` or ``2024-01-31 12:00:00``, formulas as their last values.

    Empty rows and columns around the cells are left out.

    Args:
        source: the Excel file.
        sheet: name; ``None``: the only one with cells.
        key: of the file, for messages.

    Raises:
        RequestError: openpyxl is not installed, there is no such sheet, or several are.
        ValueError: the file cannot be read.
    """
    tables = _tables(source, sheet, key)
    if sheet is None and len(tables) > 1:
        remedy: Text = ["Add ", Setting(_field(key), next(iter(tables))), "."]
        raise RequestError(key, f"has the sheets {', '.join(tables)}", remedy=remedy)
    rows = next(iter(tables.values()), [])
    if not rows:
        where = "" if sheet is None else f" in the sheet {sheet}"
        raise RequestError(key, f"has no cells{where}", remedy="Add rows.")
    lines = io.StringIO()
    columns = (_texts(column) for column in zip(*rows, strict=True))
    csv.writer(lines, lineterminator="\n").writerows(zip(*columns, strict=True))
    return lines.getvalue().encode()


def _tables(source: Path | IO[bytes], sheet: str | None, key: Setting) -> dict[str, list[tuple[Any, ...]]]:
    """Return name -> the rows of each sheet with cells, or of the one that is named."""
    try:
        import openpyxl
    except ImportError as error:
        remedy = "Type pip install 'nn-lifecycle[excel]', or save the sheet as CSV."
        raise RequestError(key, "is an Excel file, which needs openpyxl", remedy=remedy) from error
    check_size(source, MOST_BYTES)
    try:
        # read_only: row by row, with a fraction of the memory; data_only: the values of formulas.
        book = openpyxl.load_workbook(source, read_only=True, data_only=True)
    except KeyError as error:  # a part of the archive is missing
        raise ValueError(f"it is no Excel file: {first_line(error)}") from error
    try:
        if sheet is not None and sheet not in book.sheetnames:
            remedy = f"{did_you_mean(sheet, book.sheetnames)} Sheets: {', '.join(book.sheetnames)}."
            raise RequestError(Setting(_field(key), sheet), "is no sheet of the file", remedy=remedy)
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
