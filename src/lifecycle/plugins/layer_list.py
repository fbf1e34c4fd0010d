"""A plain list of layers, read: what each element names, and what is wrong with it; imports no torch.

An element is a word (``relu``) or a word with a value (``dense: 12``), which is that of the layer's first field, or
a mapping of its fields (``lstm: {units: 8, return_sequences: true}``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any

from lifecycle.errors import did_you_mean
from lifecycle.plugins.layers import LAYERS

EXAMPLES = {"units": "64", "rate": "0.5", "filters": "32", "shape": "[-1, 1]"}
"""A value for each field that must be given."""


@dataclass(frozen=True)
class Placed:
    """A layer and its place in the list."""

    index: int  # from 0, as in model.layers[0]
    word: str
    layer: Any  # one of the dataclasses above
    text: str  # as written, such as "dense: 12"

    def __str__(self) -> str:
        return f"layers[{self.index}] {self.text}"


def parse(elements: list[Any]) -> list[Placed]:
    """Return the layers of a plain list.

    Raises:
        ValueError: names the place, what is wrong with it, the value and the cure.
    """
    return [_placed(index, element) for index, element in enumerate(elements)]


def _placed(index: int, element: Any) -> Placed:
    word, value = _word_and_value(index, element)
    text = word if value is None else f"{word}: {_shown(value)}"
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
    """Take an element apart; on the command line ``dense: 12`` arrives as a text."""
    if isinstance(element, str):
        word, _, value = (part.strip() for part in element.partition(":"))
        return word, _number(value)
    if isinstance(element, dict) and len(element) == 1:
        ((word, value),) = element.items()
        return str(word), value
    raise ValueError(
        f"layers[{index}] must be a word or one pair of word and value, got {_shown(element)}. "
        "Write for instance relu, or dense: 12."
    )


def _number(text: str) -> Any:
    """Return what a text on the command line stands for, as YAML would."""
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
    """Return the layer's dataclass, checked."""
    cls = LAYERS[word]
    types = {item.name: str(item.type) for item in fields(cls)}
    needed = [item.name for item in fields(cls) if item.default is MISSING]
    if not types and value not in (None, {}):
        raise ValueError(f"it takes no value, got {_shown(value)}. Write {word} alone.")
    given = value if isinstance(value, dict) else {} if value is None else {next(iter(types)): value}
    for name, got in given.items():
        if name not in types:
            raise ValueError(
                f"{name} is not a field of {word}, got {_shown(got)}.{did_you_mean(str(name), types)} "
                f"Fields: {', '.join(types)}."
            )
        _check_type(cls, name, got)
    for name in needed:
        if name not in given:
            raise ValueError(f"{name} must be given, got nothing. Write for instance {word}: {EXAMPLES[name]}.")
    return cls(**given)


def _check_type(cls: type, name: str, value: Any) -> None:
    spec = next(item for item in fields(cls) if item.name == name)
    kind, _, null = str(spec.type).partition(" | ")
    wanted, fits = _TYPES[kind]
    if not (fits(value) or (null and value is None)):
        cure = (
            f"Write for instance {EXAMPLES[name]}." if name in EXAMPLES else f"The default is {_shown(spec.default)}."
        )
        raise ValueError(f"{name} must be {wanted}, got {_shown(value)}. {cure}")


def _is(*kinds: type) -> Callable[[Any], bool]:
    """Return what tells whether a value is of one of these kinds exactly: true is no number."""
    return lambda value: type(value) in kinds


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number", _is(int)),
    "float": ("a number", _is(int, float)),
    "bool": ("true or false", _is(bool)),
    "str": ("a word", _is(str)),
    "list[int]": ("a list of whole numbers", lambda value: type(value) is list and all(map(_is(int), value))),
}


def _shown(value: Any) -> str:
    """Return a value as YAML has it in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
