"""What is kept of a dataclass is what OmegaConf makes of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

from lifecycle import registry
from lifecycle.config.choices import TYPED
from lifecycle.config.schema import RunConfig, TrackingConfig, TrainerConfig
from lifecycle.config.search_path import hydra_ready
from lifecycle.config.structured import copied, structured, structured_object, template, without
from lifecycle.data.kinds.table import Table
from lifecycle.plugins.mlp import MLP
from tests.config.test_loader import leaves

CLASSES = [
    *(RunConfig, TrainerConfig, TrackingConfig),
    *(cls for classes in TYPED.values() for cls in classes.values()),
    *(registry.load(kind, name) for kind in registry.GROUPS for name in registry.plugins(kind)),
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_it_is_omegaconfs_own_each_time(cls: type) -> None:
    for _ in range(2):
        assert leaves(structured(cls)) == leaves(OmegaConf.structured(cls))


def test_what_a_caller_changes_is_not_in_the_next() -> None:
    structured(TrainerConfig).max_epochs = 3
    assert structured(TrainerConfig).max_epochs == TrainerConfig().max_epochs


def test_a_default_that_is_made_by_a_call_is_made_each_time() -> None:
    numbers = iter(range(10))

    @dataclass
    class Counted:
        number: int = field(default_factory=lambda: next(numbers))

    assert structured(Counted).number < structured(Counted).number
    assert template(Counted) is not template(Counted)


@dataclass
class Inner:
    numbers: list[int] = field(default_factory=lambda: [1, 2])
    either: int | str = "a"
    open: int | None = None
    missing: str = "???"


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    by_name: dict[str, Inner] = field(default_factory=lambda: {"x": Inner()})
    refers: int = "${inner.numbers.1}"  # type: ignore[assignment]
    rate: float = 0.5
    nothing: Inner | None = None


def composed(*words: str) -> DictConfig:
    with hydra_ready():
        return hydra.compose("config", [*words], return_hydra_config=True)


def with_flags() -> DictConfig:
    config = OmegaConf.structured(Outer)
    OmegaConf.set_readonly(config.inner, True)
    OmegaConf.set_struct(config.by_name, False)
    return config


def nodes(node: Any) -> Iterator[Any]:
    yield node
    content = node.__dict__.get("_content")
    for child in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from nodes(child)


CONFIGURATIONS = {
    "of dataclasses": with_flags(),
    "of plain values": OmegaConf.create({"a": [{"b": None}, "${a.0.b}", b"x"], 3: "???", "${no key}": {}, "c": "${a}"}),
    "of a command": composed("data=digits", "model=cnn", "trainer.max_epochs=3", "seed=${model.channels.0}"),
}


OBJECTS = [
    TrainerConfig(),
    TrainerConfig(max_epochs=3, patience=None, restore_best=False),  # type: ignore[arg-type]
    TrackingConfig(dir="elsewhere"),
    MLP(hidden=[8, 4], dropout=0.5),
    Table(path="a.csv", target="y"),
    Table(path="a.csv", target=["y", "z"], val_size=0),
    Outer(inner=Inner(numbers=[], either=3, open=1, missing="there"), rate=1, nothing=Inner()),
    Outer(by_name={"y": Inner(numbers=[4])}, refers=7),
]


@pytest.mark.parametrize("value", OBJECTS, ids=repr)
def test_the_configuration_of_an_object_is_omegaconfs_own(value: Any) -> None:
    try:
        expected = OmegaConf.structured(value)
    except ValueError as error:
        with pytest.raises(type(error)):
            structured_object(value)
    else:
        assert leaves(structured_object(value)) == leaves(expected)


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_copy_is_omegaconfs_own_and_shares_no_node(config: DictConfig) -> None:
    found = copied(config)
    assert leaves(found) == leaves(copy.deepcopy(config)) == leaves(config)
    ours, theirs = [*nodes(found)], [*nodes(config)]
    assert not {id(node) for node in ours} & {id(node) for node in theirs}
    assert not {id(node._metadata.flags) for node in ours} & {id(node._metadata.flags) for node in theirs}
    for node in ours[1:]:
        assert any(node._get_parent() is other for other in ours)
    assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(config)


def test_a_copy_of_a_part_still_refers_to_the_whole() -> None:
    whole = OmegaConf.create({"a": 3, "b": {"c": "${a}", "d": {"e": "${...a}"}}})
    part = copied(whole.b)
    assert (part.c, part.d.e) == (3, 3)
    part.d.e = 4
    assert whole.b.d.e == 3


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_all_keys_but_one_are_omegaconfs_own(config: DictConfig) -> None:
    for name in map(str, config):
        expected = OmegaConf.masked_copy(config, [key for key in config if key != name])
        found = without(config, name)
        assert leaves(found) == leaves(expected)
        assert not {id(node) for node in nodes(found)} & {id(node) for node in nodes(config)}
