"""What may name the place of runs: a folder. Addresses of servers and databases are refused, as not supported yet."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lifecycle.credentials import masked
from lifecycle.errors import RequestError

DATABASE = "mlflow.db"
"""The file, in the folder of the runs, that MLflow's database is."""

VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
DEFAULT = "mlruns"

_SCHEMES = (
    *("file", "sqlite", "http", "https", "mysql", "postgres", "postgresql", "mssql", "oracle", "databricks"),
    *("databricks-uc", "uc", "s3", "gs", "abfs", "abfss", "wasb", "wasbs", "dbfs", "hdfs", "viewfs", "ftp", "sftp"),
)
_ADDRESS = re.compile(
    rf"(?:[a-z][a-z0-9+.-]*://|(?:{'|'.join(_SCHEMES)})(?:\+\w+)?:|databricks(?:-uc)?$)", re.IGNORECASE
)
_MOST_CHARACTERS = 100


def check_folder(name: str) -> None:
    """Refuse an address in place of a folder.

    Raises:
        ValueError: it is one; says which folder to write instead.
    """
    if _ADDRESS.match(name.strip()):
        raise ValueError(f"dir must be a folder, got {_short(name)}. {_cure(name.strip())}")


def check_environment(folder: str) -> None:
    """Refuse to ignore an address in the environment where no folder was chosen.

    Args:
        folder: ``tracking.dir``; one that is not the default was chosen, and goes before the environment.

    Raises:
        RequestError: a variable of MLflow's names another place.
    """
    for variable in VARIABLES:
        address = os.environ.get(variable, "").strip()
        if not address or folder != DEFAULT or _is_within(address, Path(folder)):
            continue
        raise RequestError(
            f"{variable} is set to {_short(address)}, and tracking servers and other databases are not supported yet: "
            f"runs are kept in a folder. Unset it, or choose the folder with tracking.dir=./{DEFAULT}."
        )


def checked(folder: str) -> str:
    """Return the folder of runs, for Hydra, which makes a folder in it before a job of a multirun begins.

    Raises:
        RequestError: it is an address, or the environment names another place.
    """
    try:
        check_folder(folder)
    except ValueError as error:
        raise RequestError(f"tracking.{error}") from error
    check_environment(folder)
    return folder


def _cure(address: str) -> str:
    """Return what to write instead."""
    scheme, _, rest = address.partition(":")
    path = _path(address)
    if scheme.lower() == "file" and path is not None:
        return f"Write the path alone: tracking.dir={_short(str(path))}."
    if scheme.lower() == "sqlite" and path is not None:
        if path.name == DATABASE:
            return f"Write the folder of {DATABASE} alone: tracking.dir={_short(str(path.parent))}."
        return f"Runs are kept in {DATABASE} within a folder: write tracking.dir=<folder>, such as {DEFAULT}."
    folder = f" (a folder of that name is ./{address})" if not rest else ""
    return (
        f"Tracking servers and other databases are not supported yet{folder}: write tracking.dir=<folder>, such as "
        f"{DEFAULT}."
    )


def _path(address: str) -> Path | None:
    """Return the file or folder of this machine that an address names; ``None``: it names none."""
    parts = urlsplit(address)
    if parts.scheme.lower() == "sqlite":
        path = parts.path[1:] if address[len("sqlite:") :].startswith("//") else parts.path  # three slashes: relative
        return Path(path) if path and not parts.netloc else None
    if parts.scheme.lower() == "file":
        return Path(url2pathname(parts.path)) if parts.path and parts.netloc in ("", "localhost") else None
    return None if _ADDRESS.match(address) else Path(address)


def _is_within(address: str, folder: Path) -> bool:
    """Tell whether an address is that of a folder, or of its database."""
    path = _path(address)
    wanted = folder.expanduser().resolve()
    return path is not None and path.expanduser().resolve() in (wanted, wanted / DATABASE)


def _short(text: str) -> str:
    shown = masked(text.strip())
    return shown if len(shown) <= _MOST_CHARACTERS else f"{shown[:_MOST_CHARACTERS]}..."
