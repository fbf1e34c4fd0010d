"""Arguments of fit that users of Keras and Lightning know, compared with plain loops and with single fits."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, StochasticWeightAveraging
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lifecycle.api.model import Model
from lifecycle.errors import RequestError
from tests.conftest import Command

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(np.int64)
NAMES = np.array(["no", "yes"])[Y]
QUIET: dict[str, Any] = {"verbose": 0, "batch_size": 8}


def model(**fields: Any) -> Model:
    return Model("mlp", hidden=[4], **fields).compile("adam", lr=0.02)


def weights(one: Model) -> list[np.ndarray[Any, Any]]:
    return one.get_weights()


def assert_equal(one: Model, other: Model) -> None:
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("argument", ["resume", "initial_epoch"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_continued_fit_is_that_of_all_epochs_bit_for_bit(argument: str, dropout: float) -> None:
    whole, parts = model(dropout=dropout), model(dropout=dropout)
    wanted = whole.fit(X, Y, epochs=5, **QUIET)
    parts.fit(X, Y, epochs=2, **QUIET)
    more: dict[str, Any] = {"epochs": 3, "resume": True} if argument == "resume" else {"epochs": 5, "initial_epoch": 2}
    found = parts.fit(X, Y, **more, **QUIET)
    assert_equal(whole, parts)
    pd.testing.assert_frame_equal(found.frame.drop(columns="epoch_seconds"), wanted.frame.drop(columns="epoch_seconds"))
    assert found["loss"] == [row["train_loss"] for row in wanted.rows]


def test_a_continued_fit_on_other_rows_keeps_the_preprocessing() -> None:
    first = model()
    first.fit(X, NAMES, epochs=2, **QUIET)
    then = copy.deepcopy(weights(first))
    scale = first.trained.preprocessing
    history = first.fit(X[:9] * 100, NAMES[:9], epochs=1, resume=True, **QUIET)
    assert len(history.rows) == 3
    assert first.classes_.tolist() == ["no", "yes"]
    assert first.trained.preprocessing.serialized == scale.serialized
    assert any(not np.array_equal(a, b) for a, b in zip(then, weights(first), strict=True))
    only = NAMES[:9].copy()
    only[:] = "yes"  # one class of two
    first.fit(X[:9], only, epochs=1, resume=True, **QUIET)
    with pytest.raises(RequestError, match="maybe"):
        first.fit(X[:9], np.array(["maybe"] * 9), epochs=1, resume=True, task="classification", **QUIET)


def test_compiled_again_it_begins_with_the_weights_and_a_new_optimizer(tmp_path: Path) -> None:
    first = model()
    first.fit(X, Y, epochs=3, scaling="none", **QUIET)
    network = copy.deepcopy(first.trained.network).train()
    saved = Model.load(first.save(tmp_path / "saved"))
    rows = {"epochs": 2, "resume": True, "verbose": 0, "batch_size": 40, "shuffle": False, "scaling": "none"}
    for one in (first, saved):
        one.compile("sgd", lr=0.5)
        one.fit(X, Y, **rows)
    optimizer, loss = torch.optim.SGD(network.parameters(), lr=0.5), nn.BCEWithLogitsLoss()
    for _ in range(2):
        optimizer.zero_grad()
        loss(network(torch.from_numpy(X))[:, 0], torch.from_numpy(Y).float()).backward()
        optimizer.step()
    for one in (first, saved):
        for found, wanted in zip(weights(one), network.state_dict().values(), strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-6)


def test_frozen_layers_stay_and_are_counted() -> None:
    first = Model("mlp", hidden=[4, 4], batch_norm=True).compile(lr=0.1)
    first.fit(X, Y, epochs=2, **QUIET)
    before = {name: value.clone() for name, value in first.trained.network.state_dict().items()}
    first.freeze("0", "1")
    with pytest.raises(RequestError, match=r"^freeze\('0', '1'\) is to keep weights.* Add resume=True"):
        first.fit(X, Y, epochs=1, **QUIET)
    first.fit(X, Y, epochs=2, resume=True, **QUIET)
    after = first.trained.network.state_dict()
    same = {name for name in after if torch.equal(after[name], before[name])}
    assert same == {name for name in after if name.startswith(("0.", "1."))}  # batch normalisation's statistics too
    summary = first.summary()
    assert (summary.num_params, summary.num_frozen) == (16 + 8 + 20 + 8 + 5, 16 + 8)
    assert "total parameters: 57; 33 trainable, 24 frozen" in repr(summary)
    assert "33 trainable" in summary._repr_html_()
    assert first.unfreeze().summary().num_frozen == 0


def batches(rows: int = 8) -> Iterator[tuple[Any, Any]]:
    """Yield batches for ever, in order."""
    start = 0
    while True:
        taken = np.arange(start, start + rows) % len(X)
        yield X[taken], Y[taken]
        start += rows


class Endless(IterableDataset[Any]):
    """Rows in order, one at a time."""

    def __iter__(self) -> Iterator[Any]:
        return iter([(X[row], Y[row]) for row in range(len(X))])


class Pairs:
    """Keras's Sequence: batches by number."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]


