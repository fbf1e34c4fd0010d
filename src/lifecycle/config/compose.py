"""Compose a request from overrides with Hydra."""

from __future__ import annotations

import dataclasses
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from contextvars import ContextVar
from importlib import resources
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from lifecycle.config import rules
from lifecycle.config.column_overrides import decoded, quoted
from lifecycle.config.explain import COMPOSING, explain, removed, resolve_interpolations
from lifecycle.config.options import CHOICES, EXPERIMENT, OURS, SWEEP, classes
from lifecycle.config.request import Request
from lifecycle.config.schema import RunConfig
from lifecycle.config.search_path import hydra_ready
from lifecycle.config.structured import without
from lifecycle.credentials import MaskedStream, masked_word
from lifecycle.errors import RequestError, Setting

PRINTS = re.compile(r"-c(job|hydra|all)?|--cf.*|-i.*|--i.*|-sc|--s.*")
"""Hydra's flags that print the configuration instead of running; argparse accepts their abbreviations too."""

_as_typed: ContextVar[str | None] = ContextVar("_as_typed", default=None)

CONFIG_PACKAGE = f"pkg://{OURS}"


def compose(overrides: list[str]) -> Request:
    """Compose a request from overrides, as the command line does.

    Raises:
        RequestError: an override names no field, or its value does not fit.
    """
    import hydra

    rules.check_arguments(overrides)
    overrides = [in_full(word) for word in overrides]
    try:
        with hydra_ready():
            config = hydra.compose("config", overrides, return_hydra_config=True)
    except COMPOSING as error:
        raise explain(error, overrides) from error
    with_hydra = config.hydra
    return request_of(without(config, "hydra"), with_hydra, command=_typed("lifecycle", overrides))


@contextmanager
def compose_many(overrides: list[str]) -> Iterator[tuple[list[Any], Callable[[list[str]], DictConfig], str]]:
    """Yield the parsed overrides of a multirun, what composes those of a job, and the command line for the record.

    Raises:
        RequestError: an override cannot be parsed.
    """
    import hydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    rules.check_arguments(overrides)
    words = _with_single_choices([in_full(word) for word in overrides])
    try:
        with hydra_ready():
            parsed = OverridesParser.create(config_loader=_loader()).parse_overrides(words)
            yield (
                parsed,
                lambda own: hydra.compose("config", own, return_hydra_config=True),
                _typed("lifecycle", ["-m", *overrides]),
            )
    except COMPOSING as error:
        raise explain(error, overrides) from error


def _loader() -> Any:
    from hydra.core.global_hydra import GlobalHydra

    return GlobalHydra.instance().config_loader()


def has_many(request: Request) -> bool:
    """Return whether a request is of several runs: for seeds, or for folds."""
    config = request.config
    return config.seeds is not None or (config.cv.folds is not None and config.cv.fold is None)


def check_is_one(request: Request) -> None:
    """Refuse a request of several runs where one is run.

    Raises:
        RequestError: names the key.
    """
    if has_many(request):
        config = request.config
        key = Setting("cv.folds", config.cv.folds) if config.seeds is None else Setting("seeds", config.seeds)
        raise RequestError(key, "is of several runs, and this runs one", remedy="Use lifecycle.sweep([...]).")


def in_full(word: str) -> str:
    """Return ``cv.folds=10`` for ``cv=10``: the node has several fields. Names of columns are quoted."""
    key, equals, value = word.partition("=")
    return f"cv.folds={value}" if equals and key == "cv" and not value.startswith("{") else quoted(word)


def request_of(config: DictConfig, hydra: Any, command: str, overrides: Sequence[str] | None = None) -> Request:
    """Return the request of a composed configuration.

    Args:
        config: without its ``hydra`` node.
        hydra: the ``hydra`` node, with the chosen options.
        command: the command line, for the record.
        overrides: that the configuration was composed with; ``None``: those of the ``hydra`` node.
    """
    # Without the groups of Hydra itself, such as hydra/launcher, and that of sweeps.
    chosen = {str(group): str(name) for group, name in hydra.runtime.choices.items() if "/" not in str(group)}
    choices = {group: name for group, name in chosen.items() if group != SWEEP}
    if overrides is None:
        # Unresolved: an interpolation in an override refers to the configuration of the run, not to Hydra's node.
        typed: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
        overrides = [str(word) for word in typed]
    _check_complete(config, choices)
    decoded(config)
    _backtest_as_folds(config)
    kept = resolve_interpolations(config, list(overrides))
    return Request(config, choices, command, None, tuple(map(masked_word, overrides)), kept)


