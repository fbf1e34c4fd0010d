"""Rows that exceed the memory limit: trained on from disk, within the limit."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from lifecycle.contract import Samples, Split, Target
from lifecycle.data.audit.audit import look_at
from lifecycle.data.preprocessing import Preprocessing, learn_target
from lifecycle.data.splits.rules import Shuffled
from tests.conftest import Command, artifacts

ROWS, WIDTH = 250_000, 100
MEGABYTE = 1_000_000


def table(rows: int, width: int) -> pa.Table:
    """Return numbers, and a target that is a sum of some of them."""
    values = np.random.default_rng(0).normal(size=(width, rows)).astype(np.float32)
    columns = {f"x{number}": column for number, column in enumerate(values)}
    return pa.table({**columns, "y": values[:3].sum(axis=0)})


def test_rows_on_disk_are_trained_on_and_the_same_command_gives_the_same_bits(
    job: Command, runs: Callable[[], list[mlflow.entities.Run]], tmp_path: Path
) -> None:
    parquet.write_table(table(3000, 5), tmp_path / "a.parquet")
    arguments = ["data=table", "data.path=a.parquet", "data.target=y", "trainer.max_epochs=12", "optimizer.lr=0.01"]
    ended = [job(*arguments, "data.memory_gb=2e-5", "tracking.figures=false", f"verbose={loud}") for loud in (2, 0)]
    assert [end.code for end in ended] == [0, 0], ended[0].err
    assert "600 validation, 600 test; on disk, shuffled 125 rows at a time" in ended[0].out
    first, second = runs()
    assert first.data.metrics == second.data.metrics
    predictions = pd.read_csv(artifacts(first) / "predictions.csv")
    pd.testing.assert_frame_equal(predictions, pd.read_csv(artifacts(second) / "predictions.csv"))
    truth = parquet.read_table(tmp_path / "a.parquet").to_pandas()["y"].to_numpy()
    np.testing.assert_array_equal(predictions["actual"].to_numpy(), truth[predictions["row"]].astype(float))
    assert first.data.metrics["test_rmse"] < 0.2 * truth.std()
    assert job(*arguments, "tracking.figures=false").code == 0
    in_memory = runs()[2].data.metrics["test_rmse"]
    assert in_memory == pytest.approx(
        first.data.metrics["test_rmse"], abs=0.1 * float(truth.std())
    )  # another order of rows


RUN = """
import resource, sys
from lifecycle.cli.main import main
code = main()
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
sys.exit(code)
"""

LOAD = """
import resource, sys
from lifecycle.data.load import load
from lifecycle.data.kinds.table import Table
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
data = load(Table(path=sys.argv[1], target="y"), "mine", "table", 0)
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)
"""


def peak(folder: Path, program: str, *arguments: str) -> float:
    """Return the most memory that a process took, in bytes."""
    command = [sys.executable, "-c", program, *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return float(ended.stdout.split("PEAK")[1])


@pytest.mark.longest
@pytest.mark.slow
def test_a_run_on_rows_of_five_times_the_limit_takes_no_more_than_the_limit(tmp_path: Path) -> None:
    arguments = [
        "data=table",
        "data.target=y",
        "trainer.max_epochs=1",
        "tracking.figures=false",
        "trainer.batch_size=1000",
    ]
    parquet.write_table(table(5000, WIDTH), tmp_path / "few.parquet")
    parquet.write_table(table(ROWS, WIDTH), tmp_path / "many.parquet")  # one row group: it must not be read whole
    limit = 20 * MEGABYTE
    base = peak(tmp_path, RUN, *arguments, "data.path=few.parquet")
    took = peak(tmp_path, RUN, *arguments, "data.path=many.parquet", f"data.memory_gb={limit / 1e9}") - base
    rest = 100 * ROWS  # bytes: labels, places and predictions, and the tables that are written of these
    assert took < limit + rest, took / MEGABYTE
    assert took < 4 * ROWS * WIDTH  # the rows themselves


@pytest.mark.slow
def test_loading_a_csv_file_takes_little_more_than_its_numbers(tmp_path: Path) -> None:
    rows, width = 1_000_000, 20
    csv.write_csv(table(rows, width), tmp_path / "a.csv", csv.WriteOptions(quoting_style="none"))
    assert peak(tmp_path, LOAD, "a.csv") < 2.2 * 4 * rows * width


MANY = 4 * 2**20
"""Rows, of which a copy of the target, or of the row numbers, takes 8 bytes each."""


def bytes_a_row(work: Callable[[], object]) -> float:
    """Return the most memory that a step takes at once for its arrays, by rows."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / MANY
    finally:
        tracemalloc.stop()


def test_the_steps_of_a_large_target_copy_it_once_at_most() -> None:
    values = np.random.default_rng(0).normal(size=MANY)
    values[7] = 1e6
    every, target = np.arange(MANY), Target("y", "regression")
    parts = Split(every[: MANY // 2], every[MANY // 2 : -MANY // 4], every[-MANY // 4 :])
    found = []
    assert bytes_a_row(lambda: found.append(look_at(lambda _: None, values, parts, target))) < 16
    assert [(one.check, "1 value far" in str(one.what)) for one in found[0].findings] == [("outliers", True)]
    encoder = learn_target(values, parts.train, target)[1]
    encoded = []
    assert bytes_a_row(lambda: encoded.append(Preprocessing(None, encoder).encode(values))) < 12
    expected = encoder.transform(values.reshape(-1, 1)).ravel().astype(np.float32)
    np.testing.assert_array_equal(encoded[0], expected)


def test_a_split_holds_no_copy_of_all_row_numbers_that_it_does_not_use() -> None:
    hashes = np.arange(MANY, dtype=np.uint64)
    rows = np.broadcast_to(np.int64(0), MANY)
    samples = Samples(np.empty((MANY, 0)), np.zeros(MANY), rows, hashes=hashes)
    assert bytes_a_row(lambda: Shuffled().split_samples(samples, "regression", 0)) < 24
