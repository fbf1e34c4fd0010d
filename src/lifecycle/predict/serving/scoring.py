"""The protocol of MLflow's model server: reads rows from the body of a request, and writes predictions as JSON.

Rows are read as `lifecycle predict` reads a file of the same format. If all values of a request are finite numbers or
known categories, an encoder without pandas does the same arithmetic, in a twentieth of the time for one row.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import torch

from lifecycle.data.formats import json as json_rows
from lifecycle.data.formats import names as names_module
from lifecycle.data.formats import readers
from lifecycle.data.formats.stream import Stream, no_rows, typed
from lifecycle.data.formats.text.cells import spellings
from lifecycle.errors import RequestError
from lifecycle.predict.outputs import as_columns, passes
from lifecycle.predict.serving import request_body
from lifecycle.predict.serving.http_messages import JSON, RefusedError
from lifecycle.predict.serving.request_body import Rows
from lifecycle.predict.trained_model import TrainedModel

CSV = "text/csv"
KINDS = {kind: name for name, about in names_module.TABLE.items() for kind in about.media_types}
"""Media type -> format."""

GZIP = "gzip"
MOST_UNPACKED = 20
"""So many times as large as a body may be the content of an archive in it, such as an Excel file."""

HORIZON, MISSING = "horizon", "missing"
PARAMS = (HORIZON, MISSING)


def check_kind(headers: Mapping[str, str]) -> str:
    """Return the media type of a body, one of :data:`KINDS`.

    Args:
        headers: by name in lower case.

    Raises:
        RefusedError: 400 without a type, 415 for a type or an encoding that is not supported.
    """
    content_type = headers.get("content-type", "")
    kind, *more = [part.strip().lower() for part in content_type.split(";")]
    if not kind:
        raise RefusedError(400, f"the request has no Content-Type. Give {CSV} or {JSON}.")
    if kind not in KINDS or any(part.replace('"', "") not in ("", "charset=utf-8") for part in more):
        raise RefusedError(
            415, f"Content-Type is {content_type[:100]!r}, which is not read. Give {CSV} or {JSON}, in UTF-8."
        )
    if (encoding := headers.get("content-encoding", "identity")) not in ("identity", GZIP):
        raise RefusedError(
            415, f"Content-Encoding is {encoding[:100]!r}, which is not read. Send the body as it is, or with {GZIP}."
        )
    return kind


def unpacked(body: bytes, headers: Mapping[str, str], most: int) -> bytes:
    """Return a body without its encoding.

    Args:
        body: as sent.
        headers: by name in lower case.
        most: bytes that it may have.

    Raises:
        RefusedError: 400 for a body that is not as its encoding says, 413 for one that is too large.
    """
    if headers.get("content-encoding") != GZIP:
        return body
    reader = zlib.decompressobj(wbits=31)
    try:
        found = reader.decompress(body, most + 1)
    except zlib.error as error:
        raise RefusedError(400, f"The body is not gzip: {error}. Compress it again.") from error
    if len(found) > most:
        raise RefusedError(413, f"The body unpacks to more than {most / 1e6:g} MB. Send fewer rows in a request.")
    if not reader.eof or reader.unused_data:
        raise RefusedError(400, "The body is not one whole gzip stream. Compress it again.")
    return found


class Scorer:
    """Predicts the rows of requests.

    Args:
        trained: the model.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self.trained, self._units = trained, trained.units
        self._encoder = trained.encoder()  # once: it prepares tables of the categories
        self._nulls = spellings(trained.marks)
        trained.network.eval()

    def answer(self, body: bytes, kind: str, is_cancelled: Callable[[], bool]) -> list[bytes]:
        """Return predictions as MLflow's server does, in parts: ``{"predictions": [{"predicted": ...}, ...]}``.

        Args:
            body: of the request.
            kind: its media type, as :func:`check_kind` returns it.
            is_cancelled: returns whether the client has disconnected; then the remaining rows are not predicted.

        Raises:
            RequestError: the body or a row of it cannot be used.
        """
        if kind != JSON:
            most = MOST_UNPACKED * max(len(body), 1 << 20)
            stream = readers.read_bytes(body, KINDS[kind], most, self.trained.known)
            stream = stream.renamed(self.trained.new_names(stream.schema.names))
            return _written(self._predicted(stream, self.trained, is_cancelled))
        rows = request_body.parse(body, self.trained.columns)
        new = self.trained.new_names(rows.columns)
        rows = replace(rows, columns=[new.get(name, name) for name in rows.columns]) if new else rows
        if horizon := _horizon(rows.params):
            frame = next(self._frames(self._stream(rows)))  # a series is one frame
            return _written([_plain(self.trained.forecast(frame, horizon))])
        quick = self._quick(rows, is_cancelled)
        if quick is not None:
            return _written(quick)
        # A copy, since requests may differ in it.
        trained = replace(self.trained, missing=rows.params.get(MISSING, self.trained.missing))
        return _written(self._predicted(self._stream(rows), trained, is_cancelled))

    def _quick(self, rows: Rows, is_cancelled: Callable[[], bool]) -> list[dict[str, list[Any]]] | None:
        """Return predictions by the encoder, as columns of each block; ``None``: it does not take some of the rows."""
        names, data = rows.columns, rows.data
        # Repeated names need the message of the other way.
        if self._encoder is None or not data or len(set(names)) < len(names):
            return None
        blocks = []
        for at in range(0, len(data), self.trained.rows_at_once):
            inputs = self._encoder(names, data[at : at + self.trained.rows_at_once])
            if inputs is None:
                return None
            outputs = passes(self.trained.network, torch.from_numpy(inputs), self.trained.rows_at_once)
            columns = as_columns(outputs, self._units, self.trained.spec)
            blocks.append({name: values.tolist() for name, values in columns.items()})
            if is_cancelled():
                break
        return blocks

    def _stream(self, rows: Rows) -> Stream:
        """Return rows of JSON as a stream, as of a file, with the columns that the model reads."""
        names, data = rows.columns, rows.data
        if not data:
            raise no_rows("input")
        # Before columns are looked up by name.
        self.trained.check_columns(names)
        used = [*self.trained.columns, *self.trained.optional_columns(names)]
        places = [(name, names.index(name)) for name in used]
        return Stream("input", *json_rows.of_cells({name: [row[at] for row in data] for name, at in places}), True)

    def _frames(self, stream: Stream) -> Iterator[pd.DataFrame]:
        """Yield the rows as frames, each for one pass of the network; the rows of a series in one frame."""
        self.trained.check_columns(stream.schema.names)
        names = [*self.trained.columns, *self.trained.optional_columns(stream.schema.names)]
        numbers, at = self.trained.numbers, 0
        for table in stream.select(names).of(sys.maxsize if numbers is None else self.trained.rows_at_once):
            frame: pd.DataFrame = typed(table, numbers, stream.is_text, self._nulls).to_pandas()
            yield frame.set_axis(pd.RangeIndex(at, at + len(frame)), axis=0)
            at += len(frame)

    def _predicted(
        self, stream: Stream, trained: TrainedModel, is_cancelled: Callable[[], bool]
    ) -> Iterator[dict[str, list[Any]]]:
        for frame in self._frames(stream):
            if is_cancelled():
                return
            yield _plain(trained.predict(frame))


def _horizon(params: Mapping[str, Any]) -> int:
    """Return the number of steps to forecast; 0: predict the rows themselves."""
    if unknown := [name for name in params if name not in PARAMS]:
        raise RequestError(
            "params", f"has {unknown[0][:100]}, which no prediction takes", remedy=f"Use {' or '.join(PARAMS)}."
        )
    horizon = params.get(HORIZON) or 0
    if type(horizon) is not int or horizon < 0:  # not isinstance, since True is an int
        raise RequestError(
            f"params.{HORIZON}", "must be a whole number of steps", str(horizon)[:100], "Give 1 or more."
        )
    return horizon


def _plain(frame: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): frame[name].tolist() for name in frame.columns}


def _written(blocks: Iterable[dict[str, list[Any]]]) -> list[bytes]:
    """Return predictions as JSON in parts, one for each block of columns."""
    parts = [b'{"predictions": [']
    for number, block in enumerate(blocks):
        records = [dict(zip(block, row, strict=True)) for row in zip(*block.values(), strict=True)]
        parts.append(f"{', ' if number else ''}{json.dumps(records, default=str)[1:-1]}".encode())
    return [*parts, b"]}"]
