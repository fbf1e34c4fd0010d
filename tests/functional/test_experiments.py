"""The worked examples: each preset is the tutorial's network and recipe, runs, and its table is what was measured."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from lifecycle.config.compose import compose
from lifecycle.config.resolve import resolve
from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec
from lifecycle.define.network import define
from lifecycle.define.summary import summarize
from tests.conftest import QUICK, Command, artifacts, ready

Runs = Callable[[], list[mlflow.entities.Run]]
ROOT = Path(__file__).parents[2]
PRESETS = sorted(file.stem for file in (ROOT / "conf" / "experiment").glob("*.yaml"))
SPECS = {
    "pima": DataSpec(BINARY, (8,), 1),
    "ionosphere": DataSpec(BINARY, (34,), 1),
    "iris": DataSpec(MULTICLASS, (4,), 3),
    "boston_housing": DataSpec(REGRESSION, (13,), 1),
    "mnist": DataSpec(MULTICLASS, (1, 28, 28), 10),
    "car_sales": DataSpec(REGRESSION, (5, 1), 1),
    "sequence": DataSpec(REGRESSION, (1, 1), 1),
    "learning_curves": DataSpec(BINARY, (20,), 1),
}
KERAS_PARAMETERS = {
    "pima": 121,
    "ionosphere": 447,
    "iris": 165,
    "boston_housing": 237,
    "mnist": 542_230,
    "car_sales": 48_451,
    "sequence": 491 + 40,  # nn.LSTM has a second bias of four times ten
    "learning_curves": 221,
}
"""Counted by hand from the tutorials' layers, as Keras's summary() prints them."""


def benchmark(name: str) -> Any:
    """Return a module of ``benchmarks``, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


worked_examples, choose_presets = benchmark("worked_examples"), benchmark("choose_presets")
KEPT = {"pima_best", "mnist_best", "car_sales_best"}
"""Presets that reach their aims as they were; choose_presets.py does not choose them again."""


@pytest.mark.parametrize("name", KERAS_PARAMETERS)
def test_a_plain_preset_has_the_network_of_the_tutorial(name: str) -> None:
    job = resolve(compose([f"+experiment={name}"]))
    network = define(job.model, job.model_name, SPECS[name], seed=0)
    assert sum(layer.num_params for layer in summarize(network, SPECS[name])) == KERAS_PARAMETERS[name]


def test_the_plain_presets_are_the_recipes_that_were_published() -> None:
    recipes = {
        name: (job.optimizer_name, job.trainer.max_epochs, job.trainer.batch_size, job.trainer.early_stopping)
        for name in KERAS_PARAMETERS
        for job in [resolve(compose([f"+experiment={name}"]))]
    }
    assert recipes == {
        "pima": ("adam", 100, 10, False),
        "ionosphere": ("adam", 150, 32, False),
        "iris": ("adam", 150, 32, False),
        "boston_housing": ("adam", 150, 32, False),
        "mnist": ("adam", 10, 128, False),
        "car_sales": ("adam", 350, 32, False),
        "sequence": ("adam", 1000, 9, False),
        "learning_curves": ("sgd", 100, 32, False),
    }


@pytest.mark.parametrize("name", [name for name in PRESETS if not name.startswith(("mnist", "car_sales"))])
def test_each_runs_as_one_word(job: Command, runs: Runs, name: str) -> None:
    assert job(f"+experiment={name}", "trainer.max_epochs=2", "tracking.figures=false").err == ""
    (run,) = runs()
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"{name}-0")
    assert run.data.params["experiment"] == name


def test_those_that_are_fetched_run_as_one_word(job: Command, runs: Runs, cached: Callable[[str], None]) -> None:
    cached("monthly-car-sales.csv")
    for name in ("car_sales", "car_sales_best"):
        assert job(f"+experiment={name}", "trainer.max_epochs=2", "tracking.figures=false").err == ""
    assert [run.data.params["data.test_size"] for run in runs()] == ["12.0", "12.0"]


@pytest.mark.slow
def test_mnist_is_learnt_in_one_epoch(job: Command, runs: Runs, cached: Callable[[str], None]) -> None:
    """By a network that is smaller than the preset's, and so in a third of the time."""
    cached("mnist/train-images-idx3-ubyte.gz")
    assert job("+experiment=mnist", "model.channels=[6]", "model.dropout=0", "trainer.max_epochs=1").err == ""
    (run,) = runs()
    assert run.data.metrics["test_accuracy"] > 0.93
    assert len(pd.read_csv(artifacts(run) / "predictions.csv")) == 10_000


