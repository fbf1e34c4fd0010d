"""lifecycle: ``fit`` as the pipeline calls it, in an open MLflow run, with history and both checkpoints.

As a script, it runs one fit in a fresh process.

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
from lifecycle.config.request import Job
from lifecycle.config.resolve import resolve
from lifecycle.console import report
from lifecycle.fit import trainer
from lifecycle.fit.history import Row
from lifecycle.fit.preflight import batch_size
from lifecycle.runs import pipeline
from lifecycle.runs.pipeline import Prepared
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.tracking.run import track
from peers.loop import Part, score
from peers.rows import job_of_command_line, print_report


@dataclasses.dataclass
class Fitted:
    """The result of a fit.

    Attributes:
        seconds: its duration.
        prepared: its inputs, with the trained network.
        epochs: number of epochs.
        threads: number of torch threads.
    """

    seconds: float
    prepared: Prepared
    epochs: int
    threads: int


def prepare(words: list[str]) -> tuple[Job, Prepared]:
    """Run the steps of the command before a run is created, with ``verbose=0``."""
    job = resolve(compose([*words, "verbose=0"]))
    return job, pipeline.prepare(job)


def timed_fit(job: Job, prepared: Prepared) -> Fitted:
    """Create a run in the working folder's database and time a fit in it; ``prepared`` is not modified."""
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
    """Return the amount of work of a number of epochs."""
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
    print_report(fitted.seconds, work_of(job, prepared, fitted.epochs), scores, threads=fitted.threads)


if __name__ == "__main__":
    main()
