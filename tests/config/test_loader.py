"""Compositions that are kept are those that Hydra's own loader gives."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from lifecycle import registry
from lifecycle.config import loader
from lifecycle.config.compose import compose
from lifecycle.config.search_path import hydra_ready
from lifecycle.errors import RequestError
from tests.conftest import Command


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def composed(words: list[str], *, by_hydra: bool, mode: RunMode = RunMode.RUN) -> Any:
    """Return all that a composition gives, or its error, by our loader or by Hydra's own."""
    try:
        with hydra_ready(), pytest.MonkeyPatch.context() as patch:
            if by_hydra:
                patch.setattr(loader.Loader, "_load_configuration_impl", ConfigLoaderImpl._load_configuration_impl)
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            return leaves(hydra.compose_config("config", words, mode, with_log_configuration=False, from_shell=False))
    except Exception as error:
        return type(error), str(error), repr(error.__cause__)


def leaves(node: Any) -> Any:
    """Return a configuration with the types, flags and interpolations of all its nodes."""
    metadata = node._metadata
    found = (type(node), metadata.ref_type, metadata.object_type, metadata.optional, metadata.flags, metadata.key)
    if isinstance(node, DictConfig) and not (node._is_none() or node._is_missing() or node._is_interpolation()):
        return found, {key: leaves(node._get_node(key)) for key in node}
    if OmegaConf.is_list(node) and not (node._is_none() or node._is_missing() or node._is_interpolation()):
        return found, [leaves(node._get_node(number)) for number in range(len(node))]
    return found, node._value()


WORDS = st.sampled_from(
    [
        *("data=wine", "data=digits", "data=nothing", "data=null", "model=cnn", "model=lstm", "model=[mlp,cnn]"),
        *("optimizer=sgd", "schedule=cosine", "trainer=debug", "+experiment=iris", "experiment=iris", "~trainer"),
        *(
            "seed=3",
            "seed=x",
            "seed=1,2",
            "data=iris,wine",
            "optimizer.lr=range(1,3)",
            "+a=1,2",
            "+seed=3",
            "++seed=4",
            "loss=null",
            "metrics=[accuracy]",
            "metrics=accuracy",
        ),
        *("model.hidden=[8, 4]", "model.dropout=0.5", "model.nothing=1", "+model.nothing=1", "optimizer.lr=1e-2"),
        *("class_weights={a: 1}", "class_weights=balanced", "tracking.dir=${oc.env:HOME}", "trainer.patience=${seed}"),
        *(
            "data.test_size=0.3",
            "data.path=x.csv",
            "~data.target",
            "hydra.verbose=true",
            "hydra.mode=RUN",
            "hydra.verbose=true,false",
            "data=iris,wine",
            "optimizer.lr=range(1,3)",
            "+a=1,2",
            "+experiment=iris,mnist",
            "hydra/launcher=basic",
        ),
        *(
            "trainer={max_epochs: 3}",
            "data@model=wine",
            "cv.folds=5",
            "sweep=optuna",
            "sweep=nothing",
            "+sweep=optuna",
            "sweep.trials=3",
            "conf=1",
            "seed=",
            "=",
            "model.hidden=[",
            "own=a",
        ),
    ]
)


def test_a_search_is_hydras_own() -> None:
    for words in (["sweep=optuna", "data=wine"], ["data=wine", "sweep.trials=3", "sweep=optuna"], ["sweep=nothing"]):
        for mode in RunMode:
            expected = composed(words, by_hydra=True, mode=mode)
            assert [composed(words, by_hydra=False, mode=mode) for _ in range(2)] == [expected] * 2


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS, max_size=5), st.sampled_from(RunMode))
def test_a_composition_is_hydras_own(words: list[str], mode: RunMode) -> None:
    expected = composed(words, by_hydra=True, mode=mode)
    for _ in range(2):  # the second one is that which was kept
        assert composed(words, by_hydra=False, mode=mode) == expected


