"""Sweeps that are stopped, killed, shared by two terminals or run by workers that die come to the same scores."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Ended, artifacts, ready
from tests.forked import COMMAND, Forks, Process
from tests.made import runs_in
from tests.packages import DYING, Site

SHOWN = ("verbose=1", "tracking.figures=false", "sweep.vectorise=off")
OFTEN = f"""
from lifecycle.fit import checkpoints
from lifecycle.tracking import run as tracking
checkpoints.SECONDS_BETWEEN, tracking.SECONDS_BETWEEN = 0.02, 0.01
{COMMAND}"""
"""The command, with a checkpoint more often than every five seconds, and points sent that are beyond it."""

WORDS = (
    *("-m", "data=iris", "optimizer.lr=0.01,0.02", "seed=1,2", "model.dropout=0.2", "trainer.max_epochs=150"),
    *("trainer.early_stopping=false", *SHOWN),
)

Result = tuple[dict[str, float], bytes, str]


def results(folder: Path) -> dict[str, Result]:
    """Return scores, predictions and history of each job by its signature; each must have one FINISHED run."""
    runs = runs_in(folder)
    assert {run.info.status for run in runs} == {"FINISHED"}
    found = {}
    for run in runs:
        history = pd.read_csv(artifacts(run) / "history.csv", dtype=str).drop(columns="epoch_seconds").to_csv()
        predictions = (artifacts(run) / "predictions.csv").read_bytes()
        found[run.data.tags["lifecycle.signature"]] = (run.data.metrics, predictions, history)
    assert len(found) == len(runs)
    return found


def statuses(folder: Path) -> list[str]:
    """Return the status of each run of a job, oldest first."""
    return [run.info.status for run in runs_in(folder)]


def run_in(forks: Forks, folder: Path, *words: str, code: str = COMMAND) -> Ended:
    """Run the command in a process of its own."""
    started = Process(forks, [*words], folder, code=code)
    out, err = started.communicate(timeout=300)
    return Ended(started.wait(), out, err)


def started_until(forks: Forks, folder: Path, words: tuple[str, ...], *beginnings: str) -> Process:
    """Start a sweep, and return its process once it has written lines that begin so, one after the other."""
    process = Process(forks, [*words], folder, code=OFTEN)
    assert process.stdout is not None
    left = list(beginnings)
    for line in process.stdout:
        if line.startswith(left[0]):
            left.pop(0)
            if not left:
                return process
    raise AssertionError(process.communicate()[1])


def children(pid: int) -> list[int]:
    """Return the ids of the processes that a process has started and that have not ended."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def descendants(pid: int) -> list[int]:
    """Return the ids of all processes below a process."""
    return [below for child in children(pid) for below in (child, *descendants(child))]


def kill(process: Process, who: str) -> None:
    """End the main process of a sweep, its workers, or all processes with those that record, with ``kill -9``."""
    chosen = {
        "main": [process.pid],
        "worker": children(process.pid),
        "main and worker": [process.pid, *children(process.pid)],
        "all": [process.pid, *descendants(process.pid)],
    }
    for pid in chosen[who]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_at_random(forks: Forks, folder: Path, words: tuple[str, ...], times: int, whom: tuple[str, ...]) -> None:
    """Run a sweep until it is complete, and kill some of its processes at random moments; see :func:`kill`."""
    draw, kills = random.Random(0), 0
    process = Process(forks, [*words], folder, code=OFTEN)
    while kills < times:
        time.sleep(draw.uniform(0.1, 2))
        if process.poll() is not None:
            if process.communicate(timeout=60) and process.wait() == 0:
                break  # it is complete
            process = Process(forks, [*words], folder, code=OFTEN)
            continue
        who = draw.choice(whom)
        kill(process, who)
        kills += 1
        if who != "worker":
            process.communicate(timeout=120)
            process = Process(forks, [*words], folder, code=OFTEN)
    process.communicate(timeout=300)
    assert kills >= 2  # a fast machine completes it before all of them


