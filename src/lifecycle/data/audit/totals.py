"""Finds a last row that holds the sums of the rows above it, as spreadsheets end with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lifecycle.data.audit.findings import Finding, named
from lifecycle.data.columns.features import TOTALS

FEWEST_ROWS = 4
"""With fewer rows, a sum may be chance."""

FEWEST_SUMS = 2
"""Sums that are needed in a row that does not call itself a total."""

ROUNDING = 1e-6
"""Largest difference to a sum, as a share of it."""


def totals(inputs: pd.DataFrame, labels: np.ndarray[Any, Any], target: str, row: int) -> list[Finding]:
    """Return the finding about the last row, if it holds sums.

    Args:
        inputs: the features.
        labels: ``(rows,)`` of the target.
        target: its name.
        row: number of the last row in the source.
    """
    if len(inputs) < FEWEST_ROWS:
        return []
    columns = {str(name): inputs[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in _numbers(inputs)}
    if labels.dtype.kind == "f":
        columns[target] = labels
    known = {name: values for name, values in columns.items() if not np.isnan(values[-1])}
    sums = [name for name, values in known.items() if _is_sum(values)]
    texts = {str(value).strip(" :").casefold() for value in inputs.iloc[-1] if isinstance(value, str)}
    if 2 * len(sums) <= len(known) or len(sums) < (1 if texts & TOTALS else FEWEST_SUMS):
        return []
    what = f"row {row}, the last one: the sum of all others in {named(sums)}, as of a line of totals"
    return [Finding("totals", what, "Remove the row", tuple(sums))]


def _numbers(inputs: pd.DataFrame) -> list[Any]:
    types = pd.api.types
    return [
        name
        for name, dtype in inputs.dtypes.items()
        if types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype) and not types.is_complex_dtype(dtype)
    ]


def _is_sum(values: np.ndarray[Any, Any]) -> bool:
    others = values[:-1][~np.isnan(values[:-1])]
    return bool(
        np.count_nonzero(others) >= FEWEST_ROWS - 1 and abs(others.sum() - values[-1]) <= ROUNDING * abs(values[-1])
    )