def test_what_one_request_sets_is_not_in_the_next() -> None:
    for words in (["seed=3", "model.hidden=[8]", "class_weights={a: 1}"], ["seed=4"], []):
        assert composed(words, by_hydra=False) == composed(words, by_hydra=True)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "conf" / "data" / "mine.yaml"
    file.parent.mkdir(parents=True)
    for target in ("a", "b"):
        file.write_text(f"defaults: [table, _self_]\npath: x.csv\ntarget: {target}\n")
        assert compose(["data=mine"]).config.data.target == target
    state = file.stat()
    file.write_text("defaults: [table, _self_]\npath: x.csv\ntarget: c\n")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # as some tools do that copy files
    assert compose(["data=mine"]).config.data.target == "c"
    file.unlink()
    with pytest.raises(RequestError, match="data=mine is not known"):
        compose(["data=mine"])


def test_a_file_in_a_linked_folder_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "data").symlink_to(tmp_path / "elsewhere")
    for target in ("a", "b"):
        (tmp_path / "elsewhere" / "mine.yaml").write_text(f"defaults: [table, _self_]\npath: x\ntarget: {target}\n")
        assert compose(["data=mine"]).config.data.target == target


def test_a_file_outside_of_the_folders_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# @package _global_\ndefaults: [../../elsewhere]\n")
    for seed in (1, 2):
        (tmp_path / "elsewhere.yaml").write_text(f"# @package _global_\nseed: {seed}\n")
        assert compose(["+experiment=mine"]).config.seed == seed


def test_a_choice_by_an_expression_is_made_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# @package _global_\ndefaults: [{override /data: '${oc.env:CHOSEN}'}]\n")
    words, found = ["+experiment=mine"], []
    for name in ("wine", "iris"):
        monkeypatch.setenv("CHOSEN", name)
        found.append(composed(words, by_hydra=False))
        assert found[-1] == composed(words, by_hydra=True)


def test_a_folder_with_many_files_or_that_holds_itself_is_composed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "above").symlink_to(tmp_path / "conf")
    monkeypatch.setattr(loader, "_kept", {})
    compose([])
    assert not loader._kept


def test_defaults_that_are_made_anew_are(monkeypatch: pytest.MonkeyPatch) -> None:
    cls = registry.load("model", "mlp")
    assert compose([]).config.model.hidden != [5]
    monkeypatch.setattr(cls.__dataclass_fields__["hidden"], "default_factory", lambda: [5])
    assert compose([]).config.model.hidden == [5]


@pytest.mark.parametrize(
    "many", [(), ("-m", "seed=1,2"), ("-m", "optimizer.lr=0.1,0.2", "sweep=optuna", "sweep.trials=2")]
)
def test_a_command_merges_the_files_once(
    many: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, lifecycle: Command
) -> None:
    merged, merge = [], loader.Loader._compose_config_from_defaults_list

    def counted(*given: Any, **named: Any) -> DictConfig:
        merged.append(named["defaults"])
        return merge(*given, **named)

    monkeypatch.setattr(loader.Loader, "_compose_config_from_defaults_list", counted)
    monkeypatch.setattr(loader, "_kept", {})
    assert lifecycle(*many, "data=wine", "model.width=1").code == 2
    assert len(merged) == 1


def test_what_is_shuffled_is_shuffled_each_time() -> None:
    words = [f"model.hidden=shuffle([{','.join(map(str, range(1, 40)))}])"]
    found = [compose(words).config.model.hidden for _ in range(2)]
    assert found[0] != found[1]
    assert sorted(found[0]) == sorted(found[1])


def test_the_latest_plugin_that_was_loaded_is_the_same_as_without_keeping() -> None:
    compose(["model=mlp"])
    compose(["model=cnn"])
    compose(["model=mlp"])
    assert [name for kind, name in registry.loaded() if kind == "model"][-1] == "mlp"


def test_few_combinations_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_kept", {})
    monkeypatch.setattr(loader, "MOST_KEPT", 2)
    for name in ("iris", "wine", "digits", "wine"):
        compose([f"data={name}"])
    assert [key[1] for key in loader._kept] == [("data=digits",), ("data=wine",)]


def test_a_store_of_another_program_counts() -> None:
    from hydra.core.config_store import ConfigStore

    @dataclasses.dataclass
    class Own:
        answer: int = 42

    store = ConfigStore.instance()
    compose(["data=wine"])
    store.store(name="kept", group="data", node=Own)
    try:
        assert composed(["data=kept"], by_hydra=False) == composed(["data=kept"], by_hydra=True)
        before = dict(loader._kept)
        compose(["data=wine"])
        assert [*loader._kept] != [*before]
    finally:
        del store.repo["data"]
