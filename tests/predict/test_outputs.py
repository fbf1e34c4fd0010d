"""Predictions: labels and probabilities, or values in the user's units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.output_units import Units
from lifecycle.config.schema import TrainerConfig
from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec
from lifecycle.data.batches import Batches
from lifecycle.data.dataset import Part
from lifecycle.fit.trainer import trainer_for
from lifecycle.optimizers import Adam
from lifecycle.predict import saved_model
from lifecycle.predict.outputs import as_frame, predict, with_truth
from lifecycle.runtime.quiet import quiet_libraries
from tests.conftest import Command

SPECS = {
    BINARY: DataSpec(BINARY, (4,), 1, class_names=("no", "yes")),
    MULTICLASS: DataSpec(MULTICLASS, (4,), 3, class_names=("ant", "bee", "fly")),
    REGRESSION: DataSpec(REGRESSION, (4,), 1),
}


def logits(probabilities: list[list[float]]) -> torch.Tensor:
    """Return outputs whose sigmoids are the given probabilities of yes."""
    values = torch.tensor(probabilities, dtype=torch.float64)
    return torch.log(values / (1 - values))


def test_binary_predictions_by_hand() -> None:
    frame = as_frame(logits([[0.75], [0.25], [0.5]]), Units(BINARY), SPECS[BINARY])
    assert list(frame) == ["predicted", "probability_no", "probability_yes"]
    assert frame["predicted"].tolist() == ["yes", "no", "no"]
    np.testing.assert_allclose(frame["probability_no"], [0.25, 0.75, 0.5])
    np.testing.assert_allclose(frame["probability_yes"], [0.75, 0.25, 0.5])


def test_multiclass_predictions_by_hand() -> None:
    outputs = torch.log(torch.tensor([[0.25, 0.25, 0.5], [0.5, 0.375, 0.125]])) + 7  # softmax forgets a constant
    frame = as_frame(outputs, Units(MULTICLASS), SPECS[MULTICLASS])
    assert list(frame) == ["predicted", "probability_ant", "probability_bee", "probability_fly"]
    assert frame["predicted"].tolist() == ["fly", "ant"]
    np.testing.assert_allclose(frame["probability_bee"], [0.25, 0.375], rtol=1e-6)


def test_regression_predictions_are_in_the_users_units() -> None:
    frame = as_frame(torch.tensor([[1.5], [-3.0]]), Units(REGRESSION, 100.0, 10.0), SPECS[REGRESSION])
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"predicted": [115.0, 70.0]}))


def test_a_regression_of_differences_adds_the_base_back() -> None:
    outputs, base = torch.tensor([[1.5], [-3.0]]), torch.tensor([[1000.0], [2000.0]])
    frame = as_frame(outputs, Units(REGRESSION, 1.0, 10.0), SPECS[REGRESSION], base)
    assert frame["predicted"].tolist() == [1016.0, 1971.0]


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30))
def test_probabilities_are_of_the_class_that_is_predicted_and_sum_to_1(values: list[float]) -> None:
    frame = as_frame(torch.tensor(values).reshape(-1, 1), Units(BINARY), SPECS[BINARY])
    certain = 1 / (1 + np.exp(-np.array(values)))
    assert frame["predicted"].tolist() == ["yes" if value > 0.5 else "no" for value in certain]
    np.testing.assert_allclose(frame["probability_yes"], certain, rtol=1e-12)
    np.testing.assert_allclose(frame["probability_no"] + frame["probability_yes"], 1, rtol=1e-12)


@given(st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=10))
def test_the_predicted_class_is_the_most_probable_one(values: list[list[float]]) -> None:
    frame = as_frame(torch.tensor(values), Units(MULTICLASS), SPECS[MULTICLASS])
    probabilities = frame[["probability_ant", "probability_bee", "probability_fly"]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    for row, label in enumerate(frame["predicted"]):
        assert frame[f"probability_{label}"][row] == probabilities[row].max()


def test_predictions_follow_row_and_truth() -> None:
    part = Part(torch.zeros(2, 4), torch.zeros(2, 1), np.array(["yes", "no"]), np.array([11, 4]))
    frame = with_truth(as_frame(logits([[0.75], [0.25]]), Units(BINARY), SPECS[BINARY]), part)
    assert list(frame) == ["row", "actual", "predicted", "probability_no", "probability_yes"]
    assert frame["row"].tolist() == [11, 4]
    assert frame["actual"].tolist() == ["yes", "no"]
    assert frame["predicted"].tolist() == ["yes", "no"]


@pytest.mark.parametrize("task", SPECS)
@pytest.mark.parametrize("rows", [1, 23])
def test_predictions_are_a_plain_forward_pass_in_the_rows_order(task: str, rows: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, SPECS[task].num_outputs))
    scale = (250.0, 40.0) if task == REGRESSION else (0.0, 1.0)
    module = CompiledModel(network, SPECS[task], Adam(), target_scale=scale)
    inputs = torch.randn(rows, 4)
    targets = torch.zeros(rows, dtype=torch.int64) if task == MULTICLASS else torch.zeros(rows, 1)
    with quiet_libraries():
        trainer = trainer_for(TrainerConfig(accelerator="cpu"), devices=1, folder=tmp_path)
        found = predict(module, Batches(inputs, targets, batch_size=5), trainer)
    with torch.no_grad():
        outputs = network.eval()(inputs).double().numpy()
    if task == REGRESSION:
        np.testing.assert_allclose(found["predicted"], 250 + 40 * outputs[:, 0], rtol=1e-6)
        return
    positive = 1 / (1 + np.exp(-outputs))
    by_hand = {
        BINARY: np.hstack([1 - positive, positive]),
        MULTICLASS: np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True),
    }[task]
    names = SPECS[task].class_names
    np.testing.assert_allclose(found[[f"probability_{name}" for name in names]], by_hand, rtol=1e-6)
    assert found["predicted"].tolist() == [names[code] for code in by_hand.argmax(axis=1)]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Make rows with a binary, a multiclass and a regression target."""
    numbers = np.random.default_rng(0).normal(size=(60, 3))
    total = numbers.sum(axis=1)
    frame = pd.DataFrame(numbers, columns=["a", "b", "c"])
    return frame.assign(binary=np.where(total > 0, "yes", "no"), several=np.digitize(total, [-1, 1]), value=100 * total)