TENSORS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
SOURCES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "generator": (batches, {"steps_per_epoch": 5}),
    "function that returns a generator": (lambda: batches, {"steps_per_epoch": 5}),
    "loader in order": (lambda: DataLoader(TENSORS, batch_size=8), {}),
    "iterable dataset": (lambda: DataLoader(Endless(), batch_size=8), {}),
    "sequence": (Pairs, {}),
}


@pytest.mark.parametrize(("source", "options"), SOURCES.values(), ids=SOURCES)
def test_batches_are_rows_in_their_order(source: Callable[[], Any], options: dict[str, Any]) -> None:
    wanted, found = model(), model()
    rows = wanted.fit(X, Y, epochs=3, shuffle=False, validation_data=(X, Y), **QUIET)
    loader = DataLoader(TENSORS, batch_size=16)
    history = found.fit(source(), epochs=3, verbose=0, validation_data=loader, **options)
    assert_equal(wanted, found)
    assert history["val_loss"] == rows["val_loss"]
    assert found.evaluate(loader) == wanted.evaluate(X, Y)
    np.testing.assert_array_equal(found.predict(loader), wanted.predict(X))


def test_a_loader_that_shuffles_tensors_is_a_fit_that_shuffles() -> None:
    wanted, found = model(), model()
    wanted.fit(X, Y, epochs=2, **QUIET)
    found.fit(DataLoader(TENSORS, batch_size=8, shuffle=True), epochs=2, verbose=0)
    assert_equal(wanted, found)


