"""Scores against scikit-learn, however the rows are divided into batches; regressions in the user's units."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch import Tensor, nn

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.losses import Loss
from lifecycle.compile.output_units import Units
from lifecycle.compile.scores import MOST_PENDING, Scorer, prefixed
from lifecycle.config.schema import TrainerConfig
from lifecycle.config.tasks import TASKS
from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, REGRESSION, DataSpec
from lifecycle.data.batches import Batches
from lifecycle.evaluate.scoring import evaluate
from lifecycle.fit.trainer import trainer_for
from lifecycle.optimizers import Adam
from lifecycle.runtime.quiet import quiet_libraries

SPECS = {
    BINARY: DataSpec(BINARY, (4,), 1, class_names=("no", "yes")),
    MULTICLASS: DataSpec(MULTICLASS, (4,), 3, class_names=("a", "b", "c")),
    MULTILABEL: DataSpec(MULTILABEL, (4,), 3, class_names=("a", "b", "c")),
    REGRESSION: DataSpec(REGRESSION, (4,), 1),
}
OFFSET, SCALE = 250.0, 40.0
ROWS = 57


def outputs_and_targets(task: str, seed: int = 0, rows: int = ROWS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(rows, SPECS[task].num_outputs, generator=generator)
    if task == MULTICLASS:
        return outputs, torch.cat([torch.arange(3), torch.randint(3, (rows - 3,), generator=generator)])
    if task == BINARY:
        other = torch.randint(2, (rows - 2,), generator=generator)
        return outputs, torch.cat([torch.arange(2), other]).float().reshape(-1, 1)
    if task == MULTILABEL:
        return outputs, torch.cat(
            [
                (torch.stack([outputs[0], -outputs[1]]) > 0).float(),
                torch.randint(2, (rows - 2, 3), generator=generator).float(),
            ]
        )
    return outputs, torch.randn(rows, 1, generator=generator)


def units(task: str) -> Units:
    return Units(task, OFFSET, SCALE) if task == REGRESSION else Units(task)


def scores_of(task: str, names: list[str], task_units: Units | None = None) -> Scorer:
    return Scorer(SPECS[task], names, task_units or units(task), Loss(TASKS[task].default_loss))


def scored(task: str, seed: int, cuts: list[int], names: list[str] | None = None) -> dict[str, float]:
    """Return the scores of rows that come in batches cut at ``cuts``."""
    outputs, targets = outputs_and_targets(task, seed)
    scores = scores_of(task, names or list(TASKS[task].metrics))
    bounds = sorted({0, *cuts, ROWS})
    for start, stop in pairwise(bounds):
        scores.add(outputs[start:stop], targets[start:stop])
    return scores.compute()


def probabilities(outputs: Tensor) -> np.ndarray[Any, Any]:
    exponents = np.exp(outputs.double().numpy())
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def by_scikit_learn(task: str, outputs: Tensor, targets: Tensor) -> dict[str, float]:
    if task == BINARY:
        truth, certain = targets[:, 0].numpy(), 1 / (1 + np.exp(-outputs[:, 0].double().numpy()))
        predicted = certain > 0.5
        return {
            "loss": metrics.log_loss(truth, certain),
            "accuracy": metrics.accuracy_score(truth, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
            "precision": metrics.precision_score(truth, predicted),
            "recall": metrics.recall_score(truth, predicted),
            "f1": metrics.f1_score(truth, predicted),
            "auroc": metrics.roc_auc_score(truth, certain),
        }
    if task == MULTICLASS:
        truth, predicted = targets.numpy(), outputs.argmax(dim=1).numpy()
        return {
            "loss": metrics.log_loss(truth, probabilities(outputs)),
            "accuracy": metrics.accuracy_score(truth, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
            "precision": metrics.precision_score(truth, predicted, average="macro"),
            "recall": metrics.recall_score(truth, predicted, average="macro"),
            "f1": metrics.f1_score(truth, predicted, average="macro"),
            "auroc": metrics.roc_auc_score(truth, probabilities(outputs), average="macro", multi_class="ovr"),
        }
    if task == MULTILABEL:
        truth, values = targets.numpy(), torch.sigmoid(outputs.double()).numpy()
        of_labels = {"macro": "", "micro": "_micro"}
        return {
            "loss": metrics.log_loss(truth.ravel(), values.ravel()),
            "accuracy": metrics.accuracy_score(truth, values > 0.5),
            "hamming_distance": metrics.hamming_loss(truth, values > 0.5),
            "auroc": metrics.roc_auc_score(truth, values),
            "average_precision": metrics.average_precision_score(truth, values),
            **{
                f"{name}{ending}": getattr(metrics, f"{name}_score")(truth, values > 0.5, average=average)
                for average, ending in of_labels.items()
                for name in ("precision", "recall", "f1")
            },
        }
    truth, predicted = (OFFSET + SCALE * values[:, 0].double().numpy() for values in (targets, outputs))
    return {
        "loss": metrics.mean_squared_error(targets.double(), outputs.double()),  # on the scale of training
        "mse": metrics.mean_squared_error(truth, predicted),
        "rmse": metrics.root_mean_squared_error(truth, predicted),
        "mae": metrics.mean_absolute_error(truth, predicted),
        "mape": metrics.mean_absolute_percentage_error(truth, predicted),
        "r2": metrics.r2_score(truth, predicted),
    }


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_is_scikit_learns(task: str) -> None:
    for seed in range(3):
        wanted = by_scikit_learn(task, *outputs_and_targets(task, seed))
        assert set(wanted) == {"loss", *TASKS[task].metrics}
        assert scored(task, seed, cuts=[]) == pytest.approx(wanted, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(sorted(TASKS)), st.integers(0, 100), st.lists(st.integers(1, ROWS - 1)))
def test_any_division_into_batches_gives_the_same_scores(task: str, seed: int, cuts: list[int]) -> None:
    assert scored(task, seed, cuts) == pytest.approx(scored(task, seed, cuts=[]), rel=1e-12)


def test_more_rows_than_are_kept_pending_give_the_same_scores() -> None:
    rows = MOST_PENDING + 1000
    outputs, targets = outputs_and_targets(REGRESSION, rows=rows)
    scores = scores_of(REGRESSION, ["mae"])
    for part in torch.arange(rows).split(9000):
        scores.add(outputs[part], targets[part])
    wanted = by_scikit_learn(REGRESSION, outputs, targets)
    found = scores.compute()
    assert found == pytest.approx({name: wanted[name] for name in ("loss", "mae")}, rel=1e-9)


def test_scores_are_reset_by_compute() -> None:
    outputs, targets = outputs_and_targets(BINARY)
    scores = scores_of(BINARY, ["accuracy"])
    scores.add(outputs, targets)
    scores.compute()
    right = torch.tensor([[5.0]]), torch.tensor([[1.0]])
    scores.add(*right)
    assert scores.compute() == pytest.approx({"loss": float(np.log1p(np.exp(-5.0))), "accuracy": 1.0}, rel=1e-5)


def test_only_the_metrics_that_are_named_are_computed_in_that_order() -> None:
    assert list(scored(BINARY, 0, [], ["f1", "accuracy"])) == ["loss", "f1", "accuracy"]


def test_units_are_probabilities_or_the_users_own() -> None:
    outputs = torch.tensor([[0.5, -1.0, 2.0]])
    torch.testing.assert_close(Units(BINARY)(outputs[:, :1]), torch.tensor([[1 / (1 + np.exp(-0.5))]]).float())
    torch.testing.assert_close(Units(MULTICLASS)(outputs).double().numpy(), probabilities(outputs), rtol=1e-6, atol=0)
    assert Units(REGRESSION, 10.0, 4.0)(outputs).tolist() == [[12.0, 6.0, 18.0]]
    assert Units(REGRESSION)(outputs).tolist() == outputs.tolist()


def test_scores_are_named_after_their_part() -> None:
    assert prefixed({"loss": 1.0, "f1": 0.5}, "val") == {"val_loss": 1.0, "val_f1": 0.5}


Compile = Callable[[str], CompiledModel]


@pytest.fixture
def compiled() -> Compile:
    """Compile a linear network for a task, with all its metrics."""

    def compiled(task: str) -> CompiledModel:
        torch.manual_seed(0)
        network = nn.Linear(4, SPECS[task].num_outputs)
        scale = (OFFSET, SCALE) if task == REGRESSION else (0.0, 1.0)
        return CompiledModel(network, SPECS[task], Adam(), metrics=list(TASKS[task].metrics), target_scale=scale)

    return compiled


@pytest.mark.parametrize("task", TASKS)
def test_evaluating_a_model_gives_the_scores_of_a_plain_pass_over_the_rows(
    compiled: Compile, task: str, tmp_path: Path
) -> None:
    module = compiled(task)
    inputs = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(5))
    _, targets = outputs_and_targets(task)
    with quiet_libraries():
        trainer = trainer_for(TrainerConfig(accelerator="cpu"), devices=1, folder=tmp_path)
        found = evaluate(module, Batches(inputs, targets, batch_size=10), trainer)
    with torch.no_grad():
        wanted = by_scikit_learn(task, module.network(inputs), targets)
    assert found == pytest.approx(wanted, rel=1e-9)


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=9),
    st.floats(-100, 100),
    st.floats(0.1, 100),
    st.sampled_from(["", "exp"]),
    st.none() | st.floats(-100, 100),
)
def test_outputs_for_values_invert_the_units(
    values: list[float], offset: float, scale: float, link: str, base: float | None
) -> None:
    units = Units(REGRESSION, offset, scale, link)
    outputs = torch.tensor(values, dtype=torch.float64).reshape(-1, 1)
    bases = None if base is None else torch.full_like(outputs, base)
    torch.testing.assert_close(units.outputs(units(outputs, bases), bases), outputs, rtol=1e-6, atol=1e-6)
