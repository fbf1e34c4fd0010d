"""Checks that runs are recorded in a folder: addresses of servers and databases are not supported yet."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from lifecycle import layout
from lifecycle.credentials import masked
from lifecycle.errors import Either, FieldError, RequestError, Text, field_error

VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
DEFAULT = "mlruns"

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


def check_environment(folder: str) -> None:
    """Refuse an address in MLflow's environment variables where no folder was chosen: ignoring it would surprise.

    Args:
        folder: ``tracking.dir``; a folder other than the default was chosen, and takes precedence.

    Raises:
        RequestError: a variable names another place.
    """
    for variable in VARIABLES:
        address = os.environ.get(variable, "").strip()
        if not address or folder != DEFAULT or _is_within(address, Path(folder)):
            continue
        raise RequestError(
            variable,
            f"is set to {_short(address)}, and tracking servers and other databases are not supported yet: runs are "
            "kept in a folder",
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
    check_environment(folder)
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
    folder = f" (a folder of that name is ./{address})" if not rest else ""
    not_yet = f"Tracking servers and other databases are not supported yet{folder}: write "
    return [not_yet, _argument("<folder>"), f", such as {DEFAULT}."]


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
