"""A real MLflow server for tests, which can be stopped and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from lifecycle.runtime import ports
from tests.forked import Forks, Process

SERVE = """
import os, sys
from mlflow import cli, server
from uvicorn.main import main

def run_here(command, extra_env, **_):
    os.environ.update(extra_env)
    main(command[command.index("uvicorn") + 1 :])

server._exec_cmd = run_here
cli.cli(sys.argv[1:])
"""
"""``mlflow server`` in one process, where it would start another for uvicorn: each imports MLflow for seconds."""


class MLflowServer:
    """``mlflow server`` on SQLite, which takes the artifacts of its clients.

    Args:
        folder: of the database and the artifacts.
        words: further options of the command.
        backend: address of the database; empty: a file in the folder.
        environment: further variables.
        forks: of its process; ``None``: it is a new Python, slower by seconds.
    """

    def __init__(
        self,
        folder: Path,
        *words: str,
        backend: str = "",
        environment: dict[str, str] | None = None,
        forks: Forks | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with ports.take(0) as taken:
            self.port = int(taken.getsockname()[1])
        self.folder, self.words = folder, words
        self.backend = backend or f"sqlite:///{folder}/server.db"
        self.environment = environment or {}
        self.forks = forks
        self._process: subprocess.Popen[bytes] | Process | None = None
        self.start()

    @property
    def address(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = ["server", "--backend-store-uri", self.backend, "--host", "127.0.0.1", "--port", str(self.port)]
        words += ["--workers", "1", *self.words]
        if "--default-artifact-root" not in self.words:
            words += ["--artifacts-destination", str(self.folder / "artifacts")]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment = {**quiet, **self.environment}
        with (self.folder / "log").open("ab") as log:
            if self.forks is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "mlflow", *words],
                    env={**os.environ, **environment},
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            else:
                self._process = Process(
                    self.forks,
                    words,
                    self.folder,
                    code=f"import os\nos.environ.update({environment!r})\n{SERVE}",
                    session=True,
                    imports=("mlflow.cli", "mlflow.server.fastapi_app"),
                    stdout=log.fileno(),
                    stderr=log.fileno(),
                )
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=2):
                    return
            except urllib.error.HTTPError:
                return  # it asks for a password
            except OSError:
                assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.1)
        raise AssertionError("the MLflow server did not start")

    def stop(self) -> None:
        """Stop it at once, as a power loss would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def client(self) -> Any:
        """Return an MLflow client of it."""
        import mlflow

        return mlflow.MlflowClient(self.address, self.address)

    def runs(self, experiment: str) -> list[Any]:
        """Return the runs of an experiment, the first first."""
        client = self.client()
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return []
        return list(client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"]))

    def points(self, run: Any) -> list[tuple[str, float, int, int]]:
        """Return the points of all metrics of a run, sorted."""
        client = self.client()
        return sorted(
            (name, point.value, point.timestamp, point.step)
            for name in run.data.metrics
            for point in client.get_metric_history(run.info.run_id, name)
        )

    def files(self, run: Any, folder: str | None = None) -> list[str]:
        """Return the paths of the artifacts of a run."""
        found: list[str] = []
        for one in self.client().list_artifacts(run.info.run_id, folder):
            found += self.files(run, one.path) if one.is_dir else [one.path]
        return sorted(found)
