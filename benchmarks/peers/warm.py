"""Time fits in one warm process, in turns: ours, the loop, and the usual Lightning stack.

Each runs once without being counted, then in the order ours, loop, Lightning, ours, loop, ... from the same initial
weights, on the same prepared rows. The number of torch threads: ours as its ``fit`` decides; the loop one thread or
PyTorch's default, whichever is faster in a trial; the Lightning stack PyTorch's default.

    python -m peers.warm job.json <pairs> <pairs of Lightning> <warm-ups> mlflow.db [loop] [lightning]
"""

from __future__ import annotations

import copy
import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from lifecycle.runtime.quiet import quiet_libraries
from peers import loop
from peers.ours import part, prepare, timed_fit, work_of
from peers.rows import job_of_command_line


class Fit(NamedTuple):
    """The result of one fit from the initial weights.

    Attributes:
        seconds: its duration.
        work: its amount of work.
        scores: scores of the network on the scored rows.
        threads: number of torch threads.
    """

    seconds: float
    work: dict[str, int]
    scores: dict[str, float]
    threads: int


class Fits:
    """The timed fits, one method for each tool; all start from the same weights and rows.

    Args:
        description: the job; see :func:`peers.jobs.describe`.
        database: MLflow database of the Lightning stack.
    """

    def __init__(self, description: dict[str, Any], database: Path) -> None:
        self.description, self.database = description, database
        self.job, self.prepared = prepare(description["words"])
        data = self.prepared.data
        self.train, self.scored = part(data.train), part(data.scored)
        self.val = None if data.val is None else part(data.val)
        self.loop_threads = torch.get_num_threads()

    def ours(self) -> Fit:
        """Fit with lifecycle, as the pipeline does."""
        fitted = timed_fit(self.job, self.prepared)
        return self._fit(fitted.seconds, fitted.prepared.network, fitted.epochs, fitted.threads)

    def loop(self) -> Fit:
        """Fit with the loop."""
        network = copy.deepcopy(self.prepared.network)
        with threads(self.loop_threads):
            started = time.perf_counter()
            history = loop.fit(network, self.train, self.val, self.description)
            seconds = time.perf_counter() - started
        return self._fit(seconds, network, len(history), self.loop_threads)

    def lightning(self) -> Fit:
        """Fit with the Lightning stack."""
        from peers import lightning_stack

        network = copy.deepcopy(self.prepared.network)
        started = time.perf_counter()
        trainer, _ = lightning_stack.fit(network, self.train, self.val, self.description, self.database)
        seconds = time.perf_counter() - started
        fit = self._fit(seconds, network, trainer.current_epoch, torch.get_num_threads())
        fit.work["steps"] = trainer.global_step
        return fit

    def choose_threads(self) -> None:
        """Choose one thread or PyTorch's default for the loop, whichever is faster in a tenth of the epochs."""
        epochs = max(1, self.description["epochs"] // 10)

        def seconds(count: int) -> float:
            with threads(count):
                started = time.perf_counter()
                network = copy.deepcopy(self.prepared.network)
                loop.fit(network, self.train, self.val, {**self.description, "epochs": epochs})
                return time.perf_counter() - started

        seconds(self.loop_threads)  # warm-up
        self.loop_threads = min((self.loop_threads, 1), key=seconds)

    def _fit(self, seconds: float, network: nn.Module, epochs: int, used: int) -> Fit:
        scores = loop.score(network, self.scored, self.prepared.data.spec.task)
        return Fit(seconds, work_of(self.job, self.prepared, epochs), scores, used)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use ``count`` torch threads in a ``with`` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def main() -> None:
    """Print the times of each tool in order, with scores, work and threads, as JSON."""
    pairs, few, warm_ups = map(int, sys.argv[2:5])
    database, peers = Path(sys.argv[5]), sys.argv[6:]
    found: dict[str, dict[str, Any]] = {name: {"fit": [], "scores": []} for name in ["ours", *peers]}
    with quiet_libraries():
        fits = Fits(job_of_command_line(), database)
        if warm_ups and "loop" in peers:
            fits.choose_threads()
        for turn in range(-warm_ups, pairs):
            for name, kept in found.items():
                if turn >= few and name == "lightning":
                    continue
                gc.collect()  # so that no tool pays for another's garbage
                fit: Fit = getattr(fits, name)()
                if turn >= 0:
                    kept["fit"].append(fit.seconds)
                    kept["scores"].append(fit.scores)
                    kept |= {"work": fit.work, "threads": fit.threads}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
