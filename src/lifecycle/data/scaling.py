"""How numbers are brought to a scale that a network learns well from."""

from __future__ import annotations

from typing import Any

SCALINGS = ("standard", "minmax", "none")


def fitted(scaling: str, values: Any, weights: Any = None) -> Any:
    """Return :func:`scaler` fitted to ``(rows, features)``, means and deviations by ``(rows,)`` weights."""
    made = scaler(scaling)
    return made.fit(values) if scaling == "minmax" else made.fit(values, sample_weight=weights)


def scaler(scaling: str) -> Any:
    """Return an unfitted transformer of scikit-learn's.

    Args:
        scaling: ``"standard"``: mean 0 and deviation 1; ``"minmax"``: from 0 to 1; ``"none"``: as they are.
    """
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    if scaling == "minmax":
        return MinMaxScaler()
    return StandardScaler() if scaling == "standard" else StandardScaler(with_mean=False, with_std=False)
