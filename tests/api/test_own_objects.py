"""Networks, optimizers, losses and metrics as objects, compared with plain loops of PyTorch and with scikit-learn."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import pytorch_lightning as pl
import sklearn.metrics
import torch
import torchmetrics
from torch import Tensor, nn
from torch.nn import functional as F

from lifecycle.api.model import Model
from lifecycle.contract import MULTICLASS, REGRESSION, DataSpec
from lifecycle.define import own_network, torch_layers
from lifecycle.errors import RequestError, SavedModelError
from lifecycle.predict import saved_model
from lifecycle.tracking.pages import tags
from tests.api import nets
from tests.conftest import Command

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
CLASSES = np.digitize(X[:, 0] + 0.3 * X[:, 1], [-0.5, 0.5])
VALUES = (X[:, 0] * 2 - X[:, 1]).astype(np.float32)
WHOLE: dict[str, Any] = {"epochs": 6, "batch_size": 40, "shuffle": False, "scaling": "none", "verbose": 0}
"""A fit that is easy to write as a plain loop: one batch, in order, of rows as they are."""


def network(outputs: int) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, outputs))


def loop(
    net: nn.Module, targets: Any, loss: Callable[..., Tensor], make: Callable[..., Any], epochs: int = 6
) -> nn.Module:
    """Train with PyTorch alone."""
    net = copy.deepcopy(net)
    optimizer, inputs, wanted = make(net.parameters()), torch.from_numpy(X), torch.as_tensor(targets)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss(net(inputs), wanted).backward()
        optimizer.step()
    return net


def assert_same(model: Model, wanted: nn.Module, rtol: float = 1e-4) -> None:
    found = list(model.trained.network.state_dict().values())
    for one, other in zip(found, wanted.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=1e-5)


FITS: dict[str, tuple[Any, ...]] = {
    "class with a field": (torch.optim.SGD, {"lr": 0.1}, nn.CrossEntropyLoss(), 3, CLASSES),
    "partial": (functools.partial(torch.optim.Adam, lr=0.05, betas=(0.8, 0.9)), {}, F.cross_entropy, 3, CLASSES),
    "smoothed": (torch.optim.Adam, {}, nn.CrossEntropyLoss(label_smoothing=0.2), 3, CLASSES),
    "argument that has no field": (
        functools.partial(torch.optim.SGD, lr=0.1, maximize=False),
        {},
        nn.MSELoss(),
        1,
        VALUES,
    ),
    "own argument": (functools.partial(torch.optim.Adam, lr=0.1, foreach=True), {}, nn.MSELoss, 1, VALUES),
    "function": (
        lambda parameters: torch.optim.RMSprop(parameters, lr=0.02, centered=True),
        {},
        nn.L1Loss(),
        1,
        VALUES,
    ),
    "loss with a setting": (torch.optim.SGD, {"lr": 0.1}, nn.HuberLoss(delta=0.3), 1, VALUES),
    "function of truth and prediction": (torch.optim.SGD, {"lr": 0.1}, nets.pinball, 1, VALUES),
}


@pytest.mark.parametrize(("optimizer", "fields", "loss", "outputs", "y"), FITS.values(), ids=FITS)
def test_a_fit_with_objects_is_the_plain_loop_with_them(
    optimizer: Any, fields: dict[str, Any], loss: Any, outputs: int, y: Any
) -> None:
    net = network(outputs)
    model = Model(net).compile(optimizer, loss, **fields)
    history = model.fit(X, y, scale_target=False, **WHOLE)
    function = loss() if isinstance(loss, type) else loss
    of_batch = (lambda outputs, targets: loss(targets, outputs)) if loss is nets.pinball else function
    targets = y if y is CLASSES else y[:, None]
    wanted = loop(net, targets, of_batch, lambda parameters: optimizer(parameters, **fields))
    assert_same(model, wanted)
    # The loss of the first epoch is that of the weights before it.
    assert history.rows[0]["train_loss"] == pytest.approx(
        float(of_batch(net(torch.from_numpy(X)), torch.as_tensor(targets)).detach()), rel=1e-5
    )
    assert model.evaluate(X, y)["loss"] == pytest.approx(
        float(of_batch(wanted(torch.from_numpy(X)), torch.as_tensor(targets)).detach()), rel=1e-3
    )


def test_each_fit_begins_with_the_given_weights_and_leaves_the_network_as_it_is() -> None:
    net = network(1)
    before = copy.deepcopy(net.state_dict())
    model = Model(net)
    first = model.fit(X, VALUES, **WHOLE).rows
    second = model.fit(X, VALUES, **WHOLE).rows
    assert [row["train_loss"] for row in first] == [row["train_loss"] for row in second]
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_two_logits_of_two_classes_are_trained_as_in_pytorch(tmp_path: Path) -> None:
    y = (CLASSES > 0).astype(np.int64)
    net = network(2)
    model = Model(net).compile(torch.optim.SGD, nn.CrossEntropyLoss(), lr=0.2)
    model.fit(X, y, **WHOLE)
    wanted = loop(net, y, nn.CrossEntropyLoss(), lambda parameters: torch.optim.SGD(parameters, lr=0.2))
    assert_same(model, wanted)
    probabilities = torch.softmax(wanted(torch.from_numpy(X)), dim=1).detach().numpy()
    np.testing.assert_allclose(model.predict_proba(X), probabilities, atol=1e-5)
    np.testing.assert_array_equal(Model.load(model.save(tmp_path / "saved")).predict_proba(X), model.predict_proba(X))


def test_one_output_a_row_may_lack_its_axis() -> None:
    torch.manual_seed(1)
    net = nets.Wide()
    model = Model(net).compile(torch.optim.SGD, nn.MSELoss(), lr=0.1)
    model.fit(X, VALUES, scale_target=False, **WHOLE)
    wanted = loop(net, VALUES, nn.MSELoss(), lambda parameters: torch.optim.SGD(parameters, lr=0.1))
    np.testing.assert_allclose(model.predict(X), wanted(torch.from_numpy(X)).detach().numpy(), rtol=1e-3, atol=1e-5)


def test_metrics_are_those_of_scikit_learn_and_torchmetrics() -> None:
    model = Model(network(3)).compile(
        metrics={
            "accuracy": "accuracy",
            "kappa": sklearn.metrics.cohen_kappa_score,
            "log_loss": sklearn.metrics.log_loss,
            "f1": functools.partial(sklearn.metrics.f1_score, average="macro"),
            "outputs_first": nets.torch_accuracy,
            "of_torchmetrics": torchmetrics.Accuracy(task="multiclass", num_classes=3, average="micro"),
        }
    )
    history = model.fit(X, CLASSES, validation_data=(X[:20], CLASSES[:20]), **WHOLE)
    scores, predicted = model.evaluate(X, CLASSES), model.predict(X)
    wanted = {
        "kappa": sklearn.metrics.cohen_kappa_score(CLASSES, predicted),
        "log_loss": sklearn.metrics.log_loss(CLASSES, model.predict_proba(X)),
        "f1": sklearn.metrics.f1_score(CLASSES, predicted, average="macro"),
        **dict.fromkeys(("accuracy", "outputs_first", "of_torchmetrics"), float(np.mean(predicted == CLASSES))),
    }
    assert {name: scores[name] for name in wanted} == pytest.approx(wanted)
    assert {f"val_{name}" for name in wanted} < set(history.rows[0])
    weights = np.linspace(0, 1, len(X))
    weighted = Model(network(3)).compile(metrics=[sklearn.metrics.accuracy_score])
    weighted.fit(X, CLASSES, sample_weight=weights, **WHOLE)
    assert weighted.evaluate(X, CLASSES, sample_weight=weights)["accuracy_score"] == pytest.approx(
        sklearn.metrics.accuracy_score(CLASSES, weighted.predict(X), sample_weight=weights)
    )
    with pytest.raises(RequestError, match=r"outputs_first.*cannot be weighted"):
        model.fit(X, CLASSES, sample_weight=weights, **WHOLE)


def test_a_regression_gives_metrics_values_in_its_units() -> None:
    model = Model("mlp", hidden=[4]).compile(metrics=[nets.share_above, sklearn.metrics.mean_absolute_error])
    model.fit(X, VALUES * 1000, epochs=2, verbose=0)
    predicted = model.predict(X)
    wanted = {
        "share_above": float(np.mean(predicted > VALUES * 1000)),
        "mean_absolute_error": sklearn.metrics.mean_absolute_error(VALUES * 1000, predicted),
    }
    scores = model.evaluate(X, VALUES * 1000)
    assert {name: scores[name] for name in wanted} == pytest.approx(wanted, rel=1e-6)


def test_a_loss_that_is_no_mean_over_rows_is_scored_on_all_rows() -> None:
    def correlation(outputs: Tensor, targets: Tensor) -> Tensor:
        return -torch.corrcoef(torch.stack([outputs[:, 0], targets[:, 0]]))[0, 1]

    model = Model(network(1)).compile("sgd", correlation, lr=0.1)
    model.fit(X, VALUES, **WHOLE)
    assert model.evaluate(X, VALUES)["loss"] == pytest.approx(-np.corrcoef(model.predict(X), VALUES)[0, 1], rel=1e-4)


def test_class_weights_weight_the_rows_of_an_own_loss() -> None:
    y = (CLASSES > 0).astype(int)

    def own(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, targets)

    weights = {0: 1.0, 1: 5.0}
    models = [
        Model(network(1)).compile("sgd", loss, class_weights=weights, lr=0.1) for loss in (own, "binary_crossentropy")
    ]
    first, second = ([row["train_loss"] for row in model.fit(X, y, **WHOLE).rows] for model in models)
    assert first == pytest.approx(second, rel=1e-6)


LISTS: dict[str, list[Any]] = {
    "words": ["dense: 8", "relu", {"dropout": 0.1}, "output"],
    "modules": [nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3)],
}


@pytest.mark.parametrize("layers", LISTS.values(), ids=LISTS)
def test_a_list_of_layers_is_a_network(layers: list[Any], tmp_path: Path) -> None:
    model = Model(layers)
    model.fit(X, CLASSES, epochs=2, verbose=0)
    model.save(tmp_path / "saved")
    np.testing.assert_array_equal(Model.load(tmp_path / "saved").predict_proba(X), model.predict_proba(X))


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "dense": (nn.Sequential(nn.Linear(3, 4, bias=False), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 1)), (3,)),
    "named": (nn.Sequential(nn.Sequential(nn.Linear(3, 4)), nn.BatchNorm1d(4, momentum=0.3), nn.PReLU(4)), (3,)),
    "images": (
        nn.Sequential(nn.Conv2d(1, 2, (3, 5), padding="same"), nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(2)),
        (1, 6, 6),
    ),
    "one layer": (nn.Linear(3, 2), (3,)),
    "recurrent": (nn.GRU(3, 2, batch_first=True, num_layers=2), (5, 3)),
}


@pytest.mark.parametrize(("net", "shape"), LAYERS.values(), ids=LAYERS)
def test_layers_of_torch_are_written_as_plain_values(net: nn.Module, shape: tuple[int, ...]) -> None:
    first: Any = net(torch.zeros(2, *shape))
    if isinstance(first, tuple):  # a recurrent layer alone is no network
        assert torch_layers._described(net, 0) is not None
        twin = torch_layers.build(torch_layers._described(net, 0))
        assert repr(twin) == repr(net)
        return
    described = torch_layers.describe(net, DataSpec(REGRESSION, shape, 1))
    twin = torch_layers.build(json.loads(json.dumps(described)))
    twin.load_state_dict(net.state_dict())
    inputs = torch.rand(4, *shape)
    assert torch.equal(twin.eval()(inputs), net.eval()(inputs))


class Doubled(nn.Linear):
    """A layer that is no longer torch's."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return twice the output."""
        return 2 * super().forward(inputs)


