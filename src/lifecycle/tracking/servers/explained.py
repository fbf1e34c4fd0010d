"""Why a server has not answered, in a sentence."""

from __future__ import annotations

import re

from lifecycle.credentials import masked
from lifecycle.errors import first_line
from lifecycle.tracking.database_faults import chain, is_busy

_MOST_CHARACTERS = 200


def explanation(error: BaseException) -> str:
    """Return why a server has not taken something, in one sentence without credentials and a full stop."""
    text = masked(first_line(error))
    text = next((said for pattern, said in _KNOWN.items() if re.search(pattern, text)), text)
    return text[:_MOST_CHARACTERS].rstrip(". ")


def is_no_answer(error: BaseException) -> bool:
    """Return whether an error is that a server has not answered, or that the local database is locked.

    Such an error is one of all runs.
    """
    if is_busy(error):
        return True
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import Timeout

    text = r"Connection refused|Max retries exceeded|timed out|connection was cut"
    return any(isinstance(one, NoConnectionError | Timeout) for one in chain(error)) or bool(
        re.search(text, str(error))
    )


_KNOWN: dict[str, str] = {
    "Connection refused": "it refuses connections: no server is running there",
    "Name or service not known": "its name is not known",
    "Temporary failure in name resolution": "its name cannot be resolved now",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted: set MLFLOW_TRACKING_SERVER_CERT_PATH to that of its "
    "authority",
    "timed out": "it does not answer",
    "Max retries exceeded": "it cannot be reached",
    r"error code 429\b": "it answers 429: it gets too many requests",
    # Not in an id or a port, which have these digits too.
    r"error code 401\b|\b401 (?:Client )?Error": "it does not accept the name or the password: set "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    r"error code 403\b|\b403 (?:Client )?Error|PERMISSION_DENIED": "it does not permit this to the user",
    "database is locked|holds the database": "the local database is locked by another process",
}
