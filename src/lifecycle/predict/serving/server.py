"""Serves a trained model in this process, with the protocol of MLflow's model server.

No ``MLmodel`` file is read, since such a file names code to run.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shlex
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pandas as pd

from lifecycle.errors import Interrupted, RequestError
from lifecycle.predict.serving.connections import Connections
from lifecycle.predict.serving.http_messages import JSON, Answer, Head, Limits, RefusedError, refusal
from lifecycle.predict.serving.scoring import CSV, Scorer, check_kind, unpacked
from lifecycle.predict.serving.worker import Job, Worker
from lifecycle.runtime import memory, ports
from lifecycle.runtime.lines import say
from lifecycle.runtime.ports import HOST
from lifecycle.runtime.processes import ENDING

if TYPE_CHECKING:
    from lifecycle.predict.trained_model import TrainedModel

PATH = "/invocations"
LARGE = 1 << 20
"""Bytes of a request and its answer above which freed memory is returned to the system."""

MOST_EXAMPLE_ROWS, MOST_EXAMPLE_CHARACTERS = 64, 600
"""Limits of the example request that is printed at the start."""


def serve(trained: TrainedModel, listening: socket.socket, name: str, limits: Limits) -> None:
    """Answer requests until a signal tells this process to end.

    Args:
        trained: the model.
        listening: the bound socket.
        name: of the run, which is printed.
        limits: on connections and requests.

    Raises:
        Interrupted: the signal.
    """
    link = f"http://{HOST}:{listening.getsockname()[1]}{PATH}"
    printed = f"{name} answers rows on\n  {link}\nTry it:\n  {example(trained, link)}\nCtrl-C ends it."
    handler = ModelHandler(trained, limits.hosts, int(limits.max_body_mb * 1e6))
    # The loaded libraries are never garbage, and requests create few cycles. Without freezing them, each collection
    # during a large request would traverse all of their objects.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    number = asyncio.run(_serve(handler, listening, limits, printed))
    if handler.worker.is_busy:
        _exit(Interrupted(number))
    raise Interrupted(number)


async def _serve(handler: ModelHandler, listening: socket.socket, limits: Limits, printed: str) -> int:
    """Serve until a signal arrives, and return its number."""
    first: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    at_once = asyncio.Event()

    def on_signal(number: int) -> None:
        if first.done():  # the second signal: the user does not want to wait for requests in progress
            at_once.set()
        else:
            first.set_result(number)

    connections = Connections(limits, handler)
    with _signals(on_signal):
        server = await asyncio.start_server(connections.connected, sock=listening)
        say(printed, flush=True)
        number = await first
        server.close()
        await connections.end(limits.end_seconds, at_once)
    return number


@contextmanager
def _signals(on_signal: object) -> Iterator[None]:
    """Call a function on signals that end the process, within the block.

    Signals that the process ignores stay ignored, as ``nohup`` has set for SIGHUP.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in ENDING}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in handled:
        loop.add_signal_handler(number, on_signal, number)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _exit(interrupted: Interrupted) -> None:
    """End the process at once, though a prediction is running: the interpreter's exit would wait for it or crash."""
    is_intended = interrupted.signum == signal.SIGINT
    say(f"lifecycle: {interrupted}; a prediction that was running is abandoned", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if is_intended else interrupted.exit_code)


