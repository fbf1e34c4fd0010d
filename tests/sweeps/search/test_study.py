"""The study of a search: samplers, pruners, the journal, and what of it survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from lifecycle import layout
from lifecycle.config.schema import PRUNERS, SAMPLERS, SweepConfig, TrackingConfig
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.search.space import CATEGORICAL, FLOAT, INT, Base, Dimension, Objective, Search
from lifecycle.sweeps.search.study import CONFIGURATION, RUN, STAGNANT, Study

RATE = Dimension("optimizer.lr", FLOAT, 1e-4, 0.1, log=True)
HIDDEN = Dimension("model.hidden", CATEGORICAL, choices=("[16]", "[64,32]"))
PATIENCE = Dimension("trainer.patience", INT, 1, 50)
LOSS = Objective("kept_val_loss", False, "val_loss")
ACCURACY = Objective("test_accuracy", True, "val_accuracy")


def plan(folder: Path, *objectives: Objective, seed: int = 0, epochs: int = 27, **settings: object) -> Plan:
    """Return a search that is not run."""
    record = {"config": {"seed": seed, "trainer": {"max_epochs": epochs}}}
    dimensions = (RATE, HIDDEN, PATIENCE)
    base = Base({}, tuple(one.key for one in dimensions), record, (), "", {})
    search = Search(dimensions, (base,), objectives or (LOSS,))
    own = SweepConfig(method="optuna", trials=100, **settings)  # type: ignore[arg-type]
    (folder / "sweeps" / "s").mkdir(parents=True, exist_ok=True)
    return Plan("s", "lifecycle -m", TrackingConfig(), own, 0, folder / "sweeps" / "s", (), search)


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "grid"])
def test_a_search_that_is_opened_again_goes_on_as_if_it_was_not(tmp_path: Path, sampler: str) -> None:
    """The seed of the sampler depends on the number of suggestions: with one seed the first ones would be repeated."""

    def suggested(folder: Path, restarts: bool) -> list[dict[str, str]]:
        found, study = [], Study(plan(folder, sampler=sampler))
        for at in range(12):  # some samplers begin with ten random ones
            study = Study(plan(folder, sampler=sampler)) if restarts else study
            trial, values = study.ask(at)
            study.tell(trial.number, "COMPLETE", [abs(float(values["optimizer.lr"]) - 0.01)])
            found.append(values)
        return found

    whole = suggested(tmp_path / "whole", restarts=False)
    assert len({values["optimizer.lr"] for values in whole}) == 12
    assert suggested(tmp_path / "restarted", restarts=True) == whole
    other = Study(plan(tmp_path / "other", sampler=sampler, seed=1)).ask(0)[1]
    assert other["optimizer.lr"] != whole[0]["optimizer.lr"]


def test_a_sampler_learns_and_random_values_do_not(tmp_path: Path) -> None:
    means = {}
    for sampler in ("tpe", "random"):
        study, found = Study(plan(tmp_path / sampler, sampler=sampler)), []
        for at in range(50):
            trial, values = study.ask(at)
            found.append(abs(float(values["optimizer.lr"]) - 0.09))
            study.tell(trial.number, "COMPLETE", found[-1:])
        means[sampler] = sum(found[20:]) / 30
    assert means["tpe"] < means["random"] / 2


def test_with_a_direction_the_best_trial_is_the_highest(tmp_path: Path) -> None:
    study = Study(plan(tmp_path, ACCURACY))
    for at, score in enumerate([0.2, 0.9, 0.5]):
        study.tell(study.ask(at)[0].number, "COMPLETE", [score])
    loaded = optuna.load_study(study_name="s", storage=study._study._storage)
    assert (loaded.best_trial.number, loaded.best_value) == (1, 0.9)
    several = Study(plan(tmp_path / "several", LOSS, ACCURACY, sampler="nsga2"))
    for at, scores in enumerate([(0.1, 0.5), (0.2, 0.9), (0.3, 0.4)]):
        several.tell(several.ask(at)[0].number, "COMPLETE", scores)
    assert {trial.number for trial in several._study.best_trials} == {0, 1}


@pytest.mark.parametrize("pruner", [name for name in PRUNERS if name != "none"])
def test_a_bad_trial_is_pruned_and_a_good_one_is_not(tmp_path: Path, pruner: str) -> None:
    study = Study(plan(tmp_path, prune=pruner))

    def epochs_of(number: int, level: float) -> int:
        """Report a loss per epoch from another process's view of the study; return the epochs that were fitted."""
        trial, _ = study.ask(number)
        trial.set_user_attr(CONFIGURATION, f"c{number}")
        watched = Study(plan(tmp_path, prune=pruner), watches=True).open_trial(f"c{number}")
        assert watched is not None
        for epoch in range(1, 28):
            if watched.report(epoch, level + 1 / epoch):
                study.tell(trial.number, "PRUNED")
                return epoch
        study.tell(trial.number, "COMPLETE", [level])
        return 27

    fitted = [epochs_of(number, 0.1) for number in range(12)]
    bad = [epochs_of(12 + number, 10 + number) for number in range(6)]
    assert 27 in fitted[:3]
    assert max(bad) < 27 if pruner != "hyperband" else min(bad) < 27  # one of its brackets prunes nothing
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}


