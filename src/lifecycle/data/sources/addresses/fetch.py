"""Files at addresses: fetched into the cache folder, and fetched again only if they have changed there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from lifecycle.credentials import masked
from lifecycle.data.formats import names
from lifecycle.data.sources.addresses.answers import About, Answer, OfflineError
from lifecycle.data.sources.downloads import CACHE, folder
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime.files.digests import sha256
from lifecycle.runtime.lines import say

HTTP = ("http", "https")
STORAGE = ("s3", "gs", "gcs", "az", "abfs", "ftp", "sftp")
"""Schemes of other storage, which fsspec reads."""

ABOUT = ".about.json"
SECONDS_VALID = 300
"""After so long the same process asks again whether a file has changed: one run sees one content."""

_fetched: dict[str, tuple[float, Path]] = {}


def is_remote(path: str) -> bool:
    """Return whether a path is the address of a file elsewhere."""
    return names.scheme_of(path) in (*HTTP, *STORAGE)


def fetch(address: str, key: Setting, headers: Mapping[str, str] | None = None, name: str = "") -> Path:
    """Return the file at an address in the cache folder; fetch it if it is new or has changed.

    Without a connection, the file of the cache is used and this is said on standard error.

    Args:
        address: ``http(s)://``, or a storage such as ``s3://bucket/rows.parquet``.
        key: of the address, for messages.
        headers: of the request.
        name: of the file; "": that of the address or of the answer.

    Raises:
        RequestError: there is no such file, it cannot be fetched, or a package is missing.
    """
    checked, file = _fetched.get(address, (0.0, None))
    if file is not None and file.is_file() and time.monotonic() - checked < SECONDS_VALID:
        return file
    # User and password are no part of the key; what follows ? is, since it may choose the content.
    digest = hashlib.sha256(_without_user(address).encode()).hexdigest()
    place = folder() / "remote" / digest[:16]
    try:
        place.mkdir(parents=True, exist_ok=True)
        from filelock import FileLock

        with FileLock(place / ".lock"):
            found = _newest(address, place, key, headers or {}, name)
    except OSError as error:
        problem = f"cannot be kept in {place}: {error.strerror or error}"
        raise RequestError(key, problem, remedy=f"Make room there, or set {CACHE} to another folder.") from error
    _fetched[address] = (time.monotonic(), found)
    return found


def _newest(address: str, place: Path, key: Setting, headers: Mapping[str, str], name: str) -> Path:
    known = _known(place)
    try:
        with _open(address, key, known, headers, name) as opened:
            answer = replace(opened, name=_safe(opened.name))
            if answer.blocks is None and known is not None:
                return place / known.name
            return _store(address, place, answer, key)
    except OfflineError as error:
        if known is None:
            remedy = "Check the address and the connection."
            raise RequestError(key, f"could not be fetched: {error}", remedy=remedy) from error
        _say(
            f"{address} cannot be reached ({error}). The file of {known.fetched} UTC is used, from "
            f"{place / known.name} (sha256 {known.sha256[:16]}...)"
        )
        return place / known.name


def _known(place: Path) -> About | None:
    """Return what the cache has; ``None``: nothing, or not what it had."""
    try:
        known = About(**json.loads((place / ABOUT).read_text(encoding="utf-8")))
        return known if sha256(place / known.name) == known.sha256 else None
    except (OSError, ValueError, TypeError):
        return None


def _store(address: str, place: Path, answer: Answer, key: Setting) -> Path:
    """Write the content, then rename it, so that no process reads an incomplete file."""
    names.ending(answer.name, key)  # before a large file is fetched in vain
    size = "" if answer.size is None else f" ({_size(answer.size)})"
    _say(f"Downloading {address}{size} to {place / answer.name}")
    found, written = hashlib.sha256(), 0
    with tempfile.TemporaryDirectory(dir=place, prefix=".part-") as part:
        file = Path(part) / answer.name
        with file.open("wb") as out:
            for block in answer.blocks or ():
                out.write(block)
                found.update(block)
                written += len(block)
        if answer.size is not None and written != answer.size:
            raise OfflineError(f"the connection was cut off after {_size(written)} of {_size(answer.size)}")
        now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        about = About(answer.name, masked(address), answer.version, found.hexdigest(), written, now)
        (Path(part) / ABOUT).write_text(json.dumps(asdict(about), indent=1), encoding="utf-8")
        file.replace(place / answer.name)
        (Path(part) / ABOUT).replace(place / ABOUT)
    return place / answer.name


def _open(
    address: str, key: Setting, known: About | None, headers: Mapping[str, str], name: str
) -> contextlib.AbstractContextManager[Answer]:
    # Imported where they are needed: both import libraries that take long.
    if names.scheme_of(address) in HTTP:
        from lifecycle.data.sources.addresses import http

        return http.answer(address, key, known, headers, name)
    from lifecycle.data.sources.addresses import storage

    return storage.answer(address, key, known)


def _safe(name: str) -> str:
    """Return a name for a file that is no path, and not one of the cache's own names, which begin with a dot."""
    return Path(name.replace("\\", "/")).name.lstrip(".")[-100:] or "rows"


def _without_user(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _say(sentence: str) -> None:
    # On standard error: the output of a command may be parsed.
    say(masked(sentence), file=sys.stderr, flush=True)


def _size(size: int) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB" if size >= 1e6 else f"{size / 1e3:.3g} kB"
