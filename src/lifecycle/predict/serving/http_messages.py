"""What a server of HTTP and its clients exchange, and what handles it."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

JSON = "application/json"


class Limits(Protocol):
    """What a client may do; :class:`lifecycle.cli.commands.serve.Serve` says what each is."""

    max_body_mb: float
    max_requests: int
    max_connections: int
    header_seconds: float
    body_seconds: float
    answer_seconds: float
    idle_seconds: float
    end_seconds: float
    hosts: list[str]


@dataclass(frozen=True)
class Answer:
    """What a client gets.

    Attributes:
        status: of HTTP.
        body: of the type application/json, in parts.
        headers: more than the usual ones.
    """

    status: int
    body: Sequence[bytes]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def num_bytes(self) -> int:
        """How long the body is."""
        return sum(map(len, self.body))


class RefusedError(Exception):
    """A request that is not answered as asked: a status, and a sentence with the reason and what to do."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.answer = refusal(status, sentence, **headers)


@dataclass(frozen=True)
class Head:
    """A request without its body.

    Attributes:
        method: in capitals.
        target: as sent: a path with a query, or a whole address.
        headers: by their names in lower case.
    """

    method: str
    target: str
    headers: dict[str, str]


class Handler(Protocol):
    """What answers requests."""

    def check(self, head: Head) -> Answer | None:
        """Return an answer that takes no body, or ``None`` for a request whose body is to be read.

        Raises:
            RefusedError: the request is refused whatever its body is.
        """

    def answer(self, head: Head, body: bytes) -> Coroutine[object, object, Answer]:
        """Return the answer to a request."""

    def sent(self, num_bytes: int) -> None:
        """Note that an answer was sent; request and answer had so many bytes."""


def refusal(status: int, sentence: str, **headers: str) -> Answer:
    """Return a refusal in MLflow's form."""
    body = json.dumps({"error_code": HTTPStatus(status).name, "message": sentence}).encode()
    return Answer(status, [body], {name.replace("_", "-"): value for name, value in headers.items()})


def busy(what: str) -> RefusedError:
    """Return the refusal of one request or connection too many."""
    return RefusedError(429, f"{what} Send the request again after a second.", retry_after="1")