SHARED = nn.Linear(3, 3)
OTHERS: dict[str, nn.Module] = {
    "subclass": nn.Sequential(Doubled(3, 1)),
    "module of the user": nets.Wide(),
    "shared layer": nn.Sequential(SHARED, nn.ReLU(), SHARED, nn.Linear(3, 1)),
    "arguments that are not kept": nn.Sequential(nn.TransformerEncoderLayer(3, 1, batch_first=True)),
}


@pytest.mark.parametrize("net", OTHERS.values(), ids=OTHERS)
def test_other_layers_are_not(net: nn.Module) -> None:
    assert torch_layers.describe(net, DataSpec(REGRESSION, (3,), 1)) is None


MADE: dict[str, tuple[Any, dict[str, Any], str]] = {
    "class": (
        nets.Wide,
        {"width": 6},
        "from tests.api.nets import Wide, then Model.load(folder, network=Wide(width=6))",
    ),
    "object": (nets.Wide(width=5), {}, "network=Wide(width=5)"),
    "local": (lambda: nets.Wide(width=4), {}, "code without an import path.*network=my_network"),
}


@pytest.mark.parametrize(("given", "fields", "message"), MADE.values(), ids=MADE)
def test_a_saved_network_of_the_user_is_loaded_with_its_class(
    given: Any, fields: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(given, **fields)
    model.fit(X, VALUES, epochs=2, verbose=0)
    folder = model.save(tmp_path / "saved")
    if "local" not in message and "code" not in message:  # the process knows the class, as Model was given it
        np.testing.assert_array_equal(Model.load(folder).predict(X), model.predict(X))
    # Another process: nothing is imported by the name in the file.
    monkeypatch.setattr(own_network, "_known", {})
    with pytest.raises(RequestError, match=message.replace("(", r"\(").replace(")", r"\)")):
        Model.load(folder)
    with pytest.raises(RequestError, match="its weights and no code"):
        saved_model.load(folder)
    again = Model.load(folder, network=given)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(SavedModelError, match=r"of the shape|cannot be built|inconsistent"):
        Model.load(folder, network=nets.Wide(width=9))


def test_a_function_gets_the_shapes_of_the_data_and_needs_no_code_to_load(tmp_path: Path) -> None:
    model = Model(nets.for_spec, width=7)
    first = model.fit(X, CLASSES, epochs=2, verbose=0)
    assert [layer.output_shape for layer in model.summary().layers][-1] == "(None, 3)"
    assert repr(model) == "Model(for_spec, width=7), fitted: multiclass"
    # The initial weights are drawn by the seed, unlike those of a network that is given built.
    assert model.fit(X, CLASSES, epochs=2, verbose=0).rows[0]["train_loss"] == first.rows[0]["train_loss"]
    folder = model.save(tmp_path / "saved")
    loaded = saved_model.load(folder)
    np.testing.assert_array_equal(Model.load(folder).predict(X), model.predict(X))
    assert loaded.spec.task == MULTICLASS


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "number": (lambda: Model(3), "Model must be given a name, a network, .* got 3. Such as"),
    "argument of a built network": (
        lambda: Model(network(1), width=3),
        "width is no argument of a network that is built",
    ),
    "unknown argument": (lambda: Model(nets.Wide, depth=3), r"Model\(Wide\) cannot be called: .*'depth'"),
    "mixed list": (lambda: Model([nn.Linear(3, 1), "relu"]), "words and modules of torch"),
    "probabilities": (
        lambda: Model(nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())).fit(X, CLASSES > 0, verbose=0),
        "the network cannot be built: it ends in Sigmoid.* Leave it out",
    ),
    "outputs": (
        lambda: Model(network(5)).fit(X, CLASSES, verbose=0),
        "the network returned.*Let the last layer have 3",
    ),
    "inputs": (
        lambda: Model(nn.Linear(4, 1)).fit(X, VALUES, verbose=0),
        "the network cannot take samples of shape .3,. .*Let its first layer take 3 numbers",
    ),
    "BCELoss": (lambda: Model().compile(loss=nn.BCELoss()), r"BCELoss takes probabilities.*BCEWithLogitsLoss\(\)"),
    "NLLLoss": (lambda: Model().compile(loss=nn.NLLLoss), r"Use loss=nn.CrossEntropyLoss\(\)"),
    "weight": (lambda: Model().compile(loss=nn.CrossEntropyLoss(torch.ones(3))), "class_weights="),
    "sum": (lambda: Model().compile(loss=nn.MSELoss(reduction="sum")), "gradients depend on the size of a batch"),
    "loss": (lambda: Model().compile(loss=3), "loss must be a name, a function or a loss of torch, got 3"),
    "NumPy": (
        lambda: Model().compile(loss=sklearn.metrics.hinge_loss).fit(X, CLASSES > 0, verbose=0),
        'loss="hinge_loss" fails with outputs of shape',
    ),
    "no gradient": (
        lambda: Model().compile(loss=lambda outputs, targets: targets.mean()).fit(X, VALUES, verbose=0),
        'loss="lambda" must return a tensor that depends on the outputs',
    ),
    "optimizer": (lambda: Model().compile(lambda parameters: 3), "returns a torch.optim.Optimizer, got int"),
    "optimizer's field": (lambda: Model().compile(torch.optim.Adam, rate=3), "optimizer cannot be made: TypeError"),
    "metric": (
        lambda: Model().compile(metrics=[sklearn.metrics.f1_score]).fit(X, CLASSES, verbose=0),
        'metrics="f1_score" cannot be computed: .*multiclass',
    ),
    "no metric": (lambda: Model().compile(metrics=[3]), "has an element that is no metric, got 3"),
    "twice": (lambda: Model().compile(metrics=[nets.share_above] * 2), "has two called share_above"),
    "Keras's name": (lambda: Model().compile(metrics=["acc"]), "'acc', which is 'accuracy' here"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_refused_in_a_sentence(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        call()


def test_an_optimizer_that_exists_gives_its_settings() -> None:
    net = network(1)
    model = Model(net).compile(torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.5), nn.MSELoss())
    model.fit(X, VALUES, scale_target=False, **WHOLE)
    wanted = loop(net, VALUES[:, None], nn.MSELoss(), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5))
    assert_same(model, wanted)
    two = torch.optim.SGD([{"params": net[0].parameters()}, {"params": net[2].parameters(), "lr": 1.0}], lr=0.1)
    with pytest.raises(RequestError, match="several groups of parameters"):
        model.compile(two)


