"""Plans of sweeps: composed as single runs are, signed by all that results depend on, stored, and found by name."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lifecycle import registry
from lifecycle.config.compose import compose
from lifecycle.config.records import request_record
from lifecycle.config.request import SweepJob
from lifecycle.config.schema import TrackingConfig
from lifecycle.config.search_path import hydra_ready
from lifecycle.contract import Fold
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import Interrupted, RequestError
from lifecycle.runtime.signals import signals_raise
from lifecycle.sweeps import grid, planning, run
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.execute import ELSEWHERE, execute, lock_of
from lifecycle.sweeps.plan import Plan
from lifecycle.tracking import sweep_runs
from tests.packages import Site, fresh_site

site = pytest.fixture(fresh_site, name="site")

Make = Callable[..., Plan]


class Hydra:
    """Composes with Hydra, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, words: list[str]) -> Any:
        self.asked.append(words)
        return hydra.compose("config", words, return_hydra_config=True)


@pytest.fixture
def composing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hydra]:
    monkeypatch.chdir(tmp_path)
    with hydra_ready():
        yield Hydra()


@pytest.fixture
def make(composing: Hydra) -> Make:
    """Plan the jobs of swept words, as a multirun does."""

    def make(*words: str) -> Plan:
        parsed = OverridesParser.create().parse_overrides(list(words))
        return planning.plan(grid.combinations(parsed), composing, "lifecycle -m")

    return make


def without_command(record: Any) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "command"}


CLASSES = "{setosa: 1, versicolor: 2, virginica: 3}"
FIELDS = {
    "optimizer.lr": ["0.1", "0.01", "1e-3"],
    "model.hidden": ["[16]", "[64,32]", "[]"],
    "seed": ["0", "7", "4294967295"],
    "data.test_size": ["0.1", "30", "0"],
    "data.drop": ["[sepal_length]", "[]", "[sepal_width,sepal_length]"],
    "data.note": ["'a, (b)=c'", "plain", "'it\\'s'", "'null'", "''"],
    "data.split_seed": ["null", "5", "null", "0"],
    "trainer.batch_size": ["null", "16"],
    "metrics": ["null", "[accuracy]", "[accuracy,f1]"],
    "class_weights": ["null", "balanced", CLASSES, "null"],
    "tracking.run_name": ["null", "mine", "'1'", "1"],
    "trainer.early_stopping": ["true", "False", "0"],
    "cv.folds": ["3"],
    "cv.fold": ["0", "2"],
    "++optimizer.weight_decay": ["0.1"],
}
SETS: dict[str, list[list[str]]] = {
    "fields": [[f"{key}={values[at % len(values)]}" for key, values in FIELDS.items()] for at in range(5)],
    "a mapping": [["cv={folds: 3, fold: 1}"], ["cv={folds: 4, fold: 1}"]],
    "models": [["model=mlp", "seed=1"], ["model=mlp", "seed=2"], ["model=cnn", "seed=2"], ["model=cnn", "seed=3"]],
    "data": [["data=iris", "seed=1"], ["data=wine", "seed=1"], ["data=wine", "seed=2"], ["data=iris", "seed=2"]],
    "optimizers": [
        ["optimizer=sgd", "optimizer.momentum=0.5"],
        ["optimizer=sgd", "optimizer.momentum=0.9"],
        ["optimizer=rmsprop", "optimizer.momentum=0.9"],
    ],
    "other keys": [
        ["optimizer.lr=0.1"],
        ["optimizer.weight_decay=0.1"],
        ["seed=1", "optimizer.lr=0.2"],
    ],
    "forced": [["++optimizer.lr=0.1"], ["++optimizer.lr=0.2"]],
    "interpolations": [
        ["seed=3", "data.split_seed=${seed}"],
        ["seed=4", "data.split_seed=${seed}"],
        ["seed=4", "data.split_seed=5"],
    ],
    "experiments": [["+experiment=iris", "seed=1"], ["+experiment=iris", "seed=2"], ["+experiment=pima", "seed=2"]],
}


