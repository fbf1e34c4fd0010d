"""Files of web servers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lifecycle.data.formats import names
from lifecycle.data.sources.addresses.answers import About, Answer, OfflineError
from lifecycle.data.sources.downloads import SECONDS, unreachable
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    from requests import Response

BYTES_AT_ONCE = 1 << 18
_FILE_NAME = re.compile(r"filename\*?=(?:UTF-8'')?\"?([^\";]+)\"?", re.IGNORECASE)
REMEDIES = {
    401: "Give user and password in the address, as in https://me:${oc.env:PASSWORD}@host/rows.csv.",
    403: "Check that you may read it, and that a signature in the address has not expired.",
    404: "Check the address.",
}


@contextlib.contextmanager
def answer(address: str, key: Setting, known: About | None, headers: Mapping[str, str], name: str) -> Iterator[Answer]:
    """Ask for a file, unless it is that of the cache.

    Args:
        address: of the file.
        key: of the address, for messages.
        known: what the cache has.
        headers: of the request.
        name: of the file; "": that of the address or of the answer.

    Raises:
        RequestError: the server refuses.
        OfflineError: no answer, also while the content is read.
    """
    import requests

    validators = {}
    if known is not None and known.version:
        field = "If-None-Match" if known.version.startswith(('"', "W/")) else "If-Modified-Since"
        validators[field] = known.version
    # identity: rows.csv.gz must arrive as it is.
    sent = {"Accept-Encoding": "identity", **validators, **headers}
    try:
        with requests.get(address, headers=sent, stream=True, timeout=SECONDS) as response:
            if response.status_code == requests.codes.not_modified:
                yield Answer("", "", None, None)
                return
            _check(response, key)
            size = response.headers.get("Content-Length", "")
            yield Answer(
                name or _name(address, response),
                response.headers.get("ETag") or response.headers.get("Last-Modified", ""),
                int(size) if size.isdigit() and "Content-Encoding" not in response.headers else None,
                response.iter_content(BYTES_AT_ONCE),
            )
    except requests.RequestException as error:
        if (reason := unreachable(error, SECONDS)) is not None:
            raise OfflineError(reason) from error
        raise RequestError(key, f"could not be fetched: {error}", remedy="Check the address.") from error


def _check(response: Response, key: Setting) -> None:
    if not response.ok:
        reason = f"{response.status_code} {response.reason or ''}".strip()
        remedy = REMEDIES.get(response.status_code, "Try again later.")
        raise RequestError(key, f"could not be fetched: the server answers {reason}", remedy=remedy)
    if _type(response) in ("text/html", "application/xhtml+xml"):
        remedy = "Give the address of the file itself, such as that of a link named raw or download."
        raise RequestError(key, "is a web page rather than a file of rows", remedy=remedy)


def _name(address: str, response: Response) -> str:
    """Return the name of a file: of the address, else of the answer, whose media type may tell the format."""
    own = unquote(names.name_in(address)) or "rows"
    found = _FILE_NAME.search(response.headers.get("Content-Disposition", ""))
    for name in (own, unquote(found[1]).rpartition("/")[2] if found else "", unquote(names.name_in(response.url))):
        if names.format_of(name) or names.compression_of(name):
            return name
    kinds: dict[str, str] = {kind: about.endings[0] for about in names.TABLE.values() for kind in about.media_types}
    return own + kinds.get(_type(response), "")


def _type(response: Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
