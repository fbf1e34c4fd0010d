"""A proxy in front of a real server that fails on demand, for tests of what an outage does."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

MODES = ("pass", "refuse", "hang", "500", "429", "cut", "no artifacts", "slow")
"""pass: hand on; refuse: nothing listens; hang: accept, and never answer; 500, 429: answer so; cut: close the
connection within the answer; no artifacts: 500 to uploads of files; slow: hand on after a pause."""

UPLOAD = (b"/api/2.0/mlflow-artifacts/", b"/runs/")
"""In the address of an upload, to a server and to a bucket of S3."""

EXPECT = re.compile(rb"(?<=\r\n)expect: 100-continue\r\n", re.IGNORECASE)
SECONDS_OF_SLOW = 0.3
BYTES_BEFORE_CUT = 40


class Proxy:
    """Listens on a port of its own; the connection to the server is made anew for each client.

    Attributes:
        mode: one of :data:`MODES`.
        port: that it listens on, also after it has refused connections.
        requests: first lines of the requests that have arrived.

    Args:
        target: port of the server on 127.0.0.1.
    """

    def __init__(self, target: int) -> None:
        self.requests: list[bytes] = []
        self._target, self._lock = target, threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._then: tuple[int, str] | None = None
        self._cut: set[bytes] | None = None
        self.mode, self.port = "pass", 0
        self._listen()

    @property
    def address(self) -> str:
        """Return the address that a client is given."""
        return f"http://127.0.0.1:{self.port}"

    def set(self, mode: str) -> None:
        """Change the mode; connections that are open are closed, so that it holds from now on."""
        assert mode in MODES, mode
        self.mode = mode
        if mode == "refuse":
            self._close_listener()
        elif self._listener is None:
            self._listen()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def then(self, after: int, mode: str) -> None:
        """Change the mode after so many more requests."""
        self._then = len(self.requests) + after, mode

    def cut_each_once(self) -> None:
        """Cut the first answer to each request; the same request again is answered."""
        self._cut = set()

    def end(self) -> None:
        """Stop."""
        self._then = None
        self.set("refuse")

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=64)  # with SO_REUSEADDR
        self.port, self._listener = listener.getsockname()[1], listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _close_listener(self) -> None:
        if self._listener is not None:
            # shutdown() first: close() alone leaves a thread in accept(), and with it the port.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        try:
            with contextlib.suppress(OSError):
                while (request := _message(client)) is not None:
                    self.requests.append(request.partition(b"\r\n")[0])
                    if self._then is not None and len(self.requests) > self._then[0]:
                        mode, self._then = self._then[1], None
                        self.set(mode)
                    if not self._answer(client, request):
                        return
        finally:
            with self._lock:
                self._open.discard(client)
            client.close()

    def _answer(self, client: socket.socket, request: bytes) -> bool:
        """Answer a request as the mode says, and return whether the connection stays open."""
        mode = self.mode
        if mode == "hang":
            while self.mode == "hang":
                time.sleep(0.02)
            return False
        if mode in ("500", "429"):
            client.sendall(_refusal(mode))
            return True
        if mode == "no artifacts" and _is_upload(request.partition(b"\r\n")[0]):
            client.sendall(_refusal("500"))
            return True
        if mode == "slow":
            time.sleep(SECONDS_OF_SLOW)
        answer = self._forward(request)
        if self._cut is not None:
            what = request.partition(b"\r\n")[0] + request.partition(b"\r\n\r\n")[2]
            mode = mode if what in self._cut else "cut"
            self._cut.add(what)
        if mode == "cut":  # the server has done what it was asked for, and the client does not know
            client.sendall(answer[:BYTES_BEFORE_CUT])
            return False
        client.sendall(answer)
        return True

    def _forward(self, request: bytes) -> bytes:
        request = EXPECT.sub(b"", request, count=1)  # the client sends the rest already
        with socket.create_connection(("127.0.0.1", self._target), timeout=30) as server:
            server.sendall(request)
            answer = _message(server)
        if answer is None:
            raise ConnectionError("the server has closed the connection")
        return answer


def _is_upload(line: bytes) -> bool:
    return line.startswith(b"PUT") and any(place in line for place in UPLOAD)


def _refusal(status: str) -> bytes:
    reason = {"500": "Internal Server Error", "429": "Too Many Requests"}[status]
    return f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\n\r\n".encode()


def _message(connection: socket.socket) -> bytes | None:
    """Return a whole HTTP message, with its body; ``None``: the connection was closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:])
    if b"100-continue" in fields.get(b"expect", b""):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if b"content-length" in fields:
        most = int(fields[b"content-length"])
        while len(body) < most and (part := connection.recv(65536)):
            body += part
    elif b"chunked" in fields.get(b"transfer-encoding", b""):
        while not body.endswith(b"0\r\n\r\n") and (part := connection.recv(65536)):
            body += part
    return head + b"\r\n\r\n" + body


@contextmanager
def in_front_of(port: int) -> Iterator[Proxy]:
    """Have a proxy in front of the server at a port during the block."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.end()
