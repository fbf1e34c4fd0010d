"""The fields of each optimizer are the arguments of its torch class, with their defaults and checks."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lifecycle.compile import optimization
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.optimization import MuonAndAdamW, build_optimizer
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.batches import Batches, Chunks
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.define.network import define
from lifecycle.errors import RequestError
from lifecycle.fit import checkpoints
from lifecycle.fit.epochs import Epochs
from lifecycle.fit.history import Row
from lifecycle.fit.trainer import fit, trainer_for
from lifecycle.optimizers import (
    ASGD,
    LBFGS,
    OPTIMIZERS,
    SGD,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Muon,
    NAdam,
    OptimizerConfig,
    RMSprop,
    Rprop,
    SparseAdam,
)
from lifecycle.plugins.mlp import MLP
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.schedules import Cosine

NAMES = sorted(OPTIMIZERS)
NO_FIELDS = {"params", "foreach", "fused", "capturable", "differentiable", "maximize"}
"""Arguments that are no hyper-parameters: what is optimised, and how torch goes about it."""

OTHER_DEFAULTS = {"lbfgs": {"line_search_fn": "strong_wolfe"}, "sgd": {"lr": 0.01}, "rmsprop": {"lr": 0.001}}
"""Keras's, where they are not torch's."""


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load(Table(path="sklearn:iris", target="species"), "iris", "table", seed=1)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As the pipeline runs it."""
    with quiet_libraries():
        yield


def torch_class(name: str) -> type[torch.optim.Optimizer]:
    found: type[torch.optim.Optimizer] = getattr(torch.optim, OPTIMIZERS[name].torch_name)
    return found


def arguments(config: OptimizerConfig) -> dict[str, Any]:
    return {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def test_every_optimizer_of_torch_has_a_name() -> None:
    classes = [getattr(torch.optim, name) for name in torch.optim.__all__]
    theirs = {cls for cls in classes if inspect.isclass(cls) and issubclass(cls, torch.optim.Optimizer)}
    assert {torch_class(name) for name in NAMES} == theirs - {torch.optim.Optimizer}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_its_torch_class_in_small_letters(name: str) -> None:
    assert OPTIMIZERS[name].torch_name.lower() == name.replace("_", "")


@pytest.mark.parametrize("name", NAMES)
def test_the_fields_are_torchs_arguments_with_its_defaults_or_where_listed_keras_s(name: str) -> None:
    signature = inspect.signature(torch_class(name)).parameters
    theirs = {key: item.default for key, item in signature.items() if key not in NO_FIELDS}
    assert arguments(OPTIMIZERS[name]()) == {**plain(theirs), **OTHER_DEFAULTS.get(name, {})}


ADAM = {"lr": 0.1, "weight_decay": 0.2, "betas": [0.5, 0.6], "eps": 0.3}
OTHER_VALUES: dict[str, dict[str, Any]] = {
    "adadelta": {"lr": 0.1, "weight_decay": 0.2, "rho": 0.3, "eps": 0.4},
    "adafactor": {"lr": 0.1, "weight_decay": 0.2, "beta2_decay": -0.5, "eps": [0.1, 0.2], "d": 2.0},
    "adagrad": {"lr": 0.1, "weight_decay": 0.2, "lr_decay": 0.3, "initial_accumulator_value": 0.5, "eps": 0.4},
    "adam": {**ADAM, "amsgrad": True, "decoupled_weight_decay": True},
    "adamax": ADAM,
    "adamw": {**ADAM, "amsgrad": True},
    "asgd": {"lr": 0.1, "weight_decay": 0.2, "lambd": 0.3, "alpha": 0.4, "t0": 1.0},
    "lbfgs": {
        "lr": 0.1,
        "max_iter": 3,
        "max_eval": 4,
        "tolerance_grad": 0.01,
        "tolerance_change": 0.001,
        "history_size": 5,
        "line_search_fn": "strong_wolfe",
    },
    "muon": {
        "lr": 0.1,
        "weight_decay": 0.2,
        "momentum": 0.3,
        "nesterov": False,
        "ns_coefficients": [3.0, -4.0, 2.0],
        "eps": 0.01,
        "ns_steps": 2,
        "adjust_lr_fn": "match_rms_adamw",
    },
    "nadam": {**ADAM, "momentum_decay": 0.1, "decoupled_weight_decay": True},
    "radam": {**ADAM, "decoupled_weight_decay": True},
    "rmsprop": {"lr": 0.1, "weight_decay": 0.2, "alpha": 0.3, "eps": 0.4, "momentum": 0.5, "centered": True},
    "rprop": {"lr": 0.1, "etas": [0.4, 1.3], "step_sizes": [0.01, 2.0]},
    "sgd": {"lr": 0.1, "weight_decay": 0.2, "momentum": 0.3, "dampening": 0.4, "nesterov": False},
    "sparse_adam": {"lr": 0.1, "betas": [0.5, 0.6], "eps": 0.3},
}


def network_for(name: str) -> nn.Module:
    """Return a network that the optimizer can train: one matrix and no bias, or rows of a sparse table."""
    return nn.Embedding(8, 3, sparse=True) if name == "sparse_adam" else nn.Linear(3, 2, bias=False)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_reaches_the_torch_optimizer(name: str) -> None:
    values = OTHER_VALUES[name]
    assert set(values) == {item.name for item in dataclasses.fields(OPTIMIZERS[name])}
    optimizer = build_optimizer(OPTIMIZERS[name](**values), network_for(name))
    optimizer = optimizer.parts[0] if isinstance(optimizer, MuonAndAdamW) else optimizer
    assert type(optimizer) is torch_class(name)
    assert plain({key: optimizer.param_groups[0][key] for key in values}) == values


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_those_of_the_torch_optimizer(name: str) -> None:
    inputs, weights = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), []
    samples = torch.arange(8) if name == "sparse_adam" else inputs
    for ours in (True, False):
        torch.manual_seed(1)
        network = network_for(name)
        values = OTHER_VALUES[name]
        optimizer = (
            build_optimizer(OPTIMIZERS[name](**values), network)
            if ours
            else torch_class(name)(network.parameters(), **values)
        )

        def evaluate(network: nn.Module = network, optimizer: torch.optim.Optimizer = optimizer) -> float:
            optimizer.zero_grad()
            loss = network(samples).square().mean()
            loss.backward()
            return loss.item()

        for _ in range(3):
            optimizer.step(evaluate)
        weights.append(next(network.parameters()).detach().clone())
    # A fused kernel may round the last bit in another way, which some processors do.
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-6, atol=1e-7)
    torch.manual_seed(1)
    assert not torch.equal(weights[0], next(network_for(name).parameters()))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"sparse_adam"}))
