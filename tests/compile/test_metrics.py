"""Metrics of torchmetrics by name: against scikit-learn, and refused if a name alone does not give a number."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torch import nn

from lifecycle.compile import metrics
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.losses import Loss
from lifecycle.compile.output_units import Units
from lifecycle.compile.scores import Scorer
from lifecycle.config.schema import TrainerConfig
from lifecycle.config.tasks import TASKS, library, metrics_of, snake
from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, REGRESSION, DataSpec
from lifecycle.data.batches import Truth
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import RequestError
from lifecycle.fit import preflight
from lifecycle.optimizers import Adam

SPECS = {
    BINARY: DataSpec(BINARY, (4,), 1, class_names=("no", "yes")),
    MULTICLASS: DataSpec(MULTICLASS, (4,), 3, class_names=("a", "b", "c")),
    MULTILABEL: DataSpec(MULTILABEL, (4,), 3, class_names=("a", "b", "c")),
    REGRESSION: DataSpec(REGRESSION, (4,), 1),
}


def scored(task: str, names: list[str], outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    scores = Scorer(SPECS[task], metrics_of(task, names), Units(task), Loss(TASKS[task].default_loss))
    scores.add(outputs, targets)
    return scores.compute()


def test_metrics_of_classes_are_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(50, 3, generator=generator), torch.randint(3, (50,), generator=generator)
    names = ["CohenKappa", "matthews_corr_coef", "JaccardIndex", "specificity"]
    found = scored(MULTICLASS, names, outputs, targets)
    truth, predicted = targets.numpy(), outputs.argmax(dim=1).numpy()
    assert found["cohen_kappa"] == pytest.approx(sklearn_metrics.cohen_kappa_score(truth, predicted), rel=1e-9)
    assert found["matthews_corr_coef"] == pytest.approx(sklearn_metrics.matthews_corrcoef(truth, predicted), rel=1e-9)
    wanted = sklearn_metrics.jaccard_score(truth, predicted, average="macro")
    assert found["jaccard_index"] == pytest.approx(wanted, rel=1e-9)
    specificities = [np.mean(predicted[truth != code] != code) for code in range(3)]  # macro, as precision and recall
    assert found["specificity"] == pytest.approx(np.mean(specificities), rel=1e-9)


def test_scores_of_given_rows_are_those_of_a_pass_also_without_a_class() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(40, 3, generator=generator), torch.randint(2, (40,), generator=generator)
    names = ["accuracy", "f1", "auroc", "average_precision", "hamming_distance"]
    scores = Scorer(
        SPECS[MULTICLASS], metrics_of(MULTICLASS, names), Units(MULTICLASS), Loss(TASKS[MULTICLASS].default_loss)
    )
    found = scores.alone(outputs, targets)
    scores.add(outputs, targets)
    assert found == scores.compute()
    probabilities = torch.softmax(outputs.double(), 1).numpy()
    areas = [sklearn_metrics.roc_auc_score(targets == code, probabilities[:, code]) for code in (0, 1)]
    assert found["auroc"] == pytest.approx(np.mean(areas), rel=1e-9)  # the mean of those that are defined


def test_metrics_of_two_classes_and_of_values_are_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(50, 1, generator=generator).double(), torch.rand(50, 1, generator=generator).round()
    found = scored(BINARY, ["cohen_kappa", "average_precision"], outputs, targets)
    truth, certain = targets[:, 0].numpy(), torch.sigmoid(outputs)[:, 0].numpy()
    assert found["cohen_kappa"] == pytest.approx(sklearn_metrics.cohen_kappa_score(truth, certain > 0.5), rel=1e-9)
    assert found["average_precision"] == pytest.approx(
        sklearn_metrics.average_precision_score(truth, certain), rel=1e-9
    )
    found = scored(REGRESSION, ["explained_variance", "MeanSquaredLogError"], outputs.abs(), targets)
    values = outputs.abs()[:, 0].numpy()
    assert found["explained_variance"] == pytest.approx(
        sklearn_metrics.explained_variance_score(truth, values), rel=1e-9
    )
    wanted = sklearn_metrics.mean_squared_log_error(truth, values)
    assert found["mean_squared_log_error"] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_rare_classes_are_scikit_learns(weighted: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    for task, classes in ((BINARY, 2), (MULTICLASS, 3)):
        outputs = torch.randn(300, SPECS[task].num_outputs, generator=generator).double()
        targets = (torch.rand(300, generator=generator) > 0.9).long() * (classes - 1)  # of three classes one is absent
        weights = torch.rand(300, generator=generator).double() if weighted else None
        names = metrics_of(task, ["accuracy", *metrics.OF_RARE_CLASSES])
        scores = Scorer(SPECS[task], names, Units(task), Loss(TASKS[task].default_loss))
        found = scores.alone(
            outputs,
            targets if task == MULTICLASS else targets.reshape(-1, 1).float(),
            None if weights is None else Truth(weights=weights),
        )
        probabilities = (torch.softmax(outputs, 1) if task == MULTICLASS else torch.sigmoid(outputs)).numpy()
        predicted = probabilities.argmax(axis=1) if task == MULTICLASS else (probabilities[:, 0] > 0.5).astype(int)
        of_rows = None if weights is None else weights.numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a predicted class is not in the truth
            wanted = sklearn_metrics.balanced_accuracy_score(targets, predicted, sample_weight=of_rows)
        assert found["balanced_accuracy"] == pytest.approx(wanted, rel=1e-9)
        of_classes = [
            sklearn_metrics.average_precision_score(targets == code, probabilities[:, place], sample_weight=of_rows)
            for code, place in ([(1, 0)] if task == BINARY else [(0, 0), (2, 2)])
        ]
        assert found["average_precision"] == pytest.approx(np.mean(of_classes), rel=1e-9)


def test_the_default_metrics_name_a_rare_class() -> None:
    def default(counts: list[int], task: str = MULTICLASS) -> list[str] | None:
        names = tuple(f"c{code}" for code in range(len(counts)))
        spec = DataSpec(task, (4,), 1 if task == BINARY else len(counts), class_names=names)
        return metrics.for_data(spec, torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)))

    assert default([91, 9], BINARY) == ["accuracy", "balanced_accuracy", "average_precision"]
    assert default([90, 10], BINARY) is None
    assert default([50, 41, 9]) == ["accuracy", "balanced_accuracy", "average_precision"]
    assert default([50, 50, 0]) == ["accuracy", "balanced_accuracy", "average_precision"]
    # Ten classes of about a tenth each: none is rare.
    assert default([100] * 9 + [90]) is None
    assert default([100] * 9 + [40]) is not None
    assert metrics.for_data(SPECS[REGRESSION], torch.zeros(4, 1)) is None


REFUSED = {
    (BINARY, "confusion_matrix"): "is not one number an epoch. Choose another, such as accuracy.",
    (BINARY, "ROC"): "is not one number an epoch. Choose another, such as accuracy.",
    (MULTICLASS, "stat_scores"): "is not one number an epoch. Choose another, such as accuracy.",
    (BINARY, "recall_at_fixed_precision"): "cannot be used by its name alone (",
    (BINARY, "exact_match"): "cannot be used by its name alone (",
    (REGRESSION, "minkowski_distance"): "cannot be used by its name alone (",
    (REGRESSION, "kl_divergence"): "cannot be used by its name alone (",
}


@pytest.mark.parametrize(("task", "typed"), REFUSED)
def test_what_a_name_alone_does_not_make_a_number_is_refused_before_training(task: str, typed: str) -> None:
    network = nn.Linear(4, SPECS[task].num_outputs)
    with pytest.raises(RequestError) as caught:
        CompiledModel(network, SPECS[task], Adam(), metrics=[typed])
    assert str(caught.value).startswith(f"metrics={snake(typed)} {REFUSED[task, typed]}")
    assert str(caught.value).endswith(f"such as {'mae' if task == REGRESSION else 'accuracy'}.")


AT_FIXED = {
    "precision_at_fixed_recall",
    "recall_at_fixed_precision",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
}
OF_CLASSES = {"roc", "precision_recall_curve", "confusion_matrix", "stat_scores", *AT_FIXED}
ALL_REFUSED = {
    BINARY: {*OF_CLASSES, "exact_match"},
    MULTICLASS: {*OF_CLASSES, "log_auc"},
    MULTILABEL: {*OF_CLASSES, "calibration_error", "cohen_kappa", "hinge_loss", "log_auc"},
    REGRESSION: {"cosine_similarity", "critical_success_index", "kl_divergence", "minkowski_distance"},
}


@pytest.mark.parametrize("task", TASKS)
def test_every_other_metric_of_the_library_is_a_number_that_can_be_monitored(task: str) -> None:
    refused = set()
    for cls in library(TASKS[task].domain):
        (name,) = metrics_of(task, [cls])
        try:
            metrics.check(SPECS[task], [name])
        except RequestError:
            refused.add(name)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on the memory that a metric takes
                metric = metrics.build(SPECS[task], name)
            assert metrics.higher_is_better(name, metric) is not None, name
    assert refused == ALL_REFUSED[task]


def test_what_nobody_knows_the_better_direction_of_is_not_monitored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(metrics.HIGHER_IS_BETTER, "negative_predictive_value")
    data = load(Table(path="sklearn:breast_cancer", target="diagnosis"), "breast_cancer", "table", seed=1)
    module = CompiledModel(nn.Linear(4, 1), SPECS[BINARY], Adam(), metrics=["accuracy", "negative_predictive_value"])
    with pytest.raises(
        RequestError,
        match=r"^trainer\.monitor=val_negative_predictive_value cannot be monitored: it is not known whether higher is "
        r"better\. "
        r"Use trainer\.monitor=val_loss\.$",
    ):
        preflight.check_monitors(TrainerConfig(monitor="val_negative_predictive_value"), module, data)
    monkeypatch.undo()
    preflight.check_monitors(TrainerConfig(monitor="val_negative_predictive_value"), module, data)


def test_some_metrics_need_two_rows() -> None:
    assert not metrics.of_one_row(SPECS[REGRESSION], "r2")
    assert metrics.of_one_row(SPECS[REGRESSION], "mae")
    for task in TASKS:
        for name in set(TASKS[task].metrics) - {"r2"}:
            assert metrics.of_one_row(SPECS[task], name), name


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [("val_loss", "min"), ("val_cohen_kappa", "max"), ("val_hamming_distance", "min"), ("train_accuracy", "max")],
)
def test_what_is_monitored_goes_the_way_that_is_better(monitor: str, mode: str) -> None:
    names = ["accuracy", "cohen_kappa", "hamming_distance"]
    module = CompiledModel(nn.Linear(4, 3), SPECS[MULTICLASS], Adam(), metrics=names)
    assert module.mode(monitor) == mode
