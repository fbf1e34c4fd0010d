"""Time fits on a CPU and on a GPU of the same machine, and print a table; without a GPU, those on the CPU.

    python benchmarks/gpu.py            # all jobs, about five minutes
    python benchmarks/gpu.py --small    # few epochs and rows, to check that it runs

A time is the median of the seconds of an epoch, validation, scores and checkpoints included, without the first two.
Of a group, it is the seconds of its fit, after a fit that is not counted. The seconds of a step are those of an epoch
divided by its steps.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

import numpy as np
import torch

import lifecycle
from lifecycle import Model
from lifecycle.config.compose import compose
from lifecycle.config.resolve import resolve
from lifecycle.fit import trainer
from lifecycle.fit.vectorised.group import Group
from lifecycle.fit.vectorised.members import Member
from lifecycle.runs import pipeline
from lifecycle.runtime import process_state

QUIET = ("verbose=0", "tracking.figures=false", "trainer.early_stopping=false")
JOBS = (
    ("iris, mlp, batch 32", ("data=iris", "trainer.max_epochs=40"), 3),
    ("digits, cnn, batch 32", ("data=digits", "model=cnn", "trainer.max_epochs=12"), 34),
    ("airline passengers, lstm, batch 32", ("data=airline_passengers", "model=lstm", "trainer.max_epochs=20"), 3),
)
GROUPS = (
    ("iris, mlp, 50 epochs", ("data=iris", "trainer.max_epochs=50")),
    ("digits, mlp, 10 epochs", ("data=digits", "trainer.max_epochs=10")),
)
TABLES = ((1_000_000, 8192, [64, 32]), (100_000, 32, [64, 32]), (1_000_000, 8192, [1024, 1024, 1024]))
FITS, TIMED = 100, 3


def median(seconds: Sequence[float]) -> float:
    """Return the median of the seconds of epochs, without the first two."""
    return statistics.median(seconds[2:] or seconds)


def line(what: str, device: str, epoch: float, steps: int) -> None:
    """Print the time of an epoch and of a step."""
    print(f"{what:50s} {device}  {epoch * 1e3:9.2f} ms an epoch  {epoch / steps * 1e6:8,.0f} µs a step", flush=True)


def jobs(devices: Sequence[str]) -> None:
    """Time runs of built-in data sets."""
    for what, words, steps in JOBS:
        for device in devices:
            result = lifecycle.run([*words, *QUIET, f"trainer.accelerator={device}"])
            assert result is not None
            line(what, device, median([row["epoch_seconds"] for row in result.history.rows]), steps)


def tables(devices: Sequence[str], share: float) -> None:
    """Time fits of random tables of 30 numbers, a tenth of whose rows validates."""
    random = np.random.default_rng(0)
    for rows, batch, hidden in TABLES:
        inputs = random.standard_normal((int(rows * share), 30), dtype=np.float32)
        classes = np.array(["a", "b", "c"])[np.digitize(inputs[:, 0] + inputs[:, 1], [-1, 1])]
        for device in devices:
            model = Model("mlp", hidden=hidden)
            model.compile(optimizer="adam", metrics=["accuracy"])
            history = model.fit(
                inputs,
                classes,
                epochs=4,
                batch_size=batch,
                validation_split=0.1,
                early_stopping=False,
                verbose=0,
                accelerator=device,
            )
            steps = -(-9 * len(inputs) // 10 // batch)
            what = f"{len(inputs):,} x 30, mlp {hidden}, batch {batch}"
            line(what, device, median(history.history["epoch_seconds"]), max(1, steps))


def members(words: Sequence[str], device: str, count: int) -> list[Member]:
    """Return fits that differ in the seed."""
    found = []
    for seed in range(count):
        job = resolve(compose([*words, *QUIET, "data.split_seed=0", f"seed={seed}", f"trainer.accelerator={device}"]))
        prepared = pipeline.prepare(job)
        found.append(Member(prepared.module, prepared.data, job.trainer, job.seed))
    return found


def groups(devices: Sequence[str], count: int) -> None:
    """Time a group, and the single fits of some of its members."""
    for what, words in GROUPS:
        for device in devices:
            with process_state.preserved(), tempfile.TemporaryDirectory() as folder:
                seconds = []
                for member in members(words, device, TIMED + 1):
                    started = time.perf_counter()
                    trainer.fit(member.module, member.data, member.config, member.seed, Path(folder))
                    seconds.append(time.perf_counter() - started)
                Group(members(words, device, count)).fit()
                group = Group(members(words, device, count))
                started = time.perf_counter()
                group.fit()
                together, alone = time.perf_counter() - started, statistics.mean(seconds[1:])
            print(f"{what:50s} {device}  {alone:.2f} s a fit  {together:.2f} s for {count} together", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="few epochs and rows, to check that it runs")
    small = parser.parse_args().small
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    print(f"torch {torch.__version__}, {gpu}, {torch.get_num_threads()} threads")
    devices = ("cpu", "gpu") if torch.cuda.is_available() else ("cpu",)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        jobs(devices)
        tables(devices, 0.01 if small else 1.0)
        groups(devices, 5 if small else FITS)


if __name__ == "__main__":
    main()
