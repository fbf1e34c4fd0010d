"""Storage of artifacts and databases of runs that are away for a time: training completes, and nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from lifecycle.tracking.servers import remote
from lifecycle.tracking.store import database_uri
from tests.conftest import Command
from tests.faults.proxy import Proxy, in_front_of
from tests.faults.test_outage import FIT, PENDING, points_of
from tests.made import runs_in
from tests.mariadb_server import MariaDB
from tests.s3_server import BUCKET, S3
from tests.tracking.sent import assert_none_has, wait_until
from tests.tracking.servers import MLflowServer


@pytest.fixture
def before_s3(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Have a proxy in front of S3, which the environment names."""
    with in_front_of(s3.port) as running:
        for name, value in s3.environment(MLFLOW_S3_ENDPOINT_URL=running.address).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.mark.longest
@pytest.mark.fault(15, 41)
@pytest.mark.on_server("s3", "outage")
@pytest.mark.parametrize("mode", ["refuse", "no artifacts", "hang"])
def test_files_that_s3_does_not_take_stay_here_and_are_sent_again(
    server: MLflowServer, before_s3: Proxy, s3: S3, folder: Path, process: Command, mode: str
) -> None:
    name = f"s3-{mode.replace(' ', '-')}"
    to = (f"tracking.uri={server.address}", f"tracking.experiment={name}")
    before_s3.then(2, mode)  # one or two files are there
    ended = process(*FIT, "trainer.max_epochs=40", *to, f"tracking.artifacts=s3://{BUCKET}/{name}")
    assert (ended.code, ended.err) == (0, "")
    assert PENDING in " ".join(ended.out.split())
    (run,) = runs_in(folder)
    assert run.info.status == "FINISHED"
    wait_until(lambda: len(server.runs(name)) == 1)
    assert server.runs(name)[0].info.status == "RUNNING"
    before_s3.set("pass")
    wait_until(lambda: process("sync", *to).code == 0)
    (run,), (copy,) = runs_in(folder), server.runs(name)
    assert (copy.info.status, copy.info.end_time) == ("FINISHED", run.info.end_time)
    points = points_of(server.client(), copy)
    assert {key: len(found) for key, found in points.items() if key == "train_loss"} == {"train_loss": 40}
    assert points == points_of(_here(folder), run)
    (kept,) = (folder / "mlruns").glob(f"artifacts/*/{run.info.run_id}/artifacts")
    files = {file.relative_to(kept).as_posix(): file.read_bytes() for file in kept.rglob("*") if file.is_file()}
    assert s3.files(f"{name}/{copy.info.run_id}/artifacts").items() >= files.items()
    assert_none_has((s3.key, s3.secret), folder / "mlruns", texts=[ended.out])


@pytest.mark.longest
@pytest.mark.fault(12, 14)
@pytest.mark.on_server("database mariadb", "outage")
def test_a_database_that_is_killed_and_started_again_during_a_run_has_all_of_it(
    mariadb: MariaDB, folder: Path, process: Command
) -> None:
    address = mariadb.create_database("killed")
    to = (f"tracking.uri={address}", "tracking.experiment=killed")
    assert process(*FIT, "trainer.max_epochs=1", *to).code == 0
    wait_until(lambda: process("sync", *to).code == 0)  # its tables are made
    ended: list[int] = []
    words = (*FIT, "trainer.max_epochs=1000", "seed=1", *to)
    fitting = threading.Thread(target=lambda: ended.append(process(*words).code))
    fitting.start()
    for _ in range(2):
        fitting.join(3)
        mariadb.stop()
        fitting.join(1)
        mariadb.start()
    fitting.join(200)
    assert ended == [0]
    wait_until(lambda: process("sync", *to).code == 0)
    (_, run), client = runs_in(folder), remote.client_of(address)
    found = client.search_runs([client.get_experiment_by_name("killed").experiment_id])
    (copy,) = [one for one in found if one.data.tags["lifecycle.run_id"] == run.info.run_id]
    assert len(found) == 2
    points = points_of(client, copy)
    assert len(points["train_loss"]) == 1000
    assert points == points_of(_here(folder), run)
    assert_none_has((mariadb.password,), folder / "mlruns")


def _here(folder: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(database_uri(folder / "mlruns"))
