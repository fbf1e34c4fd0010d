"""Times written as decimal numbers: parts of a year, as R writes those of a series, and a year with its month.

``1949.083`` is February 1949, and ``1949.25`` its second quarter; ``1871.02`` and ``1871.1`` are its months 2 and 10.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

YEARS = (1000, 2999)
"""Years between which a decimal number may be a time."""

CLOSE = 0.07
"""Months by which a number may differ from a month: two decimals of a year are rounded by 0.06 of them."""

DECIMALS = re.compile(r"\d{4}(?:\.\d+)?")
MONTHS = re.compile(r"\d{4}(?:\.(?:0\d|1[0-2]))?")
"""Texts that ISO 8601 with points reads as months."""


def parts_of_years(column: pd.Series[Any]) -> pd.Series[Any] | None:
    """Return the ISO months of a column of decimal years, at the beginning or in the middle of months.

    Args:
        column: numbers, or texts that cannot all be months: ``1949.08`` as a text may be August.

    Returns:
        ``None`` for other columns.
    """
    import numpy as np

    numbers = _numbers(column)
    if numbers is None:
        return None
    months = numbers * 12
    middle = _middle(months[0])
    whole = np.round(months - middle)
    return _iso(whole, column) if bool((np.abs(months - middle - whole) <= CLOSE).all()) else None


def write_part(moment: pd.Timestamp, like: str) -> str:
    """Return a month as a decimal year with as many decimals as ``like``, and as it at the beginning or the middle."""
    middle, decimals = _middle(float(like) * 12), len(like.partition(".")[2])
    return f"{moment.year + (moment.month - 1 + middle) / 12:.{decimals}f}"


def years_with_months(column: pd.Series[Any]) -> pd.Series[Any] | None:
    """Return the ISO months of a column of numbers such as ``1871.01`` to ``1871.12``; ``None`` for other columns."""
    import numpy as np
    import pandas as pd

    numbers = _numbers(column) if pd.api.types.is_numeric_dtype(column) else None
    if numbers is None:
        return None
    hundreds = np.round(numbers * 100)
    month = hundreds % 100
    fits = (np.abs(numbers * 100 - hundreds) < 1e-6) & (month >= 1) & (month <= 12)
    return _iso(hundreds // 100 * 12 + month - 1, column) if bool(fits.all()) else None


def write_month(moment: pd.Timestamp, _like: str) -> str:
    """Return a month such as ``1871.02``."""
    return f"{moment.year}.{moment.month:02d}"


def _middle(months: float) -> float:
    """Return 0.5 for a number of months near the middle of one, else 0."""
    return 0.5 if abs(months % 1 - 0.5) <= CLOSE else 0.0


def _numbers(column: pd.Series[Any]) -> np.ndarray[Any, Any] | None:
    """Return the numbers of a column that may be decimal years, of which some are not whole."""
    import numpy as np
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        texts = column.astype(object).map(str).str.strip()
        if not texts.str.fullmatch(DECIMALS).all() or texts.str.fullmatch(MONTHS).all():
            return None
        column = texts.astype(float)
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    low, high = YEARS
    inside = bool(((numbers >= low) & (numbers < high + 1)).all())  # False of NaN
    return numbers if inside and bool((numbers != np.round(numbers)).any()) else None


def _iso(months: np.ndarray[Any, Any], column: pd.Series[Any]) -> pd.Series[Any]:
    """Return whole months since year 0 as ISO texts."""
    import numpy as np
    import pandas as pd

    whole = months.astype(np.int64)
    texts = [f"{each // 12:04d}-{each % 12 + 1:02d}" for each in whole.tolist()]
    return pd.Series(texts, index=column.index, dtype=object)
