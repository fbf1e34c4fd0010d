"""Losses against formulas and Keras's definitions; class weights as in Keras and scikit-learn; counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from lifecycle.compile import losses
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.losses import LOSSES, Loss
from lifecycle.config.schema import TrainerConfig
from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec
from lifecycle.data.batches import Batches
from lifecycle.errors import RequestError
from lifecycle.fit import trainer
from lifecycle.optimizers import SGD, Adam
from lifecycle.runtime.quiet import quiet_libraries
from tests.rows import SeriesRows, TableRows, load_rows

Z, Y = np.array([-2.0, 0.5, 3.0]), np.array([0.0, 1.0, 1.0])
SIGMOID = 1 / (1 + np.exp(-Z))
LOGITS, CODES = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]), np.array([1, 2])
LOG_SOFTMAX = np.log(np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As the pipeline runs it."""
    with quiet_libraries():
        yield


def tensors(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    if name == "categorical_crossentropy":
        return torch.from_numpy(LOGITS), torch.from_numpy(CODES)
    return torch.from_numpy(Z).reshape(-1, 1), torch.from_numpy(Y).reshape(-1, 1)


def binary(labels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(-(labels * np.log(SIGMOID) + (1 - labels) * np.log(1 - SIGMOID)))


def categorical(smoothing: float) -> np.ndarray:  # type: ignore[type-arg]
    labels = np.eye(3)[CODES] * (1 - smoothing) + smoothing / 3
    return np.asarray(-(labels * LOG_SOFTMAX).sum(axis=1))


BY_HAND = {
    "binary_crossentropy": binary(Y),
    "categorical_crossentropy": categorical(0.0),
    "mse": (Z - Y) ** 2,
    "mae": np.abs(Z - Y),
    "huber": np.where(np.abs(Z - Y) < 1, (Z - Y) ** 2 / 2, np.abs(Z - Y) - 0.5),
    "log_cosh": np.log(np.cosh(Z - Y)),
    "poisson": np.exp(Z) - Y * np.log(np.exp(Z)),  # Keras's, of the rate exp(Z)
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_mean_over_rows_that_its_name_says(name: str) -> None:
    outputs, targets = tensors(name)
    assert float(Loss(name)(outputs, targets)) == pytest.approx(BY_HAND[name].mean())
    each = LOSSES[name](outputs, targets, 0.0, "none")
    assert each.flatten().tolist() == pytest.approx(BY_HAND[name].tolist())


def test_log_cosh_of_a_large_error_is_a_number() -> None:
    value = Loss("log_cosh")(torch.tensor([[1e4]]), torch.tensor([[0.0]]))
    assert float(value) == pytest.approx(1e4 - np.log(2), rel=1e-6)


def test_label_smoothing_is_kerass() -> None:
    outputs, targets = tensors("binary_crossentropy")
    smoothed = binary(Y * 0.8 + 0.5 * 0.2).mean()
    assert float(Loss("binary_crossentropy", 0.2)(outputs, targets)) == pytest.approx(smoothed)
    outputs, targets = tensors("categorical_crossentropy")
    value = float(Loss("categorical_crossentropy", 0.2)(outputs, targets))
    assert value == pytest.approx(categorical(0.2).mean())


@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy"])
def test_a_row_counts_as_much_as_its_class_weighs_while_training_alone(name: str) -> None:
    weights = torch.tensor([0.5, 3.0, 2.0] if name.startswith("cat") else [0.5, 3.0])
    outputs, targets = tensors(name)
    loss = Loss(name, class_weights=weights)
    of_rows = weights[targets.long().flatten()].numpy()
    assert float(loss(outputs, targets, weighted=True)) == pytest.approx((of_rows * BY_HAND[name]).mean())
    assert float(loss(outputs, targets)) == pytest.approx(BY_HAND[name].mean())
    assert float(Loss(name)(outputs, targets, weighted=True)) == pytest.approx(BY_HAND[name].mean())


SPECS = {
    BINARY: DataSpec(BINARY, (4,), 1, "fit", ("bad", "good")),
    MULTICLASS: DataSpec(MULTICLASS, (4,), 3, "kind", ("a", "b", "c")),
    REGRESSION: DataSpec(REGRESSION, (4,), 1, "price"),
}


def test_balanced_weights_are_scikit_learns() -> None:
    codes = np.array([0] * 7 + [1] * 2 + [2])
    weights = losses.class_weights("balanced", SPECS[MULTICLASS], torch.from_numpy(codes))
    assert weights is not None
    assert weights.tolist() == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=codes).tolist())
    targets = torch.tensor([0.0, 1.0, 1.0, 1.0]).reshape(-1, 1)
    weights = losses.class_weights("balanced", SPECS[BINARY], targets)
    assert weights is not None
    assert weights.tolist() == pytest.approx([4 / 2, 4 / 6])


def test_named_weights_come_in_the_order_of_the_classes() -> None:
    targets = torch.tensor([0, 1, 2])
    weights = losses.class_weights({"c": 3.0, "a": 1.0, "b": 2.0}, SPECS[MULTICLASS], targets)
    assert weights is not None
    assert weights.tolist() == [1.0, 2.0, 3.0]
    assert losses.class_weights(None, SPECS[MULTICLASS], targets) is None


@pytest.mark.parametrize(
    ("asked", "task", "sentence"),
    [
        ("balanced", REGRESSION, "class_weights=balanced needs classes, got a regression of price. Leave it out."),
        (
            {"goood": 1.0, "bad": 1.0},
            BINARY,
            "class_weights has a weight for goood, which is no class of fit. Did you mean good? Classes: bad, good.",
        ),
        ({"bad": 1.0}, BINARY, "class_weights has no weight for good. Name each class; 1 changes nothing."),
        (
            "balanced",
            MULTICLASS,
            "class_weights=balanced needs rows of each class to train on, got none of b. Change the split.",
        ),
    ],
)
def test_weights_that_do_not_match_the_classes_are_refused(asked: object, task: str, sentence: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        losses.class_weights(asked, SPECS[task], torch.tensor([0, 2, 0]))  # type: ignore[arg-type]


def test_label_smoothing_of_values_is_refused() -> None:
    sentence = r"^label_smoothing=0\.1 is not for the task regression, whose loss is mse\. Leave it out\.$"
    with pytest.raises(RequestError, match=sentence):
        CompiledModel(nn.Linear(4, 1), SPECS[REGRESSION], Adam(), label_smoothing=0.1)


def test_fitting_weighs_training_rows_and_neither_metrics_nor_validation(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=60), "z": generator.normal(size=60)})
    data = load_rows(TableRows(frame=frame.assign(y=["no" if row % 3 else "yes" for row in range(60)])))
    weights = losses.class_weights({"no": 0.5, "yes": 4.0}, data.spec, data.train.targets)
    torch.manual_seed(3)
    ours, theirs = nn.Linear(2, 1), nn.Linear(2, 1)
    theirs.load_state_dict(ours.state_dict())
    module = CompiledModel(ours, data.spec, SGD(lr=0.5), class_weights=weights, label_smoothing=0.1)
    config = TrainerConfig(max_epochs=3, batch_size=10, early_stopping=False, restore_best=False)
    rows = trainer.fit(module, data, config, 5, tmp_path).rows

    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.5)
    batches = Batches(data.train.inputs, data.train.targets, 10, shuffle_seed=5)
    for epoch in range(3):
        batches.set_epoch(epoch)
        total = 0.0
        for inputs, targets, *_ in batches:
            smoothed = targets * 0.9 + 0.05
            each = nn.functional.binary_cross_entropy_with_logits(theirs(inputs), smoothed, reduction="none")
            loss = (each * torch.where(targets == 1, 4.0, 0.5)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs)
        assert rows[epoch]["train_loss"] == pytest.approx(total / len(data.train), rel=1e-5)
    torch.testing.assert_close(ours.weight, theirs.weight)
    assert data.val is not None
    smoothed = data.val.targets * 0.9 + 0.05
    unweighted = nn.functional.binary_cross_entropy_with_logits(theirs(data.val.inputs), smoothed)
    assert rows[-1]["val_loss"] == pytest.approx(unweighted.item(), rel=1e-5)


