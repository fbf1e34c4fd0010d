# ruff: noqa: N806 - X is scikit-learn's name
"""The estimators: scikit-learn's own checks, and its ways of using one."""

from __future__ import annotations

import functools
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
from sklearn import metrics
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import nn

from lifecycle.api import hints
from lifecycle.api.model import Model
from lifecycle.errors import RequestError
from lifecycle.optimizers import SGD
from lifecycle.sklearn import LifecycleClassifier, LifecycleRegressor

QUICK: dict[str, Any] = {"fields": {"hidden": [8]}, "epochs": 8, "lr": 0.05, "accelerator": "cpu"}
SINGLE = {"check_sample_weight_equivalence_on_dense_data"}
"""Compared to seven digits, of which a network in float32 keeps six."""


def checks() -> list[Any]:
    """Return each of scikit-learn's checks of the two estimators, by name."""
    found = []
    for estimator in (LifecycleClassifier(**QUICK), LifecycleRegressor(**QUICK)):
        for made, check in estimator_checks_generator(estimator, mark=None):
            name = check.func.__name__
            found.append(pytest.param(made, check, id=f"{type(made).__name__}-{name}"))
    return found


@pytest.mark.parametrize(("estimator", "check"), checks())
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learns_estimator_checks_pass(estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if check.func.__name__ in SINGLE:
        close = functools.partial(estimator_checks.assert_allclose_dense_sparse, rtol=1e-5, atol=1e-7)
        monkeypatch.setattr(estimator_checks, "assert_allclose_dense_sparse", close)
    check(estimator)


@pytest.mark.parametrize("regression", [True, False])
def test_weights_are_in_the_fit_and_in_the_score(regression: bool) -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 2))
    y = X[:, 0] + generator.normal(size=60)
    weights = generator.random(60) * (X[:, 1] > 0)
    estimator = LifecycleRegressor(**QUICK) if regression else LifecycleClassifier(**QUICK)
    y = y if regression else np.where(y > 0, "a", "b")
    fitted = clone(estimator).fit(X, y, sample_weight=weights)
    like = clone(estimator).fit(X[weights > 0], y[weights > 0], sample_weight=weights[weights > 0])
    assert fitted.predict(X).tolist() == like.predict(X).tolist()
    if regression:
        assert not np.allclose(fitted.predict(X), clone(estimator).fit(X, y).predict(X), rtol=1e-3)
    score = metrics.r2_score if regression else metrics.accuracy_score
    assert fitted.score(X, y, sample_weight=weights) == score(y, fitted.predict(X), sample_weight=weights)
    with pytest.raises(ValueError, match=r"zero"):
        estimator.fit(X, y, sample_weight=0 * weights)
    with pytest.raises(ValueError, match=r"one class only, a"):
        LifecycleClassifier(**QUICK).fit(X, np.where(X[:, 1] > 0, "a", "b"), sample_weight=weights)


@pytest.fixture(scope="module")
def iris() -> tuple[pd.DataFrame, pd.Series[Any]]:
    X, y = load_iris(return_X_y=True, as_frame=True)
    return X, y.map({0: "setosa", 1: "versicolor", 2: "virginica"})


def test_its_numbers_are_those_of_model(iris: Any) -> None:
    X, y = iris
    model = Model("mlp", hidden=[8]).compile(lr=0.05)
    model.fit(X, y, epochs=8, seed=3, verbose=0)
    classifier = LifecycleClassifier(**QUICK, random_state=3).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), model.predict_proba(X))
    assert classifier.predict(X).tolist() == model.predict(X).tolist()
    assert classifier.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert (classifier.n_iter_, classifier.n_features_in_) == (8, 4)


