"""Has MLflow refuse an answer that was cut off, which it takes for an empty one.

To a search, an empty answer says that there is no such run, and a second one would be created.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

SIZES = ("content-length", "transfer-encoding")
"""Headers by which an HTTP client knows how long an answer is; without either, an answer may be cut off."""
WITHOUT_BODY = (204, 304)


def require_complete() -> None:
    """Check each answer from now on; MLflow keeps its sessions, so that each is given the check once."""
    module: Any = import_module("mlflow.utils.request_utils")
    made = module._get_request_session
    if getattr(made, "checks", False):
        return

    def checked(*arguments: Any, **named: Any) -> Any:
        session = made(*arguments, **named)
        if check not in session.hooks["response"]:
            session.hooks["response"].append(check)
        return session

    checked.checks = True  # type: ignore[attr-defined]
    module._get_request_session = checked


def check(response: Any, *_: Any, **named: Any) -> None:
    """Raise requests' ConnectionError for an answer without a size and a body: its end was not received."""
    has_size = any(name in response.headers for name in SIZES)
    if has_size or named.get("stream") or response.status_code in WITHOUT_BODY or response.content:
        return
    from requests.exceptions import ConnectionError as CutError

    raise CutError("the connection was cut during an answer", response=response)
