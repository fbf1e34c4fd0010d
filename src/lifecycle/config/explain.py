"""Turns the exceptions of Hydra, OmegaConf and PyYAML into request errors with key, value and remedy."""

from __future__ import annotations

import re
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException, ValidationError
from yaml import YAMLError

from lifecycle import registry
from lifecycle.config import other_names
from lifecycle.config.choices import TYPED, name_of
from lifecycle.config.options import EXPERIMENT, options
from lifecycle.config.records import expressions
from lifecycle.credentials import hiding
from lifecycle.errors import UNSET, RequestError, Setting, Text, did_you_mean_setting, first_line, unknown_field

COMPOSING = (HydraException, OmegaConfBaseException, ValueError, YAMLError, RecursionError)
"""Exceptions that composing a request may raise."""

TYPES = {"Integer": "a whole number", "Float": "a number", "bool": "true or false", "String": "a text"}
"""OmegaConf's name of a type -> how messages call it."""

_NESTED_PAIR = re.compile(r"[\[,]\s*\w+:\s*[\[{]")


def explain(error: Exception, overrides: list[str]) -> RequestError:
    """Return the request error for an exception that was raised while a request was composed.

    Args:
        error: as Hydra raised it.
        overrides: as typed.
    """
    if (refused := _request_error(error)) is not None:
        return refused
    if isinstance(error, YAMLError):
        what = " ".join(str(error).split())
        return RequestError("a configuration file", f"cannot be read: {what}", remedy="Fix its YAML.")
    if isinstance(error, RecursionError):
        return RequestError("a configuration file", "names itself in its defaults list", remedy="Remove that line.")
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    # OmegaConf's exception has the key and its node; Hydra's, around it, has neither.
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__ or error.__context__
    file = re.match(r"In '([^']+)'", str(error))  # Hydra's prefix where the value is in a file, not on the command line
    return _value_error(error, cause, overrides, f" (in {file[1]}.yaml)" if file else "")


def _request_error(error: BaseException | None) -> RequestError | None:
    """Return the request error among the causes of an exception: our checks run within Hydra, which wraps them."""
    while error is not None and not isinstance(error, RequestError):
        error = error.__cause__ or error.__context__
    return error


def _unreadable(error: OverrideParseException) -> RequestError:
    remedy = "Write key=value, and quote what the shell would change, as in 'model.hidden=[64,32]'."
    if _NESTED_PAIR.search(error.override):
        # Hydra's grammar has no pairs in lists but for those in braces, whereas YAML reads [conv: {filters: 8}].
        remedy += " Within a list, a pair whose value has brackets has its own: [{conv: {filters: 8}}]."
    return RequestError(error.override, f"cannot be read: {first_line(error)}", remedy=remedy)


def resolve_interpolations(config: DictConfig, overrides: list[str]) -> dict[expressions.Path, str]:
    """Resolve the interpolations of a configuration in place.

    Returns:
        The expressions that are recorded instead of values; see :func:`lifecycle.config.records.expressions.kept`.

    Raises:
        RequestError: an interpolation cannot be resolved.
    """
    written = OmegaConf.to_container(config, resolve=False)
    texts = " ".join(str(text) for path, text in expressions.leaves(written) if path not in expressions.VISIBLE)
    with hiding(expressions.variables(texts)):
        try:
            OmegaConf.resolve(config)
            return expressions.kept(written, OmegaConf.to_container(config))
        except OmegaConfBaseException as error:
            if isinstance(error, InterpolationResolutionError) and (key := _unresolvable(config, written)):
                raise _resolution_error(key, error, "") from error
            raise explain(error, overrides) from error


def _unresolvable(config: DictConfig, written: Any) -> str:
    """Return the key whose expression cannot be resolved; OmegaConf's exception names the key that refers to it.

    An expression that calls a resolver, such as ``oc.env``, comes before those that only refer to another key.
    """
    found: list[tuple[bool, str]] = []
    for path, text in expressions.leaves(written):
        if isinstance(text, str) and "${" in text:
            try:
                OmegaConf.select(config, expressions.dotted(path))
            except OmegaConfBaseException:
                found.append((not expressions.calls(text), expressions.dotted(path)))
    return min(found, key=lambda one: one[0])[1] if found else ""


def _resolution_error(key: str, error: Any, where: str) -> RequestError:
    reason, remedy = first_line(error), "Give it a plain value."
    if variable := re.search(r"Environment variable '(\w+)' not found", reason):
        reason = variable[0]
        remedy = f"Set {variable[1]} in the environment, or add {key}=..."
    return RequestError(key, f"{where} cannot be resolved: {reason}".lstrip(), remedy=remedy)


def _value_error(error: Exception, cause: BaseException | None, overrides: list[str], where: str) -> RequestError:
    """Return the error of a key or value that does not fit.

    Args:
        error: as Hydra raised it.
        cause: OmegaConf's exception, where there is one.
        overrides: as typed.
        where: `` (in <file>)``, or "".
    """
    if isinstance(cause, InterpolationResolutionError) and cause.full_key:
        return _resolution_error(cause.full_key, cause, where)
    if isinstance(cause, ValidationError) and cause.full_key:
        value = _typed_value(cause.full_key, overrides) or cause.value
        problem = f"{where} {_wrong_type(cause)}".lstrip()
        return RequestError(cause.full_key, problem, value, _fitting(cause.full_key, problem, value))
    if isinstance(cause, OmegaConfBaseException) and cause.parent_node is not None and cause.key is not None:
        return _unknown_field(cause, overrides, where)
    if "must be a string or a list" in str(error) and len(overrides):
        return _group_without_name(overrides)
    return _plus_error(str(error), overrides) or _other_error(error, overrides, where)