def test_the_sequence_is_learnt_to_the_published_figure(job: Command, runs: Runs) -> None:
    assert job("+experiment=sequence", "seed=1").err == ""
    (run,) = runs()
    assert run.data.metrics["training_set_mse"] <= 1.5e-4  # 4.5e-5 is the median over seeds
    table = pd.read_csv(artifacts(run) / "predictions.csv")
    assert table["actual"].tolist() == pytest.approx([0.1 * step for step in range(1, 10)])
    assert (table["predicted"] - table["actual"]).abs().max() < 0.03


def test_pima_is_scored_on_the_rows_it_was_fitted_to_and_says_so(job: Command, runs: Runs) -> None:
    ended = job("+experiment=pima", "trainer.max_epochs=3", "verbose=2")
    assert "768 train, 0 validation, 0 test" in ended.out
    assert "on 768 training rows" in ended.out
    assert "no rows were held out: these are scores on the training rows" in ended.out
    (run,) = runs()
    assert not any(name.startswith("test_") for name in run.data.metrics)
    assert "training_set_accuracy" in run.data.metrics


def test_early_stopping_stops_as_soon_as_validation_worsens_and_restores_the_best(job: Command, runs: Runs) -> None:
    assert job("+experiment=early_stopping").err == ""
    (run,) = runs()
    losses = pd.read_csv(artifacts(run) / "history.csv")["val_loss"].tolist()
    worse = next(epoch for epoch in range(1, 200) if losses[epoch] >= min(losses[:epoch]))
    assert len(losses) == worse + 1
    assert run.data.tags["weights_epoch"] == run.data.tags["best_epoch"] == str(worse)


