"""The digest of raw rows: a function of names, types and values, in their order."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

PLAIN = "biuf"
"""Kinds of numpy's types whose bytes are their values."""


def digest(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of a frame's columns, in hexadecimal; its index does not count."""
    import numpy as np
    import pandas as pd

    names = [[str(name), str(dtype)] for name, dtype in frame.dtypes.items()]
    found = hashlib.sha256(json.dumps(names).encode())
    dtypes = list(frame.dtypes)
    # Neighbours of one type go together: a column a pixel makes hundreds of them.
    for dtype, group in itertools.groupby(range(len(dtypes)), key=dtypes.__getitem__):
        columns = list(group)
        part = frame.iloc[:, columns[0] : columns[-1] + 1]
        if isinstance(dtype, np.dtype) and dtype.kind in PLAIN:
            found.update(np.ascontiguousarray(part.to_numpy()).data)
        else:
            found.update(pd.util.hash_pandas_object(part, index=False).to_numpy().data)
    return found.hexdigest()