@pytest.fixture(scope="module")
def whole(forks: Forks, empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Run the sweep without an interruption, once, and return its results."""
    folder = tmp_path_factory.mktemp("whole")
    ready(folder, empty_database)
    ended = run_in(forks, folder, *WORDS)
    assert (ended.code, ended.err) == (0, "")
    found = results(folder)
    assert len(found) == 4
    return found


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    """Return a working folder with a database that is ready."""
    ready(tmp_path, empty_database)
    return tmp_path


@pytest.mark.fault(21, 23)
def test_jobs_after_one_that_ended_its_process_are_run(forks: Forks, folder: Path) -> None:
    (folder / "packages").mkdir()
    Site(folder / "packages").install("lifecycle-dying", {"dying": "Net"}, DYING)
    command = f"import sys\nsys.path.insert(0, 'packages')\n{COMMAND}"
    words = ("-m", "model=dying", "model.width=4,3,5", "data=iris", "trainer.max_epochs=1", *SHOWN)
    ended = run_in(forks, folder, *words, code=command)
    assert ended.code == 1
    assert "2 of 3 runs finished, 1 left\n" in ended.out
    assert statuses(folder).count("FINISHED") == 2
    (again,) = re.findall(r"^Continue +(lifecycle resume sweep=\w+)$", ended.out, re.MULTILINE)
    assert f"lifecycle: job 2: model.width=3 ended its process; {again} continues it.\n" in ended.err
    assert "Traceback" not in ended.err
    only = run_in(forks, folder, "-m", "model=dying", "model.width=3", "data=wine,digits", *SHOWN, code=command)
    assert only.code == 1
    (name,) = re.findall(r"^Sweep +(\w+),", only.out, re.MULTILINE)
    compared = run_in(forks, folder, "compare", f"sweep={name}", code=command)
    assert compared.code == 2
    assert compared.err == (
        f"lifecycle: sweep={name} has no runs in experiment lifecycle: none of its 2 jobs recorded a run. "
        f"`lifecycle resume sweep={name}` runs them and prints what fails; `lifecycle sweep` lists all sweeps, such as "
        f"{again.partition('=')[2]}.\n"
    )
    continued = run_in(forks, folder, *again.split()[1:], code=command)
    assert continued.code == 1
    assert continued.out.count("\njob ") == 1
    # Where no worker is left, another one writes the summary.
    before = len(list((folder / "mlruns").rglob("leader_board.csv")))
    run_in(forks, folder, *(word.replace("4,3,5", "4,3") for word in words), code=command)
    assert len(list((folder / "mlruns").rglob("leader_board.csv"))) == before + 1
    retried = run_in(forks, folder, *words, "sweep.on_error=retry", code=command)
    assert retried.code == 1
    assert retried.out.count("\njob 2 of 3: model.width=3\n") == 2
    assert statuses(folder).count("FINISHED") == 2


def test_ctrl_c_ends_with_the_board_and_the_command_that_continues(
    forks: Forks, folder: Path, whole: dict[str, Result]
) -> None:
    process = started_until(forks, folder, WORDS, "job 2 of 4", "epoch 60/")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.wait() == 130
    assert err.splitlines()[-1] == "lifecycle: stopped by SIGINT"
    assert "Traceback" not in err
    assert statuses(folder) == ["FINISHED", "KILLED"]
    assert "1 of 4 runs finished, 3 left\n" in out
    assert re.search(r"^0\.01 +1/2 ", out, re.MULTILINE)
    (command,) = re.findall(r"^Continue +lifecycle (.*)$", out, re.MULTILINE)
    continued = run_in(forks, folder, *command.split())
    assert (continued.code, continued.err) == (0, "")
    assert "4 of 4 runs finished\n" in continued.out
    assert "job 1 of 4" not in continued.out
    assert "epoch 5/150" not in continued.out.partition("job 3 of 4")[0]  # it continued from a checkpoint
    assert results(folder) == whole
    assert continued.out.count("\nNext ") == 1  # at the end of the sweep, not after the run that was resumed


@pytest.mark.parametrize(
    "who", ["all", *(pytest.param(who, marks=pytest.mark.longest) for who in ("main", "worker", "main and worker"))]
)
@pytest.mark.fault(24)
def test_a_sweep_whose_processes_are_killed_continues_to_the_same_scores(
    forks: Forks, folder: Path, whole: dict[str, Result], who: str
) -> None:
    process = started_until(forks, folder, WORDS, "job 2 of 4", "epoch 60/")
    kill(process, who)
    out, err = process.communicate(timeout=120)
    assert process.wait() == (1 if who == "worker" else -signal.SIGKILL)
    assert "FAILED" not in statuses(folder)
    if who == "worker":
        assert "lifecycle: job 2: optimizer.lr=0.01 seed=2 ended its process; lifecycle resume sweep=" in err
        assert "3 of 4 runs finished, 1 left\n" in out
    # By either command.
    words = WORDS if who in ("main", "all") else ("resume", "sweep=latest")
    continued = run_in(forks, folder, *words)
    assert (continued.code, continued.err) == (0, "")
    assert "4 of 4 runs finished\n" in continued.out
    assert "job 1 of 4" not in continued.out
    assert "epoch 5/150" not in continued.out.partition("job 3 of 4")[0]  # it continued from a checkpoint
    assert results(folder) == whole


def test_two_terminals_share_a_sweep_and_run_each_job_once(
    forks: Forks, folder: Path, whole: dict[str, Result]
) -> None:
    both = [Process(forks, [*WORDS], folder) for _ in range(2)]
    ended = [process.communicate(timeout=300) for process in both]
    assert [(process.wait(), err) for process, (_, err) in zip(both, ended, strict=True)] == [(0, "")] * 2
    assert results(folder) == whole
    ends = [re.findall(r"^Sweep +\w+, (\d) of 4 runs finished(?:, (\d) left)?$", out, re.MULTILINE) for out, _ in ended]
    assert all(int(done) + int(left or 0) == 4 for ((done, left),) in ends)
    assert ("4", "") in [end for (end,) in ends]
    # Each did some, and none of them twice.
    done = [set(re.findall(r"^job (\d) of 4", out, re.MULTILINE)) for out, _ in ended]
    assert sorted([*done[0], *done[1]]) == list("1234")


@pytest.mark.fault(46)
def test_two_workers_come_to_the_scores_of_one(forks: Forks, folder: Path, whole: dict[str, Result]) -> None:
    ended = run_in(forks, folder, *WORDS, "sweep.workers=2")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.index("job 2 of 4") < ended.out.index("Fitted")  # at the same time
    assert results(folder) == whole


@pytest.mark.longest
@pytest.mark.fault(9, 24)
def test_twenty_random_kills_of_a_sweep_change_nothing(
    forks: Forks, folder: Path, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = (
        *("-m", "data=iris", "optimizer.lr=0.01,0.02", "seed=range(1,11)", "trainer.max_epochs=40"),
        *("model.dropout=0.2", "trainer.early_stopping=false", *SHOWN),
    )
    other = tmp_path_factory.mktemp("uninterrupted")
    ready(other, empty_database)
    assert run_in(forks, other, *words).code == 0
    kill_at_random(forks, folder, words, 20, ("main", "worker", "all"))
    assert "FAILED" not in statuses(folder)
    ended = run_in(forks, folder, *words)
    assert (ended.code, ended.err) == (0, "")
    assert "20 of 20 runs finished\n" in ended.out
    assert len(results(folder)) == 20
    assert results(folder) == results(other)