@pytest.mark.parametrize("jobs", SETS.values(), ids=SETS)
def test_a_job_that_is_set_in_a_copy_is_the_one_that_hydra_composes(jobs: list[list[str]], composing: Hydra) -> None:
    found = planning.composed(jobs, composing, "lifecycle")
    for words, request in zip(jobs, found, strict=True):
        whole = compose(words)
        assert without_command(request_record.record_of(request)) == without_command(request_record.record_of(whole))
        assert (request.choices, request.overrides) == (whole.choices, whole.overrides)
        assert (request.expressions, request.run_name) == (whole.expressions, whole.run_name)
        assert request.config == whole.config


def test_a_mapping_replaces_that_of_the_job_before(composing: Hydra) -> None:
    jobs = [["class_weights={a: 1, b: 2}"], ["class_weights={c: 3}"], ["class_weights={a: 4}"]]
    found = planning.composed(jobs, composing, "lifecycle")
    assert [request.recorded["class_weights"] for request in found] == [{"a": 1, "b": 2}, {"c": 3}, {"a": 4}]
    assert [compose(words).recorded["class_weights"] for words in jobs] == [{"a": 1, "b": 2}, {"c": 3}, {"a": 4}]


def test_a_field_set_twice_has_the_last_value(composing: Hydra) -> None:
    jobs = [["cv={folds: 3, repeats: 2}", "cv.repeats=4"], ["cv={folds: 5, repeats: 3}", "cv.repeats=4"]]
    found = planning.composed(jobs, composing, "lifecycle")
    assert [request.config.cv.repeats for request in found] == [compose(words).config.cv.repeats for words in jobs]


def test_hydra_composes_only_where_more_than_plain_values_differ(composing: Hydra) -> None:
    jobs = [[f"model={model}", f"seed={seed}"] for model, seed in itertools.product(("mlp", "sequential"), range(5))]
    planning.composed(jobs, composing, "lifecycle")
    assert composing.asked == [["model=mlp", "seed=0"], ["model=sequential", "seed=0"]]


@pytest.mark.parametrize("word", ["optimizer.lr=abc", "seed=null"])
def test_a_value_of_a_wrong_type_is_refused_as_in_a_single_run(word: str, composing: Hydra) -> None:
    key = word.partition("=")[0]
    with pytest.raises(RequestError) as alone:
        compose([word])
    with pytest.raises(RequestError) as swept:
        planning.composed([[f"{key}=1"], [word]], composing, "lifecycle")
    assert str(swept.value) == str(alone.value)


def test_a_signal_while_jobs_are_composed_ends_with_the_command(
    composing: Hydra, capsys: pytest.CaptureFixture[str]
) -> None:
    def compose(words: list[str]) -> Any:
        if "data=wine" in words:
            os.kill(os.getpid(), signal.SIGINT)
        return composing(words)

    parsed = OverridesParser.create().parse_overrides(["data=iris,wine", "seed=1,2"])
    with pytest.raises(Interrupted), signals_raise():
        run.planned(parsed, compose, "lifecycle -m data=iris,wine seed=1,2", composing(["data=iris"]))
    said = "no job was started, since not all were composed. Run again: lifecycle -m data=iris,wine seed=1,2"
    assert capsys.readouterr().err == f"lifecycle: {said}\n"


def test_jobs_are_numbered_and_say_what_differs(make: Make) -> None:
    found = make("data=iris", "optimizer.lr=0.1,0.01", "seed=1,2")
    assert [job.number for job in found.jobs] == [0, 1, 2, 3]
    assert [job.words for job in found.jobs] == [
        (f"optimizer.lr={lr}", f"seed={seed}") for lr in ("0.1", "0.01") for seed in (1, 2)
    ]
    assert [job.record["config"]["optimizer"]["lr"] for job in found.jobs] == [0.1, 0.1, 0.01, 0.01]
    assert [job.record["config"]["seed"] for job in found.jobs] == [1, 2, 1, 2]
    first, second, third, _ = found.jobs
    assert first.configuration == second.configuration != third.configuration
    assert len({job.signature for job in found.jobs}) == 4


