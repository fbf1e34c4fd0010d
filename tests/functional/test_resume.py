"""The verb resume: a run that was ended goes on in its own MLflow run, and comes to what it would have come to."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from lifecycle import layout
from lifecycle.cli.main import main
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.define.network import define
from lifecycle.errors import shortened
from lifecycle.fit import checkpoints, trainer
from lifecycle.fit.history import History, Row
from lifecycle.layout import TEST_DIGEST
from lifecycle.optimizers import Adam
from lifecycle.plugins.mlp import MLP
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.schedules import Cosine, OneCycle, Plateau, ScheduleConfig, Warmed
from lifecycle.tracking import found_run as runs_of_ours
from lifecycle.tracking import worker
from lifecycle.tracking.client import end_all
from lifecycle.tracking.encoding import Answer, encode
from lifecycle.tracking.found_run import Which
from lifecycle.tracking.messages import CloseDeadRuns, LogMetrics
from lifecycle.tracking.pages.tags import name as with_names
from lifecycle.tracking.pages.tags import stored
from lifecycle.tracking.store import database_uri
from tests.conftest import Command, Ended, artifacts
from tests.forked import Forks, Process

Run = mlflow.entities.Run
Runs = Callable[[], list[Run]]

OFTEN = """
import sys
from lifecycle.fit import checkpoints
from lifecycle.tracking import run as tracking
from lifecycle.cli.main import main
checkpoints.SECONDS_BETWEEN, tracking.SECONDS_BETWEEN = 0.02, 0.0
sys.exit(main())
"""
"""The command, with a checkpoint more often than every five seconds, and points sent that are beyond it."""


def killed(forks: Forks, folder: Path, after: int, *words: str) -> str:
    """Start a run in a process of its own, end it with kill -9 in the epoch after ``after``; return its last line."""
    process = Process(forks, [*words, "verbose=2"], folder, code=OFTEN)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"epoch {after}/"):
            process.kill()
            process.communicate()
            return line
    raise AssertionError(process.communicate()[1])


def closed(runs: Runs, number: int = -1) -> Run:
    """Return a run, the last one, once the process that recorded it has closed it."""
    for _ in range(300):
        run = runs()[number]
        if run.info.status != "RUNNING":
            return run
        time.sleep(0.1)
    raise AssertionError("the run was never closed")


def weights(folder: Path, run: Run) -> bytes:
    """Return the weights of the one model that a run has saved."""
    (model,) = mlflow.MlflowClient(database_uri(folder / "mlruns")).search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    )
    path = Path(model.artifact_location.removeprefix("file://"))
    return (path / "data" / "saved" / "weights.safetensors").read_bytes()


def rows(run: Run) -> str:
    """Return the history of a run, without the time that each epoch took."""
    frame = pd.read_csv(artifacts(run) / "history.csv", dtype=str)
    return frame.drop(columns="epoch_seconds").to_csv()


def points(folder: Path, run: Run) -> dict[str, list[tuple[int, float]]]:
    """Return (step, value) of each point of each metric."""
    client = mlflow.MlflowClient(database_uri(folder / "mlruns"))
    return {
        name: sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }


def assert_same(folder: Path, whole: Run, resumed: Run) -> None:
    """Compare a run that was never stopped with one that was: history, points, scores, weights, files."""
    assert resumed.info.status == whole.info.status == "FINISHED"
    assert rows(resumed) == rows(whole)
    assert resumed.data.metrics == whole.data.metrics
    assert points(folder, resumed) == points(folder, whole)
    assert weights(folder, resumed) == weights(folder, whole)
    for name in ("predictions.csv", "scores.csv", "baselines.csv"):
        assert (artifacts(resumed) / name).read_bytes() == (artifacts(whole) / name).read_bytes(), name
    files = [{str(file.relative_to(artifacts(run))) for file in artifacts(run).rglob("*")} for run in (whole, resumed)]
    assert files[0] == files[1]
    assert len(resumed.inputs.dataset_inputs) == len(whole.inputs.dataset_inputs) == 1
    for name in ("weights_epoch", "best_epoch", "stopped"):
        assert resumed.data.tags.get(name) == whole.data.tags.get(name), name


WORDS = ["data=iris", "model.dropout=0.2", "optimizer.lr=0.01", "trainer.max_epochs=150", "tracking.figures=false"]
RECORDS = ("config.yaml", "request.json", "requirements.txt")


@pytest.mark.fault(1, 2)
def test_a_run_killed_in_an_epoch_resumes_to_the_same_results(
    forks: Forks, job: Command, runs: Runs, tmp_path: Path
) -> None:
    killed(forks, tmp_path, 80, *WORDS)
    before = closed(runs)
    assert before.info.status == "KILLED"
    last = checkpoints.read(tmp_path / "mlruns" / "checkpoints" / before.info.run_id / layout.LAST_CHECKPOINT)
    done = len(last["callbacks"]["Epochs"]["rows"])
    recorded = [(artifacts(before) / file).read_text() for file in RECORDS]
    sent = [step for step, _ in points(tmp_path, before)["val_loss"]]
    assert 0 < done < sent[-1]  # there are points that the epochs to be repeated would send once more

    ended = job("resume", "run=latest", "verbose=1")
    assert (ended.code, ended.err) == (0, "")
    name = f"mlp-iris-0 ({before.info.run_id})"
    assert ended.out.splitlines()[0] == f"Resumed   {name} after epoch {done}"
    assert ended.out.splitlines()[1].startswith("Data      iris: 150 rows")
    assert re.findall(r"^epoch (\d+)/", ended.out, re.MULTILINE)[0] == str(done + 1)

    assert job(*WORDS).code == 0
    resumed, whole = runs()
    assert resumed.info.run_id == before.info.run_id
    assert_same(tmp_path, whole, resumed)
    assert resumed.data.params | {"verbose": "0"} == whole.data.params
    tags = resumed.data.tags
    assert tags["lifecycle.resumed"] == "1"
    assert "lifecycle.error" not in tags
    assert tags["lifecycle.error_before"] == "the process was killed (kill -9, or power loss)"
    assert [(artifacts(resumed) / file).read_text() for file in RECORDS] == recorded


MIXED = "mixed.csv"


def write_mixed(folder: Path) -> None:
    """Write a table with numbers, texts and missing values of both."""
    chance = np.random.default_rng(5)
    size, town = chance.normal(100, 20, 400), chance.choice(["Bonn", "Köln", "Ulm"], 400)
    frame = pd.DataFrame({"size": size, "town": town, "sold": np.where(size + 9 * (town == "Ulm") > 103, "yes", "no")})
    frame.loc[chance.random(400) < 0.1, "size"] = np.nan
    frame.loc[chance.random(400) < 0.1, "town"] = None
    frame.to_csv(folder / MIXED, index=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "after"),
    [
        (["data=iris", "trainer.max_epochs=60", "trainer.early_stopping=false"], 30),
        pytest.param(
            ["data=digits", "model=cnn", "trainer.max_epochs=12", "trainer.precision=bf16-mixed"],
            8,
            marks=pytest.mark.longest,
        ),
        (["data=car_sales", "model=lstm", "trainer.max_epochs=120", "schedule=one_cycle"], 60),
        (["data=table", f"data.path={MIXED}", "data.target=sold", "class_weights=balanced", "schedule=plateau"], 40),
    ],
    ids=["iris", "digits", "car sales", "strings and missing values"],
)
def test_each_kind_of_data_resumes_to_the_same_results_and_predicts(
    forks: Forks,
    lifecycle: Command,
    process: Command,
    runs: Runs,
    tmp_path: Path,
    cached: Callable[[str], None],
    words: list[str],
    after: int,
) -> None:
    if "data=car_sales" in words:
        cached("monthly-car-sales.csv")
    write_mixed(tmp_path)
    killed(forks, tmp_path, after, *words)
    assert closed(runs).info.status == "KILLED"
    ended = process("resume", "run=latest")
    assert (ended.code, ended.err) == (0, "")
    assert re.match(r"Resumed   \S+ \([0-9a-f]{32}\) after epoch [1-9]", ended.out)
    ended = lifecycle("rerun", "run=latest", "verbose=0")
    assert (ended.code, ended.out) == (0, "reproduced: all scores equal\n")
    resumed, whole = runs()
    assert_same(tmp_path, whole, resumed)
    assert_predicts(process, f"run={resumed.info.run_id}")
    if "data=car_sales" in words:  # the weights are equal to the last bit, and the others are exported elsewhere
        assert_exported(lifecycle, f"run={resumed.info.run_id}")


def assert_predicts(process: Command, run: str) -> None:
    """Predict raw rows in a process of its own, as Python does."""
    from lifecycle.api.model import Model

    trained = Model.from_run(run.removeprefix("run=")).trained
    rows = trained.data.read().head(60)
    rows.to_csv("rows.csv", index=False)
    ended = process("predict", run, "input=rows.csv", "output=predicted.csv")
    assert (ended.code, ended.out) == (0, "")
    predicted = pd.read_csv("predicted.csv", dtype={"predicted": "str" if trained.spec.class_names else "float64"})
    expected = trained.forecast(rows) if trained.data_kind == "series" else trained.predict(rows)
    assert predicted["predicted"].tolist() == expected["predicted"].tolist()


def assert_exported(lifecycle: Command, run: str) -> None:
    """Export a run to both formats."""
    for form in ("torch_export", "onnx"):
        ended = lifecycle("export", run, f"format={form}")
        assert ended.code == 0
        assert "Batches of 1 and of 7 give the run's numbers" in ended.out


@pytest.mark.slow
@pytest.mark.longest
def test_a_run_as_typed_resumes_from_the_checkpoint_of_every_five_seconds(
    job: Command, process: Command, runs: Runs, tmp_path: Path
) -> None:
    words = ["data=digits", "trainer.max_epochs=1200", "trainer.early_stopping=false", "model.dropout=0.1"]
    command = [sys.executable, "-m", "lifecycle", *words]
    began, started = 0.0, subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    for line in started.stdout:
        began = began or (time.monotonic() if line.startswith("epoch ") else 0.0)
        if began and time.monotonic() - began > 6:
            break
    started.kill()
    started.communicate()
    ended = process("resume", "run=latest")
    assert (ended.code, ended.err) == (0, "")
    assert re.match(r"Resumed   mlp-digits-0 \([0-9a-f]{32}\) after epoch [1-9]", ended.out)
    assert job(*words, "tracking.figures=true").code == 0
    resumed, whole = runs()
    assert_same(tmp_path, whole, resumed)


FORKS = """
import os, random, sys, time
from lifecycle.fit import checkpoints
from lifecycle.runs import pipeline
from lifecycle.tracking import run as tracking
from lifecycle.cli.main import main
checkpoints.SECONDS_BETWEEN, tracking.SECONDS_BETWEEN = 0.02, 0.01
chance, epochs = random.Random(3), int(sys.argv.pop(1))
for number in range(20):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 1)
        sys.argv[0] = "lifecycle"
        os._exit(main())
    os.close(writing)
    last = f"epoch {chance.randint(1, epochs)}/"
    with os.fdopen(reading) as lines:
        any(line.startswith(last) for line in lines)
        time.sleep(chance.choice([0.0, 0.01, 0.1]) * chance.random())
        os.kill(child, 9)
        os.waitpid(child, 0)
