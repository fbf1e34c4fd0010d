"""Complaints of Hydra, OmegaConf and YAML, as sentences with key, value and cure."""

from __future__ import annotations

import re
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException, ValidationError
from yaml import YAMLError

from lifecycle import registry
from lifecycle.config import expressions
from lifecycle.config.choices import TYPED, name_of
from lifecycle.config.search_path import EXPERIMENT, options
from lifecycle.credentials import hiding
from lifecycle.errors import RequestError, did_you_mean, unknown_field

COMPOSING = (HydraException, OmegaConfBaseException, ValueError, YAMLError, RecursionError)
"""What composing a request may raise."""

TYPES = {"Integer": "a whole number", "Float": "a number", "bool": "true or false", "String": "a text"}


def explain(error: Exception, overrides: list[str]) -> RequestError:
    """Turn what went wrong while a request was composed into a sentence.

    Args:
        error: as Hydra raised it.
        overrides: what was typed.
    """
    if (refused := _refused(error)) is not None:
        return refused
    if isinstance(error, YAMLError):
        sentence = f"a configuration file cannot be read: {' '.join(str(error).split())}. Mend its YAML."
    elif isinstance(error, RecursionError):
        sentence = "a configuration file names itself in its defaults list. Take that line out."
    elif isinstance(error, MissingConfigException):
        sentence = _missing_option(error)
    elif isinstance(error, OverrideParseException):
        sentence = (
            f"{error.override} cannot be read: {_first_line(error)}. Write key=value, and quote what the shell would "
            "change, as in 'model.hidden=[64,32]'."
        )
        if re.search(r"[\[,]\s*\w+:\s*[\[{]", error.override):
            sentence += " Within a list, a pair whose value has brackets has its own: [{conv: {filters: 8}}]."
    else:
        cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__ or error.__context__
        # Hydra says so of an error in a file rather than on the command line.
        file = re.match(r"In '([^']+)'", str(error))
        sentence = _of_value(error, cause, overrides, f" (in {file[1]}.yaml)" if file else "")
    return RequestError(sentence)


def _refused(error: BaseException | None) -> RequestError | None:
    """Return a sentence of our own that a complaint is wrapped around, if one is."""
    while error is not None and not isinstance(error, RequestError):
        error = error.__cause__ or error.__context__
    return error


def worked_out(config: DictConfig, overrides: list[str]) -> dict[expressions.Path, str]:
    """Work out the interpolations of a configuration in place; return those that are recorded as they were written.

    Raises:
        RequestError: one cannot be worked out.
    """
    written = OmegaConf.to_container(config, resolve=False)
    named = " ".join(str(text) for path, text in expressions.leaves(written) if path not in expressions.VISIBLE)
    with hiding(expressions.variables(named)):
        return _worked_out(config, written, overrides)


def _worked_out(config: DictConfig, written: Any, overrides: list[str]) -> dict[expressions.Path, str]:
    try:
        OmegaConf.resolve(config)
        return expressions.kept(written, OmegaConf.to_container(config))
    except OmegaConfBaseException as error:
        if isinstance(error, InterpolationResolutionError) and (key := _unknown(config, written)):
            raise RequestError(_not_worked_out(key, error, "")) from error
        raise explain(error, overrides) from error


def _unknown(config: DictConfig, written: Any) -> str:
    """Return the key whose expression cannot be worked out: the first that calls something, or refers to such a one."""
    found: list[tuple[bool, str]] = []
    for path, text in expressions.leaves(written):
        if isinstance(text, str) and "${" in text:
            try:
                OmegaConf.select(config, expressions.dotted(path))
            except OmegaConfBaseException:
                found.append((not expressions.calls(text), expressions.dotted(path)))
    return min(found, key=lambda one: one[0])[1] if found else ""


def _not_worked_out(key: str, error: Any, where: str) -> str:
    said, cure = _first_line(error), "Give it a plain value."
    if variable := re.search(r"Environment variable '(\w+)' not found", said):
        said = variable[0]
        cure = f"Set {variable[1]} in the environment, or add {key}=..."
    return f"{key}{where} cannot be worked out: {said}. {cure}"


