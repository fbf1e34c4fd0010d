"""Ports of this machine for servers, and names of hosts."""

from __future__ import annotations

import re
import socket

from lifecycle.errors import RequestError, Setting

HOST = "127.0.0.1"
"""Servers are reachable from this machine only."""

NAMES = ("localhost", HOST, "[::1]")
"""Names of this machine in the Host header of a request."""

AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?)(:\d{1,5})?", re.IGNORECASE)
"""A host name or address (IPv6 in brackets), with or without a port."""


def is_host(name: str) -> bool:
    """Return whether a text is a host name or an address, without a port."""
    match = AUTHORITY.fullmatch(name)
    return match is not None and match["host"] == name


def host_of(authority: str) -> str | None:
    """Return the host of ``host`` or ``host:port`` in lower case; ``None``: it is neither."""
    match = AUTHORITY.fullmatch(authority)
    return None if match is None else match["host"].lower()


def take(port: int) -> socket.socket:
    """Return a socket that listens on a port; if it is taken, no other is chosen, as clients know its number.

    Raises:
        RequestError: the port is taken, or reserved for the system.
    """
    taken = socket.socket()
    # Otherwise a port stays taken for a minute after its server has ended.
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
        taken.listen()  # bind() alone succeeds for two processes, until one of them listens
    except OSError as error:
        taken.close()
        problem = "is reserved for the system" if isinstance(error, PermissionError) else "is taken"
        # Ports below 1024 are reserved for the system, and 65535 is the last one.
        other = port + 1 if 1024 <= port < 65535 else 5001
        raise RequestError(
            Setting("port", port), problem, remedy=["Use another, such as ", Setting("port", other), "."]
        ) from error
    return taken
