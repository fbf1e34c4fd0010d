"""Why a server has not answered, in a sentence."""

from __future__ import annotations

import re

from lifecycle.credentials import masked
from lifecycle.errors import first_line, said_by_driver
from lifecycle.tracking.database.faults import chain, is_busy

_MOST_CHARACTERS = 200
_SEVERAL = "failures occurred while "

PACKAGES = {
    "boto3": "nn-lifecycle[s3]",
    "google": "google-cloud-storage",
    "azure": "azure-storage-blob",
}
"""Top module -> what pip installs, of the storage in which a server keeps artifacts."""

AWS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"

VARIABLES = "<variables>"
"""Stands for those of the credentials, by the kind of the server."""

MLFLOW = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
DATABRICKS = "DATABRICKS_HOST and DATABRICKS_TOKEN"


def explanation(error: BaseException, address: str) -> str:
    """Return why a server has not taken something, in one sentence without credentials and a full stop.

    Args:
        error: that was raised.
        address: of the server.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        return f"it needs the package {top}, which is not installed: pip install '{PACKAGES.get(top, top)}'"
    text = masked(_first_failure(error))
    for pattern, said in _KNOWN.items():
        if found := re.search(pattern, text):
            variables = DATABRICKS if address.lower().startswith("databricks") else MLFLOW
            text = found.expand(said).replace(VARIABLES, variables)
            break
    else:
        text = masked(said_by_driver(error)) or text
    return text[:_MOST_CHARACTERS].rstrip(". ")


def _first_failure(error: BaseException) -> str:
    """Return the first line of an error, or what MLflow says of the first of several files."""
    lines = str(error).strip().splitlines()
    if lines and _SEVERAL in lines[0]:
        return next((line.strip() for line in lines[1:] if line.strip() and not line.startswith("#")), lines[0])
    return first_line(error)


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


def may_have_lost(error: BaseException) -> bool:
    """Return whether after an error a server may lack what it had confirmed: it, or its database, has gone away.

    Databases may be set to confirm what is not on the disk yet, and another one may take the place of one that failed.
    """
    if is_busy(error):
        return False
    names = {type(one).__name__ for one in chain(error)}
    return is_no_answer(error) or not names.isdisjoint(_OF_DATABASES) or bool(_OF_SERVER.search(str(error)))


_OF_DATABASES = {"OperationalError", "InterfaceError"}
"""Of the drivers of databases, as Python's DB-API 2.0 names the errors of a connection, and of SQLAlchemy."""

_OF_SERVER = re.compile(r"error code 5\d\d\b|TEMPORARILY_UNAVAILABLE|INTERNAL_ERROR")

_KNOWN: dict[str, str] = {
    # The storage in which the server keeps artifacts, where clients send them there themselves.
    "Could not connect to the endpoint URL|Connect timeout on endpoint URL|Read timeout on endpoint URL": (
        "the storage of its artifacts cannot be reached: check MLFLOW_S3_ENDPOINT_URL"
    ),
    "Unable to locate credentials": f"its artifacts are on S3, and no credentials are set: set {AWS}",
    r"\(NoSuchBucket\)": "the bucket of its artifacts does not exist",
    r"\((?:AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidClientTokenId|403)\)": (
        f"the storage of its artifacts does not accept the credentials: check {AWS}"
    ),
    r"The config profile \((.+)\) could not be found": r"AWS_PROFILE is \1, which the files of AWS do not have",
    "Reading Databricks credential configuration failed": (
        "no credentials of Databricks are found: set <variables>, or name a profile of "
        "~/.databrickscfg, as in databricks://<profile>"
    ),
    "Connection refused": "it refuses connections: no server is running there",
    "Name or service not known": "its name is not known",
    "Temporary failure in name resolution": "its name cannot be resolved now",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted: set MLFLOW_TRACKING_SERVER_CERT_PATH to that of its "
    "authority",
    "timed out": "it does not answer",
    "Max retries exceeded": "it cannot be reached",
    "Access denied for user|password authentication failed": (
        "the database does not accept the name or the password of the address"
    ),
    r"Unknown database '([^']*)'|database \"([^\"]*)\" does not exist": "it has no such database: create it there",
    r"error code 429\b": "it answers 429: it gets too many requests",
    # Not in an id or a port, which have these digits too.
    r"error code 401\b|\b401 (?:Client )?Error|\b401\b.*UNAUTHORIZED": (
        f"it does not accept the name or the password: set {VARIABLES}"
    ),
    r"error code 403\b|\b403 (?:Client )?Error|PERMISSION_DENIED": (
        f"it does not permit this to the user of {VARIABLES}"
    ),
    "database is locked|holds the database": "the local database is locked by another process",
}
"""Regular expression of an error -> what is said of it, the first that is found."""