def _of_value(error: Exception, cause: BaseException | None, overrides: list[str], where: str) -> str:
    """Return the sentence on a key or value that does not fit."""
    if isinstance(cause, InterpolationResolutionError) and cause.full_key:
        return _not_worked_out(cause.full_key, cause, where)
    if isinstance(cause, ValidationError) and cause.full_key:
        got = _value(cause.full_key, overrides) or cause.value
        cure = "`lifecycle --cfg job` shows values that fit."
        return f"{cause.full_key}{where} {_wrong_type(cause)}, got {got}. {cure}"
    if isinstance(cause, OmegaConfBaseException) and cause.parent_node is not None and cause.key is not None:
        return _unknown_field(cause, overrides, where)
    if "must be a string or a list" in str(error) and len(overrides):
        return _no_name(overrides)
    if sentence := _plus(str(error), overrides):
        return sentence
    hint = " Add -m to run each." if "Ambiguous value" in str(error) else " `lifecycle --help` shows how to ask."
    typed = "" if isinstance(error, HydraException) else f"{' '.join(overrides)}: "  # Hydra's own name the word
    return f"{typed}{_first_line(error)}{where}.{hint}"


def _plus(said: str, overrides: list[str]) -> str:
    """Return the sentence on a plus that is one too many, or that is missing; nothing where it is neither."""
    if added := re.search(r"Could not append to config. An item is already at '([^']+)'", said):
        return f"{added[1]} is there already, and + adds a new key. Write {added[1]}={_value(added[1], overrides)}."
    if plain := re.search(r"Could not override '(\w+)'", said):
        word = f"{plain[1]}={_value(plain[1], overrides)}"
        return f"{word} needs a plus before it, as no run has one unless it is asked for. Write +{word}."
    return ""


def _no_name(overrides: list[str]) -> str:
    """Return the sentence on a group that was given no name, such as ``model=null``."""
    words = [word.partition("=") for word in overrides]
    groups = {group: value for group, _, value in words if group in options()}
    group = next((group for group, value in groups.items() if value not in options()[group]), next(iter(groups), ""))
    choices = ", ".join(options().get(group, []))
    return f"{group} must be one name, got {groups.get(group, '')}. Choose one of: {choices}."


def _missing_option(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file or "").removesuffix(".yaml").rpartition("/")
    if group not in options():
        return f"{_first_line(error)}. `lifecycle --help` lists what there is."
    known = [option for option in options()[group] if option != name]
    asked = f"+{group}" if group == EXPERIMENT else group
    hint = did_you_mean(name, known, f"{asked}=")
    if group == "trainer" and name in ("gpu", "cpu", "auto"):
        hint = f" Did you mean trainer.accelerator={name}?"
    return f"{asked}={name} is not known.{hint} Choose one of: {', '.join(known)}."


def _wrong_type(cause: ValidationError) -> str:
    """Return what OmegaConf wanted of a value, in words."""
    wanted = re.search(r"could not be converted to (\w+)|is not a valid (bool)", str(cause))
    if "ListConfig" in str(cause):
        return "must be a list, such as [a,b]"
    if wanted:
        return f"must be {TYPES.get(wanted[1] or wanted[2], wanted[1])}"
    return "must have a value" if "not Optional" in str(cause) else f"is refused ({_first_line(cause)})"


def _unknown_field(cause: OmegaConfBaseException, overrides: list[str], where: str) -> str:
    key = str(cause.full_key or cause.key)
    if f"~{key}" in overrides:
        return f"~{key} takes away what every run needs. Set it instead: {key}=..."
    known = list(cause.parent_node) if isinstance(cause.parent_node, DictConfig) else []
    group = key.rpartition(".")[0]
    chosen = _chosen(group, cause.object_type)
    owner = f"{group}={chosen}{where}" if chosen else ""
    return unknown_field(key, _value(key, overrides), known, owner)


def _chosen(group: str, cls: Any) -> str:
    if group in TYPED:
        return name_of(group, cls)
    return registry.name_of(group, cls) if group in registry.GROUPS and isinstance(cls, type) else ""


def _value(key: str, overrides: list[str]) -> str:
    """Return what the user typed for a key, or an empty string."""
    key = re.sub(r"\[\d+\]$", "", key)  # an element of a list is typed with the list
    for override in reversed(overrides):
        name, found, value = override.lstrip("+~").partition("=")
        if found and re.sub(r"@.*", "", name) == key:
            return value
    return ""


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0].strip().rstrip(".") if str(error).strip() else type(error).__name__
