"""The benchmark of speed: its peers do equal work, its table says what was measured, and it runs."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import speed
import speed_table
from lifecycle.fit import trainer
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.runtime.seeds import epoch_seed
from peers import loop, ours, rows
from peers.jobs import JOBS, SMALL_EPOCHS, describe
from peers.loop import score
from peers.sklearn_mlp import model_of
from peers.versions import backends, versions

ROOT = Path(__file__).parents[2]
HERE = [name for name in JOBS if name not in ("mnist", "car_sales")]
"""Jobs whose rows are on every machine."""

FIGURES = {
    "pima": (1.3, 0.18, 0.55),
    "ionosphere": (2.0, 0.12, 0.75),
    "iris": (3.0, 0.08, 0.70),
    "boston_housing": (2.0, 0.12, 0.70),
    "mnist": (0.6, 0.65, 0.75),
    "car_sales": (1.4, 0.16, 0.48),
    "sequence": (3.0, 0.08, 0.35),
}
STEPS = {"pima": 7700, "ionosphere": 1200, "iris": 600, "boston_housing": 1650, "sequence": 1000}
"""Rows that train, divided by the batch size and rounded up, times epochs; by hand."""


def test_the_targets_are_those_that_were_set() -> None:
    assert {name: (job.fit_loop, job.fit_keras, job.command_keras) for name, job in JOBS.items()} == FIGURES
    assert JOBS["mnist"].words() == ["+experiment=mnist", "trainer.max_epochs=3"]
    assert JOBS["mnist"].accuracy_within == 0.002
    assert all(job.words() == [f"+experiment={name}"] for name, job in JOBS.items() if name != "mnist")


def samples(inputs: np.ndarray[Any, Any], targets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return inputs and targets side by side, in an order of their own."""
    whole = np.column_stack([inputs.reshape(len(inputs), -1), targets.reshape(-1)])
    return whole[np.lexsort(whole.T)]


@pytest.mark.parametrize("name", HERE)
def test_the_scripts_of_the_peers_read_the_samples_that_ours_trains_on(name: str, tmp_path: Path) -> None:
    description = describe(JOBS[name], tmp_path)
    _, prepared = ours.prepare(description["words"])
    read, data = rows.read(description), prepared.data
    assert read.inputs.shape == tuple(data.train.inputs.shape)
    assert read.test_inputs.shape == tuple(data.scored.inputs.shape)
    assert math.ceil(len(read.inputs) / description["batch_size"]) * description["epochs"] == STEPS[name]
    parts = [data.train] if data.test is None else [data.train, data.test]
    mine = samples(*(torch.cat([getattr(part, key) for part in parts]).numpy() for key in ("inputs", "targets")))
    theirs = [(read.inputs, read.targets), (read.test_inputs, read.test_targets)][: len(parts)]
    np.testing.assert_allclose(samples(*map(np.concatenate, zip(*theirs, strict=True))), mine, rtol=1e-6)


def test_a_series_holds_out_its_end_as_ours_does(cached: Callable[[str], None], tmp_path: Path) -> None:
    cached("monthly-car-sales.csv")
    description = describe(JOBS["car_sales"], tmp_path)
    _, prepared = ours.prepare(description["words"])
    read = rows.read(description)
    assert prepared.data.test is not None
    for inputs, part in [(read.inputs, prepared.data.train), (read.test_inputs, prepared.data.test)]:
        np.testing.assert_array_equal(inputs, part.inputs.numpy())
    np.testing.assert_array_equal(read.test_targets, prepared.data.test.targets.flatten().numpy())


@pytest.mark.slow
def test_mnist_is_read_as_ours_reads_it(cached: Callable[[str], None], tmp_path: Path) -> None:
    cached("mnist/train-images-idx3-ubyte.gz")
    description = describe(JOBS["mnist"], tmp_path)
    _, prepared = ours.prepare(description["words"])
    read = rows.read(description)
    assert prepared.data.test is not None
    mine = prepared.data.train.inputs.numpy()
    assert read.inputs.shape == mine.shape
    assert np.abs(read.inputs - mine).max() <= 1e-6  # assert_allclose makes ten arrays of 36 million numbers
    np.testing.assert_array_equal(read.test_targets, prepared.data.test.targets.numpy())