def test_every_optimizer_but_the_sparse_one_fits_a_network_with_biases(
    name: str, iris: Dataset, tmp_path: Path
) -> None:
    module = CompiledModel(define(MLP(hidden=[8]), "mlp", iris.spec, seed=1), iris.spec, OPTIMIZERS[name]())
    history = fit(module, iris, TrainerConfig(max_epochs=5, early_stopping=False), 1, tmp_path)
    assert history.rows[-1]["train_loss"] < history.rows[0]["train_loss"]


def test_muon_takes_the_matrices_and_adamw_the_rest() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(8, 4)
    ours = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    theirs = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    theirs.load_state_dict(ours.state_dict())
    config = Muon(lr=0.02, weight_decay=0.3)
    optimizers = [build_optimizer(config, ours)]
    others = [theirs[0].bias, theirs[1].weight, theirs[1].bias]
    optimizers += [
        torch.optim.Muon([theirs[0].weight], lr=0.02, weight_decay=0.3),
        torch.optim.AdamW(others, lr=0.02, weight_decay=0.3),
    ]
    for _ in range(3):
        for network in (ours, theirs):
            network.zero_grad()
            network(inputs).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)


def test_muon_resumes_from_last_ckpt_as_if_there_had_been_no_stop(
    iris: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    check_resuming(Muon(lr=0.02), iris, tmp_path, schedule=Cosine(t_max=4))


def check_resuming(optimizer: OptimizerConfig, data: Dataset, folder: Path, **more: Any) -> None:
    """Compare four epochs with two, a fault in the third, and two; a checkpoint is to be written each epoch."""

    def compiled() -> CompiledModel:
        network = define(MLP(hidden=[8]), "mlp", data.spec, seed=1)
        return CompiledModel(network, data.spec, optimizer, **more)

    def fault(row: Row) -> None:
        if row["epoch"] == 3:
            raise RuntimeError("a fault")

    config = TrainerConfig(max_epochs=4, early_stopping=False, restore_best=False)
    whole, resumed = compiled(), compiled()
    rows = fit(whole, data, config, 1, folder / "whole").rows
    with pytest.raises(RuntimeError, match="a fault"):
        fit(compiled(), data, config, 1, folder / "half", [fault])
    batches = Batches(data.train.inputs, data.train.targets, 32, shuffle_seed=1)
    recorder = Epochs(batches, 1, ())
    keywords: dict[str, Any] = {"max_epochs": 4, "callbacks": [recorder], "enable_checkpointing": False}
    trainer = trainer_for(config, devices=1, folder=folder, **keywords)
    assert data.val is not None
    val = Batches(data.val.inputs, data.val.targets, 1024)
    trainer.fit(resumed, Chunks(batches, 1), val, ckpt_path=folder / "half" / "last.ckpt", weights_only=True)
    seconds = "epoch_seconds"
    assert [{**row, seconds: 0.0} for row in recorder.rows] == [{**row, seconds: 0.0} for row in rows]
    for key, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[key], value), key


