"""Full disks: one message, a FAILED run with an intact checkpoint, which is resumed once there is room."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from lifecycle.api.model import Model
from lifecycle.console import report
from lifecycle.errors import DiskError, LifecycleError
from lifecycle.fit import checkpoints
from lifecycle.runs import outcome, pipeline
from lifecycle.tracking import run as run_module
from lifecycle.tracking.store import RESERVE, database_uri
from tests.conftest import Command, ready

WORDS = ("data=iris", "trainer.max_epochs=12", "optimizer.lr=0.01", "tracking.figures=false", "verbose=0")
LARGE = "model.hidden=[100,50]"  # checkpoints of 80 kB


@pytest.fixture
def disk(tmp_path: Path, empty_database: Path) -> Iterator[Path]:
    """Mount a disk of 2 MB with an empty database of MLflow's, which takes half of it."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root may mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    ready(folder, empty_database)
    try:
        with contextlib.chdir(folder):
            yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # the process that records may still be in it


def fill(folder: Path, left: int = 0) -> None:
    """Leave so many bytes of a disk."""
    (folder / "ballast").touch()
    with (folder / "ballast").open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(b"\0" * 4096)
    if left:
        os.truncate(folder / "ballast", (folder / "ballast").stat().st_size - left)


def runs(folder: Path) -> list[mlflow.entities.Run]:
    return list(mlflow.MlflowClient(database_uri(folder / "mlruns")).search_runs(["1"]))


