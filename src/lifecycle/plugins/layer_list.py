"""Parses the list of layers of ``model=sequential``. Imports no torch, so that a wrong list is refused quickly.

An element is a word (``relu``), or a word with the value of the layer's first field (``dense: 12``) or with a mapping
of its fields (``lstm: {units: 8, return_sequences: true}``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any

from lifecycle.errors import did_you_mean
from lifecycle.plugins.layers import LAYERS

EXAMPLES = {"units": "64", "rate": "0.5", "filters": "32", "shape": "[-1, 1]"}
"""An example for each field without a default."""


@dataclass(frozen=True)
class Placed:
    """A layer and its place in the list."""

    index: int  # from 0, as in model.layers[0]
    word: str
    layer: Any  # a dataclass of lifecycle.plugins.layers
    text: str  # as written, such as "dense: 12"

    def __str__(self) -> str:
        return f"layers[{self.index}] {self.text}"


def parse(elements: list[Any]) -> list[Placed]:
    """Return the layers of a list.

    Raises:
        ValueError: an element is no layer, or a field has no or a wrong value; begins with ``layers[<index>]``.
    """
    return [_placed(index, element) for index, element in enumerate(elements)]


def _placed(index: int, element: Any) -> Placed:
    word, value = _word_and_value(index, element)
    text = word if value is None else f"{word}: {_as_yaml(value)}"
    if word not in LAYERS:
        raise ValueError(
            f"layers[{index}] must be a known layer, got {text}.{did_you_mean(word, LAYERS)} "
            f"Choose from: {', '.join(LAYERS)}."
        )
    try:
        return Placed(index, word, _make(word, value), text)
    except ValueError as error:
        raise ValueError(f"layers[{index}] {word}: {error}") from error


def _word_and_value(index: int, element: Any) -> tuple[str, Any]:
    """Divide an element into word and value; on the command line Hydra passes ``dense: 12`` as one text."""
    if isinstance(element, str):
        word, _, value = (part.strip() for part in element.partition(":"))
        return word, _number(value)
    if isinstance(element, dict) and len(element) == 1:
        ((word, value),) = element.items()
        return str(word), value
    raise ValueError(
        f"layers[{index}] must be a word or one pair of word and value, got {_as_yaml(element)}. "
        "Write for instance relu, or dense: 12."
    )


def _number(text: str) -> Any:
    """Convert a text of the command line as YAML would."""
    words = {"": None, "null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _make(word: str, value: Any) -> Any:
    """Return the checked dataclass instance of a layer."""
    cls = LAYERS[word]
    types = {item.name: str(item.type) for item in fields(cls)}
    needed = [item.name for item in fields(cls) if item.default is MISSING]
    if not types and value not in (None, {}):
        raise ValueError(f"it takes no value, got {_as_yaml(value)}. Write {word} alone.")
    values = value if isinstance(value, dict) else {} if value is None else {next(iter(types)): value}
    for name, got in values.items():
        if name not in types:
            raise ValueError(
                f"{name} is not a field of {word}, got {_as_yaml(got)}.{did_you_mean(str(name), types)} "
                f"Fields: {', '.join(types)}."
            )
        _check_type(cls, name, got)
    for name in needed:
        if name not in values:
            raise ValueError(f"{name} must be given, got nothing. Write for instance {word}: {EXAMPLES[name]}.")
    return cls(**values)


def _check_type(cls: type, name: str, value: Any) -> None:
    spec = next(item for item in fields(cls) if item.name == name)
    kind, _, null = str(spec.type).partition(" | ")
    wanted, fits = _TYPES[kind]
    if not (fits(value) or (null and value is None)):
        cure = (
            f"Write for instance {EXAMPLES[name]}." if name in EXAMPLES else f"The default is {_as_yaml(spec.default)}."
        )
        raise ValueError(f"{name} must be {wanted}, got {_as_yaml(value)}. {cure}")


def _is(*kinds: type) -> Callable[[Any], bool]:
    """Return a check for exactly these types: ``isinstance(True, int)`` holds, but true is no number."""
    return lambda value: type(value) in kinds


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number", _is(int)),
    "float": ("a number", _is(int, float)),
    "bool": ("true or false", _is(bool)),
    "str": ("a word", _is(str)),
    "list[int]": ("a list of whole numbers", lambda value: type(value) is list and all(map(_is(int), value))),
}


def _as_yaml(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_as_yaml, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
