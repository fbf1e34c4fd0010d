"""Searches: trials that are suggested, pruned, killed and continued, in processes of their own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest

from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.search.study import Study
from lifecycle.tracking.store import database_uri
from tests.conftest import Command, ready
from tests.forked import Forks, Process
from tests.functional.test_sweep import board
from tests.functional.test_sweep_faults import Result, kill, kill_at_random, results, run_in, started_until, statuses
from tests.made import runs_in

Run = mlflow.entities.Run

SHOWN = ("verbose=1", "tracking.figures=false")
RATE = "optimizer.lr=tag(log,interval(1e-4,0.1))"
SEARCH = ("-m", "data=iris", "sweep=optuna")
LONG = (
    *(*SEARCH, RATE, "model.hidden=[8],[4]", "model.dropout=0.2", "trainer.max_epochs=150", "sweep.trials=3"),
    *("trainer.early_stopping=false", *SHOWN),
)


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    ready(tmp_path, empty_database)
    return tmp_path


@pytest.fixture
def search(process: Command, folder: Path) -> Command:
    """Run searches in processes of their own, with a database that is ready."""
    return lambda *words: process(*SEARCH, *words, *SHOWN)


@pytest.fixture(scope="module")
def whole(forks: Forks, empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Run a search without an interruption, once, and return its results."""
    folder = tmp_path_factory.mktemp("whole")
    ready(folder, empty_database)
    ended = run_in(forks, folder, *LONG)
    assert (ended.code, ended.err) == (0, "")
    assert len(results(folder)) == 3
    return results(folder)


def plan_in(folder: Path) -> Plan:
    """Return the search in a folder; there must be one only."""
    (file,) = (folder / "mlruns" / "sweeps").glob("*/jobs.jsonl")
    return plans.read(file.parent)


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return Study(plan_in(folder), watches=True).trials


def states(folder: Path) -> list[str]:
    return [trial.state.name for trial in trials(folder)]


def epochs(run: Run) -> int:
    """Return the number of epochs that a run has scores of."""
    file = Path(run.info.artifact_uri.removeprefix("file://")).parents[3] / "mlflow.db"
    client = mlflow.MlflowClient(f"sqlite:///{file}")
    return len(client.get_metric_history(run.info.run_id, "val_loss"))


def pruned(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.data.tags.get("lifecycle.status") == "pruned"]


def continues(out: str) -> list[str]:
    (command,) = re.findall(r"^Continue +lifecycle (.*)$", out, re.MULTILINE)
    return str(command).split()


@pytest.mark.parametrize("who", ["all", *(pytest.param(who, marks=pytest.mark.longest) for who in ("main", "worker"))])
def test_a_killed_search_continues_to_the_trials_of_one_that_was_not(
    forks: Forks, folder: Path, whole: dict[str, Result], who: str
) -> None:
    process = started_until(forks, folder, LONG, "job 2 of 3", "epoch 60/")
    kill(process, who)
    out, _ = process.communicate(timeout=120)
    assert process.wait() == (1 if who == "worker" else -signal.SIGKILL)
    assert "FAILED" not in statuses(folder)
    if who == "worker":
        # The others were run, by a new worker: the trial that died has taught nothing to those after it.
        assert states(folder) == ["COMPLETE", "FAIL", "COMPLETE"]
        assert "2 of 3 runs finished, 1 left\n" in out
        continued = run_in(forks, folder, *continues(out))
    else:
        assert states(folder) == ["COMPLETE", "RUNNING"]
        continued = run_in(forks, folder, *LONG)
    assert (continued.code, continued.err) == (0, "")
    assert "3 of 3 runs finished\n" in continued.out
    assert "epoch 30/150" not in continued.out.partition("job 3 of 3")[0]  # from its last checkpoint
    found = results(folder)
    rates = [job.words[0] for job in plan_in(folder).jobs]
    assert len(found) == len(set(rates)) == 3
    assert sorted(states(folder)) == ["COMPLETE"] * 3 + ["FAIL"]
    if who != "worker":
        assert found == whole
        # Four in all, rather than four more.
        more = run_in(forks, folder, *(word.replace("trials=3", "trials=4") for word in LONG))
        assert "4 of 4 runs finished\n" in more.out
        assert [line.partition(":")[0] for line in more.out.splitlines() if line.startswith("job ")] == ["job 4 of 4"]
        assert len({job.words[0] for job in plan_in(folder).jobs}) == 4