def counts(lowest: int = 0, **fields: object) -> TableRows:
    frame = pd.DataFrame({"x": np.linspace(-1, 1, 50), "y": np.arange(50) + lowest + 0.0})
    return TableRows(frame=frame, task="regression", **fields)  # type: ignore[arg-type]


def test_poisson_takes_counts_as_they_are_and_no_others() -> None:
    losses.check_data("poisson", load_rows(counts(scale_target=False)))
    losses.check_data("mse", load_rows(counts(-5)))
    with pytest.raises(
        RequestError,
        match=r"^loss=poisson needs counts as they are, got a standardised target\. Add data\.scale_target=false\.$",
    ):
        losses.check_data("poisson", load_rows(counts()))
    with pytest.raises(
        RequestError,
        match=r"^loss=poisson needs targets of 0 or more, got -\d+ in the \w+ rows of data=mine\. Use loss=m",
    ):
        losses.check_data("poisson", load_rows(counts(-5, scale_target=False)))


def test_poisson_learns_the_logarithm_of_the_rate_and_scores_the_rate(tmp_path: Path) -> None:
    data = load_rows(counts(scale_target=False))
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, 0.0)
    nn.init.constant_(network.bias, 3.0)
    module = CompiledModel(network, data.spec, SGD(lr=1e-12), loss="poisson", metrics=["mae"])
    row = trainer.fit(module, data, TrainerConfig(max_epochs=1), 1, tmp_path).rows[0]
    assert data.val is not None
    truth = data.val.labels
    assert row["val_mae"] == pytest.approx(np.abs(np.exp(3.0) - truth).mean(), rel=1e-5)
    assert row["val_loss"] == pytest.approx((np.exp(3.0) - truth * 3.0).mean(), rel=1e-5)


def test_poisson_does_not_learn_differences() -> None:
    frame = pd.DataFrame({"y": np.arange(40.0)})
    losses.check_data("poisson", load_rows(SeriesRows(frame=frame, scale_target=False, difference=0)))
    with pytest.raises(
        RequestError,
        match=r"^loss=poisson learns counts and cannot learn differences, which may be below 0\. Add data\.diff"
        r"erence=0, or use loss=mse\.$",
    ):
        losses.check_data("poisson", load_rows(SeriesRows(frame=frame, scale_target=False, difference=1)))
