"""Convert a column to what it means: texts to numbers, truth values or times."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns.meaning import dates, numbers
from lifecycle.data.columns.meaning.meaning import BOOLEAN, CATEGORY, EPOCH, ISO, NUMBER, ORDERED, TIME, Meaning
from lifecycle.data.columns.remedies import typed
from lifecycle.errors import RequestError, Text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MISSING = ("", "NA", "N/A", "nan", "NaN", "null", "NULL", "None", "NaT")
"""Texts that stand for a missing value among numbers, truth values and times."""

PAIRS = (
    ("yes", "no"), ("true", "false"), ("y", "n"), ("t", "f"), ("on", "off"),
    ("ja", "nein"), ("j", "n"), ("wahr", "falsch"), ("oui", "non"), ("o", "n"), ("vrai", "faux"), ("si", "no"),
    ("sí", "no"), ("sì", "no"),
)  # fmt: skip
"""Spellings of truth values, the true one first; capitals do not count."""

TRUE, FALSE = {true for true, _ in PAIRS} | {"1"}, {false for _, false in PAIRS} | {"0"}


def truth(text: str) -> float | None:
    """Return 1 or 0 for a spelling of a truth value; ``None``: it is none."""
    word = text.strip().casefold().removesuffix(".0")
    return 1.0 if word in TRUE else 0.0 if word in FALSE else None


def are_truths(texts: list[str]) -> bool:
    """Return whether the different texts of a column are the two spellings of a truth value.

    >>> are_truths(["yes", "No"]), are_truths(["yes", "perhaps"]), are_truths(["yes"])
    (True, False, False)
    """
    return len(texts) < 9 and {text.strip().casefold() for text in texts} in map(set, PAIRS)


def converted(column: pd.Series[Any], meaning: Meaning, at_training: bool = False) -> pd.Series[Any]:
    """Return a column as what it means: ``float64`` (numbers, truth values), ``datetime64`` (times) or texts.

    Args:
        column: of one of the dtypes of :mod:`lifecycle.data.columns.types`.
        meaning: of the column.
        at_training: whether the message may advise to declare another type.

    Raises:
        RequestError: a value is not what it should be; names it and its row.
    """
    if meaning.kind == NUMBER:
        return _numbers(column, meaning, at_training)
    if meaning.kind == BOOLEAN:
        return _truths(column, meaning, at_training)
    if meaning.kind == TIME:
        return _times(column, meaning, at_training)
    if meaning.kind in (CATEGORY, ORDERED):
        column = as_texts(column)
    return _as_ordered(column, meaning) if meaning.kind == ORDERED else column


def _as_ordered(column: pd.Series[Any], meaning: Meaning) -> pd.Series[Any]:
    """Return ordered categories in the spelling of their order, from which capitals and spaces may differ."""
    import numpy as np
    import pandas as pd

    known = {one.casefold(): one for one in meaning.order}
    known |= {one: one for one in meaning.order}
    codes, found = each(column, lambda text: known.get(text.strip(), known.get(text.strip().casefold(), text.strip())))
    return pd.Series(np.array([*found, None], dtype=object)[codes], index=column.index, name=column.name)


def each(column: pd.Series[Any], parse: Callable[[str], Any]) -> tuple[np.ndarray[Any, Any], list[Any]]:
    """Parse each different text of a column once.

    Returns:
        ``(rows,)`` position of each row's text, -1 where it is missing; and what each text is.
    """
    import pandas as pd

    texts = column.map(str).astype(object).where(column.notna(), None) if column.dtype != "str" else column
    codes, different = pd.factorize(texts)
    return codes, [parse(text) for text in different]


def _numbers(column: pd.Series[Any], meaning: Meaning, at_training: bool) -> pd.Series[Any]:
    import pandas as pd

    if column.dtype.kind == "m":
        seconds: pd.Series[Any] = column.dt.total_seconds()
        return seconds
    if pd.api.types.is_numeric_dtype(column):
        return column
    return _mapped(column, meaning, lambda text: numbers.parse(text, meaning), at_training)


def _truths(column: pd.Series[Any], meaning: Meaning, at_training: bool) -> pd.Series[Any]:
    return _mapped(column, meaning, truth, at_training)


def _mapped(
    column: pd.Series[Any], meaning: Meaning, parse: Callable[[str], float | None], at_training: bool
) -> pd.Series[Any]:
    """Return a column of texts as ``float64``, with NaN where a value is missing."""
    import numpy as np
    import pandas as pd

    missing = float("nan")
    codes, found = each(column, lambda text: missing if text.strip() in MISSING else parse(text))
    _check_each(column, meaning, codes, found, at_training)
    values = np.array([*found, missing], dtype=np.float64)[codes]
    return pd.Series(values, index=column.index, name=column.name)


def _times(column: pd.Series[Any], meaning: Meaning, at_training: bool) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if column.dtype.kind == "M":
        return column.dt.tz_localize(None) if column.dt.tz is not None else column  # by the local clock
    notation = meaning.notation or ISO
    if pd.api.types.is_numeric_dtype(column) and notation != EPOCH:
        column = as_texts(column)
    codes, found = each(column, lambda text: "" if text.strip() in MISSING else dates.parse(text, notation))
    _check_each(column, meaning, codes, found, at_training)
    moments = [np.datetime64(one if isinstance(one, datetime.datetime) else "NaT", "us") for one in found]
    values = np.array([*moments, np.datetime64("NaT", "us")], dtype="datetime64[us]")[codes]
    return pd.Series(values, index=column.index, name=column.name)


def as_texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as texts, whole numbers without a fraction: ``8001`` also where a gap made them ``8001.0``."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column
    texts = column.map(lambda value: f"{value:.0f}" if float(value).is_integer() else str(value))
    return texts.astype(object).where(column.notna(), None).astype("str")


def _check_each(
    column: pd.Series[Any], meaning: Meaning, codes: np.ndarray[Any, Any], found: list[Any], at_training: bool
) -> None:
    """Refuse the first text that could not be parsed."""
    import numpy as np

    wrong = [place for place, value in enumerate(found) if value is None]
    if not wrong:
        return
    row = int(np.flatnonzero(np.isin(codes, wrong))[0])
    raise misfit(str(column.name), meaning, column.iloc[row], column.index[row], at_training)


def misfit(name: str, meaning: Meaning, value: Any, row: Any, at_training: bool) -> RequestError:
    """Return the error of a value that does not fit the type of its column."""
    problem = f"holds {meaning}"
    if not at_training:
        return RequestError(f"column {name}", problem, f"{value!s} in row {row}", "Fix the value.")
    instead = "category" if meaning.kind != CATEGORY else "text"
    remedy: Text = ["Fix the value, or add ", typed(name, instead), "."]
    return RequestError(f"column {name}", problem, f"{value!s} in row {row}", remedy)
