"""Times written in the dtype and the form of a user's column."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns.notations import typical
from lifecycle.data.columns.time_steps import are_dates

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.data.columns.notations import Notation

WRITTEN = re.compile(
    r"\d{4}(?:([-/.]?)(\d\d?)(?:\1(\d\d?))?)?"
    r"(?:([T ])\d\d(:?\d\d)?(:?\d\d)?(?:\.(\d{1,9}))?)?( ?)(Z|[+-]\d\d(?::?\d\d)?)?"
)
"""A time as a text. Groups: separator, month, day, T or space, minute, second, fraction, space, offset from UTC."""


def written_like(found: pd.Series[Any], column: pd.Series[Any], notation: Notation | None = None) -> pd.Series[Any]:
    """Return times in the dtype of a column, and texts in its format.

    Args:
        found: whole numbers, or dates in a zone.
        column: the user's column of times, sorted.
        notation: of the column; ``None``: ISO 8601, or no texts.
    """
    import pandas as pd

    if not are_dates(found):
        return found.astype(column.dtype) if pd.api.types.is_numeric_dtype(column) else found.astype(str)
    local = found.dt.tz_localize(None)
    if notation is not None:
        like = typical([str(each).strip() for each in column], notation)
        written = pd.Series([notation.write(each, like) for each in local], dtype=object)
        return written.astype(column.dtype) if pd.api.types.is_numeric_dtype(column) else written
    if pd.api.types.is_numeric_dtype(column):  # years
        return pd.Series(local.dt.year.astype(column.dtype))
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.Series((local if column.dt.tz is None else found).astype(column.dtype))
    return _as_objects(found, local, column)


def _as_objects(found: pd.Series[Any], local: pd.Series[Any], column: pd.Series[Any]) -> pd.Series[Any]:
    """Return dates like a column of Python's dates, or of texts."""
    import pandas as pd

    last = column.iloc[-1]
    # Before date, of which datetime is a subclass.
    if isinstance(last, datetime.datetime):
        return pd.Series(list(found if last.tzinfo else local), dtype=object)
    if isinstance(last, datetime.date):
        return pd.Series([each.date() for each in local], dtype=object)
    longest = max(map(str, column), key=len)  # "2020-01-31" may be followed by "2020-01-31 12:00"
    return pd.Series([_text(each, longest, str(last)) for each in found], dtype=object)


def _text(moment: pd.Timestamp, like: str, last: str) -> str:
    """Return a time in its zone with the same parts as ``like``, and the offset from UTC written as in ``last``."""
    parts, ending = WRITTEN.fullmatch(like.strip()), WRITTEN.fullmatch(last.strip())
    if parts is None or ending is None:
        return moment.tz_localize(None).isoformat()
    separator, month, day, before_time, minute, second, fraction, space, _ = parts.groups()
    text = moment.strftime("%Y" + f"{separator}%m" * bool(month) + f"{separator}%d" * bool(day))
    if before_time:
        text += before_time + moment.strftime("%H" + _same_colon(minute, "%M") + _same_colon(second, "%S"))
    if fraction:
        text += "." + f"{moment.microsecond:06}{moment.nanosecond:03}"[: len(fraction)]
    return text + space + _offset(moment, ending.groups()[-1])


def _same_colon(written: str | None, form: str) -> str:
    """Return ``form``, after a colon where ``written`` begins with one; an empty text where ``written`` is ``None``."""
    return "" if written is None else ":" * written.startswith(":") + form


def _offset(moment: pd.Timestamp, like: str | None) -> str:
    """Return the offset from UTC in the form of ``like``: ``Z``, ``+01``, ``+0100`` or ``+01:00``; ``None``: empty."""
    if like is None or like == "Z":
        return like or ""
    written = moment.strftime("%z")  # +0100
    return written if len(like) == 5 else written[:3] + f":{written[3:5]}" * (len(like) > 3)
