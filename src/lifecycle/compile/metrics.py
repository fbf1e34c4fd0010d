"""Metrics for a task, by name: ours in float64, and any of torchmetrics, tried on made-up rows before training."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torchmetrics
from torch import Tensor

from lifecycle.compile import measures, moments
from lifecycle.compile.library_metrics import OfTorchmetrics
from lifecycle.compile.measures import EPSILON, Array, Compared, MeanOfRows, Measure, OfCounts, OfRanking
from lifecycle.compile.moments import OfMoments
from lifecycle.config.tasks import metric_class
from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec
from lifecycle.errors import RequestError, Setting, Text
from lifecycle.runtime.quiet import ignored

HIGHER_IS_BETTER = {
    "negative_predictive_value": True,
    "kendall_rank_corr_coef": True,
    "tweedie_deviance_score": False,
}
"""What torchmetrics leaves open, for predictions that are to be like the truth."""


def _absolute(rows: Compared) -> Array:
    return np.abs(rows.errors)


def _size(values: Array) -> Array:
    return np.maximum(np.abs(values), EPSILON)


def _log_cosh(rows: Compared) -> Array:
    away = _absolute(rows)
    return np.asarray(away + np.log1p(np.exp(-2 * away)) - np.log(2.0))  # without exponentials, which overflow


OURS: dict[str, Callable[[], Measure]] = {
    "mae": lambda: MeanOfRows(_absolute),
    "mse": lambda: MeanOfRows(lambda rows: rows.errors**2),
    "rmse": lambda: MeanOfRows(lambda rows: rows.errors**2, root=True),
    "mape": lambda: MeanOfRows(lambda rows: _absolute(rows) / _size(rows.truth)),
    "symmetric_mean_absolute_percentage_error": lambda: MeanOfRows(
        lambda rows: 2 * _absolute(rows) / _size(np.abs(rows.truth) + np.abs(rows.predicted))
    ),
    "weighted_mean_absolute_percentage_error": lambda: MeanOfRows(_absolute, over=lambda rows: _size(rows.truth)),
    "mean_squared_log_error": lambda: MeanOfRows(lambda rows: (np.log1p(rows.predicted) - np.log1p(rows.truth)) ** 2),
    "log_cosh_error": lambda: MeanOfRows(_log_cosh),
    "r2": lambda: OfMoments(moments.r2, higher_is_better=True),
    "explained_variance": lambda: OfMoments(moments.explained_variance, higher_is_better=True),
    "pearson_corr_coef": lambda: OfMoments(moments.pearson, higher_is_better=True),
    "concordance_corr_coef": lambda: OfMoments(moments.concordance, higher_is_better=True),
    "relative_squared_error": lambda: OfMoments(moments.relative_squared_error, higher_is_better=False),
    "normalized_root_mean_squared_error": lambda: OfMoments(moments.normalized_rmse, higher_is_better=False),
}
"""Metrics of values that are computed in float64 from the start."""

OURS_OF_CLASSES: dict[str, Callable[[int], Measure]] = {
    "accuracy": lambda _: MeanOfRows(lambda rows: rows.codes == rows.truth, higher_is_better=True),
    "precision": lambda classes: OfCounts(lambda right, said, true: measures.share(right, said), classes),
    "recall": lambda classes: OfCounts(lambda right, said, true: measures.share(right, true), classes),
    "f1": lambda classes: OfCounts(lambda right, said, true: measures.share(2 * right, said + true), classes),
    "specificity": lambda classes: OfCounts(measures.specificity, classes),
    "jaccard_index": lambda classes: OfCounts(
        lambda right, said, true: measures.share(right, said + true - right), classes
    ),
    "cohen_kappa": lambda classes: OfCounts(measures.cohen_kappa, classes),
    "matthews_corr_coef": lambda classes: OfCounts(measures.matthews, classes),
    "auroc": lambda classes: OfRanking(measures.under_roc, classes),
    "average_precision": lambda classes: OfRanking(measures.average_precision, classes),
}
"""The same of classes, from how many there are."""


def higher_is_better(name: str, metric: Measure) -> bool | None:
    """Tell whether a higher value of a metric is better; ``None`` where nobody says."""
    found: bool | None = HIGHER_IS_BETTER.get(name, metric.higher_is_better)
    return found


def build(spec: DataSpec, name: str) -> Measure:
    """Return the metric that a name of :func:`lifecycle.config.tasks.metrics_of` stands for.

    One that is not of ours is torchmetrics', made with no arguments but the task and its classes; over several classes
    it is their plain mean (macro), as precision and recall are.
    """
    if spec.task == REGRESSION and name in OURS:
        return OURS[name]()
    if spec.task != REGRESSION and name in OURS_OF_CLASSES:
        return OURS_OF_CLASSES[name](max(2, spec.num_outputs))
    name, arguments = metric_class(spec.task, name)
    cls = getattr(torchmetrics, name)
    if arguments is None:
        known = inspect.signature(cls.__new__).parameters
        arguments = {"task": spec.task} if "task" in known else {}
        if spec.task == MULTICLASS and "average" in known:
            arguments["average"] = "macro"
    if spec.task == MULTICLASS:
        arguments = {**arguments, "num_classes": spec.num_outputs}
    return OfTorchmetrics(cls(**arguments))


def check(spec: DataSpec, names: Iterable[str]) -> None:
    """Refuse a metric that cannot be made from its name alone, or is not one number.

    Raises:
        RequestError: names it and says why.
    """
    for name in names:
        try:
            value = _of_rows(spec, name, 4 * max(2, spec.num_outputs))
        except Exception as error:  # whatever the library raises
            why = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
            raise RequestError(
                f"metrics={name} cannot be used by its name alone ({why}). Choose another, such as {_example(spec)}."
            ) from error
        if not isinstance(value, float) and not (isinstance(value, Tensor) and value.numel() == 1):
            raise RequestError(f"metrics={name} is not one number an epoch. Choose another, such as {_example(spec)}.")


def of_one_row(spec: DataSpec, name: str) -> bool:
    """Tell whether a metric can be worked out from a single row."""
    try:
        _of_rows(spec, name, 1)
    except Exception:  # whatever the library raises
        return False
    return True


def check_weights(spec: DataSpec, names: Iterable[str], weights: str | Setting) -> None:
    """Refuse metrics that cannot be weighted: those that torchmetrics computes.

    Args:
        spec: the task and its classes.
        names: of the metrics.
        weights: what gives the rows their weights, as a message names it.

    Raises:
        RequestError: names the metric, and some that can.
    """
    for name in names:
        if isinstance(build(spec, name), OfTorchmetrics):
            known = ", ".join(OURS if spec.task == REGRESSION else OURS_OF_CLASSES)
            problem: Text = ["cannot be weighted, and ", weights, " gives the rows weights"]
            raise RequestError(Setting("metrics", name), problem, remedy=f"Choose from: {known}.")


def _of_rows(spec: DataSpec, name: str, rows: int) -> Any:
    """Return a metric of made-up predictions."""
    truth: Array = np.arange(rows) % max(2, spec.num_outputs)
    predicted: Array
    if spec.task == MULTICLASS:
        predicted = np.roll(np.eye(spec.num_outputs)[truth], 1, axis=0) * 0.5 + 0.5 / spec.num_outputs
    elif spec.task == BINARY:
        predicted = (np.arange(rows) + 0.5) / rows
    else:
        predicted, truth = np.arange(rows) + 1.0, np.arange(rows) % 3 + 1.0
    with ignored(), np.errstate(all="ignore"):
        metric = build(spec, name)
        metric.update(Compared(predicted, truth))
        return metric.result() if isinstance(metric, OfTorchmetrics) else metric.compute()


def _example(spec: DataSpec) -> str:
    return "accuracy" if spec.class_names or spec.task in (BINARY, MULTICLASS) else "mae"