def test_the_search_ends_once_nothing_is_better(tmp_path: Path) -> None:
    study = Study(plan(tmp_path))
    values = {"optimizer.lr": "0.01", "model.hidden": "[16]", "trainer.patience": "7"}
    for at in range(STAGNANT + 5):
        # Earlier runs are no trials of the search, neither as the best nor as those that brought nothing.
        study.add(values, [0.0 if at % 2 else 9.0], **{RUN: str(at)})

    def complete(at: int, score: float) -> None:
        trial, _ = study.ask(at)
        trial.set_user_attr(CONFIGURATION, str(at))
        study.tell(trial.number, "COMPLETE", [score])

    for at in range(6):
        complete(at, 1 / (at + 1))
    for at in range(STAGNANT):
        assert not study.has_stagnated()
        complete(6 + at, 5.0)
    assert study.has_stagnated()
    complete(99, 0.01)
    assert not study.has_stagnated()


def test_a_trial_that_waits_is_the_next_one_with_its_values(tmp_path: Path) -> None:
    study, values = (
        Study(plan(tmp_path)),
        {"optimizer.lr": "0.012345678901234567", "model.hidden": "[16]", "trainer.patience": "7"},
    )
    study.wait(values, configuration="c")
    trial, found = study.ask(0)
    assert found == {**values, "optimizer.lr": repr(float(values["optimizer.lr"]))}
    assert trial.user_attrs == {CONFIGURATION: "c"}
    study.add(values, [0.5], run="r")
    study.add(values, None)
    assert states(study) == ["RUNNING", "COMPLETE", "PRUNED"]
    study.tell(1, "FAIL")  # it has ended, and stays so
    assert states(study) == ["RUNNING", "COMPLETE", "PRUNED"]


def test_a_resumed_trial_has_the_epochs_of_the_attempt_that_was_killed(tmp_path: Path) -> None:
    study, own = Study(plan(tmp_path, prune="median")), replace(plan(tmp_path, prune="median"))
    first, values = study.ask(0)
    first.set_user_attr(CONFIGURATION, "c")
    watched = Study(own, watches=True).open_trial("c")
    assert watched is not None
    for epoch in (1, 2, 3):
        watched.report(epoch, 1 / epoch)
    study.tell(first.number, "FAIL")
    assert Study(own, watches=True).open_trial("c") is None
    study.wait(values, configuration="c")
    again, _ = study.ask(1)
    watched = Study(own, watches=True).open_trial("c")
    assert watched is not None
    watched.report(3, 1 / 3)  # of its checkpoint after epoch 2
    watched.report(4, 1 / 4)
    assert study.trials[again.number].intermediate_values == {1: 1.0, 2: 0.5, 3: 1 / 3, 4: 0.25}


HOLDS_THE_LOCK = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1]); lock.acquire(); print("held", flush=True); time.sleep(600)
"""


def test_a_process_that_is_killed_within_the_journal_does_not_lock_it(tmp_path: Path) -> None:
    study = Study(plan(tmp_path))
    lock = tmp_path / "sweeps" / "s" / f"{layout.STUDY}.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_LOCK, str(lock)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        os.kill(other.pid, signal.SIGKILL)
    study.ask(0)
    assert states(study) == ["RUNNING"]