"""
"""Twenty processes that run the command and are ended with kill -9, each at a moment of its own."""


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.fault(2)
def test_twenty_random_kill_points_give_twenty_times_the_same(
    job: Command, script: Command, runs: Runs, tmp_path: Path
) -> None:
    words = [*WORDS, "trainer.patience=100", "trainer.max_epochs=200"]
    assert script(FORKS, "200", *words, "verbose=2").code == 0
    assert len(runs()) == 20
    done = []
    for number in range(20):
        run = closed(runs, number)
        done.append(max((step for step, _ in points(tmp_path, run).get("val_loss", [])), default=0))
        ended = job("resume", f"run={run.info.run_id}")
        assert (ended.code, ended.err) == (0, "") or "nothing is left to do" in ended.err
    assert len(set(done)) > 10  # of the points at which they were ended
    assert job(*words).code == 0
    *resumed, whole = runs()
    for run in resumed:
        assert_same(tmp_path, whole, run)


@pytest.mark.slow
@pytest.mark.longest
def test_two_processes_go_on_together(python: Command, runs: Runs, tmp_path: Path) -> None:
    words = [*WORDS, "trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=60"]
    command = [sys.executable, "-m", "lifecycle", *words]
    started = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert any(line.startswith("epoch 30/") for line in started.stdout)
    started.kill()
    started.communicate()
    ended = python("resume", "run=latest")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("Resumed   ") == ended.out.count("Scores    ") == 1
    assert python(*words).code == 0
    resumed, whole = runs()
    assert_same(tmp_path, whole, resumed)


# What fitting itself does, for all that has a state of its own.


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As the pipeline runs it."""
    with quiet_libraries():
        yield


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load(Table(path="sklearn:iris", target="species"), "iris", "table", seed=1)


