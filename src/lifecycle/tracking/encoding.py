"""Messages to the process that records, and its answers, as one line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lifecycle.errors import UNSET, Either, RequestError, Setting, Text
from lifecycle.tracking.messages import Message


@dataclass(frozen=True)
class Answer:
    """What the worker returns for a message with a number.

    Attributes:
        number: of the message.
        reply: fields of its reply.
        failed: why the run cannot be recorded; empty: it can.
        refused: fields of a RequestError, see :func:`encode_error`.
    """

    number: int
    reply: dict[str, Any] = field(default_factory=dict)
    failed: str = ""
    refused: dict[str, Any] | None = None


def encode(message: Message[Any], number: int | None) -> bytes:
    """Return the line of a message; ``number`` asks for an answer."""
    values = {item.name: getattr(message, item.name) for item in fields(message)}
    return json.dumps({"type": type(message).__name__, "number": number, "fields": values}).encode() + b"\n"


def decode(line: bytes) -> tuple[Message[Any], int | None]:
    """Return the message of a line, and its number where an answer is awaited."""
    read = json.loads(line)
    return TYPES[read["type"]](**read["fields"]), read["number"]


def encode_answer(answer: Answer) -> bytes:
    """Return the line of an answer."""
    return json.dumps(asdict(answer)).encode() + b"\n"


def decode_answer(line: bytes) -> Answer:
    """Return the answer of a line."""
    return Answer(**json.loads(line))


def encode_error(error: RequestError) -> dict[str, Any]:
    """Return the parts of an error in plain values, so that Python can word the keys in them."""
    # `got` may be of any type, also of one that JSON does not have.
    got = {} if error.got is UNSET else {"got": str(error.got)}
    return {name: _plain(getattr(error, name)) for name in ("key", "problem", "remedy")} | got


def decode_error(parts: Mapping[str, Any]) -> RequestError:
    """Return the error of :func:`encode_error`."""
    texts = {name: _text(value) for name, value in parts.items()}
    return RequestError(**texts)


def _plain(text: Text) -> Any:
    if isinstance(text, Setting):
        value = str(text.value) if isinstance(text.value, Path) else text.value
        return {"key": text.key} if value is UNSET else {"key": text.key, "value": value}
    if isinstance(text, Either):
        return asdict(text)
    return text if isinstance(text, str) else [_plain(piece) for piece in text]


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return Setting(**value) if "key" in value else Either(**value)
    return value if isinstance(value, str) else [_text(piece) for piece in value]


def _types(base: type[Message[Any]]) -> dict[str, type[Message[Any]]]:
    found = {base.__name__: base}
    for cls in base.__subclasses__():
        found |= _types(cls)
    return found


TYPES = _types(Message)
"""The messages by the name on the line."""
