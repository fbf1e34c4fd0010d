"""Encode rows for the model server, with the arithmetic of scikit-learn's transformers and without their overhead.

A ``ColumnTransformer`` takes milliseconds for one row, nearly all of it for frames and their checks. This module
handles ordinary cells; for all others the caller uses the transformer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

LARGEST = 2.0**53
"""Whole numbers beyond this are not exact in double precision."""


class RowEncoder:
    """Encodes rows in which all numbers are present and all categories are texts that occurred in training.

    Args:
        transformer: a fitted ``ColumnTransformer`` with an imputer and a scaler for numbers, a one-hot encoder for the
            rest, or one of the two.
        numbers: name of the step for numbers.
        categories: name of the step for categories.
        missing_zeros: columns in which 0 stands for a missing value.
    """

    def __init__(self, transformer: Any, numbers: str, categories: str, missing_zeros: Collection[str] = ()) -> None:
        self._steps = [(step == numbers, list(names)) for step, _, names in transformer.transformers]
        self._missing_zeros = frozenset(missing_zeros)
        fitted = transformer.named_transformers_
        self._scaler = fitted[numbers][-1] if numbers in fitted else None
        known = fitted[categories].categories_ if categories in fitted else []
        self._places = [{text: at for at, text in enumerate(texts)} for texts in known]

    def __call__(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> np.ndarray[Any, Any] | None:
        """Return ``(rows, features) float32``; ``None``: a column or a cell is not ordinary.

        Args:
            columns: names of the cells of a row, each once.
            rows: cells as ``json.loads`` returns them.
        """
        import numpy as np

        at = {name: place for place, name in enumerate(columns)}
        parts = []
        for are_numbers, names in self._steps:
            if not all(name in at for name in names):
                return None
            part = self._numbers(at, names, rows) if are_numbers else self._categories(at, names, rows)
            if part is None:
                return None
            parts.append(part)
        with np.errstate(over="ignore"):  # the next line checks
            inputs = np.concatenate(parts, axis=1).astype(np.float32)
        return inputs if np.isfinite(inputs).all() else None

    def _numbers(
        self, at: dict[str, int], names: list[str], rows: Sequence[Sequence[Any]]
    ) -> np.ndarray[Any, Any] | None:
        import numpy as np

        places = [at[name] for name in names]
        cells = [[row[place] for place in places] for row in rows]
        # The exact types: a bool is an int, but the transformer handles it differently.
        if not set(map(type, chain.from_iterable(cells))) <= {int, float}:
            return None
        try:
            values = np.array(cells, dtype=np.float64)
        except OverflowError:  # a Python integer beyond the largest float
            return None
        if not (np.abs(values) < LARGEST).all():  # also refuses NaN
            return None
        zeros = [place for place, name in enumerate(names) if name in self._missing_zeros]
        if zeros and (values[:, zeros] == 0).any():
            return None
        return scaled(self._scaler, values)

    def _categories(
        self, at: dict[str, int], names: list[str], rows: Sequence[Sequence[Any]]
    ) -> np.ndarray[Any, Any] | None:
        import numpy as np

        encoded = np.zeros((len(rows), sum(map(len, self._places))))
        start = 0
        for name, places in zip(names, self._places, strict=True):
            place = at[name]
            for number, row in enumerate(rows):
                cell = row[place]
                found = places.get(cell) if type(cell) is str and cell else None
                if found is None:
                    return None
                encoded[number, start + found] = 1.0
            start += len(places)
        return encoded


def scaled(scaler: Any, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return ``scaler.transform(values)``, bit for bit.

    Args:
        scaler: fitted.
        values: ``(rows, features) float64``; may be overwritten.
    """
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    # In scikit-learn's order of operations, on which the last bit depends. A subclass may override transform.
    if type(scaler) is StandardScaler:
        if scaler.with_mean:
            values -= scaler.mean_
        if scaler.with_std:
            values /= scaler.scale_
    elif type(scaler) is MinMaxScaler and not scaler.clip:
        values *= scaler.scale_
        values += scaler.min_
    else:
        values = scaler.transform(values)
    return values
