"""Sweeps: every job is composed once, stored and run; what is finished is not run again; the board says the rest."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lifecycle.sweeps import plan as plans
from lifecycle.sweeps import supervise
from lifecycle.tracking import sweep_runs
from lifecycle.tracking.pages import tags
from lifecycle.tracking.store import database_uri
from tests.conftest import Command, Ended, artifacts, ready
from tests.forked import COMMAND, Forks, Process
from tests.made import moved

Run = mlflow.entities.Run
Runs = Callable[[], list[Run]]

SHOWN = ("verbose=1", "tracking.figures=false", "sweep.vectorise=off")
WITHOUT_WORKERS = f"from lifecycle.sweeps import supervise\nsupervise.start_worker = None\n{COMMAND}"
"""The command, which fails where it would start a worker."""


@pytest.fixture
def sweep(process: Command, tmp_path: Path, empty_database: Path) -> Command:
    """Run sweeps in processes of their own, with a database that is ready and without figures."""
    ready(tmp_path, empty_database)

    def run(*words: str) -> Ended:
        return process(*words, *SHOWN)

    return run


def sweeps(folder: Path) -> list[str]:
    """Return the names of the stored sweeps."""
    return sorted(file.parent.name for file in (folder / "mlruns").glob("sweeps/*/jobs.jsonl"))


def board(out: str) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the rows of the leader board, which are separated by three spaces or more."""
    lines = out.partition("\nSweep ")[2].splitlines()
    at = next(number for number, line in enumerate(lines) if "test_loss" in line and not line.startswith(" "))
    table = [re.split(r" {3,}", line.strip()) for line in lines[at:]]
    rows = [row for row, line in zip(table, lines[at:], strict=True) if len(row) > 1 and not line[0].isupper()]
    return rows[0], rows[1:]


def scores(out: str) -> dict[str, list[float]]:
    """Return mean, standard deviation, and both ends of the interval of each score of a single configuration."""
    lines = out.partition("\nscore ")[2].splitlines()[1:]
    rows = [re.split(r" {3,}| to ", line.strip()) for line in lines]
    return {row[0]: [float(cell) for cell in row[1:]] for row in rows if len(row) == 5}


def statuses(runs: Runs) -> list[str]:
    return [run.info.status for run in runs()]


def test_each_job_is_a_run_tagged_with_sweep_signature_and_configuration(
    sweep: Command, runs: Runs, tmp_path: Path
) -> None:
    ended = sweep("-m", "model=mlp", "data=iris,wine", "seed=1,2", "trainer.max_epochs=1")
    assert (ended.code, ended.err) == (0, "")
    found = runs()
    assert [run.info.run_name for run in found] == ["mlp-iris-1", "mlp-iris-2", "mlp-wine-1", "mlp-wine-2"]
    assert statuses(runs) == ["FINISHED"] * 4
    (name,) = {run.data.tags["lifecycle.sweep"] for run in found}
    assert sweeps(tmp_path) == [name]
    lines = (tmp_path / "mlruns" / "sweeps" / name / "jobs.jsonl").read_text().splitlines()
    jobs = [json.loads(line) for line in lines[1:]]
    for tag, size in (("signature", 4), ("configuration", 2)):
        of_runs = [run.data.tags[f"lifecycle.{tag}"] for run in found]
        assert of_runs == [job[tag] for job in jobs]
        assert len(set(of_runs)) == size
    assert found[0].data.tags["lifecycle.configuration"] == found[1].data.tags["lifecycle.configuration"]
    assert {run.data.tags["lifecycle.attempt"] for run in found} == {"1"}
    # All words of a job: `lifecycle compare` shows them as the command that runs it alone.
    assert found[1].data.tags["lifecycle.overrides"].startswith("model=mlp data=iris seed=2 trainer.max_epochs=1")
    assert {run.data.tags["lifecycle.command"] for run in found} == {
        "lifecycle -m model=mlp data=iris,wine seed=1,2 trainer.max_epochs=1 " + " ".join(SHOWN)
    }
    assert f"Sweep     {name}, 4 of 4 runs finished\n" in ended.out
    assert ended.out.count("lifecycle ui") == 1
    assert [line for line in ended.out.splitlines() if line.startswith("job ")] == [
        f"job {at + 1} of 4: data={data} seed={seed}"
        for at, (data, seed) in enumerate([("iris", 1), ("iris", 2), ("wine", 1), ("wine", 2)])
    ]
    assert "Configurations with other rows are in other groups" in ended.out