def test_an_experiment_can_be_changed_word_by_word_and_swept(
    process: Command, runs: Runs, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    words = ("trainer.max_epochs=1", *QUICK)
    assert process("-m", "+experiment=iris,boston_housing", "model.hidden=[3]", *words).code == 0
    found = {run.info.run_name: run.data.params for run in runs()}
    assert set(found) == {"iris-0", "boston_housing-0"}
    assert {params["model.hidden"] for params in found.values()} == {"[3]"}
    assert found["boston_housing-0"]["data.scale_target"] == "False"


def test_the_table_on_the_page_is_what_was_measured() -> None:
    measured = json.loads(worked_examples.RESULTS.read_text())
    shown = worked_examples.PAGE.read_text()
    assert f"{worked_examples.BEGIN}\n{worked_examples.table(measured)}\n{worked_examples.END}" in shown
    assert {example.words for example in worked_examples.EXAMPLES} == set(measured["examples"])
    assert {example.experiment for example in worked_examples.EXAMPLES} == set(PRESETS)


def test_the_benchmark_runs_and_prints_published_beside_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["worked_examples.py", "iris_best", "--seeds", "1", "--results", str(tmp_path / "found.json")]
    monkeypatch.setattr(sys, "argv", words)
    worked_examples.main()
    out, err = capfd.readouterr()
    assert err == ""
    (accuracy,) = json.loads((tmp_path / "found.json").read_text())["examples"]["+experiment=iris_best"].values()
    assert accuracy >= 0.9
    row = out.splitlines()[-1]
    shown = r"([\d.]+) \[\1, \1\] \| \1 to \1"
    judged = r"≥ 0.96, none under 0.90: (yes|\*\*no\*\*)"
    assert re.fullmatch(rf"\| `\+experiment=iris_best` \| test accuracy \|  \| {shown} \| {judged} \|", row), row


def test_the_benchmark_names_what_it_does_not_know(tmp_path: Path) -> None:
    words = [sys.executable, "benchmarks/worked_examples.py", "irs"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 2
    assert "no such experiment: irs" in ended.stderr


def test_validation_split_goes_with_a_preset_that_validates_on_nothing(job: Command, runs: Runs) -> None:
    words = ("data.validation_split=0.33", "trainer.max_epochs=1", "tracking.figures=false")
    ended = job("+experiment=pima", *words, "verbose=2")
    assert ended.err == ""
    assert "514 train, 254 validation, 0 test" in ended.out  # 0.33 of 768 is 253.44
    (run,) = runs()
    assert run.data.params["data.validation_split"] == "0.33"


def row_of(words: str, found: list[float]) -> str:
    seeds = {str(seed): value for seed, value in enumerate(found)}
    return str(worked_examples.table({"examples": {words: seeds}}).splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "found", "shown"),
    [
        ("car_sales_best", [1958.0, 1959.4, 1990.0], "1,959 [1,958, 1,990] | 1,958 to 1,990 | < 1,960: yes |"),
        ("car_sales_best", [1958.0, 1959.6, 1990.0], "1,960 [1,958, 1,990] | 1,958 to 1,990 | < 1,960: **no** |"),
        ("boston_housing_best", [12.0, 15.04, 19.0], "15.0 [12.0, 19.0] | 12.0 to 19.0 | ≤ 15: yes |"),
        ("boston_housing_best", [12.0, 15.06, 19.0], "15.1 [12.0, 19.0] | 12.0 to 19.0 | ≤ 15: **no** |"),
        ("iris_best", [0.9, 0.97, 1.0], "0.970 [0.900, 1.000] | 0.900 to 1.000 | ≥ 0.96, none under 0.90: yes |"),
        ("iris_best", [0.9, 0.9599, 1.0], "0.960 [0.900, 1.000] | 0.900 to 1.000 | ≥ 0.96, none under 0.90: yes |"),
        ("iris_best", [0.86, 0.97, 1.0], "0.970 [0.860, 1.000] | 0.860 to 1.000 | ≥ 0.96, none under 0.90: **no** |"),
        ("iris_best", [0.91, 0.9594, 1.0], "0.959 [0.910, 1.000] | 0.910 to 1.000 | ≥ 0.96, none under 0.90: **no** |"),
        ("sequence", [4.54e-5], "4.5e-05 [4.5e-05, 4.5e-05] | 4.5e-05 to 4.5e-05 | ≤ 4.5e-5: yes |"),
        ("ionosphere", [0.5], "0.500 [0.500, 0.500] | 0.500 to 0.500 |  |"),
    ],
)
def test_a_figure_is_reached_by_the_median_as_it_is_shown_and_by_each_seed(
    name: str, found: list[float], shown: str
) -> None:
    assert row_of(f"+experiment={name}", found).endswith(shown)


def test_the_interval_of_a_median_is_the_exact_one_of_all_resamples() -> None:
    """Of five values in order, the median of a resample is at most the j-th if three draws or more are."""
    values = [3.0, 1.0, 4.0, 1.5, 9.0]
    at_most = [sum(math.comb(5, k) * (j / 5) ** k * (1 - j / 5) ** (5 - k) for k in (3, 4, 5)) for j in range(1, 6)]
    exact = tuple(
        next(value for value, share in zip(sorted(values), at_most, strict=True) if share >= tail)
        for tail in (0.025, 0.975)
    )
    assert exact == (1.0, 9.0)
    assert worked_examples.interval(values) == exact


def test_the_interval_is_the_same_each_time_and_of_any_order() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=30).tolist()
    low, high = worked_examples.interval(values)
    assert (low, high) == worked_examples.interval(values)
    ranked = sorted(values)
    # ranks 10 and 21 of 30 bound the median with 95.7%, ranks 11 and 20 with 90.1% (binomial)
    assert ranked[8] <= low <= ranked[10]
    assert ranked[19] <= high <= ranked[21]
    assert low < statistics.median(values) < high
    assert worked_examples.interval([value * 1000 for value in values]) == pytest.approx((low * 1000, high * 1000))


def test_a_candidate_is_scored_on_its_validation_rows(tmp_path: Path) -> None:
    accuracy = choose_presets.score("iris_best", "trainer.max_epochs=20", 101, str(tmp_path / "runs"))
    assert accuracy * 30 == pytest.approx(round(accuracy * 30), abs=1e-4)  # 30 of 150 rows validate, 50 test
    assert accuracy > 0.8


def test_no_preset_was_chosen_by_a_seed_that_is_reported() -> None:
    assert not set(choose_presets.SEEDS) & set(worked_examples.SEEDS)
    assert {name for name in PRESETS if name.endswith("_best")} == set(choose_presets.CANDIDATES) | KEPT


@pytest.mark.parametrize("example", worked_examples.EXAMPLES, ids=lambda example: example.words)
def test_each_seed_that_the_readme_names_was_run_and_an_accuracy_is_a_share_of_rows(
    example: Any,
) -> None:
    found = json.loads(worked_examples.RESULTS.read_text())["examples"][example.words]
    assert [int(seed) for seed in found] == list(example.seeds)
    if example.score.endswith("accuracy"):
        assert all(float(Fraction(score).limit_denominator(60_000)) == score for score in found.values())
