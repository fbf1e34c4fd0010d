"""Each kind of server and of storage, whole: runs sent to it, and used from another folder. See docs/tracking.md."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lifecycle.data.sources import files
from lifecycle.tracking.servers import databases, remote
from tests.conftest import Command, Ended
from tests.forked import Forks
from tests.functional.test_serve import end, start
from tests.mariadb_server import MariaDB
from tests.s3_server import BUCKET, S3
from tests.tracking.sent import assert_none_has, check_same, local_points, predict_elsewhere, sync, wait_until, weights
from tests.tracking.servers import MLflowServer

pytestmark = pytest.mark.longest

FEW = ("data=iris", "trainer.max_epochs=3", "tracking.figures=false", "verbose=1")


@contextmanager
def started(folder: Path, empty_database: Path, *words: str, **more: Any) -> Iterator[MLflowServer]:
    """Start an MLflow server on SQLite, whose tables are made."""
    folder.mkdir()
    shutil.copy(empty_database, folder / "server.db")
    server = MLflowServer(folder, *words, **more)
    try:
        yield server
    finally:
        server.stop()


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


class Shell:
    """Runs commands that succeed, and keeps what they print."""

    def __init__(self, lifecycle: Command, *to: str) -> None:
        self._lifecycle, self.to = lifecycle, to
        self.texts: list[str] = []

    def __call__(self, *words: str) -> Ended:
        ended = self._lifecycle(*words, *self.to)
        assert ended.code == 0, ended.err
        self.texts += [ended.out, ended.err]
        return ended


@pytest.mark.on_server("s3", "run predict evaluate resume rerun compare export serve register alias")
def test_every_command_with_files_that_clients_keep_on_s3(
    job: Command, lifecycle: Command, s3: S3, empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    forks: Forks,
) -> None:  # fmt: skip
    words = ("--default-artifact-root", f"s3://{BUCKET}/direct", "--no-serve-artifacts")
    with started(tmp_path / "server", empty_database, *words) as server:  # which has no credentials itself
        set_all(monkeypatch, s3.environment())
        to = (f"tracking.uri={server.address}", "tracking.checkpoints=server")
        shell = Shell(job, *to)
        shell(*FEW)
        sync(lifecycle, *to)
        (run,) = server.runs("lifecycle")
        check_same(server, tmp_path / "mlruns", run)
        own = run.data.tags["lifecycle.run_id"]
        (folder,) = (tmp_path / "mlruns").glob(f"artifacts/*/{own}/artifacts")
        there = s3.files(f"direct/{run.info.experiment_id}/{run.info.run_id}/artifacts")
        assert {name: content for name, content in there.items() if (folder / name).is_file()} == {
            file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
        }
        assert "checkpoints/last.ckpt" in there
        shutil.copytree(tmp_path / "mlruns", tmp_path / "copy")

        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        flowers = files.read("sklearn:iris").drop(columns="species")
        flowers.to_csv("in.csv", index=False)
        shell = Shell(lifecycle, *to)
        shell("predict", "run=latest", "input=in.csv", "output=out.csv")
        assert "the same as the run recorded" in shell("evaluate", f"run={own[:8]}", "tracking.figures=false").out
        shell("resume", f"run={own}", "trainer.max_epochs=5")
        assert "reproduced: all scores equal" in shell("rerun", f"run={own}").out
        shell("compare", f"run={own},latest")
        shell("export", f"run={own}", "format=safetensors", "output=exported")
        served = start(forks, own, elsewhere, *to)  # type: ignore[arg-type]
        row = {"columns": [*flowers.columns], "data": flowers.head(1).to_numpy().tolist()}
        assert served.json(dataframe_split=row)[0] == 200
        end(served, signal.SIGINT)
        shell("register", f"run={own}", "name=flowers", "alias=champion")
        version = server.client().get_model_version_by_alias("flowers", "champion")
        assert version.run_id == run.info.run_id
        shell("predict", "run=models:/flowers@champion", "input=in.csv", "output=of-alias.csv", "tracking.dir=again")
        sync(lifecycle, *to)
        check_same(server, elsewhere / "mlruns", server.client().get_run(run.info.run_id))

        # Continued without a server in the folder that it began in: the same weights.
        monkeypatch.chdir(tmp_path)
        ended = lifecycle("resume", f"run={own}", "trainer.max_epochs=5", "tracking.dir=copy", "tracking.uri=local")
        assert ended.code == 0, ended.err
        assert (
            weights(tmp_path / "copy", own) == weights(elsewhere / "mlruns", own) != weights(tmp_path / "mlruns", own)
        )
        assert_none_has((s3.key, s3.secret), tmp_path, texts=shell.texts)


@pytest.mark.on_server("database mariadb", "run predict register alias")
@pytest.mark.on_server("mariadb, s3", "run predict evaluate resume register alias")
def test_mariadb_with_and_without_a_server_that_keeps_files_on_s3(
    job: Command, lifecycle: Command, mariadb: MariaDB, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = mariadb.create_database("team")
    # The first run makes MLflow's tables, which takes longer than the end of a run waits.
    direct = (f"tracking.uri={address}", "tracking.experiment=direct")
    shell = Shell(job, *direct)
    shell(*FEW)
    sync(lifecycle, *direct)
    client = remote.client_of(address)
    (run,) = client.search_runs([client.get_experiment_by_name("direct").experiment_id])
    points = sorted(
        (name, point.value, point.timestamp, point.step)
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    )
    assert points == local_points(tmp_path / "mlruns", run.data.tags["lifecycle.run_id"]) != []
    explicit = mariadb.address("team", scheme="mysql+pymysql")
    predict_elsewhere(lifecycle, run, f"tracking.uri={explicit}")
    ended = lifecycle("sync", "run=all", f"tracking.uri={explicit}", "tracking.experiment=direct")
    assert (ended.code, "1 run is there already, as here." in ended.out) == (0, True), ended
    shell = Shell(lifecycle, *direct)
    shell("register", f"run={run.info.run_id}", "name=of-a-database", "alias=champion")
    shell("evaluate", "run=models:/of-a-database@champion", "tracking.figures=false", "tracking.dir=again")

    storage = ("--artifacts-destination", f"s3://{BUCKET}/proxied", "--default-artifact-root", "mlflow-artifacts:/")
    server = MLflowServer(
        tmp_path / "server", *storage, backend=databases.with_driver(address), environment=s3.environment()
    )
    try:
        to = (f"tracking.uri={server.address}", "tracking.experiment=server", "tracking.checkpoints=server")
        shell = Shell(job, *to)
        shell(*FEW)
        sync(lifecycle, *to)
        (run,) = server.runs("server")
        check_same(server, tmp_path / "mlruns", run)
        (model,) = run.outputs.model_outputs
        there = s3.files("proxied")
        assert f"{run.info.experiment_id}/{run.info.run_id}/artifacts/checkpoints/last.ckpt" in there
        assert f"{run.info.experiment_id}/models/{model.model_id}/artifacts/MLmodel" in there

        elsewhere = tmp_path / "other"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        shell = Shell(lifecycle, *to)
        predict_elsewhere(lifecycle, run, *to)
        shell("resume", "run=latest", "trainer.max_epochs=5")
        sync(lifecycle, *to)
        check_same(server, elsewhere / "mlruns", server.client().get_run(run.info.run_id))
        shell("register", "run=latest", "name=flowers", "alias=champion")
        assert server.client().get_model_version_by_alias("flowers", "champion").run_id == run.info.run_id
        ended = shell("evaluate", "run=models:/flowers@champion", "tracking.dir=again", "tracking.figures=false")
        assert "the same as the run recorded" in ended.out
        found = (s3.key, s3.secret, mariadb.password)
        assert_none_has(found, tmp_path / "mlruns", elsewhere, texts=shell.texts)
    finally:
        server.stop()


@pytest.mark.on_server("basic-auth", "run outage predict")
def test_a_server_that_asks_for_a_password_gets_that_of_the_environment(
    lifecycle: Command, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("flask_wtf", reason="mlflow server --app-name basic-auth needs mlflow[auth]")
    password, wrong = "Pw-of-the-team-7", "Pw-of-nobody-8"
    config = tmp_path / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{tmp_path}/auth.db\n"
        f"admin_username = admin\nadmin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    variables = {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "any"}
    with started(tmp_path / "server", empty_database, "--app-name", "basic-auth", environment=variables) as server:
        to = (f"tracking.uri={server.address}", "tracking.experiment=auth")
        why = "it does not accept the name or the password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        not_sent = f"The run is recorded here, and not yet in full on {server.address}: {why}."
        ended = lifecycle(*FEW, *to)
        texts = [ended.out]
        assert (ended.code, ended.err) == (0, "")
        assert "Scores    test_loss" in ended.out
        for given in (None, wrong):
            if given is not None:
                set_all(monkeypatch, {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": given})
            # A busy machine takes longer to answer than the command waits.
            wait_until(lambda: not_sent in lifecycle("sync", *to).err)
        files.read("sklearn:iris").to_csv("in.csv", index=False)
        ended = lifecycle("predict", "run=" + "0" * 32, "input=in.csv", "output=out.csv", *to)
        assert (ended.code, ended.err) == (1, f"lifecycle: the server {server.address} cannot be asked: {why}.\n")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        sync(lifecycle, *to)
        (run,) = server.runs("auth")
        check_same(server, tmp_path / "mlruns", run)
        predict_elsewhere(lifecycle, run, *to)
        assert_none_has((password, wrong), tmp_path / "mlruns", tmp_path / "elsewhere", texts=texts)


@pytest.mark.on_server("databricks", "run predict")
def test_the_client_of_databricks_with_a_profile_and_with_variables(
    job: Command, lifecycle: Command, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An MLflow server takes the place of a workspace: MLflow's client of Databricks asks it the same."""
    token = "dapi-Token-of-the-team-7"
    words = ("--default-artifact-root", str(tmp_path / "shared"), "--no-serve-artifacts")
    with started(tmp_path / "server", empty_database, *words) as server:
        profiles = tmp_path / "profiles"
        profiles.write_text(f"[mine]\nhost = {server.address}\ntoken = {token}\n")
        set_all(monkeypatch, {"DATABRICKS_CONFIG_FILE": str(profiles)})
        to = ("tracking.uri=databricks://mine", "tracking.experiment=/Users/me@example.com/iris")
        shell = Shell(job, *to)
        shell(*FEW)
        sync(lifecycle, *to)
        (run,) = server.runs("/Users/me@example.com/iris")
        assert server.points(run) == local_points(tmp_path / "mlruns", run.data.tags["lifecycle.run_id"]) != []
        assert run.info.status == "FINISHED"
        assert run.info.artifact_uri.endswith(f"shared/{run.info.experiment_id}/{run.info.run_id}/artifacts")
        predict_elsewhere(lifecycle, run, *to)
        set_all(monkeypatch, {"DATABRICKS_HOST": server.address, "DATABRICKS_TOKEN": token})
        monkeypatch.delenv("DATABRICKS_CONFIG_FILE")
        ended = lifecycle("compare", f"run={run.info.run_id}", "tracking.uri=databricks", "tracking.dir=new", to[1])
        assert ended.code == 0, ended.err
        assert "databricks" not in ended.err  # the log messages of its client
        kept = (tmp_path / "mlruns", tmp_path / "elsewhere", tmp_path / "new")
        assert_none_has((token,), *kept, texts=[*shell.texts, ended.out, ended.err])


