"""Real processes: signals, several devices, and runs that start at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from lifecycle.fit import checkpoints
from tests.conftest import Command, artifacts, ready
from tests.forked import Forks, Process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("database")]
Runs = Callable[[], list[mlflow.entities.Run]]
Start = Callable[[], Process]
ENDLESS = ["data=digits", "trainer.max_epochs=1000000", "trainer.early_stopping=false", "verbose=2"]


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> None:
    """Have a database ready, which saves each process seconds; the last test does without."""
    ready(tmp_path, empty_database)


@pytest.fixture
def start(tmp_path: Path, forks: Forks) -> Callable[[], Process]:
    """Start an endless run and return when it is fitting."""
    return lambda: fitting(Process(forks, ENDLESS, tmp_path, session=True))


def fitting(process: Any) -> Any:
    """Return a process when it is fitting."""
    for line in process.stdout:
        if line.startswith("epoch 3/"):
            return process
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize(
    ("first", "code", "second", "seconds"),
    [
        (signal.SIGTERM, 143, None, 0.0),
        (signal.SIGINT, 130, signal.SIGTERM, 0.0),
        (signal.SIGINT, 130, signal.SIGTERM, 0.3),
    ],
    ids=["by itself", "another at once", "another meanwhile"],
)
@pytest.mark.fault(3, 4)
def test_a_signal_leaves_a_killed_run_and_a_loadable_last_ckpt_and_a_second_changes_nothing(
    start: Start,
    tmp_path: Path,
    runs: Runs,
    first: signal.Signals,
    code: int,
    second: signal.Signals | None,
    seconds: float,
) -> None:
    process = start()
    process.send_signal(first)
    if second is not None:
        time.sleep(seconds)
        process.send_signal(second)
    _, err = process.communicate(timeout=60)
    # Of two at once, the system may deliver either one first: they may go to different threads.
    ended = second if second is not None and not seconds and process.returncode == 143 else first
    assert process.returncode == (143 if ended is second else code)
    (run,) = runs()
    assert run.info.status == "KILLED"
    assert err.strip() == f"lifecycle: stopped by {ended.name}"
    assert run.data.tags["lifecycle.error"] == f"stopped by {ended.name}"
    assert run.data.metrics["val_accuracy"] > 0
    last = checkpoints.read(tmp_path / "mlruns" / "checkpoints" / run.info.run_id / "last.ckpt")
    assert last["optimizer_states"]
    assert any(key.startswith("network.") for key in last["state_dict"])


def test_a_terminal_gets_a_bar_of_one_line(forks: Forks, tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    words = ["data=digits", "trainer.max_epochs=30", "tracking.figures=false"]
    process = Process(forks, words, tmp_path, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
        while part := os.read(main, 65536):
            shown += part
    assert process.wait() == 0
    plain = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", shown).decode().replace("\r", "\n")
    bars = [line for line in plain.splitlines() if line.startswith("epoch ")]
    assert re.match(r"epoch +\d+/30 \S{20} 0:00:\d\d left 0:00:\d\d val_loss \d\.\d{4}$", bars[-1]), bars[-1]
    assert "stopped because max_epochs=30 was reached" in " ".join(plain.split())


def test_a_reader_that_leaves_does_not_end_the_run(forks: Forks, tmp_path: Path, runs: Runs) -> None:
    process = Process(forks, ["trainer.max_epochs=20", "tracking.figures=false"], tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Data      iris")
    process.stdout.close()  # as `head -n 1` does; the run goes on
    assert process.communicate(timeout=60)[1] == ""
    deadline = time.monotonic() + 60
    while runs()[0].info.status == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [run.info.status for run in runs()] == ["FINISHED"]


@pytest.mark.fault(10)
def test_a_run_that_is_killed_is_closed(start: Start, runs: Runs) -> None:
    killed = start()
    killed.kill()
    killed.communicate()
    deadline = time.monotonic() + 60  # the process that records it goes on until it has
    while runs()[0].info.status == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.1)
    (run,) = runs()
    assert run.info.status == "KILLED"
    assert "process was killed" in run.data.tags["lifecycle.error"]


def recorder_of(process: Process) -> int:
    """Return the process that records the run of another."""
    (child,) = children_of(process)
    return child


def children_of(process: Process) -> list[int]:
    """Return the processes that another has started; one that has ended is among them until it is waited for."""
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


@pytest.mark.fault(10)
def test_a_run_that_nobody_records_goes_on_and_one_whose_processes_are_all_killed_is_put_right_by_the_next(
    start: Start, runs: Runs, lifecycle: Command
) -> None:
    def run_another() -> None:
        assert lifecycle("trainer.max_epochs=1", "verbose=0", "tracking.figures=false").code == 0

    killed = start()
    for pid in (recorder_of(killed), killed.pid):
        os.kill(pid, signal.SIGKILL)
    killed.communicate()
    assert [run.info.status for run in runs()] == ["RUNNING"]
    going_on = start()
    run_another()
    assert [run.info.status for run in runs()] == ["KILLED", "RUNNING", "FINISHED"]
    assert "process was killed" in runs()[0].data.tags["lifecycle.error"]

    # Another process takes the place of the one that records, with all of the run.
    first = recorder_of(going_on)
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not (now := children_of(going_on)) or first in now):
        time.sleep(0.05)
    run_another()
    assert [run.info.status for run in runs()] == ["KILLED", "RUNNING", "FINISHED", "FINISHED"]
    going_on.send_signal(signal.SIGTERM)
    _, err = going_on.communicate(timeout=60)
    assert (going_on.returncode, err) == (143, "lifecycle: stopped by SIGTERM\n")
    assert [run.info.status for run in runs()] == ["KILLED", "KILLED", "FINISHED", "FINISHED"]
    assert runs()[1].data.tags["lifecycle.error"] == "stopped by SIGTERM"


def test_two_processes_give_the_scores_of_one_in_one_run_and_its_profile_is_of_the_main_one(
    python: Command, lifecycle: Command, runs: Runs
) -> None:
    words = ["model=mlp", "data=iris", "trainer.accelerator=cpu", "trainer.max_epochs=5", "trainer.batch_size=16"]
    words += ["tracking.figures=false"]
    assert lifecycle(*words).code == 0
    ended = python(*words, "trainer.devices=2", "trainer.strategy=ddp", "profile=true")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("Scores") == ended.out.count("Profile  ") == 1
    one, two = runs()
    phases = pd.read_csv(artifacts(two) / "profile.csv")["phase"]
    assert {"fit", "validation", "checkpoint", "tracking"} <= set(phases)
    for name, value in one.data.metrics.items():
        if name != "epoch_seconds":
            assert two.data.metrics[name] == pytest.approx(value, abs=1e-4), name
    tables = [pd.read_csv(artifacts(run) / "predictions.csv") for run in (one, two)]
    assert tables[0]["row"].tolist() == tables[1]["row"].tolist()
    assert tables[1]["row"].is_unique
    np.testing.assert_allclose(tables[0]["probability_setosa"], tables[1]["probability_setosa"], atol=1e-4)


def test_two_processes_that_read_a_folder_of_parquet_files_train_as_one_does(
    python: Command, lifecycle: Command, runs: Runs, tmp_path: Path
) -> None:
    left = tmp_path / "temporary" / "lifecycle-team-left"
    left.mkdir(parents=True)  # by a process that was killed
    (left / "in-use").touch()
    os.utime(left / "in-use", (1e9, 1e9))
    folder, generator = tmp_path / "parts", np.random.default_rng(0)
    folder.mkdir()
    for place in range(3):
        rows = pd.DataFrame({"a": generator.normal(place, 2, 60), "town": generator.choice(["Ely", "Ayr"], 60)})
        rows.assign(y=np.where(rows["a"] > 1, "yes", "no")).to_parquet(folder / f"{place}.parquet")
    words = ["data=table", f"data.path={folder}", "data.target=y", "data.memory_gb=1e-6", "trainer.max_epochs=3"]
    words += ["trainer.accelerator=cpu", "trainer.batch_size=16", "tracking.figures=false"]
    assert lifecycle(*words).code == 0
    ended = python(*words, "trainer.devices=2", "trainer.strategy=ddp", TMPDIR=str(left.parent))
    assert (ended.code, ended.err) == (0, "")
    assert "2 processes read 120 from 2 files and 60 from 1 file" in ended.out
    assert list(left.parent.glob("lifecycle-team-*")) == []
    one, two = runs()
    for name, value in one.data.metrics.items():
        if name != "epoch_seconds":
            assert two.data.metrics[name] == pytest.approx(value, abs=1e-4), name
    files = sorted((tmp_path / "mlruns").rglob("weights.safetensors"))
    weights = [load_file(file) for file in files]
    assert len(weights) == 2
    assert weights[0].keys() == weights[1].keys()
    for name, values in weights[0].items():
        np.testing.assert_allclose(weights[1][name], values, atol=1e-4)


@pytest.mark.parametrize(
    "group",
    [pytest.param(False, marks=pytest.mark.longest), True],
    ids=["to the main process", "to both, as a terminal sends it"],
)
def test_a_signal_ends_both_of_two_processes(tmp_path: Path, runs: Runs, group: bool) -> None:
    command = [sys.executable, "-m", "lifecycle", *ENDLESS]
    command += ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = fitting(subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **pipes))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    if group:
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert runs()[0].info.status == "KILLED"
    assert len(children) == 2  # one that fits, and one that records
    assert all(ended(int(child)) for child in children)


def ended(pid: int) -> bool:
    """Wait for a process to end; one that is not waited for stays as a zombie."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.1)
    return False


