"""Scaling of numbers."""

from __future__ import annotations

from typing import Any

SCALINGS = ("standard", "minmax", "none")


def fitted(scaling: str, values: Any, weights: Any = None) -> Any:
    """Return a fitted :func:`scaler`.

    Args:
        scaling: one of :data:`SCALINGS`.
        values: ``(rows, features)``.
        weights: ``(rows,)``, for means and deviations.
    """
    unfitted = scaler(scaling)
    # MinMaxScaler.fit takes no weights, and minimum and maximum do not depend on them.
    return unfitted.fit(values) if scaling == "minmax" else unfitted.fit(values, sample_weight=weights)


def scaler(scaling: str) -> Any:
    """Return an unfitted scaler of scikit-learn's.

    Args:
        scaling: ``"standard"``: mean 0 and deviation 1; ``"minmax"``: from 0 to 1; ``"none"``: unchanged.
    """
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    if scaling == "minmax":
        return MinMaxScaler()
    # For "none" too a fitted scaler, so that saved models have the same steps.
    return StandardScaler() if scaling == "standard" else StandardScaler(with_mean=False, with_std=False)