def test_seeds_and_folds_are_words_of_a_job(make: Make) -> None:
    found = make("optimizer.lr=0.1,0.01", "cv.folds=2", "cv.repeats=2", "seeds=2", "data=iris")
    expected = itertools.product(("0.1", "0.01"), range(2), range(2), range(2))
    assert [job.words for job in found.jobs] == [
        (f"optimizer.lr={lr}", f"seed={seed}", f"cv.repeat={repeat}", f"cv.fold={fold}")
        for lr, seed, repeat, fold in expected
    ]
    assert found.jobs[3].varied == {"seed": 0, "repeat": 1, "fold": 1}
    assert len({job.configuration for job in found.jobs}) == 2
    assert {job.record["config"]["data"]["split_seed"] for job in found.jobs} == {0}


def test_the_same_job_twice_is_one_job(make: Make) -> None:
    found = make("seed=1,2,1", "optimizer.lr=0.1,0.10")
    assert [(job.number, job.words) for job in found.jobs] == [
        (0, ("seed=1",)),
        (1, ("seed=2",)),
    ]
    assert make("seed=1,2", "optimizer.lr=0.1").name == found.name


def test_a_job_that_cannot_be_met_is_planned_and_the_others_too(make: Make) -> None:
    found = make("optimizer.lr=0.1,-1", "data=iris")
    assert [job.words for job in found.jobs] == [("optimizer.lr=0.1",), ("optimizer.lr=-1",)]
    assert len({job.signature for job in found.jobs}) == 2
    assert found.jobs[1].record["config"]["optimizer"]["lr"] == -1
    missing = make("data=table", "data.target=y", "data.path=none.csv,nowhere.csv")
    assert len({job.signature for job in missing.jobs}) == 2


def rows(classes: Sequence[Any] = ("a", "b"), times: int = 10) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    labels = [*classes] * times
    return pd.DataFrame({"x": generator.normal(size=len(labels)), "y": labels})


TABLE = ("data=table", "data.path=rows.csv", "data.target=y")


def test_more_folds_than_rows_of_a_class_are_refused_before_any_job(make: Make, composing: Hydra) -> None:
    pd.concat([rows(), pd.DataFrame({"x": [0.0] * 3, "y": ["rare"] * 3})]).to_csv("rows.csv", index=False)
    sentence = "cv.folds=5 is more than the 3 samples of class rare. Use at most 3. Or add data.split=random."
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        make(*TABLE, "cv.folds=5", "seed=1,2")
    assert not Path("mlruns").exists()
    with pytest.raises(RequestError, match=r"^cv\.folds=51 is more than the 50 samples of class "):
        make("data=iris", "cv.folds=51")
    rows(range(6), times=1).to_csv("rows.csv", index=False)
    with pytest.raises(RequestError, match=r"^cv\.folds=7 is more than the 6 samples\. Use at most 6\.$"):
        make(*TABLE, "data.task=regression", "cv.folds=7")