def test_it_is_cross_validated_searched_and_put_into_a_pipeline(iris: Any) -> None:
    X, y = iris
    scores = cross_val_score(LifecycleClassifier(**QUICK), X, y, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 0.6
    pipeline = make_pipeline(StandardScaler(), LifecycleClassifier(**{**QUICK, "scaling": "none"}))
    assert cross_val_predict(pipeline, X, y, cv=2, method="predict_proba").shape == (150, 3)
    grid = [
        {"epochs": [1, 12], "lr": [0.05], "fields": [{"hidden": [8]}]},
        {"epochs": [12], "lr": [1e-4], "fields": [{"hidden": [8], "activation": "tanh"}]},
    ]
    search = GridSearchCV(LifecycleClassifier(), grid, cv=2).fit(X, y)
    assert (search.best_params_["epochs"], search.best_params_["lr"]) == (12, 0.05)
    assert len(search.cv_results_["params"]) == 3
    assert search.best_estimator_.n_iter_ == 12


def test_texts_and_missing_values_of_a_frame_need_no_preparing() -> None:
    generator = np.random.default_rng(0)
    X = pd.DataFrame({"size": generator.normal(size=90), "town": generator.choice(["a", "b", "c"], size=90)})
    y = np.where(X["town"] == "a", X["size"], 3.0)
    X.loc[4, "size"], X.loc[7, "town"] = np.nan, None
    network = LifecycleRegressor(**{**QUICK, "epochs": 60}).fit(X, y)
    assert network.score(X, y) > 0.8
    assert network.feature_names_in_.tolist() == ["size", "town"]
    assert cross_val_score(LifecycleRegressor(**QUICK, missing="impute"), X, y, cv=2).shape == (2,)
    with pytest.raises(ValueError, match="feature names should match"):
        network.predict(X.rename(columns={"town": "city"}))
    columns = make_column_transformer((FunctionTransformer(), ["size"]))
    assert make_pipeline(columns, LifecycleRegressor(**QUICK)).fit(X.fillna({"size": 0}), y).predict(
        X.fillna({"size": 0})
    ).shape == (90,)


def test_a_copy_that_was_pickled_or_cloned_does_the_same(iris: Any) -> None:
    X, y = iris
    classifier = LifecycleClassifier(**QUICK, optimizer=SGD(momentum=0.9)).set_params(lr=None, random_state=1).fit(X, y)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    np.testing.assert_array_equal(clone(classifier).fit(X, y).predict_proba(X), classifier.predict_proba(X))
    with pytest.raises(NotFittedError):
        clone(classifier).predict(X)


def test_its_random_numbers_are_as_scikit_learn_has_them(iris: Any) -> None:
    X, y = iris

    def loss(random_state: Any) -> Any:
        return LifecycleClassifier(**QUICK, random_state=random_state).fit(X, y).model_.history.rows[-1]["train_loss"]

    assert loss(1) == loss(np.int64(1)) != loss(2)
    assert loss(np.random.RandomState(1)) == loss(np.random.RandomState(1)) != loss(1)
    assert loss(None) != loss(None)


def test_what_else_compile_and_fit_take(iris: Any) -> None:
    X, y = iris
    weights = {"setosa": 1.0, "versicolor": 2.0, "virginica": 4.0}
    options: dict[str, Any] = {"compile_options": {"class_weights": weights, "label_smoothing": 0.1}}
    classifier = LifecycleClassifier(**QUICK, **options, fit_options={"shuffle": False}).fit(X, y)
    model = Model("mlp", hidden=[8]).compile(lr=0.05, class_weights=weights, label_smoothing=0.1)
    model.fit(X, y, epochs=8, shuffle=False, verbose=0)
    np.testing.assert_array_equal(classifier.predict_proba(X), model.predict_proba(X))
    stopped = LifecycleClassifier(**{**QUICK, "epochs": 200}, validation_split=0.3, patience=2).fit(X, y)
    assert stopped.n_iter_ < 200


def test_what_is_wrong_is_refused(iris: Any) -> None:
    X, y = iris
    with pytest.raises(
        RequestError, match=r'hiden is not a field of Model\("mlp"\), got \[8\]\. Did you mean hidden\?'
    ):
        LifecycleClassifier(fields={"hiden": [8]}).fit(X, y)
    with pytest.raises(RequestError, match=r"epochs must be 1 or more, got 0"):
        LifecycleClassifier(epochs=0).fit(X, y)
    with pytest.raises(ValueError, match=r"y must have two classes or more, got one class only, setosa\."):
        LifecycleClassifier().fit(X[:50], y[:50])
    with pytest.raises(ValueError, match=r"requires y to be passed, but the target y is None"):
        LifecycleRegressor().fit(*load_diabetes(return_X_y=True)[:1], None)
    with pytest.raises(ValueError, match="NaN"):
        LifecycleRegressor().fit([[np.nan], [1.0]], [1.0, 2.0])


def rows() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    X = np.random.default_rng(0).normal(size=(40, 3))
    return X, np.where(X[:, 0] > 0, "yes", "no")


ARRAY_API = """
from sklearn.utils.estimator_checks import estimator_checks_generator
from lifecycle.sklearn import LifecycleClassifier, LifecycleRegressor
for estimator in (LifecycleClassifier(epochs=1), LifecycleRegressor(epochs=1)):
    for made, check in estimator_checks_generator(estimator, mark=None):
        if "array_api" in check.func.__name__:
            check(made)
            print(type(made).__name__)
"""


def test_the_checks_of_array_api_inputs_pass_too(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ARRAY_API],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.split() == ["LifecycleClassifier", "LifecycleRegressor"], ended.stderr


def test_two_partial_fits_are_a_fit_of_two_epochs() -> None:
    X, y = rows()
    whole = LifecycleClassifier(**{**QUICK, "epochs": 2}).fit(X, y)
    parts = LifecycleClassifier(**QUICK).partial_fit(X, y, classes=["no", "yes"]).partial_fit(X, y)
    np.testing.assert_array_equal(parts.predict_proba(X), whole.predict_proba(X))
    assert parts.n_iter_ == 2
    values = LifecycleRegressor(**{**QUICK, "epochs": 2}).fit(X, X[:, 0])
    again = LifecycleRegressor(**QUICK).partial_fit(X, X[:, 0]).partial_fit(X, X[:, 0])
    np.testing.assert_array_equal(again.predict(X), values.predict(X))


def test_a_partial_fit_may_lack_a_class_and_be_a_row() -> None:
    X, y = rows()
    classifier = LifecycleClassifier(**QUICK).partial_fit(X, y, classes=["maybe", "no", "yes"])
    assert classifier.predict_proba(X).shape == (40, 3)
    classifier.partial_fit(X[:1], ["maybe"])
    assert classifier.n_iter_ == 2
    with pytest.raises(ValueError, match="y has the class never, which the first call did not name"):
        classifier.partial_fit(X[:1], ["never"])
    with pytest.raises(ValueError, match="features"):
        classifier.partial_fit(X[:1, :2], ["no"])
    with pytest.raises(ValueError, match="classes must be two or more"):
        LifecycleClassifier().partial_fit(X[:2], ["no", "no"])


def test_a_warm_start_goes_on() -> None:
    X, y = rows()
    once = LifecycleClassifier(**{**QUICK, "epochs": 4}).fit(X, y)
    twice = LifecycleClassifier(**{**QUICK, "epochs": 2}, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(once.predict_proba(X), twice.predict_proba(X))
    assert [len(one.history_["loss"]) for one in (once, twice)] == [4, 4]
    anew = LifecycleClassifier(**{**QUICK, "epochs": 2}).fit(X, y)
    assert len(anew.fit(X, y).history_.rows) == 2


def test_parameters_of_the_network_have_names_of_their_own() -> None:
    X, y = rows()
    one = LifecycleClassifier(epochs=2, module__hidden=[5], optimizer__weight_decay=0.1, fit__gradient_clip_val=1.0)
    other = LifecycleClassifier(
        fields={"hidden": [5]}, epochs=2, compile_options={"weight_decay": 0.1}, fit_options={"gradient_clip_val": 1.0}
    )
    np.testing.assert_array_equal(one.fit(X, y).predict_proba(X), other.fit(X, y).predict_proba(X))
    assert clone(one).get_params()["module__hidden"] == [5]
    search = GridSearchCV(LifecycleClassifier(epochs=1), {"module__hidden": [[2], [3]]}, cv=2).fit(X, y)
    assert search.best_estimator_.model_.summary().layers[0].output_shape in ("(None, 2)", "(None, 3)")
    with pytest.raises(TypeError, match=r"no parameter hidden. Write module__hidden=\[64\]. Parameters: accelerator, "):
        LifecycleClassifier(hidden=[3])
    with pytest.raises(RequestError, match=r"^hiden is not a field"):
        LifecycleClassifier(module__hiden=[3]).fit(X, y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"module": "mlp"},
            r"no parameter module. Write LifecycleClassifier\(MyModule\), or model=MyModule. Parameters:",
        ),
        ({"max_epochs": 3}, r"no parameter max_epochs. Write epochs=20. Parameters: "),
        (
            {"iterator_train__shuffle": False},
            r"no parameter iterator_train__shuffle. Write batch_size=32, or fit__shuf",
        ),
        ({"bogus": 3}, r"no parameter bogus. Parameters: accelerator"),
    ],
)
def test_parameters_of_skorch_are_answered_with_ours(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        LifecycleClassifier(**given)


def test_attributes_of_skorch_are_answered_with_ours() -> None:
    for name, ours in hints.ESTIMATOR_ATTRIBUTES.items():
        with pytest.raises(
            AttributeError, match=re.escape(f"'LifecycleClassifier' object has no attribute {name!r}. Us")
        ):
            getattr(LifecycleClassifier(), name)
        assert ours
    assert not hasattr(LifecycleRegressor(), "predict_proba")


def test_class_weights_callbacks_and_networks_are_parameters() -> None:
    class Epochs(pl.Callback):
        seen = 0

        def on_train_epoch_end(self, *_: Any) -> None:
            self.seen += 1

    X, y = rows()
    callback = Epochs()
    weighted = LifecycleClassifier(**QUICK, class_weight={"no": 1.0, "yes": 9.0}, callbacks=[callback]).fit(X, y)
    options = {"class_weights": {"no": 1.0, "yes": 9.0}}
    like = LifecycleClassifier(**QUICK, compile_options=options).fit(X, y)
    np.testing.assert_array_equal(weighted.predict_proba(X), like.predict_proba(X))
    assert callback.seen == QUICK["epochs"]
    network = LifecycleClassifier(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), epochs=3, lr=0.05)
    assert clone(network).fit(X, y).score(X, y) > 0.4


def test_the_inputs_of_the_network_have_names() -> None:
    X, y = rows()
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(colour=np.where(X[:, 1] > 0, "red", "blue"))
    fitted = LifecycleClassifier(**QUICK).fit(frame, y)
    assert fitted.get_feature_names_out().tolist() == ["a", "b", "c", "colour_blue", "colour_red"]
    with pytest.raises(ValueError, match="feature_names_in_"):
        fitted.get_feature_names_out(["x"] * 4)
