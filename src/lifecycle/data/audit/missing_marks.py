"""Numbers that may stand for missing values, such as -999: one far value that occurs again and again."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lifecycle.data.audit.findings import Finding
from lifecycle.data.audit.table_checks import Column
from lifecycle.errors import Either

MARK = re.compile(r"-?9{1,6}|-?8{2,6}|-?1e(30|37|38)")
"""Numbers that files use for missing values."""

FEWEST = 3
"""Rows with the number: fewer may be outliers."""

FAR = 5.0
"""Distance from the nearest other value, in interquartile ranges of the others."""


def found_in(columns: Sequence[Column]) -> list[Finding]:
    """Return a finding for each column with such a number, which is its least or its greatest one."""
    marks = [(column.name, mark) for column in columns if (mark := _mark(column)) is not None]
    return [
        Finding(
            "missing marks",
            f"{name}: {count} rows have {mark}, far from all others, as if it stood for a missing value",
            Either(f"If it does, add data.missing=[{mark}]", "If it does, replace it by NaN"),
            (name,),
        )
        for name, (mark, count) in marks
    ]


def _mark(column: Column) -> tuple[str, int] | None:
    present = column.values[~np.isnan(column.values)]
    if not column.is_number or column.distinct < FEWEST:
        return None
    for value in (present.min(), present.max()):
        others = present[present != value]
        count = len(present) - len(others)
        text = f"{value:g}"
        if count >= FEWEST and MARK.fullmatch(text) and _is_apart(others, value):
            return text, count
    return None


def _is_apart(others: np.ndarray[tuple[int], np.dtype[np.float64]], value: float) -> bool:
    """Return whether there is a wide gap between a value and the others."""
    low, high = np.quantile(others, [0.25, 0.75])
    edge = others.max() if value > high else others.min()
    return bool(high > low and abs(value - edge) > FAR * (high - low))
