"""Scaling of numbers."""

from __future__ import annotations

from typing import Any

SCALINGS = ("standard", "minmax", "none")

LEAST_SPREAD = 1e-3
"""Share of the greatest spread below which that of a component of texts is chance, and no unit to measure by."""


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


def spread_evenly(fitted: Any) -> None:
    """Have components that hardly vary in the training rows stay small in other rows too.

    Where all training texts begin with the same words, a component is nearly the same in all of them: divided by its
    own deviation, that of a text without these words would be millions.

    Args:
        fitted: a scaler, fitted to the components of texts.
    """
    import numpy as np

    if getattr(fitted, "data_range_", None) is not None:  # minmax
        small = fitted.data_range_ < LEAST_SPREAD * fitted.data_range_.max()
        fitted.scale_ = np.where(small, fitted.scale_[fitted.data_range_.argmax()], fitted.scale_)
        fitted.min_ = -fitted.data_min_ * fitted.scale_
    elif fitted.scale_ is not None:
        spread = np.sqrt(fitted.var_)
        fitted.scale_ = np.where(spread < LEAST_SPREAD * spread.max(), spread.max() or 1.0, fitted.scale_)
