"""`lifecycle sync run=...`: runs that were recorded without a server are sent to one, in full, and once."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.tracking import found_run
from lifecycle.tracking.found_run import Which
from lifecycle.tracking.run import track_again
from tests.conftest import Command
from tests.faults.proxy import Proxy, in_front_of
from tests.tracking.servers import MLflowServer
from tests.tracking.test_servers import FEW, check_same, local_points, wait_until, weights


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[MLflowServer]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "server.db")
    started = MLflowServer(folder)
    yield started
    started.stop()


@pytest.fixture
def proxy(server: MLflowServer) -> Iterator[Proxy]:
    with in_front_of(server.port) as running:
        yield running


def written(proxy: Proxy) -> list[str]:
    """Return method and path of each request that changes something on the server, and forget all."""
    found = [line.decode().rsplit(" ", 1)[0] for line in proxy.requests]
    proxy.requests.clear()
    return [line for line in found if not line.startswith("GET ") and "/search" not in line]


@pytest.mark.fault(14)
def test_runs_of_a_folder_are_sent_in_full_and_once(
    job: Command, lifecycle: Command, server: MLflowServer, proxy: Proxy, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    to, store = f"tracking.uri={proxy.address}", tmp_path / "mlruns"
    assert job(*FEW, "tracking.experiment=synced").code == 0
    assert job(*FEW, "tracking.experiment=synced", "seed=1", "optimizer=sgd", "optimizer.lr=1e30").code == 1
    assert lifecycle("register", "run=latest", "name=flowers", "alias=champion", "tracking.experiment=synced").code == 0
    ended = lifecycle("sync", "run=all", to)
    assert ended.code == 0, ended.err
    assert ended.out == f"Sent 2 runs to {proxy.address}.\nNothing waits: all runs are recorded.\n"
    good, failed = server.runs("synced")
    check_same(server, store, good, address=proxy.address)
    diverged = failed.data.tags["lifecycle.run_id"]
    assert len(server.points(failed)) == len(local_points(store, diverged)) > 0  # the loss is NaN
    assert (good.info.status, failed.info.status) == ("FINISHED", "FAILED")
    own = good.data.tags["lifecycle.run_id"]
    client = server.client()
    (output,) = good.outputs.model_outputs
    with sqlite3.connect(store / "mlflow.db") as database:
        params = dict(database.execute("SELECT param_key, param_value FROM logged_model_params").fetchall())
    assert client.get_logged_model(output.model_id).params == params != {}
    version = client.get_model_version_by_alias("flowers", "champion")
    assert (version.run_id, version.source) == (good.info.run_id, f"models:/{output.model_id}")

    # The same once more changes nothing, whether or not this folder knows that it has sent them.
    written(proxy)
    ended = lifecycle("sync", "run=all", to)
    assert (ended.code, ended.out) == (0, "2 runs are there already, as here.\nNothing waits: all runs are recorded.\n")
    assert written(proxy) == []

    # On another machine the run is copied, and only what is new is sent.
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    words = ("tracking.experiment=synced", "tracking.figures=false")
    assert lifecycle("evaluate", f"run={own}", to, *words).code == 0
    files = [line for line in written(proxy) if line.startswith("PUT ")]
    assert files
    assert all("/evaluate" in line or line.endswith("files.sha256") for line in files), files
    assert weights(there / "mlruns", own) == weights(store, own)
    (now,) = (run for run in server.runs("synced") if run.info.run_id == good.info.run_id)
    assert server.points(now) == local_points(there / "mlruns", own)

    # The first folder, which lacks them, takes nothing away, and the alias of another version stays.
    monkeypatch.chdir(tmp_path)
    other = client.create_model_version("flowers", f"models:/{output.model_id}", model_id=output.model_id)
    client.set_registered_model_alias("flowers", "champion", other.version)
    ended = lifecycle("sync", f"run={own[:8]}", to)
    assert ended.code == 0, ended.err
    (after,) = (run for run in server.runs("synced") if run.info.run_id == good.info.run_id)
    assert server.points(after) == server.points(now)
    assert server.files(after) == server.files(now)
    assert client.get_model_version_by_alias("flowers", "champion").version == other.version


def test_what_cannot_be_sent_is_said(job: Command, lifecycle: Command, tmp_path: Path) -> None:
    assert job(*FEW, "trainer.max_epochs=1").code == 0
    ended = lifecycle("sync", "run=all", "tracking.uri=local")
    assert ended.code == 2
    assert "sync has no server to send runs to. Add tracking.uri=http://host:5000, or set" in ended.err
    ended = lifecycle("sync", "run=abcdef12", "tracking.uri=http://127.0.0.1:9")
    assert (ended.code, "run=abcdef12 is no run in" in ended.err) == (2, True)
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as database:
        database.execute("DELETE FROM tags WHERE key = 'mlflow.lifecycle.command'")
        (run,) = database.execute("SELECT run_uuid FROM runs").fetchone()
    ended = lifecycle("sync", f"run={run}", "tracking.uri=http://127.0.0.1:9")
    assert (ended.code, "was recorded by another program. Name another run." in ended.err) == (2, True)
    assert "Type for instance lifecycle sync run=latest." in lifecycle("sync", "latest").err
    assert not (tmp_path / "mlruns" / "outbox").exists()


def test_what_is_added_long_after_a_run_was_opened_again_is_sent_too(
    job: Command, server: MLflowServer, tmp_path: Path
) -> None:
    to = (f"tracking.uri={server.address}", "tracking.experiment=added")
    assert job(*FEW, *to).code == 0
    (run,) = server.runs("added")
    own = run.data.tags["lifecycle.run_id"]
    which = Which(run=own)
    which.tracking.uri, which.tracking.experiment = server.address, "added"
    with track_again(found_run.find(which), resume=False) as again:
        outbox = tmp_path / "mlruns" / "outbox"
        wait_until(lambda: outbox.exists() and not list(outbox.glob("*.new")))  # it has been looked through
        wait_until(lambda: not outbox.exists() or list(outbox.glob("*.json")) != [])
        again.log_scores({"evaluate_test_accuracy": 0.5})
    assert again.pending == ""
    (now,) = server.runs("added")
    assert now.data.metrics["evaluate_test_accuracy"] == 0.5
