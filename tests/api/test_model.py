# ruff: noqa: N803, N806 - X is scikit-learn's and Keras's name
"""Model: the five steps as five calls, whatever rows are held in, with the numbers of the command."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import pytorch_lightning as pl
import torch

import lifecycle
from lifecycle.api.model import Model
from lifecycle.config.records import request_record
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import LifecycleError, RequestError, SavedModelError, TrainingError
from lifecycle.optimizers import SGD
from lifecycle.predict.saved_model import load
from lifecycle.schedules import Cosine
from lifecycle.tracking import found_run
from tests.conftest import Command, artifacts
from tests.packages import Site, fresh_site

Runs = Callable[[], list[mlflow.entities.Run]]
ROWS = 60
site = pytest.fixture(fresh_site)


def table(seed: int = 0) -> pd.DataFrame:
    """Return rows of every kind of column, some of whose values are missing, with a target for each task."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "width": generator.normal(size=ROWS),
            "count": generator.integers(0, 9, size=ROWS),
            "colour": generator.choice(["red", "green", "blue"], size=ROWS),
            "open": generator.random(ROWS) > 0.5,
        }
    )
    frame.loc[[3, 8, 11, 14], "width"], frame.loc[[5, 9, 12], "colour"] = np.nan, None
    frame["kind"] = np.where(frame["width"].fillna(0) + frame["count"] > 4, "large", "small")
    frame["price"] = 1000.0 + 50 * frame["count"] + generator.normal(size=ROWS)
    return frame


FEATURES = ["width", "count", "colour", "open"]
FEW: dict[str, Any] = {"epochs": 3, "batch_size": 16, "verbose": 0}


def fitted(X: Any, y: Any, *, compiled: dict[str, Any] | None = None, **options: Any) -> Model:
    model = Model("mlp", hidden=[4]).compile(**(compiled or {}))
    model.fit(X, y, **{**FEW, **options})
    return model


def weights(model: Any) -> list[torch.Tensor]:
    return list(model.network.state_dict().values())


