"""The metrics of a task by name: our own, and those of torchmetrics, which are tried before training."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torchmetrics
from torch import Tensor

from lifecycle.compile import measures, moments, own_metrics
from lifecycle.compile.library_metrics import LibraryMeasure
from lifecycle.compile.measures import (
    EPSILON,
    AnyArray,
    Compared,
    CountMeasure,
    LabelMeasure,
    MeanOfRows,
    Measure,
    RankingMeasure,
)
from lifecycle.compile.moments import MomentMeasure
from lifecycle.compile.own_metrics import FunctionMeasure
from lifecycle.config.tasks import TASKS, OwnName, metric_class
from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, REGRESSION, DataSpec
from lifecycle.errors import RequestError, Setting, Text, first_line
from lifecycle.runtime.quiet import ignored

HIGHER_IS_BETTER = {
    "negative_predictive_value": True,
    "kendall_rank_corr_coef": True,
    "tweedie_deviance_score": False,
    "specificity": True,
}
"""Directions of metrics whose class in torchmetrics does not say them."""


def _absolute(rows: Compared) -> AnyArray:
    return np.abs(rows.errors)


def _size(values: AnyArray) -> AnyArray:
    return np.maximum(np.abs(values), EPSILON)


def _log_cosh(rows: Compared) -> AnyArray:
    away = _absolute(rows)
    return np.asarray(away + np.log1p(np.exp(-2 * away)) - np.log(2.0))  # the exponentials of cosh would overflow


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
    "r2": lambda: MomentMeasure(moments.r2, higher_is_better=True),
    "explained_variance": lambda: MomentMeasure(moments.explained_variance, higher_is_better=True),
    "pearson_corr_coef": lambda: MomentMeasure(moments.pearson, higher_is_better=True),
    "concordance_corr_coef": lambda: MomentMeasure(moments.concordance, higher_is_better=True),
    "relative_squared_error": lambda: MomentMeasure(moments.relative_squared_error, higher_is_better=False),
    "normalized_root_mean_squared_error": lambda: MomentMeasure(moments.normalized_rmse, higher_is_better=False),
}
"""Our own metrics of values, computed in float64 throughout."""


def _precision(correct: AnyArray, predicted: AnyArray, _: AnyArray) -> AnyArray:
    return measures.ratio(correct, predicted)


def _recall(correct: AnyArray, _: AnyArray, true: AnyArray) -> AnyArray:
    return measures.ratio(correct, true)


def _f1(correct: AnyArray, predicted: AnyArray, true: AnyArray) -> AnyArray:
    return measures.ratio(2 * correct, predicted + true)


OURS_OF_CLASSES: dict[str, Callable[[int], Measure]] = {
    "accuracy": lambda _: MeanOfRows(lambda rows: rows.codes == rows.truth, higher_is_better=True),
    "precision": lambda classes: CountMeasure(_precision, classes),
    "recall": lambda classes: CountMeasure(_recall, classes),
    "f1": lambda classes: CountMeasure(_f1, classes),
    "balanced_accuracy": lambda classes: CountMeasure(measures.balanced_accuracy, classes),
    "specificity": lambda classes: CountMeasure(measures.specificity, classes),
    "jaccard_index": lambda classes: CountMeasure(
        lambda correct, predicted, true: measures.ratio(correct, predicted + true - correct), classes
    ),
    "cohen_kappa": lambda classes: CountMeasure(measures.cohen_kappa, classes),
    "matthews_corr_coef": lambda classes: CountMeasure(measures.matthews, classes),
    "auroc": lambda classes: RankingMeasure(measures.roc_area, classes),
    "average_precision": lambda classes: RankingMeasure(measures.average_precision, classes),
}
"""Our own metrics of classes: name -> function of the number of classes."""

OURS_OF_LABELS: dict[str, Callable[[int], Measure]] = {
    "accuracy": lambda _: MeanOfRows(lambda rows: (rows.codes == rows.truth).all(axis=1), higher_is_better=True),
    "hamming_distance": lambda _: MeanOfRows(lambda rows: (rows.codes != rows.truth).mean(axis=1)),
    "precision": lambda labels: LabelMeasure(_precision, labels),
    "recall": lambda labels: LabelMeasure(_recall, labels),
    "f1": lambda labels: LabelMeasure(_f1, labels),
    "precision_micro": lambda labels: LabelMeasure(_precision, labels, micro=True),
    "recall_micro": lambda labels: LabelMeasure(_recall, labels, micro=True),
    "f1_micro": lambda labels: LabelMeasure(_f1, labels, micro=True),
    "auroc": OURS_OF_CLASSES["auroc"],
    "average_precision": OURS_OF_CLASSES["average_precision"],
}
"""Our own metrics of several labels: name -> function of the number of labels."""


RARE = 0.1
"""Share of the rows below which a class is rare; among many classes, half of an equal share, where that is less."""

OF_RARE_CLASSES = ("balanced_accuracy", "average_precision")
"""Metrics that a network cannot reach by ignoring a rare class."""


def for_data(spec: DataSpec, targets: Tensor) -> list[str] | None:
    """Return the default metrics of data in which a class is rare; ``None``: none is, and the task's defaults fit.

    Args:
        spec: the task and its classes.
        targets: of the training rows, ``(rows,)`` or ``(rows, 1)`` codes of the classes.
    """
    if spec.task in (MULTILABEL, REGRESSION):  # the defaults of several labels have those of rare ones
        return None
    counts = np.bincount(targets.flatten().long().numpy(), minlength=len(spec.class_names))
    if counts.min() >= min(RARE, 0.5 / len(counts)) * counts.sum():
        return None
    return [*TASKS[spec.task].default_metrics, *OF_RARE_CLASSES]


def higher_is_better(name: str, metric: Measure) -> bool | None:
    """Return whether a higher value of a metric is better; ``None`` if that is not known."""
    found: bool | None = HIGHER_IS_BETTER.get(name, metric.higher_is_better)
    return found


def build(spec: DataSpec, name: str) -> Measure:
    """Return the metric of a name from :func:`lifecycle.config.tasks.metrics_of`.

    A metric of torchmetrics gets no arguments but the task and the number of classes. Over several classes it is the
    unweighted mean (macro), as precision and recall are.
    """
    if isinstance(name, OwnName):
        return own_metrics.measure(name.given)
    if spec.task == REGRESSION and name in OURS:
        return OURS[name]()
    if spec.task == MULTILABEL and name in OURS_OF_LABELS:
        return OURS_OF_LABELS[name](spec.num_outputs)
    if spec.task in (BINARY, MULTICLASS) and name in OURS_OF_CLASSES:
        # A binary network has one output for two classes.
        return OURS_OF_CLASSES[name](max(2, spec.num_outputs))
    name, arguments = metric_class(spec.task, name)
    cls = getattr(torchmetrics, name)
    if arguments is None:
        # The metrics of classes are factories in torchmetrics, whose __new__ takes the task.
        known = inspect.signature(cls.__new__).parameters
        arguments = {"task": spec.task} if "task" in known else {}
        if spec.task in (MULTICLASS, MULTILABEL) and "average" in known:
            # torchmetrics' own default is "micro" for some metrics, such as HammingDistance.
            arguments["average"] = "macro"
    if spec.task in (MULTICLASS, MULTILABEL):
        counted = "num_classes" if spec.task == MULTICLASS else "num_labels"
        arguments = {**arguments, counted: spec.num_outputs}
    return LibraryMeasure(cls(**arguments))


def check(spec: DataSpec, names: Iterable[str]) -> None:
    """Check that each metric can be built from its name alone, and is one number.

    Raises:
        RequestError: a metric needs arguments, or is a curve or a matrix.
    """
    remedy = f"Choose another, such as {_example(spec)}."
    for name in names:
        try:
            value = _of_rows(spec, name, 4 * max(2, spec.num_outputs))
        except Exception as error:  # torchmetrics raises many kinds: TypeError, ValueError, RuntimeError
            reason = first_line(error)
            own = isinstance(name, OwnName)
            problem = f"cannot be computed: {reason}" if own else f"cannot be used by its name alone ({reason})"
            raise RequestError(Setting("metrics", name), problem, remedy=remedy) from error
        if not isinstance(value, float) and not (isinstance(value, Tensor) and value.numel() == 1):
            raise RequestError(Setting("metrics", name), "is not one number an epoch", remedy=remedy)


def of_one_row(spec: DataSpec, name: str) -> bool:
    """Return whether a metric is defined for a single row."""
    try:
        _of_rows(spec, name, 1)
    except Exception:  # torchmetrics raises many kinds
        return False
    return True


def check_weights(spec: DataSpec, names: Iterable[str], weights: Text) -> None:
    """Check that metrics can be weighted: those of torchmetrics cannot.

    Args:
        spec: the task and its classes.
        names: of the metrics.
        weights: where the weights of the rows come from, for the message.

    Raises:
        RequestError: a metric is computed by torchmetrics.
    """
    for name in names:
        measure = build(spec, name)
        if isinstance(measure, LibraryMeasure) or (isinstance(measure, FunctionMeasure) and not measure.takes_weights):
            of_task: dict[str, dict[str, Any]] = {REGRESSION: OURS, MULTILABEL: OURS_OF_LABELS}
            known = ", ".join(of_task.get(spec.task, OURS_OF_CLASSES))
            problem: Text = ["cannot be weighted, and ", weights, " gives the rows weights"]
            raise RequestError(Setting("metrics", name), problem, remedy=f"Choose from: {known}.")


def _of_rows(spec: DataSpec, name: str, rows: int) -> Any:
    """Return a metric of synthetic predictions for ``rows`` rows, in which each class occurs if there are enough."""
    truth: AnyArray = np.arange(rows) % max(2, spec.num_outputs)
    predicted: AnyArray
    # A perfect prediction, or a constant one, would leave many metrics undefined. Values are positive, for logarithms.
    if spec.task == MULTICLASS:
        predicted = np.roll(np.eye(spec.num_outputs)[truth], 1, axis=0) * 0.5 + 0.5 / spec.num_outputs
    elif spec.task == MULTILABEL:
        truth = (np.arange(rows)[:, np.newaxis] + np.arange(spec.num_outputs)) % 2
        predicted = np.where(np.arange(rows)[:, np.newaxis] % 3 == 0, 1 - truth, truth) * 0.5 + 0.25
    elif spec.task == BINARY:
        predicted = (np.arange(rows) + 0.5) / rows
    else:
        predicted, truth = np.arange(rows) + 1.0, np.arange(rows) % 3 + 1.0
    # torchmetrics warns of classes that do not occur in so few rows.
    with ignored(), np.errstate(all="ignore"):
        metric = build(spec, name)
        metric.update(Compared(predicted, truth))
        return metric.result() if isinstance(metric, LibraryMeasure) else metric.compute()


def _example(spec: DataSpec) -> str:
    return "accuracy" if spec.class_names or spec.task != REGRESSION else "mae"
