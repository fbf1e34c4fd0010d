"""From words to a request: Hydra composes, and what it cannot compose is explained."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lifecycle import config_rules
from lifecycle.config import Request, RunConfig
from lifecycle.errors import RequestError
from lifecycle.explain import COMPOSING, explain
from lifecycle.searchpath import CHOICES, EXPERIMENT, OURS, PluginSource, hydra_ready

CONFIG_PACKAGE = f"pkg://{OURS}"


def compose(overrides: list[str]) -> Request:
    """Compose a request from overrides, as the command line does.

    Raises:
        RequestError: names key, value and cure.
    """
    import hydra

    config_rules.check_words(overrides)
    try:
        with hydra_ready():
            config = hydra.compose("config", overrides, return_hydra_config=True)
    except COMPOSING as error:
        raise explain(error, overrides) from error
    with_hydra = config.hydra
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return request_of(config, with_hydra, command=shlex.join(["lifecycle", *overrides]))


def request_of(config: DictConfig, hydra: Any, command: str) -> Request:
    """Return the request of a composed configuration.

    Args:
        config: without its ``hydra`` node.
        hydra: that node: which options were chosen, and whether this is a job of a multirun.
        command: the command line, for the record.
    """
    choices = {str(group): str(name) for group, name in hydra.runtime.choices.items() if "/" not in str(group)}
    sweep = Path(hydra.sweep.dir).name if hydra.mode == RunMode.MULTIRUN else None
    # As typed: an interpolation among them is the request's, and is worked out with it.
    typed: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    overrides = tuple(map(str, typed))
    _check_whole(config, choices)
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise explain(error, list(overrides)) from error
    return Request(config, choices, command, sweep, overrides)


def _check_whole(config: DictConfig, choices: dict[str, str]) -> None:
    """Refuse a request that lacks a part, and a file of the user's that one of ours hides."""
    gone = [item.name for item in dataclasses.fields(RunConfig) if item.name not in config]
    if gone:
        raise RequestError(f"~{gone[0]} takes away what every run needs. Set it instead: {gone[0]}=...")
    own = Path.cwd() / "conf"
    packaged = resources.files("lifecycle.conf")
    for group in (*CHOICES, *({EXPERIMENT} & set(choices))):
        name = choices.get(group, "")
        if not name or name.startswith("["):
            raise RequestError(f"{group} must be one name, got {name or 'nothing'}. Write {group}=<name>.")
        file = own / group / f"{name}.yaml"
        ours = Path(str(packaged)) / group / f"{name}.yaml"
        hidden = ours.is_file() or name in PluginSource.names(group)
        if file.is_file() and hidden and not (ours.exists() and file.samefile(ours)):
            raise RequestError(f"{group}={name} is built in, and hides conf/{group}/{name}.yaml. Rename that file.")


def command_line() -> str:
    """Return the command as typed, for the record."""
    return shlex.join(
        [Path(sys.argv[0]).name if not sys.argv[0].endswith("__main__.py") else "lifecycle", *sys.argv[1:]]
    )
