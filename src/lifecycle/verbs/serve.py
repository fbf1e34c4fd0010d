"""The verb ``serve``: MLflow's model server on this machine, answering rows with predictions."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass

from lifecycle import ports, recorder, runs, words
from lifecycle.checks import in_range
from lifecycle.errors import Interrupted


@dataclass
class Serve(runs.Which):
    """What ``lifecycle serve`` takes."""

    port: int = 5001  # on 127.0.0.1; the next free one is not taken silently

    def __post_init__(self) -> None:
        in_range(self, "port", low=1, below=65536)


def run(typed: list[str]) -> None:
    """Serve a run's model until Ctrl-C or SIGTERM.

    Raises:
        RequestError: the run cannot be served, or the port is taken.
        SavedModelError: the model was altered, or cannot be read here.
    """
    asked = words.read(typed, Serve, "serve")
    with contextlib.closing(ports.take(asked.port)) as taken:
        found = runs.find(asked)
        folder = found.model_folder()
        recorder.end_all()  # nothing more is asked of MLflow's database
        from lifecycle import saved, serving

        try:
            serving.serve(saved.load(folder), taken, found.name)
        except Interrupted as interrupted:
            if interrupted.signum != signal.SIGINT:  # Ctrl-C is how it is meant to end
                raise
