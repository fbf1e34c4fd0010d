"""Runs that many tests look at and none changes: made once, in a folder of their own."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from pathlib import Path

import mlflow
import pytest

from lifecycle import layout
from lifecycle.cli.main import main
from lifecycle.tracking.pages import tags
from lifecycle.tracking.store import database_uri
from tests.forked import Forks, Process

QUICK = ("verbose=0", "tracking.figures=false")


def make(
    folder: Path, empty_database: Path, *commands: tuple[str, ...], forks: Forks | None = None
) -> list[mlflow.entities.Run]:
    """Run commands in ``folder``, silently; return the runs there, oldest first.

    Args:
        folder: the working folder.
        empty_database: copied into it, unless it has one.
        commands: words of each.
        forks: of processes for the commands, as sweeps need; ``None``: they run in this process.
    """
    (folder / "mlruns").mkdir(mode=0o700, exist_ok=True)
    if not (folder / "mlruns" / "mlflow.db").exists():
        shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    for words in commands:
        if forks is not None:
            Process(forks, [*words, *QUICK], folder).communicate(timeout=300)
            continue
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["lifecycle", *words, *QUICK])
            main()
    return runs_in(folder)


def runs_in(folder: Path) -> list[mlflow.entities.Run]:
    """Return the runs of a folder as MLflow itself reads them, oldest first, without the summaries of sweeps."""
    client = mlflow.MlflowClient(database_uri(folder / "mlruns"))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    found = map(tags.name, client.search_runs(ids, order_by=["attributes.start_time ASC"]))
    return [run for run in found if layout.ROLE not in run.data.tags]


def moved(folder: Path, before: Path) -> None:
    """Let a database that was copied know where its artifacts are now."""
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as database:
        columns = [
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
        ]
        for table, column in columns:
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(before), str(folder)))
    database.close()