def test_folds_of_fixed_test_rows_are_refused_before_any_job(make: Make) -> None:
    sentence = (
        "data.test_rows=last fixes the test rows, and in cross-validation each row is a test row once. "
        "Leave out cv.folds, or use data.test_rows=random."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        make("data=iris", "data.test_rows=last", "cv.folds=5")


@pytest.mark.parametrize("words", [("seed=1,2",), ("seeds=2",), ("cv.folds=3",)])
def test_several_devices_are_refused_before_any_job(make: Make, words: tuple[str, ...]) -> None:
    with pytest.raises(RequestError, match=r"^trainer\.devices=2 cannot be used in a multirun: "):
        make("data=iris", "trainer.devices=2", *words)
    assert not Path("mlruns").exists()


def test_folds_of_rows_that_cannot_be_read_are_refused_before_any_job(make: Make) -> None:
    with pytest.raises(RequestError, match=r"rows\.csv"):
        make(*TABLE, "cv.folds=5")


def test_every_fold_is_checked_before_any_job(make: Make) -> None:
    generator = np.random.default_rng(0)
    labels = [*"ab"] * 30 + ["rare"] * 3
    frame = pd.DataFrame({"x": generator.normal(size=len(labels)), "y": labels})
    frame.to_csv("rows.csv", index=False)
    words = ("data.val_size=12", "cv.folds=2")
    refused = []
    for fold in range(2):
        try:
            load(Table(path="rows.csv", target="y", val_size=12), "mine", "table", 0, fold=Fold(fold, 2))
        except RequestError as error:
            refused.append(str(error))
    assert len(refused) == 1  # one fold of two is impossible
    with pytest.raises(RequestError, match=f"^{re.escape(refused[0])}$"):
        make(*TABLE, *words)


def signature(make: Make, *words: str) -> str:
    (job,) = make(*words).jobs
    return job.signature


CHANGES = {
    "optimizer.lr": "0.5",
    "model.hidden": "[8]",
    "trainer.max_epochs": "7",
    "seed": "1",
    "data.split_seed": "0",
    "data.val_size": "0.25",
    "loss": "focal",
    "class_weights": "balanced",
    "metrics": "[accuracy]",
    "cv": "{folds: 3, fold: 0}",
}
BEFORE = {"optimizer.lr": "0.1", "model.hidden": "[4]", "trainer.max_epochs": "5", "seed": "0", "data.val_size": "0.2"}
NO_CHANGES = {
    "verbose": "0",
    "tracking.dir": "elsewhere",
    "tracking.experiment": "other",
    "tracking.run_name": "mine",
    "tracking.figures": "false",
    "profile": "true",
    "audit": "strict",
    "sweep.workers": "2",
    "sweep.retries": "5",
    "sweep.metric": "test_accuracy",
}


def signatures(composing: Hydra, changes: dict[str, str], before: dict[str, str]) -> list[str]:
    """Return the signature of a job as it is, and with each of these values."""
    jobs = [before, *(before | {key: value} for key, value in changes.items())]
    words = [[f"{key}={value}" for key, value in job.items()] for job in jobs]
    return [planning.plan([one], composing, "lifecycle").jobs[0].signature for one in words]


def test_whatever_results_depend_on_changes_the_signature(composing: Hydra) -> None:
    found = signatures(composing, CHANGES, dict.fromkeys(CHANGES, "null") | {"cv": "{folds: null}"} | BEFORE)
    groups = {"optimizer": "sgd", "schedule": "cosine", "data": "wine", "model": "sequential"}
    found += signatures(
        composing, groups, {"optimizer": "adam", "schedule": "constant", "data": "iris", "model": "mlp"}
    )
    assert len(set(found)) == len(found) == 1 + len(CHANGES) + 1 + len(groups)


def test_what_no_result_depends_on_leaves_the_signature(composing: Hydra) -> None:
    before = dict.fromkeys(NO_CHANGES, "null") | {
        "verbose": "1",
        "tracking.dir": "mlruns",
        "profile": "false",
        "audit": "on",
    }
    before |= {"tracking.experiment": "mine", "tracking.figures": "true", "sweep.workers": "1", "sweep.retries": "1"}
    assert len(set(signatures(composing, NO_CHANGES, before))) == 1


def test_each_fold_and_repetition_has_its_signature(make: Make) -> None:
    found = make("data=iris", "cv.folds=3", "cv.repeats=2", "seeds=2")
    assert len({job.signature for job in found.jobs}) == 12
    assert len({job.configuration for job in found.jobs}) == 1


def test_more_repetitions_leave_the_signatures_of_the_first(make: Make) -> None:
    once, twice = make("data=iris", "cv.folds=3"), make("data=iris", "cv.folds=3", "cv.repeats=2")
    assert {job.signature for job in once.jobs} <= {job.signature for job in twice.jobs}


def test_a_job_has_the_signature_of_the_same_job_in_another_sweep(make: Make) -> None:
    alone, among = signature(make, "data=iris", "seed=2"), make("seed=1,2,3", "data=iris")
    assert alone == among.jobs[1].signature
    assert among.jobs[1].configuration == make("data=iris", "seed=9").jobs[0].configuration


def test_the_contents_of_the_data_change_the_signature(make: Make) -> None:
    frame = rows()
    frame.to_csv("rows.csv", index=False)
    before = signature(make, *TABLE)
    os.utime("rows.csv", (0, 0))
    assert signature(make, *TABLE) == before  # the time of a file is not its contents
    frame.loc[3, "x"] += 1
    frame.to_csv("rows.csv", index=False)
    changed = signature(make, *TABLE)
    assert changed != before
    rows().to_csv("rows.csv", index=False)
    assert signature(make, *TABLE) == before


def test_the_source_of_a_plugin_changes_the_signature(make: Make, site: Site) -> None:
    module = site.install("acme", {"my_net": "Net"})
    before, built_in = signature(make, "model=my_net"), signature(make, "model=mlp")
    assert signature(make, "model=my_net") == before
    file = site.folder / f"{module}.py"
    file.write_text(f"{file.read_text()}\n# Changed.\n")
    registry._loaded.clear()
    del sys.modules[module]
    importlib.invalidate_caches()
    changed = signature(make, "model=my_net")
    assert changed != before
    assert signature(make, "model=mlp") == built_in


def test_the_version_of_a_plugins_package_changes_the_signature(make: Make, site: Site) -> None:
    site.install("acme", {"my_net": "Net"})
    before = signature(make, "model=my_net")
    info = site.folder / "acme-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.1\n")
    info.rename(site.folder / "acme-1.1.dist-info")
    importlib.invalidate_caches()
    assert signature(make, "model=my_net") != before


