"""Reads the ``key=value`` arguments of a subcommand into the dataclass of its options."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from lifecycle.config import bounded_yaml, fields
from lifecycle.config.explain import explain
from lifecycle.errors import RequestError, Setting, field_error, unknown_field
from lifecycle.tracking.found_run import Which

MISSING = "refuse or impute: a value that is missing in a column that was complete in training"
"""Help of the option ``missing``, which several subcommands have."""

Options = TypeVar("Options")
RunOptions = TypeVar("RunOptions", bound=Which)


def read(arguments: list[str], cls: type[Options], subcommand: str, defaults: Options | None = None) -> Options:
    """Return the options of a subcommand.

    Args:
        arguments: as typed after the subcommand: ``run=latest``, ``tracking.dir=elsewhere``.
        cls: a dataclass with a default for each field. A text is taken as typed; ``null`` is ``None``.
        subcommand: its name, for messages.
        defaults: values of the options that are not typed; ``None``: the defaults of the fields.

    Raises:
        RequestError: an argument names no option, or its value does not fit.
    """
    options, others = read_known(arguments, cls, subcommand, defaults)
    if others:
        key, _, value = others[0].partition("=")
        raise unknown_field(key, value, _names(cls), f"lifecycle {subcommand}")
    return options


def read_known(
    arguments: list[str], cls: type[Options], subcommand: str, defaults: Options | None = None
) -> tuple[Options, list[str]]:
    """Return the options of a subcommand, and all other arguments: overrides of the configuration that a run recorded.

    Like :func:`read`, but does not refuse the others.
    """
    config, others = OmegaConf.structured(cls if defaults is None else defaults), []
    names = _names(cls)
    texts = _texts(cls)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            remedy = f"Type for instance lifecycle {subcommand} {_example(cls)}."
            raise RequestError(subcommand, "takes key=value arguments", argument, remedy)
        # +run= and ~run= are meant for the option too, and are refused below.
        if key.split(".")[0].lstrip("+~") not in names:
            others.append(argument)
            continue
        found = _unlisted(value) if key in texts else _value(key, value)
        try:
            OmegaConf.update(config, key, found)
        except OmegaConfBaseException as error:
            raise explain(error, arguments) from error
    return _instance(config, names, arguments), others


def _example(cls: Any) -> str:
    """Return an argument of a subcommand: its first option, with a value that can be typed as it is."""
    known = {field.name: field for field in dataclasses.fields(cls)}
    if "run" in known:
        return "run=latest"
    values = {
        name: next(iter(fields.choices_of(field)), field.default)
        for name, field in known.items()
        if field.default is not dataclasses.MISSING
    }
    return next((f"{name}={value}" for name, value in values.items() if value not in ("", None)), "tracking.dir=mlruns")


def _instance(config: Any, names: list[str], arguments: list[str]) -> Any:
    """Return the dataclass instance of a configuration, whose ``__post_init__`` may refuse a value."""
    group = ""
    try:
        for name in names:  # nested dataclasses first: the message of their __post_init__ does not name the field
            if OmegaConf.is_dict(OmegaConf.select(config, name)):
                group = name
                OmegaConf.to_object(config[name])
        group = ""
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise explain(error, arguments) from error
    except ValueError as error:
        raise field_error(group, error) from error


def _value(key: str, typed: str) -> Any:
    """Return the value of an argument: lists and mappings as YAML, anything else as a text that OmegaConf converts."""
    if typed == "null":
        return None
    # Not all as YAML, which would read the id 01234567 as an octal number, and the text no as false.
    if typed.startswith(("[", "{")):
        try:
            return bounded_yaml.load(typed, key)
        except YAMLError as error:
            remedy = f"Write {key}=[a,b]."
            raise RequestError(Setting(key, typed), "cannot be read as a list", remedy=remedy) from error
    return typed


def _names(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def _unlisted(typed: str) -> str | None:
    """Return the value of a text; ``[a,b]`` is ``a,b``. Not as YAML, which would read the id 0123 as a number."""
    if typed.startswith("[") and typed.endswith("]"):
        return ",".join(part.strip() for part in typed[1:-1].split(","))
    return None if typed == "null" else typed


def _texts(cls: Any) -> list[str]:
    """Return the names of options whose value is a text, which may be several with commas."""
    return [field.name for field in dataclasses.fields(cls) if str(field.type).partition(" ")[0] == "str"]


def read_changes(arguments: list[str], cls: type[RunOptions], subcommand: str) -> tuple[RunOptions, list[str]]:
    """Return the options of ``resume`` or ``rerun``, and the overrides that change the recorded configuration.

    Args:
        arguments: as typed after the subcommand.
        cls: dataclass of the options.
        subcommand: its name, for messages.

    Raises:
        RequestError: an argument cannot be read, or would rename the run.
    """
    options, changes = read_known(arguments, cls, subcommand)
    for argument in arguments:
        if argument.startswith("tracking.run_name="):
            problem = f"cannot be used with {subcommand}: a run keeps its name"
            raise RequestError(argument, problem, remedy="Leave it out.")
    # tracking.figures is an option of the run that is continued too, unlike tracking.dir, which says where it is.
    return options, [*changes, *(argument for argument in arguments if argument.startswith("tracking.figures="))]
