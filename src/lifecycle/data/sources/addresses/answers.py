"""What a server says of a file, and what the cache has of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """What is known of a file in the cache.

    Attributes:
        name: of the file.
        address: without credentials.
        version: ETag, time of change or the like; "" where the server states none.
        sha256: of the content.
        size: in bytes.
        fetched: when, in UTC.
    """

    name: str
    address: str
    version: str
    sha256: str
    size: int
    fetched: str


class OfflineError(Exception):
    """A server cannot be reached; the message is the reason, as part of a sentence."""


@dataclass(frozen=True)
class Answer:
    """What a server says of a file.

    Attributes:
        name: of the file.
        version: as :attr:`About.version`.
        size: in bytes; ``None``: not stated.
        blocks: the content; ``None``: it is that of the cache.
    """

    name: str
    version: str
    size: int | None
    blocks: Iterator[bytes] | None
