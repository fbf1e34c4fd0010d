"""Registered files that are not shipped: downloaded once into a cache folder, and verified at each use."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from lifecycle.credentials import masked
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.runtime.lines import say

CACHE = "LIFECYCLE_CACHE"
SECONDS = 30
"""Timeout of a download's connection and of each read."""

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file."""


@dataclass(frozen=True)
class Download:
    """A file that can be downloaded.

    Attributes:
        name: path in the cache folder.
        sha256: of the content; for a gzip file, of the unpacked content.
        addresses: URLs, tried in order.
    """

    name: str
    sha256: str
    addresses: tuple[str, ...]


def _mnist(name: str, sha256: str) -> Download:
    bases = ("https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist")
    return Download(f"mnist/{name}.gz", sha256, tuple(f"{base}/{name}.gz" for base in bases))


REGISTERED: dict[str, tuple[Download, ...]] = {
    "monthly-car-sales.csv": (
        Download(
            "monthly-car-sales.csv",
            "a4194226eb1d0eba5fd503e829b1279f1a10683d8009f2871aca05e7fb648f70",
            ("https://raw.githubusercontent.com/jbrownlee/Datasets/master/monthly-car-sales.csv",),
        ),
    ),
    "mnist": (
        _mnist("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        _mnist("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        _mnist("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        _mnist("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
}
"""Names for ``data.path=download:<name>``."""


def registered(name: str) -> tuple[Download, ...]:
    """Return the files of a registered name.

    Raises:
        RequestError: the name is not registered.
    """
    if name not in REGISTERED:
        remedy = f"{did_you_mean(name, REGISTERED)} Choose from: {', '.join(REGISTERED)}."
        raise RequestError(Setting("data.path", f"download:{name}"), "is not known", remedy=remedy)
    return REGISTERED[name]


def folder() -> Path:
    """Return the cache folder: ``LIFECYCLE_CACHE``, or ``lifecycle`` in the user's own cache folder."""
    if folder_of_user := os.environ.get(CACHE):
        return Path(folder_of_user).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    return (Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".cache") / "lifecycle"


def content(download: Download, path: str, cache: Path | None = None) -> bytes:
    """Return the content of a registered file; download it if it is not in the cache folder.

    Args:
        download: the file.
        path: the value of data.path, for messages.
        cache: the cache folder; ``None``: :func:`folder`.

    Raises:
        RequestError: the file cannot be downloaded, or it is not the registered one.
    """
    file = (cache or folder()) / download.name
    if not file.is_file():
        return _fetch(download, path, file)
    try:
        return _checked(_bytes(file), download)
    except ValueError as error:
        remedy = (
            f"Remove that file, and the next run downloads it from {download.addresses[0]}, or put the right one there "
            "by hand."
        )
        raise RequestError(Setting("data.path", path), f"is read from {file}, which {error}", remedy=remedy) from error


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error


def _checked(packed: bytes, download: Download) -> bytes:
    """Unpack a file, and raise ``ValueError`` where it is not the registered one."""
    try:
        # A file that a user has put there may be unpacked already.
        found = gzip.decompress(packed) if packed.startswith(GZIP) else packed
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"cannot be unpacked ({error})") from error
    sha256 = hashlib.sha256(found).hexdigest()
    if sha256 != download.sha256:
        raise ValueError(
            f"is not the file that is registered: its sha256 is {sha256[:16]}..., not {download.sha256[:16]}..."
        )
    return found


def _fetch(download: Download, path: str, file: Path) -> bytes:
    """Download and check a file, then rename it into the cache, so that no process reads an incomplete file."""
    failed = []
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for address in download.addresses:
            # On standard error: the output of a command may be parsed.
            say(masked(f"Downloading {address} to {file}"), file=sys.stderr, flush=True)
            # In the same folder, because a file can only be renamed within a file system.
            with tempfile.TemporaryDirectory(dir=file.parent, prefix=".download-") as place:
                try:
                    _get(address, part := Path(place) / file.name)
                    found = _checked(part.read_bytes(), download)
                except ValueError as error:
                    failed.append(f"{address} ({error})")
                    continue
                part.replace(file)
                return found
    except OSError as error:
        problem = f"cannot be kept in {file.parent}: {error.strerror or error}"
        remedy = f"Make room there, or set {CACHE} to another folder."
        raise RequestError(Setting("data.path", path), problem, remedy=remedy) from error
    raise RequestError(
        Setting("data.path", path),
        f"could not be downloaded from {' nor from '.join(failed)}",
        remedy=f"Put it at {file} by hand, or set {CACHE} to a folder that has {download.name}.",
    )


def _get(address: str, file: Path) -> None:
    """Download a URL into a file.

    Raises:
        ValueError: the download failed; the message is the reason, as part of a sentence.
    """
    import pooch
    import requests

    # pooch raises the exceptions of requests, whose messages repeat the URL.
    try:
        pooch.HTTPDownloader(chunk_size=1 << 16, timeout=SECONDS)(address, str(file), None)
    except requests.HTTPError as error:
        raise ValueError(str(error).partition(" for url")[0]) from error
    except requests.RequestException as error:
        raise ValueError(unreachable(error, SECONDS) or str(error)) from error


def unreachable(error: Exception, seconds: float) -> str | None:
    """Return why a server could not be reached, as part of a sentence; ``None``: it answered.

    Args:
        error: of the library requests.
        seconds: that an answer was waited for.
    """
    import requests

    # Before ConnectionError: a ConnectTimeout is both.
    if isinstance(error, requests.Timeout):
        return f"no answer within {seconds:g} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off"
    return "no connection" if isinstance(error, requests.ConnectionError) else None
