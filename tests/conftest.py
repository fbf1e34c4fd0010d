"""What the tests share: the command run in this process or in a real one, and a database of MLflow per folder."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from hypothesis import HealthCheck, settings

from lifecycle import layout
from lifecycle import run as lifecycle_run
from lifecycle.cli.main import main
from lifecycle.runtime.imports.quick import quick_imports
from lifecycle.sweeps import supervise
from lifecycle.tracking import client
from lifecycle.tracking.pages import tags
from lifecycle.tracking.store import database_uri
from tests import databases, mariadb_server, postgresql_server, s3_server
from tests.faults import reliability
from tests.forked import COMMAND, Forks, Process, Recorder, SweepWorker
from tests.mariadb_server import MariaDB
from tests.postgresql_server import PostgreSQL
from tests.s3_server import S3
from tests.tracking import table

# A busy machine draws examples slowly, which says nothing of the code; twenty of each keep the suite short.
EXAMPLES: dict[str, Any] = {"max_examples": 20, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# The same examples each time, so that a change is judged by itself; --hypothesis-profile=random looks for others.
settings.register_profile("suite", **EXAMPLES, derandomize=True)
settings.register_profile("random", **EXAMPLES)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take ``--longest``, ``--reliability`` and ``--servers``."""
    parser.addoption("--longest", action="store_true", help="run what takes a minute or more too")
    parser.addoption("--reliability", type=Path, help="write the table of faults into this file")
    parser.addoption("--servers", type=Path, help="write the table of servers into this page")


os.environ["LIFECYCLE_SEAL_KEY"] = "of the tests"  # no file in the home of who runs them


