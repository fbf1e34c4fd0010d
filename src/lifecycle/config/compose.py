"""From words to a request: Hydra composes, and what it cannot compose is explained."""

from __future__ import annotations

import dataclasses
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib import resources
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lifecycle.config import rules
from lifecycle.config.explain import COMPOSING, explain, worked_out
from lifecycle.config.schema import Request, RunConfig
from lifecycle.config.search_path import CHOICES, EXPERIMENT, OURS, PluginSource, hydra_ready
from lifecycle.credentials import MaskedStream, masked, masked_word
from lifecycle.errors import RequestError

PRINTS = re.compile(r"-c(job|hydra|all)?|--cf.*|-i.*|--i.*|-sc|--s.*")
"""Flags of Hydra's that print instead of running."""

CONFIG_PACKAGE = f"pkg://{OURS}"


def compose(overrides: list[str]) -> Request:
    """Compose a request from overrides, as the command line does.

    Raises:
        RequestError: names key, value and cure.
    """
    import hydra

    rules.check_words(overrides)
    try:
        with hydra_ready():
            config = hydra.compose("config", overrides, return_hydra_config=True)
    except COMPOSING as error:
        raise explain(error, overrides) from error
    with_hydra = config.hydra
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return request_of(config, with_hydra, command=_typed("lifecycle", overrides))


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
    kept = worked_out(config, list(overrides))
    return Request(config, choices, command, sweep, tuple(map(masked_word, overrides)), kept)


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


@contextmanager
def words_for_hydra(words: list[str]) -> Iterator[None]:
    """Put the words of a command on the command line as Hydra takes them: options first, wherever they were typed.

    Hydra composes a multirun once without what is swept, so a field of a group that is swept is written as a sweep of
    one value: ``optimizer=sgd,rmsprop optimizer.momentum=choice(0.5)``. Each job then has it, and no default is asked.

    Raises:
        RequestError: an option is unknown, or lacks its value.
    """
    from hydra._internal.utils import get_args_parser

    parser: Any = get_args_parser()

    def refuse(message: str) -> None:
        raise RequestError(f"the command cannot be read: {message}. `lifecycle --hydra-help` lists the options.")

    parser.error = refuse
    found = parser.parse_intermixed_args(words)
    left = list(found.overrides)
    first = [word for word in words if not (left and word == left[0] and left.pop(0))]
    before = sys.argv
    sys.argv = [before[0], *first, *(_with_single_choices(found.overrides) if found.multirun else found.overrides)]
    try:
        yield
    finally:
        sys.argv = before


def _with_single_choices(words: list[str]) -> list[str]:
    """Return overrides of a multirun, in which a field of a swept group is a sweep of one value."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    parsed = parser.parse_overrides(words)
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    written = []
    for word, override in zip(words, parsed, strict=True):
        group, is_field, _ = override.key_or_group.partition(".")
        if is_field and swept & {group, EXPERIMENT} and not override.is_sweep_override():
            key, _, value = word.partition("=")
            single, as_is = f"{key}=choice({value})", override.get_value_element_as_str()
            with suppress(HydraException):  # of a value that no choice can hold
                if list(parser.parse_override(single).sweep_string_iterator()) == [as_is]:
                    written.append(single)
                    continue
        written.append(word)
    return written


@contextmanager
def masked_output(words: list[str]) -> Iterator[None]:
    """Mask what Hydra itself prints: errors, and with ``--cfg``, ``--info`` and completion the configuration."""
    prints = any(PRINTS.fullmatch(word) for word in words)
    out: Any = MaskedStream(sys.stdout) if prints else sys.stdout
    with redirect_stdout(out), redirect_stderr(MaskedStream(sys.stderr)):
        yield


def mask_sweep_file(hydra: Any) -> None:
    """Mask credentials in the file that Hydra writes at the beginning of a sweep, ``multirun.yaml``."""
    file = Path(hydra.sweep.dir) / "multirun.yaml"
    if file.is_file() and masked(text := file.read_text(encoding="utf-8")) != text:
        file.write_text(masked(text), encoding="utf-8")


def command_line() -> str:
    """Return the command as typed, for the record."""
    name = Path(sys.argv[0]).name
    return _typed("lifecycle" if name == "__main__.py" else name, sys.argv[1:])


def _typed(name: str, words: list[str]) -> str:
    return shlex.join([name, *map(masked_word, words)])
