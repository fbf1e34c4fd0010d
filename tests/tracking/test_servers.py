"""Runs on an MLflow server: sent from their folder, found and copied from it, and nothing lost while it is away."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from lifecycle.config import compose
from lifecycle.data.sources import files
from lifecycle.tracking import client
from lifecycle.tracking.run import track
from lifecycle.tracking.servers import databases, outbox, remote, stale
from tests.conftest import Command
from tests.forked import Forks
from tests.postgresql_server import PostgreSQL
from tests.tracking.sent import check_same, local_points, predict_elsewhere, sync, wait_until, weights
from tests.tracking.servers import MLflowServer

FEW = ("data=iris", "trainer.max_epochs=3", "tracking.figures=false")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Iterator[MLflowServer]:
    started = MLflowServer(tmp_path_factory.mktemp("server"), forks=forks)
    yield started
    started.stop()


@pytest.fixture
def to(server: MLflowServer, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Name the server, and an experiment of the test's own."""
    name = re.sub(r"\W+", "-", request.node.name)[:60]
    return f"tracking.uri={server.address}", f"tracking.experiment={name}"


def experiment(to: tuple[str, str]) -> str:
    return to[1].partition("=")[2]


@pytest.mark.on_server("sqlite", "run")
def test_a_run_is_on_the_server_as_in_its_folder(
    lifecycle: Command, server: MLflowServer, to: tuple[str, str], tmp_path: Path
) -> None:
    ended = lifecycle(*FEW, *to)
    assert ended.code == 0, ended.err
    (run,) = server.runs(experiment(to))
    page = f"{server.address}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert f"Server    {page}" in ended.out
    assert "Pending" not in ended.out
    check_same(server, tmp_path / "mlruns", run)
    # The model can be loaded from the server with MLflow alone.
    (output,) = run.outputs.model_outputs
    mlflow.set_tracking_uri(server.address)
    try:
        model: Any = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
        predicted = model.predict(files.read("sklearn:iris").drop(columns="species").head(3))
    finally:
        mlflow.set_tracking_uri(None)
    assert list(predicted["predicted"]) == ["setosa"] * 3
    assert outbox.names(tmp_path / "mlruns") == []