def same(one: Any, other: Any) -> bool:
    """Tell whether two models have the same weights, bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.fixture(scope="module")
def classifier() -> Model:
    frame = table()
    return fitted(frame[FEATURES], frame["kind"])


def without_seconds(history: Any) -> pd.DataFrame:
    return history.frame.drop(columns="epoch_seconds")


@pytest.mark.parametrize("target", ["kind", "price"])
def test_its_numbers_are_those_of_the_command(job: Command, tmp_path: Path, target: str) -> None:
    frame = table()
    frame[[*FEATURES, target]].to_csv(tmp_path / "rows.csv", index=False)
    words = ["data=table", "data.path=rows.csv", f"data.target={target}", "data.test_size=0", "model.hidden=[6]"]
    words += ["data.validation_split=0.25", "trainer.max_epochs=4", "trainer.batch_size=8", "seed=3"]
    words += ["optimizer=sgd", "optimizer.lr=0.05", "schedule=cosine", "data.scaling=minmax", "trainer.patience=2"]
    result = lifecycle.run([*words, "verbose=0", "tracking.figures=false"])
    model = Model("mlp", hidden=[6]).compile("sgd", lr=0.05, schedule="cosine")
    history = model.fit(
        frame[FEATURES],
        frame[target],
        epochs=4,
        batch_size=8,
        validation_split=0.25,
        seed=3,
        scaling="minmax",
        patience=2,
        verbose=0,
    )
    assert same(model.trained, result.model)
    pd.testing.assert_frame_equal(without_seconds(history), without_seconds(result.history))
    assert (history.best_epoch, history.weights_epoch, history.stopped) == (
        result.history.best_epoch,
        result.history.weights_epoch,
        result.history.stopped,
    )
    predicted = result.model.predict(frame)["predicted"]
    assert model.predict(frame[FEATURES]).tolist() == predicted.tolist()
    assert model.trained.columns == result.model.columns


def test_its_scores_are_those_of_the_command(job: Command, tmp_path: Path) -> None:
    frame = table()
    frame.drop(columns="price").to_csv(tmp_path / "rows.csv", index=False)
    words = ["data=table", "data.path=rows.csv", "data.target=kind", "data.test_size=0", "data.val_size=0"]
    words += ["trainer.early_stopping=false", "trainer.max_epochs=3", "trainer.batch_size=16", "model.hidden=[4]"]
    before = state()
    result = lifecycle.run([*words, "metrics=[accuracy,f1]", "verbose=0", "tracking.figures=false"])
    assert changed(before) == set()
    model = fitted(frame[FEATURES], frame["kind"], compiled={"metrics": ["accuracy", "f1"]})
    scores = model.evaluate(frame[FEATURES], frame["kind"])
    assert {f"training_set_{name}": value for name, value in scores.items()} == result.scores
    assert scores["accuracy"] == pytest.approx(np.mean(model.predict(frame[FEATURES]) == frame["kind"]))


def numbers() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    X = np.random.default_rng(1).normal(size=(ROWS, 3))
    return X, (X[:, 0] > 0).astype(int)


HELD = {
    "DataFrame": pd.DataFrame,
    "DataFrame with another index": lambda X: pd.DataFrame(X, index=range(100, 100 + ROWS)),
    "Arrow table": lambda X: pa.table({f"x{i}": X[:, i] for i in range(3)}),
    "list of lists": np.ndarray.tolist,
    "tuple of tuples": lambda X: tuple(map(tuple, X.tolist())),
    "tensor": torch.from_numpy,
    "tensor that has a gradient": lambda X: torch.from_numpy(X).requires_grad_(),
    "objects": lambda X: X.astype(object),
    "Fortran order": np.asfortranarray,
    "nullable": lambda X: pd.DataFrame(X).astype("Float64"),
}


@pytest.mark.parametrize("hold", HELD.values(), ids=HELD)
def test_whatever_holds_the_rows_the_numbers_are_the_same(hold: Callable[[Any], Any]) -> None:
    X, y = numbers()
    wanted = fitted(X, y)
    model = fitted(hold(X), y)
    assert same(model.trained, wanted.trained)
    np.testing.assert_array_equal(model.predict_proba(hold(X)), wanted.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X if isinstance(hold(X), pd.DataFrame) else hold(X)), wanted.predict(X))


CODES = {
    "ints": (lambda y: y, [0, 1]),
    "small ints": (lambda y: y.astype(np.int8), [0, 1]),
    "floats": (lambda y: y.astype(float), [0.0, 1.0]),
    "bools": (lambda y: y == 1, [False, True]),
    "strings": (lambda y: np.where(y == 1, "b", "a"), ["a", "b"]),
    "objects": (lambda y: np.where(y == 1, "b", "a").astype(object), ["a", "b"]),
    "list": (lambda y: y.tolist(), [0, 1]),
    "tensor": (torch.from_numpy, [0, 1]),
    "column": (lambda y: y.reshape(-1, 1), [0, 1]),
    "Series": (lambda y: pd.Series(y, name="answer", index=range(7, 7 + ROWS)), [0, 1]),
    "Series called as a feature": (lambda y: pd.Series(y, name="x0"), [0, 1]),
    "DataFrame": (lambda y: pd.DataFrame({"answer": y}), [0, 1]),
    "categories": (lambda y: pd.Series(np.where(y == 1, "b", "a")).astype("category"), ["a", "b"]),
    "categories of numbers": (lambda y: pd.Series(y + 9).astype("category"), [9, 10]),
    "nullable": (lambda y: pd.Series(y).astype("Int64"), [0, 1]),
    "nullable bools": (lambda y: pd.Series(y == 1).astype("boolean"), [False, True]),
    "Arrow strings": (lambda y: pd.Series(np.where(y == 1, "b", "a")).astype("string"), ["a", "b"]),
    "mixed": (lambda y: [["a", 1][code] for code in y], [1, "a"]),
}


@pytest.mark.parametrize(("turn", "classes"), CODES.values(), ids=CODES)
def test_classes_are_predicted_as_y_had_them(turn: Callable[[Any], Any], classes: list[Any]) -> None:
    X, codes = numbers()
    y = turn(codes)
    wanted, model = fitted(X, codes), fitted(X, y)
    predicted = model.predict(X)
    assert model.classes_.tolist() == classes
    assert {type(value) for value in predicted.tolist()} <= {type(value) for value in classes}
    assert predicted.shape == (ROWS,)
    assert [classes.index(value) for value in predicted] == np.argmax(model.predict_proba(X), axis=1).tolist()
    if classes != [1, "a"]:  # in that the codes are the other way round
        assert same(model.trained, wanted.trained)
        assert model.evaluate(X, y) == wanted.evaluate(X, codes)


def test_columns_of_every_kind_of_pandas_are_as_in_a_file(tmp_path: Path) -> None:
    frame = table()[FEATURES]
    y = table()["kind"]
    wanted = fitted(frame, y)
    own = frame.astype({"colour": "category", "count": "Int64", "open": "boolean", "width": "Float32"})
    model = fitted(own.astype({"width": "Float64"}).assign(width=frame["width"].astype("Float64")), y)
    assert same(model.trained, wanted.trained)
    assert model.trained.spec.feature_names == wanted.trained.spec.feature_names
    np.testing.assert_array_equal(model.predict(frame), wanted.predict(own.assign(width=frame["width"])))
    lists = [[None if pd.isna(value) else value for value in row] for row in frame.astype(object).to_numpy()]
    assert same(fitted(lists, y).trained, wanted.trained)


def test_columns_are_found_by_name_and_others_are_ignored(classifier: Model) -> None:
    frame = table()
    wanted = classifier.predict_proba(frame[FEATURES])
    np.testing.assert_array_equal(classifier.predict_proba(frame[FEATURES[::-1]].assign(more=1)), wanted)
    np.testing.assert_array_equal(classifier.predict_proba(frame[FEATURES].to_numpy()), wanted)  # by place
    np.testing.assert_allclose(wanted.sum(axis=1), 1, rtol=1e-6)
    assert frame.equals(table())  # X is not changed


@pytest.mark.parametrize(
    ("name", "shape", "fields"),
    [("lstm", (5, 2), {"units": [3]}), ("cnn", (1, 6, 6), {"channels": [2], "hidden": []}), ("mlp", (5, 2), {})],
)
def test_samples_of_three_and_four_axes(
    name: str, shape: tuple[int, ...], fields: dict[str, Any], tmp_path: Path
) -> None:
    X = np.random.default_rng(2).normal(3, 5, size=(30, *shape))
    y = np.where(X.reshape(30, -1).sum(axis=1) > X.sum() / 30, "up", "down")
    model = Model(name, **fields)
    model.fit(X, y, **FEW)
    assert model.trained.spec.input_shape == shape
    other = Model(name, **fields)
    other.fit(torch.from_numpy(X), y.tolist(), **FEW)
    assert same(model.trained, other.trained)
    again = Model.load(model.save(tmp_path / "saved"))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    axis = 1 if len(shape) == 3 else 2
    scaled = model.trained.data.apply(model.trained.preprocessing.inputs, X)
    by_feature = np.moveaxis(scaled, axis, -1).reshape(-1, shape[axis - 1])
    np.testing.assert_allclose(by_feature.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(by_feature.std(axis=0), 1, rtol=1e-5)
    with pytest.raises(RequestError, match=r"X has .* x"):
        model.predict(X[:, :, :1])


def test_a_regression_is_in_the_units_of_y() -> None:
    frame = table()
    model = Model("mlp", hidden=[])
    model.compile("sgd", metrics="mae", lr=0.05)
    model.fit(frame[["count"]], frame["price"], epochs=60, verbose=0)
    predicted = model.predict(frame[["count"]])
    slope, offset = np.polyfit(frame["count"], frame["price"], 1)
    np.testing.assert_allclose(predicted, offset + slope * frame["count"], rtol=5e-3)
    scores = model.evaluate(frame[["count"]], frame["price"])
    assert scores["mae"] == pytest.approx(np.abs(predicted - frame["price"]).mean(), rel=1e-4)
    with pytest.raises(RequestError, match=r"predict_proba is for classes, .* Use predict\."):
        model.predict_proba(frame[["count"]])
    assert fitted(frame[["count"]], frame["price"], compiled={"loss": "huber"}).trained.settings["loss"] == "huber"


def test_integers_are_a_regression_if_loss_or_task_say_so() -> None:
    X, y = numbers()
    assert fitted(X, y).trained.spec.task == "binary"
    assert fitted(X, y, task="regression").trained.spec.task == "regression"
    assert fitted(X, y, compiled={"loss": "mse"}).trained.spec.task == "regression"


def test_each_fit_starts_again_and_depends_on_the_seed() -> None:
    X, y = numbers()
    model = fitted(X, y, seed=1)
    first = [value.clone() for value in weights(model.trained)]
    history = model.fit(X, y, **FEW, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(model.trained), strict=True))
    assert model.history is history
    model.fit(X, y, **FEW, seed=2)
    assert not all(torch.equal(a, b) for a, b in zip(first, weights(model.trained), strict=True))


def test_it_is_there_to_be_completed() -> None:
    assert {"Model", "run"} <= set(dir(lifecycle))
    with pytest.raises(AttributeError, match="module 'lifecycle' has no attribute 'Modle'"):
        _ = lifecycle.Modle


def test_compile_affects_the_next_fit() -> None:
    X, y = numbers()
    model = fitted(X, y)
    assert model.compile(SGD(lr=0.5), metrics=["f1"], schedule=Cosine(warmup_epochs=1)) is model
    assert set(model.evaluate(X, y)) == {"loss", "accuracy"}  # of the fit that there is
    model.fit(X, y, **FEW)
    assert set(model.evaluate(X, y)) == {"loss", "f1"}
    assert model.trained.settings["optimizer"]["lr"] == 0.5
    assert "lr" in model.history.frame


def test_it_stops_early_only_where_rows_validate() -> None:
    X, y = numbers()
    noise = np.random.default_rng(5).permutation(y)
    options: dict[str, Any] = {**FEW, "epochs": 40, "patience": 2}
    model = Model("mlp", hidden=[8]).compile(lr=0.1)
    history = model.fit(X, noise, **{name: value for name, value in options.items() if name != "patience"})
    assert (len(history.rows), history.best_epoch, history.weights_epoch) == (40, None, 40)
    history = model.fit(X, noise, **options, validation_split=0.3)
    assert len(history.rows) == history.best_epoch + 2 < 40
    assert "val_loss had not improved for 2 epochs" in history.stopped
    history = model.fit(X, noise, **options, validation_split=0.3, early_stopping=False)
    assert len(history.rows) == 40
    assert history.weights_epoch == history.best_epoch < 40
    history = model.fit(X, noise, **options, validation_split=0.3, early_stopping=False, restore_best=False)
    assert history.weights_epoch == 40


def test_validation_data_validate() -> None:
    frame, other = table(), table(seed=1)
    model = Model("mlp", hidden=[4])
    validation = (other[FEATURES[::-1]], other["kind"].tolist())  # columns go by name
    history = model.fit(frame[FEATURES], frame["kind"], validation_data=validation, **{**FEW, "epochs": 1})
    scores = model.evaluate(other[FEATURES], other["kind"])
    assert history.history["val_loss"] == pytest.approx([scores["loss"]])
    assert history.history["val_accuracy"] == pytest.approx([scores["accuracy"]])
    alone = fitted(frame[FEATURES], frame["kind"], epochs=1)
    assert same(alone.trained, model.trained)  # nothing is learnt from them, not even scales


def test_class_weights_are_keyed_by_the_values_of_y() -> None:
    X, y = numbers()
    wanted = fitted(X, np.where(y == 1, "b", "a"), compiled={"class_weights": {"a": 1, "b": 3}})
    for values, given in [((0, 1), {0: 1, 1: 3}), ((False, True), {False: 1.0, True: np.float64(3)})]:
        model = fitted(X, np.array(values)[y], compiled={"class_weights": given})
        assert same(model.trained, wanted.trained)
        assert model.trained.settings["class_weights"] == [1.0, 3.0]
        assert model.evaluate(X, np.array(values)[y]) == wanted.evaluate(X, np.where(y == 1, "b", "a"))
    assert not same(fitted(X, y).trained, wanted.trained)


def test_numbers_of_numpys_are_numbers() -> None:
    X, y = numbers()
    model = Model("mlp", hidden=np.array([4])).compile("adam", lr=np.float32(0.25), label_smoothing=np.float64(0.5))
    model.fit(
        X, y, epochs=np.int64(2), batch_size=np.int32(8), seed=np.uint8(1), validation_split=np.float64(0.2), verbose=0
    )
    assert len(model.history.rows) == 2
    assert model.trained.settings["optimizer"]["lr"] == 0.25


class Counted(pl.Callback):
    """Counts the epochs."""

    epochs = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs += 1


@pytest.mark.parametrize("alone", [True, False])
def test_callbacks_of_lightnings_are_called(alone: bool) -> None:
    X, y = numbers()
    counted = Counted()
    fitted(X, y, callbacks=counted if alone else [counted])
    assert counted.epochs == 3


def test_displays_of_a_model(classifier: Model, tmp_path: Path) -> None:
    assert classifier.summary().num_params == sum(value.numel() for value in weights(classifier.trained))
    assert "total parameters" in repr(classifier.summary())
    html = classifier.summary()._repr_html_()
    assert html.count("<tr>") == 1 + len(classifier.summary().layers)
    assert f"mlp: {classifier.summary().num_params:,} parameters" in html
    svg = classifier.plot()
    assert svg._repr_png_() is None
    assert "<svg" in svg._repr_svg_()
    assert classifier.history is not None
    png = classifier.history.plot()
    assert png._repr_svg_() is None
    assert png._repr_png_().startswith(b"\x89PNG")
    assert png.save(tmp_path / "curves").read_bytes() == png.content == (tmp_path / "curves.png").read_bytes()
    assert svg.save(str(tmp_path / "network.svg")).name == "network.svg"
    assert classifier.history._repr_html_().count("<tr>") == 3  # one without a style, an epoch each
    assert classifier.history.history["train_loss"] == classifier.history.frame["train_loss"].tolist()
    assert repr(classifier).startswith('Model("mlp", hidden=[4], ')
    assert repr(classifier).endswith("fitted: binary")
    assert repr(Model()).endswith("not fitted")


def test_it_is_saved_and_loaded_in_another_process(classifier: Model, tmp_path: Path) -> None:
    frame = table()
    frame.to_parquet(tmp_path / "rows.parquet")
    assert classifier.save(tmp_path / "folder") == tmp_path / "folder"
    code = (
        "import gc; gc.disable(); import pandas as pd; from lifecycle import Model; import numpy as np;"
        "assert (gc.isenabled(), gc.get_freeze_count()) == (False, 0);"  # garbage is looked for as the caller has it
        "np.save('there', Model.load('folder').predict_proba(pd.read_parquet('rows.parquet')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "there.npy"), classifier.predict_proba(frame))
    loaded = Model.load(tmp_path / "folder")
    assert (loaded.history, loaded.run_id, repr(loaded)) == (None, None, repr(classifier))
    assert loaded.evaluate(frame[FEATURES], frame["kind"]) == classifier.evaluate(frame[FEATURES], frame["kind"])
    assert loaded.classes_.tolist() == ["large", "small"]
    assert same(Model.load(loaded.save(tmp_path / "folder")).trained, classifier.trained)  # one of ours is replaced
    loaded.fit(frame[FEATURES], frame["kind"], **FEW)
    assert same(loaded.trained, classifier.trained)  # its architecture is there to be fitted again


def test_it_overwrites_nothing_but_a_saved_model(classifier: Model, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(RequestError, match=rf"{tmp_path} holds something that is no saved model\. Name a new folder\."):
        classifier.save(tmp_path)
    with pytest.raises(RequestError, match=r"thesis\.tex holds something .* Name a new folder\."):
        classifier.save(tmp_path / "thesis.tex")
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    assert {file.name for file in classifier.save(tmp_path / "empty").iterdir()} == {
        "lifecycle.json",
        "weights.safetensors",
        "preprocessing.skops",
    }
    with pytest.raises(SavedModelError, match=r"nowhere is no saved model: it has no lifecycle\.json"):
        Model.load("nowhere")


def test_a_model_of_a_plugin(site: Site, job: Command) -> None:
    site.install("lifecycle-net", {"net": "Net"})
    X, y = numbers()
    model = Model("net", width=5)
    model.fit(X, y, **FEW)
    assert next(layer.output_shape for layer in model.summary().layers).endswith("5)")


def state() -> dict[str, Any]:
    """Return the global state of the process that a fit must not change."""
    torch_state = torch.get_rng_state().tolist()
    return {
        "torch's random numbers": torch_state,
        "numpy's": str(np.random.get_state()),
        "python's": random.getstate(),
        "filters": list(warnings.filters),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "matplotlib": dict(mpl.rcParams),
        "threads": torch.get_num_threads(),
        "folder": Path.cwd(),
        "environment": dict(os.environ),
        "type": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "log": [logging.getLogger(name).level for name in ("", "pytorch_lightning", "mlflow", "matplotlib")],
        "argv": list(sys.argv),
    }


def changed(before: dict[str, Any]) -> set[str]:
    after = state()
    return {name for name in before if before[name] != after[name]}


def test_the_process_it_runs_in_is_left_as_it_was() -> None:
    X, y = numbers()
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    before = state()
    model = fitted(X, y, validation_split=0.2)
    model.evaluate(X, y)
    model.history.plot()
    model.plot()
    assert changed(before) == set()


FRAME, KIND = table()[FEATURES], table()["kind"]


def fit(X: Any = FRAME, y: Any = KIND, **options: Any) -> Model:
    return fitted(X, y, **options)


DAYS = pd.date_range("2020", periods=ROWS)
FAULTS: list[tuple[str, Callable[[], Any]]] = [
    (
        r"column day holds times \(iso\), got soon in row 59\. Fix the value, or add types=\{\"day\": \"category\"\}\.",
        lambda: fit(FRAME.assign(day=[*map(str, DAYS[:-1]), "soon"]), types={"day": "time"}),
    ),
    (
        r"types are those of columns, and X has samples of more axes",
        lambda: fit(np.zeros((ROWS, 2, 3)), types={"x0": "category"}),
    ),
    (
        r"X has a dict in column odd\. Use numbers or texts, or leave the column out of X\.",
        lambda: fit(FRAME.assign(odd=[{}] * ROWS)),
    ),
    (
        r"X has numbers in column odd, and the text 'x' in row 59\. Fix the text, add types=\{",
        lambda: fit(FRAME.assign(odd=["1"] * (ROWS - 1) + ["x"])),
    ),
    (r"X has 1e\+40 in column width, row 0 and in \d+ other rows, too large", lambda: fit(FRAME.assign(width=1e40))),
    (
        r"X has two columns called 1\. Rename one of them\.",
        lambda: fit(pd.DataFrame(np.zeros((ROWS, 2)), columns=[1, "1"])),
    ),
    (r"X must have rows of one length, and has not\. Make them one array first\.", lambda: fit([[1, 2], [3]], [0, 1])),
    (r"X must have the shape .*, got \(60,\)\. .* X\.reshape\(-1, 1\)\.", lambda: fit(np.zeros(ROWS))),
    (r"X must have rows and features, got the shape \(0, 3\)\.", lambda: fit(np.zeros((0, 3)), [])),
    (r"X holds times\. Turn them into numbers\.", lambda: fit(DAYS.to_numpy().reshape(-1, 1))),
    (r"X holds complex numbers\. Turn", lambda: fit(np.ones((ROWS, 2)) * 1j)),
    (
        r"X misses a value in row 4, column x0\. Fix or remove the row\.",
        lambda: fit(np.where(np.arange(ROWS)[:, None, None] == 4, np.nan, np.ones((ROWS, 2, 2)))),
    ),
    (r"^groups must have the shape \(60,\), got \(2,\)\. Give a group for each row\.$", lambda: fit(groups=[1, 2])),
    (
        r"^groups has 1 group, and 2 parts need one each\. Do without a part \(validation_split=0\), or add groups\.$",
        lambda: fit(groups=np.zeros(ROWS), validation_split=0.2),
    ),
    (
        r"^validation_split=0\.999 leaves no training rows of 60 samples\. Hold out less, or give more rows\.$",
        lambda: fit(validation_split=0.999),
    ),
    (
        r"^X has no value in column none, in 60 rows\. Leave the column out of X\.$",
        lambda: fit(FRAME.assign(none=np.nan)),
    ),
    (r"y has one class only, a\. Give rows of two classes or more\.", lambda: fit(y=["a"] * ROWS)),
    (
        r"y has no value in 2 of 60 rows, the first is row 1\. Fill them, or leave these rows out\.",
        lambda: fit(y=[1, None, None, *([0, 2] * 28), 1]),
    ),
    (
        r"y must hold one target a row, got the shape \(60, 3\)\. .* y\.argmax\(axis=1\)\.",
        lambda: fit(y=np.eye(3)[[0] * ROWS]),
    ),
    (r"y must hold a target for each of the 60 rows of X, got 5\.", lambda: fit(y=KIND[:5])),
    (r"y holds times\. Turn them into numbers or texts\.", lambda: fit(y=DAYS)),
    (r"y holds a date, 2020-01-01\. Give classes or values", lambda: fit(y=pd.Series(DAYS.date, dtype=object))),
    (r"y holds bytes\. Turn", lambda: fit(y=[b"a", b"b"] * 30)),
    (
        r"y holds text \(.*'large'\), and values are to be predicted\. Give numbers, or add task=\"classification\"\.",
        lambda: fit(task="regression"),
    ),
    (r"validation_split must be 0 or more and below 1, got 1\.5\.", lambda: fit(validation_split=1.5)),
    (
        r"validation_split must be a share of the rows, got '20%'\. Use for instance 0\.2\.",
        lambda: fit(validation_split="20%"),
    ),
    (
        r"validation_data stands in place of validation_split\. Give one of them\.",
        lambda: fit(validation_split=0.1, validation_data=(FRAME, KIND)),
    ),
    (
        r"validation_data must be a pair \(X, y\), got DataFrame\. Write \(X, y\), or "
        r"\(X, y, sample_weight\)\.",
        lambda: fit(validation_data=FRAME),
    ),
    (
        r"validation_data has no column width, got count, colour, open\. Add it\.",
        lambda: fit(validation_data=(FRAME.drop(columns="width"), KIND)),
    ),
    (
        r"validation_data must have samples of \(5, 2\) as X has, got \(2, 5\)\.",
        lambda: fit(np.zeros((ROWS, 5, 2)), validation_data=(np.zeros((ROWS, 2, 5)), KIND)),
    ),
    (
        r"y of validation_data must hold a target for each of the 60 rows of X, got 3\.",
        lambda: fit(validation_data=(FRAME, KIND[:3])),
    ),
    (r"^epochs must be 1 or more, got 0\. The default is 300\.", lambda: fit(epochs=0)),
    (r"^max_epochs is called epochs here, got 3\. Write epochs=", lambda: fit(max_epochs=3)),
    (
        r"^patienc is not a field of fit\(\), got 3\. Did you mean patience\? Fields: epochs, batch_size, ",
        lambda: fit(patienc=3),
    ),
    (
        r"^devices is for the command, got 2: .* `lifecycle trainer\.devices=2`, or leave devices out\.",
        lambda: fit(devices=2),
    ),
    (r"^batch_size cannot be 'many': .* Give a value of its type\.", lambda: fit(batch_size="many")),
    (r"^epochs must be 1 or more and at most 1,000,000,000, got 10{20}\. The", lambda: fit(epochs=10**20)),
    (r"^batch_size must be 1 or more and at most 1,000,000,000, got 10{20}\.", lambda: fit(batch_size=10**20)),
    (
        r"^epochs must be 1 or more and at most 1,000,000,000, got an integer of 16610 bits",
        lambda: fit(epochs=10**5000),
    ),
    (r"^seed cannot be 'a': ", lambda: fit(seed="a")),
    (r"^seed must be from 0 to 4294967295, got -1\. Use a seed such as 1\.", lambda: fit(seed=-1)),
    (r"^verbose must be 0, 1 or 2, got 7\.", lambda: fit(verbose=7)),
    (
        r"^monitor=\"val_loss\" needs validation rows, got none\. Add early_stopping=False, or monitor=\"train_",
        lambda: fit(early_stopping=True),
    ),
    (r"^accelerator must be one of auto, cpu, gpu, got tpu\.", lambda: fit(accelerator="tpu")),
    (r"^callbacks must be Lightning callbacks, got 5\.", lambda: fit(callbacks=[5])),
    (r"^track must be True, False or None, got 'yes'\. Use tracking= to say where\.", lambda: fit(track="yes")),
    (r"^tracking must be a folder or a TrackingConfig, got 5\. Write tracking='mlruns'\.", lambda: fit(tracking=5)),
    (r'^Model\("mpl"\) is not installed\. Did you mean mlp\?', lambda: Model("mpl")),
    (r'^hiden is not a field of Model\("mlp"\), got \[8\]\. Did you mean hidden\?', lambda: Model("mlp", hiden=[8])),
    (r"^dropout must be 0 or more and below 1, got 2\.0\. The default is 0\.0\.", lambda: Model("mlp", dropout=2)),
    (
        r'^Model\("cnn"\) needs samples of shape \(channels, .*\), got \(features\) from X\. Use Model\("mlp"\)',
        lambda: Model("cnn").fit(FRAME, KIND),
    ),
    (r'^optimizer="adm" is unknown\. Did you mean adam\?', lambda: Model().compile("adm")),
    (r'^rl is not a field of optimizer="adam", got 1\. Fields: lr, ', lambda: Model().compile("adam", rl=1)),
    (
        r"^optimizer must be a name with its fields, or an object .*, got lr with SGD\(\.\.\.\)\.",
        lambda: Model().compile(SGD(), lr=1),
    ),
    (r"^lr must be above 0, got -1\.0\. The default is 0\.001\.", lambda: Model().compile(lr=-1)),
    (r'^loss="foo" is not known\. Choose from: binary_crossentropy', lambda: Model().compile(loss="foo")),
    (r'^metrics="akkuracy" is not known\.', lambda: Model().compile(metrics="akkuracy")),
    (r'^schedule="cosin" is unknown\. Did you mean cosine\?', lambda: Model().compile(schedule="cosin")),
    (
        r'^class_weights must be balanced or weights by class, got 3\. Write .*="balanced" or \{"good": 1',
        lambda: fit(compiled={"class_weights": 3}),
    ),
    (
        r"^class_weights has no weight for small\. Name each class",
        lambda: fit(compiled={"class_weights": {"large": 1}}),
    ),
    (r"^label_smoothing must be 0 or more and below 1, got 2\.0\.", lambda: fit(compiled={"label_smoothing": 2})),
    (r"^the model is not fitted yet\. Call fit\(X, y\), or Model\.load\(folder\)\.", lambda: Model().predict(FRAME)),
    (r"not fitted yet", lambda: Model().evaluate(FRAME, KIND)),
    (r"neither fitted nor built", lambda: Model().summary()),
    (r"not fitted yet", lambda: Model().save("folder")),
]


@pytest.mark.parametrize(("says", "call"), FAULTS, ids=[says[:50] for says, _ in FAULTS])
def test_errors_name_python_arguments(says: str, call: Callable[[], Any]) -> None:
    with pytest.raises(RequestError, match=says) as error:
        call()
    for word in ("trainer.", " data.", "optimizer.", "model=", "data=", "=true", "=false"):
        assert word not in str(error.value).replace("`lifecycle trainer.devices=2`", "").replace("other data.", "")


def test_errors_of_predictions_name_python_arguments(classifier: Model) -> None:
    for call, says in [
        (
            lambda: classifier.predict(FRAME.drop(columns="width")),
            r"^X has no column width, got .* This model needs width",
        ),
        (lambda: classifier.predict(FRAME.assign(width="x")), r"^column width holds numbers, got 'x' in row 0\. Fix"),
        (lambda: classifier.predict([[1, 2]]), r"^X has no column width, .*, got x0, x1\. This model needs width"),
        (lambda: classifier.predict(FRAME[:0]), r"^X must have rows and features, got the shape \(0, 4\)"),
        (
            lambda: classifier.evaluate(FRAME, ["large", "huge"] * 30),
            r"^kind is huge in row 1, .* classes: large, small\.",
        ),
        (lambda: classifier.evaluate(FRAME, KIND[:3]), r"^y must hold a target for each of the 60 rows of X, got 3\."),
    ]:
        with pytest.raises(RequestError, match=says):
            call()


def test_a_loss_that_is_no_number_leaves_the_model_as_it_was() -> None:
    X, y = numbers()
    model = fitted(X, y)
    before = model.trained
    model.compile("sgd", loss="mse", lr=1e30)
    with pytest.raises(TrainingError, match="loss"):
        model.fit(X, y, **FEW)
    assert model.trained is before


def test_ctrl_c_is_the_callers_own(job: Command, runs: Runs) -> None:
    class Pressed(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            raise KeyboardInterrupt

    X, y = numbers()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fitted(X, y, callbacks=Pressed(), track=True)
    assert signal.getsignal(signal.SIGINT) is before
    assert [run.info.status for run in runs()] == ["KILLED"]


def test_a_fit_is_tracked_if_requested(job: Command, runs: Runs, tmp_path: Path) -> None:
    frame = table()
    model = fitted(frame[FEATURES], frame["kind"], track=True, validation_split=0.2)
    (run,) = runs()
    assert (run.info.run_id, run.info.status) == (model.run_id, "FINISHED")
    assert (run.data.params["trainer.max_epochs"], run.data.params["data.path"]) == ("3", "X")
    assert run.data.metrics["val_loss"] == pytest.approx(model.history.history["val_loss"][-1])
    assert {"predictions.csv", "history.csv", "request.json", "curves.png"} <= {
        f.name for f in artifacts(run).iterdir()
    }
    assert same(model.trained, fitted(frame[FEATURES], frame["kind"], validation_split=0.2).trained)
    for again in (Model.from_run("latest"), Model.from_run(run.info.run_id[:6], tracking=str(tmp_path / "mlruns"))):
        np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))
        assert again.run_id == model.run_id
    assert same(Model.from_run("latest", tracking=TrackingConfig()).trained, model.trained)


def test_a_run_of_a_fit_from_python_cannot_read_its_rows_again(job: Command, tmp_path: Path) -> None:
    frame = table()
    fitted(frame[FEATURES], frame["kind"], track=True, tracking=TrackingConfig(figures=False))
    record = found_run.find(found_run.Which("latest")).record()
    (tmp_path / "X").write_text("a file that happens to be called so")
    with pytest.raises(RequestError, match=r"data\.path=X was given from Python, .* or name a file .*: data\.path="):
        request_record.check_rows_are_kept(record, ["verbose=0"])
    frame[[*FEATURES, "kind"]].to_csv(tmp_path / "rows.csv", index=False)
    request_record.check_rows_are_kept(record, ["data.path=rows.csv"])
    request = request_record.request_of(record, ["data.path=rows.csv"])
    assert request.config.data.path == "rows.csv"


@pytest.fixture
def open_run(job: Command, tmp_path: Path) -> Any:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    mlflow.create_experiment("mine", artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment("mine")
    yield mlflow.start_run
    while mlflow.active_run():
        mlflow.end_run()


def test_within_a_run_of_the_caller_a_fit_is_recorded_in_it(open_run: Any, tmp_path: Path) -> None:
    frame = table()
    with open_run() as run:
        model = fitted(frame[FEATURES], frame["kind"], validation_split=0.2)
        assert mlflow.active_run().info.run_id == run.info.run_id == model.run_id
        mlflow.log_metric("own", 1.0)
        with pytest.raises(RequestError, match=r"holds a fit already\. .*nested=True.*track=False"):
            model.fit(frame[FEATURES], frame["kind"], **FEW)
        with open_run(nested=True) as nested:
            other = fitted(frame[FEATURES], frame["price"])
        assert other.run_id == nested.info.run_id != model.run_id
        assert fitted(frame[FEATURES], frame["kind"], track=False).run_id is None
    client = mlflow.MlflowClient()
    found = client.get_run(run.info.run_id)
    assert (found.info.status, found.data.params["model"], found.data.metrics["own"]) == ("FINISHED", "mlp", 1.0)
    points = client.get_metric_history(run.info.run_id, "val_loss")
    assert [point.step for point in points] == [1, 2, 3]
    assert [point.value for point in points] == model.history.history["val_loss"]
    loaded = mlflow.pyfunc.load_model(f"models:/{found.outputs.model_outputs[0].model_id}")
    assert loaded.predict(frame)["predicted"].tolist() == model.predict(frame).tolist()
    assert fitted(frame[FEATURES], frame["kind"]).run_id is None  # no run is open any more


def test_a_run_of_the_callers_ends_as_the_caller_ends_it(open_run: Any) -> None:
    X, y = numbers()
    with pytest.raises(TrainingError), open_run() as run:
        fitted(X, y, compiled={"optimizer": "sgd", "loss": "mse", "lr": 1e30})
    assert mlflow.MlflowClient().get_run(run.info.run_id).info.status == "FAILED"


def test_a_models_of_a_registry_and_of_a_folder_are_found(job: Command, classifier: Model, tmp_path: Path) -> None:
    classifier.save(tmp_path / "folder")
    frame = table()
    np.testing.assert_array_equal(Model.from_run(str(tmp_path / "folder")).predict(frame), classifier.predict(frame))
    with pytest.raises(RequestError, match=r"run=.zzz. is no run\. Write a run's id"):
        Model.from_run("zzz")
    with pytest.raises(LifecycleError, match="has no runs yet"):
        Model.from_run("latest", tracking=tmp_path / "nowhere")
    assert load(tmp_path / "folder").columns == tuple(FEATURES)
