"""Ports of this machine that a server is to listen on, and the names that it is called by."""

from __future__ import annotations

import re
import socket

from lifecycle.errors import RequestError, Setting

HOST = "127.0.0.1"
"""Servers answer this machine alone."""

NAMES = ("localhost", HOST, "[::1]")
"""What this machine calls itself."""

AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?)(:\d{1,5})?", re.IGNORECASE)
"""A host name or address, an IPv6 address in brackets, with a port or without."""


def is_host(name: str) -> bool:
    """Tell whether a text is a host name or an address, without a port."""
    match = AUTHORITY.fullmatch(name)
    return match is not None and match["host"] == name


def host_of(authority: str) -> str | None:
    """Return the host of ``host`` or ``host:port`` in lower case; ``None``: it is neither."""
    match = AUTHORITY.fullmatch(authority)
    return None if match is None else match["host"].lower()


def take(port: int) -> socket.socket:
    """Return a socket that listens on a port; the next free one is not taken silently.

    Raises:
        RequestError: the port is taken, or not for this user.
    """
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
        taken.listen()  # two may be bound to a port until one listens
    except OSError as error:
        taken.close()
        what = "is for the system" if isinstance(error, PermissionError) else "is taken"
        other = port + 1 if 1024 <= port < 65535 else 5001
        raise RequestError(
            Setting("port", port), what, remedy=["Use another, such as ", Setting("port", other), "."]
        ) from error
    return taken
