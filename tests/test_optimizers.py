"""Each optimizer's fields are the arguments of the torch class that it names, with its defaults, checked."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import torch
from torch import nn

from lifecycle.compile import build_optimizer
from lifecycle.optimizers import OPTIMIZERS, SGD, Adagrad, Adam, AdamW, OptimizerConfig, RMSprop

NAMES = sorted(OPTIMIZERS)


def arguments(config: OptimizerConfig) -> dict[str, Any]:
    return {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}


def torch_defaults(config: OptimizerConfig) -> dict[str, Any]:
    signature = inspect.signature(getattr(torch.optim, config.torch_name))
    return {item.name: signature.parameters[item.name].default for item in dataclasses.fields(config)}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_its_torch_class_in_small_letters(name: str) -> None:
    assert OPTIMIZERS[name].torch_name.lower() == name
    assert issubclass(getattr(torch.optim, OPTIMIZERS[name].torch_name), torch.optim.Optimizer)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_but_the_learning_rate_has_torchs_own_default(name: str) -> None:
    ours, theirs = arguments(OPTIMIZERS[name]()), plain(torch_defaults(OPTIMIZERS[name]()))
    del ours["lr"], theirs["lr"]
    assert ours == theirs


@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rate_has_torchs_own_default_or_where_said_keras_s(name: str) -> None:
    config = OPTIMIZERS[name]()
    keras = {"sgd": 0.01, "rmsprop": 0.001}
    assert config.lr == keras.get(name, torch_defaults(config)["lr"])


OTHER_VALUES: dict[str, dict[str, Any]] = {
    "adam": {"lr": 0.1, "weight_decay": 0.2, "betas": [0.5, 0.6], "eps": 0.3, "amsgrad": True},
    "adamw": {"lr": 0.1, "weight_decay": 0.2, "betas": [0.5, 0.6], "eps": 0.3, "amsgrad": True},
    "sgd": {"lr": 0.1, "weight_decay": 0.2, "momentum": 0.3, "nesterov": True},
    "rmsprop": {"lr": 0.1, "weight_decay": 0.2, "alpha": 0.3, "eps": 0.4, "momentum": 0.5, "centered": True},
    "adagrad": {"lr": 0.1, "weight_decay": 0.2, "lr_decay": 0.3, "eps": 0.4},
}


@pytest.mark.parametrize("name", NAMES)
def test_every_field_reaches_the_torch_optimizer(name: str) -> None:
    values = OTHER_VALUES[name]
    assert set(values) == {item.name for item in dataclasses.fields(OPTIMIZERS[name])}
    optimizer = build_optimizer(OPTIMIZERS[name](**values), nn.Linear(2, 1))
    assert type(optimizer) is getattr(torch.optim, OPTIMIZERS[name].torch_name)
    assert plain({key: optimizer.param_groups[0][key] for key in values}) == values


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_those_of_the_torch_optimizer(name: str) -> None:
    inputs, weights = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), []
    for ours in (True, False):
        torch.manual_seed(1)
        network = nn.Linear(3, 1)
        values = OTHER_VALUES[name]
        optimizer = (
            build_optimizer(OPTIMIZERS[name](**values), network)
            if ours
            else getattr(torch.optim, OPTIMIZERS[name].torch_name)(network.parameters(), **values)
        )
        for _ in range(3):
            optimizer.zero_grad()
            network(inputs).square().mean().backward()
            optimizer.step()
        weights.append(network.weight.detach().clone())
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    torch.manual_seed(1)
    assert not torch.equal(weights[0], nn.Linear(3, 1).weight)


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
    (Adagrad, {"eps": 0.0}, r"^eps must be above 0, got 0\.0\. The default is 1e-10\.$"),
]


@pytest.mark.parametrize(("optimizer", "values", "sentence"), REFUSED)
def test_a_value_out_of_range_is_told_with_field_value_and_cure(
    optimizer: type[OptimizerConfig], values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        optimizer(**values)