def compiled(data: Dataset, schedule: ScheduleConfig | None = None) -> CompiledModel:
    network = define(MLP(hidden=[8], dropout=0.3, batch_norm=True), "mlp", data.spec, seed=1)
    return CompiledModel(network, data.spec, Adam(lr=0.02), schedule=schedule)


def state(module: CompiledModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.network.state_dict().items()}


def plain(history: History) -> dict[str, object]:
    """Return all of a history but the seconds."""
    return {**dataclasses.asdict(history), "rows": [{**row, "epoch_seconds": 0.0} for row in history.rows]}


def broken_off(data: Dataset, folder: Path, epoch: int, config: TrainerConfig, schedule: ScheduleConfig | None) -> None:
    """Fit until a fault in an epoch; the last checkpoint is of an epoch before it."""

    def fault(row: Row) -> None:
        if row["epoch"] == epoch:
            raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        trainer.fit(compiled(data, schedule), data, config, 1, folder, [fault])


@pytest.mark.parametrize(
    ("fields", "schedule", "seconds"),
    [
        ({"patience": 4}, None, 0.0),
        ({"patience": 3, "restore_best": False}, Plateau(monitor="val_loss", patience=1), 0.0),
        ({"early_stopping": False, "class_balanced": True}, OneCycle(max_lr=0.1, cycle_momentum=True), 0.02),
        ({"monitor": "val_accuracy", "min_delta": 0.01, "patience": 6}, Cosine(t_max=14, warmup_epochs=2), 0.0),
        ({"early_stopping": False, "gradient_clip_val": 0.1}, Warmed(warmup_epochs=5), 0.02),
    ],
    ids=["early stopping", "plateau", "one_cycle", "cosine", "warmup"],
)
def test_a_fit_resumes_as_if_it_had_not_been_interrupted(
    iris: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, object],
    schedule: ScheduleConfig | None,
    seconds: float,
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", seconds)
    config = TrainerConfig(max_epochs=16, **fields)  # type: ignore[arg-type]
    whole = compiled(iris, schedule)
    expected = trainer.fit(whole, iris, config, 1, tmp_path / "whole")
    epoch = random.Random(str(fields)).randint(2, len(expected.rows))
    broken_off(iris, tmp_path / "half", epoch, config, schedule)
    resumed, reported = compiled(iris, schedule), []
    found = trainer.fit(
        resumed,
        iris,
        config,
        1,
        tmp_path / "half",
        [reported.append],
        checkpoint=tmp_path / "half" / layout.LAST_CHECKPOINT,
    )
    assert plain(found) == plain(expected)
    assert reported == list(found.rows)[-len(reported) :]
    assert int(reported[0]["epoch"]) <= epoch
    for name, value in state(whole).items():
        assert torch.equal(value, state(resumed)[name]), name


