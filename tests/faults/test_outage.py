"""Servers that are down, stop, hang, refuse or cut connections: training completes, and no point is lost."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from lifecycle.tracking.servers import outbox
from lifecycle.tracking.store import database_uri
from tests.conftest import Command, artifacts
from tests.faults.proxy import MODES, Proxy
from tests.made import runs_in
from tests.tracking.servers import MLflowServer

SECRET = "Tr0ub4dor-Canary"
FIT = ("data=iris", "trainer.early_stopping=false", "verbose=1", "tracking.figures=false")
PENDING = "Nothing is lost: the next command with this server, or `lifecycle sync tracking.uri=http"

Points = dict[str, list[tuple[int, float, int]]]


def points_of(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> Points:
    """Return (step, value, time) of each point."""
    return {
        name: sorted((one.step, one.value, one.timestamp) for one in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }


def sent(server: MLflowServer, run_id: str) -> list[mlflow.entities.Run]:
    """Return the runs on the server that a local run was sent to; more than one is one too many."""
    client = server.client()
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, f"tags.`lifecycle.run_id` = '{run_id}'"))


def assert_complete(server: MLflowServer, folder: Path, run: mlflow.entities.Run) -> Points:
    """Compare a run with what the server has of it, and return its points."""
    (copy,) = sent(server, run.info.run_id)
    here = mlflow.MlflowClient(database_uri(folder / "mlruns"))
    there = server.client()
    assert (copy.info.status, copy.info.end_time) == (run.info.status, run.info.end_time)
    assert copy.data.params == run.data.params
    points = points_of(here, run)
    assert points_of(there, copy) == points
    place = server.folder / "artifacts" / copy.info.experiment_id / copy.info.run_id / "artifacts"
    files = {str(file.relative_to(artifacts(run))): file for file in artifacts(run).rglob("*") if file.is_file()}
    assert files
    for name, file in files.items():
        assert (place / name).read_bytes() == file.read_bytes(), name
    assert outbox.names(folder / "mlruns") == []  # an empty folder may stay where the process ends at that moment
    return points


@pytest.fixture(
    params=[
        "refuse",
        pytest.param("hang", marks=pytest.mark.longest),
        *(pytest.param(mode, marks=pytest.mark.longest) for mode in ("500", "429", "cut")),
    ]
)
def mode(request: pytest.FixtureRequest) -> str:
    """Return how a server fails."""
    return str(request.param)


@pytest.mark.fault(11, 13, 14, 41)
def test_a_run_whose_server_fails_from_the_start_is_recorded_here_and_sent_later(
    server: MLflowServer, proxy: Proxy, folder: Path, process: Command, mode: str
) -> None:
    proxy.set(mode)
    address = proxy.address.replace("//", f"//ann:{SECRET}@")
    ended = process(*FIT, "trainer.max_epochs=3", f"tracking.uri={address}")
    assert (ended.code, ended.err) == (0, "")
    assert PENDING in " ".join(ended.out.split())
    (run,) = runs_in(folder)
    assert run.info.status == "FINISHED"
    proxy.set("pass")
    synced = process("sync", f"tracking.uri={address}")
    assert (synced.code, synced.err) == (0, "")
    (run,) = runs_in(folder)
    points = assert_complete(server, folder, run)
    assert [step for step, _, _ in points["train_loss"]] == [1, 2, 3]
    files = [file for file in (folder / "mlruns").rglob("*") if file.is_file()]
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]
    assert SECRET not in ended.out + synced.out


@pytest.mark.fault(12, 13, 14)
def test_a_run_whose_server_stops_in_the_middle_is_sent_in_full_later(
    server: MLflowServer, proxy: Proxy, folder: Path, process: Command, mode: str
) -> None:
    proxy.then(4, mode)  # the run is on the server, and points are on their way
    ended = process(*FIT, "trainer.max_epochs=40", f"tracking.uri={proxy.address}")
    assert (ended.code, ended.err) == (0, "")
    assert PENDING in " ".join(ended.out.split())
    (run,) = runs_in(folder)
    assert run.info.status == "FINISHED"
    (copy,) = sent(server, run.info.run_id)
    assert copy.info.status == "RUNNING"
    proxy.set("pass")
    synced = process("sync", f"tracking.uri={proxy.address}")
    assert (synced.code, synced.err) == (0, "")
    (run,) = runs_in(folder)
    assert len(assert_complete(server, folder, run)["train_loss"]) == 40


UPDATE = """
import sys
from pathlib import Path
from lifecycle.tracking.servers import outbox, remote
from lifecycle.tracking.servers.replica import Replica
address, run_id = sys.argv[1:]
store = Path("mlruns").absolute()
outbox.put(store, outbox.Entry(run_id, address))
(name,) = outbox.names(store)
done, failures = False, 0
while not done:
    entry = outbox.take(store, name, address)
    try:
        done = Replica(remote.client_of(address), address, store, entry, lambda: None).update()
    except Exception as error:
        failures += 1
        assert failures < 100, error
