"""Jobs of a sweep that are fitted together: their runs are those of single jobs, whatever happens on the way."""

from __future__ import annotations

import re
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from lifecycle import layout
from lifecycle.config.compose import compose
from lifecycle.config.resolve import resolve
from lifecycle.fit.vectorised.members import Member, bytes_needed
from lifecycle.runs import group, pipeline
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.tracking.pages import tags
from lifecycle.tracking.store import open_store
from tests.conftest import artifacts, ready
from tests.forked import COMMAND, Forks, Process
from tests.functional.test_sweep_faults import kill, run_in, started_until
from tests.made import runs_in
from tests.packages import HEAD, Site

SHOWN = ("verbose=1", "tracking.figures=false")
WORDS = ("-m", "data=iris", "optimizer.lr=0.01,0.02", "seed=1,2,3", "model.dropout=0.2", "trainer.max_epochs=30")
LONG = (
    "-m",
    "data=iris",
    "seed=1,2,3",
    "trainer.max_epochs=700",
    "trainer.batch_size=90",
    "trainer.early_stopping=false",
)
TOLERANCE = 1e-4

Run = mlflow.entities.Run


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    """Return a working folder with a database that is ready."""
    ready(tmp_path, empty_database)
    return tmp_path


def by_signature(folder: Path) -> dict[str, Run]:
    """Return the run of each job; each has one, which is FINISHED."""
    runs = runs_in(folder)
    assert {run.info.status for run in runs} == {"FINISHED"}
    found = {run.data.tags["lifecycle.signature"]: run for run in runs}
    assert len(found) == len(runs)
    return found


def columns(run: Run, name: str) -> pd.DataFrame:
    return pd.read_csv(artifacts(run) / name).drop(columns="epoch_seconds", errors="ignore")


def test_the_runs_of_a_group_are_those_of_single_jobs(forks: Forks, folder: Path, tmp_path: Path) -> None:
    ended = run_in(forks, folder, *WORDS, *SHOWN, "tracking.figures=true")
    assert (ended.code, ended.err) == (0, "")
    assert "\njobs 1 to 6 of 6, together\n" in ended.out
    assert "\nVectorised 6 of 6 fits in 1 group\n" in ended.out
    together = by_signature(folder)
    again = run_in(forks, folder, *WORDS, *SHOWN)
    assert (again.code, len(runs_in(folder))) == (0, 6)
    assert "together" not in again.out
    alone = run_in(forks, folder, *WORDS, *SHOWN, "tracking.dir=alone", "sweep.vectorise=off")
    assert alone.code == 0
    assert "ectorised" not in alone.out
    single = {
        run.data.tags["lifecycle.signature"]: run
        for run in map(tags.name, mlflow.MlflowClient(f"sqlite:///{folder}/alone/mlflow.db").search_runs(["1"]))
        if "lifecycle.signature" in run.data.tags
    }
    assert together.keys() == single.keys()
    for signature, run in together.items():
        expected = single[signature]
        assert run.data.metrics.keys() == expected.data.metrics.keys()
        for name, value in run.data.metrics.items():
            assert value == pytest.approx(expected.data.metrics[name], rel=TOLERANCE, abs=TOLERANCE), name
        assert run.data.tags.pop("lifecycle.vectorised") == "6"
        assert run.data.tags.keys() == expected.data.tags.keys()
        assert run.data.tags["weights_epoch"] == expected.data.tags["weights_epoch"]
        params = {**run.data.params, "tracking.dir": "", "tracking.figures": ""}
        assert params == {**expected.data.params, "tracking.dir": "", "tracking.figures": ""}
        for name in ("history.csv", "predictions.csv", "scores.csv", "baselines.csv"):
            pd.testing.assert_frame_equal(columns(run, name), columns(expected, name), rtol=TOLERANCE, atol=TOLERANCE)
        for name in ("request.json", "config.yaml", "summary.txt"):
            assert (artifacts(run) / name).is_file()
    _check_use(forks, folder, list(together.values()))


