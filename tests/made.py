"""Runs that many tests look at and none changes: made once, in a folder of their own."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import mlflow
import pytest

from lifecycle.cli.main import main
from lifecycle.tracking.store import database_uri


def make(folder: Path, empty_database: Path, *commands: tuple[str, ...]) -> list[mlflow.entities.Run]:
    """Run commands in this process and in ``folder``, silently; return the runs there, oldest first."""
    (folder / "mlruns").mkdir(mode=0o700, exist_ok=True)
    if not (folder / "mlruns" / "mlflow.db").exists():
        shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    for words in commands:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["lifecycle", *words, "verbose=0", "tracking.figures=false"])
            main()
    return runs_in(folder)


def runs_in(folder: Path) -> list[mlflow.entities.Run]:
    """Return the runs of a folder as MLflow itself reads them, oldest first."""
    client = mlflow.MlflowClient(database_uri(folder / "mlruns"))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, order_by=["attributes.start_time ASC"]))
