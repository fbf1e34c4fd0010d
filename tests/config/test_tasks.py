"""Losses, metrics and defaults of each task; and names that a task does not have."""

from __future__ import annotations

import pytest
import torchmetrics
import torchmetrics.classification
import torchmetrics.regression

from lifecycle.compile.losses import LOSSES
from lifecycle.config.tasks import TASKS, check_names, library, link_of, loss_of, metrics_of, snake
from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, REGRESSION
from lifecycle.errors import RequestError

DEFAULTS = {
    BINARY: ("binary_crossentropy", ("accuracy",)),
    MULTICLASS: ("categorical_crossentropy", ("accuracy",)),
    MULTILABEL: ("binary_crossentropy", ("accuracy", "f1", "f1_micro", "average_precision")),
    REGRESSION: ("mse", ("mae", "rmse")),
}


def test_there_are_the_four_tasks_of_the_contract() -> None:
    assert set(TASKS) == set(DEFAULTS)


@pytest.mark.parametrize(("task", "names"), DEFAULTS.items())
def test_loss_and_metrics_follow_from_the_task(task: str, names: tuple[str, tuple[str, ...]]) -> None:
    assert (loss_of(task, None), metrics_of(task, None)) == names


@pytest.mark.parametrize("task", TASKS)
def test_every_name_stands_for_a_loss_or_a_class_that_can_be_made(task: str) -> None:
    assert set(TASKS[task].losses) <= set(LOSSES)
    for name, (cls, arguments) in TASKS[task].metrics.items():
        more = {MULTICLASS: {"num_classes": 3}, MULTILABEL: {"num_labels": 3}}.get(task, {})
        assert isinstance(getattr(torchmetrics, cls)(**arguments, **more), torchmetrics.Metric), name


def test_every_loss_belongs_to_a_task() -> None:
    assert {name for task in TASKS.values() for name in task.losses} == set(LOSSES)


@pytest.mark.parametrize(
    ("task", "typed", "name"),
    [
        (REGRESSION, "mean_squared_error", "mse"),
        (REGRESSION, "mean_absolute_error", "mae"),
        (REGRESSION, "logcosh", "log_cosh"),
        (MULTICLASS, "sparse_categorical_crossentropy", "categorical_crossentropy"),
    ],
)
def test_a_name_of_kerass_is_taken_for_ours(task: str, typed: str, name: str) -> None:
    check_names(typed, None)
    assert loss_of(task, typed) == name


@pytest.mark.parametrize("loss", sorted(TASKS[REGRESSION].losses))
def test_any_loss_of_the_task_can_be_chosen(loss: str) -> None:
    assert loss_of(REGRESSION, loss) == loss


def test_metrics_keep_the_order_they_are_named_in_and_each_counts_once() -> None:
    assert metrics_of(BINARY, ["f1", "accuracy", "f1"]) == ("f1", "accuracy")


def test_no_metrics_can_be_chosen() -> None:
    assert metrics_of(BINARY, []) == ()


def test_a_loss_of_another_task_is_refused_with_the_task_and_a_choice() -> None:
    with pytest.raises(
        RequestError,
        match=r"^loss=mse is not for the task binary\. Choose from: binary_crossentropy\.$",
    ):
        loss_of(BINARY, "mse")


def test_a_metric_of_another_task_is_refused_with_the_task_and_a_choice() -> None:
    with pytest.raises(
        RequestError,
        match=r"^metrics=accuracy is not for the task regression\. Choose from: mae, mape, mse, r2, rmse, or any "
        r"metric of torchmetrics for the task, such as explained_variance\.$",
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


@pytest.mark.parametrize("typed", ["CohenKappa", "cohen_kappa", "cohenkappa"])
def test_any_metric_of_torchmetrics_goes_by_its_class_or_in_small_letters(typed: str) -> None:
    check_names(None, [typed])
    assert metrics_of(BINARY, ["accuracy", typed]) == ("accuracy", "cohen_kappa")


def test_a_class_that_has_a_name_of_ours_is_that_metric() -> None:
    assert metrics_of(MULTICLASS, ["F1Score", "f1_score", "AUROC"]) == ("f1", "auroc")
    assert metrics_of(REGRESSION, ["MeanSquaredError", "r2_score"]) == ("mse", "r2")
    assert metrics_of(MULTILABEL, ["ExactMatch", "F1Score"]) == ("accuracy", "f1")
    assert metrics_of(BINARY, ["ExactMatch"]) == ("exact_match",)  # which no name alone makes a number there


@pytest.mark.parametrize(
    ("domain", "module"),
    [("classification", torchmetrics.classification), ("regression", torchmetrics.regression)],
)
def test_the_names_that_are_read_from_the_source_are_those_of_the_library(domain: str, module: object) -> None:
    theirs = {name for name in torchmetrics.__all__ if hasattr(module, name) and name[0].isupper()}
    assert set(library(domain)) == theirs
    assert len(theirs) > 15


def test_names_in_small_letters() -> None:
    classes = ["CohenKappa", "AUROC", "F1Score", "R2Score", "KLDivergence", "FBetaScore", "MatthewsCorrCoef"]
    names = ["cohen_kappa", "auroc", "f1_score", "r2_score", "kl_divergence", "f_beta_score", "matthews_corr_coef"]
    assert [snake(name) for name in classes] == names


def test_a_metric_of_torchmetrics_for_another_task_is_refused_with_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"^metrics=CohenKappa is not for the task regression\."):
        metrics_of(REGRESSION, ["CohenKappa"])
    with pytest.raises(RequestError, match=r"^metrics=pearson_corr_coef is not for the task multiclass\."):
        metrics_of(MULTICLASS, ["pearson_corr_coef"])
    with pytest.raises(RequestError, match=r"^metrics=word_error_rate is not known\."):
        check_names(None, ["word_error_rate"])  # of texts
    with pytest.raises(
        RequestError, match=r"^metrics=cohen_kapa is not known\. Did you mean metrics=cohen_kappa\? Choose from: acc"
    ):
        check_names(None, ["cohen_kapa"])


def test_poisson_alone_has_a_link() -> None:
    assert {name for name in LOSSES if link_of(name)} == {"poisson"}
    assert link_of("poisson") == "exp"
    assert link_of(None) == ""
