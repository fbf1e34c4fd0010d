"""Launchers of Hydra run the jobs of a sweep in processes of their own, and the sweep ends as with our workers."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Command, ready


def test_joblib_runs_each_job_and_the_command_again_runs_none(
    python: Command, process: Command, runs: Command, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    words = ("-m", "data=iris", "optimizer.lr=0.01,-1", "trainer.max_epochs=2", "tracking.figures=false", "verbose=1")
    first = python(*words, "sweep.launcher=joblib")
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


def test_a_launcher_that_is_not_installed_is_named_before_the_first_job(lifecycle: Command, tmp_path: Path) -> None:
    ended = lifecycle("-m", "data=iris", "seed=1,2", "sweep.launcher=slurm")
    assert ended.code == 2
    assert "sweep.launcher=slurm is not installed. Install hydra-slurm-launcher. Installed: basic, joblib." in ended.err
    assert not (tmp_path / "mlruns").exists()