@pytest.mark.parametrize("words", [("iris", "data.val_size=0.2"), ("pima",), ("boston_housing",), ("sequence",)])
def test_the_loop_takes_the_steps_that_ours_takes(words: tuple[str, ...], tmp_path: Path) -> None:
    """Given the order of rows that ours draws: the same weights, and the same scores of each epoch."""
    name, *more = words
    description = {**describe(JOBS[name], tmp_path, small=True), "epochs": 4}
    job, prepared = ours.prepare([f"+experiment={name}", "trainer.max_epochs=4", "trainer.restore_best=false", *more])
    data, network = prepared.data, copy.deepcopy(prepared.network)
    with quiet_libraries():
        history = trainer.fit(prepared.module, data, job.trainer, job.seed, tmp_path)
    epochs = iter(range(4))

    def order(count: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(epoch_seed(job.seed, next(epochs), stream=0))
        return torch.randperm(count, generator=generator)

    val = None if data.val is None else ours.part(data.val)
    found = loop.fit(network, ours.part(data.train), val, description, order)
    for key, value in prepared.module.network.state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=1e-4, atol=1e-6)
    for epoch, scores in zip(history.rows, found, strict=True):
        both = set(scores) & set(epoch)
        assert {"train_loss", "train_accuracy" if data.spec.task != "regression" else "train_mae"} <= both
        assert ("val_loss" in both) == (data.val is not None)
        assert {key: scores[key] for key in both} == pytest.approx({key: epoch[key] for key in both}, rel=1e-4)
    assert network.training
    final = score(network, ours.part(data.train), data.spec.task, "train")
    assert final["train_loss"] < found[0]["train_loss"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "optimizer=adamw",
            "optimizer must be a value that the peers support, got adamw. Add it to peers/, or remove",
        ),
        ("optimizer.weight_decay=0.1", "optimizer.weight_decay must be a value that the peers support, got 0.1."),
        ("optimizer.amsgrad=true", "optimizer.amsgrad must be a value that the peers support, got True."),
        ("schedule=cosine", "schedule must be a value that the peers support, got cosine."),
        ("loss=categorical_crossentropy", "loss must be a value that the peers support, got categorical_crossentropy."),
        ("class_weights=balanced", "class_weights must be a value that the peers support, got balanced."),
        ("label_smoothing=0.1", "label_smoothing must be a value that the peers support, got 0.1."),
        ("trainer.early_stopping=true", "trainer.early_stopping must be a value that the peers support, got True."),
        ("trainer.batch_size=null", "trainer.batch_size must be a value that the peers support, got None."),
        ("trainer.shuffle=false", "trainer.shuffle must be a value that the peers support, got False."),
        ("trainer.class_balanced=true", "trainer.class_balanced must be a value that the peers support, got True."),
        ("trainer.gradient_clip_val=1", "trainer.gradient_clip_val must be a value that the peers support, got 1.0."),
        ("data.val_size=0.2", "data.val_size must be a value that the peers support, got 0.2."),
        ("data.validation_split=0.1", "data.val_size must be a value that the peers support, got 0.1."),
    ],
)
def test_an_experiment_that_the_peers_cannot_do_is_refused(word: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        describe(dataclasses.replace(JOBS["iris"], more=(word,)), tmp_path)


@pytest.mark.parametrize("name", ["pima", "boston_housing"])
def test_scikit_learn_does_all_steps_of_the_job(name: str, tmp_path: Path) -> None:
    description = {**describe(JOBS[name], tmp_path, small=True), "epochs": 15}  # it stops after 10 without its own say
    _, prepared = ours.prepare([f"+experiment={name}"])
    read, model = rows.read(description), model_of(description)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(read.inputs, np.zeros_like(read.targets))  # nothing to gain: it would stop early if it could
    parameters = sum(values.size for values in [*model.coefs_, *model.intercepts_])
    assert (model.n_iter_, model.t_) == (15, 15 * len(prepared.data.train))
    assert parameters == sum(parameter.numel() for parameter in prepared.network.parameters())
    assert (model.alpha, model.learning_rate_init, model.epsilon) == (0, 0.001, 1e-7)


def work(parameters: int, **more: int) -> dict[str, Any]:
    return {"work": {"rows": 9, "steps": 1000, "epochs": 1000, "parameters": parameters, **more}}


def test_what_did_not_do_the_same_is_not_compared(tmp_path: Path) -> None:
    job = describe(JOBS["sequence"], tmp_path)
    speed.check_equal_work(job, {"ours": work(531), "lightning": work(531), "keras-jax": work(491)})
    with pytest.raises(RuntimeError, match=r"keras-jax of sequence did .* 531}, and ours .* 491}: not equal"):
        speed.check_equal_work(job, {"ours": work(531), "keras-jax": work(531)})
    with pytest.raises(RuntimeError, match=r"warm loop of sequence did .*'steps': 999"):
        speed.check_equal_work(job, {"ours": work(531), "warm loop": work(531, steps=999)})
    relu = {**job, "model": {**job["model"], "cell_activation": "relu"}}  # a cell of ours, with one bias
    with pytest.raises(RuntimeError, match="not equal work"):
        speed.check_equal_work(relu, {"ours": work(531), "keras-jax": work(491)})


def record(samples: dict[str, Any], accuracies: tuple[float, float] = (0.98, 0.98)) -> dict[str, Any]:
    """Return a job's record; three pairs where nothing else is said."""
    empty: dict[str, Any] = {"warm": {}, "fit": {}, "process": {}}
    warm = {who: [{"test_accuracy": value}] for who, value in zip(("ours", "loop"), accuracies, strict=True)}
    return {
        "date": "2026-11-22",
        "pairs": 3,
        "machine": {"processor": "A processor", "cores": 2, "system": "Linux"},
        "versions": {"ours": {"torch": "2.13.0", "numpy": "2"}, "keras": {"torch": "2.13.0", "keras": "3.15.1"}},
        "samples": {**empty, **samples},
        "scores": {"warm": warm, "fit": {}},
    }


MEASURED = {
    "warm": {"ours": [2.0, 2.6, 9.0], "loop": [2.0, 2.0, 3.0], "lightning": [26.0, 25.0, 30.0]},
    "fit": {"ours": [1.0, 1.9, 1.0], "keras-tensorflow": [10.0, 10.0, 20.0], "keras-jax": [2.0, 2.0, 2.0]},
    "process": {"ours": [5.0, 6.0, 6.0], "keras-tensorflow": [10.0, 10.0, 10.0], "lightning": [18.0, 17.5, 19.0]},
}


def test_the_table_has_each_ratio_with_its_target() -> None:
    shown = speed_table.table({"jobs": {"pima": record(MEASURED)}}).splitlines()
    assert shown[2] == (
        "| pima | 1.30 (1.00 to 3.00), ≤ 1.3: yes | 0.100 (0.050 to 0.190), ≤ 0.18: yes "
        "| 0.600 (0.500 to 0.600), ≤ 0.55: **no** | 12.5, 1.80 |"
    )
    assert shown[-1] == (
        "Medians (least to greatest) of 3 interleaved pairs, 2026-11-22, on A processor, 2 cores; "
        "keras 3.15.1, torch 2.13.0. Keras is on TensorFlow."
    )


def test_what_was_not_measured_is_a_dash_and_jobs_keep_their_order() -> None:
    jobs = {name: record({"warm": {"ours": [1.0], "loop": [0.5]}}) for name in ("sequence", "mnist", "pima")}
    shown = speed_table.table({"jobs": jobs}).splitlines()
    assert [line.split(" | ")[0] for line in shown[2:5]] == ["| pima", "| mnist, 3 epochs", "| sequence"]
    assert shown[4] == "| sequence | 2.00, ≤ 3: yes | – | – | –, – |"  # noqa: RUF001


@pytest.mark.parametrize(
    ("ratio", "accuracies", "shown"),
    [
        (0.6, (0.9785, 0.98), "0.600, ≤ 0.6, accuracy 0.9785 to the loop's 0.9800 (within 0.002): yes"),
        (0.6, (0.978, 0.98), "0.600, ≤ 0.6, accuracy 0.9780 to the loop's 0.9800 (within 0.002): yes"),
        (0.6, (0.99, 0.98), "0.600, ≤ 0.6, accuracy 0.9900 to the loop's 0.9800 (within 0.002): yes"),
        (0.6, (0.9779, 0.98), "0.600, ≤ 0.6, accuracy 0.9779 to the loop's 0.9800 (within 0.002): **no**"),
        (0.601, (0.98, 0.98), "0.601, ≤ 0.6, accuracy 0.9800 to the loop's 0.9800 (within 0.002): **no**"),
    ],
)
def test_mnist_may_not_buy_its_speed_with_accuracy(ratio: float, accuracies: tuple[float, float], shown: str) -> None:
    found = record({"warm": {"ours": [ratio], "loop": [1.0]}}, accuracies)
    assert f"| {shown} |" in speed_table.row(found, JOBS["mnist"])


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0804, "0.080"), (0.9994, "0.999"), (0.9996, "1.00"), (1.304, "1.30"), (9.994, "9.99"), (9.996, "10.0"),
     (33.26, "33.3"), (99.96, "100"), (1234.5, "1,234")],
)  # fmt: skip
def test_a_number_has_three_figures(value: float, shown: str) -> None:
    assert speed_table.number(value) == shown


