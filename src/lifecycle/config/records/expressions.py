"""Expressions such as ``${oc.env:NAME}``, which a run records instead of their values: these may be secrets.

They are evaluated again when a run is resumed or repeated. An expression that only refers to another key of the
configuration, such as ``${seed}``, is recorded as its value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lifecycle.credentials import MASK, is_credential, masked_values

Path = tuple[str | int, ...]
"""Keys, and indices of lists, that lead to a value."""

VISIBLE = (("tracking", "dir"), ("tracking", "experiment"))
"""Keys that are recorded as their values: the place of the records is no secret to their reader."""

CARD = (("data", "source"), ("data", "licence"), ("data", "note"))
"""Documentation of the data, on which no run depends; a masked part of it does not prevent a resume."""

_CALLED = re.compile(r"\$\{\s*([A-Za-z_][\w.]*)\s*:")
# Hydra's own resolvers: their values are no secrets, and outside of Hydra `now` and `hydra` do not exist.
_HARMLESS = {"now", "hydra", "python_version"}
_VARIABLE = re.compile(r"oc\.env\s*:\s*['\"]?(\w+)")


def kept(written: Any, values: Any) -> dict[Path, str]:
    """Return the expressions of a configuration that are recorded instead of their values.

    Args:
        written: the configuration in plain values, with interpolations as texts.
        values: the same with interpolations resolved.
    """
    texts = {path: text for path, text in leaves(written) if isinstance(text, str) and "${" in text}
    found = {path: text for path, text in texts.items() if calls(text) - _HARMLESS or "\\${" in text}
    secret = [str(_at(values, path)) for path in found if path not in VISIBLE]
    for path, text in texts.items():
        if any(value and value in str(_at(values, path)) for value in secret):
            found[path] = text  # refers to a key whose value is secret
    return found


def unresolved(written: Any) -> Iterator[tuple[Path, str]]:
    """Yield the path of each text of a configuration that OmegaConf would resolve, and the text."""
    yield from ((path, text) for path, text in leaves(written) if isinstance(text, str) and "${" in text)


def disarmed(text: str) -> str:
    """Return a text that OmegaConf does not resolve; one with a backslash before ``$`` is resolved the second time.

    >>> disarmed("${oc.env:HOME}")
    '$ {oc.env:HOME}'
    """
    return text.replace("${", "$ {")


def put(node: Any, path: Path, value: Any) -> None:
    """Set the value at a path of plain values."""
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value


def leave_out(node: Any, key: str) -> None:
    """Remove a dotted key, if it is there."""
    *above, name = key.split(".")
    for part in above:
        node = node.get(part) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(name, None)


def calls(text: str) -> set[str]:
    """Return the names of the resolvers in a text.

    >>> calls("${oc.env:HOME}/${seed}")
    {'oc.env'}
    """
    return {*_CALLED.findall(text)}


def variables(text: str) -> dict[str, str]:
    """Return a dict from the value of each environment variable in a text to the expression that messages show."""
    names = _VARIABLE.findall(text)
    return {value: f"${{oc.env:{name}}}" for name in names if (value := os.environ.get(name))}


def hidden(values: Any, expressions: Mapping[Path, str]) -> dict[str, str]:
    """Return a dict from each secret value to what messages show instead: its expression, or a mask."""
    found: dict[str, str] = {}
    for path, expression in expressions.items():
        if path in VISIBLE:
            continue
        found |= variables(expression)
        if isinstance(value := _at(values, path), str):
            found[value] = expression
    for path, value in leaves(values):
        if isinstance(value, str) and value and path not in expressions and is_credential(str(path[-1])):
            found[value] = MASK
    return found


def record(values: Any, expressions: Mapping[Path, str], only_texts: bool = False) -> Any:
    """Return a configuration as it is recorded: plain values, with expressions in place and credentials masked.

    Args:
        values: plain, with interpolations resolved.
        expressions: see :func:`kept`.
        only_texts: record an expression whose value is a number, list or mapping as that value.
    """
    if only_texts:
        expressions = {path: text for path, text in expressions.items() if isinstance(_at(values, path), str)}
    return masked_values(_with(values, expressions, ()))


def masked_keys(recorded: Any) -> list[str]:
    """Return the keys of a recorded configuration whose value was masked, and so is lost."""
    return [
        dotted(path)
        for path, value in leaves(recorded)
        if isinstance(value, str) and MASK in value and path not in CARD
    ]


def dotted(path: Path) -> str:
    """Return a path as it is typed: ``data.drop.0``."""
    return ".".join(map(str, path))


def _with(node: Any, expressions: Mapping[Path, str], above: Path) -> Any:
    if above in expressions:
        return expressions[above]
    if isinstance(node, dict):
        return {name: _with(value, expressions, (*above, name)) for name, value in node.items()}
    if isinstance(node, list):
        return [_with(value, expressions, (*above, number)) for number, value in enumerate(node)]
    return node


def leaves(node: Any, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the path of each plain value, and the value."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, (*above, name))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from leaves(value, (*above, number))
    else:
        yield above, node


def _at(node: Any, path: Path) -> Any:
    for part in path:
        node = node[part]
    return node
