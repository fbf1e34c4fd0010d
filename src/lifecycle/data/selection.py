"""Select samples by their positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from lifecycle.contract import Samples


def select(samples: Samples, positions: np.ndarray[Any, Any]) -> Samples:
    """Return the samples at some positions, in that order."""

    def rows(values: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any] | None:
        return None if values is None else values[positions]

    inputs = samples.inputs
    return Samples(
        inputs=inputs[positions] if isinstance(inputs, np.ndarray) else inputs.iloc[positions],
        targets=rows(samples.targets),
        rows=samples.rows[positions],
        base=rows(samples.base),
        naive={name: values[positions] for name, values in samples.naive.items()},
        times=rows(samples.times),
        files=rows(samples.files),
        weights=rows(samples.weights),
        groups=rows(samples.groups),
        moments=rows(samples.moments),
        parts=rows(samples.parts),
        hashes=rows(samples.hashes),
        about={name: values[positions] for name, values in samples.about.items()},
    )