@pytest.mark.on_server("sqlite", "predict evaluate resume register alias")
def test_another_machine_uses_continues_and_registers_a_run(
    job: Command, lifecycle: Command, server: MLflowServer, to: tuple[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert job(*FEW, *to, "tracking.checkpoints=server").code == 0
    (run,) = server.runs(experiment(to))
    own = run.data.tags["lifecycle.run_id"]
    here, there = tmp_path, tmp_path / "there"
    there.mkdir()
    shutil.copytree(here / "mlruns", here / "copy")
    files.read("sklearn:iris").drop(columns="species").to_csv(there / "in.csv", index=False)
    monkeypatch.chdir(there)
    for number, word in enumerate((run.info.run_id, own[:8], "latest", "best")):
        ended = lifecycle("predict", f"run={word}", "input=in.csv", f"output=out{number}.csv", *to)
        assert ended.code == 0, ended.err
    frames = [pd.read_csv(there / f"out{number}.csv") for number in range(4)]
    assert all(frame.equals(frames[0]) for frame in frames)
    # Continued here and, uninterrupted, in the folder that it began in: the same weights.
    ended = lifecycle("resume", f"run={own}", "trainer.max_epochs=5", *to, "tracking.checkpoints=server")
    assert ended.code == 0, ended.err
    check_same(server, there / "mlruns", server.runs(experiment(to))[0])
    monkeypatch.chdir(here)
    ended = lifecycle("resume", f"run={own}", "trainer.max_epochs=5", "tracking.dir=copy", *to[1:])
    assert ended.code == 0, ended.err
    digests = [weights(folder, own) for folder in (here / "copy", there / "mlruns")]
    assert digests[0] == digests[1] != weights(here / "mlruns", own)
    # The version that is registered is the model of the server, which any machine finds.
    monkeypatch.chdir(there)
    name = experiment(to)[:20]
    ended = lifecycle("register", f"run={own}", f"name={name}", "alias=champion", *to)
    assert ended.code == 0, ended.err
    version = server.client().get_model_version_by_alias(name, "champion")
    assert version.run_id == run.info.run_id
    ended = lifecycle("evaluate", f"run=models:/{name}@champion", *to, "tracking.figures=false", "tracking.dir=again")
    assert ended.code == 0, ended.err
    assert "the same as the run recorded" in ended.out
    (found,) = server.runs(experiment(to))
    assert any(key.startswith("evaluate_test_") for key in found.data.metrics)


@pytest.mark.on_server("sqlite", "compare")
def test_a_sweep_is_sent_and_another_program_is_listed_only(
    job: Command, lifecycle: Command, server: MLflowServer, to: tuple[str, str], tmp_path: Path
) -> None:
    assert job(*FEW, "tracking.experiment=makes-the-database").code == 0
    ended = lifecycle("-m", *FEW, *to, "seed=1,2", "data.split_seed=0")
    assert ended.code == 0, ended.err
    assert f"Server    {server.address}" in ended.out
    runs = {run.info.run_name: run for run in server.runs(experiment(to))}
    assert {"mlp-iris-1", "mlp-iris-2"} < set(runs)
    for name in ("mlp-iris-1", "mlp-iris-2"):
        check_same(server, tmp_path / "mlruns", runs[name])
    other = server.client().create_run(runs["mlp-iris-1"].info.experiment_id, run_name="by-hand")
    server.client().log_metric(other.info.run_id, "test_accuracy", 0.5)
    server.client().set_terminated(other.info.run_id)
    own = runs["mlp-iris-1"].data.tags["lifecycle.run_id"]
    ended = lifecycle("compare", f"run={own},{other.info.run_id}", "metric=test_accuracy", *to)
    assert ended.code == 0, ended.err
    assert "by-hand" in ended.out
    ended = lifecycle("export", f"run={other.info.run_id}", "format=safetensors", "output=x", *to)
    assert ended.code == 2
    assert "was recorded by another program" in ended.err


@pytest.mark.on_server("sqlite", "outage")
def test_while_the_server_is_away_nothing_is_lost(
    lifecycle: Command, server: MLflowServer, to: tuple[str, str], tmp_path: Path
) -> None:
    server.stop()
    try:
        ended = lifecycle(*FEW, *to)
        assert ended.code == 0, ended.err
        assert f"not yet in full on {server.address}: it refuses connections" in " ".join(ended.out.split())
        ended = lifecycle("sync", *to)
        assert ended.code == 1
        assert ended.err == (
            f"lifecycle: The run is recorded here, and not yet in full on {server.address}: it refuses connections: no "
            "server is running there.\n"
        )
        ended = lifecycle("sync", "tracking.uri=local", to[1])
        assert ended.code == 1
        assert f"1 run waits for {server.address}. Type `lifecycle sync tracking.uri={server.address}`." in ended.err
    finally:
        server.start()
    ended = lifecycle("sync", *to)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        f"Sent 1 run to {server.address}.\nNothing waits: all runs are recorded, and on {server.address}.\n"
    )
    (run,) = server.runs(experiment(to))
    check_same(server, tmp_path / "mlruns", run)
    assert lifecycle("sync", *to).out == f"Nothing waits: all runs are recorded, and on {server.address}.\n"
    assert len(server.runs(experiment(to))) == 1


@pytest.fixture
def request_of(job: Command) -> Callable[..., Any]:
    """Compose a request in the working folder, whose database is ready."""
    return lambda *words: compose.compose(list(words))


def test_a_server_that_dies_in_the_middle_has_every_point_afterwards(
    request_of: Callable[..., Any], lifecycle: Command, server: MLflowServer, to: tuple[str, str], tmp_path: Path
) -> None:
    with track(request_of(*FEW, *to)) as run:
        for epoch in range(1, 2501):
            run.log_epoch({"epoch": epoch, "train_loss": 1 / epoch})
            if epoch == 1000:
                run.send()
                wait_until(lambda: any(len(server.points(one)) > 0 for one in server.runs(experiment(to))))
                server.stop()
    try:
        assert "it refuses connections" in run.pending or "has not answered" in run.pending
    finally:
        server.start()
    client.end_all()
    assert lifecycle("sync", *to).code == 0
    (found,) = server.runs(experiment(to))
    assert found.info.status == "FINISHED"
    points = server.points(found)
    assert points == local_points(tmp_path / "mlruns", run.id)
    assert sorted(step for _, _, _, step in points) == list(range(1, 2501))


@pytest.mark.fault(41)
def test_credentials_are_never_kept(
    lifecycle: Command, server: MLflowServer, to: tuple[str, str], tmp_path: Path
) -> None:
    address = server.address.replace("http://", "http://jane:hunter2secret@")
    ended = lifecycle(*FEW, f"tracking.uri={address}", to[1])
    assert ended.code == 0, ended.err
    assert "hunter2secret" not in ended.out + ended.err
    # What needs the recorded request takes the password from this command.
    ended = lifecycle("evaluate", "run=latest", f"tracking.uri={address}", to[1], "tracking.figures=false")
    assert ended.code == 0, ended.err
    assert "hunter2secret" not in ended.out + ended.err
    kept = [file for file in (tmp_path / "mlruns").rglob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if b"hunter2secret" in file.read_bytes()]
    server.stop()
    try:
        ended = lifecycle(*FEW, f"tracking.uri={address}", to[1], "seed=2")
        assert (ended.code, "hunter2secret" in ended.out + ended.err) == (0, False)
        (entry,) = outbox.entries(tmp_path / "mlruns")
        assert "***@" in entry.server
        assert not [f for f in (tmp_path / "mlruns").rglob("*") if f.is_file() and b"hunter2secret" in f.read_bytes()]
    finally:
        server.start()


def on_postgresql(postgresql: PostgreSQL, name: str) -> str:
    postgresql.create_database(name)
    return databases.with_driver(postgresql.address(name))


@pytest.mark.on_server("postgresql", "run predict")
def test_a_server_on_postgresql_has_the_run_too(
    lifecycle: Command, tmp_path: Path, postgresql: PostgreSQL, forks: Forks
) -> None:
    server = MLflowServer(tmp_path / "server", backend=on_postgresql(postgresql, "mlflow"), forks=forks)
    try:
        ended = lifecycle(*FEW, f"tracking.uri={server.address}", "tracking.experiment=pg")
        assert ended.code == 0, ended.err
        (run,) = server.runs("pg")
        check_same(server, tmp_path / "mlruns", run)
        predict_elsewhere(lifecycle, run, f"tracking.uri={server.address}")
    finally:
        server.stop()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sqlite", marks=pytest.mark.on_server("database sqlite", "run predict")),
        pytest.param("postgresql", marks=pytest.mark.on_server("database postgresql", "run predict")),
    ],
)
def test_a_database_needs_no_server(
    lifecycle: Command, tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    address = f"sqlite:///{tmp_path}/team.db"
    if kind == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        postgresql.create_database("team")
        address = postgresql.address("team")  # which names no driver
    ended = lifecycle(*FEW, f"tracking.uri={address}", "tracking.experiment=db")
    assert ended.code == 0, ended.err
    # Making the tables takes longer than the end of a run waits.
    sync(lifecycle, f"tracking.uri={address}", "tracking.experiment=db")
    found = remote.client_of(address)
    (run,) = found.search_runs([found.get_experiment_by_name("db").experiment_id])
    own = run.data.tags["lifecycle.run_id"]
    points = sorted(
        (name, point.value, point.timestamp, point.step)
        for name in run.data.metrics
        for point in found.get_metric_history(run.info.run_id, name)
    )
    assert points == local_points(tmp_path / "mlruns", own) != []
    assert run.info.artifact_uri.startswith((tmp_path / "mlruns" / "server-artifacts").as_uri())
    assert len(found.list_artifacts(run.info.run_id)) > 5
    predict_elsewhere(lifecycle, run, f"tracking.uri={address}")


def test_the_ui_of_a_server_is_the_server_itself(lifecycle: Command) -> None:
    ended = lifecycle("ui", "tracking.uri=http://jane:secret@host:5000")
    where = "The runs are on http://***@host:5000, which cannot be asked now: "
    assert (ended.code, ended.out.startswith(where), "secret" in ended.out) == (0, True, False), ended.out


def test_a_run_is_closed_only_if_its_machine_stays_silent(server: MLflowServer, to: tuple[str, str]) -> None:
    mlflow_client = server.client()
    made = mlflow_client.create_experiment(experiment(to))
    now = int(time.time())
    old = now - int(stale.SECONDS_WITHOUT_BEAT) - 60

    def begun(beat: int, **tags: str) -> Any:
        tags = {"lifecycle.run_id": "0" * 32, "lifecycle.heartbeat": f"far 1 {beat}", **tags}
        return mlflow_client.create_run(made, tags=tags)

    def look(run: Any) -> str:
        stale.check(mlflow_client, mlflow_client.get_run(run.info.run_id))
        return str(mlflow_client.get_run(run.info.run_id).info.status)

    alive, silent = begun(now), begun(old)
    before = now - int(stale.SECONDS_OF_SUSPICION) - 5
    suspected = begun(old, **{"lifecycle.suspected": f"{before} {old}"})
    back = begun(now - 30, **{"lifecycle.suspected": f"{before} {old}"})
    # The clock of its machine is an hour behind; it has sent a heartbeat since it was suspected.
    behind = begun(now - 3600, **{"lifecycle.suspected": f"{before} {now - 3700}"})
    odd = begun(old, **{"lifecycle.suspected": "some time"})
    other = mlflow_client.create_run(made)
    assert [look(run) for run in (alive, silent, silent, suspected, back, behind, odd, other)] == [
        *("RUNNING", "RUNNING", "RUNNING", "KILLED", "RUNNING", "RUNNING", "RUNNING", "RUNNING")
    ]
    error = mlflow_client.get_run(suspected.info.run_id).data.tags["lifecycle.error"]
    assert error == "the process or its machine has ended without a word: no heartbeat since 16 minutes"


def test_a_run_of_another_machine_at_work_is_not_taken_over(
    lifecycle: Command, server: MLflowServer, to: tuple[str, str]
) -> None:
    made = server.client().create_experiment(experiment(to))
    tags = {
        "lifecycle.run_id": "a" * 32,
        "lifecycle.heartbeat": f"far 1 {int(time.time())}",
        "lifecycle.command": "lifecycle",
    }
    run = server.client().create_run(made, tags=tags, run_name="there")
    ended = lifecycle("resume", f"run={run.info.run_id}", *to)
    assert ended.code == 2
    assert "is still running on far. Wait for its end." in ended.err
