"""The subcommand ``ui``: MLflow's UI on this machine."""

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

from lifecycle import layout
from lifecycle.checks import in_range
from lifecycle.cli.arguments import read
from lifecycle.config.fields import option
from lifecycle.config.schema import TrackingConfig
from lifecycle.config.tracking_address import identity
from lifecycle.errors import Interrupted, LifecycleError, RequestError, Setting
from lifecycle.runtime import ports
from lifecycle.runtime.lines import say
from lifecycle.runtime.ports import HOST

# On a slow machine importing MLflow's server, and migrating an old database, take long.
SECONDS_TO_START = 120


@dataclass
class UIConfig:
    """Options of ``lifecycle ui``."""

    port: int = option(5000, "port of the page; if it is taken, no other is chosen")
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        in_range(self, "port", low=1, below=65536)


OPTIONS = UIConfig


def run(arguments: list[str]) -> None:
    """Start the UI, print the address of the runs' charts, and wait until the UI ends.

    Raises:
        RequestError: there are no runs, or the port is taken.
    """
    config = read(arguments, UIConfig, "ui")
    server = config.tracking.server
    if server is not None and server.lower().startswith(("http", "databricks")):
        say(_on_server(config, server))
        return
    folder = Path(config.tracking.dir).expanduser().absolute()
    if not (folder / layout.DATABASE).is_file():
        raise RequestError(
            Setting("tracking.dir", config.tracking.dir),
            "has no runs yet",
            remedy="Run one first, such as lifecycle model=mlp data=iris, or name the folder of your runs.",
        )
    # MLflow would print a traceback for a port that is taken.
    ports.take(config.port).close()
    link = _link(config, folder)
    _serve(config.port, folder, link)


def _link(config: UIConfig, folder: Path) -> str:
    from lifecycle.tracking.pages import view
    from lifecycle.tracking.store import can_be_written, open_store

    store = open_store(config.tracking, to_write=False)
    here = f"http://{HOST}:{config.port}"
    if not can_be_written(store.folder):  # MLflow's own view
        return view.address(here, store.experiment_id)
    return view.address(here, store.experiment_id, view.open_view(store.client, store.experiment_id))


def _on_server(config: UIConfig, server: str) -> str:
    """Return where the runs of a server are: its page of the experiment, if it has one and answers."""
    from lifecycle.tracking.pages import view
    from lifecycle.tracking.servers import remote
    from lifecycle.tracking.servers.explained import explanation

    where = identity(server)
    try:
        client = remote.client_of(server)
        found = client.get_experiment_by_name(config.tracking.experiment)
        if found is None:
            return f"The runs are on {where}."
        query = view.open_view(client, found.experiment_id)
    except Exception as error:  # MLflow's and the network's errors have no common base
        return f"The runs are on {where}, which cannot be asked now: {explanation(error, server)}."
    # A browser asks for the name and the password.
    link = view.address(where.replace("***@", ""), found.experiment_id, query)
    return f"The runs are on {where}:\n  {link}"


def _serve(port: int, folder: Path, link: str) -> None:
    from lifecycle.tracking.store import database_uri

    # Not the script `mlflow`, which may be that of another environment on the PATH.
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database_uri(folder)]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    # MLflow's job runner starts further processes, which the UI does not need.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = folder / "ui.log"
    with log.open("w") as stream:
        # In a session of its own, Ctrl-C reaches this process only, which then ends the server and its workers.
        server = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True)  # noqa: S603
        try:
            _wait(server, port, log)
            say(f"The runs of {folder}:\n  {link}\nCtrl-C ends the UI.", flush=True)
            while server.poll() is None:
                time.sleep(1)  # a signal interrupts a sleep at once, but not waitpid, if MLflow has imported polars
        except Interrupted as interrupted:
            if interrupted.signum != signal.SIGINT:  # Ctrl-C is the usual way to end it
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
    raise LifecycleError(f"the MLflow UI did not start on port {port}; its output is in {log}.")


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, which are one process group."""
    try:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=10)
    # The server has ended by itself, for instance because it could not start.
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
