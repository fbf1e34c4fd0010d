"""SHA-256 digests of data and of row numbers, which identify what a model was trained on."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PLAIN = "biuf"
"""Kinds of NumPy's dtypes whose bytes are their values; objects are pointers."""

NO_ROWS = "none"
"""Stands for the digest of a part without rows."""


def digest(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of a frame's columns, in hexadecimal; its index does not count."""
    import numpy as np

    # Names and dtypes too: the same bytes may be other columns.
    names = [[str(name), str(dtype)] for name, dtype in frame.dtypes.items()]
    found = hashlib.sha256(json.dumps(names).encode())
    dtypes = list(frame.dtypes)
    # Adjacent columns of one dtype are digested together: images have hundreds of columns, one for each pixel.
    for dtype, group in itertools.groupby(range(len(dtypes)), key=dtypes.__getitem__):
        columns = list(group)
        part = frame.iloc[:, columns[0] : columns[-1] + 1]
        if isinstance(dtype, np.dtype) and dtype.kind in PLAIN:
            found.update(np.ascontiguousarray(part.to_numpy()).data)
        else:
            found.update(_hashes(part).data)
    return found.hexdigest()


def _hashes(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    import pandas as pd

    try:
        return pd.util.hash_pandas_object(frame, index=False).to_numpy()
    except TypeError:  # lists and mappings, in columns that are dropped
        return pd.util.hash_pandas_object(frame.map(_as_text), index=False).to_numpy()


def _as_text(value: Any) -> Any:
    """Return a list, an array or a mapping as JSON."""
    nested = isinstance(value, list | dict | tuple | set) or hasattr(value, "tolist")
    return json.dumps(value, default=_plain, sort_keys=True) if nested else value


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def rows_digest(rows: np.ndarray[Any, Any] | None) -> str:
    """Return the SHA-256, in hexadecimal, of the row numbers of a part; their order and dtype do not count.

    Args:
        rows: ``(samples,)`` row numbers in the source, from 0; ``None``: the part is empty.
    """
    import numpy as np

    if rows is None or not len(rows):
        return NO_ROWS
    # Little-endian 64-bit integers, so that the digest is the same on all machines.
    return hashlib.sha256(np.sort(np.asarray(rows, dtype="<i8")).tobytes()).hexdigest()
