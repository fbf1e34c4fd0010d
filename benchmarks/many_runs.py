"""Measure what a sweep of many runs costs: its database, its leader board, its page, and the commands that read them.

    python benchmarks/many_runs.py                 # 10,000 runs: 1,000 configurations with 10 seeds
    python benchmarks/many_runs.py --runs 1000
    python benchmarks/many_runs.py --keep FOLDER   # keep the folder, to look at its page

One job is really run. The rows that MLflow's client wrote for it are then inserted for all others, with other scores.
Times are CPU seconds of a fresh process each, without the start of the interpreter and the imports.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

SEEDS = 10
WORDS = ("data=iris", "trainer.max_epochs=20", "verbose=0", "tracking.figures=false")
COPIED = ("tags", "params", "metrics", "latest_metrics")
"""Tables of MLflow with rows of a run, by its id in the column ``run_uuid``."""

MEASURED = {
    "read the plan": "plans.find(tracking, 'latest')",
    "leader board: lifecycle sweep sweep=latest": "print_board(board_of(plans.find(tracking, 'latest')), 1)",
    "leader board by one option: lifecycle compare by=": (
        "print_board(board_of(plans.find(tracking, 'latest'), by=['optimizer.lr']), 1)"
    ),
    "which jobs are left": "run._left(plans.find(tracking, 'latest'))",
    "what has become of one job": (
        "one = plans.find(tracking, 'latest'); "
        "sweep_runs.runs_of(one.place, one.tracking.experiment, [one.jobs[-1].signature])"
    ),
    "list of sweeps: lifecycle sweep": "sweep_command.run([])",
    "page and tables of the summary": (
        "folder = Path('files'); folder.mkdir(exist_ok=True); "
        "summary._write_files(board_of(plans.find(tracking, 'latest')), folder)"
    ),
    "run=best sweep=latest": "search.find(open_store(tracking), 'best', ('FINISHED',), None, 'latest')",
    "lifecycle compare sweep=latest": "compare_command.run(['sweep=latest', 'output=compare.html'])",
}
"""What is measured -> the code, after :data:`PREPARED`."""

PREPARED = """
import contextlib, io, json, sys, time, warnings
from pathlib import Path
import mlflow, pandas, sklearn.metrics, matplotlib.figure, rich.table
from lifecycle.config.schema import TrackingConfig
from lifecycle.cli.commands import sweep as sweep_command, compare as compare_command
from lifecycle.comparison import page as compare_page, curves
from lifecycle.plots.style import picture
from lifecycle.sweeps import plan as plans, run
from lifecycle.sweeps.results import summary, page
from lifecycle.sweeps.results.board import board_of
from lifecycle.sweeps.results.report import print_board
from lifecycle.tracking import search, sweep_runs, client, worker
from lifecycle.tracking.store import open_store
tracking = TrackingConfig()
"""

COUNTED = """
import resource
def cpu():
    of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in of)
out, before, begun = io.StringIO(), cpu(), time.perf_counter()
with contextlib.redirect_stdout(out):
    {code}
