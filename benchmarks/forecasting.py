"""One-step forecasts of public series with nothing set but file, target and time, against forecasts without a network.

    python benchmarks/forecasting.py --folder series --write

``airline_passengers`` is shipped, and ``monthly-car-sales`` is downloaded. The other series are not redistributed with
this project: ``--folder`` has a CSV file of each, named as in :data:`SERIES`, with the times (if any) in the first
column and the values in the last one. A series that is not found is reported as such. ``--write`` puts the table into
``docs/data.md``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

import lifecycle

DOCS = Path(__file__).parents[1] / "docs" / "data.md"
BEGIN, END = "<!-- forecasting: begin -->", "<!-- forecasting: end -->"
SEEDS = 3


@dataclass(frozen=True)
class Job:
    """A series to forecast.

    Attributes:
        name: of its file, without the ending.
        season: steps of the naive forecast; 1: the last value.
        has_time: whether the first column holds times.
        test_size: number of test rows; ``None``: the default, a fifth.
        path: in place of a file of the folder.
    """

    name: str
    season: int
    has_time: bool = True
    test_size: int | None = None
    path: str = ""


PUBLIC = (
    Job("airline_passengers", 12, path="lifecycle:airline_passengers.csv"),
    Job("champagne", 12),
    Job("car_sales", 12, path="download:monthly-car-sales.csv"),
    Job("robberies", 12),
    Job("shampoo", 12, has_time=False),
    Job("water", 1),
    Job("births", 7),
    Job("mintemp", 7),
    Job("sunspots", 12),
)
SERIES = tuple(replace(job, test_size=size) for job in PUBLIC for size in (None, 12))
"""Each with the default test rows, a fifth, and with the last 12, as forecasts of monthly series are often compared."""


def measured(job: Job, folder: Path, model: str) -> str:
    """Return the row of the table of a series."""
    from lifecycle.data.sources import files

    path = job.path or str(folder / f"{job.name}.csv")
    if not job.path and not Path(path).is_file():
        return f"| {job.name} | not available | | | | | |"
    frame = files.read(path)
    when, target = str(frame.columns[0]), str(frame.columns[-1])
    words = ["data=series", f"data.path={path}", f"data.target={target}", f"model={model}"]
    words += [f"data.time={when}"] if job.has_time else []
    words += [] if job.test_size is None else [f"data.test_size={job.test_size}"]
    runs = [lifecycle.run([*words, f"seed={seed}", "verbose=0", "tracking.figures=false"]) for seed in range(SEEDS)]
    scores = [run.scores["test_rmse"] for run in runs if run is not None]
    last = runs[-1]
    assert last is not None
    values, fields = frame[target].to_numpy(dtype=float), last.model.data
    rows = last.predictions["row"].to_numpy()
    naive = {lag: float(np.sqrt(np.mean((values[rows] - values[rows - lag]) ** 2))) for lag in (job.season, 1)}
    found = f"difference {fields.difference}; season {fields.season}; window {fields.window}".replace("None", "none")
    beats = "yes" if statistics.median(scores) < naive[job.season] else "**no**"
    spread = f"{statistics.median(scores):,.4g} ({min(scores):,.4g} to {max(scores):,.4g})"
    cells = [job.name, f"{len(values):,}, {len(rows)}", found, spread]
    cells += [*(f"{naive[lag]:,.4g}" for lag in (job.season, 1)), beats]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure all series, print the table, and write it into the documentation on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("series"), help="CSV files of the other series")
    parser.add_argument("--model", default="lstm", help="the network")
    parser.add_argument("--only", default="", help="names of series, separated by commas")
    parser.add_argument("--write", action="store_true", help="write the table into docs/data.md")
    options = parser.parse_args()
    folder, only = options.folder.resolve(), options.only.split(",") if options.only else []
    lines = [
        f"| series | rows, test rows | found | {options.model}: RMSE, median of {SEEDS} seeds "
        "| seasonal naive | last value | better than seasonal naive |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for job in SERIES:
            if not only or job.name in only:
                lines.append(measured(job, folder, options.model))
                print(lines[-1], flush=True)
        os.chdir(DOCS.parent)
    if options.write:
        text = DOCS.read_text(encoding="utf-8")
        before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
        day = pd.Timestamp.now().strftime("%Y-%m-%d")
        DOCS.write_text(f"{before}\n" + "\n".join([*lines, "", f"{day}."]) + f"\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