def _check_use(forks: Forks, folder: Path, runs: list[Run]) -> None:
    """Check that every subcommand takes the runs of a group."""
    complete = [run for run in runs if not (artifacts(run) / layout.MODEL_LATER).exists()]
    assert len(complete) == 2  # the best of each configuration
    for run in complete:
        for name in ("curves.png", "confusion_matrix.png", "model.svg", "classification_report.txt"):
            assert (artifacts(run) / name).is_file()
        assert run.outputs.model_outputs
    other = next(run.info.run_id for run in runs if run not in complete)
    (folder / "new.csv").write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5.1,3.5,1.4,0.2\n"
    )
    predicted = run_in(forks, folder, "predict", f"run={other}", "input=new.csv", "output=out.csv")
    assert (predicted.code, len(pd.read_csv(folder / "out.csv"))) == (0, 1)
    assert run_in(forks, folder, "predict", "run=best", "sweep=latest", "input=new.csv", "output=out.csv").code == 0
    rerun = run_in(forks, folder, "rerun", f"run={other}", "verbose=0")
    assert (rerun.code, rerun.err) == (0, "")
    assert rerun.out == "reproduced to within 1e-05: the run was one of 6 that were fitted together\n"
    resumed = run_in(forks, folder, "resume", f"run={other}", "trainer.max_epochs=40")
    assert resumed.code == 1
    assert f"({other}) was one of 6 that were fitted together and wrote no checkpoints. Run it again" in resumed.err
    registered = run_in(forks, folder, "register", f"run={other}", "name=flowers")
    assert registered.code == 0, registered.err
    assert "as flowers version 1" in registered.out
    served = run_in(forks, folder, "predict", "run=models:/flowers/1", "input=new.csv", "output=served.csv")
    assert (served.code, len(pd.read_csv(folder / "served.csv"))) == (0, 1)


def running_group(forks: Forks, folder: Path) -> Process:
    """Start a sweep of three long jobs, and return its process once their runs are open."""
    process = started_until(forks, folder, (*LONG, *SHOWN), "jobs 1 to 3 of 3, together")
    until = time.monotonic() + 60
    while [run.info.status for run in runs_in(folder)].count("RUNNING") < 3:
        assert time.monotonic() < until
        time.sleep(0.05)
    return process


@pytest.mark.longest
def test_a_group_that_is_killed_begins_again_in_the_same_runs(forks: Forks, folder: Path) -> None:
    process = running_group(forks, folder)
    begun = {run.info.run_id for run in runs_in(folder)}
    assert len(begun) == 3
    kill(process, "main and worker")
    process.communicate(timeout=300)
    # Of a worker that died it is not known which job has ended it, so each of them gets a process.
    process = running_group(forks, folder)
    assert {run.info.run_id for run in runs_in(folder)} == begun
    kill(process, "worker")
    out, err = process.communicate(timeout=300)
    assert process.wait() == 0, err
    assert "; 3 one by one: the process of their group ended\n" in out
    assert len([run for run in runs_in(folder) if run.info.status == "FINISHED"]) == 3


def test_ctrl_c_ends_the_runs_of_a_group_and_the_sweep_goes_on(forks: Forks, folder: Path) -> None:
    process = running_group(forks, folder)
    process.send_signal(2)
    out, _ = process.communicate(timeout=300)
    assert process.wait() == 130
    assert "0 of 3 runs finished, 3 left\n" in out
    assert {run.info.status for run in runs_in(folder)} == {"KILLED"}
    begun = {run.info.run_id for run in runs_in(folder)}
    (name,) = re.findall(r"^Continue +lifecycle resume sweep=(\w+)$", out, re.MULTILINE)
    resumed = run_in(forks, folder, "resume", f"sweep={name}")
    assert resumed.code == 0, resumed.err
    assert len(by_signature(folder)) == 3
    assert {run.info.run_id for run in runs_in(folder)} == begun


def test_jobs_that_cannot_be_vectorised_run_one_by_one_with_the_reason(forks: Forks, folder: Path) -> None:
    words = ("-m", "data=sequence", "model=lstm", "seed=1,2", "trainer.max_epochs=2")
    ended = run_in(forks, folder, *words, *SHOWN)
    assert (ended.code, ended.err) == (0, "")
    assert "\nVectorised 0 of 2 fits; 2 one by one: nn.LSTM\n" in ended.out
    assert "\njob 2 of 2: seed=2\n" in ended.out
    assert len(by_signature(folder)) == 2


