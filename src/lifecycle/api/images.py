"""Images whose channels come last, as in Keras: here they come first, as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from lifecycle.errors import RequestError

LAST = (0, 3, 1, 2)
"""Axes of images with channels last, in the order of those with channels first."""

CHANNELS = (1, 3)
"""Numbers of channels by which the last axis is taken for them."""


def channels_first(X: Any, channels_last: bool) -> Any:  # noqa: N803 - scikit-learn's and Keras's name
    """Return samples with the channels before height and width.

    Args:
        X: of any shape.
        channels_last: whether images have the channels last.

    Raises:
        RequestError: X looks like images with channels last and is not said to be; or is said to be and is no image.
    """
    shape = tuple(getattr(X, "shape", ()))
    if channels_last:
        if len(shape) != 4:
            problem = "is for images of the shape (rows, height, width, channels)"
            raise RequestError("channels_last", problem, shape, "Leave it out.")
        values = X.detach().cpu().numpy() if hasattr(X, "detach") else np.asarray(X)
        return np.ascontiguousarray(values.transpose(LAST))
    if looks_last(shape):
        remedy = "Channels come first: X.transpose(0, 3, 1, 2), or channels_last=True."
        raise RequestError("X", "has images whose channels come last", f"the shape {shape}", remedy)
    return X


def looks_last(shape: tuple[int, ...]) -> bool:
    """Return whether samples look like images with channels last.

    >>> looks_last((1797, 8, 8, 1)), looks_last((1797, 1, 8, 8)), looks_last((60, 3, 4, 3))
    (True, False, False)
    """
    return len(shape) == 4 and shape[3] in CHANNELS and shape[1] > 4 and shape[2] > 4
