"""The MLflow UI on this machine, opened at the charts of the runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from lifecycle.checks import in_range
from lifecycle.cli.arguments import read
from lifecycle.config.schema import TrackingConfig
from lifecycle.config.tracking_address import check_environment
from lifecycle.errors import Interrupted, LifecycleError, RequestError
from lifecycle.runtime import ports
from lifecycle.runtime.ports import HOST

SECONDS_TO_START = 120


@dataclass
class UIConfig:
    """What ``lifecycle ui`` takes."""

    port: int = 5000  # of the page; the next free one is not taken silently
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        in_range(self, "port", low=1, below=65536)


def serve(words: list[str]) -> None:
    """Start the UI, print the link that opens on the charts of the runs, and stay until it ends.

    Args:
        words: ``port=5001``, ``tracking.dir=...``, ``tracking.experiment=...``.

    Raises:
        RequestError: there are no runs, or the port is taken.
    """
    config = read(words, UIConfig, "ui")
    check_environment(config.tracking.dir)
    folder = Path(config.tracking.dir).expanduser().absolute()
    if not (folder / "mlflow.db").is_file():
        raise RequestError(
            f"tracking.dir={config.tracking.dir} has no runs yet. Run one first, such as lifecycle model=mlp data=iris,"
            " or name the folder of your runs."
        )
    ports.take(config.port).close()
    link = _link(config, folder)
    _serve(config.port, folder, link)


def _link(config: UIConfig, folder: Path) -> str:
    from lifecycle.tracking.store import open_store

    store = open_store(config.tracking)
    charts = f"#/experiments/{store.experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    return f"http://{HOST}:{config.port}/{charts}"


def _serve(port: int, folder: Path, link: str) -> None:
    from lifecycle.tracking.store import database_uri

    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database_uri(folder)]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = folder / "ui.log"
    with log.open("w") as stream:
        server = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True)  # noqa: S603
        try:
            _wait(server, port, log)
            print(f"The runs of {folder}, side by side:\n  {link}\nCtrl-C ends it.", flush=True)
            while server.poll() is None:
                time.sleep(1)  # any signal interrupts a sleep; polars, where MLflow imports it, has waitpid go on
        except Interrupted as interrupted:
            if interrupted.signum != signal.SIGINT:  # Ctrl-C is how it is meant to end
                raise
        finally:
            _end(server)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise LifecycleError(f"the MLflow UI did not start on port {port}; its own words are in {log}.")


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, which are a process group of their own."""
    try:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=10)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
