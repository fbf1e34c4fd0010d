"""What follows from a task: losses, metrics, defaults; and names that are not for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchmetrics
from torch import nn

from lifecycle.contract import BINARY, MULTICLASS, REGRESSION
from lifecycle.errors import RequestError
from lifecycle.tasks import TASKS, check_names, loss_of, metrics_of

DEFAULTS = {
    BINARY: ("binary_crossentropy", ("accuracy",)),
    MULTICLASS: ("categorical_crossentropy", ("accuracy",)),
    REGRESSION: ("mse", ("mae", "rmse")),
}


def test_there_are_the_three_tasks_of_the_contract() -> None:
    assert set(TASKS) == set(DEFAULTS)


@pytest.mark.parametrize(("task", "names"), DEFAULTS.items())
def test_loss_and_metrics_follow_from_the_task(task: str, names: tuple[str, tuple[str, ...]]) -> None:
    assert (loss_of(task, None), metrics_of(task, None)) == names


@pytest.mark.parametrize("task", TASKS)
def test_every_name_stands_for_a_class_that_can_be_made(task: str) -> None:
    for loss in TASKS[task].losses.values():
        assert isinstance(getattr(nn, loss)(), nn.Module)
    for name, (cls, arguments) in TASKS[task].metrics.items():
        more = {"num_classes": 3} if task == MULTICLASS else {}
        assert isinstance(getattr(torchmetrics, cls)(**arguments, **more), torchmetrics.Metric), name


@pytest.mark.parametrize("loss", sorted(TASKS[REGRESSION].losses))
def test_any_loss_of_the_task_can_be_chosen(loss: str) -> None:
    assert loss_of(REGRESSION, loss) == loss


def test_metrics_keep_the_order_they_are_named_in_and_each_counts_once() -> None:
    assert metrics_of(BINARY, ["f1", "accuracy", "f1"]) == ("f1", "accuracy")


def test_no_metrics_can_be_asked_for() -> None:
    assert metrics_of(BINARY, []) == ()


Z, Y = np.array([-2.0, 0.5, 3.0]), np.array([0.0, 1.0, 1.0])
SIGMOID = 1 / (1 + np.exp(-Z))
LOGITS = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
BY_HAND = {
    (BINARY, "binary_crossentropy"): -(Y * np.log(SIGMOID) + (1 - Y) * np.log(1 - SIGMOID)).mean(),
    (REGRESSION, "mse"): ((Z - Y) ** 2).mean(),
    (REGRESSION, "mae"): np.abs(Z - Y).mean(),
    (REGRESSION, "huber"): np.where(np.abs(Z - Y) < 1, (Z - Y) ** 2 / 2, np.abs(Z - Y) - 0.5).mean(),
    (MULTICLASS, "categorical_crossentropy"): -np.log([SOFTMAX[0, 1], SOFTMAX[1, 2]]).mean(),
}


@pytest.mark.parametrize(("task", "loss"), [(task, loss) for task in TASKS for loss in TASKS[task].losses])
def test_a_loss_is_the_mean_over_rows_that_its_name_says(task: str, loss: str) -> None:
    outputs, targets = torch.from_numpy(Z).reshape(-1, 1), torch.from_numpy(Y).reshape(-1, 1)
    if task == MULTICLASS:
        outputs, targets = torch.from_numpy(LOGITS), torch.tensor([1, 2])
    value = getattr(nn, TASKS[task].losses[loss])()(outputs, targets)
    assert float(value) == pytest.approx(BY_HAND[task, loss])


def test_a_loss_of_another_task_is_refused_with_the_task_and_a_choice() -> None:
    with pytest.raises(
        RequestError,
        match=r"^loss=mse is not for the task binary\. Choose from: binary_crossentropy\.$",
    ):
        loss_of(BINARY, "mse")


def test_a_metric_of_another_task_is_refused_with_the_task_and_a_choice() -> None:
    with pytest.raises(
        RequestError,
        match=r"^metrics=accuracy is not for the task regression\. Choose from: mae, mape, mse, r2, rmse\.$",
    ):
        metrics_of(REGRESSION, ["mae", "accuracy"])


def test_a_name_that_no_task_knows_is_refused_without_any_data() -> None:
    with pytest.raises(RequestError, match=r"^loss=hubert is not known\. Did you mean loss=huber\? Choose from: bin"):
        check_names("hubert", None)
    with pytest.raises(RequestError, match=r"^metrics=mea is not known\. Did you mean metrics=m.e\? Choose from: acc"):
        check_names(None, ["mae", "mea"])


def test_what_some_task_knows_passes_while_there_are_no_data() -> None:
    check_names(None, None)
    check_names("mse", ["accuracy", "r2"])
