"""Metrics of torchmetrics for a task, by name; each tried on made-up predictions before anything is trained."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from typing import Any

import torch
import torchmetrics
from torch import Tensor

from lifecycle.contract import BINARY, MULTICLASS, DataSpec
from lifecycle.errors import RequestError
from lifecycle.tasks import metric_class

HIGHER_IS_BETTER = {
    "specificity": True,
    "negative_predictive_value": True,
    "kendall_rank_corr_coef": True,
    "pearson_corr_coef": True,
    "tweedie_deviance_score": False,
}
"""What torchmetrics leaves open, for predictions that are to be like the truth."""


def higher_is_better(name: str, metric: Any) -> bool | None:
    """Tell whether a higher value of a metric is better; ``None`` where nobody says."""
    found: bool | None = HIGHER_IS_BETTER.get(name, metric.higher_is_better)
    return found


def build(spec: DataSpec, name: str) -> torchmetrics.Metric:
    """Return the metric that a name of :func:`lifecycle.tasks.metrics_of` stands for.

    One that is not of ours is made with no arguments but the task and its classes; over several classes it is their
    plain mean (macro), as precision and recall are.
    """
    name, arguments = metric_class(spec.task, name)
    cls = getattr(torchmetrics, name)
    if arguments is None:
        known = inspect.signature(cls.__new__).parameters
        arguments = {"task": spec.task} if "task" in known else {}
        if spec.task == MULTICLASS and "average" in known:
            arguments["average"] = "macro"
    if spec.task == MULTICLASS:
        arguments = {**arguments, "num_classes": spec.num_outputs}
    metric: torchmetrics.Metric = cls(**arguments)
    return metric


def check(spec: DataSpec, names: Iterable[str]) -> None:
    """Refuse a metric that cannot be made from its name alone, or is not one number.

    Raises:
        RequestError: names it and says why.
    """
    for name in names:
        try:
            value = _of_rows(spec, name, 4 * max(2, spec.num_outputs))
        except Exception as error:  # whatever the library raises: it is told
            why = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
            raise RequestError(
                f"metrics={name} cannot be used by its name alone ({why}). Choose another, such as {_example(spec)}."
            ) from error
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise RequestError(f"metrics={name} is not one number an epoch. Choose another, such as {_example(spec)}.")


def of_one_row(spec: DataSpec, name: str) -> bool:
    """Tell whether a metric can be worked out from a single row."""
    try:
        _of_rows(spec, name, 1)
    except Exception:  # whatever the library raises
        return False
    return True


def _of_rows(spec: DataSpec, name: str, rows: int) -> Any:
    """Return a metric of made-up predictions."""
    truth = torch.arange(rows) % max(2, spec.num_outputs)
    if spec.task == MULTICLASS:
        predicted = torch.eye(spec.num_outputs)[truth].roll(1, dims=0) * 0.5 + 0.5 / spec.num_outputs
    elif spec.task == BINARY:
        predicted = (torch.arange(rows) + 0.5) / rows
    else:
        predicted, truth = torch.arange(rows) + 1.0, torch.arange(rows) % 3 + 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = build(spec, name)
        metric.update(predicted, truth)
        return metric.compute()


def _example(spec: DataSpec) -> str:
    return "accuracy" if spec.class_names or spec.task in (BINARY, MULTICLASS) else "mae"