@pytest.mark.fault(20, 22)
def test_a_failing_job_does_not_stop_the_others_and_is_failed_with_its_error(sweep: Command, runs: Runs) -> None:
    ended = sweep("-m", "model=cnn,mlp", "data=digits,iris", "trainer.max_epochs=1")
    assert ended.code == 1
    assert statuses(runs) == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]
    sentence = "model=cnn needs samples of shape (channels, height, width), got (features) from data=iris."
    assert runs()[1].data.tags["lifecycle.error"].startswith(sentence)
    assert f"lifecycle: job 2 of 4: model=cnn data=iris failed: {sentence}" in ended.err
    assert f"Failed    model=cnn data=iris: {sentence}" in ended.out
    assert f"lifecycle rerun run={runs()[1].info.run_id[:8]}\n" in ended.out
    assert "3 of 4 runs finished, 1 failed\n" in ended.out
    assert "Continue" not in ended.out
    for word in ("Traceback", "Error executing job", "HYDRA_FULL_ERROR"):
        assert word not in ended.out + ended.err


def test_a_value_out_of_range_fails_its_own_job_only(sweep: Command, runs: Runs) -> None:
    ended = sweep("-m", "optimizer.lr=-1,0.01", "trainer.max_epochs=1")
    assert ended.code == 1
    assert statuses(runs) == ["FAILED", "FINISHED"]
    assert "optimizer.lr must be above 0, got -1.0." in runs()[0].data.tags["lifecycle.error"]


def test_a_sweep_over_an_unknown_name_is_a_bad_request_and_runs_nothing(lifecycle: Command, tmp_path: Path) -> None:
    ended = lifecycle("-m", "data=iris,irys")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("lifecycle: data=irys is not known. Did you mean data=iris?")
    assert not list(tmp_path.rglob("sweeps"))
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_a_field_of_a_swept_group_is_one_of_each_jobs_choice(sweep: Command, runs: Runs) -> None:
    """``momentum`` is a field of both optimizers, and of none that would be there without the sweep."""
    words = ("optimizer=sgd,rmsprop", "optimizer.momentum=0.5", "model=cnn,cnn", "model.channels=[4]", "data=digits")
    ended = sweep(*words, "data.note='a, (b)=c'", "-m", "trainer.max_epochs=1")  # an option may stand anywhere
    assert (ended.code, ended.err) == (0, "")
    params = [(run.data.params["optimizer"], run.data.params["optimizer.momentum"]) for run in runs()]
    assert params == [("sgd", "0.5"), ("rmsprop", "0.5")]  # model=cnn,cnn are the same jobs, each of which is run once
    assert {run.data.params["model.channels"] for run in runs()} == {"[4]"}


@pytest.mark.parametrize("momentum", ["0.5", "0.5,0.6"])
def test_a_field_that_one_choice_of_a_swept_group_lacks_is_refused_by_that_choice(
    lifecycle: Command, momentum: str, tmp_path: Path
) -> None:
    ended = lifecycle("-m", "optimizer=sgd,adagrad", f"optimizer.momentum={momentum}")
    assert ended.code == 2
    assert "optimizer.momentum is not a field of optimizer=adagrad, got 0.5. Fields: lr," in ended.err
    assert not list(tmp_path.rglob("sweeps"))
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_a_field_of_a_swept_experiment_is_checked_with_each_experiment(lifecycle: Command) -> None:
    ended = lifecycle("-m", "+experiment=mnist,iris", "model.channels=[4]")
    assert ended.code == 2
    assert "model.channels is not a field of model=mlp, got [4]." in ended.err
    ended = lifecycle("+experiment=mnist", "--cfg", "job", "model.channels=[4]")
    assert ended.code == 0


