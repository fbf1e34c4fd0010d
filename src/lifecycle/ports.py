"""Ports of this machine that a server is to listen on."""

from __future__ import annotations

import socket

from lifecycle.errors import RequestError

HOST = "127.0.0.1"
"""Servers answer this machine alone."""


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
        raise RequestError(f"port={port} {what}. Use another, such as port={other}.") from error
    return taken
