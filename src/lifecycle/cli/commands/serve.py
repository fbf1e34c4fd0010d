"""The subcommand ``serve``: a model server on this machine with MLflow's protocol."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass, replace

from lifecycle.checks import in_range, one_of
from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.data.columns.missing_values import CHOICES
from lifecycle.errors import Interrupted, RequestError
from lifecycle.runtime import ports
from lifecycle.tracking import client, found_run


@dataclass
class Serve(found_run.Which):
    """Options of ``lifecycle serve``."""

    # Not 5000, the port of `lifecycle ui`: both may run at once.
    port: int = option(5001, "port on 127.0.0.1; if it is taken, no other is chosen")
    hosts: list[str] = option([], "further names that the Host header may have, such as that of a proxy")
    max_body_mb: float = option(10.0, "largest body of a request, in 10^6 bytes; a larger one is answered 413")
    max_requests: int = option(16, "requests that are read, wait or are predicted at once; further ones get a 429")
    max_connections: int = option(100, "open connections; further ones get a 429")
    header_seconds: float = option(10.0, "time for the headers of a request; a slower client gets a 408")
    body_seconds: float = option(30.0, "time for the body of a request; a slower client gets a 408")
    answer_seconds: float = option(30.0, "time in which a client must read its answer, or it is disconnected")
    idle_seconds: float = option(20.0, "time that a connection may stay open between requests")
    end_seconds: float = option(2.0, "at Ctrl-C or SIGTERM, time to answer the requests in progress")
    missing: str = option("refuse", arguments.MISSING, CHOICES)

    def __post_init__(self) -> None:
        one_of(self, "missing", CHOICES)
        in_range(self, "port", low=1, below=65536)
        for name in ("max_requests", "max_connections"):
            in_range(self, name, low=1)
        for name in ("max_body_mb", "header_seconds", "body_seconds", "answer_seconds", "idle_seconds"):
            in_range(self, name, above=0)
        in_range(self, "end_seconds", low=0)
        for host in self.hosts:
            if not ports.is_host(host):
                problem = f"has {host!r}, which is no host name"
                raise RequestError("hosts", problem, remedy="Use names such as hosts=[models.lan].")


OPTIONS = Serve


def run(typed: list[str]) -> None:
    """Serve a run's model until Ctrl-C or SIGTERM.

    Raises:
        RequestError: the run cannot be served, or the port is taken.
        SavedModelError: the model was altered, or cannot be read here.
    """
    limits = arguments.read(typed, Serve, "serve")
    # The port first: it fails at once, whereas finding the run takes seconds.
    with contextlib.closing(ports.take(limits.port)) as taken:
        found = found_run.find(limits)
        folder = found.model_folder()
        client.end_all()  # the process that reads MLflow's database is not needed any more
        from lifecycle.predict import saved_model
        from lifecycle.predict.serving import server

        try:
            server.serve(replace(saved_model.load(folder), missing=limits.missing), taken, found.name, limits)
        except Interrupted as interrupted:
            if interrupted.signum != signal.SIGINT:  # Ctrl-C is the usual way to end it
                raise
