"""Launchers of Hydra run the jobs of a sweep in processes of their own, and the sweep ends as with our workers."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from lifecycle.config.schema import SweepConfig, TrackingConfig
from lifecycle.runtime import gpus
from lifecycle.sweeps import supervise
from lifecycle.sweeps.launchers import ray_launcher
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.supervise import start_worker
from tests.conftest import Command, ready
from tests.forked import COMMAND, Forks, Process
from tests.packages import DYING, Site


def test_joblib_runs_each_job_and_the_command_again_runs_none(
    process: Command, runs: Command, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    words = ("-m", "data=iris", "optimizer.lr=0.01,-1", "trainer.max_epochs=2", "tracking.figures=false", "verbose=1")
    first = process(*words, "sweep.launcher=joblib", "hydra.launcher.n_jobs=2")
    assert first.code == 1
    assert "1 of 2 runs finished, 1 failed" in first.out
    assert "optimizer.lr must be above 0, got -1.0." in first.err
    assert "Error executing job" not in first.err
    found = [run for run in runs() if "lifecycle.signature" in run.data.tags]
    assert sorted(run.info.status for run in found) == ["FAILED", "FINISHED"]
    # The same sweep by our own workers: the finished job is known, and the other fails again.
    again = process(*words)
    assert again.code == 1
    assert "1 of 2 runs finished, 1 failed" in again.out
    assert len([run for run in runs() if "lifecycle.signature" in run.data.tags]) == 3


@pytest.mark.parametrize("options", [("sweep.launcher=basic",), ("sweep.vectorise=off",), ()])
def test_a_job_that_is_refused_before_its_run_begins_is_a_failure(
    lifecycle: Command, tmp_path: Path, empty_database: Path, options: tuple[str, ...]
) -> None:
    """In a group too, which is refused as a whole."""
    ready(tmp_path, empty_database)
    assert lifecycle("-m", "data=iris", "seed=1,2", "verbose=0", "sweep.minutes=1e-9").code == 124
    (file,) = (tmp_path / "mlruns" / "sweeps").glob("*/jobs.jsonl")
    file.write_text(re.sub(r'"torch": "[^"]*"', '"torch": "1.0"', file.read_text()))
    ended = lifecycle("resume", "sweep=latest", "sweep.minutes=null", *options)
    assert ended.code == 1
    lines = ended.err.splitlines()
    assert len(lines) == 3
    for number in (1, 2):
        message = (
            f"job {number} of 2: seed={number} failed: torch has changed since sweep {file.parent.name} was planned."
        )
        assert any(message in line for line in lines)


@pytest.mark.longest
def test_of_a_job_that_ends_the_process_of_a_launcher_the_sweep_says_so(
    python: Command, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    (tmp_path / "packages").mkdir()
    Site(tmp_path / "packages").install("lifecycle-dying", {"dying": "Net"}, DYING)
    words = ("-m", "data=iris", "model=dying", "model.width=4,3", "trainer.max_epochs=1", "verbose=1")
    words += ("tracking.figures=false", "sweep.launcher=joblib", "hydra.launcher.n_jobs=2")
    ended = python(*words, PYTHONPATH=str(tmp_path / "packages"))
    assert ended.code == 1
    assert "lifecycle: joblib lost the process of a job: A worker process managed by the executor was" in ended.err
    name = next(file.parent.name for file in (tmp_path / "mlruns" / "sweeps").glob("*/jobs.jsonl"))
    message = f"lifecycle: job 2: model.width=3 ended its process; lifecycle resume sweep={name} continues it.\n"
    assert message in ended.err
    assert "Traceback" not in ended.out + ended.err
    assert " of 2 runs finished, " in ended.out


def test_rays_cluster_runs_as_many_jobs_as_fit_its_machines() -> None:
    def machine(cpus: float, gpus: float = 0, is_alive: bool = True) -> dict[str, object]:
        return {"Alive": is_alive, "Resources": {"CPU": cpus} | ({"GPU": gpus} if gpus else {})}

    assert ray_launcher.slots_of([machine(3), machine(3), machine(8, is_alive=False)], 2, 0) == 2
    assert ray_launcher.slots_of([machine(16, 2), machine(16)], 1, 0.5) == 4
    assert ray_launcher.slots_of([machine(16, 2)], 1, 0.4) == 4  # no job has parts of two GPUs
    assert ray_launcher.slots_of([machine(16, 3), machine(16, 3)], 1, 2) == 2
    assert ray_launcher.slots_of([machine(1), {"Alive": True, "Resources": {}}], 2, 0) == 0


HOG = f"""
import os, sys
from lifecycle.sweeps.launchers import ray_launcher
os.environ.update(ray_launcher.ENVIRONMENT)
import ray
from ray.util import placement_group
ray.init(num_cpus=1, include_dashboard=False, configure_logging=False)
taken = placement_group([{{"CPU": 1}}])
ray.get(taken.ready())
ray.init = lambda **options: None
{COMMAND}"""
"""The command on a cluster of which another program has all processors."""


@pytest.mark.longest
def test_a_job_that_ray_does_not_begin_in_time_is_left(forks: Forks, tmp_path: Path) -> None:
    words = ("-m", "data=iris", "seed=1,2", "verbose=0", "sweep.launcher=ray", "sweep.minutes=0.05")
    ended = Process(forks, [*words], tmp_path, code=HOG)
    _, err = ended.communicate(timeout=200)
    assert ended.wait() == 124, err
    assert "lifecycle: sweep.minutes=0.05 have passed, with 2 of 2 jobs left." in err


@pytest.mark.longest
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ray_resumes_the_job_of_a_worker_that_is_killed(
    process: Command, runs: Command, forks: Forks, tmp_path: Path, empty_database: Path, number: int
) -> None:
    ready(tmp_path, empty_database)
    words = ("-m", "data=iris", "seed=1,2,3", "data.split_seed=0", "trainer.max_epochs=400")
    words += ("trainer.early_stopping=false", "tracking.figures=false", "verbose=1")
    started = Process(forks, [*words, "sweep.launcher=ray", "sweep.vectorise=off"], tmp_path)
    assert started.stdout is not None
    killed = ""
    for line in started.stdout:
        if found := re.match(r"\(run_job pid=(\d+)\) \[(\d)\] epoch", line):
            killed = found[2]
            os.kill(int(found[1]), number)
            break
    out, err = started.communicate(timeout=500)
    assert started.wait() == 0, err
    assert "3 of 3 runs finished\n" in out
    assert len(re.findall(rf"\[{killed}\] job {killed} of 3: ", out)) == 1  # once more
    assert "Traceback" not in err
    found = [run for run in runs() if "lifecycle.signature" in run.data.tags]
    assert [run.info.status for run in found] == ["FINISHED"] * 3  # it went on in the same run
    assert len({run.data.tags["lifecycle.signature"] for run in found}) == 3
    # By workers of this machine it is the same sweep, and there is nothing left to do: the same board and code.
    again = process(*words)
    assert (again.code, again.err) == (0, "")
    assert again.out.partition("\nSweep ")[2] == out.partition("\nSweep ")[2]


@pytest.mark.longest
def test_ray_runs_groups_and_one_that_is_killed_is_run_one_by_one(
    runs: Command, forks: Forks, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    words = ("-m", "data=iris", "seed=range(1,9)", "data.split_seed=0", "trainer.max_epochs=60")
    words += ("trainer.early_stopping=false", "verbose=1", "sweep.launcher=ray")
    started = Process(forks, [*words, "sweep.vectorise=auto"], tmp_path)
    assert started.stdout is not None
    for line in started.stdout:
        if found := re.match(r"\(run_job pid=(\d+)\) \[1\] jobs 1 to 4 of 8, together", line):
            os.kill(int(found[1]), signal.SIGKILL)
            break
    out, err = started.communicate(timeout=500)
    assert started.wait() == 0, err
    assert "\nVectorised 4 of 8 fits in 1 group; 4 one by one: the process of their group ended\n" in out
    assert "8 of 8 runs finished\n" in out
    assert "Traceback" not in err
    by_seed = {run.data.params["seed"]: run for run in runs() if "lifecycle.signature" in run.data.tags}
    assert sorted(by_seed) == list("12345678")
    assert {run.info.status for run in by_seed.values()} == {"FINISHED"}
    assert [by_seed[seed].data.tags.get("lifecycle.vectorised") for seed in "12345678"] == [None] * 4 + ["4"] * 4


@pytest.mark.longest
def test_submitit_runs_each_job_and_the_sweep_is_continued_with_it(
    process: Command, runs: Command, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    words = ("-m", "data=iris", "optimizer.lr=0.01,-1", "trainer.max_epochs=2", "tracking.figures=false", "verbose=1")
    first = process(*words, "sweep.launcher=submitit_local", "hydra.launcher.timeout_min=30")
    assert first.code == 1
    assert "1 of 2 runs finished, 1 failed" in first.out
    assert "Error executing job" not in first.out + first.err
    found = [run for run in runs() if "lifecycle.signature" in run.data.tags]
    assert sorted(run.info.status for run in found) == ["FAILED", "FINISHED"]
    (file,) = (tmp_path / "mlruns" / "sweeps").glob("*/jobs.jsonl")
    head = json.loads(file.read_text().splitlines()[0])
    assert head["settings"]["launcher"] == "submitit_local"
    assert head["launcher_options"] == ["hydra.launcher.timeout_min=30"]
    again = process("resume", "sweep=latest")
    assert again.code == 1
    assert len([run for run in runs() if "lifecycle.signature" in run.data.tags]) == 3


WITHOUT_RAY = f"""import sys
import time
from importlib import util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name == "ray" else find(name, *rest)
{COMMAND}"""


def test_a_launcher_that_is_not_installed_is_named_before_the_first_job(
    lifecycle: Command, forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(launcher: str, message: str) -> None:
        ended = lifecycle("-m", "data=iris", "seed=1,2", f"sweep.launcher={launcher}")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(f"lifecycle: sweep.launcher={launcher} {message}")
        assert not (tmp_path / "mlruns").exists()

    refused("slurm", "is not installed. Install it: pip install hydra-slurm-launcher. Installed: basic, joblib, ray,")
    ended = lifecycle("-m", "data=iris", "seed=1,2", "sweep.launcher=slurm", "hydra.launcher.partition=gpu")
    assert ended.err.startswith("lifecycle: sweep.launcher=slurm is not installed. Install it: pip install hydra-slurm")
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(
        "submitit_slurm", "needs the command sbatch, which is not on this machine. Type the command on a login node"
    )
    without = Process(forks, ["-m", "data=iris", "seed=1,2", "sweep.launcher=ray"], tmp_path, code=WITHOUT_RAY)
    message = "lifecycle: sweep.launcher=ray is not installed. Install it: pip install 'nn-lifecycle[ray]'.\n"
    assert without.communicate(timeout=60)[1] == message
    assert without.wait() == 2


def test_each_worker_has_its_own_gpus(lifecycle: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert [gpus.environment(2, place) for place in range(2)] == [
        {"CUDA_VISIBLE_DEVICES": "4,5"},
        {"CUDA_VISIBLE_DEVICES": "6,7"},
    ]
    assert [gpus.environment(0.5, place)["CUDA_VISIBLE_DEVICES"] for place in range(8)] == list("44556677")
    assert gpus.environment(0, 3) == {}
    words = ("-m", "data=iris", "seed=1,2", "sweep.workers=3", "sweep.gpus_per_job=2")
    ended = lifecycle(*words)
    assert (ended.code, ended.err) == (
        2,
        "lifecycle: sweep.workers are too many for sweep.gpus_per_job=2 and 4 GPUs, got 3. Use at most 2 workers.\n",
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert lifecycle(*words).err.endswith("and 0 GPUs, got 3. Leave out sweep.gpus_per_job.\n")
    assert (
        "sweep.gpus_per_job must be a whole number, or below 1, got 1.5."
        in lifecycle("-m", "seed=1,2", "sweep.gpus_per_job=1.5").err
    )


def environment_of(pid: int) -> list[bytes]:
    """Return the environment of a process as ``NAME=value``; Linux shows none for a moment after its start."""
    for _ in range(1000):
        if environment := Path(f"/proc/{pid}/environ").read_bytes():
            return environment.split(b"\0")
        time.sleep(0.01)
    raise AssertionError(f"process {pid} shows no environment")


def test_a_worker_process_has_the_environment_of_its_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without a sweep ends at once, but has its environment until then."""
    monkeypatch.setattr(supervise, "start_worker", start_worker)  # a new Python, see conftest.quick_start
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    plan = Plan("name", "", TrackingConfig(), SweepConfig(workers=2, gpus_per_job=1.0), 0, tmp_path, ())
    workers = [supervise.Worker(plan, place) for place in range(2)]
    seen = [environment_of(worker.process.pid) for worker in workers]
    for worker in workers:
        worker.process.kill()
        worker.end()
    for number, environment in zip((b"4", b"5"), seen, strict=True):
        assert b"CUDA_VISIBLE_DEVICES=" + number in environment
