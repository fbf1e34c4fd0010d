"""Fits in one warm process, in turns: ours, the loop, and the ordinary Lightning stack.

Each is done once uncounted, then ours, loop, Lightning, ours, loop, ... from the same initial weights, on the same
prepared rows. Each uses the threads that it would by itself: ours as its ``fit`` decides, the others PyTorch's own.

    python -m peers.warm job.json <pairs> <warm-ups> mlflow.db [loop] [lightning]
"""

from __future__ import annotations

import copy
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lifecycle import report
from peers import loop
from peers.ours import part, prepare, timed_fit, work_of
from peers.rows import job_of_command_line

Fit = Callable[[], tuple[float, dict[str, int], dict[str, float], int]]
"""A fit from the initial weights: its seconds, the work that it did, its scores and its threads."""


def fits(description: dict[str, Any], database: Path, peers: list[str]) -> dict[str, Fit]:
    """Return what is to be timed, by name."""
    job, prepared = prepare(description["words"])
    train, scored = part(prepared.data.train), part(prepared.data.scored)
    val = None if prepared.data.val is None else part(prepared.data.val)
    task = prepared.data.spec.task

    def ours() -> tuple[float, dict[str, int], dict[str, float], int]:
        fitted = timed_fit(job, prepared)
        scores = loop.score(fitted.prepared.network, scored, task)
        return fitted.seconds, work_of(job, prepared, fitted.epochs), scores, fitted.threads

    def by_hand() -> tuple[float, dict[str, int], dict[str, float], int]:
        network = copy.deepcopy(prepared.network)
        started = time.perf_counter()
        history = loop.fit(network, train, val, description)
        seconds = time.perf_counter() - started
        return seconds, work_of(job, prepared, len(history)), loop.score(network, scored, task), torch.get_num_threads()

    def lightning() -> tuple[float, dict[str, int], dict[str, float], int]:
        from peers import lightning_stack

        network = copy.deepcopy(prepared.network)
        started = time.perf_counter()
        trainer, _ = lightning_stack.fit(network, train, val, description, database)
        seconds = time.perf_counter() - started
        work = {**work_of(job, prepared, trainer.current_epoch), "steps": trainer.global_step}
        return seconds, work, loop.score(network, scored, task), torch.get_num_threads()

    known: dict[str, Fit] = {"ours": ours, "loop": by_hand, "lightning": lightning}
    return {name: known[name] for name in ["ours", *peers]}


def main() -> None:
    """Print the seconds of each, in the order in which they were taken; and what they came to."""
    description = job_of_command_line()
    pairs, warm_ups, database, peers = int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:]
    found: dict[str, dict[str, Any]] = {}
    with report.quiet_libraries():
        timed = fits(description, database, peers)
        for turn in range(-warm_ups, pairs):
            for name, fit in timed.items():
                gc.collect()  # nobody pays for what another left
                seconds, work, scores, threads = fit()
                if turn < 0:
                    continue
                kept = found.setdefault(name, {"fit": [], "scores": []})
                kept["fit"].append(seconds)
                kept["scores"].append(scores)
                kept |= {"work": work, "threads": threads}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