def test_a_plugin_that_ends_its_process_ends_its_own_job_only(forks: Forks, folder: Path) -> None:
    code = f"""{HEAD}
import os, torch

@dataclass
class Net:
    dropout: float = 0.1

    def build(self, spec):
        if self.dropout == 0.5:
            os._exit(1)
        return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(spec.input_shape[0], spec.num_outputs))
"""
    (folder / "packages").mkdir()
    Site(folder / "packages").install("lifecycle-dying", {"dying": "Net"}, code)
    command = f"import sys\nsys.path.insert(0, 'packages')\n{COMMAND}"
    words = ("-m", "model=dying", "model.dropout=0.1,0.5,0.2", "data=iris", "trainer.max_epochs=1", *SHOWN)
    ended = run_in(forks, folder, *words, code=command)
    assert ended.code == 1
    assert "2 of 3 runs finished, 1 left\n" in ended.out
    assert "lifecycle: job 2: model.dropout=0.5 ended its process" in ended.err
    assert [run.info.status for run in runs_in(folder)].count("FINISHED") == 2


def test_a_member_that_diverges_fails_with_its_message(forks: Forks, folder: Path) -> None:
    words = ("-m", "data=iris", "optimizer=sgd", "optimizer.lr=0.01,1e30,0.02", "trainer.max_epochs=3")
    ended = run_in(forks, folder, *words, *SHOWN)
    assert ended.code == 1
    assert re.search(r"job 2 of 3: optimizer.lr=1e\+30 failed: train_loss is (nan|inf) in epoch \d: ", ended.err)
    assert "Vectorised 3 of 3 fits in 1 group\n" in ended.out
    assert sorted(run.info.status for run in runs_in(folder)) == ["FAILED", "FINISHED", "FINISHED"]
    (failed,) = [run for run in runs_in(folder) if run.info.status == "FAILED"]
    assert "training has diverged" in failed.data.tags["lifecycle.error"]


def test_check_compares_two_fits_in_full(forks: Forks, folder: Path) -> None:
    ended = run_in(forks, folder, "data=iris", "seeds=3", "trainer.max_epochs=5", "sweep.vectorise=check", *SHOWN)
    assert ended.code == 0
    (weights,) = re.findall(r"^Checked: weights differ by at most (\S+) from those of single fits", ended.out, re.M)
    assert float(weights) < 1e-5


def test_another_value_of_vectorise_is_refused(forks: Forks, folder: Path) -> None:
    ended = run_in(forks, folder, "data=iris", "seeds=2", "sweep.vectorise=maybe")
    assert ended.code == 2
    assert "sweep.vectorise must be one of auto, off, check" in ended.err


def test_a_member_whose_results_cannot_be_written_fails_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    requests = [compose(["data=iris", f"seed={seed}", "trainer.max_epochs=3", "verbose=0"]) for seed in (1, 2, 3)]
    open_store(requests[0].tracking)  # makes the experiment

    def on_row(place: int, row: dict[str, float]) -> None:
        if (place, row["epoch"]) == (1, 1):  # a folder is in the way of a file
            (second,) = (run for run in runs_in(folder) if run.info.run_name == "mlp-iris-2")
            (artifacts(second) / layout.HISTORY).mkdir()

    with quiet_libraries():
        ended = group.run(requests, [None] * 3, on_row).ended
    errors = [one.error for one in ended if isinstance(one, group.Vectorised)]
    assert [error is None for error in errors] == [True, False, True]
    by_name = {run.info.run_name: run for run in runs_in(folder)}
    assert [by_name[f"mlp-iris-{seed}"].info.status for seed in (1, 2, 3)] == ["FINISHED", "FAILED", "FINISHED"]
    failed = by_name["mlp-iris-2"]
    assert layout.HISTORY in failed.data.tags[layout.ERROR]
    assert "resume" not in failed.data.tags[layout.ERROR]
    assert failed.data.params["seed"] == "2"
    assert (artifacts(failed) / layout.REQUEST).is_file()


def test_groups_are_divided_where_the_memory_does_not_suffice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    fits = []
    for number in range(8):
        job = resolve(compose(["data=iris", f"seed={number}", "verbose=0"]))
        prepared = pipeline.prepare(job)
        member = Member(prepared.module, prepared.data, job.trainer, job.seed)
        fits.append(group.Fit(number, job, prepared, member, None))
    needed = bytes_needed([fit.member for fit in fits])
    parameters, rows = 2499, (90 + 30) * 4 + 90 * 3
    assert needed == 4 * 8 * (5 * parameters + rows)
    assert group.divided(fits, needed) == [fits]
    assert [len(part) for part in group.divided(fits, needed - 1)] == [4, 4]
    assert [len(part) for part in group.divided(fits, needed / 5)] == [1] * 8
