"""One run as a file: packed, unpacked into another folder, and used there; and files that must not be unpacked."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from filelock import FileLock

from lifecycle import layout
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import TrackingError
from lifecycle.runtime.files import disk
from lifecycle.tracking.models.logged import last_model
from lifecycle.tracking.store import database_uri, open_store
from lifecycle.tracking.transfer import archive, local, server
from lifecycle.tracking.transfer.run_copy import RunCopy, read
from tests.conftest import Command, Ended
from tests.functional.test_moved_stores import IRIS, digests, statuses, weights

RUN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def lifecycle(lifecycle: Command) -> Command:
    """Run the command as from a shell: MLflow leaves an address in the environment of the process that unpacks."""

    def run(*words: str) -> Ended:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        return lifecycle(*words)

    return run


@pytest.fixture(scope="module")
def packed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack a run, once; returns the file."""
    file = tmp_path_factory.mktemp("packed") / "run.zip"
    (run,) = statuses(trained / "mlruns")
    archive.pack(trained / "mlruns", run, file)
    return file


def test_a_packed_run_is_the_same_run_elsewhere_and_continues_bit_for_bit(
    lifecycle: Command, trained: Path, tmp_path: Path
) -> None:
    (run,) = statuses(trained / "mlruns")
    ended = lifecycle("pack", "run=latest", "output=run.zip", f"tracking.dir={trained}/mlruns")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0].startswith(f"Packed run mlp-iris-0 ({run}) into run.zip: ")
    assert ended.out.splitlines()[1] == "Use it elsewhere: lifecycle unpack input=run.zip"
    refused = lifecycle("pack", "run=latest", "output=run.zip", f"tracking.dir={trained}/mlruns")
    assert (refused.code, "output=run.zip exists already. Name another file, or" in refused.err) == (2, True)
    there = "tracking.dir=elsewhere"
    ended = lifecycle("unpack", "input=run.zip", there)
    assert (ended.code, ended.err) == (0, "")
    assert f"Use it: lifecycle predict run={run[:8]} input=new.csv output=predicted.csv {there}" in ended.out
    first, second = (mlflow.MlflowClient(database_uri(one)) for one in (trained / "mlruns", tmp_path / "elsewhere"))
    then, now = (one.get_run(run).to_dictionary() for one in (first, second))
    for values in (then, now):
        del values["info"]["artifact_uri"], values["info"]["experiment_id"]
    assert now == then
    scores = [[vars(score) for score in last_model(one, one.get_run(run)).metrics] for one in (first, second)]
    assert sorted(scores[1], key=str) == sorted(scores[0], key=str)
    assert ("iris", "test_accuracy") in {(score["_dataset_name"], score["_key"]) for score in scores[1]}
    before = digests(tmp_path / "elsewhere")
    again = lifecycle("unpack", "input=run.zip", there)
    assert (again.code, "already, with the same content; nothing was changed." in again.out) == (0, True)
    assert digests(tmp_path / "elsewhere") == before
    (tmp_path / "new.csv").write_text(IRIS)
    assert lifecycle("predict", f"run={run}", "input=new.csv", "output=predicted.csv", there).code == 0
    assert lifecycle("evaluate", f"run={run}", there).code == 0
    shutil.copytree(trained / "mlruns", tmp_path / "mlruns")
    for where in (there, "tracking.dir=mlruns"):
        ended = lifecycle("resume", f"run={run}", "trainer.max_epochs=4", "verbose=0", where)
        assert (ended.code, ended.err) == (0, "")
    assert weights(tmp_path / "elsewhere", run) == weights(tmp_path / "mlruns", run)
    refused = lifecycle("unpack", "input=run.zip", there)
    assert refused.code == 2
    assert "is in elsewhere already, and has other content there. It was resumed, scored or changed" in refused.err