def test_each_epoch_has_the_next_batches_of_a_generator() -> None:
    seen: list[int] = []

    def numbered() -> Iterator[Any]:
        for number in range(100):
            seen.append(number)
            generator = np.random.default_rng(number)
            inputs = generator.normal(size=(8, 3)).astype(np.float32)
            yield inputs, inputs[:, 0], np.ones(8)

    one = Model(nn.Linear(3, 1)).compile("sgd", "mse", lr=0.1)
    first = [value.copy() for value in one.build((None, 3)).get_weights()]
    one.set_weights(first)
    one.fit(numbered(), steps_per_epoch=2, epochs=3, scaling="none", scale_target=False, verbose=0)
    assert seen == list(range(6))
    net = nn.Linear(3, 1)
    net.load_state_dict(dict(zip(net.state_dict(), map(torch.from_numpy, first), strict=True)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for number in range(6):
        inputs = torch.from_numpy(np.random.default_rng(number).normal(size=(8, 3)).astype(np.float32))
        optimizer.zero_grad()
        nn.functional.mse_loss(net(inputs)[:, 0], inputs[:, 0]).backward()
        optimizer.step()
    np.testing.assert_allclose(one.get_weights()[0], net.weight.detach().numpy(), rtol=1e-4)


def test_a_callback_that_stops_stands_in_place_of_ours() -> None:
    one = model()
    stop = EarlyStopping("train_loss", patience=1, min_delta=10.0)
    history = one.fit(X, Y, epochs=20, validation_split=0.2, callbacks=[stop], **QUIET)
    assert len(history.rows) == 2
    assert history.stopped == "EarlyStopping stopped it"
    assert history.best_epoch is not None  # the validation rows still choose the epoch


def test_what_callbacks_log_is_kept(job: Command, tmp_path: Path) -> None:
    one = model()
    one.compile("sgd", lr=0.1, schedule="exponential")
    checkpoint = ModelCheckpoint(tmp_path / "mine", filename="{epoch}", save_top_k=-1)
    history = one.fit(X, Y, epochs=3, callbacks=[LearningRateMonitor(), checkpoint], track=True, **QUIET)
    rates = [row["lr"] for row in history.rows]
    assert [row["lr-SGD"] for row in history.logged] == pytest.approx(rates)
    assert sorted(file.name for file in (tmp_path / "mine").glob("*.ckpt")) == [f"epoch={n}.ckpt" for n in range(3)]
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    points = client.get_metric_history(str(one.run_id), "lr-SGD")
    assert [point.value for point in points] == pytest.approx(rates)


def test_a_callers_best_checkpoints_are_whole_and_leave_ours_alone(tmp_path: Path) -> None:
    plain, observed = model(), model()
    options: dict[str, Any] = {"epochs": 8, "validation_split": 0.2, "seed": 1, **QUIET}
    wanted = plain.fit(X, Y, **options)
    others = [
        ModelCheckpoint(tmp_path / "low", filename="best", monitor="train_loss", save_weights_only=True),
        ModelCheckpoint(tmp_path / "high", filename="best", monitor="val_loss", mode="max"),
    ]
    found = observed.fit(X, Y, callbacks=others, **options)
    assert found.best_epoch == wanted.best_epoch
    assert_equal(plain, observed)
    low, high = (torch.load(tmp_path / name / "best.ckpt", weights_only=True) for name in ("low", "high"))
    for checkpoint, score, worst in ((low, "train_loss", min), (high, "val_loss", max)):
        scores = [row[score] for row in found.rows]
        assert checkpoint["epoch"] == scores.index(worst(scores))
        assert set(checkpoint) >= {"loops", "state_dict"}
    assert high["optimizer_states"][0]["state"]


def test_class_weight_is_that_of_compile() -> None:
    given, compiled = model(), model()
    compiled.compile("adam", lr=0.02, class_weights={"no": 1.0, "yes": 3.0})
    given.fit(X, NAMES, epochs=2, class_weight={"no": 1.0, "yes": 3.0}, **QUIET)
    compiled.fit(X, NAMES, epochs=2, **QUIET)
    assert_equal(given, compiled)
    with pytest.raises(RequestError, match=r"^class_weight was given to compile\(\) too"):
        compiled.fit(X, NAMES, class_weight="balanced", **QUIET)


def test_images_with_channels_last_are_those_with_channels_first(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((24, 8, 8, 1)).astype(np.float32)
    y = np.arange(24) % 2
    last, first = Model("cnn", channels=[2]), Model("cnn", channels=[2])
    last.fit(images, y, epochs=1, channels_last=True, validation_data=(images[:4], y[:4]), **QUIET)
    first.fit(
        images.transpose(0, 3, 1, 2), y, epochs=1, validation_data=(images[:4].transpose(0, 3, 1, 2), y[:4]), **QUIET
    )
    assert_equal(last, first)
    loaded = Model.load(last.save(tmp_path / "saved"))
    np.testing.assert_array_equal(loaded.predict_proba(images), first.predict_proba(images.transpose(0, 3, 1, 2)))
    assert loaded.evaluate(images, y) == first.evaluate(images.transpose(0, 3, 1, 2), y)


def test_a_copy_keeps_the_weights_and_not_the_checkpoints() -> None:
    one = model()
    one.fit(X, Y, epochs=2, **QUIET)
    other: Model = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(other.predict(X), one.predict(X))
    assert len(other.fit(X, Y, epochs=1, resume=True, **QUIET).rows) == 1


def _fitted() -> Model:
    one = model()
    one.fit(X, Y, epochs=2, validation_split=0.3, patience=1, monitor="val_accuracy", min_delta=1.0, **QUIET)
    return one


def _scheduled() -> Model:
    one = model().compile("adam", schedule="cosine")
    one.fit(X, Y, epochs=2, **QUIET)
    return one


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "patience": (
        lambda: model().fit(X, Y, patience=3),
        "^patience needs rows that validate, got 3. Add validation_split",
    ),
    "patience with its own": (
        lambda: model().fit(X, Y, patience=3, callbacks=EarlyStopping("train_loss")),
        r"^patience is that of the callback EarlyStopping, got 3. Write EarlyStopping\(patience",
    ),
    "two": (
        lambda: model().fit(X, Y, early_stopping=True, callbacks=[EarlyStopping("train_loss")]),
        "early_stopping=True would be another",
    ),
    "monitor": (
        lambda: model().fit(X, Y, callbacks=[EarlyStopping("val_los")], validation_split=0.2, **QUIET),
        "val_los'.*, which is not measured. Choose from: train_loss, train_accuracy, val_loss",
    ),
    "monitor without rows": (
        lambda: model().fit(X, Y, callbacks=[EarlyStopping("val_loss")], **QUIET),
        "Give validation_split or validation_data",
    ),
    "no callback": (lambda: model().fit(X, Y, callbacks=[print]), "callbacks must be Lightning callbacks"),
    "averaging": (lambda: model().fit(X, Y, callbacks=[StochasticWeightAveraging(0.1)]), "StochasticWeightAveraging"),
    "folder": (lambda: model().fit(X, Y, callbacks=[ModelCheckpoint()]), "a ModelCheckpoint without a folder"),
    "resume": (lambda: model().fit(X, Y, resume=True), "^resume=True needs a fit to continue. Call fit without"),
    "initial_epoch": (
        lambda: _scheduled().fit(X, Y, initial_epoch=7),
        "is not the number of epochs of the last fit, 2",
    ),
    "too few": (lambda: _scheduled().fit(X, Y, epochs=1, initial_epoch=2), "epochs is the number of all epochs"),
    "schedule": (lambda: _scheduled().fit(X, Y, epochs=3, resume=True), 'schedule="cosine" was planned over 2 epochs'),
    "stopped": (
        lambda: _fitted().fit(
            X,
            Y,
            epochs=2,
            resume=True,
            validation_split=0.3,
            patience=1,
            monitor="val_accuracy",
            min_delta=1.0,
            **QUIET,
        ),
        'monitor="val_accuracy" had not improved for 1 epochs when the fit ended.*early_stopping=False',
    ),
    "no y": (lambda: model().fit(X), r"^y is missing. Write fit\(X, y\), or fit\(loader\)"),
    "endless": (lambda: model().fit(batches()), "^X is a generator, whose end is not known. Give steps_per_epoch"),
    "ended": (
        lambda: model().fit(iter([(X, Y)]), steps_per_epoch=1, epochs=3, verbose=0),
        "^X ended in epoch 2, after 1 batches. Give a function that returns a new generator",
    ),
    "no pairs": (lambda: model().fit(DataLoader(X)), r"^X must yield batches of \(X, y\)"),
    "steps": (lambda: model().fit(X, Y, steps_per_epoch=3), "^steps_per_epoch is for batches from a DataLoader"),
    "split of batches": (lambda: model().fit(DataLoader(TENSORS), validation_split=0.2), "cannot divide batches"),
    "batch size": (
        lambda: model().fit(DataLoader(TENSORS), batch_size=3),
        "^batch_size is that of the batches, 1, got 3",
    ),
    "trainable": (
        lambda: setattr(model(), "trainable", False),
        "^trainable cannot be set, got False. Call model.freeze",
    ),
    "layer": (lambda: _scheduled().freeze("9"), "^the layer '9' is not in the network. Choose from: 0, 2"),
    "all": (lambda: _scheduled().freeze("0", "2"), "leaves no weight to train"),
    "no name": (lambda: model().freeze(0), "^freeze needs names of layers"),
    "channels": (
        lambda: Model("cnn").fit(np.zeros((1797, 8, 8, 1)), np.arange(1797) % 10),
        r"^X has images whose channels come last, got the shape \(1797, 8, 8, 1\). Channels come first: X.transpose",
    ),
    "no images": (lambda: model().fit(X, Y, channels_last=True), "^channels_last is for images of the shape"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_met_is_refused_in_a_sentence(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        call()


def test_any_callback_with_hooks_of_steps_sees_them() -> None:
    class Steps(pl.Callback):
        seen = 0

        def on_train_batch_end(self, *_: Any) -> None:
            self.seen += 1

    steps = Steps()
    model().fit(X, Y, epochs=2, callbacks=steps, **QUIET)
    assert steps.seen == 10