@pytest.mark.parametrize("patience", [2, 100], ids=["stopped early", "all epochs"])
def test_a_fit_that_had_come_to_its_end_fits_nothing_more(iris: Dataset, tmp_path: Path, patience: int) -> None:
    config, whole = TrainerConfig(max_epochs=30, patience=patience), compiled(iris)
    expected = trainer.fit(whole, iris, config, 1, tmp_path)
    assert (len(expected.rows) < 30) == (patience == 2)
    resumed, reported = compiled(iris), []
    last = tmp_path / layout.LAST_CHECKPOINT
    found = trainer.fit(resumed, iris, config, 1, tmp_path, [reported.append], checkpoint=last)
    assert (reported, plain(found)) == ([], plain(expected))
    for name, value in state(whole).items():
        assert torch.equal(value, state(resumed)[name]), name


def test_a_checkpoint_of_the_epoch_in_which_early_stopping_ended_the_fit_is_an_end(
    iris: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints.LastCheckpoint, "on_train_end", lambda *arguments: None)  # killed before it
    config = TrainerConfig(max_epochs=30, patience=2)
    expected = trainer.fit(compiled(iris), iris, config, 1, tmp_path)
    found = trainer.fit(compiled(iris), iris, config, 1, tmp_path, checkpoint=tmp_path / layout.LAST_CHECKPOINT)
    assert len(expected.rows) < 30
    assert plain(found) == plain(expected)


# What is refused, and leaves the run as it was.


@dataclasses.dataclass
class Trained:
    """A folder with runs of a few epochs."""

    folder: Path
    command: Command

    def runs(self) -> list[Run]:
        client = mlflow.MlflowClient(database_uri(self.folder / "mlruns"))
        return list(map(with_names, client.search_runs(["1"], order_by=["attributes.start_time ASC"])))

    def of(self, name: str) -> Run:
        return next(run for run in self.runs() if run.info.run_name == name)


FINISHED, STOPPED, CYCLE, DIVERGED = "finished", "stopped", "cycle", "diverged"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Trained]:
    """Make a run that finished, one that stopped early, one with one_cycle, and one that failed."""
    folder = tmp_path_factory.mktemp("resume")
    (folder / "mlruns").mkdir(mode=0o700)
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    np.random.default_rng(0).random()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)

        def command(*words: str) -> Ended:
            patch.setattr(sys, "argv", ["lifecycle", *words])
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main()
            return Ended(code, out.getvalue(), err.getvalue())

        rows = pd.DataFrame({"size": np.arange(60.0), "price": np.arange(60.0) * 3})
        rows.to_csv("houses.csv", index=False)
        words = ["data=table", "data.path=houses.csv", "data.target=price", "verbose=0", "tracking.figures=false"]
        asked = {
            FINISHED: ["trainer.max_epochs=2"],
            STOPPED: ["optimizer.lr=0.5", "trainer.patience=1"],
            CYCLE: ["trainer.max_epochs=2", "schedule=one_cycle"],
            DIVERGED: ["optimizer=sgd", "optimizer.lr=1e30"],
        }
        for name, more in asked.items():
            assert command(*words, *more, f"tracking.run_name={name}").code == (name == DIVERGED)
        yield Trained(folder, command)