def test_a_run_that_is_open_is_refused_and_one_that_was_killed_is_packed_as_killed(
    lifecycle: Command, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained / "mlruns", tmp_path / "mlruns")
    (run,) = statuses(tmp_path / "mlruns")
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET status = 'RUNNING', end_time = NULL")
    with FileLock(tmp_path / "mlruns" / layout.CHECKPOINTS / run / layout.LOCK):
        ended = lifecycle("pack", f"run={run}", "output=run.zip")
        assert (ended.code, f"run {run} is still running in another process. Wait for" in ended.err) == (2, True)
    assert not list(tmp_path.glob("*.zip"))
    ended = lifecycle("pack", f"run={run}", "output=run.zip")
    assert (ended.code, "as KILLED, as its process is gone" in ended.out) == (0, True)
    assert lifecycle("unpack", "input=run.zip", "tracking.dir=elsewhere").code == 0
    assert statuses(tmp_path / "elsewhere") == {run: "KILLED"}
    assert lifecycle("resume", f"run={run}", "verbose=0", "tracking.dir=elsewhere").code == 0
    assert statuses(tmp_path / "elsewhere") == {run: "FINISHED"}


def test_what_cannot_be_packed_or_unpacked_is_refused_with_a_cure(lifecycle: Command, trained: Path) -> None:
    where = f"tracking.dir={trained}/mlruns"
    for words, text in (
        (("pack", "run=latest", where), "output is not chosen. Add output=run.zip, for instance."),
        (("pack", "run=latest", "output=run.tar", where), "output=run.tar must be a zip file. Write output=run.zip."),
        (("pack", "run=latest", "output=no/run.zip", where), "is in a folder that does not exist: no. Create it, or"),
        (("unpack",), "input is not chosen. Add input=run.zip, for instance."),
        (("unpack", "input=no.zip"), "input=no.zip does not exist. Name a file that lifecycle pack wrote."),
    ):
        ended = lifecycle(*words)
        assert (ended.code, text in ended.err) == (2, True), ended


Change = Callable[[dict[str, Any], dict[str, bytes]], None]


def rewritten(packed: Path, target: Path, change: Change) -> None:
    """Write a zip again, with its manifest and files changed."""
    with zipfile.ZipFile(packed) as file:
        files = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(files.pop(archive.MANIFEST))
    change(manifest, files)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(archive.MANIFEST, json.dumps(manifest))
        for name, content in files.items():
            file.writestr(name, content)


