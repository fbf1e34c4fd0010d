"""Why a server has not answered, in a sentence."""

from __future__ import annotations

from lifecycle.credentials import masked
from lifecycle.errors import first_line

_MOST_CHARACTERS = 200


def explanation(error: BaseException) -> str:
    """Return why a server has not taken something, in one sentence without credentials and a full stop."""
    text = masked(first_line(error))
    for word, said in _KNOWN.items():
        if word in text:
            text = said
            break
    return text[:_MOST_CHARACTERS].rstrip(". ")


_KNOWN: dict[str, str] = {
    "Connection refused": "it refuses connections: no server is running there",
    "Name or service not known": "its name is not known",
    "Temporary failure in name resolution": "its name cannot be resolved now",
    "Read timed out": "it does not answer",
    "Max retries exceeded": "it cannot be reached",
    "401": "it does not accept the name or the password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "database is locked": "the local database is locked by another process",
}
