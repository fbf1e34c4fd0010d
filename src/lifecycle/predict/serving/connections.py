"""HTTP/1.1 connections with limits on their number, the size of requests and the time that they take.

h11 parses and writes the messages, asyncio transfers the bytes. Each connection is one task, which reads a request, has
the handler answer it and writes the answer, in turn. A client that disconnects cancels its request.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine, Iterator
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import h11

from lifecycle.predict.serving.http_messages import JSON, Answer, Handler, Head, Limits, RefusedError, busy

BYTES_AT_ONCE = 1 << 16
LINGER = 2.0
"""Seconds for which incoming bytes are discarded after the last answer. Closing a socket with unread bytes resets the
connection, and the client may lose the answer."""

UNWATCHED = 0.02
"""Seconds before the server checks whether a client has disconnected; most requests are answered sooner."""


class DisconnectedError(Exception):
    """The client has disconnected."""


class Connections:
    """All connections of a server.

    Args:
        limits: on connections and requests.
        handler: answers requests.
    """

    def __init__(self, limits: Limits, handler: Handler) -> None:
        self.limits, self.handler = limits, handler
        self.num_requests = 0
        self.is_ending = False
        self._open: dict[asyncio.Task[None], Connection] = {}

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until it ends."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs in one
        connection = self._open[task] = Connection(self, reader, writer)
        try:
            # Refusals take connections too. Above twice the limit a connection is closed without an answer.
            if len(self._open) > 2 * self.limits.max_connections:
                return
            if len(self._open) > self.limits.max_connections:
                most = self.limits.max_connections
                await connection.refuse(busy(f"The server has max_connections={most} open connections."))
            else:
                await connection.serve()
        except (DisconnectedError, OSError, TimeoutError, asyncio.CancelledError):
            pass  # the client disconnected or was too slow, or the server is stopping
        finally:
            del self._open[task]
            writer.transport.abort()  # close() would wait for a client that does not read

    async def end(self, seconds: float, at_once: asyncio.Event) -> None:
        """Close all connections: idle ones at once, the others when their request is answered or the time is up.

        Args:
            seconds: to wait for answers.
            at_once: set to stop waiting.
        """
        self.is_ending = True
        for task, connection in list(self._open.items()):
            if connection.is_idle:
                task.cancel()
        interrupt = asyncio.ensure_future(at_once.wait())
        if tasks := list(self._open):
            all_closed = asyncio.ensure_future(asyncio.wait(tasks))
            await asyncio.wait({all_closed, interrupt}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in list(self._open):
                task.cancel()
            await all_closed
        interrupt.cancel()


class Connection:
    """One connection.

    Attributes:
        is_idle: no complete head of a request has been read since the last answer.
    """

    def __init__(self, server: Connections, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.is_idle = True
        self._server, self._limits, self._handler = server, server.limits, server.handler
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER)  # limits the size of headers itself
        self._client = "{}:{}".format(*(writer.get_extra_info("peername") or ("-", "-"))[:2])

    async def serve(self) -> None:
        """Answer requests in turn until the connection ends."""
        more = True
        while more:
            self.is_idle = True
            head = None
            try:
                head = await self._head()
                if head is None:
                    return
                self.is_idle = False
                more = await self._answer(head)
            except RefusedError as refused:
                await self.refuse(refused, head)
                return
            except h11.RemoteProtocolError as error:
                message = f"The request is no valid HTTP/1.1: {error}. Send another."
                await self.refuse(RefusedError(error.error_status_hint, message), head)
                return

    async def refuse(self, refused: RefusedError, head: Head | None = None) -> None:
        """Refuse a request or the whole connection, and close it."""
        self.is_idle = False
        # In other states an answer was begun already, and there is no room for a second one.
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._send(refused.answer, head, is_last=True)
        await self._end()

    async def _head(self) -> Head | None:
        """Read the head of the next request; ``None``: there is none."""
        # A client may pipeline requests, so that the next one has been received already.
        if not self._http.trailing_data[0]:
            try:
                async with asyncio.timeout(self._limits.idle_seconds):
                    data = await self._reader.read(BYTES_AT_ONCE)
            except TimeoutError:
                return None
            self._http.receive_data(data)
        try:
            async with asyncio.timeout(self._limits.header_seconds):
                event = await self._event()
        except TimeoutError:
            raise RefusedError(
                408, f"The headers took more than header_seconds={self._limits.header_seconds:g}. Send them faster."
            ) from None
        if not isinstance(event, h11.Request):
            return None
        # Values may be any bytes, and latin-1 decodes all.
        headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        return Head(event.method.decode(), event.target.decode(), headers)

    async def _event(self) -> object:
        """Return the next part of a request."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(BYTES_AT_ONCE)
            if not data:
                raise DisconnectedError
            self._http.receive_data(data)
        return event

    async def _answer(self, head: Head) -> bool:
        """Answer a request, and return whether another may follow."""
        answer = self._handler.check(head)
        num_bytes = 0
        if answer is None:
            with self._counted():
                body = await self._body(head)
                answer = await self._watched(self._handler.answer(head, body))
            num_bytes = len(body)
            is_whole = True
        else:
            is_whole = isinstance(self._http.next_event(), h11.EndOfMessage)  # else an unread body follows
        is_last = self._server.is_ending or not is_whole
        await self._send(answer, head, is_last)
        self._handler.sent(num_bytes + answer.num_bytes)
        # h11 does not reuse a connection of HTTP/1.0, or one that the client asked to close.
        if is_last or self._http.our_state is not h11.DONE:
            await self._end()
            return False
        self._http.start_next_cycle()
        return True

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a request as in progress, or refuse it."""
        most = self._limits.max_requests
        if self._server.num_requests >= most:
            raise busy(f"The server has max_requests={most} requests in progress.")
        self._server.num_requests += 1
        try:
            yield
        finally:
            self._server.num_requests -= 1

    async def _body(self, head: Head) -> bytes:
        """Read the body of a request."""
        most = self._limits.max_body_mb * 1e6
        too_large = RefusedError(
            413,
            f"The body is larger than max_body_mb={self._limits.max_body_mb:g} MB. Send fewer rows in a request, or use"
            " lifecycle predict for a file.",
        )
        # Refused before it is sent, where the client announces the length; a chunked body is counted.
        # h11 has checked that the length is a number.
        if int(head.headers.get("content-length", 0)) > most:
            raise too_large
        # curl asks for this before it sends a body of more than a megabyte, and otherwise waits a second.
        if self._http.they_are_waiting_for_100_continue:
            self._writer.write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while isinstance(event := await self._event(), h11.Data):
                    body += event.data
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            raise RefusedError(
                408, f"The body took more than body_seconds={self._limits.body_seconds:g}. Send it faster, or less."
            ) from None
        return bytes(body)

    async def _watched(self, work: Coroutine[object, object, Answer]) -> Answer:
        """Return the result of work; cancel it if the client disconnects."""
        working = asyncio.ensure_future(work)
        watch: asyncio.Future[bytes] | None = None
        try:
            await asyncio.wait([working], timeout=UNWATCHED)
            while not working.done():
                # Reading is the only way to see that a client disconnected. More requests are read up to a limit.
                if watch is None and len(self._http.trailing_data[0]) < BYTES_AT_ONCE:
                    watch = asyncio.ensure_future(self._reader.read(BYTES_AT_ONCE))
                waited: list[asyncio.Future[Any]] = [working, watch] if watch else [working]
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if watch is not None and watch.done():
                    data, watch = watch.result(), None
                    if not data:
                        raise DisconnectedError
                    self._http.receive_data(data)  # of the next request
            return working.result()
        finally:
            working.cancel()
            if watch is not None:
                watch.cancel()
                # It may have read bytes of the next request before it was cancelled.
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    self._http.receive_data(await watch)

    async def _send(self, answer: Answer, head: Head | None, is_last: bool) -> None:
        """Write an answer, in parts, as fast as the client receives it."""
        headers = {
            "Content-Type": JSON,
            "Content-Length": str(answer.num_bytes),
            "Date": formatdate(usegmt=True),
            **answer.headers,
            **({"Connection": "close"} if is_last else {}),
        }
        status = HTTPStatus(answer.status)
        response = h11.Response(status_code=status, reason=status.phrase.encode(), headers=list(headers.items()))
        what = "-" if head is None else f"{head.method} {head.target} HTTP/1.1"
        print(f'INFO:     {self._client} - "{what}" {status.value} {status.phrase}', file=sys.stderr)
        # An answer to HEAD has the headers of GET and no body.
        events: list[h11.Event] = [response]
        if head is None or head.method != "HEAD":
            events += map(h11.Data, answer.body)
        async with asyncio.timeout(self._limits.answer_seconds):
            data = b""
            for event in (*events, h11.EndOfMessage()):
                data += self._http.send(event) or b""
                if len(data) > BYTES_AT_ONCE:
                    self._writer.write(data)
                    await self._writer.drain()
                    data = b""
            self._writer.write(data)
            await self._writer.drain()

    async def _end(self) -> None:
        """Close the sending side, and wait :data:`LINGER` seconds for the client to close its own."""
        self._writer.write_eof()
        async with asyncio.timeout(LINGER):
            while await self._reader.read(BYTES_AT_ONCE):
                pass