def test_a_sweep_of_several_processes_a_job_is_refused_before_the_first_job(lifecycle: Command, tmp_path: Path) -> None:
    words = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")
    for many in (("-m", "seed=1,2"), ("seeds=2",), ("cv=2",)):
        ended = lifecycle(*many, *words)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == (
            "lifecycle: trainer.devices=2 cannot be used in a multirun: each process would start the whole sweep. "
            "Run the jobs one by one.\n"
        )
    assert not list(tmp_path.rglob("sweeps"))


def test_a_range_that_cannot_be_listed_is_refused(lifecycle: Command, tmp_path: Path) -> None:
    ended = lifecycle("-m", "optimizer.lr=interval(0.001,0.1)")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "lifecycle: optimizer.lr is an interval, whose values cannot be listed, got interval(0.001,0.1). "
        "List values, as in optimizer.lr=0.001,0.01, or add sweep=optuna sweep.trials=50 to search it.\n"
    )
    assert not list(tmp_path.rglob("sweeps"))


GRID = ("-m", "data=iris", "optimizer.lr=0.01,0.02", "seed=1,2", "trainer.max_epochs=2", "model.hidden=[4]")


@pytest.fixture(scope="module")
def swept(forks: Forks, empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run a sweep, once; return its folder and output."""
    folder = tmp_path_factory.mktemp("grid")
    ready(folder, empty_database)
    started = Process(forks, [*GRID, *SHOWN], folder)
    out, err = started.communicate(timeout=300)
    assert (started.wait(), err) == (0, "")
    return folder, out


@pytest.fixture
def first(swept: tuple[Path, str], tmp_path: Path) -> str:
    """Have that sweep in the working folder; return its output."""
    folder, out = swept
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    moved(tmp_path, folder)
    return out


@pytest.mark.fault(24)
def test_typed_again_every_finished_job_is_skipped_without_a_worker(
    first: str, runs: Runs, forks: Forks, tmp_path: Path
) -> None:
    before = {run.info.run_id: run.info.end_time for run in runs()}
    assert len(before) == 4
    started = Process(forks, [*GRID, *SHOWN], tmp_path, code=WITHOUT_WORKERS)
    out, err = started.communicate(timeout=60)
    assert (started.wait(), err) == (0, "")
    assert {run.info.run_id: run.info.end_time for run in runs()} == before
    assert out.strip() == "Sweep " + first.partition("\nSweep ")[2].rstrip()
    # How jobs are run, and what is printed, is no part of what they are.
    others = ("verbose=0", "tracking.figures=true", "sweep.workers=2", "sweep.on_error=stop", "sweep.minutes=1")
    started = Process(forks, [*GRID, *others], tmp_path, code=WITHOUT_WORKERS)
    assert started.communicate(timeout=60) == ("", "")
    assert started.wait() == 0
    assert len(sweeps(tmp_path)) == 1
    # The order in which values are typed is none either.
    words = ["seed=2,1", "optimizer.lr=0.02,0.01", *(word for word in GRID if word[:4] not in ("seed", "opti"))]
    started = Process(forks, words, tmp_path, code=WITHOUT_WORKERS)
    assert "4 of 4 runs finished" in started.communicate(timeout=60)[0]
    assert started.wait() == 0
    assert len(sweeps(tmp_path)) == 1


def test_a_larger_grid_runs_only_its_new_jobs(first: str, process: Command, runs: Runs, tmp_path: Path) -> None:
    before = [run.info.run_id for run in runs()]
    ended = process(*(word.replace("=0.01,0.02", "=0.01,0.02,0.03") for word in GRID), *SHOWN)
    assert ended.code == 0
    assert [line.partition(": ")[2] for line in ended.out.splitlines() if line.startswith("job ")] == [
        "optimizer.lr=0.03 seed=1",
        "optimizer.lr=0.03 seed=2",
    ]
    assert "6 of 6 runs finished" in ended.out
    assert len(board(ended.out)[1]) == 3
    assert [run.info.run_id for run in runs()][:4] == before
    assert len(runs()) == 6
    assert len(sweeps(tmp_path)) == 2


def test_again_runs_finished_jobs_again(sweep: Command, runs: Runs) -> None:
    words = ("-m", "data=iris", "seed=1,2", "trainer.max_epochs=1")
    sweep(*words)
    ended = sweep(*words, "sweep.again=true")
    assert ended.code == 0
    assert len(runs()) == 4
    assert "2 of 2 runs finished" in ended.out


def test_seeds_are_runs_on_one_split_with_their_mean_and_interval(sweep: Command, runs: Runs, tmp_path: Path) -> None:
    ended = sweep("data=iris", "seeds=3", "seed=5", "trainer.max_epochs=2")
    assert (ended.code, ended.err) == (0, "")
    client = mlflow.MlflowClient(database_uri(tmp_path / "mlruns"))
    found = [tags.name(client.get_run(run.info.run_id)) for run in runs()]
    assert [run.data.params["seed"] for run in found] == ["5", "6", "7"]
    assert {run.data.params["data.split_seed"] for run in found} == {"5"}
    assert {"seeds", "sweep.workers"}.isdisjoint(found[0].data.params)
    for part in ("test", "validation"):
        assert len({run.data.tags[f"split.{part}.sha256"] for run in found}) == 1
    shown = scores(ended.out)
    assert {"test_loss", "test_accuracy", "kept_val_loss"} <= set(shown)
    for name, numbers in shown.items():
        values = np.array([run.data.metrics[name] for run in found])
        assert len(set(values)) > 1
        half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
        np.testing.assert_allclose(
            numbers, [values.mean(), values.std(ddof=1), values.mean() - half, values.mean() + half], atol=5.1e-5
        )
    assert "kept_val_loss_low" not in ended.out


def test_configurations_are_ordered_by_their_mean_with_the_paired_difference(sweep: Command, runs: Runs) -> None:
    ended = sweep("-m", "data=iris", "seeds=3", "optimizer.lr=0.0001,0.02,0.003", "trainer.max_epochs=3")
    heads, rows = board(ended.out)
    assert heads[:7] == ["optimizer.lr", "runs", "kept_val_loss", "sd", "95% interval", "to the best", "p"]
    assert [row[0] for row in rows] == ["0.02", "0.003", "0.0001"]
    values = {
        rate: np.array([run.data.metrics["kept_val_loss"] for run in runs() if run.data.params["optimizer.lr"] == rate])
        for rate in ("0.02", "0.003", "0.0001")
    }
    best = values["0.02"]
    assert rows[0][1:3] == ["3/3", f"{best.mean():.4f}"]
    assert rows[0][5] == "best"
    ps = [stats.ttest_rel(values[rate], best).pvalue for rate in ("0.003", "0.0001")]
    smaller, larger = np.argsort(ps)  # Holm: the smaller p is doubled, and the other is not below it
    corrected = {smaller: 2 * ps[smaller], larger: max(ps[larger], 2 * ps[smaller])}
    for at, rate in enumerate(("0.003", "0.0001")):
        assert float(rows[at + 1][5]) == pytest.approx((values[rate] - best).mean(), abs=5.1e-5)
        assert float(rows[at + 1][6]) == pytest.approx(corrected[at], rel=0.06)


def test_only_columns_that_differ_are_shown(sweep: Command) -> None:
    ended = sweep("-m", "data=iris", "model.hidden=[4],[8,4]", "optimizer.lr=0.01", "trainer.max_epochs=1,1")
    heads, rows = board(ended.out)
    assert heads == ["model.hidden", "kept_val_loss", "test_accuracy", "test_loss"]
    assert {row[0] for row in rows} == {"[4]", "[8,4]"}
    assert not [line for line in ended.out.splitlines() if line != line.rstrip()]


def test_another_score_can_order_the_board(sweep: Command, process: Command, runs: Runs) -> None:
    words = ("-m", "data=iris", "optimizer.lr=0.0001,0.05", "trainer.max_epochs=3")
    ended = sweep(*words, "sweep.metric=test_accuracy")
    accuracies = {run.data.params["optimizer.lr"]: run.data.metrics["test_accuracy"] for run in runs()}
    assert accuracies["0.05"] > accuracies["0.0001"]
    assert "by the mean of test_accuracy (higher is better)" in ended.out
    heads, rows = board(ended.out)
    assert heads == ["optimizer.lr", "test_accuracy", "test_loss"]
    assert [row[:2] for row in rows] == [[rate, f"{accuracies[rate]:.4f}"] for rate in ("0.05", "0.0001")]
    shown = process("sweep", "sweep=latest", "metric=test_loss")
    assert "by the mean of test_loss (lower is better)" in shown.out
    refused = process("sweep", "sweep=latest", "metric=test_los")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(
        "lifecycle: metric=test_los is a score of none of these runs. Did you mean test_loss? Scores: kept_val_acc"
    )


def test_a_configuration_that_is_edited_during_a_sweep_changes_nothing(
    runs: Runs, forks: Forks, empty_database: Path, tmp_path: Path
) -> None:
    ready(tmp_path, empty_database)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    file = tmp_path / "conf" / "data" / "mine.yaml"
    file.write_text("defaults: [table, _self_]\npath: sklearn:iris\ntarget: species\ntest_size: 0.2\n")
    words = ["-m", "data=mine", "seed=1,2,3", "trainer.max_epochs=60", "trainer.early_stopping=false", *SHOWN]
    started = Process(forks, words, tmp_path)
    until = time.monotonic() + 60
    while not runs() and time.monotonic() < until:
        time.sleep(0.02)
    assert started.poll() is None
    file.write_text("defaults: [table, _self_]\npath: sklearn:wine\ntarget: cultivar\ntest_size: 0.4\n")
    out, err = started.communicate(timeout=120)
    assert (started.wait(), err) == (0, "")
    assert "3 of 3 runs finished" in out
    assert {(run.data.params["data.path"], run.data.params["data.test_size"]) for run in runs()} == {
        ("sklearn:iris", "0.2")
    }
    assert len(runs()) == 3


def test_sweeps_are_listed_shown_by_the_beginning_of_a_name_and_found(
    sweep: Command, process: Command, runs: Runs, tmp_path: Path
) -> None:
    assert "no sweeps yet" in process("sweep").out
    ended = process("resume", "sweep=latest")
    assert (ended.code, ended.err) == (2, "lifecycle: sweep=latest is no sweep. Sweeps in mlruns: none yet.\n")
    sweep("-m", "data=iris", "optimizer.lr=0.01,-1", "trainer.max_epochs=1")
    sweep("data=iris", "seeds=2", "trainer.max_epochs=1")
    failed, finished = (runs()[at].data.tags["lifecycle.sweep"] for at in (0, -1))
    listed = process("sweep")
    assert listed.code == 0
    heads, *rows = (re.split(r" {3,}", line.strip()) for line in listed.out.split("\n\n")[0].splitlines())
    assert heads == ["sweep", "started", "done", "pruned", "failed", "left", "command"]
    assert [[row[0], *row[2:6]] for row in rows] == [[finished, *"2000"], [failed, *"1010"]]
    assert rows[0][6].startswith("lifecycle data=iris seeds=2 ")
    assert rows[1][6].startswith("lifecycle -m data=iris optimizer.lr=0.01")
    assert not re.search(r" $", listed.out, re.MULTILINE)
    # Of the first start, also when it is started again.
    file = tmp_path / "mlruns" / "sweeps" / failed / "jobs.jsonl"
    head, *jobs = file.read_text().splitlines()
    begun = time.mktime((2024, 5, 6, 7, 8, 0, 0, 0, -1))
    file.write_text("\n".join([json.dumps(json.loads(head) | {"started": begun}), *jobs]) + "\n")
    process("resume", f"sweep={failed}", "sweep.retries=0")
    assert f"{failed}   2024-05-06 07:08   1 " in process("sweep").out
    shown = process("sweep", f"sweep={failed[:4]}")
    assert shown.code == 0
    assert f"Sweep     {failed}, 1 of 2 runs finished, 1 failed\n" in shown.out
    of_one = process("sweep", f"sweep={finished}").out
    assert f"Sweep     {finished}, 2 of 2 runs finished\n" in of_one
    assert not re.search(r" $", of_one, re.MULTILINE)
    unknown = process("sweep", f"sweep=x{finished}")
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err == (
        f"lifecycle: sweep=x{finished} is no sweep. Did you mean {finished}? Sweeps in mlruns: {failed}, {finished}.\n"
    )
    assert len(sweeps(tmp_path)) == 2


def test_to_resume_a_complete_sweep_does_nothing(first: str, runs: Runs, forks: Forks, tmp_path: Path) -> None:
    before = [run.info.end_time for run in runs()]
    started = Process(forks, ["resume", "sweep=latest"], tmp_path, code=WITHOUT_WORKERS)
    out, err = started.communicate(timeout=60)
    assert (started.wait(), err) == (0, "")
    assert out.strip() == "Sweep " + first.partition("\nSweep ")[2].rstrip()
    assert [run.info.end_time for run in runs()] == before
    changed = Process(forks, ["resume", "sweep=latest", "trainer.max_epochs=9"], tmp_path, code=WITHOUT_WORKERS)
    assert changed.communicate(timeout=60)[1].startswith("lifecycle: trainer.max_epochs cannot be changed: the jobs of")
    assert changed.wait() == 2


def test_a_sweep_whose_jobs_another_one_has_finished_has_a_summary_too(
    lifecycle: Command, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(tmp_path, empty_database)
    words = ("-m", "data=iris", "data.split_seed=0", "trainer.max_epochs=1", "tracking.figures=false", "verbose=0")
    for seeds in ("1,2,3", "1,2"):
        assert lifecycle(*words, f"seed={seeds}") == Ended(0, "", "")
    (part,) = (
        read for name in sweeps(tmp_path) if len((read := plans.read(tmp_path / "mlruns/sweeps" / name)).jobs) == 2
    )
    assert sweep_runs.summary_of(part.place, "lifecycle", part.name) is not None
    monkeypatch.setattr(supervise, "start_worker", None)
    assert lifecycle(*words, "seed=1,2") == Ended(0, "", "")
    assert lifecycle(*words, "seed=2,3", "sweep.launcher=joblib") == Ended(0, "", "")
    assert len(list((tmp_path / "mlruns").rglob("leader_board.csv"))) == 3


@pytest.fixture
def three(tmp_path: Path) -> list[str]:
    """Make two of three files, and return the words of a sweep over all three."""
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "y"])
    for name in "xz":
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    return ["-m", "data=table", "data.path=x.csv,y.csv,z.csv", "data.target=y", "trainer.max_epochs=1"]


def test_stop_leaves_the_jobs_after_a_failure_and_says_how_to_continue(
    sweep: Command, process: Command, runs: Runs, three: list[str], tmp_path: Path
) -> None:
    ended = sweep(*three, "sweep.on_error=stop")
    assert ended.code == 1
    assert statuses(runs) == ["FINISHED", "FAILED"]
    assert "1 of 3 runs finished, 1 failed, 1 left\n" in ended.out
    (command,) = re.findall(r"^Continue +lifecycle (.*)$", ended.out, re.MULTILINE)
    (tmp_path / "y.csv").write_bytes((tmp_path / "x.csv").read_bytes())
    continued = process(*command.split())
    assert (continued.code, continued.err) == (0, "")
    assert "3 of 3 runs finished\n" in continued.out
    assert "Continue" not in continued.out
    assert [(run.info.run_name, run.info.status) for run in runs()] == [
        (f"mlp-table-0-path={name}", status)
        for name, status in zip(
            ("x.csv", "y.csv", "y.csv-2", "z.csv"), ("FINISHED", "FAILED", "FINISHED", "FINISHED"), strict=True
        )
    ]
    assert [run.data.tags["lifecycle.attempt"] for run in runs()] == ["1", "1", "2", "1"]


def test_stop_is_for_jobs_that_fail_now_and_not_for_those_that_are_given_up(sweep: Command, runs: Runs) -> None:
    words = ("-m", "optimizer.lr=-1,0.01", "trainer.max_epochs=1", "sweep.on_error=stop", "sweep.retries=0")
    assert sweep(*words).code == 1
    assert statuses(runs) == ["FAILED"]
    ended = sweep(*words)
    assert ended.code == 1
    assert statuses(runs) == ["FAILED", "FINISHED"]


DIVERGING = ("data=iris", "optimizer=sgd", "optimizer.lr=1e30,0.01", "trainer.max_epochs=3")


@pytest.mark.fault(23)
def test_retry_runs_a_failed_job_again_at_once_and_then_gives_it_up(sweep: Command, runs: Runs) -> None:
    words = ("-m", *DIVERGING, "sweep.on_error=retry")
    ended = sweep(*words)
    assert ended.code == 1
    assert statuses(runs) == ["FAILED", "FAILED", "FINISHED"]
    assert [run.data.tags["lifecycle.attempt"] for run in runs()] == ["1", "2", "1"]
    assert "1 of 2 runs finished, 1 failed\n" in ended.out
    again = sweep(*words)
    assert again.code == 1
    assert len(runs()) == 3
    sentence = "job 1: optimizer.lr=1e+30 was skipped: it has failed 2 times; raise sweep.retries to run it again."
    assert f"lifecycle: {sentence}\n" in again.err
    raised = sweep(*words, "sweep.retries=2")
    assert raised.code == 1
    assert [run.data.tags["lifecycle.attempt"] for run in runs()] == ["1", "2", "1", "3"]


def test_retry_does_not_repeat_a_request_that_cannot_be_met(sweep: Command, runs: Runs) -> None:
    ended = sweep("-m", "optimizer.lr=-1,0.01", "trainer.max_epochs=1", "sweep.on_error=retry", "sweep.retries=3")
    assert ended.code == 1
    assert statuses(runs) == ["FAILED", "FINISHED"]
    assert "1 of 2 runs finished, 1 failed\n" in ended.out


def test_without_retries_a_failed_job_is_run_once(sweep: Command, runs: Runs) -> None:
    words = ("-m", "optimizer.lr=-1,0.01", "trainer.max_epochs=1", "sweep.retries=0", "sweep.on_error=retry")
    sweep(*words)
    assert statuses(runs) == ["FAILED", "FINISHED"]
    assert "it has failed 1 time; raise sweep.retries" in sweep(*words).err
    assert len(runs()) == 2


def test_no_job_is_started_after_the_time_is_over(sweep: Command, process: Command, runs: Runs, tmp_path: Path) -> None:
    words = ("-m", "data=iris", "seed=1,2,3", "trainer.max_epochs=1")
    ended = sweep(*words, "sweep.minutes=0.0001")
    done = len(runs())
    assert done <= 1
    (name,) = sweeps(tmp_path)
    sentence = f"sweep.minutes=0.0001 have passed, with {3 - done} of 3 jobs left. lifecycle resume sweep={name}"
    assert (ended.code, ended.err) == (124, f"lifecycle: {sentence} continues it.\n")
    assert f"{done} of 3 runs finished, {3 - done} left\n" in ended.out
    assert re.search(r"^Continue +lifecycle resume sweep=[0-9a-f]{10}$", ended.out, re.MULTILINE)
    continued = process("resume", f"sweep={name}", "sweep.minutes=null", "sweep.workers=2")
    assert (continued.code, continued.err) == (0, "")
    assert "3 of 3 runs finished\n" in continued.out
    assert len(runs()) == 3
    # Two workers: each line has the number of its job in front.
    of_jobs = [line for line in continued.out.partition("\nSweep ")[0].splitlines() if line]
    assert all(re.match(r"\[[1-3]\] ", line) for line in of_jobs)
    assert next(line for line in of_jobs if line.startswith("[3] ")) == "[3] job 3 of 3: seed=3"
    assert len([line for line in of_jobs if line.startswith("[3] Fitted ")]) == 1
    for words, message in (
        (
            ("sweep=latest", "sweep.wokers=2"),
            "sweep.wokers is not a field of sweep, got 2. Did you mean sweep.workers?",
        ),
        (("sweep=latest", "sweep.workers=0"), "sweep.workers must be 1 or more, got 0."),
        (("run=latest", "sweep.workers=2"), "sweep.workers is an option of sweeps, and this is one run, got 2."),
    ):
        refused = process("resume", *words)
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.startswith(f"lifecycle: {message}")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("seeds=0", "seeds must be 1 or more, got 0."),
        ("sweep.workers=0", "sweep.workers must be 1 or more, got 0."),
        ("sweep.retries=-1", "sweep.retries must be 0 or more, got -1."),
        ("sweep.minutes=0", "sweep.minutes must be above 0, got 0.0."),
        ("sweep.on_error=halt", "sweep.on_error must be one of continue, stop, retry, got halt."),
        ("sweep.launcher=jobli", "sweep.launcher=jobli is not installed."),
    ],
)
def test_a_setting_out_of_range_is_one_sentence_and_runs_nothing(
    lifecycle: Command, tmp_path: Path, word: str, sentence: str
) -> None:
    ended = lifecycle(*(("data=iris", word) if word.startswith("seeds") else ("-m", "data=iris", "seed=1,2", word)))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"lifecycle: {sentence}")
    assert ended.err.count("\n") == 1
    assert not list(tmp_path.rglob("sweeps"))


def test_the_best_of_a_sweep_is_a_run_of_the_configuration_with_the_best_mean(
    sweep: Command, process: Command, runs: Runs, tmp_path: Path
) -> None:
    sweep("-m", "data=iris", "seeds=2", "optimizer.lr=0.01,0.02", "trainer.max_epochs=1")
    client = mlflow.MlflowClient(database_uri(tmp_path / "mlruns"))
    # The best single run is of the configuration with the worse mean.
    for run, value in zip(runs(), (0.1, 0.9, 0.4, 0.3), strict=True):
        client.log_metric(run.info.run_id, "kept_val_loss", value, step=10**6)
    ended = process("evaluate", "run=best", "sweep=latest")
    assert ended.code == 0
    assert runs()[3].info.run_id in ended.out or runs()[3].info.run_name in ended.out
    _, rows = board(process("sweep", "sweep=latest").out)
    assert [(row[0], row[2]) for row in rows] == [("0.02", "0.3500"), ("0.01", "0.5000")]
    assert artifacts(runs()[3]).is_dir()