@pytest.fixture
def command(disk: Path, lifecycle: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command on the small disk."""
    monkeypatch.chdir(disk)
    return lifecycle


def message(err: str) -> str:
    """Return the one message, without the run's id."""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return re.sub("[0-9a-f]{32}", "ID", err.removeprefix("lifecycle: ").strip())


def at_epoch(number: int, action: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something as an epoch is printed: its checkpoint is not written yet."""
    epoch = report.Report.epoch

    def then(self: report.Report, row: dict[str, float], most: int) -> None:
        epoch(self, row, most)
        if row["epoch"] == number:
            action()

    monkeypatch.setattr(report.Report, "epoch", then)


@pytest.mark.fault(42)
def test_a_disk_that_is_full_from_the_beginning_opens_no_run(disk: Path, command: Command) -> None:
    fill(disk)
    ended = command(*WORDS)
    assert ended.code == 1
    assert message(ended.err) == "tracking.dir=mlruns is on a disk that is full. Free some room on it."
    (disk / "ballast").unlink()
    assert runs(disk) == []
    assert command(*WORDS).code == 0


@pytest.mark.fault(42)
def test_without_the_room_to_close_it_a_run_is_not_begun(disk: Path, command: Command) -> None:
    fill(disk, left=160_000)
    ended = command(*WORDS)
    assert ended.code == 1
    assert message(ended.err) == (
        f"the run could not be recorded: the disk of {disk}/mlruns is full. Free some room on it."
    )
    assert [run.info.status for run in runs(disk)] == ["FAILED"]


@pytest.mark.fault(42)
def test_a_checkpoint_without_disk_space_fails_the_run_which_resumes_from_the_one_before(
    disk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(*WORDS, LARGE).code == 0
    whole = runs(disk)[0]
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    with monkeypatch.context() as patch:
        at_epoch(5, lambda: fill(disk, left=20_000), patch)
        ended = command(*WORDS, LARGE)
    run = runs(disk)[0]
    folder = disk / "mlruns" / "checkpoints" / run.info.run_id
    assert ended.code == 1
    assert re.fullmatch(
        rf"{disk}/mlruns/checkpoints/ID/(best|last)\.ckpt could not be written: No space left on device\. Free some "
        r"room on that disk, then lifecycle resume run=ID continues it\.",
        message(ended.err),
    )
    assert (run.info.status, run.data.tags["lifecycle.error"]) == ("FAILED", ended.err[11:].strip())
    assert sorted(file.name for file in folder.iterdir()) == [
        *(".lock", "best.ckpt", "best.ckpt.sha256", "last.ckpt", "last.ckpt.sha256")
    ]
    assert checkpoints.read(folder / "last.ckpt")["epoch"] == 3
    (disk / "ballast").unlink()
    assert command("resume", f"run={run.info.run_id}", "verbose=0").code == 0
    resumed = runs(disk)[0]
    assert resumed.info.status == "FINISHED"
    assert resumed.data.metrics == whole.data.metrics


@pytest.mark.fault(42)
def test_a_database_that_has_no_room_fails_the_run(
    disk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 1e9)
    at_epoch(1, lambda: fill(disk), monkeypatch)
    ended = command(*WORDS, "trainer.max_epochs=400", "trainer.early_stopping=false", "trainer.restore_best=false")
    assert ended.code == 1
    message(ended.err)
    assert re.search("No space left on device|the disk of .*/mlruns is full", ended.err)
    assert re.search(r"lifecycle resume run=\w{32}`? (continues it|completes the run)\.$", ended.err.strip())
    (run,) = runs(disk)
    assert run.info.status == "FAILED"
    assert checkpoints.read(disk / "mlruns" / "checkpoints" / run.info.run_id / "last.ckpt")["epoch"] >= 0


@pytest.mark.parametrize(
    ("module", "name"), [(pipeline, "trained_model"), (outcome, "record_model")], ids=["artifacts", "the model"]
)
@pytest.mark.fault(42)
def test_files_of_a_run_that_have_no_room_fail_it(
    disk: Path, command: Command, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    function = getattr(module, name)

    def filled(*arguments: Any) -> Any:
        fill(disk)
        return function(*arguments)

    monkeypatch.setattr(module, name, filled)
    ended = command(*WORDS, LARGE)
    assert ended.code == 1
    assert message(ended.err) == (
        "a file could not be written: No space left on device. Free some room on that disk, then lifecycle resume "
        "run=ID continues it."
    )
    (run,) = runs(disk)
    assert run.info.status == "FAILED"
    folder = disk / "mlruns" / "checkpoints" / run.info.run_id
    assert checkpoints.read(folder / "last.ckpt")["epoch"] == 12
    assert not (folder / RESERVE).exists()
    (disk / "ballast").unlink()
    monkeypatch.setattr(module, name, function)
    assert command("resume", "run=latest", "verbose=0").code == 0
    assert runs(disk)[0].info.status == "FINISHED"


@pytest.mark.fault(42)
def test_a_run_needs_no_room_for_temporary_files(
    disk: Path, lifecycle: Command, empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ready(elsewhere, empty_database)
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    at_epoch(12, lambda: fill(disk), monkeypatch)
    ended = lifecycle(*WORDS)
    assert (ended.code, ended.err) == (0, "")
    assert [run.info.status for run in runs(elsewhere)] == ["FINISHED"]


def test_predictions_and_models_that_have_no_room_end_in_one_message(
    disk: Path, lifecycle: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    (disk / "new.csv").write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n" + "5.1,3.5,1.4,0.2\n" * 3000
    )
    fill(disk)
    ended = lifecycle("predict", "run=latest", f"input={disk}/new.csv", f"output={disk}/out.csv")
    assert ended.code in (1, 2)
    assert "No space left on device" in message(ended.err)
    assert not (disk / "out.csv").exists()
    rows = np.arange(20.0).reshape(10, 2)
    model = Model("mlp")
    model.fit(rows, rows[:, 0], epochs=1, verbose=0)
    with pytest.raises(LifecycleError, match=r"No space left on device\. Free some room on that disk, then run again"):
        model.save(disk / "model")


def test_a_limit_on_the_size_of_files_is_one_too(tmp_path: Path, script: Command, empty_database: Path) -> None:
    ready(tmp_path, empty_database)
    code = """
import resource, sys
from lifecycle.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
sys.exit(main())
"""
    words = ["data=iris", "model.hidden=[900,900]", "trainer.max_epochs=2", "verbose=0", "tracking.figures=false"]
    ended = script(code, *words)
    assert ended.code == 1
    assert message(ended.err) == (
        f"{tmp_path}/mlruns/checkpoints/ID/last.ckpt could not be written: File too large. Free some room on that "
        "disk, then lifecycle resume run=ID continues it."
    )
    assert [run.info.status for run in runs(tmp_path)] == ["FAILED"]


def test_the_room_that_is_reserved_is_given_back(command: Command, disk: Path) -> None:
    assert command(*WORDS).code == 0
    assert command(*WORDS, "optimizer=sgd", "optimizer.lr=1e30").code == 1
    assert not list((disk / "mlruns" / "checkpoints").rglob(RESERVE))
    assert issubclass(DiskError, LifecycleError)
