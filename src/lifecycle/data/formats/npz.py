"""Read NumPy's .npz files: samples ``X``, targets ``y``, and other values of the rows."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SAMPLES = "X"
"""The array of samples."""

KINDS = "biufU"
"""Kinds of dtypes that a table can hold: truth values, numbers and texts."""


def read(source: Path | IO[bytes]) -> pd.DataFrame:
    """Return the rows: columns ``x0``, ``x1``, ... of ``X`` in C order, and a column for each other array.

    Args:
        source: a file with an array ``X`` ``(rows, ...)``, and arrays such as ``y`` ``(rows,)`` or ``(rows, 1)``.

    Raises:
        ValueError: the file cannot be read, or holds something else; objects are pickles, and never read.
    """
    import pandas as pd

    arrays = _arrays(source)
    if SAMPLES not in arrays:
        raise ValueError(f"it has the arrays {', '.join(arrays) or 'none'} and no {SAMPLES}")
    samples = arrays.pop(SAMPLES)
    if samples.ndim < 2:
        raise ValueError(f"its array {SAMPLES} has the shape {samples.shape}, and (rows, columns) is needed")
    width = math.prod(samples.shape[1:])
    frame = pd.DataFrame(_native(samples).reshape(len(samples), width), columns=[f"x{i}" for i in range(width)])
    for name, values in arrays.items():
        if values.shape not in ((len(samples),), (len(samples), 1)):
            raise ValueError(f"its array {name} has the shape {values.shape}, and {SAMPLES} has {len(samples)} rows")
        if name in frame.columns:
            raise ValueError(f"its array {name} has the name of a column of {SAMPLES}")
        frame[name] = _native(values.reshape(-1))
    return frame


def _arrays(source: Path | IO[bytes]) -> dict[str, np.ndarray[Any, Any]]:
    import numpy as np

    try:
        # Without pickles, since these run code.
        with np.load(source, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is no .npz file")  # noqa: TRY004 - the fault is in the file
            found = {}
            for name in archive.files:
                try:
                    found[name] = archive[name]
                except ValueError as error:
                    if "pickle" not in str(error):
                        raise
                    raise ValueError(f"its array {name} holds objects, which are a pickle and never read") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError("it is no .npz file") from error
    for name, values in found.items():
        if values.dtype.kind not in KINDS:
            raise ValueError(f"its array {name} holds values of the type {values.dtype}; use numbers or texts")
    return found


def _native(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return values in the byte order of this machine, texts as objects."""
    if values.dtype.kind == "U":
        return values.astype(object)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