print(json.dumps([cpu() - before, time.perf_counter() - begun,
    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def make(folder: Path, runs: int) -> None:
    """Make a folder of runs with one sweep.

    Args:
        folder: the working folder.
        runs: number of runs.
    """
    command = [sys.executable, "-m", "lifecycle", "-m", "optimizer.lr=0.01", "model.dropout=0.1", "seed=0", *WORDS]
    subprocess.run([*command, "data.split_seed=0"], cwd=folder, check=True, capture_output=True)
    with contextlib.chdir(folder):
        from lifecycle.config.schema import TrackingConfig
        from lifecycle.sweeps import plan as plans

        one = plans.find(TrackingConfig(), "latest")
        plan = _multiplied(one, runs)
        with contextlib.closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as database, database:
            _insert(database, one.jobs[0].signature, plan)
        for file in one.folder.iterdir():
            file.unlink() if file.is_file() else None
        plans.write(plan)


def _multiplied(one: Any, runs: int) -> Any:
    """Return a plan with many configurations of the only job of another one, with several seeds each."""
    from lifecycle.sweeps import signature
    from lifecycle.sweeps.plan import unit_in

    rates = np.geomspace(1e-4, 0.3, 25)
    dropouts = np.linspace(0, 0.8, max(1, runs // SEEDS // len(rates)))
    first, jobs = one.jobs[0], []
    for number, (rate, dropout, seed) in enumerate(itertools.product(rates, dropouts, range(SEEDS))):
        record = json.loads(json.dumps(first.record))
        record["config"]["optimizer"]["lr"] = float(rate)
        record["config"]["model"]["dropout"] = float(dropout)
        record["config"]["seed"] = seed
        words = (f"optimizer.lr={rate:.6g}", f"model.dropout={dropout:.6g}", f"seed={seed}")
        signed = signature.signature_of(record, first.data, first.code)
        of = signature.configuration_of(record)
        jobs.append(
            replace(
                first,
                number=number,
                words=words,
                configuration=of,
                signature=signed,
                record=record,
                unit=unit_in(record),
            )
        )
    name = signature.sweep_name([job.signature for job in jobs])
    return replace(one, name=name, jobs=tuple(jobs), folder=one.folder.with_name(name))


def _insert(database: sqlite3.Connection, signature: str, plan: Any) -> None:
    """Insert the rows of the run of a signature for each job of a plan."""
    draw = np.random.default_rng(0)
    tag, own = "lifecycle.signature", "SELECT run_uuid FROM tags WHERE key = ? AND value = ?"
    ((template,),) = database.execute(own, (tag, signature)).fetchall()
    files = plan.place / "artifacts" / "lifecycle"
    tables = {name: _rows(database, name, template) for name in ("runs", *COPIED)}
    for job in plan.jobs:
        run, config = uuid.uuid4().hex, job.record["config"]
        (files / run).symlink_to(files / template)
        quality = 0.2 + 0.1 * np.log10(config["optimizer"]["lr"] / 0.01) ** 2 + 0.2 * config["model"]["dropout"] ** 2
        score = quality * draw.normal(1, 0.05)
        changed = {
            ("tags", tag): job.signature,
            ("tags", "lifecycle.configuration"): job.configuration,
            ("tags", "lifecycle.sweep"): plan.name,
            ("params", "optimizer.lr"): str(config["optimizer"]["lr"]),
            ("params", "model.dropout"): str(config["model"]["dropout"]),
            ("params", "seed"): str(config["seed"]),
            ("latest_metrics", "kept_val_loss"): score,
            ("latest_metrics", "test_loss"): score * draw.normal(1.1, 0.02),
            ("latest_metrics", "test_accuracy"): min(1.0, 1.1 - score),
        }
        for name, rows in tables.items():
            for row in rows:
                own_row = row | {"run_uuid": run}
                if "artifact_uri" in row:
                    own_row["artifact_uri"] = row["artifact_uri"].replace(template, run)
                if (name, row.get("key")) in changed:
                    own_row["value"] = changed[name, row["key"]]
                marks = ",".join("?" * len(own_row))
                database.execute(f"INSERT INTO {name} ({','.join(own_row)}) VALUES ({marks})", list(own_row.values()))
    for name in reversed(tables):
        database.execute(f"DELETE FROM {name} WHERE run_uuid = ?", (template,))


def _rows(database: sqlite3.Connection, table: str, run: str) -> list[dict[str, Any]]:
    found = database.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run,))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def measured(folder: Path, only: str) -> Iterator[tuple[str, float, float, float]]:
    """Yield for each measurement its name, CPU seconds, seconds, and memory in MiB.

    Args:
        folder: as :func:`make` made it.
        only: part of the names of those that are wanted.
    """
    for what, code in MEASURED.items():
        if only in what:
            text = PREPARED + COUNTED.format(code=code)
            ended = subprocess.run(
                [sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, check=False
            )
            if ended.returncode:
                raise SystemExit(f"{what}: {ended.stderr}")
            cpu, seconds, memory = json.loads(ended.stdout.splitlines()[-1])
            yield what, cpu, seconds, memory


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="make the runs in this folder, or measure those that are in it")
    parser.add_argument("--only", default="", help="measure what has this in its name")
    words = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = words.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "mlruns").is_dir():
            make(folder, words.runs)
        print(f"database {(folder / 'mlruns' / 'mlflow.db').stat().st_size / 2**20:.1f} MiB")
        (jobs,) = (folder / "mlruns" / "sweeps").glob("*/jobs.jsonl")
        print(f"plan {jobs.stat().st_size / 2**20:.1f} MiB")
        for what, cpu, seconds, memory in measured(folder, words.only):
            print(f"{what:<55} {cpu:8.2f} s of CPU {seconds:8.2f} s {memory:8.0f} MiB", flush=True)
        if (page := folder / "files" / "sweep.html").is_file():
            print(f"page {page.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
