"""The columns of a table as the steps of its preprocessing take them: numbers as float64, all else as texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import features
from lifecycle.data.columns.meaning import categories, dates
from lifecycle.data.columns.meaning import meaning as kinds
from lifecycle.data.columns.meaning.meaning import Meaning
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PART = "\t"
"""Between a column and a part of its times, in the names of columns that a step takes; names of files have none."""

Known = set[str | None]
Clean = Callable[[str], str]


@dataclass(frozen=True)
class Columns:
    """The columns that each step takes.

    Attributes:
        numbers: plain numbers, and numbers with units.
        booleans: truth values that are written in words.
        ordered: column -> its categories, the lowest first.
        times: columns of times.
        texts: columns of free text.
        categories: all others.
        clean: changes the spelling of a category, such as the spaces around it.
    """

    numbers: list[str]
    booleans: list[str] = field(default_factory=list)
    ordered: dict[str, tuple[str, ...]] = field(default_factory=dict)
    times: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    clean: Clean | None = None


def columns_of(inputs: pd.DataFrame, meanings: Mapping[str, Meaning], clean: Clean | None = None) -> Columns:
    """Return which step each column of training rows belongs to.

    Args:
        inputs: as :func:`lifecycle.data.columns.meaning.convert.converted` returns columns.
        meanings: of columns that are more than plain numbers or categories.
        clean: see :class:`Columns`.
    """
    kind = {name: meanings[name].kind if name in meanings else "" for name in inputs.columns}
    rest = [name for name in inputs.columns if kind[name] in ("", kinds.NUMBER, kinds.CATEGORY)]
    numeric = [name for name in features.numeric(inputs[rest]) if kind[name] != kinds.CATEGORY]

    def of_kind(wanted: str) -> list[str]:
        return [name for name in inputs.columns if kind[name] == wanted]

    return Columns(
        numbers=numeric,
        booleans=of_kind(kinds.BOOLEAN),
        ordered={name: meanings[name].order for name in of_kind(kinds.ORDERED)},
        times=of_kind(kinds.TIME),
        texts=of_kind(kinds.TEXT),
        categories=[name for name in rest if name not in numeric],
        clean=clean,
    )


def plain(inputs: pd.DataFrame, columns: Columns, known: Mapping[str, Known] = {}) -> pd.DataFrame:
    """Return numbers as float64, parts of times as columns, and all else as texts, with None for missing ones.

    Args:
        inputs: features of any dtype.
        columns: which step each belongs to.
        known: column -> its categories in the training rows.

    Raises:
        RequestError: a column of numbers contains something else.
    """
    import pandas as pd

    numeric = [*columns.numbers, *columns.booleans]
    if set(inputs.columns) <= set(numeric) and all(_is_number(dtype) for dtype in inputs.dtypes):
        return _plain_numbers(inputs)
    found: dict[str, Any] = {}
    for name in inputs.columns:
        column = inputs[name]
        if name in numeric:
            found[name] = _numbers(column)
        elif name in columns.ordered:
            found[name] = _places(column, columns.ordered[name])
        elif name in columns.times:
            parts = dates.expand(column.to_numpy(dtype="datetime64[us]"))
            found |= {f"{name}{PART}{part}": values for part, values in parts.items()}
        elif name in columns.texts:
            found[name] = column.astype(object).where(column.notna(), "").map(str)
        else:
            found[name] = _texts(column, known.get(name), columns.clean)
    return pd.DataFrame(found, index=inputs.index)


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    # pd.to_numeric would turn times into nanoseconds since 1970.
    column = column.astype(object) if features.is_temporal(column.dtype) else column
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[numbers.isna() & column.notna()]
    if len(wrong):
        raise _no_number(str(column.name), repr(wrong.iloc[0]), wrong.index[0])
    found = numbers.astype("float64")
    endless = np.flatnonzero(np.isinf(found))
    if len(endless):
        raise _no_number(str(column.name), found.iloc[endless[0]], column.index[endless[0]])
    return found


def _places(column: pd.Series[Any], order: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return the place of each category in its order, ``(rows,) float64``, NaN where it is missing or unknown."""
    import numpy as np

    codes, texts = coded(column, set(order), str.strip)
    places = {text: place for place, text in enumerate(order)}
    return np.asarray(np.array([*(places.get(text, np.nan) for text in texts), np.nan])[codes])


def _is_number(dtype: Any) -> bool:
    """Return whether the values of a column are numbers or truth values as NumPy has them."""
    import numpy as np

    return isinstance(dtype, np.dtype) and dtype.kind in "biuf"


def _plain_numbers(inputs: pd.DataFrame) -> pd.DataFrame:
    """Return what :func:`plain` does for columns of NumPy's numbers, in a tenth of the time."""
    import numpy as np
    import pandas as pd

    values = inputs.to_numpy("float64")
    endless = np.argwhere(np.isinf(values.T))  # by column
    if len(endless):
        column, row = endless[0]
        raise _no_number(inputs.columns[column], values[row, column], inputs.index[row])
    return pd.DataFrame(values, index=inputs.index, columns=inputs.columns)


def _no_number(name: str, got: Any, row: Any) -> RequestError:
    """Return the error of a value that is not a number."""
    return RequestError(f"column {name}", "holds numbers", f"{got} in row {row}", "Fix the value.")


def _texts(column: pd.Series[Any], known: Known | None, clean: Clean | None) -> pd.Series[Any]:
    """Return values as texts in the spelling of the training rows, missing ones as None."""
    import numpy as np
    import pandas as pd

    codes, different = coded(column, known, clean)
    if known is not None and categories.RARE in known:
        different = [text if text in known else categories.RARE for text in different]
    texts = np.array([*different, None], dtype=object)[codes]  # -1, a missing one, is the last
    return pd.Series(texts, index=column.index, dtype=object)


def coded(column: pd.Series[Any], known: Known | None, clean: Clean | None) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Return the position of each row's value among texts, -1 where it is missing; and these texts."""
    import pandas as pd

    # str() for each row only where it is needed: texts of a file are a StringDtype already.
    if not isinstance(column.dtype, pd.StringDtype):
        column = column.map(str).astype(object).where(column.notna(), None)
    codes, found = pd.factorize(column)
    texts = list(found)
    if known is not None:
        texts = [features.as_known(text, known) for text in texts]
    if clean is not None:
        texts = [text if known and text in known else clean(text) for text in texts]
    return codes, texts if known is None or clean is None else [features.as_known(text, known) for text in texts]