def test_lbfgs_scores_each_row_once_however_often_it_evaluates(iris: Dataset, tmp_path: Path) -> None:
    network = define(MLP(hidden=[8]), "mlp", iris.spec, seed=1)
    inputs, targets = iris.train.inputs, iris.train.targets
    before = nn.functional.cross_entropy(network(inputs), targets).item()
    module = CompiledModel(network, iris.spec, LBFGS(max_iter=5))
    evaluations = []
    network.register_forward_hook(lambda module, inputs, outputs: evaluations.append(module.training))
    config = TrainerConfig(max_epochs=3, batch_size=len(iris.train), early_stopping=False)
    history = fit(module, iris, config, 1, tmp_path)
    assert history.rows[0]["train_loss"] == pytest.approx(before, rel=1e-5)  # at the weights that the step begins with
    assert sum(evaluations) > 3  # more than one a step
    losses = [row["train_loss"] for row in history.rows]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < before / 2


def refusal(config: OptimizerConfig, name: str, network: nn.Module, devices: int = 1) -> str:
    with pytest.raises(RequestError) as caught:
        optimization.check(config, name, network, devices)
    return str(caught.value)


SPARSE = nn.Sequential(nn.Embedding(8, 3, sparse=True), nn.Linear(3, 1))


def test_what_an_optimizer_cannot_train_is_refused() -> None:
    assert refusal(SparseAdam(), "sparse_adam", nn.Linear(2, 1)) == (
        "optimizer=sparse_adam needs sparse gradients, such as those of nn.Embedding(sparse=True), and bias has "
        "dense ones. Use optimizer=adam."
    )
    assert refusal(SparseAdam(), "sparse_adam", SPARSE).endswith("and 1.bias has dense ones. Use optimizer=adam.")
    assert refusal(Adam(), "adam", SPARSE) == (
        "optimizer=adam takes no sparse gradients, and 0.weight has them. Use optimizer=sgd."
    )
    assert refusal(SGD(weight_decay=0.1), "sgd", SPARSE) == (
        "optimizer.weight_decay must be 0 with sparse gradients, which 0.weight has. Leave it out."
    )
    assert refusal(Muon(), "muon", nn.Conv2d(1, 2, 3)) == (
        "optimizer=muon trains matrices, and the network has none. Use optimizer=adamw."
    )
    assert refusal(LBFGS(), "lbfgs", nn.Linear(2, 1), devices=2) == (
        "optimizer=lbfgs evaluates the loss a different number of times in each process, got trainer.devices=2. "
        "Use trainer.devices=1."
    )


def test_what_an_optimizer_can_train_passes() -> None:
    for name in sorted(set(NAMES) - {"sparse_adam"}):
        optimization.check(OPTIMIZERS[name](), name, nn.Linear(2, 1))
    for config, name in ((SparseAdam(), "sparse_adam"), (SGD(), "sgd"), (Adagrad(), "adagrad")):
        optimization.check(config, name, nn.Embedding(8, 3, sparse=True))