def test_a_target_is_reached_by_the_median_as_it_is_shown() -> None:
    assert speed_table.cell([0.0804], 0.08) == "0.080, ≤ 0.08: yes"
    assert speed_table.cell([0.0806], 0.08) == "0.081, ≤ 0.08: **no**"
    assert speed_table.cell([1.0, 1.304, 9.0], 1.3) == "1.30 (1.00 to 9.00), ≤ 1.3: yes"
    assert speed_table.cell([1.0, 1.306, 9.0], 1.3) == "1.31 (1.00 to 9.00), ≤ 1.3: **no**"


def test_every_time_is_in_the_second_table() -> None:
    shown = speed_table.details({"jobs": {"pima": record(MEASURED)}}).splitlines()
    assert len(shown) == 2 + sum(len(times) for times in MEASURED.values())
    assert "| pima | fit, warm process | ours | 2.60 (2.00 to 9.00) |  | accuracy 0.98 |" in shown
    assert "| pima | fit, fresh process | keras-jax | 2.00 (2.00 to 2.00) | 0.500 (0.500 to 0.950) |  |" in shown
    assert "| pima | whole process | lightning | 18.0 (17.5 to 19.0) | 0.316 (0.278 to 0.343) |  |" in shown


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    page, results = tmp_path / "speed.md", {"jobs": {"pima": record(MEASURED)}}
    page.write_text(f"before\n{speed_table.BEGIN}\nold\n{speed_table.END}\nafter\n")
    for _ in range(2):
        speed_table.write_page(results, page)
        table = speed_table.table(results)
        assert page.read_text() == f"before\n{speed_table.BEGIN}\n{table}\n{speed_table.END}\nafter\n"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"speed\.md must have the marks <!-- speed: begin --> .* Put them where"):
        speed_table.write_page(results, page)


