"""Several labels a row from Python: a matrix of 0 and 1, names, and texts are the same labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as reference
from sklearn.multioutput import MultiOutputClassifier

from lifecycle import Model, cross_validate
from lifecycle.data.columns import label_sets
from lifecycle.data.sources import label_arrays
from lifecycle.errors import RequestError
from lifecycle.sklearn import LifecycleClassifier

NAMES = ("bird", "cat", "dog")
X = np.random.default_rng(0).normal(size=(60, 3))
HELD = (X + 0.3 * np.random.default_rng(1).normal(size=X.shape) > [0.8, 0.0, 0.3]).astype(int)
FRAME = pd.DataFrame(HELD, columns=[*NAMES])
LISTS = [[name for name, has in zip(NAMES, row, strict=True) if has] for row in HELD]
FORMS: dict[str, tuple[Any, str | None]] = {
    "lists": (LISTS, None),
    "sets": (pd.Series(list(map(set, LISTS))), None),
    "texts": (list(map(label_sets.joined, LISTS)), "multilabel"),
}


def fitted(y: Any, **arguments: Any) -> Model:
    model = Model("mlp", hidden=[8]).compile(lr=0.05)
    model.fit(X, y, epochs=3, verbose=0, **arguments)
    return model


@pytest.fixture(scope="module")
def model() -> Model:
    return fitted(FRAME)


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_the_same_labels(model: Model, name: str) -> None:
    y, task = FORMS[name]
    found = fitted(y, task=task)
    assert found.classes_.tolist() == [*NAMES]
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
    assert found.evaluate(X, y) == model.evaluate(X, FRAME)


def test_labels_are_predicted_as_a_matrix(model: Model, tmp_path: Path) -> None:
    assert repr(model).endswith("fitted: multilabel")
    predicted = model.predict(X)
    np.testing.assert_array_equal(predicted, model.predict_proba(X) > 0.5)
    assert predicted.dtype == np.int64
    scores = model.evaluate(X, FRAME)
    assert scores["accuracy"] == pytest.approx(reference.accuracy_score(HELD, predicted))
    assert scores["f1_micro"] == pytest.approx(reference.f1_score(HELD, predicted, average="micro"))
    assert Model.load(model.save(tmp_path / "saved")).evaluate(X, HELD) == scores


def test_columns_keep_their_order_and_are_found_by_name(model: Model) -> None:
    other = FRAME[["dog", "bird", "cat"]]
    found = fitted(other, validation_data=(X, FRAME))
    assert found.classes_.tolist() == ["dog", "bird", "cat"]
    assert found.evaluate(X, other) == found.evaluate(X, FRAME)
    assert found.history is not None
    assert found.history.rows[found.history.weights_epoch - 1]["val_loss"] == found.evaluate(X, FRAME)["loss"]
    assert model.evaluate(X, other) == model.evaluate(X, FRAME)
    # A matrix without names has the order of the labels, and so have columns of other names.
    assert model.evaluate(X, torch.from_numpy(HELD)) == model.evaluate(X, FRAME.set_axis(["a", "b", "c"], axis=1))
    assert label_arrays.read(HELD, None, ["y1"]) is not None
    of_matrix = label_arrays.read(np.tile(HELD, 4), None, ["y1"])
    assert of_matrix is not None
    assert of_matrix.names == ("y0", "y1_", *(f"y{at}" for at in range(2, 12)))


def test_folds_have_each_row_once_and_the_labels_in_proportion() -> None:
    found = cross_validate(Model("mlp", hidden=[4]), X, FRAME, cv=3, epochs=1, seed=1)
    assert found.predictions["row"].tolist() == [*range(60)]
    assert found.predictions["actual"].tolist() == list(map(label_sets.joined, LISTS))
    assert {label for one in found.predictions["predicted"] for label in label_sets.split(one)} <= set(NAMES)
    right = (found.predictions["actual"] == found.predictions["predicted"]).groupby(found.predictions["fold"]).mean()
    assert found.frame["accuracy"].tolist() == pytest.approx(right.tolist())
    shares = FRAME.groupby(found.predictions["fold"]).mean()
    assert (shares.max() - shares.min() < 0.25).all()


REFUSED: dict[str, tuple[str, Callable[[], Any]]] = {
    "one-hot": (
        r"^y must hold one target a row, got the shape \(60, 3\)\. .* y\.argmax\(axis=1\)\. Of several labels add "
        r'task="multilabel"\.$',
        lambda: fitted(np.eye(3)[[0, 1, 2] * 20]),
    ),
    "numbers": (r"^y must hold one target a row, got the shape \(60, 3\)\.", lambda: fitted(HELD * 2)),
    "numbers with the task": (
        r"^y must hold 0 or 1 where it has a column for each label, got other values, of the shape \(60, 3\)\. Or give "
        r"sets of names\.$",
        lambda: fitted(HELD * 2, task="multilabel"),
    ),
    "axes": (
        r"^y must hold the labels of each row, got the shape \(60, 1\)\. Give a column of 0 and 1",
        lambda: fitted(HELD[:, :1], task="multilabel"),
    ),
    "task": (
        r"^y holds a list or a set of labels in each row, which are no classification\. Leave task out",
        lambda: fitted(LISTS, task="classification"),
    ),
    "loss": (r'^loss="mse" is not for the task multilabel\.', lambda: Model("mlp").compile(loss="mse").fit(X, FRAME)),
    "sign": (r"^y has a label in row 0 that is empty or has the sign \|, got 'a\|b'\.", lambda: fitted([["a|b"]] * 60)),
    "name": (
        r"^y has a column with the sign \|, got a\|b\. Rename it\.$",
        lambda: fitted(FRAME.set_axis(["a|b", "c", "d"], axis=1)),
    ),
    "no row": (
        r"^y is 0 in all rows for bird, which cannot be learnt\. Leave it out of y\.$",
        lambda: fitted(FRAME.assign(bird=0)),
    ),
    "rows": (r"^y must hold a target for each of the 60 rows of X, got 5\.", lambda: fitted(FRAME[:5])),
    "images": (
        r"^y has several labels a row, and X has samples of more axes, got \(3, 1\)\. .* `lifecycle data=images`\.$",
        lambda: Model("lstm").fit(X.reshape(60, 3, 1), FRAME),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_set_of_labels_is_refused(name: str) -> None:
    sentence, call = REFUSED[name]
    with pytest.raises(RequestError, match=sentence):
        call()


def test_rows_to_score_have_the_labels_of_the_model(model: Model) -> None:
    with pytest.raises(RequestError, match=r"each of the 3 labels of the model, got the shape \(60, 2\)\. Its labels:"):
        model.evaluate(X, HELD[:, :2])
    with pytest.raises(RequestError, match=r"^y has cow in row 0, which is no label of the model\. Its labels: bird"):
        model.evaluate(X, [["cow"]] * 60)
    with pytest.raises(RequestError, match=r"^y of validation_data has cow in row 1, which is no label of the model\."):
        fitted(FRAME, validation_data=(X[:2], [["cat"], ["cow"]]))


def test_scikit_learn_fits_a_network_for_each_label() -> None:
    classifier = LifecycleClassifier(epochs=1)
    sentence = r"^y must hold one class or value a row, got the shape \(60, 3\)\. Use MultiOutputClassifier or Mul"
    for y in (HELD, FRAME):
        with pytest.raises(ValueError, match=sentence):
            classifier.fit(X, y)
    several = MultiOutputClassifier(classifier).fit(X, HELD)
    alone = LifecycleClassifier(epochs=1).fit(X, HELD[:, 1])
    np.testing.assert_array_equal(several.predict(X)[:, 1], alone.predict(X))
