"""Where runs are recorded: always in a folder, and from there they are sent to an MLflow server, if there is one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from lifecycle import layout
from lifecycle.config import database_drivers
from lifecycle.credentials import MASK, masked
from lifecycle.errors import Either, FieldError, RequestError, Setting, Text, field_error

VARIABLE, REGISTRY = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
DEFAULT = "mlruns"
LOCAL = "local"
"""Value of ``tracking.uri``: no server, whatever the environment says."""

_SERVER = re.compile(
    r"(?:https?://[^/\s]|(?:postgresql|mysql|mssql|sqlite)(?:\+\w+)?://+[^/\s]|databricks(?:://|$))", re.IGNORECASE
)

_SCHEMES = (
    *("file", "sqlite", "http", "https", "mysql", "postgres", "postgresql", "mssql", "oracle", "databricks"),
    *("databricks-uc", "uc", "s3", "gs", "abfs", "abfss", "wasb", "wasbs", "dbfs", "hdfs", "viewfs", "ftp", "sftp"),
)
# Also `sqlite:x` and `databricks`, which MLflow takes for addresses; a folder of such a name is written ./databricks.
_ADDRESS = re.compile(
    rf"(?:[a-z][a-z0-9+.-]*://|(?:{'|'.join(_SCHEMES)})(?:\+\w+)?:|databricks(?:-uc)?$)", re.IGNORECASE
)
_MOST_CHARACTERS = 100


def check_folder(name: str) -> None:
    """Refuse an address in place of a folder.

    Raises:
        FieldError: the name is an address.
    """
    if _ADDRESS.match(name.strip()):
        raise FieldError("dir", "must be a folder", _short(name), _remedy(name.strip()))


def is_server(address: str) -> bool:
    """Return whether an address is that of a server or a database."""
    return _SERVER.match(address.strip()) is not None


def identity(address: str) -> str:
    """Return what a server is known by, and shown as: its address without credentials, driver and last slash.

    Runs are sent once to a server, whichever of its addresses is typed.

    >>> identity("mysql+pymysql://jane:pw@host/db"), identity("mysql://jane:pw@host/db")
    ('mysql://***@host/db', 'mysql://***@host/db')
    >>> identity("postgres://host/db"), identity("http://host:5000/")
    ('postgresql://host/db', 'http://host:5000')
    """
    scheme, colon, rest = masked(address.strip()).partition(":")
    return f"{database_drivers.split(scheme)[0]}{colon}{rest.rstrip('/')}"


def check_server(address: str) -> None:
    """Refuse an address of which MLflow could make no client.

    Raises:
        FieldError: the address is a folder, or its scheme is not known.
    """
    if address == LOCAL or is_server(address):
        return
    problem = "must be the address of an MLflow server or a database"
    path = _path(address.strip())
    cure: Text = "Write http://host:5000, postgresql://host/name, mysql://host/name, sqlite:///file.db or databricks."
    if path is not None:
        cure = ["A folder is named by ", _argument(str(path)), ". ", cure]
    raise FieldError("uri", problem, _short(address), cure)


def server_of(uri: str | None, folder: str) -> str | None:
    """Return the address of the server or the database to which runs are sent; ``None``: they stay in their folder.

    Args:
        uri: ``tracking.uri``.
        folder: ``tracking.dir``. Where a folder other than the default was chosen, the environment is not asked.

    Raises:
        RequestError: a variable of the environment names what is no server, or another registry.
    """
    if uri == LOCAL:
        return None
    address = (uri or "").strip()
    if not address and folder == DEFAULT:
        address = _of_environment(VARIABLE, folder)
    if not address or _is_within(address, Path(folder)):
        _check_registry(None, folder)
        return None
    if MASK in address:
        raise RequestError(
            Setting("tracking.uri", address),
            "is recorded without its password",
            remedy=["Give it again, or set ", VARIABLE, "."],
        )
    _check_registry(address, folder)
    return address


def check_usable(address: str, experiment: str, is_set: bool) -> None:
    """Refuse, before anything is fitted, what could never be sent to a server.

    Args:
        address: of the server.
        experiment: ``tracking.experiment``.
        is_set: whether ``tracking.uri`` names the server, rather than the environment.

    Raises:
        RequestError: a database whose driver is not installed, or an experiment of a name that Databricks refuses.
    """
    driver = database_drivers.missing(address)
    if driver is not None:
        subject: Text = Setting("tracking.uri", _short(address)) if is_set else f"{VARIABLE}={_short(address)}"
        package = database_drivers.PACKAGES.get(driver, driver)
        remedy = f"Type pip install '{package}'."
        raise RequestError(subject, f"needs the driver {driver}, which is not installed", remedy=remedy)
    if address.lower().startswith("databricks") and not experiment.startswith("/"):
        raise RequestError(
            Setting("tracking.experiment"),
            "must be a path in the workspace, as Databricks asks for",
            experiment,
            ["Write ", Setting("tracking.experiment", f"/Users/<your name>/{experiment}"), "."],
        )


def _of_environment(variable: str, folder: str) -> str:
    address = os.environ.get(variable, "").strip()
    if address and not _is_within(address, Path(folder)) and not _SERVER.match(address):
        raise RequestError(
            variable,
            f"is set to {_short(address)}, which is no server",
            remedy=["Unset it, or choose the folder with ", _argument(f"./{DEFAULT}"), "."],
        )
    return address


def _check_registry(server: str | None, folder: str) -> None:
    """Refuse a registry other than that of the server: ignoring it would surprise."""
    address = os.environ.get(REGISTRY, "").strip()
    if not address or folder != DEFAULT or address == server or (not server and _is_within(address, Path(folder))):
        return
    raise RequestError(
        REGISTRY,
        f"is set to {_short(address)}, and models are registered where the runs are",
        remedy=["Unset it, or choose the folder with ", _argument(f"./{DEFAULT}"), "."],
    )


def checked(folder: str) -> str:
    """Return the folder of runs, checked, for ``hydra.sweep.dir``.

    Hydra creates a folder within it before the first job of a multirun starts, which would check it too late.

    Raises:
        RequestError: the folder is an address, or the environment names another place.
    """
    try:
        check_folder(folder)
    except ValueError as error:
        raise field_error("tracking", error) from error
    server_of(None, folder)
    return folder


def _remedy(address: str) -> Text:
    """Return the sentence on what to write instead of an address."""
    scheme, _, rest = address.partition(":")
    path = _path(address)
    if scheme.lower() == "file" and path is not None:
        return ["Write the path alone: ", _argument(str(path)), "."]
    if scheme.lower() == "sqlite" and path is not None:
        if path.name == layout.DATABASE:
            return [f"Write the folder of {layout.DATABASE} alone: ", _argument(str(path.parent)), "."]
        return [
            f"Runs are kept in {layout.DATABASE} within a folder: write ",
            _argument("<folder>"),
            f", such as {DEFAULT}.",
        ]
    folder = f", or ./{address} for a folder of that name" if not rest else ""
    if not _SERVER.match(address):
        return ["Write ", _argument("<folder>"), f", such as {DEFAULT}{folder}."]
    server = Either(
        command=f"tracking.uri={_short(address)}", python=f'tracking=TrackingConfig(uri="{_short(address)}")'
    )
    return ["A server is named by ", server, f"{folder}; the folder is for checkpoints and what waits to be sent."]


def _argument(folder: str) -> Either:
    """Return the argument that chooses a folder."""
    return Either(command=f"tracking.dir={_short(folder)}", python=f'tracking="{_short(folder)}"')


def _path(address: str) -> Path | None:
    """Return the local file or folder that an address names; ``None`` where it names none."""
    parts = urlsplit(address)
    if parts.scheme.lower() == "sqlite":
        path = parts.path[1:] if address[len("sqlite:") :].startswith("//") else parts.path  # three slashes: relative
        return Path(path) if path and not parts.netloc else None
    if parts.scheme.lower() == "file":
        from urllib.request import url2pathname  # imports ssl, a tenth of the time of --help

        return Path(url2pathname(parts.path)) if parts.path and parts.netloc in ("", "localhost") else None
    return None if _ADDRESS.match(address) else Path(address)


def _is_within(address: str, folder: Path) -> bool:
    """Return whether an address is that of a folder, or of its database."""
    path = _path(address)
    wanted = folder.expanduser().resolve()
    return path is not None and path.expanduser().resolve() in (wanted, wanted / layout.DATABASE)


def _short(text: str) -> str:
    text = masked(text.strip())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
