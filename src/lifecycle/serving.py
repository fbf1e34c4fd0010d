"""MLflow's model server around a trained model: the one that `mlflow models serve` starts, in this process.

No ``MLmodel`` file is read, whoever made the folder: such a file names code to run. A CSV body is read as
`lifecycle predict` reads a file and goes on as JSON: MLflow's reader asks for a type of each column, and would turn
texts such as ``NA`` into missing values.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import shlex
import socket
import sys
import tempfile
import threading
from typing import Any

import pandas as pd
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
import uvicorn
import uvicorn.config
from mlflow.models import Model
from mlflow.pyfunc import FLAVOR_NAME, PyFuncModel, scoring_server

from lifecycle import request_body
from lifecycle.data import readers, streams
from lifecycle.errors import RequestError
from lifecycle.ports import HOST
from lifecycle.saved import PyFunc, TrainedModel
from lifecycle.signatures import signature_of

PATH, CSV, JSON = "/invocations", "text/csv", "application/json"
SECONDS_TO_END = 5
"""For requests that are being answered when the server is told to end."""

MOST_EXAMPLE_ROWS, MOST_EXAMPLE_CHARACTERS = 64, 600


def serve(trained: TrainedModel, listening: socket.socket, name: str) -> None:
    """Answer requests until a signal tells this process to end.

    Args:
        trained: the model.
        listening: the port.
        name: of the run, for what is printed.
    """
    link = f"http://{HOST}:{listening.getsockname()[1]}{PATH}"
    config = uvicorn.Config(
        app_of(trained), log_config=_log_on_stderr(), lifespan="off", timeout_graceful_shutdown=SECONDS_TO_END
    )
    said = f"{name} answers rows on\n  {link}\nTry it:\n  {example(trained, link)}\nCtrl-C ends it."
    _Server(config, said).run(sockets=[listening])


def app_of(trained: TrainedModel) -> ASGIApp:
    """Return MLflow's model server, which reads CSV as files are read."""
    columns = [*trained.columns, *getattr(trained.data, "optional_columns", ())]
    about = Model(signature=signature_of(columns), flavors={FLAVOR_NAME: {"loader_module": "lifecycle.saved"}})
    server: ASGIApp = scoring_server.init(PyFuncModel(about, _OneAtATime(trained)))
    return CSVAsJSON(server, trained)


def example(trained: TrainedModel, link: str) -> str:
    """Return a command that asks for a prediction: of made-up rows, or of a file where such rows would be long."""
    shown = f"curl -H 'Content-Type: {CSV}' --data-binary @new.csv {link}"
    numbers = trained.columns if trained.numbers is None else trained.numbers
    row = [1 if name in numbers else "a" for name in trained.columns]
    rows = 1
    while rows <= MOST_EXAMPLE_ROWS:
        data = [[value + at if isinstance(value, int) else value for value in row] for at in range(rows)]
        body = json.dumps({"dataframe_split": {"columns": list(trained.columns), "data": data}}, ensure_ascii=False)
        if len(body) > MOST_EXAMPLE_CHARACTERS:
            break
        try:
            trained.predict(pd.DataFrame(data, columns=list(trained.columns)))
        except RequestError:  # of a series, a window is needed; of image files, there is none to show
            rows += 1
            continue
        return f"curl -H 'Content-Type: {JSON}' -d {shlex.quote(body)} {link}"
    return shown


class CSVAsJSON:
    """An ASGI application that hands bodies on as JSON of one form, cells as the model's columns have them.

    Args:
        app: what they are handed to.
        trained: the model, which knows which columns are numbers.
    """

    def __init__(self, app: ASGIApp, trained: TrainedModel) -> None:
        self.app, self.trained = app, trained

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        kind, _, more = request.headers.get("content-type", "").lower().partition(";")
        if not kind.strip():
            answer = _bad(f"the request has no Content-Type. Give {CSV} or {JSON}.")
            await answer(scope, receive, send)
        elif kind.strip() in (CSV, JSON) and more.replace(" ", "") in ("", "charset=utf-8"):
            body = await request.body()
            as_split = self.as_json if kind.strip() == CSV else self.as_split
            try:
                content = await asyncio.to_thread(as_split, body)
            except RequestError as error:
                await _bad(str(error))(scope, receive, send)
                return
            await self.app(_as(JSON, content, scope), _once(content, receive), send)
        else:
            await self.app(scope, receive, send)

    def as_split(self, body: bytes) -> bytes:
        """Return JSON of any of MLflow's forms as ``dataframe_split``: its reader fills rows that are too short.

        Raises:
            RequestError: it cannot be read as rows.
        """
        return request_body.parse(body, self.trained.columns).as_split()

    def as_json(self, body: bytes) -> bytes:
        """Return CSV text as the body that MLflow calls ``dataframe_split``.

        Raises:
            RequestError: it cannot be read, or a column is missing.
        """
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            file.write(body)
            file.flush()
            try:
                rows = readers.read(file.name)
                self.trained.check_columns(rows.schema.names)
                table = next(rows.of(sys.maxsize))
            except RequestError as error:  # of a file, which the client knows nothing of
                raise RequestError(str(error).replace(f"input={file.name}", "input")) from error
        names = [*self.trained.columns, *self.trained.optional_columns(table.column_names)]
        table = streams.typed(table.select(names), self.trained.numbers, rows.is_text)
        data = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
        return json.dumps({"dataframe_split": {"columns": names, "data": data}}).encode()


class _OneAtATime(PyFunc):
    """The model as MLflow calls it, from a thread a request: torch's number of threads is one for all of them."""

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__(trained)
        self._lock = threading.Lock()

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        with self._lock:
            return super().predict(model_input, params)


class _Server(uvicorn.Server):
    """Says something once it listens."""

    def __init__(self, config: uvicorn.Config, said: str) -> None:
        super().__init__(config)
        self._said = said

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._said, flush=True)


def _bad(sentence: str) -> JSONResponse:
    """Return a refusal in MLflow's form."""
    return JSONResponse({"error_code": "BAD_REQUEST", "message": sentence}, status_code=400)


def _as(kind: str, content: bytes, scope: Scope) -> Scope:
    """Return a request with another body."""
    headers = [(name, value) for name, value in scope["headers"] if name not in (b"content-type", b"content-length")]
    new = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
    return {**scope, "headers": [*headers, *new]}


def _once(content: bytes, receive: Receive) -> Receive:
    """Return what hands a body over, and then what else comes."""
    waiting: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def _log_on_stderr() -> dict[str, Any]:
    """Return uvicorn's own logging, without its start and end: a line for each request."""
    config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    config["loggers"]["uvicorn.error"]["level"] = "WARNING"
    return config
