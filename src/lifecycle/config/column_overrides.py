"""Overrides that name columns as a file has them, despite Hydra's grammar.

Hydra reads ``data.target=24.00`` as a number and refuses ``data.target=Price (CHF)``. A value of a field that names
columns is a text, so it is quoted before Hydra parses it, where Hydra would read it otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

ONE = ("target", "weight", "time", "group", "split_column", "sep", "decimal", "thousands", "comment")
"""Fields of ``data`` whose value is a text: a column, or a sign."""

SEVERAL = ("drop", "missing_zeros", "names", "missing", "features")
"""Fields of ``data`` that list such texts."""

MAPPINGS = ("rename", "types")
"""Fields of ``data`` with a value for each of some columns."""

STATEMENT = "query"
"""The field of ``data`` whose value is a statement of SQL, with commas of its own, or the name of a table."""

NULL = ("null", "")

_OPEN, _CLOSE = "[{(", "]})"


def quoted(word: str) -> str:
    r"""Return an override with the names of columns quoted where Hydra would read something else.

    >>> quoted("data.target=24.00"), quoted("data.drop=[id,Price (CHF)]"), quoted("data.target=price")
    ("data.target='24.00'", "data.drop=[id,'Price (CHF)']", 'data.target=price')
    >>> quoted("data.query=SELECT a, b FROM houses WHERE town = 'Bern'")
    "data.query='SELECT a, b FROM houses WHERE town = \\'Bern\\''"
    """
    key, equals, value = word.partition("=")
    group, _, field = key.lstrip("+").partition(".")
    if group != "data" or not equals or "${" in value or field not in (*ONE, *SEVERAL, *MAPPINGS, STATEMENT):
        return word
    several = value.startswith("[") and value.endswith("]")
    of_labels = field == "target" and several and len(_parts(value[1:-1])) > 1
    if field in (*ONE, STATEMENT) and not of_labels:
        return f"{key}={_one(value) if field in ONE else _statement(value)}"
    if _is_sweep(value):
        return word
    if (of_labels or field in SEVERAL) and several:
        return f"{key}=[{','.join(map(_element, _parts(value[1:-1])))}]"
    if field in MAPPINGS and value.startswith("{") and value.endswith("}"):
        return f"{key}={_mapping(value)}"
    return word


def decoded(config: DictConfig) -> None:
    """Replace in place each mapping that :func:`quoted` wrote as a text by the mapping itself."""
    for field in MAPPINGS:
        value = OmegaConf.select(config, f"data.{field}", throw_on_missing=False)
        if isinstance(value, str) and value.startswith("{"):
            with open_dict(config):
                config.data[field] = json.loads(value)


def _one(value: str) -> str:
    if value in NULL or _is_text(value):
        return value
    parts = _parts(value)
    if len(parts) > 1 and all(part.strip() for part in parts):
        return ",".join(map(_element, parts))  # a run for each; a name with a comma is typed in quotes
    return value if _is_sweep(value) and value != "," else _in_quotes(value)


def _statement(value: str) -> str:
    return _in_quotes(value) if len(value.split()) > 1 and not _is_text(value) else value


def _element(value: str) -> str:
    text = value.strip()
    return text if not text or _is_text(text) else _in_quotes(text)


def _mapping(value: str) -> str:
    """Return a mapping as Hydra reads it, or as a text in JSON where Hydra cannot read its keys."""
    parsed = _parsed(f"data.rename={value}")
    pairs = [_pair(part) for part in _parts(value[1:-1])]
    if any(name is None for name, _ in pairs) or (parsed is not None and "\\" in value):
        return value
    names = [] if parsed is None else [*map(str, parsed)]
    if names == [name for name, _ in pairs] and all(map(_same, parsed.values(), pairs)):
        return value
    return _in_quotes(json.dumps({str(name): _plain(one) for name, one in pairs}, ensure_ascii=False))


def _same(parsed: Any, pair: tuple[str | None, str]) -> bool:
    """Return whether Hydra reads the value of a pair as it is typed; that of a list or mapping is Hydra's own."""
    return not isinstance(parsed, int | float) or isinstance(parsed, bool) or str(parsed) == pair[1]


def _pair(part: str) -> tuple[str | None, str]:
    """Return the key and the value of a pair, without quotes; ``None`` as the key where there is no colon."""
    for place, sign in _outside(part):
        if sign == ":":
            return _without_quotes(part[:place].strip()), part[place + 1 :].strip()
    return None, ""


def _plain(value: str) -> Any:
    """Return the value of a pair: a list or a mapping as Hydra reads it, else a text."""
    if value[:1] in ("[", "{"):
        parsed = _parsed(f"data.types={value}")
        return json.loads(json.dumps(parsed if parsed is not None else value, default=str))
    return _without_quotes(value)


def _without_quotes(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace(f"\\{text[0]}", text[0])
    return text


def _parts(text: str) -> list[str]:
    """Return the parts of a text between commas that are neither quoted nor in brackets."""
    parts, start = [], 0
    for place, sign in _outside(text):
        if sign == ",":
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return [] if parts == [""] else parts


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """Yield the signs of a text that are neither quoted nor in brackets, with their places."""
    quote, level, before = "", 0, ""
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote and before != "\\" else quote
        elif sign in "'\"" and not text[:place].strip(" ").rpartition(",")[2].strip(" [{:"):
            quote = sign  # at the beginning of a name; the apostrophe of a name is none
        elif sign in _OPEN:
            level += 1
        elif sign in _CLOSE:
            level -= 1
        elif not level:
            yield place, sign
        before = sign


def _is_text(value: str) -> bool:
    """Return whether Hydra reads a value as the text that is typed, or as one in quotes."""
    parsed = _parsed(f"data.target={value}")
    return isinstance(parsed, QuotedString) or (isinstance(parsed, str) and (parsed == value or "\\" in value))


def _is_sweep(value: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_override(f"data.target={value}").is_sweep_override())
    except HydraException:
        return False


def _parsed(word: str) -> Any:
    """Return the value of an override as Hydra parses it, with its quotes; ``None`` where it cannot be parsed."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return None
    return None if override.is_sweep_override() else override._value  # value() strips the quotes


def _in_quotes(text: str) -> str:
    """Return a text in single quotes, as Hydra's grammar escapes it."""
    escaped = ""
    slashes = 0
    for sign in text:
        escaped += "\\" if sign == "'" else ""
        escaped += "\\" * slashes if sign == "'" else ""
        escaped += sign
        slashes = slashes + 1 if sign == "\\" else 0
    return f"'{escaped}{chr(92) * slashes}'"