def _fitting(key: str, problem: str, value: Any) -> Text:
    """Return the sentence on values of the type that a key has."""
    if key == "trainer.patience" and value in (None, "null"):
        return ["Write ", Setting("trainer.early_stopping", False), " to train for all epochs."]
    if problem.endswith(A_LIST) and re.fullmatch(r"[^\[\]{}]+", str(value)):
        return ["Write ", Setting(key, [value]), "."]
    return "`lifecycle --cfg job` shows values that fit."


def _other_error(error: Exception, overrides: list[str], where: str) -> RequestError:
    is_sweep = any(words in str(error) for words in ("Ambiguous value", "requires --multirun"))
    remedy = "Add -m to run each." if is_sweep else "`lifecycle --help` shows what can be set."
    # Hydra's text names the override; that of others does not.
    subject = "the command" if isinstance(error, HydraException) else " ".join(overrides)
    return RequestError(subject, f"cannot be composed: {first_line(error)}{where}", remedy=remedy)


def _plus_error(reason: str, overrides: list[str]) -> RequestError | None:
    """Return the error of a ``+`` that is superfluous or missing; ``None`` for another error."""
    if added := re.search(r"Could not append to config. An item is already at '([^']+)'", reason):
        key = added[1]
        remedy = f"Write {key}={_typed_value(key, overrides)}."
        return RequestError(key, "exists already, and + adds a new key", remedy=remedy)
    if plain := re.search(r"Could not override '(\w+)'", reason):
        setting = Setting(plain[1], _typed_value(plain[1], overrides))
        problem = "needs a plus before it, as it is not part of every run"
        return RequestError(setting, problem, remedy=["Write +", setting, "."])
    return None


def _group_without_name(overrides: list[str]) -> RequestError:
    """Return the error of a group whose value is no name, such as ``model=null``."""
    words = [word.partition("=") for word in overrides]
    groups = {group: value for group, _, value in words if group in options()}
    group = next((group for group, value in groups.items() if value not in options()[group]), next(iter(groups), ""))
    choices = ", ".join(options().get(group, []))
    return RequestError(group, "must be one name", groups.get(group, ""), f"Choose one of: {choices}.")


def _missing_option(error: MissingConfigException) -> RequestError:
    group, _, name = str(error.missing_cfg_file or "").removesuffix(".yaml").rpartition("/")
    if group not in options():
        problem = f"cannot be composed: {first_line(error)}"
        return RequestError("the command", problem, remedy="`lifecycle --help` lists the options.")
    known = [option for option in options()[group] if option != name]
    key = f"+{group}" if group == EXPERIMENT else group
    hint = did_you_mean_setting(key, name, known)
    if group == "trainer" and name in ("gpu", "cpu", "auto"):  # PyTorch Lightning's own name for it
        hint = ["Did you mean ", Setting("trainer.accelerator", name), "? "]
    return RequestError(Setting(key, name), "is not known", remedy=[hint, f"Choose one of: {', '.join(known)}."])


A_LIST = "must be a list, such as [a,b]"


def _wrong_type(cause: ValidationError) -> str:
    """Return the problem with a value whose type OmegaConf refused."""
    wanted = re.search(r"could not be converted to (\w+)|is not a valid (bool)", str(cause))
    if "ListConfig" in str(cause):
        return A_LIST
    if wanted:
        return f"must be {TYPES.get(wanted[1] or wanted[2], wanted[1])}"
    return "must have a value" if "not Optional" in str(cause) else f"is refused ({first_line(cause)})"


def _unknown_field(cause: OmegaConfBaseException, overrides: list[str], where: str) -> RequestError:
    key = str(cause.full_key or cause.key)
    if f"~{key}" in overrides:
        return removed(key)
    known = list(cause.parent_node) if isinstance(cause.parent_node, DictConfig) else []
    group = key.rpartition(".")[0]
    option = _option(group, cause.object_type)
    owner: Text = [Setting(group, option), where] if option else ""
    if advice := other_names.advice(key, _typed_value(key, overrides), map(str, known)):
        problem = ["is not a field of ", owner or group or "a run"]
        return RequestError(key, problem, _typed_value(key, overrides) or UNSET, advice)
    return unknown_field(key, _typed_value(key, overrides), known, owner)


def removed(key: str) -> RequestError:
    """Return the error of ``~key``, which removes a required field."""
    return RequestError(f"~{key}", "removes what every run needs", remedy=f"Set it instead: {key}=...")


def _option(group: str, cls: Any) -> str:
    """Return the name of a group's option from its class; "" where it has none."""
    if group in TYPED:
        return name_of(group, cls)
    return registry.name_of(group, cls) if group in registry.GROUPS and isinstance(cls, type) else ""


def _typed_value(key: str, overrides: list[str]) -> str:
    """Return the value that was typed for a key; "" where it was not typed."""
    key = re.sub(r"\[\d+\]$", "", key)  # OmegaConf names the element of a list, which was typed as a whole
    for override in reversed(overrides):
        name, found, value = override.lstrip("+~").partition("=")
        if found and re.sub(r"@.*", "", name) == key:
            return value
    return ""