def test_ctrl_c_ends_with_the_board_and_the_command_that_continues(
    forks: Forks, folder: Path, whole: dict[str, Result]
) -> None:
    process = started_until(forks, folder, LONG, "job 2 of 3", "epoch 60/")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.wait() == 130
    assert err.splitlines()[-1] == "lifecycle: stopped by SIGINT"
    assert statuses(folder) == ["FINISHED", "KILLED"]
    assert "1 of 3 runs finished, 2 left\n" in out
    continued = run_in(forks, folder, *continues(out))
    assert (continued.code, continued.err) == (0, "")
    assert results(folder) == whole


def test_two_terminals_share_a_search(forks: Forks, folder: Path) -> None:
    both = [Process(forks, [*LONG], folder) for _ in range(2)]
    ended = [process.communicate(timeout=300) for process in both]
    assert [(process.wait(), err) for process, (_, err) in zip(both, ended, strict=True)] == [(0, "")] * 2
    assert len(results(folder)) == len(plan_in(folder).jobs) == 3
    done = [re.findall(r"^job (\d) of 3", out, re.MULTILINE) for out, _ in ended]
    assert sorted([*done[0], *done[1]]) == list("123")
    assert states(folder) == ["COMPLETE"] * 3


PRUNING = (
    "optimizer.lr=tag(log,interval(1e-6,0.1))",
    "sweep.trials=8",
    "trainer.max_epochs=20",
    "sweep.sampler=random",
)


