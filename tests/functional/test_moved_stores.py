"""A folder of runs that was copied and whose original is gone: every command, and none touches another folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

import lifecycle as package
from lifecycle import layout
from lifecycle.cli.main import main
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import RequestError
from lifecycle.runtime.files.digests import sha256
from lifecycle.tracking.models.registry import register
from lifecycle.tracking.store import database_uri, open_store
from lifecycle.tracking.transfer import locations
from tests.conftest import QUICK, Command, ready

IRIS = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5.1,3.5,1.4,0.2\n6.2,2.9,4.3,1.3\n"
PREDICT = ("predict", "run=models:/iris@champion", "input=new.csv", "output=predicted.csv")


def statuses(mlruns: Path) -> dict[str, str]:
    """Return id -> status of the runs, the first first."""
    with contextlib.closing(sqlite3.connect(mlruns / "mlflow.db")) as database:
        return dict(database.execute("SELECT run_uuid, status FROM runs ORDER BY start_time"))


def addresses(mlruns: Path) -> list[str]:
    """Return all addresses in a database."""
    with contextlib.closing(sqlite3.connect(mlruns / "mlflow.db")) as database:
        queries = [f"SELECT {column} FROM {table}" for table, column, _ in locations.ADDRESSES]
        return [row[0] for query in queries for row in database.execute(query) if row[0]]


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file but locks, which each command opens."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".lock")
    return {str(file.relative_to(folder)): sha256(file) for file in files if file.name != ".lock"}


def weights(mlruns: Path, run: str) -> str:
    """Return the digest of the weights of a run's last model."""
    client = mlflow.MlflowClient(database_uri(mlruns))
    models = [client.get_logged_model(one.model_id) for one in client.get_run(run).outputs.model_outputs]
    last = max(models, key=lambda model: model.creation_timestamp)
    manifest = locations.path_of(last.artifact_location) / "data" / "saved" / layout.MANIFEST
    return str(json.loads(manifest.read_text())["sha256"][layout.WEIGHTS])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Make a folder with a run that is registered, one that was killed at its end, and a vectorised sweep."""
    folder = tmp_path_factory.mktemp("first") / "projéct one"
    folder.mkdir()
    ready(folder, empty_database)
    with contextlib.chdir(folder):
        for seed in (0, 5):
            package.run(["model=mlp", "data=iris", "trainer.max_epochs=2", f"seed={seed}", *QUICK])
        with pytest.MonkeyPatch.context() as patched:
            words = ["-m", "model=mlp", "data=iris", "trainer.max_epochs=1", "seed=1,2", *QUICK]
            patched.setattr(sys, "argv", ["lifecycle", *words])
            assert main() == 0
    first, killed, *_ = statuses(folder / "mlruns")
    with contextlib.closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET status = 'RUNNING', end_time = NULL WHERE run_uuid = ?", (killed,))
    registry = open_store(TrackingConfig(dir=str(folder / "mlruns")))
    register(registry.client, first, "iris", ["champion"])
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it in this process
    (folder / "new.csv").write_text(IRIS)
    return folder


@pytest.fixture
def away(made: Path) -> Iterator[Path]:
    """Take the original away, and return where it is."""
    hidden = made.with_name("gone")
    made.rename(hidden)
    yield hidden
    written = made.exists()
    hidden.rename(made)
    assert not written, "a command has written where the runs were before"


def test_every_command_works_in_a_copy_whose_original_is_gone(lifecycle: Command, away: Path, tmp_path: Path) -> None:
    there = tmp_path / "other machine" / "work"
    shutil.copytree(away, there)
    os.chdir(there)
    mlruns = there / "mlruns"
    first, killed, *jobs = statuses(mlruns)
    # The first command reads the database without MLflow, before its addresses are changed.
    shown = lifecycle("sweep", "sweep=latest")
    assert (shown.code, "2 of 2 runs finished" in shown.out) == (0, True), shown
    words = {
        "compare": ("compare", "sweep=latest", "output=compared.html"),
        "predict": PREDICT,
        "evaluate": ("evaluate", f"run={first}"),
        "export": ("export", f"run={first}", "format=safetensors", "output=exported"),
        "register": ("register", f"run={jobs[0]}", "name=second"),
        "rerun": ("rerun", f"run={first}", "verbose=0"),
        "resume": ("resume", f"run={first}", "trainer.max_epochs=4", "verbose=0"),
        "resume killed": ("resume", f"run={killed}", "verbose=0"),
        "a run": ("model=mlp", "data=iris", "trainer.max_epochs=4", *QUICK),
        "a sweep": ("-m", "model=mlp", "data=iris", "trainer.max_epochs=1", "seed=1,2,3,4", *QUICK),
    }
    for name, typed in words.items():
        ended = lifecycle(*typed)
        assert ended.code == 0, (name, ended)
    assert len((there / "predicted.csv").read_text().splitlines()) == 3
    found = statuses(mlruns)
    assert set(found.values()) == {"FINISHED"}
    # The run that was continued has the weights of one that was not interrupted: its best score was restored too.
    fresh = [run for run in found if run not in (first, killed, *jobs)]
    assert weights(mlruns, first) in {weights(mlruns, run) for run in fresh if _epochs(mlruns, run) == 4}
    assert not any("proj%C3%A9ct%20one" in one or "projéct one" in one for one in addresses(mlruns))


def _epochs(mlruns: Path, run: str) -> int:
    client = mlflow.MlflowClient(database_uri(mlruns))
    found = client.get_run(run)
    has_model = found.outputs is not None and bool(found.outputs.model_outputs)
    return int(found.data.params.get("trainer.max_epochs", 0)) if has_model else 0


def test_a_copy_and_its_original_do_not_touch_each_other(lifecycle: Command, made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    before = digests(made)
    os.chdir(copy)
    first, *_ = statuses(copy / "mlruns")
    # In the same process as commands in the original, whose folders MLflow keeps by the ids of runs.
    for folder in (made, copy):
        os.chdir(folder)
        assert lifecycle(*PREDICT).code == 0
    ended = lifecycle("resume", f"run={first}", "trainer.max_epochs=5", "verbose=0")
    assert (ended.code, ended.err) == (0, ""), ended
    (made / "predicted.csv").unlink()
    assert digests(made) == before
    mine = digests(copy)
    shutil.copytree(made, tmp_path / "third")  # the original is continued in a third place, so that it stays
    os.chdir(tmp_path / "third")
    assert lifecycle("evaluate", f"run={first}").code == 0
    assert (digests(copy), digests(made)) == (mine, before)


def test_a_sweep_of_a_moved_folder_is_continued_from_elsewhere(lifecycle: Command, away: Path, tmp_path: Path) -> None:
    there = tmp_path / "moved"
    shutil.copytree(away / "mlruns", there)
    jobs = list(statuses(there))[2:4]
    with contextlib.closing(sqlite3.connect(there / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", (jobs[0],))
    ended = lifecycle("resume", "sweep=latest", f"tracking.dir={there}")
    assert (ended.code, ended.err) == (0, ""), ended
    shown = lifecycle("sweep", "sweep=latest", f"tracking.dir={there}")
    assert "2 of 2 runs finished" in shown.out
    assert not (tmp_path / "mlruns").exists()


@pytest.fixture
def read_only(away: Path, tmp_path: Path) -> Iterator[Path]:
    """Copy the runs to where nothing can be written."""
    source, there = tmp_path / "source", tmp_path / "read only"
    shutil.copytree(away / "mlruns", source)
    if os.geteuid() != 0:
        shutil.copytree(source, there)
        subprocess.run(["chmod", "-R", "a-w", there], check=True)
        yield there
        subprocess.run(["chmod", "-R", "u+w", there], check=True)
        return
    there.mkdir()
    bound = subprocess.run(["mount", "--bind", source, there], check=False).returncode == 0
    if not bound or subprocess.run(["mount", "-o", "remount,ro,bind", there], check=False).returncode:
        pytest.skip("no folder can be mounted to be read only here")
    yield there
    subprocess.run(["umount", "--lazy", there], check=True)


def test_a_copy_that_can_only_be_read_predicts_and_records_nothing(
    lifecycle: Command, read_only: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text(IRIS)
    where = f"tracking.dir={read_only}"
    ended = lifecycle(*PREDICT, where)
    assert ended.code == 0, ended
    assert len((tmp_path / "predicted.csv").read_text().splitlines()) == 3
    assert lifecycle("compare", "sweep=latest", where, "output=compared.html").code == 0
    assert "2 of 2 runs finished" in lifecycle("sweep", "sweep=latest", where).out
    first = next(iter(statuses(read_only)))
    ended = lifecycle("evaluate", f"run={first}", where)
    assert ended.code == 2
    assert f"tracking.dir={read_only} cannot be written: " in ended.err
    ended = lifecycle("predict", "run=latest", "input=new.csv", "output=x.csv", where, "tracking.experiment=lifecycl")
    assert (ended.code, ended.err) == (
        2,
        "lifecycle: tracking.experiment=lifecycl is no experiment of read only, which can only be read. Did you mean "
        "lifecycle? Experiments: lifecycle, Default.\n",
    )


def test_a_folder_that_is_recorded_in_under_its_other_name_is_not_changed(made: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    there = tmp_path / "mlruns"
    shutil.copytree(made / "mlruns", there)
    killed = list(statuses(there))[1]
    before = addresses(there)
    with FileLock(there / layout.CHECKPOINTS / killed / layout.LOCK):  # as its process would, by the old path
        with pytest.raises(RequestError, match=f"is used by run {killed} as .*Write tracking.dir=.* too, or wait for"):
            locations.settle(there)
        found = locations.settle(there, must=False)
        assert addresses(there) == before
    assert all(found.path(one).is_relative_to(there) for one in before if "/artifacts/" in one)
    assert locations.settle(there).moves == ()
    now = [one for one in addresses(there) if "/artifacts/" in one]
    assert now == [found.address(one) for one in before if "/artifacts/" in one]