def test_the_name_of_a_sweep_is_that_of_its_jobs_in_any_order(make: Make) -> None:
    name = make("data=iris", "seed=1,2", "optimizer.lr=0.1,0.2").name
    assert make("optimizer.lr=0.2,0.1", "seed=2,1", "verbose=0").name == name
    assert make("optimizer.lr=0.2,0.1", "seed=2,1,3").name != name
    assert make("optimizer.lr=0.2,0.1", "seed=2").name != name
    assert re.fullmatch(r"[0-9a-f]{10}", name)


def test_a_stored_plan_is_read_as_it_was(make: Make, tmp_path: Path) -> None:
    words = ("seed=1,2", "cv.folds=2", "data=iris", "sweep.workers=2", "sweep.minutes=1.5", "tracking.experiment=mine")
    plan = make(*words, f"class_weights={CLASSES}", "data.note='ä \"b\"'", "verbose=0")
    plans.write(plan)
    found = plans.read(plan.folder)
    assert found == plan
    assert plan.folder == tmp_path / "mlruns" / "sweeps" / plan.name
    assert (found.place, found.settings.workers, found.verbose) == (tmp_path / "mlruns", 2, 0)
    assert [file.name for file in plan.folder.iterdir()] == ["jobs.jsonl"]
    assert len((plan.folder / "jobs.jsonl").read_text().splitlines()) == 1 + len(plan.jobs)
    plans.write(plan)
    assert plans.read(plan.folder) == plan


def test_a_stored_job_is_the_request_that_was_composed(make: Make, tmp_path: Path) -> None:
    plan = make("optimizer.lr=0.1,0.2", "cv.folds=2", "data=iris", "model.hidden=[4,4]")
    plans.write(plan)
    Path("conf").mkdir()  # what is in there later changes nothing
    job = plans.read(plan.folder).jobs[3]
    request = job.request(plans.read(plan.folder), attempt=2)
    whole = compose(["optimizer.lr=0.2", "cv.folds=2", "cv.fold=1", "data=iris", "model.hidden=[4,4]"])
    assert request.recorded == whole.recorded
    assert (request.choices, request.run_name) == (whole.choices, "mlp-iris-0-fold1-lr=0.2")
    alone = ("optimizer.lr=0.2", "cv.folds=2", "data=iris", "model.hidden=[4,4]", "cv.fold=1", "cv.repeat=0")
    assert (request.overrides, request.command) == (alone, "lifecycle -m")
    assert request.sweep == SweepJob(
        plan.name, 3, job.signature, job.configuration, job.data, 2, ("optimizer.lr=0.2", "cv.fold=1")
    )


