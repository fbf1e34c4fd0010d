"""Frames and series of other libraries than pandas (polars, Arrow and what narwhals knows), as pandas has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lifecycle.errors import RequestError

OURS = (pd.DataFrame, pd.Series, np.ndarray, list, tuple, dict, str)
"""What is no frame of another library."""


def is_frame(X: Any) -> bool:  # noqa: N803 - scikit-learn's and Keras's name
    """Tell whether rows have names of columns: a frame of pandas or of another library."""
    return isinstance(X, pd.DataFrame) or _narwhals(X) is not None


def as_pandas(X: Any, name: str = "X") -> Any:  # noqa: N803
    """Return a frame or series of another library as pandas' own, with Arrow's types; anything else as it is.

    Args:
        X: anything.
        name: of it, for messages.

    Raises:
        RequestError: it is lazy, or a column has no type that Arrow knows.
    """
    found = _narwhals(X)
    if found is None:
        if type(X).__name__ == "LazyFrame":
            raise RequestError(name, "is a LazyFrame, which has no rows yet", remedy=f"Give {name}.collect().")
        return X
    try:
        table = found.to_arrow()
        if hasattr(found, "columns"):
            frame = table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
            return frame.set_axis(list(found.columns), axis=1)
        return pd.Series(pd.array(table, dtype=pd.ArrowDtype(table.type)), name=found.name)
    except Exception as error:  # of whichever library, such as objects that Arrow has no type for
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:150]}"
        problem = f"has values that Arrow has no type for ({reason})"
        raise RequestError(name, problem, remedy="Give numbers or texts.") from error


def _narwhals(X: Any) -> Any:  # noqa: N803
    if isinstance(X, OURS) or hasattr(X, "detach"):
        return None
    import narwhals.stable.v2 as nw

    found = nw.from_native(X, eager_only=True, allow_series=True, pass_through=True)
    return found if isinstance(found, nw.DataFrame | nw.Series) else None
