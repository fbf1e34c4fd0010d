"""Files of cloud storage (``s3://``, ``gs://``) and of other servers that fsspec reads."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Iterator
from typing import Any

from lifecycle.data.formats import names
from lifecycle.data.sources.addresses.answers import About, Answer, OfflineError
from lifecycle.errors import RequestError, Setting, first_line

BYTES_AT_ONCE = 1 << 20
VERSIONS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "last_modified", "mtime", "modify")
"""What file systems call what changes with the content of a file."""

OFFLINE = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ReadTimeoutError",
    "ClientConnectorError",
    "ServerDisconnectedError",
    "ServerTimeoutError",
    "gaierror",
)
"""Names of the errors of botocore, aiohttp and sockets, which need not be installed, where there is no connection."""

NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError")
SETTINGS: dict[str, dict[str, Any]] = {"s3": {"config_kwargs": {"connect_timeout": 10, "retries": {"max_attempts": 2}}}}


@contextlib.contextmanager
def answer(address: str, key: Setting, known: About | None) -> Iterator[Answer]:
    """Ask for a file, unless it is that of the cache; see :func:`lifecycle.data.sources.addresses.http.answer`."""
    with _explained(key):
        system, path = _system(address, key)
        system, about = _about(system, address, path)
        if about.get("type") == "directory":
            remedy = "Give a file, or several with a pattern such as s3://bucket/folder/*.parquet."
            raise RequestError(key, "is a folder", remedy=remedy)
        size = about.get("size")
        version = next((str(about[name]) for name in VERSIONS if about.get(name)), "")
        if known is not None and version and (known.version, known.size) == (version, size):
            yield Answer("", "", None, None)
            return
        with system.open(path, "rb") as stream:
            yield Answer(names.name_in(address), version, size, iter(lambda: stream.read(BYTES_AT_ONCE), b""))


def listed(address: str, key: Setting) -> list[str]:
    """Return the addresses that a pattern such as ``s3://bucket/part-*.parquet`` stands for, sorted by name.

    Raises:
        RequestError: a package is missing, or the server refuses.
    """
    scheme = names.scheme_of(address)
    try:
        with _explained(key):
            system, path = _system(address, key)
            return [f"{scheme}://{name}" for name in sorted(system.glob(path))]
    except OfflineError as error:
        raise RequestError(key, f"could not be listed: {error}", remedy="Check the connection.") from error


def _system(address: str, key: Setting) -> tuple[Any, str]:
    # gcsfs warns of a detail of the bucket that it may not ask for without credentials.
    logging.getLogger("gcsfs").setLevel(logging.ERROR)
    try:
        import fsspec

        settings = SETTINGS.get(names.scheme_of(address) or "", {})
        return fsspec.core.url_to_fs(address, **settings)  # type: ignore[no-any-return]
    except ImportError as error:
        scheme = names.scheme_of(address)
        if scheme in ("s3", "gs", "gcs"):
            remedy = "Type pip install 'nn-lifecycle[remote]'."
        else:
            remedy = f"{first_line(error)}."
        raise RequestError(key, f"needs a package of fsspec for {scheme}://", remedy=remedy) from error


def _about(system: Any, address: str, path: str) -> tuple[Any, dict[str, Any]]:
    """Return the file system and what it says of a file; of a public bucket, without credentials."""
    try:
        return system, system.info(path)
    except Exception as error:
        if type(error).__name__ not in NO_CREDENTIALS:
            raise
        import fsspec

        public, _ = fsspec.core.url_to_fs(address, anon=True)
        return public, public.info(path)


@contextlib.contextmanager
def _explained(key: Setting) -> Iterator[None]:
    try:
        yield
    except (RequestError, OfflineError):
        raise
    except FileNotFoundError as error:
        raise RequestError(key, "is no file there", remedy="Check the address.") from error
    except PermissionError as error:
        remedy = "Check the credentials of this machine for it."
        raise RequestError(key, f"may not be read: {first_line(error)}", remedy=remedy) from error
    except Exception as error:  # each file system has its own exceptions
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # of the cache folder
        names_of = {type(one).__name__ for one in _causes(error)}
        if names_of & set(OFFLINE) or any(isinstance(one, ConnectionError | TimeoutError) for one in _causes(error)):
            raise OfflineError("no connection") from error
        problem = f"could not be fetched: {type(error).__name__}: {first_line(error)}"
        raise RequestError(key, problem, remedy="Check the address and the credentials of this machine.") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
