"""Multiruns: each job is a run with the tag of the sweep; a failure is printed, and the other jobs run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from tests.conftest import Command

Runs = Callable[[], list[mlflow.entities.Run]]


def test_each_job_is_a_run_tagged_with_the_sweep(job: Command, runs: Runs, tmp_path: Path) -> None:
    ended = job("-m", "model=mlp", "data=iris,wine,breast_cancer", "seed=1,2", "trainer.max_epochs=1", "verbose=1")
    assert ended.code == 0
    found = runs()
    names = [f"mlp-{data}-{seed}" for data in ("iris", "wine", "breast_cancer") for seed in (1, 2)]
    assert [run.info.run_name for run in found] == names
    assert {run.info.status for run in found} == {"FINISHED"}
    (sweep,) = {run.data.tags["lifecycle.sweep"] for run in found}
    assert [folder.name for folder in (tmp_path / "mlruns" / "sweeps").iterdir()] == [sweep]
    assert f"{sweep}, 6 of 6 runs finished" in ended.out
    assert ended.out.count("lifecycle ui") == 1
    (heads,) = [line for line in ended.out.splitlines() if line.startswith("run ")]
    assert heads.split() == ["run", "status", "test_loss", "test_accuracy"]


def test_a_failing_job_does_not_stop_the_others_and_is_failed_with_its_error(job: Command, runs: Runs) -> None:
    ended = job("-m", "model=cnn", "data=digits,iris,digits", "trainer.max_epochs=1")
    assert ended.code == 1
    assert [run.info.status for run in runs()] == ["FINISHED", "FAILED", "FINISHED"]
    sentence = "model=cnn needs samples of shape (channels, height, width), got (features) from data=iris."
    assert sentence in runs()[1].data.tags["lifecycle.error"]
    assert sentence in ended.err
    assert "its run is FAILED in MLflow" in ended.err
    assert "Traceback" not in ended.err


def test_a_value_out_of_range_fails_its_own_job_only(job: Command, runs: Runs) -> None:
    ended = job("-m", "optimizer.lr=0.01,-1", "trainer.max_epochs=1")
    assert ended.code == 1
    assert [run.info.status for run in runs()] == ["FINISHED", "FAILED"]
    assert "optimizer.lr must be above 0, got -1.0." in runs()[1].data.tags["lifecycle.error"]


def test_a_sweep_over_an_unknown_name_is_a_bad_request_and_runs_nothing(lifecycle: Command, tmp_path: Path) -> None:
    ended = lifecycle("-m", "data=iris,irys")
    assert ended.code == 2
    assert "data=irys is not known. Did you mean data=iris?" in ended.err
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_a_field_of_a_swept_group_is_one_of_each_jobs_choice(job: Command, runs: Runs) -> None:
    """``momentum`` is a field of both optimizers, and of none that would be there without the sweep."""
    words = ("optimizer=sgd,rmsprop", "optimizer.momentum=0.5", "model=cnn,cnn", "model.channels=[4]", "data=digits")
    ended = job(*words, "data.note='a, (b)=c'", "-m", "trainer.max_epochs=1")  # an option may stand anywhere
    assert (ended.code, ended.err) == (0, "")
    params = [(run.data.params["optimizer"], run.data.params["optimizer.momentum"]) for run in runs()]
    assert params == [("sgd", "0.5")] * 2 + [("rmsprop", "0.5")] * 2
    assert {run.data.params["model.channels"] for run in runs()} == {"[4]"}


@pytest.mark.parametrize("momentum", ["0.5", "0.5,0.6"])
def test_a_field_that_one_choice_of_a_swept_group_lacks_is_refused_by_that_choice(
    lifecycle: Command, momentum: str, tmp_path: Path
) -> None:
    ended = lifecycle("-m", "optimizer=sgd,adagrad", f"optimizer.momentum={momentum}")
    assert ended.code == 2
    assert f"optimizer.momentum is not a field of optimizer=adagrad, got {momentum}. Fields: lr," in ended.err
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_a_field_of_a_swept_experiment_is_checked_with_each_experiment(lifecycle: Command) -> None:
    ended = lifecycle("-m", "+experiment=mnist,iris", "model.channels=[4]")
    assert ended.code == 2
    assert "model.channels is not a field of model=mlp, got [4]." in ended.err
    ended = lifecycle("+experiment=mnist", "--cfg", "job", "model.channels=[4]")
    assert ended.code == 0


def test_a_sweep_of_several_processes_a_job_is_refused(job: Command, runs: Runs) -> None:
    ended = job("-m", "seed=1,2", "trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")
    assert ended.code == 1
    assert "trainer.devices=2 cannot be used in a multirun" in ended.err
    assert {run.info.status for run in runs()} == {"FAILED"}
