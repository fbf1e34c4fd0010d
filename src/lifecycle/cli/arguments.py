"""The words of a verb, ``key=value``, as the typed fields of what the verb takes."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from lifecycle.config import bounded_yaml
from lifecycle.config.explain import explain
from lifecycle.errors import RequestError, unknown_field
from lifecycle.tracking.found_run import Which

Fields = TypeVar("Fields")
Words = TypeVar("Words", bound=Which)


def read(words: list[str], cls: type[Fields], verb: str) -> Fields:
    """Return the fields of a verb.

    Args:
        words: as typed after the verb: ``run=latest``, ``tracking.dir=elsewhere``.
        cls: a dataclass with a default for each field; a text is taken as it is typed, ``null`` is nothing.
        verb: for messages.

    Raises:
        RequestError: names the word, what was expected, and a cure.
    """
    fields, rest = read_some(words, cls, verb)
    if rest:
        key, _, value = rest[0].partition("=")
        raise RequestError(unknown_field(key, value, _names(cls), f"lifecycle {verb}"))
    return fields


def read_some(words: list[str], cls: type[Fields], verb: str) -> tuple[Fields, list[str]]:
    """Do the same, and return the words beside the fields too: overrides of the configuration that a run recorded."""
    config, rest = OmegaConf.structured(cls), []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            example = f"lifecycle {verb} run=latest" if "run" in _names(cls) else f"lifecycle {verb} port=5001"
            raise RequestError(f"{verb} takes key=value words, got {word}. Type for instance {example}.")
        if key.split(".")[0].lstrip("+~") not in _names(cls):
            rest.append(word)
            continue
        try:
            OmegaConf.update(config, key, _value(config, key, value))
        except OmegaConfBaseException as error:
            raise explain(error, words) from error
    try:
        for name in _names(cls):  # a fault of a node is said with the node's name
            if OmegaConf.is_dict(OmegaConf.select(config, name)):
                _made(config, name)
        fields: Any = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise explain(error, words) from error
    except ValueError as error:
        raise RequestError(str(error)) from error
    return fields, rest


def _made(config: Any, name: str) -> None:
    try:
        OmegaConf.to_object(config[name])
    except ValueError as error:
        if isinstance(error, OmegaConfBaseException):
            raise
        raise RequestError(f"{name}.{error}") from error


def _value(config: Any, key: str, typed: str) -> Any:
    """Return what was typed: of a list or mapping as YAML has it; else as it stands, for the field's type to read."""
    if typed == "null":
        return None
    if typed.startswith(("[", "{")):
        try:
            return bounded_yaml.load(typed, key)
        except YAMLError as error:
            raise RequestError(f"{key}={typed} cannot be read as a list. Write {key}=[a,b].") from error
    return typed


def _names(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def read_changes(typed: list[str], cls: type[Words], verb: str) -> tuple[Words, list[str]]:
    """Return which run is meant, and the words that would change what it recorded.

    Args:
        typed: the words.
        cls: the fields that the verb takes itself.
        verb: for messages.

    Raises:
        RequestError: a word cannot be read, or asks for what a run keeps.
    """
    asked, changes = read_some(typed, cls, verb)
    for word in typed:
        if word.startswith("tracking.run_name="):
            raise RequestError(f"{word} cannot go with {verb}: a run keeps its name. Leave it out.")
    return asked, [*changes, *(word for word in typed if word.startswith("tracking.figures="))]