REFUSED = [
    (Adam, {"lr": 0.0}, r"^lr must be above 0, got 0\.0\. The default is 0\.001\.$"),
    (SGD, {"lr": -1.0}, r"^lr must be above 0, got -1\.0\. The default is 0\.\d+\.$"),
    (Adam, {"lr": float("nan")}, r"^lr must be above 0, got nan\. The default is 0\.001\.$"),
    (Adam, {"lr": float("inf")}, r"^lr must be above 0 and finite, got inf\. The default is 0\.001\.$"),
    (Adam, {"weight_decay": -0.1}, r"^weight_decay must be 0 or more, got -0\.1\. The default is 0\.0\.$"),
    (AdamW, {"weight_decay": -0.1}, r"^weight_decay must be 0 or more, got -0\.1\. The default is 0\.01\.$"),
    (Adam, {"betas": [0.9]}, r"^betas must be two numbers, got \[0\.9\]\. Use for instance \[0\.9,0\.999\]\.$"),
    (
        Adam,
        {"betas": [0.9, 1.0]},
        r"^betas must be 0 or more and below 1, got \[0\.9, 1\.0\]\. The default is \[0\.9, 0\.999\]\.$",
    ),
    (
        AdamW,
        {"betas": [-0.1, 0.9]},
        r"^betas must be 0 or more and below 1, got \[-0\.1, 0\.9\]\. The default is \[0\.9, 0\.999\]\.$",
    ),
    (Adam, {"eps": 0.0}, r"^eps must be above 0, got 0\.0\. The default is 1e-08\.$"),
    (SGD, {"momentum": 1.0}, r"^momentum must be 0 or more and below 1, got 1\.0\. The default is 0\.0\.$"),
    (SGD, {"momentum": -0.5}, r"^momentum must be 0 or more and below 1, got -0\.5\. The default is 0\.0\.$"),
    (SGD, {"nesterov": True}, r"^nesterov needs a momentum, got momentum=0\.0\. Add optimizer\.momentum=0\.9\.$"),
    (RMSprop, {"alpha": 1.0}, r"^alpha must be 0 or more and below 1, got 1\.0\. The default is 0\.99\.$"),
    (RMSprop, {"eps": -1.0}, r"^eps must be above 0, got -1\.0\. The default is 1e-08\.$"),
    (RMSprop, {"momentum": 1.0}, r"^momentum must be 0 or more and below 1, got 1\.0\. The default is 0\.0\.$"),
    (Adagrad, {"lr_decay": -1.0}, r"^lr_decay must be 0 or more, got -1\.0\. The default is 0\.0\.$"),
    (SGD, {"dampening": -1.0}, r"^dampening must be 0 or more, got -1\.0\. The default is 0\.0\.$"),
    (
        SGD,
        {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
        r"^dampening must be 0 with nesterov, got 0\.1\. Leave it out\.$",
    ),
    (NAdam, {"momentum_decay": -1.0}, r"^momentum_decay must be 0 or more, got -1\.0\. The default is 0\.004\.$"),
    (ASGD, {"t0": -1.0}, r"^t0 must be 0 or more, got -1\.0\. The default is 1000000\.0\.$"),
    (Rprop, {"etas": [0.5]}, r"^etas must be two numbers, got \[0\.5\]\. Use for instance \[0\.5,1\.2\]\.$"),
    (Rprop, {"etas": [1.5, 1.2]}, r"^etas must be one below 1 and one above, got \[1\.5, 1\.2\]\. The default is"),
    (Rprop, {"step_sizes": [2.0, 1.0]}, r"^step_sizes must rise, got \[2\.0, 1\.0\]\. The default is"),
    (Adafactor, {"beta2_decay": 0.1}, r"^beta2_decay must be 0 or less, got 0\.1\. The default is -0\.8\.$"),
    (Adafactor, {"eps": [0.1, None]}, r"^eps must have a second number, got \[0\.1, None\]\. The default is \[None"),
    (Adafactor, {"d": 0.5}, r"^d must be 1 or more, got 0\.5\. The default is 1\.0\.$"),
    (LBFGS, {"max_iter": 0}, r"^max_iter must be 1 or more, got 0\. The default is 20\.$"),
    (LBFGS, {"tolerance_grad": -1.0}, r"^tolerance_grad must be 0 or more, got -1\.0\. The default is 1e-07\.$"),
    (LBFGS, {"line_search_fn": "wolf"}, r"^line_search_fn must be one of strong_wolfe, got wolf\. "),
    (Muon, {"momentum": 1.0}, r"^momentum must be 0 or more and below 1, got 1\.0\. The default is 0\.95\.$"),
    (Muon, {"ns_coefficients": [1.0]}, r"^ns_coefficients must be three numbers, got \[1\.0\]\. Use for instance"),
    (Muon, {"ns_steps": 100}, r"^ns_steps must be 1 or more and below 100, got 100\. The default is 5\.$"),
    (Muon, {"adjust_lr_fn": "orginal"}, r"^adjust_lr_fn must be one of .*, got orginal\. Did you mean original\?$"),
    (SparseAdam, {"betas": [0.9, 1.0]}, r"^betas must be 0 or more and below 1, got \[0\.9, 1\.0\]\."),
    (Adagrad, {"initial_accumulator_value": -1.0}, r"^initial_accumulator_value must be 0 or more, got -1\.0\."),
    (Adagrad, {"eps": 0.0}, r"^eps must be above 0, got 0\.0\. The default is 1e-10\.$"),
]


@pytest.mark.parametrize(("optimizer", "values", "sentence"), REFUSED)
def test_a_value_out_of_range_is_reported_with_field_value_and_remedy(
    optimizer: type[OptimizerConfig], values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        optimizer(**values)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lbfgs_with_defaults_learns_iris_and_stays_finite(iris: Dataset, tmp_path: Path, seed: int) -> None:
    module = CompiledModel(define(MLP(), "mlp", iris.spec, seed), iris.spec, LBFGS(), metrics=["accuracy"])
    rows = fit(module, iris, TrainerConfig(max_epochs=3, early_stopping=False), 1, tmp_path).rows
    assert all(math.isfinite(row["train_loss"] + row["val_loss"]) for row in rows)
    assert max(row["val_accuracy"] for row in rows) > 0.85