@pytest.fixture(scope="module")
def with_pruned(forks: Forks, empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run a search that prunes, once; return its folder and output."""
    folder = tmp_path_factory.mktemp("pruned")
    ready(folder, empty_database)
    ended = run_in(forks, folder, *SEARCH, *PRUNING, "sweep.prune=asha", "sweep.batch=1", *SHOWN)
    assert (ended.code, ended.err) == (0, "")
    return folder, ended.out


def test_a_pruned_run_has_a_state_of_its_own(with_pruned: tuple[Path, str]) -> None:
    folder, out = with_pruned
    runs = runs_in(folder)
    ended_early = pruned(runs)
    assert 1 <= len(ended_early) <= 7
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        is_early = run in ended_early
        assert (epochs(run) < 20) == is_early
        assert ("test_loss" in run.data.metrics) != is_early
        assert run.data.tags["stopped"].startswith("pruned: val_loss is " if is_early else "max_epochs=")
    assert sorted(states(folder)) == sorted(["PRUNED"] * len(ended_early) + ["COMPLETE"] * (8 - len(ended_early)))
    # The trial has a value for each epoch of its run.
    by_rate = {float(run.data.params["optimizer.lr"]): run for run in runs}
    for trial in trials(folder):
        assert len(trial.intermediate_values) == epochs(by_rate[trial.params["optimizer.lr"]])
    assert f"{8 - len(ended_early)} of 8 runs finished, {len(ended_early)} pruned\n" in out
    assert "Continue" not in out
    assert f"{len(ended_early)} configurations pruned" in out
    best = min(run.data.metrics["kept_val_loss"] for run in runs if run not in ended_early)
    assert board(out)[1][0][1] == f"{best:.4f}"


def test_pruned_runs_are_listed_as_such_and_never_chosen(with_pruned: tuple[Path, str], forks: Forks) -> None:
    folder, _ = with_pruned
    early = pruned(runs_in(folder))
    listed = run_in(forks, folder, "sweep").out.splitlines()
    assert listed[0].split()[2:6] == ["done", "pruned", "failed", "left"]
    assert listed[1].split()[3:7] == [str(8 - len(early)), str(len(early)), "0", "0"]
    compared = run_in(forks, folder, "compare", "sweep=latest", "output=null").out
    assert compared.count("PRUNED") == len(early)
    names = {run.info.run_id for run in early}
    whole = [run for run in runs_in(folder) if run.info.run_id not in names]
    best = min(whole, key=lambda run: run.data.metrics["kept_val_loss"])
    for run, expected in (("best", best), ("latest", whole[-1])):
        chosen = run_in(forks, folder, "register", f"run={run}", "sweep=latest", f"name={run}")
        assert chosen.code == 0, chosen.err
        (version,) = mlflow.MlflowClient(database_uri(folder / "mlruns")).search_model_versions(f"name='{run}'")
        assert version.run_id == expected.info.run_id
    name = f"run {early[0].info.run_name} ({early[0].info.run_id})"
    words = early[0].data.tags["lifecycle.overrides"]
    for command, message in (
        (
            "register name=early",
            f"{name} was pruned by its search, and saved no model. Take another run, such as run=best.",
        ),
        ("resume", f"{name} was pruned by its search. To run it to its end: lifecycle {words}"),
        ("rerun", f"{name} was pruned by its search: it has no scores to compare with. To run it to its end:"),
    ):
        ended = run_in(forks, folder, *command.split(), f"run={early[0].info.run_id}")
        assert ended.code == 2
        assert ended.err.startswith(f"lifecycle: {message}")
    (file,) = (folder / "mlruns").rglob("leader_board.csv")
    table = pd.read_csv(file)
    assert table["pruned"].sum() == len(early)
    assert table.loc[table["pruned"], "kept_val_loss"].isna().all()
    page = file.with_name("sweep.html").read_text()
    assert f"{len(early)} pruned" in page


def test_a_pruned_run_does_not_count_as_done_in_a_grid(
    with_pruned: tuple[Path, str], forks: Forks, tmp_path: Path
) -> None:
    folder, _ = with_pruned
    early = pruned(runs_in(folder))[0]
    rate = early.data.params["optimizer.lr"]
    words = ("-m", "data=iris", f"optimizer.lr={rate},0.01", "trainer.max_epochs=20", *SHOWN)
    ended = run_in(forks, folder, *words)
    assert (ended.code, ended.err) == (0, "")
    assert "2 of 2 runs finished\n" in ended.out
    of_rate = [run for run in runs_in(folder) if run.data.params["optimizer.lr"] == rate]
    assert [("test_loss" in run.data.metrics) for run in of_rate] == [False, True]
    assert len({run.data.tags["lifecycle.signature"] for run in of_rate}) == 1


@pytest.mark.parametrize("batch", ["1", "null"])
def test_with_seeds_a_trial_is_their_mean_and_is_pruned_by_the_first(search: Command, folder: Path, batch: str) -> None:
    words = [word.replace("trials=8", "trials=6") for word in PRUNING]
    ended = search(*words, "seeds=2", "sweep.prune=asha", f"sweep.batch={batch}")
    assert (ended.code, ended.err) == (0, "")
    runs = runs_in(folder)
    by_rate: dict[float, list[Run]] = {}
    for run in runs:
        by_rate.setdefault(float(run.data.params["optimizer.lr"]), []).append(run)
    assert len(by_rate) == 6
    early = 0
    for trial in trials(folder):
        of_trial = by_rate[trial.params["optimizer.lr"]]
        if trial.state.name == "PRUNED":
            early += 1
            assert (
                [run.data.params["seed"] for run in pruned(of_trial)]
                == ["0"]
                == [r.data.params["seed"] for r in of_trial]
            )
        else:
            assert [run.data.params["seed"] for run in of_trial] == ["0", "1"]
            assert trial.value == np.mean([run.data.metrics["kept_val_loss"] for run in of_trial])
    assert early
    assert f"{12 - 2 * early} of 12 runs finished, {2 * early} pruned\n" in ended.out
    # At once: the first runs of all trials are a group, and so are the other runs of those that were not pruned.
    assert ("Vectorised" in ended.out) == (batch == "null")
    assert batch == "1" or f"\nVectorised {12 - early} of {12 - early} fits in 2 groups\n" in ended.out
    for run in pruned(runs):
        assert f"after epoch {epochs(run)}, worse than that of other trials" in run.data.tags["stopped"]


def test_a_batch_is_suggested_together_and_fitted_together(search: Command, folder: Path) -> None:
    words = (RATE, "model.hidden=[4],[8]", "trainer.max_epochs=3", "sweep.sampler=tpe")
    ended = search(*words, "sweep.trials=5", "sweep.batch=4")
    assert (ended.code, ended.err) == (0, "")
    started = [(trial.datetime_start, trial.datetime_complete) for trial in trials(folder)]
    assert max(start for start, _ in started[:4]) < min(end for _, end in started[:4]) < started[4][0]
    assert states(folder) == ["COMPLETE"] * 5
    runs = runs_in(folder)
    by_shape = Counter(run.data.params["model.hidden"] for run in runs[:4])
    for run in runs[:4]:
        together = by_shape[run.data.params["model.hidden"]]
        assert run.data.tags.get("lifecycle.vectorised") == (str(together) if together > 1 else None)
    assert max(by_shape.values()) > 1
    assert "lifecycle.vectorised" not in runs[4].data.tags
    # The batch is no part of the name of a search.
    more = search(*words, "sweep.trials=6", "sweep.batch=2")
    assert "6 of 6 runs finished\n" in more.out
    assert len(results(folder)) == 6


def test_a_field_is_searched_with_the_models_that_have_it_until_all_are_tried(search: Command, folder: Path) -> None:
    words = ("data=digits", "model=mlp,cnn", "model.channels=[1],[2]", "trainer.max_epochs=1", "trainer.batch_size=512")
    ended = search(*words, "sweep.trials=9", "sweep.workers=2")
    assert (ended.code, ended.err) == (0, "")
    found = {(run.data.params["model"], run.data.params.get("model.channels")) for run in runs_in(folder)}
    assert found == {("mlp", None), ("cnn", "[1]"), ("cnn", "[2]")}
    assert len(runs_in(folder)) == 3
    assert "The search ended early: all combinations were tried.\n" in ended.out
    assert "3 of 3 runs finished\n" in ended.out
    heads, rows = board(ended.out)
    assert heads[:2] == ["model", "model.channels"]
    assert {(row[0], row[1]) for row in rows} == {("mlp", "-"), ("cnn", "[1]"), ("cnn", "[2]")}


def test_a_grid_in_the_order_of_its_values(search: Command, folder: Path) -> None:
    ended = search("optimizer.lr=0.01,0.02", "model.hidden=[4],[8]", "trainer.max_epochs=1", "sweep.sampler=grid")
    assert (ended.code, ended.err) == (0, "")
    assert [job.words for job in plan_in(folder).jobs] == [
        (f"optimizer.lr={rate}", f"model.hidden={hidden}") for rate in ("0.01", "0.02") for hidden in ("[4]", "[8]")
    ]
    assert "4 of 4 runs finished\n" in ended.out


def test_several_objectives_end_with_their_front(search: Command, folder: Path) -> None:
    words = (RATE, "model.hidden=[2],[8],[32]", "trainer.max_epochs=4", "sweep.trials=6")
    ended = search(*words, "sweep.metric=[val_loss,test_accuracy]", "sweep.sampler=nsga2", "sweep.workers=2")
    assert (ended.code, ended.err) == (0, "")
    points = {
        run.data.params["optimizer.lr"]: (run.data.metrics["kept_val_loss"], -run.data.metrics["test_accuracy"])
        for run in runs_in(folder)
    }
    front = {
        rate
        for rate, own in points.items()
        if not any(other != own and other[0] <= own[0] and other[1] <= own[1] for other in points.values())
    }
    (file,) = (folder / "mlruns").rglob("leader_board.csv")
    table = pd.read_csv(file, dtype={"optimizer.lr": str})
    assert set(table.loc[table["front"], "optimizer.lr"]) == front
    heads, rows = board(ended.out)
    assert heads[2:5] == ["Pareto", "kept_val_loss", "test_accuracy"]
    assert [row[2] == "front" for row in rows] == [True] * len(front) + [False] * (6 - len(front))
    assert "the Pareto front first, then by the mean of kept_val_loss (lower is better)" in ended.out
    assert f"{len(front)} of 6 configurations are on the Pareto front" in file.with_name("sweep.html").read_text()
    study = Study(plan_in(folder), watches=True)._study
    assert [str(one.name) for one in study.directions] == ["MINIMIZE", "MAXIMIZE"]


def test_a_search_begins_with_what_earlier_runs_have_shown(process: Command, folder: Path) -> None:
    short = ("data=iris", "trainer.max_epochs=2", *SHOWN)
    process("-m", *short, "optimizer.lr=0.001,0.05,0.5", "model.hidden=[8],[4]")  # 0.5 is not in the space
    process("-m", *short, "optimizer.lr=0.02", "model.hidden=[8],[16]", "model.dropout=0.1")  # of other settings
    earlier = {run.info.run_id: run for run in runs_in(folder)}
    words = (*SEARCH, *short, RATE, "model.hidden=[8],[16]")
    ended = process(*words, "sweep.trials=1")
    assert (ended.code, ended.err) == (0, "")
    assert "Warm start with 2 earlier runs of these settings\n" in ended.out
    (new,) = [run for run in runs_in(folder) if run.info.run_id not in earlier]
    searched = [file.parent for file in (folder / "mlruns" / "sweeps").glob("*/study.journal")]
    first, second, third = Study(plans.read(searched[0]), watches=True).trials
    for trial, rate in ((first, "0.001"), (second, "0.05")):
        run = earlier[trial.user_attrs["run"]]
        assert (run.data.params["optimizer.lr"], run.data.params["model.hidden"]) == (rate, "[8]")
        assert trial.params == {"optimizer.lr": float(rate), "model.hidden": "[8]"}
        assert trial.value == run.data.metrics["kept_val_loss"]
    assert third.value == new.data.metrics["kept_val_loss"]
    assert "1 of 1 runs finished" in ended.out or "1 of 1 run finished" in ended.out


def test_after_its_minutes_a_search_starts_no_trial(search: Command, folder: Path) -> None:
    ended = search(RATE, "sweep.minutes=1e-6")
    assert (ended.code, ended.err) == (0, "")
    assert "0 of 0 runs finished\n" in ended.out
    assert plan_in(folder).jobs == ()
    more = search(RATE, "trainer.max_epochs=1", "sweep.minutes=1", "sweep.trials=1")
    assert "1 of 1 run finished\n" in more.out


def test_a_search_that_its_minutes_end_with_trials_left_has_the_exit_code_of_timeout(lifecycle: Command) -> None:
    words = (*SEARCH, "verbose=0", "sweep.minutes=1e-6")
    ended = lifecycle(*words, RATE, "sweep.trials=3", "seeds=2")
    (name,) = (file.parent.name for file in Path("mlruns").glob("sweeps/*/jobs.jsonl"))
    left = f"with 6 of 6 jobs left. lifecycle resume sweep={name} continues it."
    assert (ended.code, ended.err) == (124, f"lifecycle: sweep.minutes=1e-06 have passed, {left}\n")
    # How many trials there would be is not known.
    assert lifecycle(*words, "optimizer.lr=tag(log,interval(1e-4,0.2))").code == 0


def test_resume_refuses_what_would_make_it_another_search(lifecycle: Command) -> None:
    words = ("data=iris", "verbose=0", "sweep.minutes=1e-9")
    assert lifecycle("-m", *words, "sweep=optuna", RATE, "sweep.trials=3").code == 124
    changes = {"sampler": "random", "prune": "asha", "metric": "test_accuracy", "method": "grid", "warm_start": "false"}
    then = {"sampler": "tpe", "prune": "none", "metric": "null", "method": "optuna", "warm_start": "true"}
    for name, value in changes.items():
        ended = lifecycle("resume", "sweep=latest", f"sweep.{name}={value}")
        assert (ended.code, ended.out) == (2, "")
        problem = f"cannot be changed: the search was begun with sweep.{name}={then[name]}, got {value}."
        assert ended.err.startswith(f"lifecycle: sweep.{name} {problem} ")
        cure = "Type the command of the search with it, which begins another search."
        assert ended.err.endswith("Leave it out.\n" if name == "warm_start" else f"{cure}\n")
    same = [f"sweep.{name}={value}" for name, value in then.items()]
    assert lifecycle("resume", "sweep=latest", *same, "sweep.trials=4").err.startswith("lifecycle: sweep.minutes=1e-09")
    assert lifecycle("-m", *words, "seed=1,2").code == 124
    ended = lifecycle("resume", "sweep=latest", "sweep.method=optuna", "sweep.metric=test_accuracy")
    assert ended.err == (
        "lifecycle: sweep.method cannot be changed: the sweep was begun with sweep.method=grid, got optuna. "
        "Type the command of the sweep with it, which begins another sweep.\n"
    )
    assert lifecycle("resume", "sweep=latest", "sweep.metric=test_accuracy").code == 124


def test_a_search_in_which_nothing_improves_ends_early_and_nothing_is_left(search: Command, folder: Path) -> None:
    words = ("optimizer.lr=tag(log,interval(1e-13,1e-12))", "model.hidden=[2]", "trainer.max_epochs=1")
    words += ("sweep.trials=37", "sweep.sampler=random", "sweep.batch=35")
    ended = search(*words, "sweep.terminate=true")
    assert (ended.code, ended.err) == (0, "")
    assert "\nThe search ended early: the last trials brought nothing better.\n" in ended.out
    assert "35 of 35 runs finished\n" in ended.out
    assert "Continue" not in ended.out
    # Without the limit it goes on to its number of trials.
    more = search(*words)
    assert (more.code, more.err) == (0, "")
    assert "37 of 37 runs finished\n" in more.out


FAILS_WITHOUT_OPTUNA = """
import contextlib, importlib.util, io, json, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in ("optuna", "cmaes") else find(name)
from lifecycle.cli.main import main
words, ended = json.loads(sys.argv[1]), []
for sampler in ("tpe", "cmaes"):
    sys.argv = ["lifecycle", *words, f"sweep.sampler={sampler}"]
    with contextlib.redirect_stderr(io.StringIO()) as err:
        ended.append((main(), err.getvalue()))
assert "optuna" not in sys.modules and "torch" not in sys.modules
print(json.dumps(ended))
"""


def test_without_the_extra_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAILS_WITHOUT_OPTUNA, json.dumps([*SEARCH, RATE, "sweep.trials=2"])]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    named = ("the package optuna, which is", "the packages optuna, cmaes, which are")
    assert json.loads(ended.stdout) == [
        [2, f"lifecycle: sweep=optuna needs {which} not installed. Run pip install 'nn-lifecycle[sweep]'.\n"]
        for which in named
    ]
    assert not list(tmp_path.rglob("sweeps"))


REFUSED: dict[str, Any] = {
    "without trials": ((*SEARCH, RATE), "sweep.trials must be set in a search, or sweep.minutes"),
    "an empty space": ((*SEARCH, "sweep.trials=2"), "sweep=optuna has no setting to search"),
    "not -m": (("data=iris", "sweep=optuna", "sweep.trials=2", RATE), "Add -m"),
    "no such score": (
        (*SEARCH, RATE, "sweep.trials=2", "sweep.metric=val_mae"),
        "sweep.metric=val_mae is a score that no run logs. Scores: loss, accuracy",
    ),
    "no validation rows": (
        (*SEARCH, RATE, "sweep.trials=2", "data.val_size=0"),
        "sweep.metric=kept_val_loss is a score that no run logs: there are no validation rows. Hold some rows out: "
        "data.val_size=0.2, or choose by test_loss.",
    ),
    "nothing to prune by": (
        (*SEARCH, RATE, "sweep.trials=2", "data.val_size=0", "sweep.metric=test_loss", "sweep.prune=asha"),
        "sweep.prune=asha compares the validation scores of epochs, and there are no validation rows.",
    ),
    "an unknown method": (
        ("-m", "data=iris", RATE, "sweep=optuma"),
        "sweep=optuma is not known. Did you mean sweep=optuna?",
    ),
    "a launcher": (
        (*SEARCH, RATE, "sweep.trials=2", "hydra/launcher=joblib"),
        "hydra/launcher=joblib runs jobs that are known in advance",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_search_that_cannot_be_is_one_message_and_runs_nothing(lifecycle: Command, what: str, tmp_path: Path) -> None:
    words, message = REFUSED[what]
    ended = lifecycle(*words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not list(tmp_path.rglob("sweeps"))


FROM_PYTHON = """
import json, lifecycle
found = lifecycle.sweep(["data=iris", "optimizer.lr=tag(log,interval(1e-4,0.1))", "sweep=optuna", "sweep.trials=3",
                         "trainer.max_epochs=2", "tracking.figures=false", "verbose=0"])
print(json.dumps([found.best, list(found.frame["status"]), found.summary["rank"].tolist(), repr(found)]))
"""


def test_a_search_from_python_gives_its_trials(script: Command, folder: Path) -> None:
    ended = script(FROM_PYTHON)
    assert (ended.code, ended.err) == (0, "")
    best, status, ranks, shown = json.loads(ended.out)
    runs = sorted(runs_in(folder), key=lambda run: run.data.metrics["kept_val_loss"])
    assert best == {"optimizer.lr": runs[0].data.params["optimizer.lr"]}
    assert (status, ranks) == (["FINISHED"] * 3, [1, 2, 3])
    assert shown.endswith("3 done)")


def test_a_file_of_the_user_sets_the_options_of_a_search(lifecycle: Command, tmp_path: Path) -> None:
    (tmp_path / "conf" / "sweep").mkdir(parents=True)
    (tmp_path / "conf" / "sweep" / "mine.yaml").write_text("defaults: [optuna, _self_]\ntrials: 7\nsampler: random\n")
    shown = lifecycle("sweep=mine", "sweep.prune=asha", "--cfg", "job")
    assert (shown.code, shown.err) == (0, "")
    for line in ("method: optuna", "trials: 7", "sampler: random", "prune: asha"):
        assert f"  {line}\n" in shown.out
    assert "default, mine, optuna\n" in lifecycle("--help").out


@pytest.mark.longest
def test_ten_random_kills_of_a_search_change_nothing(
    forks: Forks, folder: Path, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = (
        *(*SEARCH, RATE, "model.hidden=[8],[4]", "model.dropout=0.2", "trainer.max_epochs=30", "sweep.trials=8"),
        *("trainer.early_stopping=false", *SHOWN),
    )
    other = tmp_path_factory.mktemp("uninterrupted")
    ready(other, empty_database)
    assert run_in(forks, other, *words).code == 0
    kill_at_random(forks, folder, words, 10, ("main", "all"))
    assert "FAILED" not in statuses(folder)
    ended = run_in(forks, folder, *words)
    assert (ended.code, ended.err) == (0, "")
    assert "8 of 8 runs finished\n" in ended.out
    assert len(plan_in(folder).jobs) == 8
    assert results(folder) == results(other)