@pytest.mark.parametrize(("target", "columns"), [("binary", 3), ("several", 4), ("value", 1)])
def test_a_trained_model_predicts_one_raw_row_as_it_does_among_many(
    job: Command, tmp_path: Path, rows: pd.DataFrame, target: str, columns: int
) -> None:
    rows[["a", "b", "c", target]].to_csv(tmp_path / "rows.csv", index=False)
    words = ["data=table", "data.path=rows.csv", f"data.target={target}", "trainer.max_epochs=20"]
    assert job(*words, "tracking.figures=false").code == 0
    (manifest,) = tmp_path.rglob("lifecycle.json")
    trained = saved_model.load(manifest.parent)
    raw = rows[["a", "b", "c"]]
    many = trained.predict(raw)
    assert many.shape == (60, columns)
    for number in (0, 17, 59):
        one = trained.predict(raw.iloc[[number]])
        pd.testing.assert_frame_equal(one, many.iloc[[number]].reset_index(drop=True), rtol=1e-5)
    truth = rows[target]
    if target == "value":
        assert np.corrcoef(many["predicted"], truth)[0, 1] > 0.9
        assert many["predicted"].std() > 30  # the target's own units, not standardised ones
    else:
        assert set(many["predicted"]) <= set(truth.astype(str))
        assert (many["predicted"] == truth.astype(str)).mean() > 0.7
        np.testing.assert_allclose(many.drop(columns="predicted").sum(axis=1), 1)


def test_very_many_classes_have_a_column_each_without_a_warning_of_pandas() -> None:
    spec = DataSpec(MULTICLASS, (4,), 200, class_names=tuple(f"k{code}" for code in range(200)))
    frame = as_frame(torch.eye(200)[:3] * 9, Units(MULTICLASS), spec)  # a warning would be an error
    assert list(frame) == ["predicted", *(f"probability_k{code}" for code in range(200))]
    assert frame["predicted"].tolist() == ["k0", "k1", "k2"]


def test_the_file_of_each_row_is_a_column() -> None:
    files = np.array(["a/1.png", "b/2.png"])
    part = Part(torch.zeros(2, 4), torch.zeros(2, 1), np.array(["yes", "no"]), np.array([11, 4]), files=files)
    frame = with_truth(as_frame(logits([[0.75], [0.25]]), Units(BINARY), SPECS[BINARY]), part)
    assert list(frame)[:4] == ["row", "file", "actual", "predicted"]
    assert frame["file"].tolist() == ["a/1.png", "b/2.png"]
