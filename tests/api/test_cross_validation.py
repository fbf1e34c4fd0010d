"""``lifecycle.cross_validate``: folds, scores and predictions against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold

from lifecycle import Model, cross_validate
from lifecycle.errors import RequestError

IRIS = load_iris(as_frame=True)
X, Y = IRIS.data, IRIS.target_names[IRIS.target]


def small() -> Model:
    """Return a model that is fitted quickly."""
    return Model("mlp", hidden=[8]).compile(lr=0.05)


def test_its_folds_and_scores_are_those_of_fits_by_hand() -> None:
    found = cross_validate(small(), X, Y, cv=3, epochs=5, seed=1)
    for fold, (train, test) in enumerate(StratifiedKFold(3, shuffle=True, random_state=1).split(X, Y)):
        model = small()
        model.fit(X.iloc[train], Y[train], epochs=5, seed=1, verbose=0)
        scores = model.evaluate(X.iloc[test], Y[test])
        row = found.frame[found.frame["fold"] == fold].iloc[0]
        assert {name: row[name] for name in scores} == scores
        own = found.predictions[found.predictions["fold"] == fold]
        assert own["row"].tolist() == test.tolist()
        assert own["predicted"].tolist() == model.predict(X.iloc[test]).tolist()


def test_each_row_is_predicted_once_in_each_repetition_and_the_summary_is_of_all_fits() -> None:
    found = cross_validate(small(), X, Y, cv=3, repeats=2, epochs=3)
    assert found.predictions.groupby("repeat")["row"].apply(list).tolist() == [list(range(150))] * 2
    assert found.predictions["actual"].tolist() == [*Y, *Y]
    accuracies = found.frame["accuracy"]
    sizes = found.predictions.groupby(["repeat", "fold"]).size()
    by_hand = [
        accuracy_score(part["actual"], part["predicted"]) for _, part in found.predictions.groupby(["repeat", "fold"])
    ]
    assert np.allclose(accuracies, by_hand, atol=1e-12)
    assert sizes.eq(50).all()
    line = found.summary.loc["accuracy"]
    assert line["mean"] == pytest.approx(accuracies.mean(), abs=1e-12)
    # Nadeau and Bengio: the variance of the mean of 6 values is (1/6 + 1/2) of theirs for test parts of a third.
    half = 2.570581835636314 * accuracies.std() * np.sqrt(1 / 6 + 1 / 2)
    assert line["high"] - line["mean"] == pytest.approx(half, rel=1e-9)


def test_the_rows_of_a_group_are_in_one_fold() -> None:
    groups = np.arange(150) // 5
    found = cross_validate(small(), X.to_numpy(), Y, cv=3, groups=groups, epochs=2)
    of = found.predictions.assign(group=lambda rows: rows["row"] // 5)
    assert (of.groupby("group")["fold"].nunique() == 1).all()
    assert len(of) == 150


def test_a_regression_and_weights_are_cross_validated_too() -> None:
    values = X["petal width (cm)"].to_numpy()
    rows = X.drop(columns="petal width (cm)")
    weights = np.linspace(0.5, 2, 150)
    found = cross_validate(small(), rows, values, cv=2, epochs=3, sample_weight=weights)
    assert {"loss", "mae"} <= set(found.summary.index) or {"loss", "rmse"} <= set(found.summary.index)
    assert found.predictions["predicted"].dtype.kind == "f"


def test_lists_are_rows_and_the_model_is_left_as_it_was() -> None:
    model = small()
    found = cross_validate(model, X.to_numpy().tolist(), Y.tolist(), cv=2, epochs=2)
    assert len(found.frame) == 2
    with pytest.raises(RequestError, match="is not fitted yet"):
        model.predict(X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cv": 1}, r"cv must be a whole number of 2 or more, got 1. Use cv=5."),
        ({"cv": 2.5}, r"cv must be a whole number of 2 or more, got 2.5"),
        ({"repeats": 0}, r"repeats must be a whole number of 1 or more, got 0"),
        ({"cv": 51}, r"cv=51 is more than the 50 samples of class setosa. Use at most 50."),
        ({"groups": [1, 2]}, r"groups must have the shape \(150,\), got \(2,\). Give a group for each row."),
        ({"groups": np.zeros(150)}, r"cv is more than the number of groups, 1, got 5. Use fewer folds."),
        ({"epoch": 3}, r"epoch is not a field of fit\(\), got 3. Did you mean epochs\?"),
    ],
)
def test_what_cannot_be_met_is_one_sentence(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        cross_validate(small(), X, Y, **{"epochs": 1, **arguments} if "epoch" not in arguments else arguments)


def test_a_frame_with_texts_keeps_its_columns() -> None:
    rows = pd.DataFrame({"size": np.arange(40.0), "colour": ["red", "blue"] * 20})
    found = cross_validate(small(), rows, np.array(["a", "b"] * 20), cv=2, epochs=20)
    assert found.frame["accuracy"].min() > 0.9
