"""Requests, answers and limits of the HTTP server, and the protocol of its handler."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

JSON = "application/json"


class Limits(Protocol):
    """Limits on connections and requests; :class:`lifecycle.cli.commands.serve.Serve` documents each."""

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
    """The answer to a request.

    Attributes:
        status: HTTP status code.
        body: JSON, in parts.
        headers: in addition to the usual ones.
    """

    status: int
    body: Sequence[bytes]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def num_bytes(self) -> int:
        """Length of the body in bytes."""
        return sum(map(len, self.body))


class RefusedError(Exception):
    """A request is refused, with a status and a message with the reason and the remedy."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.answer = refusal(status, message, **headers)


@dataclass(frozen=True)
class Head:
    """A request without its body.

    Attributes:
        method: in upper case.
        target: as sent: a path with a query, or a URL.
        headers: by name in lower case.
    """

    method: str
    target: str
    headers: dict[str, str]


class Handler(Protocol):
    """Answers requests."""

    def check(self, head: Head) -> Answer | None:
        """Return the answer to a request that needs no body; ``None``: the body must be read.

        Raises:
            RefusedError: the request is refused, whatever its body.
        """

    def answer(self, head: Head, body: bytes) -> Coroutine[object, object, Answer]:
        """Return the answer to a request."""

    def sent(self, num_bytes: int) -> None:
        """Handle that an answer was sent; ``num_bytes`` counts request and answer."""


def refusal(status: int, message: str, **headers: str) -> Answer:
    """Return a refusal in the format of MLflow's server."""
    # Names of headers have hyphens, which keyword arguments cannot.
    body = json.dumps({"error_code": HTTPStatus(status).name, "message": message}).encode()
    return Answer(status, [body], {name.replace("_", "-"): value for name, value in headers.items()})


def busy(reason: str) -> RefusedError:
    """Return the refusal of a request or connection above a limit."""
    return RefusedError(429, f"{reason} Send the request again after a second.", retry_after="1")