def damage(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def apply(file: Path) -> None:
        file.write_text("\n".join(change(file.read_text().splitlines())) + "\n")

    return apply


def other_format(lines: list[str]) -> list[str]:
    return [json.dumps(json.loads(lines[0]) | {"format": 9}), *lines[1:]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (damage(lambda lines: []), "has no readable jobs.jsonl in "),
        (damage(lambda lines: [*lines[:-1], lines[-1][:50]]), "has no readable jobs.jsonl in "),
        (damage(lambda lines: ["{}", *lines[1:]]), "has no readable jobs.jsonl in "),
        (damage(lambda lines: ["[1]", *lines[1:]]), "has no readable jobs.jsonl in "),
        (damage(lambda lines: [*lines, '{"number": 7, "words": []}']), "has no readable jobs.jsonl in "),
        (damage(other_format), "is recorded in format 9, and this version reads 1. Update nn-lifecycle."),
        (Path.unlink, "has no readable jobs.jsonl in "),
    ],
)
def test_a_plan_that_cannot_be_read_is_refused(make: Make, change: Callable[[Path], None], sentence: str) -> None:
    plan = make("seed=1,2")
    plans.write(plan)
    change(plan.folder / "jobs.jsonl")
    with pytest.raises(RequestError, match=f"^sweep={plan.name} {re.escape(sentence)}"):
        plans.read(plan.folder)


HERE = TrackingConfig()


def test_a_sweep_is_found_by_its_name_its_beginning_and_as_the_latest(make: Make) -> None:
    first, second = make("seed=1,2"), make("seed=3,4")
    plans.write(first)
    plans.write(second)
    later = (second.folder / "jobs.jsonl").stat().st_mtime_ns + 10**9
    os.utime(second.folder / "jobs.jsonl", ns=(later, later))
    assert plans.find(HERE, first.name) == first
    assert first.name[:4] != second.name[:4]
    assert plans.find(HERE, first.name[:4]) == first
    assert plans.find(HERE, "latest") == second
    plans.write(first)  # typed again
    os.utime(first.folder / "jobs.jsonl", ns=(later + 10**9, later + 10**9))
    assert plans.find(HERE, "latest") == first


def test_an_unknown_or_ambiguous_name_is_refused_with_the_names(make: Make, tmp_path: Path) -> None:
    for name in ("latest", "abc", ""):
        with pytest.raises(RequestError, match=rf"^sweep={name} is no sweep\. Sweeps in mlruns: none yet\.$"):
            plans.find(HERE, name)
    plan = make("seed=1,2")
    plans.write(plan)
    for at, name in enumerate(("abcd111111", "abcd222222", "abcd")):
        plan.folder.rename(tmp_path / "mlruns" / "sweeps" / name)
        plans.write(plan)
        os.utime(tmp_path / "mlruns" / "sweeps" / name / "jobs.jsonl", ns=(at, at))
    assert plans.find(HERE, "abcd").folder.name == "abcd"  # a whole name, though others begin with it
    with pytest.raises(RequestError) as ambiguous:
        plans.find(HERE, "abc")
    listed = "Sweeps in mlruns: abcd, abcd222222, abcd111111."
    assert str(ambiguous.value) == f"sweep=abc begins the names of several sweeps. {listed}"
    with pytest.raises(RequestError) as unknown:
        plans.find(HERE, "abcd22222x")
    assert str(unknown.value).startswith("sweep=abcd22222x is no sweep. Did you mean ")
    assert f"Sweeps in mlruns: {plan.name}, abcd, abcd222222, abcd111111." in str(unknown.value)
    with pytest.raises(RequestError, match=r"^sweep= is no sweep\. Sweeps in mlruns: "):
        plans.find(HERE, "")


