"""Convert frames and series of other libraries (polars, Arrow and others that narwhals supports) to pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lifecycle.errors import RequestError

OURS = (pd.DataFrame, pd.Series, np.ndarray, list, tuple, dict, str)
"""Types that are not frames of another library, which saves importing narwhals."""


def is_frame(X: Any) -> bool:  # noqa: N803 - scikit-learn's and Keras's name
    """Return whether rows are a frame, of pandas or of another library, and so have column names."""
    return isinstance(X, pd.DataFrame) or _narwhals(X) is not None


def as_pandas(X: Any, name: str = "X") -> Any:  # noqa: N803
    """Return a frame or series of another library as one of pandas with Arrow types; anything else unchanged.

    Args:
        X: any object.
        name: of the argument, for messages.

    Raises:
        RequestError: the frame is lazy, or Arrow has no type for a column.
    """
    found = _narwhals(X)
    if found is None:
        if type(X).__name__ == "LazyFrame":
            raise RequestError(name, "is a LazyFrame, which has no rows yet", remedy=f"Give {name}.collect().")
        return X
    try:
        table = found.to_arrow()
        # ignore_metadata: pandas' metadata in an Arrow table would turn columns into an index.
        if hasattr(found, "columns"):
            # With NumPy's types, whole numbers with a missing one would become float64 and be rounded beyond 2^53.
            frame = table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
            return frame.set_axis(list(found.columns), axis=1)
        return pd.Series(pd.array(table, dtype=pd.ArrowDtype(table.type)), name=found.name)
    except Exception as error:  # each library has its own exceptions
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:150]}"
        problem = f"has values that Arrow has no type for ({reason})"
        raise RequestError(name, problem, remedy="Give numbers or texts.") from error


def _narwhals(X: Any) -> Any:  # noqa: N803
    if isinstance(X, OURS) or hasattr(X, "detach"):
        return None
    import narwhals.stable.v2 as nw

    found = nw.from_native(X, eager_only=True, allow_series=True, pass_through=True)
    return found if isinstance(found, nw.DataFrame | nw.Series) else None