def test_the_whole_command_is_compared_with_importing_torch(tmp_path: Path) -> None:
    assert speed_table.start_up({"jobs": {}}) == ""
    times = {"ours": [3.6, 4.0, 3.9], "torch": [2.0, 2.0, 2.0], "sklearn": [1.2, 1.3, 1.1]}
    machine = {"processor": "A processor", "cores": 2}
    results = {speed_table.START: {"date": "2026-11-27", "machine": machine, "samples": {"process": times}}}
    shown = speed_table.start_up(results)
    assert '`python -c "import torch"`: 1.95 (1.80 to 2.00), ≤ 1.9: **no**. ' in shown
    assert "over the same: 0.600 (0.550 to 0.650). Medians (least to greatest) of 3 interleaved rounds" in shown
    page = tmp_path / "speed.md"
    page.write_text(f"before\n{speed_table.START_BEGIN}\nold\n{speed_table.START_END}\nafter\n")
    speed_table.write_start_up(results, page)
    assert page.read_text() == f"before\n{speed_table.START_BEGIN}\n{shown}\n{speed_table.START_END}\nafter\n"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"speed\.md must have the marks <!-- start: begin -->"):
        speed_table.write_start_up(results, page)
    measured = json.loads(speed.RESULTS.read_text())
    assert speed_table.start_up(measured) in speed_table.PAGE.read_text()


