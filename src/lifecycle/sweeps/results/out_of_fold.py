"""Out-of-fold predictions of a cross-validation: each row as predicted by the network that was not trained on it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lifecycle import layout
from lifecycle.data.columns import label_sets
from lifecycle.sweeps.results.entries import Entry

ROW, ACTUAL, PREDICTED, PROBABILITY = "row", "actual", "predicted", "probability_"
"""Columns of the predictions of a run; the last is the beginning of those of classes."""

ROUNDING = 1e-6
"""Of the sum of the probabilities of classes."""


def predictions_of(entry: Entry) -> pd.DataFrame | None:
    """Return the predictions of the finished folds of a configuration, in the order of repetitions and rows.

    Returns:
        Columns ``seed``, ``repeat``, ``fold``, then those of the predictions of a run; ``None`` without folds. Runs
        whose artifacts were deleted are left out.
    """
    parts = []
    for job in entry.jobs:
        run = entry.runs.get(job.number)
        cv = job.record["config"].get("cv")
        if run is None or run.status != "FINISHED" or not cv:
            continue
        part = _read(run.artifacts / layout.PREDICTIONS)
        if part is None:
            continue
        places = {"seed": job.record["config"]["seed"], "repeat": cv["repeat"], "fold": cv["fold"]}
        for at, (name, value) in enumerate(places.items()):
            part.insert(at, name, value)
        parts.append(part)
    if not parts:
        return None
    order = [name for name in ("seed", "repeat", ROW) if name in parts[0]]
    return pd.concat(parts, ignore_index=True).sort_values(order, kind="stable", ignore_index=True)


def _read(file: Path) -> pd.DataFrame | None:
    """Return the predictions of a run; ``None``: they were deleted."""
    try:
        names = pd.read_csv(file, nrows=0).columns
        # Names of classes, which may be NA, None or 01.
        is_class = any(str(name).startswith(PROBABILITY) for name in names)
        types = dict.fromkeys((ACTUAL, PREDICTED), str) if is_class else None
        return pd.read_csv(file, dtype=types, keep_default_na=False, na_values=[""], low_memory=False)
    except FileNotFoundError:
        return None


def scores_of(found: pd.DataFrame) -> dict[str, float]:
    """Return scores over all rows together, of each seed and repetition, and their mean.

    Args:
        found: as :func:`predictions_of` returns it, of complete folds.

    Returns:
        ``accuracy`` and ``log_loss`` of a classification (of several labels, of rows that are all right, and the mean
        over the labels); ``mae``, ``rmse`` and ``r2`` of a regression.
    """
    scores = [_scores(part) for _, part in found.groupby(["seed", "repeat"], sort=False)]
    return {name: float(np.mean([one[name] for one in scores])) for name in scores[0]}


def _scores(part: pd.DataFrame) -> dict[str, float]:
    from sklearn import metrics

    probabilities = part.filter(regex=f"^{PROBABILITY}")
    if probabilities.empty and part[PREDICTED].dtype.kind not in "fi":
        return {"accuracy": float(metrics.accuracy_score(part[ACTUAL], part[PREDICTED]))}
    if probabilities.empty:
        actual, predicted = part[ACTUAL].to_numpy(np.float64), part[PREDICTED].to_numpy(np.float64)
        return {
            "mae": float(metrics.mean_absolute_error(actual, predicted)),
            "rmse": float(metrics.root_mean_squared_error(actual, predicted)),
            "r2": float(metrics.r2_score(actual, predicted)),
        }
    names = [str(name).removeprefix(PROBABILITY) for name in probabilities]
    truth, values = part[ACTUAL].fillna("").astype(str), probabilities.to_numpy(np.float64)
    # Probabilities of classes sum to 1, and those of several labels need not.
    if (np.abs(values.sum(axis=1) - 1) > ROUNDING).any() or not truth.isin(names).all():
        held = np.array([[name in label_sets.split(one) for name in names] for one in truth])
        losses = np.log(np.clip(np.where(held, values, 1 - values), np.finfo(np.float64).eps, 1))
        return {"accuracy": float((held == (values > 0.5)).all(axis=1).mean()), "log_loss": float(-losses.mean())}
    # The probability that the network gave to the class that a row has.
    chosen = values[np.arange(len(part)), [names.index(name) for name in truth]]
    return {
        "accuracy": float((truth == part[PREDICTED].astype(str)).mean()),
        "log_loss": float(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1)).mean()),
    }


def is_complete(entry: Entry) -> bool:
    """Return whether all folds of a configuration are finished, and have their predictions."""
    runs = [entry.runs.get(job.number) for job in entry.jobs]
    return all(
        run is not None and run.status == "FINISHED" and (run.artifacts / layout.PREDICTIONS).is_file() for run in runs
    )


def pooled(parts: Iterable[tuple[Entry, pd.DataFrame]]) -> dict[str, dict[str, float]]:
    """Return the scores over all rows of each complete configuration, by its settings as JSON.

    Args:
        parts: configurations with their predictions, see :func:`predictions_of`.
    """
    return {json.dumps(entry.settings): scores_of(found) for entry, found in parts if is_complete(entry)}