class ModelHandler:
    """Answers requests to a model.

    Args:
        trained: the model.
        hosts: allowed values of the Host header, in addition to the names of this machine.
        most: bytes of a body after it is unpacked.
    """

    def __init__(self, trained: TrainedModel, hosts: list[str], most: int = 10_000_000) -> None:
        self.scorer, self.worker, self._most = Scorer(trained), Worker(), most
        self._hosts = {*ports.NAMES, *(host.lower() for host in hosts)}
        # The paths of MLflow's server, so that its clients and health checks work unchanged.
        self._fixed = {
            "/ping": Answer(200, [b"\n"]),
            "/health": Answer(200, [b"\n"]),
            "/version": Answer(200, [version("mlflow").encode()]),
        }

    def check(self, head: Head) -> Answer | None:
        """Return the answer to a request without rows; ``None``: it has rows.

        Raises:
            RefusedError: the host or the type of the body is not allowed.
        """
        path = self._path(head)
        if path in self._fixed:
            return self._fixed[path] if head.method in ("GET", "HEAD") else _wrong_method(head.method, path, "GET")
        if path != PATH:
            paths = ", ".join(self._fixed)
            return refusal(404, f"There is no {path[:100]}. Use POST {PATH} for predictions, or GET {paths}.")
        if head.method != "POST":
            return _wrong_method(head.method, path, "POST")
        check_kind(head.headers)
        return None

    async def answer(self, head: Head, body: bytes) -> Answer:
        """Return predictions for the rows of a body, or a refusal."""
        kind = check_kind(head.headers)

        def work(job: Job) -> Answer:
            try:
                rows = unpacked(body, head.headers, self._most)
                return Answer(200, self.scorer.answer(rows, kind, lambda: job.is_cancelled))
            except RefusedError as refused:
                return refused.answer
            except RequestError as error:
                return refusal(400, str(error))
            except Exception as error:
                # To the log only, since a traceback may quote values of rows and paths of this machine.
                traceback.print_exception(error)
                what = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
                return refusal(500, f"The prediction failed: {what}. The server's standard error has the details.")

        return await self.worker.run(work)

    def sent(self, num_bytes: int) -> None:
        """Return the memory of a large request to the system."""
        if num_bytes > LARGE:
            self.worker.post(memory.trim)

    def _path(self, head: Head) -> str:
        """Return the path of a request, after a check of its host.

        The check prevents DNS rebinding: a web site may point its own name to this machine, and its pages could then
        read the answers. Their requests have the name of that site in the Host header.

        Raises:
            RefusedError: the host is not allowed.
        """
        names = [head.headers.get("host", "")]
        target = head.target
        # A proxy sends the whole URL, whose host a server must prefer to the header.
        if not target.startswith("/") and "://" in target:
            parts = urlsplit(target)
            names.append(parts.netloc)
            target = parts.path or "/"
        for name in names:
            if ports.host_of(name) not in self._hosts:
                got = f"is {name[:100]!r}" if name else "is missing"
                raise RefusedError(
                    400,
                    f"The Host header {got}, and this server answers to {', '.join(sorted(self._hosts))}. Use one of "
                    "these, or add a name with hosts=[name] when the server is started.",
                )
        return target.partition("?")[0]


def _wrong_method(method: str, path: str, allowed: str) -> Answer:
    return refusal(405, f"{path} takes no {method[:20]}. Use {allowed}.", allow=allowed)


def example(trained: TrainedModel, link: str) -> str:
    """Return a shell command that requests a prediction, of made-up rows, or of a file if such rows would be long."""
    with_file = f"curl -H 'Content-Type: {CSV}' --data-binary @new.csv {link}"
    # Only of independent rows are the types of columns known; a series has numbers and perhaps times.
    numbers = trained.columns if trained.numbers is None else trained.numbers
    row = [1 if name in numbers else "a" for name in trained.columns]
    rows = 1
    while rows <= MOST_EXAMPLE_ROWS:
        data = [[value + at if isinstance(value, int) else value for value in row] for at in range(rows)]
        body = json.dumps({"dataframe_split": {"columns": list(trained.columns), "data": data}}, ensure_ascii=False)
        if len(body) > MOST_EXAMPLE_CHARACTERS:
            break
        try:
            # Tried, so that the example that is printed works.
            trained.predict(pd.DataFrame(data, columns=list(trained.columns)))
        except RequestError:  # a series needs at least a window of rows; images need more than fit into the example
            rows += 1
            continue
        return f"curl -H 'Content-Type: {JSON}' -d {shlex.quote(body)} {link}"
    return with_file