def test_the_table_on_the_page_is_what_was_measured() -> None:
    shown = speed_table.PAGE.read_text()
    assert (speed_table.BEGIN in shown) == speed.RESULTS.exists()
    if speed.RESULTS.exists():
        measured = json.loads(speed.RESULTS.read_text())
        assert set(measured["jobs"]) == set(JOBS)
        assert f"{speed_table.BEGIN}\n{speed_table.table(measured)}\n{speed_table.END}" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["irs"],
            "no such job: irs. Choose from pima, ionosphere, iris, boston_housing, mnist, car_sales, sequence, start.",
        ),
        (["--pairs", "0"], "--pairs must be at least 1, got 0. Leave it out for 5."),
        (["--few", "0"], "--few must be at least 1, got 0. Leave it out for --pairs."),
        (["--small", "--write"], "--small compares with no target and has no table for the page. Leave out --write."),
        (["--peers", "kears"], "invalid choice: 'kears'"),
    ],
)
def test_words_that_mean_nothing_are_work(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        speed.parsed(words)
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_small_run_is_one_pair_and_keeps_no_figures() -> None:
    assert (speed.parsed(["iris"]).pairs, speed.parsed(["iris"]).results) == (5, speed.RESULTS)
    small = speed.parsed(["iris", "--small"])
    assert (small.pairs, small.results) == (1, None)
    asked = speed.parsed(["--small", "--pairs", "2", "--results", "a.json"])
    assert (asked.pairs, asked.results) == (2, Path("a.json"))
    assert JOBS["mnist"].words(small=True) == ["+experiment=mnist", f"trainer.max_epochs={SMALL_EPOCHS}"]


def test_keras_is_timed_on_the_back_ends_that_are_there() -> None:
    assert backends({"torch": "2.13.0"}) == []
    assert backends({"keras": "3.15.1", "torch": "2.13.0", "tensorflow-cpu": "2.21.0"}) == ["tensorflow", "torch"]
    assert backends({"keras": "3.15.1", "jax": "0.10.2"}) == ["jax"]


def test_a_back_end_that_is_not_there_is_left_out_and_work(capsys: pytest.CaptureFixture[str]) -> None:
    there = [f"keras-{backend}" for backend in backends(versions())]  # as a rule none
    asked = ["loop", "keras-tensorflow", "keras-jax", "keras-torch"]
    peers, found = speed.installed(asked, sys.executable)
    assert peers == ["loop", *(name for name in asked if name in there)]
    assert found["keras"] == found["ours"] == versions()
    missing = [name for name in asked[1:] if name not in there]
    printed = capsys.readouterr().out
    assert printed == "" or printed == (
        f"{', '.join(missing)}: not installed in {sys.executable}, and left out. pip install -e '.[bench]'\n"
    )
    assert bool(printed) == bool(missing)
    assert speed.installed(["loop"], "/no/such/python") == (["loop"], {"ours": versions()})


def test_a_script_that_fails_is_reported_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with 1:\n(.|\n)*ZeroDivisionError"):
        speed.run([sys.executable, "-c", "1 / 0"], tmp_path)


@pytest.mark.longest
@pytest.mark.slow
def test_the_small_benchmark_runs(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    words = ["benchmarks/speed.py", "iris", "--small", "--results", str(file)]
    words += ["--peers", "loop", "lightning", "sklearn"]  # Keras is no part of the tests' environment
    ended = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    measured = json.loads(file.read_text())
    assert set(measured["jobs"]) == {"iris"}
    assert f"{speed_table.table(measured)}\n\n{speed_table.details(measured)}" in ended.stdout
    (iris,) = measured["jobs"].values()
    assert iris["work"] == {"rows": 100, "steps": 12, "epochs": 3, "parameters": 165, "batch_size": 32}
    assert set(iris["samples"]["warm"]) == {"ours", "loop", "lightning"}
    assert set(iris["samples"]["process"]) == set(iris["samples"]["fit"]) == {"ours", "lightning", "sklearn"}
    seconds = [each for times in iris["samples"].values() for found in times.values() for each in found]
    assert len(seconds) == sum(map(len, iris["samples"].values()))  # one pair
    assert min(seconds) > 0
    # The same weights, rows and steps, in another order: what comes out is alike.
    losses = [iris["scores"]["warm"][who][0]["test_loss"] for who in ("ours", "loop", "lightning")]
    assert losses == pytest.approx([losses[0]] * 3, rel=0.2)
    assert iris["versions"]["ours"]["torch"] == torch.__version__
    assert iris["machine"]["cores"] >= 1


def test_the_loop_has_no_process_and_scikit_learn_no_lstm(tmp_path: Path) -> None:
    peers = ["loop", "lightning", "sklearn"]
    names = {name: describe(JOBS[name], tmp_path)["model_name"] for name in ("iris", "sequence")}
    assert speed.in_processes(peers, names["iris"]) == ["lightning", "sklearn"]
    assert speed.in_processes(peers, names["sequence"]) == ["lightning"]