def test_a_recorded_run_says_what_cannot_be_repeated(job: Command, tmp_path: Path) -> None:
    model = Model(nets.Wide, width=3).compile(lambda p: torch.optim.SGD(p, lr=0.1), nets.pinball, [nets.share_above])
    model.fit(X, VALUES, epochs=1, track=True, verbose=0, tracking="mlruns")
    run = tags.name(mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db").get_run(str(model.run_id)))
    sentence = run.data.tags["lifecycle.not_recorded"]
    assert re.search(
        r"network is made by tests.api.nets:Wide.*optimizer is made by.*loss is pinball.*share_above", sentence
    )
    for command in ("rerun", "resume"):
        extra = ("trainer.max_epochs=3",) if command == "resume" else ()
        ended = job(command, f"run={model.run_id}", "data.path=rows.csv", *extra)
        assert ended.code == 2
        assert (
            "depends on Python objects that are not recorded: the network is made by tests.api.nets:Wide"
            in " ".join(ended.err.split())
        )
    assert Model.from_run(str(model.run_id)).predict(X).shape == (40,)
    ended = job("evaluate", f"run={model.run_id}")
    assert ended.code == 2


def test_a_file_that_names_code_runs_none(tmp_path: Path) -> None:
    model = Model(nets.Wide)
    model.fit(X, VALUES, epochs=1, verbose=0)
    saved = model.save(tmp_path / "saved")
    manifest = json.loads((saved / "lifecycle.json").read_text())
    evil: list[dict[str, Any]] = [
        {"path": "os:mkdir", "arguments": {"path": str(tmp_path / "made")}, "layers": None},
        {"path": "", "arguments": {}, "layers": {"type": "__import__", "arguments": {"name": "os"}}},
        {"path": "", "arguments": {}, "layers": {"type": "Module", "arguments": {"device": "cuda"}}},
        {"path": "", "arguments": {}, "layers": {"type": "utils", "arguments": {}}},
    ]
    for fields in evil:
        manifest["model"]["fields"] = fields
        del manifest["sha256"]["lifecycle.json"]
        saved_model.write_manifest(manifest, saved)
        with pytest.raises((SavedModelError, RequestError)):
            Model.load(saved)
        manifest = json.loads((saved / "lifecycle.json").read_text())
    assert not (tmp_path / "made").exists()


class Lightning(pl.LightningModule):
    """A module with steps of its own."""

    def training_step(self, batch: Any, index: int) -> None:
        """Return no loss."""

    def configure_optimizers(self) -> None:
        """Return no optimizer."""


class Forward(pl.LightningModule):
    """A module that is a network."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Linear(3, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, 3)`` to ``(batch, 1)``."""
        outputs: Tensor = self.layers(inputs)
        return outputs


@pytest.mark.parametrize("given", [Lightning, Lightning()], ids=["class", "object"])
def test_the_steps_of_a_lightning_module_are_not_ignored(given: Any) -> None:
    message = (
        r"^Model would not call training_step, configure_optimizers of a LightningModule, got Lightning\(...\)\. Give "
        r"its network, a torch.nn.Module: Model\(network\)\.compile\("
    )
    with pytest.raises(RequestError, match=message):
        Model(given)
    assert len(Model(Forward()).fit(X, VALUES, epochs=1, verbose=0).rows) == 1


class Sized(nn.Module):
    """A network that does not keep its argument."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, 3)`` to ``(batch, outputs)``."""
        return torch.as_tensor(self.layer(inputs))


def test_arguments_that_are_not_known_are_left_to_the_reader() -> None:
    assert own_network.read(Sized(1), {}).remedy().python.endswith("load(folder, network=Sized(...)).")