def refused(trained: Trained, name: str, *words: str, code: int = 2) -> str:
    """Return the message when a run is not resumed, and check that the run has not changed."""
    run = trained.of(name)
    ended = trained.command("resume", f"run={run.info.run_id}", *words)
    assert (ended.code, ended.out) == (code, ""), ended
    after = trained.of(name)
    assert (after.info.status, after.data.tags) == (run.info.status, run.data.tags)
    assert str(after.data.metrics) == str(run.data.metrics)  # a loss may be nan
    return ended.err.removeprefix("lifecycle: ").strip().replace(run.info.run_id, "ID")


def test_with_nothing_left_to_do_it_says_how_there_may_be_more(trained: Trained) -> None:
    assert refused(trained, FINISHED) == (
        "run finished (ID) is FINISHED: max_epochs=2 was reached, and nothing is left to do. Add "
        "trainer.max_epochs=<more than 2> to train it further."
    )


@pytest.mark.parametrize("words", [[], ["trainer.max_epochs=500"]], ids=["as it was", "with more epochs"])
def test_a_run_that_stopped_by_itself_is_not_trained_further(trained: Trained, words: list[str]) -> None:
    assert refused(trained, STOPPED, *words) == (
        "run stopped (ID) was ended by early stopping: val_loss had not improved for 1 epoch, and with more epochs it "
        "would have stopped there too. Begin a new run with more than trainer.patience=1, or with "
        "trainer.early_stopping=false."
    )


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("trainer.patience=5", "trainer.patience must stay 30 in run finished (ID), got 5. "),
        ("seed=3", "seed must stay 0 in run finished (ID), got 3. "),
        ("trainer.accelerator=cpu", "trainer.accelerator must stay auto in run finished (ID), got cpu. "),
        ("trainer.shuffle=false", "trainer.shuffle must stay true in run finished (ID), got false. "),
        ("trainer.batch_size=7", "trainer.batch_size must stay null in run finished (ID), got 7. "),
        ("model.hidden=[9]", "model.hidden must stay [64,32] in run finished (ID), got [9]. "),
        ("profile=true", "profile must stay false in run finished (ID), got true. "),
    ],
)
@pytest.mark.fault(8)
def test_a_setting_that_would_have_changed_what_is_done_is_named(trained: Trained, word: str, sentence: str) -> None:
    assert refused(trained, FINISHED, "trainer.max_epochs=3", word) == (
        f"{sentence}Changing it would invalidate the completed epochs. Leave it out, or begin a new run with it."
    )


def test_fewer_epochs_are_refused(trained: Trained) -> None:
    assert refused(trained, FINISHED, "trainer.max_epochs=1") == (
        "trainer.max_epochs can only be raised above 2 in run finished (ID), got 1. Use more."
    )


def test_more_epochs_than_the_rates_were_laid_out_over_are_refused(trained: Trained) -> None:
    assert refused(trained, CYCLE, "trainer.max_epochs=9") == (
        "trainer.max_epochs must stay 2 with schedule=one_cycle, whose rates were planned over these epochs, got 9. "
        "Begin a new run with it."
    )


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("model=cnn", "model=cnn cannot change a recorded run."),
        ("trainer.max_epoch=9", "trainer.max_epoch is not a field of trainer, got 9. Did you mean trainer.max_epochs?"),
        ("trainer.max_epochs=nine", "trainer.max_epochs must be a whole number, got nine."),
        ("tracking.run_name=other", "tracking.run_name=other cannot be used with resume: a run keeps its name."),
    ],
)
def test_a_word_that_cannot_be_meant_is_named(trained: Trained, word: str, sentence: str) -> None:
    assert refused(trained, FINISHED, word).startswith(sentence)


def test_a_setting_as_it_was_is_no_change(trained: Trained) -> None:
    assert "nothing is left to do" in refused(trained, FINISHED, "seed=0", "trainer.patience=30", "verbose=2")


