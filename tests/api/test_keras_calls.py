"""Calls and names that users of Keras know: evaluate, predict, weights, summary, history, hints."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

import lifecycle
from lifecycle.api import hints
from lifecycle.api.model import Model
from lifecycle.errors import RequestError, SavedModelError

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
Y = np.where(X[:, 0] > 0, "yes", "no")


@pytest.fixture(scope="module")
def fitted() -> Model:
    model = Model("mlp", hidden=[4])
    model.fit(X, Y, epochs=2, validation_split=0.2, verbose=0)
    return model


def test_the_size_of_a_batch_changes_no_score_and_no_prediction(fitted: Model) -> None:
    scores = fitted.evaluate(X, Y)
    assert fitted.evaluate(X, Y, batch_size=7) == pytest.approx(scores)
    np.testing.assert_allclose(fitted.predict_proba(X, batch_size=7), fitted.predict_proba(X), rtol=1e-6)
    assert fitted.predict(X, batch_size=1).tolist() == fitted.predict(X).tolist()
    assert fitted.evaluate(X, Y, return_dict=False) == list(scores.values())


def test_verbose_prints_a_line(fitted: Model, capsys: pytest.CaptureFixture[str]) -> None:
    scores = fitted.evaluate(X, Y, verbose=1)
    assert capsys.readouterr().out == f"loss {scores['loss']:.4f}  accuracy {scores['accuracy']:.4f}\n"
    fitted.predict(X, verbose=1)
    assert capsys.readouterr().out == "30 rows predicted\n"
    fitted.evaluate(X, Y)
    assert capsys.readouterr().out == ""


def test_a_history_has_kerass_names_and_ours(fitted: Model) -> None:
    history = fitted.history
    assert history is not None
    assert history["loss"] == history.history["loss"] == history.history["train_loss"]
    assert history["accuracy"] == history["train_accuracy"] == [row["train_accuracy"] for row in history.rows]
    assert history["val_loss"] == [row["val_loss"] for row in history.rows]
    assert "loss" in history.history
    assert "mae" not in history.history
    assert history.history.get("mae") is None
    assert history.epoch == [1, 2]
    assert history.params == {"epochs": 2}
    assert list(pd.DataFrame(history.history)["val_loss"]) == history["val_loss"]
    with pytest.raises(KeyError, match=r"'mae'; columns: train_loss"):
        history["mae"]


def test_a_network_is_built_before_the_fit() -> None:
    model = Model("mlp", hidden=[4])
    assert model.build(X, Y) is model
    summary = model.summary()
    assert [layer.output_shape for layer in summary.layers] == ["(None, 4)", "(None, 4)", "(None, 1)"]
    assert (summary.num_params, summary.num_trainable) == (21, 21)
    built = model.get_weights()
    first = Model("mlp", hidden=[4])
    first.build(X, Y, seed=0)
    for one, other in zip(built, first.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # the weights that the seed draws
    assert "<svg" in model.plot()._repr_svg_()
    three = Model(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 3))).build((None, 3))
    assert three.summary().layers[-1].output_shape == "(None, 3)"
    assert Model("mlp", hidden=[4]).build(X, np.arange(30) % 3).summary().num_params == 16 + 15
    with pytest.raises(RequestError, match="is not fitted yet"):
        model.predict(X)


def test_weights_are_read_set_saved_and_loaded(tmp_path: Path, fitted: Model) -> None:
    weights = fitted.get_weights()
    assert [one.shape for one in weights] == [(4, 3), (4,), (1, 4), (1,)]
    other = Model("mlp", hidden=[4]).build(X, Y)
    other.set_weights(weights)
    for one, wanted in zip(other.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, wanted)
    file = fitted.save_weights(tmp_path / "some.weights")
    assert file.name == "some.weights.safetensors"
    third = Model("mlp", hidden=[4])
    third.fit(X, Y, epochs=1, verbose=0, seed=5)
    third.load_weights(file)
    third.load_weights(fitted.save(tmp_path / "saved") / "weights.safetensors")
    for one, wanted in zip(third.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, wanted)


def test_the_weights_of_a_checkpoint_are_loaded(tmp_path: Path) -> None:
    model = Model("mlp", hidden=[4])
    best = ModelCheckpoint(tmp_path, monitor="train_loss", filename="best")
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[best])
    other = Model("mlp", hidden=[4]).build(X, Y, seed=9)
    other.load_weights(tmp_path / "best.ckpt")
    for one, wanted in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, wanted)
    with pytest.raises(SavedModelError, match=r"gone.ckpt or its gone.ckpt.sha256 is missing"):
        other.load_weights(tmp_path / "gone.ckpt")
    with pytest.raises(RequestError, match=r"^the weights are of another network: 0.weight has"):
        Model("mlp", hidden=[5]).build(X, Y).load_weights(tmp_path / "best.ckpt")


def test_a_fit_begins_with_the_weights_that_were_set() -> None:
    model = Model("mlp", hidden=[4]).compile("sgd", "mse", lr=0.1).build(X, X[:, 0])
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    model.set_weights(net.state_dict())
    options: dict[str, Any] = {"scaling": "none", "scale_target": False, "shuffle": False, "batch_size": 30}
    model.fit(X, X[:, 0], epochs=3, verbose=0, **options)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(torch.from_numpy(X))[:, 0], torch.from_numpy(X[:, 0])).backward()
        optimizer.step()
    for one, wanted in zip(model.get_weights(), net.state_dict().values(), strict=True):
        np.testing.assert_allclose(one, wanted.numpy(), rtol=1e-4, atol=1e-6)


REFUSED: dict[str, tuple[Callable[[Model, Path], Any], str]] = {
    "batch size": (lambda model, _: model.predict(X, batch_size=0), "^batch_size must be 1 or more, got 0"),
    "no y": (lambda model, _: model.evaluate(X), r"^y is missing. Write evaluate\(X, y\), or evaluate\(loader\)"),
    "few": (lambda model, _: model.set_weights([np.ones(3)]), "^the weights are 1 arrays, and the network has 4"),
    "shape": (
        lambda model, _: model.set_weights([np.ones((4, 9)), np.ones(4), np.ones((1, 4)), np.ones(1)]),
        r"are of another network: 0.weight has the shape \(4, 9\), and needs \(4, 3\)",
    ),
    "name": (lambda model, _: model.set_weights({"a": np.ones(1)}), r"0.weight has the shape None, and needs \(4, 3\)"),
    "not built": (
        lambda _, __: Model().get_weights(),
        "^the model is neither fitted nor built. Call fit",
    ),
    "no file": (lambda model, path: model.load_weights(path / "a.safetensors"), "a.safetensors is missing"),
    "other file": (
        lambda model, path: model.load_weights(path / "a.h5"),
        "a.h5 is no file of safetensors.*set_w",
    ),
    "epochs": (
        lambda _, __: Model("mlp", epochs=3),
        r"^epochs belongs to another call.*fit\(X, y, epochs",
    ),
    "learning rate": (
        lambda _, __: Model("mlp", learning_rate=3),
        r"belongs to another call.*compile\(lr",
    ),
    "units": (lambda _, __: Model("mlp", units=8), r"^units is called hidden here, got 8. Write hidden=\[8\]"),
    "dropout": (lambda _, __: Model("mlp", dropout_rate=0.5), "^dropout_rate is called dropout here, got 0.5"),
    "compile": (
        lambda model, _: model.compile(learning_rate=0.1),
        "^learning_rate is called lr here.*lr=0.1",
    ),
    "decay": (lambda model, _: model.compile(decay=0.1), "^decay is called weight_decay here"),
    "batch in compile": (
        lambda model, _: model.compile(batch_size=3),
        r"^batch_size belongs to another call",
    ),
    "accuracy": (lambda model, _: model.compile(metrics=["auc"]), """metrics has 'auc', which is 'auroc' here"""),
    "loss": (lambda model, _: model.compile(loss="bce"), "loss 'bce' is 'binary_crossentropy' here"),
    "fit": (lambda model, _: model.fit(X, Y, nb_epoch=3), "^nb_epoch is called epochs here, got 3. Write epochs=3"),
    "lr in fit": (
        lambda model, _: model.fit(X, Y, lr=3),
        r"^lr belongs to another call.*compile\(lr=0.01\)",
    ),
    "max_epochs": (
        lambda model, _: model.fit(X, Y, max_epochs=3),
        "^max_epochs is called epochs here, got 3. Write epochs=3.$",
    ),
    "logger": (
        lambda model, _: model.fit(X, Y, logger=True),
        r"^logger is an argument of Lightning's Trainer, not of fit\(\), got True. Write track=True, and tracking=Tr",
    ),
    "checkpoint": (
        lambda model, _: model.fit(X, Y, ckpt_path="last.ckpt"),
        r"^ckpt_path is an argument .* got 'last.ckpt'. fit\(X, y, resume=True\) trains further, load_weights",
    ),
    "no list": (lambda _, __: Model("mlp", hidden=8), r"^hidden must be a list, got 8. Write hidden=\[8\].$"),
    "workers": (lambda model, _: model.fit(X, Y, workers=3), "^workers has no equivalent, got 3. Nothing: rows are in"),
    "test_size": (lambda model, _: model.fit(X, Y, test_size=0.2), "^test_size is called validation_split here"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_call_is_refused_and_names_the_right_one(
    call: Callable[[Model, Path], Any], message: str, fitted: Model, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=message):
        call(fitted, tmp_path)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "from lifecycle import Sequential",
            'lifecycle has no Sequential. Use Model(["dense: 12", "relu", "output"]).',
        ),
        ("from lifecycle import load_model", "lifecycle has no load_model. Use Model.load(folder)."),
        ("from lifecycle import Sequentiel", "cannot import name 'Sequentiel' from 'lifecycle'"),
        (
            "from lifecycle.sklearn import NeuralNetClassifier",
            "lifecycle.sklearn has no NeuralNetClassifier. Use lifecycle.sklearn.LifecycleClassifier.",
        ),
    ],
)
def test_an_import_of_another_tools_name_is_answered_with_ours(statement: str, message: str) -> None:
    with pytest.raises(ImportError) as raised:
        exec(statement)
    assert str(raised.value).startswith(message)


def test_names_of_other_tools_are_none_of_ours() -> None:
    modules = {module.name for module in pkgutil.iter_modules(lifecycle.__path__)}
    assert not modules & set(hints.NAMES)
    assert not set(lifecycle.__all__) & set(hints.NAMES)
    assert not any(hasattr(lifecycle, name) for name in hints.NAMES)
    with pytest.raises(AttributeError, match=r"^lifecycle has no load_model. Use Model.load\(folder\).$"):
        lifecycle.load_model("m.keras")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("predict_classes", r"Model has no predict_classes. Use predict\(X\), which returns classes."),
        ("fit_generator", "fit_generator. Use fit.generator, steps_per_epoch"),
        ("score", "Use evaluate"),
        ("validate", "Use evaluate"),
        ("load_from_checkpoint", r"Use Model.load\(folder\)"),
        ("state_dict", "Use trained.network.state_dict"),
        ("no_such_thing", "'Model' object has no attribute 'no_such_thing'"),
    ],
)
def test_a_method_of_another_tool_is_named(fitted: Model, name: str, hint: str) -> None:
    assert not hasattr(fitted, name)
    with pytest.raises(AttributeError, match=hint):
        getattr(fitted, name)