def _backtest_as_folds(config: DictConfig) -> None:
    """Set ``cv.folds`` to ``data.backtest``: the folds of a series are blocks in time, each after its training rows."""
    data = None if OmegaConf.is_missing(config, "data") else config.data
    origins = data.get("backtest") if isinstance(data, DictConfig) and "backtest" in data else None
    if origins is None:
        return
    if config.cv.folds is not None and config.cv.folds != origins:
        problem = f"says in other words what cv.folds={config.cv.folds} does"
        raise RequestError(Setting("data.backtest", origins), problem, remedy="Give one of them.")
    with open_dict(config):
        config.cv.folds = origins


def _check_complete(config: DictConfig, choices: dict[str, str]) -> None:
    """Refuse a request without a required field, and a user's file that has the name of a built-in option."""
    missing = [item.name for item in dataclasses.fields(RunConfig) if item.name not in config]
    if missing:
        raise removed(missing[0])
    own = Path.cwd() / "conf"
    packaged = resources.files(OURS)
    for group in (*CHOICES, *({EXPERIMENT} & set(choices))):
        name = choices.get(group, "")
        if not name or name.startswith("["):
            raise RequestError(group, "must be one name", name or "nothing", f"Write {group}=<name>.")
        file = own / group / f"{name}.yaml"
        ours = Path(str(packaged)) / group / f"{name}.yaml"
        hidden = ours.is_file() or name in classes(group)
        if file.is_file() and hidden and not (ours.exists() and file.samefile(ours)):
            # Hydra would compose the built-in option silently.
            raise RequestError(
                Setting(group, name), f"is built in, and hides conf/{group}/{name}.yaml", remedy="Rename that file."
            )


@contextmanager
def arguments_for_hydra(arguments: list[str]) -> Iterator[None]:
    """Set ``sys.argv`` to the arguments of a command in the order that Hydra accepts: options before overrides.

    Hydra composes a multirun once without the swept overrides. A field of a swept group would then be set on the
    group's default option, which may not have it. So such a field is written as a sweep of one value, which only the
    jobs see: ``optimizer=sgd,rmsprop optimizer.momentum=choice(0.5)``.

    Raises:
        RequestError: an option is unknown, or its value is missing.
    """
    from hydra._internal.utils import get_args_parser

    parser: Any = get_args_parser()

    def refuse(message: str) -> None:
        raise RequestError(
            "the command", f"cannot be read: {message}", remedy="`lifecycle --hydra-help` lists the options."
        )

    parser.error = refuse
    found = parser.parse_intermixed_args(arguments)
    remaining = list(found.overrides)
    options = [word for word in arguments if not (remaining and word == remaining[0] and remaining.pop(0))]
    before, token = sys.argv, _as_typed.set(command_line())
    overrides = _with_single_choices(found.overrides) if found.multirun else found.overrides
    sys.argv = [before[0], *options, *overrides]
    try:
        yield
    finally:
        sys.argv = before
        _as_typed.reset(token)


def _with_single_choices(overrides: list[str]) -> list[str]:
    """Return the overrides of a multirun, with each field of a swept group as a sweep of one value."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    parsed = parser.parse_overrides(overrides)
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    written = []
    for word, override in zip(overrides, parsed, strict=True):
        group, is_field, _ = override.key_or_group.partition(".")
        if is_field and swept & {group, EXPERIMENT} and not override.is_sweep_override():
            key, _, value = word.partition("=")
            single, as_is = f"{key}=choice({value})", override.get_value_element_as_str()
            # Some values cannot be written within choice(), or come out of it otherwise: those stay as they were typed.
            with suppress(HydraException):
                if list(parser.parse_override(single).sweep_string_iterator()) == [as_is]:
                    written.append(single)
                    continue
        written.append(word)
    return written


@contextmanager
def masked_output(arguments: list[str]) -> Iterator[None]:
    """Mask credentials in what Hydra prints: errors, and with ``--cfg``, ``--info`` or completion the configuration."""
    prints = any(PRINTS.fullmatch(word) for word in arguments)
    out: Any = MaskedStream(sys.stdout) if prints else sys.stdout
    with redirect_stdout(out), redirect_stderr(MaskedStream(sys.stderr)):
        yield


def command_line() -> str:
    """Return the command as typed, for the record; also where Hydra has the arguments in its own order."""
    if (typed := _as_typed.get()) is not None:
        return typed
    # `python -m lifecycle` is recorded as the command that a reader can repeat.
    name = Path(sys.argv[0]).name
    return _typed("lifecycle" if name == "__main__.py" else name, sys.argv[1:])


def _typed(name: str, arguments: list[str]) -> str:
    return shlex.join([name, *map(masked_word, arguments)])