def test_data_that_have_changed_are_refused(trained: Trained) -> None:
    file = trained.folder / "houses.csv"
    before = file.read_text()
    file.write_text(before.replace("59.0,177.0", "59.0,178.0"))
    try:
        said = refused(trained, FINISHED, "trainer.max_epochs=3")
    finally:
        file.write_text(before)
    digest = trained.of(FINISHED).data.tags["data.sha256"]
    assert re.fullmatch(
        rf"data=table has the sha256 [0-9a-f]{{64}}, and run finished \(ID\) began with {digest}: the rest of the run "
        r"would be of other data\. Bring the data back, or begin a new run\.",
        said,
    )


def test_rows_that_are_split_in_another_way_are_refused(trained: Trained) -> None:
    run = trained.of(FINISHED)
    client = mlflow.MlflowClient(database_uri(trained.folder / "mlruns"))
    try:
        client.set_tag(run.info.run_id, stored(TEST_DIGEST), "0" * 64)
        message = refused(trained, FINISHED, "trainer.max_epochs=3")
    finally:
        client.set_tag(run.info.run_id, stored(TEST_DIGEST), run.data.tags[TEST_DIGEST])
    assert message == (
        "data=table is split in another way than when run finished (ID) began (split.test.sha256 differs): it would "
        "train on rows that it held out. Begin a new run."
    )


@pytest.mark.parametrize("name", [layout.LAST_CHECKPOINT, layout.BEST_CHECKPOINT])
@pytest.mark.fault(7)
def test_an_altered_checkpoint_is_refused_before_anything_is_fitted(trained: Trained, name: str) -> None:
    run = trained.of(FINISHED)
    file = trained.folder / "mlruns" / "checkpoints" / run.info.run_id / name
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    try:
        said = refused(trained, FINISHED, "trainer.max_epochs=3", code=1)
    finally:
        file.write_bytes(content)
    sentence = shortened(
        f"run finished ({run.info.run_id}) cannot be resumed: {file} is not the file that was written: its sha256 "
        f"differs. It cannot be used. Start it again: {run.data.tags['lifecycle.command']}"
    )
    assert said == sentence.replace(run.info.run_id, "ID")


def test_a_run_that_is_going_on_elsewhere_is_left_alone(trained: Trained) -> None:
    run = trained.of(DIVERGED)
    with FileLock(trained.folder / "mlruns" / "checkpoints" / run.info.run_id / ".lock"):
        said = refused(trained, DIVERGED)
    assert said == "run diverged (ID) is still running in another process. Wait for its end."


def test_a_run_that_fails_again_fails_again(trained: Trained) -> None:
    run = trained.of(DIVERGED)
    ended = trained.command("resume", "run=latest")
    assert (ended.code, ended.err) == (1, f"lifecycle: {run.data.tags['lifecycle.error']}\n")
    after = trained.of(DIVERGED)
    assert (after.info.status, after.data.tags["lifecycle.resumed"]) == ("FAILED", "1")
    assert after.data.tags["lifecycle.error"] == after.data.tags["lifecycle.error_before"]


# More epochs, and ends at odd moments.