with outbox.turn(store, name):
    outbox.remove(store, entry)
print(failures)
"""
"""Sends a run until the server has it."""


@pytest.mark.fault(14)
def test_an_answer_to_each_request_that_is_lost_once_leaves_no_duplicate(
    server: MLflowServer, proxy: Proxy, folder: Path, process: Command, script: Command
) -> None:
    assert process(*FIT, "trainer.max_epochs=2", "tracking.uri=local").code == 0
    (run,) = runs_in(folder)
    proxy.cut_each_once()
    ended = script(UPDATE, proxy.address, run.info.run_id)
    assert (ended.code, ended.err) == (0, "")
    assert int(ended.out) > 10  # requests of which the server has done what was asked, unknown to the client
    assert_complete(server, folder, run)


@pytest.mark.fault(15)
def test_files_that_cannot_be_uploaded_stay_here_and_are_sent_again(
    server: MLflowServer, proxy: Proxy, folder: Path, process: Command
) -> None:
    proxy.set("no artifacts")
    ended = process(*FIT, "trainer.max_epochs=2", f"tracking.uri={proxy.address}")
    assert (ended.code, ended.err) == (0, "")
    assert PENDING in " ".join(ended.out.split())
    (run,) = runs_in(folder)
    (copy,) = sent(server, run.info.run_id)
    assert copy.data.metrics["train_loss"] == run.data.metrics["train_loss"]  # only files are missing
    assert copy.info.status == "RUNNING"
    proxy.set("pass")
    assert process("sync", f"tracking.uri={proxy.address}").code == 0
    assert_complete(server, folder, run)


@pytest.mark.fault(15)
def test_a_server_whose_disk_is_full_takes_the_files_once_it_has_room(
    server: MLflowServer, proxy: Proxy, folder: Path, process: Command, small_disk: Callable[[Path, str], None]
) -> None:
    small_disk(server.folder / "artifacts", "4k")
    (server.folder / "artifacts" / "ballast").write_bytes(bytes(4096))
    ended = process(*FIT, "trainer.max_epochs=2", f"tracking.uri={proxy.address}")
    assert (ended.code, ended.err) == (0, "")
    assert PENDING in " ".join(ended.out.split())
    subprocess.run(["umount", "--lazy", server.folder / "artifacts"], check=True)
    (run,) = runs_in(folder)
    assert process("sync", f"tracking.uri={proxy.address}").code == 0
    assert_complete(server, folder, run)


@pytest.mark.fault(11)
def test_a_name_that_cannot_be_resolved_is_a_server_that_is_down(folder: Path, process: Command) -> None:
    ended = process(*FIT, "trainer.max_epochs=2", "tracking.uri=http://tracking.invalid:5000")
    assert (ended.code, ended.err) == (0, "")
    said = " ".join(ended.out.split())
    assert "its name " in said
    assert PENDING in said
    (run,) = runs_in(folder)
    assert run.info.status == "FINISHED"


@pytest.mark.longest
@pytest.mark.fault(12)
def test_a_server_that_is_killed_and_started_again_during_a_run_has_all_of_it(
    folder: Path, process: Command, empty_database: Path, tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "server.db").write_bytes(empty_database.read_bytes())
    server = MLflowServer(tmp_path / "server")
    try:
        ended: list[int] = []
        words = (*FIT, "trainer.max_epochs=3000", f"tracking.uri={server.address}")
        fitting = threading.Thread(target=lambda: ended.append(process(*words).code))
        fitting.start()
        for _ in range(2):
            fitting.join(4)
            server.stop()
            fitting.join(2)
            server.start()
        fitting.join(200)
        assert ended == [0]
        assert process("sync", f"tracking.uri={server.address}").code == 0
        (run,) = runs_in(folder)
        assert len(assert_complete(server, folder, run)["train_loss"]) == 3000
    finally:
        server.stop()


@pytest.mark.longest
@pytest.mark.fault(12, 14)
def test_twenty_outages_during_a_sweep_of_twenty_runs_lose_no_point(
    server: MLflowServer, proxy: Proxy, folder: Path, process: Command
) -> None:
    ended: list[int] = []
    words = ("-m", *FIT, "seed=range(0,20)", "trainer.max_epochs=60", "sweep.vectorise=off")
    fitting = threading.Thread(target=lambda: ended.append(process(*words, f"tracking.uri={proxy.address}").code))
    fitting.start()
    draw, outages = random.Random(0), 0
    while fitting.is_alive():
        fitting.join(draw.uniform(0.05, 0.2))
        proxy.set(draw.choice([mode for mode in MODES if mode != "pass"]))
        outages += 1
        fitting.join(draw.uniform(0.05, 0.2))
        proxy.set("pass")
    assert ended == [0]
    assert outages >= 20
    synced = process("sync", f"tracking.uri={proxy.address}")
    assert (synced.code, synced.err) == (0, "")
    found = runs_in(folder)
    assert len(found) == 20
    for run in found:
        assert len(assert_complete(server, folder, run)["train_loss"]) == 60