def pytest_configure(config: pytest.Config) -> None:
    """Write the tables of faults and servers, if asked for; the processes of pytest-xdist report to this one."""
    if hasattr(config, "workerinput"):
        return
    if config.getoption("--servers"):
        config.pluginmanager.register(table.Servers(config.getoption("--servers")))
    if config.getoption("--reliability"):
        config.pluginmanager.register(reliability.Reliability(config.getoption("--reliability")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes a minute or more, unless asked for it."""
    for item in items:
        item.user_properties += reliability.properties(item) + table.properties(item)
    if config.getoption("--longest"):
        return
    left_out = [item for item in items if item.get_closest_marker("longest")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_sessionstart() -> None:
    """Have output that is captured be whole lines, as in a pipe: pytest-xdist sets the width of its own."""
    os.environ.pop("COLUMNS", None)


def pytest_collection() -> None:
    """Import the libraries as the command does; neither that nor the collected tests leave garbage."""
    gc.disable()
    with quick_imports():
        importlib.import_module("pytorch_lightning")


def pytest_collection_finish() -> None:
    """Leave all that was imported out of later garbage collections: each of the whole heap takes most of a second."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def no_address_in_the_environment() -> Iterator[None]:
    """Take back what MLflow leaves in the environment and in itself: the next test has another database."""
    yield
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"):
        os.environ.pop(name, None)
    mlflow.tracking.fluent._active_experiment_id = None


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]
QUICK = ("verbose=0", "tracking.figures=false")
"""What the runs of most tests go without: to draw takes as long as to fit."""


@pytest.fixture
def lifecycle(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Command:
    """Run the command in this process, with an empty working folder; much faster than a new process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*words: str) -> Ended:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["lifecycle", *words])
        code = main()
        out, err = capfd.readouterr()
        reliability.note(request, code, err)
        return Ended(code, out, err)

    return run


@pytest.fixture(scope="session", autouse=True)
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have MLflow make its tables once: its migrations take seconds."""
    file = tmp_path_factory.mktemp("tables") / "mlflow.db"
    databases.quicken(file)
    return file


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database of MLflow's with nothing in it."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def job(lifecycle: Command, tmp_path: Path, empty_database: Path) -> Command:
    """Run a job in this process, with a database that is ready; silently and without figures by default."""
    ready(tmp_path, empty_database)

    def run(*words: str) -> Ended:
        quick = [word for word in QUICK if not any(word.partition("=")[0] + "=" in asked for asked in words)]
        return lifecycle(*words, *quick)

    return run


def ready(folder: Path, empty_database: Path) -> None:
    """Put a database into a folder, so that no run there has to make one."""
    (folder / "mlruns").mkdir(mode=0o700)
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Train a little on iris, once, and return the working folder; to be read, or copied."""
    folder = tmp_path_factory.mktemp("trained")
    ready(folder, empty_database)
    with contextlib.chdir(folder):
        lifecycle_run(["model=mlp", "data=iris", "trainer.max_epochs=2", *QUICK])
    return folder


@pytest.fixture(scope="session")
def forks(tables: Path) -> Iterator[Forks]:
    """Have a process from which those of the command are forked."""
    databases.make(tables)
    forks = Forks(tables)
    yield forks
    forks.end()


@pytest.fixture(autouse=True)
def quick_start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork what this process starts to record runs and to run jobs of sweeps: imports take most of their time.

    A module that tests how they are started has a fixture of this name that does nothing.
    """

    def start_worker(folder: Path, answers: int) -> SweepWorker:
        return SweepWorker(request.getfixturevalue("forks"), folder, answers)

    monkeypatch.setattr(supervise, "start_worker", start_worker)
    monkeypatch.setattr(client, "start_worker", lambda: Recorder(request.getfixturevalue("forks")))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Start a PostgreSQL server, once, or skip the test where there is none."""
    with postgresql_server.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """Start a MariaDB server, once, or skip the test where there is none."""
    with mariadb_server.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """Start a server of S3, once, or skip the test where there is none."""
    with s3_server.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def process(script: Command) -> Command:
    """Run the command in a process of its own, in the working folder."""

    def run(*words: str) -> Ended:
        return script(COMMAND, *words)

    return run


@pytest.fixture
def script(tmp_path: Path, forks: Forks, request: pytest.FixtureRequest) -> Command:
    """Run Python code in a process of its own, which has imported the libraries, in the working folder."""

    def run(code: str, *words: str) -> Ended:
        started = Process(forks, [*words], tmp_path, code=code)
        out, err = started.communicate(timeout=300)
        reliability.note(request, started.wait(), err)
        return Ended(started.wait(), out, err)

    return run


@pytest.fixture
def python(tmp_path: Path) -> Command:
    """Run the command in a new Python, as a user does, in the working folder; slower by seconds."""

    def run(*words: str, **environment: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "lifecycle", *words],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def runs(tmp_path: Path) -> Callable[[], list[mlflow.entities.Run]]:
    """Return the runs in the working folder's database, oldest first, as MLflow itself reads them.

    The summary run of a sweep is left out.
    """

    def search() -> list[mlflow.entities.Run]:
        client = mlflow.MlflowClient(database_uri(tmp_path / "mlruns"))
        ids = [experiment.experiment_id for experiment in client.search_experiments()]
        found = map(tags.name, client.search_runs(ids, order_by=["attributes.start_time ASC"]))
        return [run for run in found if layout.ROLE not in run.data.tags]

    return search


@pytest.fixture
def cached() -> Callable[[str], None]:
    """Skip a test whose data would have to be downloaded."""

    def need(name: str) -> None:
        if not (Path(os.environ.get("LIFECYCLE_CACHE", "/nowhere")) / name).is_file():
            pytest.skip(f"LIFECYCLE_CACHE names no folder with {name}")

    return need


def artifacts(run: mlflow.entities.Run) -> Path:
    """Return the folder of a run's artifacts."""
    return Path(run.info.artifact_uri.removeprefix("file://"))


def history(tmp_path: Path, run: mlflow.entities.Run, metric: str) -> list[tuple[int, float]]:
    """Return (step, value) of each point of a metric, as MLflow itself reads them."""
    client = mlflow.MlflowClient(database_uri(tmp_path / "mlruns"))
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]
