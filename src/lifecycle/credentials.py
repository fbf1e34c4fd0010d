"""Masks credentials in everything that is printed or recorded: user and password of a URL, tokens, signatures.

Values of environment variables are replaced by the expression that was written, such as ``${oc.env:NAME}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

MASK = "***"
"""Replaces a credential."""

FEWEST_CHARACTERS, FEWEST_WITHIN_WORDS = 4, 8
"""Shorter values of environment variables are no secrets; those shorter than the second are hidden as whole words."""

_OF_TOKENS = r"(?<![_-])|" + "|".join(  # not cls_token and pad_token, options of language models
    f"(?<={name}[_-])"
    for name in (
        "access",
        "api",
        "auth",
        "bearer",
        "hf",
        "hub",
        "id",
        "private",
        "refresh",
        "secret",
        "security",
        "session",
    )
)
_NAME = (
    rf"(?:(?:{_OF_TOKENS})token|secret|password|passwd|passphrase|pwd|credentials?|signature|authorization|"
    r"api[_-]?key|(?:access|account|secret|private|shared|subscription|signing)[_-]?key(?:[_-]?id)?)"
)
_KEY = re.compile(rf"(?:[\w-]*[_-])?{_NAME}", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ESCAPED = r"\\{0,4}"  # Hydra escapes characters of its grammar in the overrides of a job
_QUERY = re.compile(
    rf"([?&;](?:(?:[\w-]{{0,40}}[_-])?{_NAME}|AWSAccessKeyId|accessToken|clientSecret|sig|sas|jwt|key|code|auth){_ESCAPED}=)"
    r"([^&;#\s'\"<>]+)",
    re.IGNORECASE,
)
_BEFORE = r"(?<![A-Za-z0-9])"
_VALUE = r"(\"[^\"]*\"|'[^']*'|[^\s'\",;&\[\]{}()]+)"
_ASSIGNED = re.compile(rf"({_BEFORE}{_NAME}{_ESCAPED}=){_VALUE}", re.IGNORECASE)
_QUOTED = re.compile(rf"(['\"][\w.-]{{0,80}}{_BEFORE}{_NAME}['\"]:[ \t]*){_VALUE}", re.IGNORECASE)
_LINE = re.compile(rf"(^[ \t-]*[\w.-]{{0,80}}{_BEFORE}{_NAME}:[ \t]+)(\S.*)$", re.IGNORECASE | re.MULTILINE)
_HEADER = re.compile(r"(\b(?:authorization\W{1,4}(?:basic|bearer|token)|bearer)\s+)([\w.~+/=-]{8,})", re.IGNORECASE)
_PAIR = r"[^\s/?#:@'\"<>\[]{0,100}:(?!\d{1,5}(?:[/?#\s'\",)\]}.;]|$))[^\s<>]{0,300}@"  # unencoded too
_CUT_PAIR = r"[^\s/?#:@'\"<>\[]{1,100}:(?![\d*])[^\s<>'\"/]{1,300}"  # in a text that was shortened
_URL = re.compile(
    rf"(\b[a-z][a-z0-9+.-]{{1,20}}{_ESCAPED}://)(?!/)({_PAIR}|(?:[^\s/?#'\"<>@]{{0,300}}@)+|{_CUT_PAIR})"
    rf"|(\b[a-z][a-z0-9+.-]{{1,20}}{_ESCAPED}:/)(?!/)({_PAIR})",  # after pathlib has removed a slash
    re.IGNORECASE,
)
_INTERPOLATION = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")
_OPEN, _CLOSE = "\ue000", "\ue001"  # private use characters: stand for an interpolation while the rest is masked
_KEPT = re.compile(f"{_OPEN}(\\d+){_CLOSE}")

_hidden: ContextVar[Mapping[str, str] | None] = ContextVar("hidden", default=None)


def masked(text: str) -> str:
    """Return a text with credentials replaced by ``***``; an interpolation such as ``${oc.env:PW}`` is kept.

    >>> masked("https://jane:pw@example.com/x.csv?token=abc&rows=5")
    'https://***@example.com/x.csv?token=***&rows=5'
    >>> masked("https://jane:${oc.env:PW}@example.com/x.csv")
    'https://jane:${oc.env:PW}@example.com/x.csv'
    """
    return _masked(text, _hidden.get() or {})


def masked_values(value: Any, key: str = "") -> Any:
    """Return JSON values with credentials masked, including those that only their key shows to be one.

    Args:
        value: of JSON's types.
        key: of the value.

    >>> masked_values({"password": "x", "path": "https://a:b@c/d"})
    {'password': '***', 'path': 'https://***@c/d'}
    """
    if isinstance(value, dict):
        return {name: masked_values(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(masked_values(item, key) for item in value)
    if not isinstance(value, str):
        return value
    if value and is_credential(key) and not _INTERPOLATION.fullmatch(value):
        return MASK
    return _masked(value, {})


def masked_word(word: str) -> str:
    """Return a ``key=value`` argument with credentials masked.

    >>> masked_word("data.password=two words"), masked_word("data.password=${oc.env:PW}")
    ('data.password=***', 'data.password=${oc.env:PW}')
    """
    key, equals, value = word.partition("=")
    return f"{key}{equals}{masked_values(value, key)}" if equals and is_credential(key) else masked(word)


def is_credential(key: str) -> bool:
    """Return whether the value of a key is a credential, by the last part of its name.

    >>> is_credential("data.api_key"), is_credential("data.clientSecret"), is_credential("model.tokens")
    (True, True, False)
    """
    name = _CAMEL.sub("_", key.rpartition(".")[2])
    return _KEY.fullmatch(name) is not None


@contextmanager
def hiding(values: Mapping[str, str]) -> Iterator[None]:
    """Let :func:`masked` replace values by texts within the block, and mask the exceptions that leave it.

    Args:
        values: value -> text, such as the value of an environment variable -> its expression.
    """
    token = _hidden.set({**(_hidden.get() or {}), **{value: shown for value, shown in values.items() if value}})
    try:
        yield
    except BaseException as error:
        mask_error(error)
        raise
    finally:
        _hidden.reset(token)


class MaskedStream:
    """A text stream that masks credentials."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text with its credentials masked."""
        return self._stream.write(masked(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def mask_error(error: BaseException) -> None:
    """Mask the texts of an exception and of its causes in place: a caller may print them."""
    # Exceptions may refer to each other in a cycle.
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.args = tuple(masked(value) if isinstance(value, str) else value for value in one.args)
        if isinstance(one, OSError):
            for name in ("filename", "filename2"):
                if isinstance(value := getattr(one, name), str):
                    setattr(one, name, masked(value))
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
        waiting += getattr(one, "exceptions", ())


def _masked(text: str, hidden: Mapping[str, str]) -> str:
    kept: list[str] = []

    def keep(expression: str) -> str:
        kept.append(expression)
        return f"{_OPEN}{len(kept) - 1}{_CLOSE}"

    while (found := _INTERPOLATION.search(text)) is not None:  # inner ones first
        text = text[: found.start()] + keep(found[0]) + text[found.end() :]
    for value, expression in sorted(hidden.items(), key=lambda item: -len(item[0])):
        if len(value) >= FEWEST_CHARACTERS and value in text:
            text = re.sub(_pattern(value), keep(expression), text)
    # Most texts have none of these characters, and the regular expressions are slow.
    if any(sign in text for sign in "@=:") or "earer" in text:
        text = _URL.sub(_without_user, text)
        for pattern in (_QUERY, _HEADER, _ASSIGNED, _QUOTED, _LINE):
            text = pattern.sub(lambda found: found[1] + _hide(found[2]), text)
    while _KEPT.search(text):
        text = _KEPT.sub(lambda found: kept[int(found[1])], text)
    return text


def _pattern(value: str) -> str:
    pattern = re.escape(value)
    return rf"(?<!\w){pattern}(?!\w)" if len(value) < FEWEST_WITHIN_WORDS else pattern


def _hide(value: str) -> str:
    """Return the mask, in the quotes of the value; an interpolation is kept."""
    quote = value[0] if value[0] in "'\"" else ""
    inner = value.strip(quote) if quote else value
    return value if _KEPT.sub("", inner) == "" else f"{quote}{MASK}{quote}"


def _without_user(found: re.Match[str]) -> str:
    """Mask user and password, unless the password is an interpolation."""
    scheme, user = (found[1], found[2]) if found[1] else (found[3], found[4])
    _, _, password = user.removesuffix("@").partition(":")
    return scheme + (user if password and _hide(password) == password else f"{MASK}@")
