"""Ours: ``fit`` as the pipeline calls it, within an open MLflow run, with the history and both checkpoints.

As a script it is a fit in a fresh process, which its user waits for.

    python -m peers.ours job.json
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from typing import Any

import torch

from lifecycle.config.compose import compose
from lifecycle.config.resolve import resolve
from lifecycle.config.schema import Job
from lifecycle.console import report
from lifecycle.fit import trainer
from lifecycle.fit.history import Row
from lifecycle.fit.preflight import batch_size
from lifecycle.runs import pipeline
from lifecycle.runs.pipeline import Prepared
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.tracking.run import track
from peers.loop import Part, score
from peers.rows import job_of_command_line, tell


@dataclasses.dataclass
class Fitted:
    """What a fit did.

    Attributes:
        seconds: that it took.
        prepared: with the trained network.
        epochs: that were fitted.
        threads: that it used.
    """

    seconds: float
    prepared: Prepared
    epochs: int
    threads: int


def prepare(words: list[str]) -> tuple[Job, Prepared]:
    """Do what the command does before it opens a run, for a job that prints nothing, as Keras's ``verbose=0``."""
    job = resolve(compose([*words, "verbose=0"]))
    return job, pipeline.prepare(job)


def timed_fit(job: Job, prepared: Prepared) -> Fitted:
    """Open a run in the working folder's database, and time a fit within it; ``prepared`` stays as it is."""
    module = copy.deepcopy(prepared.module)
    fresh = dataclasses.replace(prepared, module=module, network=module.network)
    printer = report.Report(job.request.config.verbose)
    threads: list[int] = []

    def watch(_row: Row) -> None:
        threads[:] = [torch.get_num_threads()]

    with track(job.request) as tracked:
        listeners = [tracked.log_epoch, lambda row: printer.epoch(row, job.trainer.max_epochs), watch]
        bars = printer.callbacks(job.trainer.max_epochs)
        folder = tracked.checkpoints
        started = time.perf_counter()
        history = trainer.fit(module, fresh.data, job.trainer, job.seed, folder, listeners, bars)
        seconds = time.perf_counter() - started
    return Fitted(seconds, fresh, len(history.rows), threads[0])


def part(rows: Any) -> Part:
    """Return the inputs and targets of a part of the data."""
    return rows.inputs, rows.targets


def work_of(job: Job, prepared: Prepared, epochs: int) -> dict[str, int]:
    """Return how much is done in so many epochs."""
    rows = len(prepared.data.train)
    steps = epochs * math.ceil(rows / batch_size(job.trainer, prepared.data))
    parameters = sum(parameter.numel() for parameter in prepared.network.parameters())
    return {"rows": rows, "steps": steps, "epochs": epochs, "parameters": parameters}


def main() -> None:
    """Fit once in this process."""
    with quiet_libraries():
        job, prepared = prepare(job_of_command_line()["words"])
        fitted = timed_fit(job, prepared)
    scores = score(fitted.prepared.network, part(prepared.data.scored), prepared.data.spec.task)
    tell(fitted.seconds, work_of(job, prepared, fitted.epochs), scores, threads=fitted.threads)


if __name__ == "__main__":
    main()