def test_a_run_with_more_epochs_is_what_it_would_have_been_with_them_from_the_beginning(
    job: Command, runs: Runs, tmp_path: Path
) -> None:
    words = ["data=iris", "model.dropout=0.2", "schedule=plateau", "schedule.patience=1", "tracking.figures=false"]
    assert job(*words, "trainer.max_epochs=3").code == 0
    assert job("resume", "run=latest", "trainer.max_epochs=9").code == 0
    assert job(*words, "trainer.max_epochs=9").code == 0
    longer, whole = runs()
    assert rows(longer) == rows(whole)
    assert longer.data.metrics == whole.data.metrics
    assert len(points(tmp_path, longer)["val_loss"]) == 9
    assert [step for step, _ in points(tmp_path, longer)["test_loss"]] == [0, 1]  # of 3 epochs, and of 9
    assert longer.data.tags["stopped"] == "max_epochs=9 was reached"
    assert longer.data.tags["lifecycle.max_epochs"] == "9"
    for file in ("config.yaml", "request.json"):
        text = (artifacts(longer) / file).read_text()
        assert re.search(r'max_epochs"?: 9\b', text), file
        assert not re.search(r'max_epochs"?: 3\b', text), file
    folders = [runs_of_ours.find(Which(run=run.info.run_id)).model_folder() for run in (longer, whole)]
    weights = [(folder / "weights.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1]
    assert "nothing is left to do" in job("resume", f"run={longer.info.run_id}").err


def test_a_run_that_was_ended_before_its_first_checkpoint_begins_anew(job: Command, runs: Runs, tmp_path: Path) -> None:
    words = ["data=iris", "trainer.max_epochs=2", "tracking.figures=false"]
    assert job(*words).code == 0
    assert job(*words).code == 0
    whole, resumed = runs()
    shutil.rmtree(tmp_path / "mlruns" / "checkpoints" / resumed.info.run_id)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database, database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"delete from {table} where run_uuid = ?", [resumed.info.run_id])
    mlflow.MlflowClient(database_uri(tmp_path / "mlruns")).update_run(resumed.info.run_id, status="RUNNING")
    ended = job("resume", "run=latest", "verbose=1")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Resumed   {resumed.info.run_name} ({resumed.info.run_id}) from its beginning\n")
    # All files and the model were there already: nothing has come twice.
    assert_same(tmp_path, whole, runs()[1])


@pytest.mark.parametrize("content", [None, "{"], ids=["missing", "cut off"])
def test_a_run_that_was_ended_before_its_request_was_recorded_is_closed_and_to_begin_anew(
    trained: Trained, content: str | None
) -> None:
    file = artifacts(trained.of(DIVERGED)) / "request.json"
    moved = file.rename(file.with_name("moved.json"))
    if content is not None:
        file.write_text(content)
    client = mlflow.MlflowClient(database_uri(trained.folder / "mlruns"))
    run = trained.of(DIVERGED)
    client.update_run(run.info.run_id, status="RUNNING")
    elsewhere = FileLock(trained.folder / "mlruns" / "checkpoints" / run.info.run_id / ".lock")
    try:
        with elsewhere:
            going_on = trained.command("resume", f"run={run.info.run_id}")
            assert trained.of(DIVERGED).info.status == "RUNNING"
        ended = trained.command("resume", f"run={run.info.run_id}")
        assert trained.of(DIVERGED).info.status == "KILLED"
        assert "process was killed" in trained.of(DIVERGED).data.tags["lifecycle.error"]
    finally:
        moved.rename(file)
        client.set_tag(run.info.run_id, "lifecycle.error", run.data.tags["lifecycle.error"])
        client.set_terminated(run.info.run_id, "FAILED")
    assert (going_on.code, ended.code, going_on.out, ended.out) == (2, 2, "", "")
    assert "is still running in another process. Wait for its end." in going_on.err
    assert ended.err == (
        f"lifecycle: run diverged ({run.info.run_id}) ended before its request was recorded, so there is nothing to "
        f"continue; it is KILLED. Start it again: {run.data.tags['lifecycle.command']}\n"
    )


# What is left where a checkpoint is gone or damaged.


@pytest.fixture(scope="module")
def ended_early(forks: Forks, tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Make a run that failed after some epochs, with both of its checkpoints; to be copied."""
    folder = tmp_path_factory.mktemp("early")
    (folder / "mlruns").mkdir(mode=0o700)
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    script = """
import sys
from lifecycle.console import report
from lifecycle.fit import checkpoints
from lifecycle.cli.main import main
checkpoints.SECONDS_BETWEEN, print_epoch = 0.0, report.Report.epoch
def epoch(self, row, most):
    print_epoch(self, row, most)
    if row["epoch"] == 8:
        raise RuntimeError("a fault")
report.Report.epoch = epoch
sys.exit(main())
"""
    words = ["data=iris", "trainer.max_epochs=20", "optimizer.lr=0.01", "tracking.figures=false", "verbose=2"]
    Process(forks, words, folder, code=script).communicate(timeout=120)
    return folder


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def without_digest(file: Path) -> None:
    file.with_name(f"{file.name}.sha256").unlink()


def removed_with_its_digest(file: Path) -> None:
    file.unlink()
    without_digest(file)


DAMAGE = {
    "removed": (Path.unlink, "is missing, and 8 epochs of it are recorded."),
    "removed with its digest": (removed_with_its_digest, "is missing, and 8 epochs of it are recorded."),
    "truncated": (truncated, "its sha256 differs. It cannot be used."),
    "flipped": (flipped, "its sha256 differs. It cannot be used."),
    "no digest": (without_digest, "last.ckpt.sha256 is missing. Give the path of a checkpoint that a run wrote."),
}


@pytest.fixture
def early(ended_early: Path, tmp_path: Path) -> tuple[Path, Run]:
    shutil.copytree(ended_early, tmp_path, dirs_exist_ok=True)
    end_all()  # MLflow remembers where the artifacts of a run's id are
    with contextlib.closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database, database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(f"update {table} set {column} = replace({column}, '{ended_early}', '{tmp_path}')")
    (run,) = map(with_names, mlflow.MlflowClient(database_uri(tmp_path / "mlruns")).search_runs(["1"]))
    return tmp_path / "mlruns" / "checkpoints" / run.info.run_id, run


@pytest.mark.parametrize(
    ("number", "damage"), [(6 if damage.startswith("removed") else 7, damage) for damage in DAMAGE]
)
@pytest.mark.fault(6, 7)
def test_a_run_whose_last_checkpoint_is_gone_or_damaged_is_finished_with_the_best_by_the_command_it_offers(
    early: tuple[Path, Run], lifecycle: Command, runs: Runs, number: int, damage: str
) -> None:
    folder, run = early
    damaged, said = DAMAGE[damage]
    damaged(folder / "last.ckpt")
    best = checkpoints.read(folder / "best.ckpt")
    ended = lifecycle("resume", "run=latest")
    assert (ended.code, ended.out, runs()[0].info.status) == (1, "", "FAILED")
    assert "/last.ckpt " in ended.err
    offer = f"Finish it with the weights of epoch {best['epoch'] + 1} in best.ckpt: lifecycle resume "
    assert said in ended.err
    assert offer in ended.err
    typed = ended.err.split(offer)[1].split()
    assert typed == [f"run={run.info.run_id}", "checkpoint=best"]
    ended = lifecycle("resume", *typed, "verbose=0")
    assert ended.code == 0, ended.err
    (finished,) = runs()
    assert finished.info.status == "FINISHED"
    assert finished.data.tags["lifecycle.finished_from"] == "best.ckpt"
    assert finished.data.tags["weights_epoch"] == str(best["epoch"] + 1)
    model = runs_of_ours.find(Which(run=run.info.run_id)).model_folder()
    saved = load_file(model / "weights.safetensors")
    for name, value in saved.items():
        assert torch.equal(value, best["state_dict"][f"network.{name}"]), name
    history = pd.read_csv(artifacts(finished) / "history.csv")
    assert history["epoch"].tolist() == list(range(1, 9))
    assert history["val_loss"][:7].idxmin() == best["epoch"]  # the eighth epoch was not completed
    rows = pd.read_csv(artifacts(finished) / "predictions.csv")
    assert finished.data.metrics["test_accuracy"] == pytest.approx((rows["actual"] == rows["predicted"]).mean())


@pytest.mark.fault(6)
def test_without_a_best_checkpoint_it_is_to_begin_anew(early: tuple[Path, Run], lifecycle: Command, runs: Runs) -> None:
    folder, run = early
    flipped(folder / "best.ckpt")
    command = run.data.tags["lifecycle.command"]
    ended = lifecycle("resume", "run=latest")
    assert (ended.code, runs()[0].info.status) == (1, "FAILED")
    assert "best.ckpt is not the file that was written" in ended.err
    assert ended.err.endswith(f"Start it again: {command}\n")
    ended = lifecycle("resume", "run=latest", "checkpoint=best")
    assert (ended.code, runs()[0].info.status) == (1, "FAILED")
    assert "checkpoint=best cannot be used: " in ended.err
    assert ended.err.endswith(f"Start it again: {command}\n")
    (folder / "last.ckpt").unlink()
    assert lifecycle("resume", "run=latest").err.endswith(f"epochs of it are recorded. Start it again: {command}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["checkpoint=first"], "checkpoint must be one of last, best, got first"),
        (["checkpoint=best"], "checkpoint=best finishes a run that was ended, and run finished (ID) is FINISHED."),
    ],
)
def test_a_checkpoint_that_cannot_be_meant_is_named(trained: Trained, words: list[str], sentence: str) -> None:
    assert refused(trained, FINISHED, *words).startswith(sentence)


def test_to_finish_and_to_train_further_exclude_each_other(early: tuple[Path, Run], lifecycle: Command) -> None:
    ended = lifecycle("resume", "run=latest", "checkpoint=best", "trainer.max_epochs=30")
    assert ended.code == 2
    assert "checkpoint=best fits no more epochs, got trainer.max_epochs as well. Leave one of them out." in ended.err


def test_other_versions_than_the_run_began_with_are_named(job: Command, runs: Runs, tmp_path: Path) -> None:
    assert job("data=iris", "trainer.max_epochs=1", "tracking.figures=false").code == 0
    client = mlflow.MlflowClient(database_uri(tmp_path / "mlruns"))
    client.set_tag(runs()[0].info.run_id, stored("version.numpy"), "1.0.0")
    ended = job("resume", "run=latest", "trainer.max_epochs=2", "verbose=2")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[1:3] == [
        f"          version.numpy was 1.0.0, is {np.__version__}",
        "          so the last digits may differ from those of an uninterrupted run",
    ]


def test_the_worker_ends_the_run_after_a_line_that_a_kill_cut_short() -> None:
    answers: list[Answer] = []
    lines = io.BytesIO(encode(CloseDeadRuns("/gone", {}), 1) + encode(LogMetrics([("loss", 1.0, 0, 0)]), None)[:20])
    worker.serve(lines, answers.append)
    assert [answer.number for answer in answers] == [1]
