"""Fields of data plugins that choose the rows within a source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SourceFields:
    """The fields of plugins that read Excel files and databases."""

    sheet: str | None = None  # of an Excel file; null: the only one with cells
    query: str | None = None  # of a database: SELECT ..., or the name of a table; null: the only table