def test_a_helper_whose_main_process_is_gone_is_still_no_main_process(tmp_path: Path) -> None:
    helper = """
import os, pathlib, time
from lifecycle.runtime.processes import is_helper
main, answers = os.getppid(), [is_helper()]
pathlib.Path("started").touch()
while os.getppid() == main:
    time.sleep(0.01)
pathlib.Path("answers").write_text(f"{[*answers, is_helper()]}")
"""
    main = f"""
import os, pathlib, subprocess, sys, time
os.environ.update(LIFECYCLE_MAIN_PROCESS=str(os.getpid()), LOCAL_RANK="1")
subprocess.Popen([sys.executable, "-c", {helper!r}])
while not pathlib.Path("started").exists():
    time.sleep(0.01)
"""
    subprocess.run([sys.executable, "-c", main], cwd=tmp_path, check=True, timeout=60)
    for _ in range(600):
        if (tmp_path / "answers").is_file() and (tmp_path / "answers").read_text():
            break
        time.sleep(0.1)
    assert (tmp_path / "answers").read_text() == "[True, True]"


@pytest.mark.longest
@pytest.mark.fault(16)
def test_runs_at_once_in_an_empty_folder_all_succeed(tmp_path: Path, runs: Runs) -> None:
    shutil.rmtree(tmp_path / "mlruns")
    command = [sys.executable, "-m", "lifecycle", "trainer.max_epochs=2", "verbose=0"]
    started = [subprocess.Popen([*command, f"seed={seed}"], cwd=tmp_path) for seed in range(3)]
    assert [process.wait(timeout=240) for process in started] == [0] * 3
    assert sorted(run.info.run_name for run in runs()) == [f"mlp-iris-{seed}" for seed in range(3)]
    assert {run.info.status for run in runs()} == {"FINISHED"}