def test_why_s3_takes_nothing_is_said_and_files_are_sent_once_it_does(
    job: Command, lifecycle: Command, s3: S3, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(tmp_path / "server", empty_database) as server:
        to = (f"tracking.uri={server.address}", "tracking.experiment=refused", f"tracking.artifacts=s3://{BUCKET}/x")
        refusals = {
            "the storage of its artifacts does not accept the credentials: check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY": s3.environment(AWS_SECRET_ACCESS_KEY="Sekret-of-nobody-9"),
            "its artifacts are on S3, and no credentials are set: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY": (
                s3.environment(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_DISABLED="true")
            ),
            "the storage of its artifacts cannot be reached: check MLFLOW_S3_ENDPOINT_URL": (
                s3.environment(MLFLOW_S3_ENDPOINT_URL="http://127.0.0.1:9")
            ),
        }
        set_all(monkeypatch, next(iter(refusals.values())))
        assert job(*FEW, *to).code == 0
        for why, variables in refusals.items():
            set_all(monkeypatch, variables)
            ended = lifecycle("sync", *to)
            assert (ended.code, ended.err) == (
                1,
                f"lifecycle: The run is recorded here, and not yet in full on {server.address}: {why}.\n",
            )
        set_all(monkeypatch, s3.environment())
        sync(lifecycle, *to)
        (run,) = server.runs("refused")
        check_same(server, tmp_path / "mlruns", run)
        assert_none_has(("Sekret-of-nobody-9", s3.key, s3.secret), tmp_path / "mlruns")
