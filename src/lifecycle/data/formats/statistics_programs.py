"""Read files of Stata (``.dta``) and SAS (``.sas7bdat``, ``.xpt``) with pandas."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.errors import first_line

if TYPE_CHECKING:
    import pandas as pd

ENCODINGS = ("utf-8", "cp1252")
"""Of texts in SAS transport files, which do not say theirs."""

VERSION_8 = b"HEADER RECORD*******LIBV8"
"""The first bytes of transport files that pandas does not read."""

CORRUPT = (struct.error, LookupError, TypeError, ArithmeticError, AttributeError, EOFError, StopIteration)
"""What pandas raises for a damaged file, apart from ValueError."""


def stata(source: Path) -> pd.DataFrame:
    """Return the rows of a Stata file: labels in place of the numbers of a column whose values all have one.

    Raises:
        ValueError: the file cannot be read.
    """
    import pandas as pd

    try:
        found = _whole(lambda: pd.read_stata(source))
    except ValueError as error:
        if "valid Stata" not in str(error):
            raise
        raise ValueError("it is no file of Stata, or of a version that pandas does not read") from error
    categories = [name for name in found.columns if isinstance(found[name].dtype, pd.CategoricalDtype)]
    partly = [name for name in categories if not all(isinstance(one, str) for one in found[name].cat.categories)]
    if partly:  # such as ages with a label of the greatest one only: they stay numbers
        numbers = _whole(lambda: pd.read_stata(source, convert_categoricals=False, columns=partly))
        found = found.assign(**{name: numbers[name] for name in partly})
    return _plain(found)


def sas(source: Path) -> pd.DataFrame:
    """Return the rows of a SAS file.

    Raises:
        ValueError: the file cannot be read.
    """
    import pandas as pd

    return _plain(_whole(lambda: pd.read_sas(source, format="sas7bdat", encoding="infer")))


def xport(source: Path) -> pd.DataFrame:
    """Return the rows of a SAS transport file.

    Raises:
        ValueError: the file cannot be read.
    """
    import pandas as pd

    with source.open("rb") as stream:
        if stream.read(len(VERSION_8)) == VERSION_8:
            remedy = "write it as version 5, or convert it in Python with pyreadstat.read_xport"
            raise ValueError(f"it is of version 8 of this format; {remedy}")

    def read(encoding: str) -> pd.DataFrame:
        return _plain(_whole(lambda: pd.read_sas(source, format="xport", encoding=encoding)))

    try:
        return read(ENCODINGS[0])
    except UnicodeDecodeError:
        return read(ENCODINGS[1])


def _whole(read: Callable[[], Any]) -> pd.DataFrame:
    """Return the rows that pandas reads; its errors of damaged files are ValueErrors here."""
    try:
        with warnings.catch_warnings():
            # Of labels that not all values have, and of frames in parts.
            warnings.simplefilter("ignore")
            found: pd.DataFrame = read()
    except CORRUPT as error:
        raise ValueError(f"it is damaged ({first_line(error)})") from error
    except MemoryError as error:  # a damaged number of rows is one cause
        raise ValueError("it is damaged, or needs more memory than is free") from error
    return found


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows with missing values for empty texts, which these programs have in their place, and wide numbers."""
    import numpy as np
    import pandas as pd

    if len(set(frame.columns)) < len(frame.columns):
        repeated = next(name for name in frame.columns if list(frame.columns).count(name) > 1)
        raise ValueError(f"it has the column {repeated} twice")
    changed: dict[str, Any] = {}
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind == "O" or isinstance(column.dtype, pd.StringDtype):
            changed[name] = column.mask(column == "").astype("str")
        elif isinstance(column.dtype, np.dtype) and column.dtype.kind in "if":
            changed[name] = column.astype("int64" if column.dtype.kind == "i" else "float64")
    return frame.assign(**changed)