def test_the_command_that_continues_names_the_folder_where_it_is_another(make: Make) -> None:
    plan = make("seed=1,2")
    assert plan.to_continue == f"lifecycle resume sweep={plan.name}"
    elsewhere = make("seed=1,2", "tracking.dir=other/runs")
    assert elsewhere.to_continue == f"lifecycle resume sweep={plan.name} tracking.dir=other/runs"


def test_secrets_are_in_no_stored_plan(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hunter22")
    plan = make("data.source='https://me:${oc.env:PASSWORD}@host'", "seed=1,2", "data=iris")
    plans.write(plan)
    assert "hunter22" not in (plan.folder / "jobs.jsonl").read_text()


def test_words_that_all_jobs_share_are_left_out() -> None:
    assert plans.differing([["a=1", "b=2"], ["a=1", "b=3"]]) == [("b=2",), ("b=3",)]
    assert plans.differing([["a=1", "b=2"]]) == [()]
    assert plans.differing([["a=1"], ["a=1"]]) == [(), ()]
    assert plans.differing([]) == []


def test_a_plan_survives_its_dictionary(make: Make) -> None:
    """NaN and infinity, which JSON has no word for, are of no field; all numbers are read as they were."""
    plan = make("optimizer.lr=1e-300,0.1,0.30000000000000004")
    plans.write(plan)
    found = [job.record["config"]["optimizer"]["lr"] for job in plans.read(plan.folder).jobs]
    assert found == [1e-300, 0.1, 0.30000000000000004]
    assert all(map(math.isfinite, found))
    assert asdict(plans.read(plan.folder)) | {"started": 0.0} == asdict(plan)


def test_jobs_keep_the_numbers_that_workers_of_another_terminal_use(make: Make) -> None:
    first = run.stored(make("seed=1,2,3", "data=iris", "verbose=0"))
    again = run.stored(make("seed=3,1,2", "data=iris", "verbose=1"))
    assert again.name == first.name
    assert [job.record["config"]["seed"] for job in again.jobs] == [1, 2, 3]
    assert [job.number for job in again.jobs] == [0, 1, 2]
    assert plans.read(first.folder) == again
    assert (again.verbose, again.jobs[0].record["config"]["verbose"]) == (1, 1)
    # A file that cannot be read is replaced.
    (first.folder / "jobs.jsonl").write_text("")
    third = run.stored(make("seed=3,1,2", "data=iris"))
    assert [job.record["config"]["seed"] for job in third.jobs] == [3, 1, 2]
    assert plans.read(first.folder) == third


def test_several_processes_may_store_a_sweep_at_once(make: Make) -> None:
    found = [make(f"seed={seeds}", "data=iris") for seeds in ("1,2", "2,1")]
    with ThreadPoolExecutor(8) as threads:
        all_stored = list(threads.map(run.stored, found * 40))
    orders = {tuple(job.record["config"]["seed"] for job in one.jobs) for one in all_stored}
    assert len(orders) == 1
    assert not list(found[0].folder.glob(".*.part"))


def test_a_job_of_two_sweeps_is_run_by_one_process(make: Make) -> None:
    one, other = (run.stored(make(f"seed={seeds}", "data=iris", "data.split_seed=0")) for seeds in ("1,2", "2,3"))
    shared = one.jobs[1]
    assert (other.jobs[0].signature, one.name == other.name) == (shared.signature, False)
    with lock_of(one, shared):
        assert execute(other, other.jobs[0]) == ELSEWHERE
    # Runs of another experiment do not count.
    another = replace(one, tracking=replace(one.tracking, experiment="another"))
    assert lock_of(another, shared).lock_file != lock_of(one, shared).lock_file
    assert sorted(sweep_runs.names(one.place)) == sorted([one.name, other.name])