def _renamed(to: str) -> Change:
    def change(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        files[to] = files.pop("artifacts/config.yaml")
        manifest["files"][to] = manifest["files"].pop("artifacts/config.yaml")

    return change


def _run(**values: Any) -> Change:
    return lambda manifest, _: manifest["run"].update(values)


def _bytes(size: int) -> Change:
    return lambda manifest, _: manifest["files"]["artifacts/config.yaml"].update(bytes=size)


def _other(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    files["artifacts/config.yaml"] = bytes(reversed(files["artifacts/config.yaml"]))


BAD: dict[str, tuple[Change, str]] = {
    "a parent folder": (_renamed("artifacts/../../../evil"), "'artifacts/../../../evil' is no name of a file of a run"),
    "the root": (_renamed("/etc/evil"), "'/etc/evil' is no name of a file of a run"),
    "backslashes": (_renamed("artifacts\\..\\evil"), "is no name of a file of a run"),
    "another folder": (_renamed("mlflow.db"), "'mlflow.db' is no name of a file of a run"),
    "a foreign model": (_renamed(f"models/m-{RUN}/x"), "belongs to no model of the run"),
    "a changed file": (_other, "'artifacts/config.yaml' has another sha256 than the manifest says"),
    "another size": (_bytes(7), "has another size than the manifest says"),
    "a file too many": (lambda _, files: files.update({"artifacts/x": b"x"}), "is in the manifest or in the zip, and"),
    "no files": (lambda manifest, _: manifest.pop("files"), "its manifest lists no files"),
    "another format": (lambda manifest, _: manifest.update(format=9), "its format is 9, and this version reads 1"),
    "an id that is a path": (_run(id="../../evil"), "'../../evil' is no id of a run"),
    "an experiment that is a path": (_run(experiment="../../evil"), "'../../evil' is no name of an experiment"),
    "a run that runs": (_run(status="RUNNING"), "'RUNNING' is no status of a run that has ended"),
    "a parameter of another type": (_run(params={"a": 1}), "the run has a params of another type"),
    "a point of another type": (_run(points=[["a", "x", 1, 1]]), "a point of a metric is no list of four values"),
    "an unknown field": (_run(evil=1), "the run has an unknown field 'evil'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_was_changed_is_refused_and_nothing_is_left(
    lifecycle: Command, packed: Path, tmp_path: Path, case: str
) -> None:
    change, text = BAD[case]
    rewritten(packed, tmp_path / "bad.zip", change)
    ended = lifecycle("unpack", "input=bad.zip", "tracking.dir=runs")
    assert ended.code == 2, ended
    assert ended.err.startswith("lifecycle: input=bad.zip is no run that can be unpacked: ")
    assert text in ended.err
    assert ended.err.endswith("Pack the run again, and copy the file again.\n")
    left = [file.name for file in (tmp_path / "runs").rglob("*")] if (tmp_path / "runs").exists() else []
    assert set(left) <= {"mlflow.db", ".lock"}
    assert not [file for file in tmp_path.parent.rglob("*evil*") if file.name == "evil"]


def test_links_bombs_and_damaged_files_are_refused(
    lifecycle: Command, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = zipfile.ZipInfo("artifacts/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    shutil.copy(packed, tmp_path / "link.zip")
    with zipfile.ZipFile(tmp_path / "link.zip", "a") as file:
        file.writestr(link, "/etc/passwd")
    assert "'artifacts/link' is no plain file" in lifecycle("unpack", "input=link.zip").err
    content = packed.read_bytes()
    for cut in (0, 1, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.zip").write_bytes(content[:cut])
        ended = lifecycle("unpack", "input=cut.zip")
        assert (ended.code, ended.err.startswith("lifecycle: input=cut.zip cannot be read as a zip: ")) == (2, True), (
            cut
        )
    (tmp_path / "text.zip").write_text("no zip")
    assert lifecycle("unpack", "input=text.zip").code == 2
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as file:
        file.writestr(archive.MANIFEST, "[" * 200_000)
    assert "is no run that can be unpacked" in lifecycle("unpack", "input=deep.zip").err
    assert not (tmp_path / "mlruns").exists()
    monkeypatch.setattr(disk, "LEAST_FREE", 1 << 60)
    shutil.copy(packed, tmp_path / "run.zip")
    ended = lifecycle("unpack", "input=run.zip")
    assert (ended.code, "for which mlruns has no room. Free some room, or name" in ended.err) == (2, True)
    assert not statuses(tmp_path / "mlruns")


def test_rows_that_cannot_be_written_leave_no_files(trained: Path, tmp_path: Path) -> None:
    (run,) = statuses(trained / "mlruns")
    known = local.read(trained / "mlruns", run)
    assert known is not None
    store = open_store(TrackingConfig(dir=str(tmp_path / "runs")))
    staged = tmp_path / "runs" / ".staged"
    for name, folder in known.folders.named().items():
        shutil.copytree(folder, staged / name)
    bad = RunCopy(**{**vars(known.copy), "params": {"a": None}})  # refused by the database
    with pytest.raises(TrackingError, match="NOT NULL constraint failed"):
        local.write(store.folder, bad, staged)
    assert not statuses(tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("checkpoints/*"))
    assert not [file for file in (tmp_path / "runs").glob("artifacts/**/*") if file.is_file()]


def test_a_client_and_the_database_give_the_same_copy(trained: Path, tmp_path: Path) -> None:
    (run,) = statuses(trained / "mlruns")
    client = mlflow.MlflowClient(database_uri(trained / "mlruns"))
    known, found = local.read(trained / "mlruns", run), server.read(client, run)
    assert known is not None
    assert found.content() == known.copy.content()
    assert read(json.loads(json.dumps(found.content()))).content() == found.content()
    (tmp_path / "files").mkdir()
    server.download(client, run, found, tmp_path / "files" / "run", None)
    mine = {name: digest for name, digest in known.folders.digests().items() if not name.startswith("checkpoints/")}
    assert digests(tmp_path / "files" / "run") == mine
    assert server.read(client, run, own=RUN).id == RUN
