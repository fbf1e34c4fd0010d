"""Fitting: the numbers of a plain PyTorch loop, the best weights, and a history that can be believed."""

from __future__ import annotations

import copy
import dataclasses
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch._dynamo.utils import counters
from torch._inductor import config as inductor
from torch._inductor.utils import fresh_cache

from lifecycle import layout
from lifecycle.api.model import Model
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.batches import Batches, Chunks
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.series import Series
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.define.network import define
from lifecycle.errors import RequestError, TrainingError
from lifecycle.evaluate.scoring import evaluate
from lifecycle.fit import checkpoints, preflight
from lifecycle.fit.epochs import Epochs
from lifecycle.fit.history import History, Row
from lifecycle.fit.trainer import fit, trainer_for
from lifecycle.optimizers import SGD, Adam, OptimizerConfig
from lifecycle.plugins.mlp import MLP
from lifecycle.runtime.quiet import quiet_libraries
from tests.conftest import Command
from tests.packages import Site, fresh_site
from tests.rows import TableRows, load_rows

site = pytest.fixture(fresh_site, name="site")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As the pipeline runs it."""
    with quiet_libraries():
        yield


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load(Table(path="sklearn:iris", target="species"), "iris", "table", seed=1)


def compiled(data: Dataset, optimizer: OptimizerConfig, **fields: object) -> CompiledModel:
    network = define(MLP(hidden=[8], **fields), "mlp", data.spec, seed=1)  # type: ignore[arg-type]
    return CompiledModel(network, data.spec, optimizer)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SGD(lr=0.1, momentum=0.3), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.3, fused=True)),
        (Adam(lr=0.01), lambda p: torch.optim.Adam(p, lr=0.01, fused=True)),
    ],
    ids=["sgd", "adam"],
)
def test_the_weights_are_those_of_a_plain_loop_bit_for_bit(
    iris: Dataset, tmp_path: Path, ours: OptimizerConfig, theirs: object
) -> None:
    module = compiled(iris, ours)
    config = TrainerConfig(max_epochs=4, batch_size=16, early_stopping=False, restore_best=False)
    history = fit(module, iris, config, 5, tmp_path)

    network = define(MLP(hidden=[8]), "mlp", iris.spec, seed=1)
    optimizer = theirs(network.parameters())  # type: ignore[operator]
    batches = Batches(iris.train.inputs, iris.train.targets, 16, shuffle_seed=5)
    for epoch in range(4):
        batches.set_epoch(epoch)
        total = 0.0
        for inputs, targets, *_ in batches:
            loss = nn.functional.cross_entropy(network(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs)
        assert history.rows[epoch]["train_loss"] == pytest.approx(total / len(iris.train), rel=1e-6)
    for key, value in network.state_dict().items():
        assert torch.equal(module.network.state_dict()[key], value), key
    assert iris.val is not None
    val_loss = nn.functional.cross_entropy(network(iris.val.inputs), iris.val.targets).item()
    assert history.rows[-1]["val_loss"] == pytest.approx(val_loss, rel=1e-6)


def test_the_best_epochs_weights_are_the_ones_that_are_left(iris: Dataset, tmp_path: Path) -> None:
    module = compiled(iris, Adam(lr=0.1))
    history = fit(module, iris, TrainerConfig(max_epochs=200, patience=5), 1, tmp_path)
    losses = [row["val_loss"] for row in history.rows]
    assert history.best_epoch == history.weights_epoch == 1 + int(np.argmin(losses)) < len(losses)
    assert history.stopped == "val_loss had not improved for 5 epochs"
    best = checkpoints.read(tmp_path / layout.BEST_CHECKPOINT)
    assert set(best) == {"epoch", "global_step", "pytorch-lightning_version", "state_dict"}
    assert best["epoch"] == history.best_epoch - 1
    assert best["global_step"] == history.best_epoch * -(-len(iris.train) // 32)
    assert iris.val is not None
    alone = trainer_for(TrainerConfig(), devices=1, folder=tmp_path)
    scores = evaluate(module, Batches(iris.val.inputs, iris.val.targets, 7), alone)
    assert scores["loss"] == pytest.approx(min(losses), rel=1e-5)


def test_ctrl_c_in_a_notebook_is_a_keyboard_interrupt_and_works_again(iris: Dataset, tmp_path: Path) -> None:
    def press(_row: object) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(compiled(iris, Adam()), iris, TrainerConfig(max_epochs=3), 1, tmp_path, [press])
    assert signal.getsignal(signal.SIGINT) is before
    assert checkpoints.read(tmp_path / layout.LAST_CHECKPOINT)["epoch"] == 0


def test_a_fault_leaves_the_best_weights_of_all_epochs_before_it(iris: Dataset, tmp_path: Path) -> None:
    losses: list[float] = []

    def fault(row: Row) -> None:
        losses.append(row["val_loss"])
        if row["epoch"] == 9:
            raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        fit(compiled(iris, Adam(lr=0.01)), iris, TrainerConfig(max_epochs=20), 1, tmp_path, [fault])
    seen = losses[:-1]  # the fault was before the checkpoint of its own epoch
    assert checkpoints.read(tmp_path / layout.BEST_CHECKPOINT)["epoch"] == int(np.argmin(seen)) > 0


def test_an_accuracy_is_monitored_upwards(iris: Dataset, tmp_path: Path) -> None:
    module = compiled(iris, Adam(lr=0.01))
    history = fit(module, iris, TrainerConfig(max_epochs=20, monitor="val_accuracy"), 1, tmp_path)
    values = [row["val_accuracy"] for row in history.rows]
    assert history.best_epoch == 1 + int(np.argmax(values))


def test_restore_best_false_leaves_the_last_weights(iris: Dataset, tmp_path: Path) -> None:
    module = compiled(iris, Adam(lr=0.1))
    history = fit(module, iris, TrainerConfig(max_epochs=30, patience=3, restore_best=False), 1, tmp_path)
    losses = [row["val_loss"] for row in history.rows]
    assert history.best_epoch == 1 + int(np.argmin(losses)) < history.weights_epoch == len(losses)
    last = checkpoints.read(tmp_path / layout.LAST_CHECKPOINT)["state_dict"]
    assert all(torch.equal(last[f"network.{key}"], value) for key, value in module.network.state_dict().items())


def test_dropout_is_a_function_of_seed_and_epoch_alone(iris: Dataset, tmp_path: Path) -> None:
    weights = []
    for before in (0, 1000):
        module = compiled(iris, Adam(), dropout=0.5)
        torch.rand(before)
        fit(module, iris, TrainerConfig(max_epochs=3), 1, tmp_path)
        weights.append(torch.cat([p.flatten() for p in module.parameters()]))
    assert torch.equal(*weights)


def test_resuming_from_last_ckpt_gives_the_weights_of_an_uninterrupted_fit(iris: Dataset, tmp_path: Path) -> None:
    whole, half = compiled(iris, Adam(), dropout=0.5), compiled(iris, Adam(), dropout=0.5)
    config = TrainerConfig(max_epochs=6, early_stopping=False, restore_best=False)
    fit(whole, iris, config, 1, tmp_path / "whole")
    fit(half, iris, TrainerConfig(max_epochs=3, early_stopping=False, restore_best=False), 1, tmp_path / "half")

    batches = Batches(iris.train.inputs, iris.train.targets, 32, shuffle_seed=1)
    recorder = Epochs(batches, 1, ())
    trainer = trainer_for(
        config,
        devices=1,
        folder=tmp_path,
        max_epochs=6,
        callbacks=[recorder],
        enable_checkpointing=False,
    )
    resumed = compiled(iris, Adam(), dropout=0.5)
    assert iris.val is not None
    val = Batches(iris.val.inputs, iris.val.targets, 1024)
    trainer.fit(resumed, Chunks(batches, 1), val, ckpt_path=tmp_path / "half" / "last.ckpt", weights_only=True)
    assert [row["epoch"] for row in recorder.rows] == [1, 2, 3, 4, 5, 6]
    for key, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[key], value), key


def test_last_ckpt_knows_of_the_best_epoch_whenever_it_is_written(
    iris: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    class Reader(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch:
                states = checkpoints.read(tmp_path / layout.LAST_CHECKPOINT)["callbacks"]
                (best,) = (state for name, state in states.items() if name.startswith("ModelCheckpoint"))
                seen.append(float(best["best_model_score"]))

    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    config = TrainerConfig(max_epochs=6, early_stopping=False)
    history = fit(compiled(iris, Adam(lr=0.05)), iris, config, 1, tmp_path, callbacks=[Reader()])
    losses = [row["val_loss"] for row in history.rows]
    assert seen == pytest.approx([min(losses[:epoch]) for epoch in range(1, 6)])


def test_scores_of_a_pass_that_was_broken_off_are_not_in_the_next(iris: Dataset, tmp_path: Path) -> None:
    module, fresh = compiled(iris, Adam()), compiled(iris, Adam())
    module.train_scores.add(100 * torch.eye(4, 3), torch.ones(4, dtype=torch.long))
    rows = [fit(m, iris, TrainerConfig(max_epochs=1), 1, tmp_path).rows[0]["train_loss"] for m in (module, fresh)]
    assert rows[0] == rows[1]


def test_a_network_that_draws_from_numpy_is_repeatable_too(iris: Dataset, tmp_path: Path) -> None:
    class Noisy(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return super().forward(inputs) * (1 + float(np.random.rand()))

    losses = []
    for _ in range(2):
        np.random.rand(len(losses))
        torch.manual_seed(0)
        module = CompiledModel(Noisy(4, 3), iris.spec, Adam())
        losses.append(fit(module, iris, TrainerConfig(max_epochs=3), 1, tmp_path).rows[-1]["train_loss"])
    assert losses[0] == losses[1]


def plain_loop(
    data: Dataset, epochs: int, clip: Callable[[nn.Module], object], seed: int | None = 5
) -> tuple[nn.Module, list[float]]:
    """Fit with a plain loop; return the network and the mean loss of each epoch."""
    network = define(MLP(hidden=[8]), "mlp", data.spec, seed=1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    batches = Batches(data.train.inputs, data.train.targets, 16, shuffle_seed=seed)
    losses = []
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        total = 0.0
        for inputs, targets, *_ in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(inputs), targets)
            loss.backward()
            clip(network)
            optimizer.step()
            total += loss.item() * len(inputs)
        losses.append(total / len(data.train))
    return network, losses


PLAIN = {"batch_size": 16, "early_stopping": False, "restore_best": False}


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_as_torchs_own_functions_do(iris: Dataset, tmp_path: Path, algorithm: str) -> None:
    module = compiled(iris, SGD(lr=0.5))
    config = TrainerConfig(max_epochs=3, gradient_clip_val=0.05, gradient_clip_algorithm=algorithm, **PLAIN)  # type: ignore[arg-type]
    fit(module, iris, config, 5, tmp_path)
    clip = nn.utils.clip_grad_norm_ if algorithm == "norm" else nn.utils.clip_grad_value_
    network, _ = plain_loop(iris, 3, lambda net: clip(net.parameters(), 0.05))
    free, _ = plain_loop(iris, 3, lambda net: None)
    for ours, theirs in zip(module.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not torch.allclose(next(free.parameters()), next(network.parameters()))


def test_without_shuffling_each_epoch_has_the_rows_in_their_order(iris: Dataset, tmp_path: Path) -> None:
    module = compiled(iris, SGD(lr=0.5))
    history = fit(module, iris, TrainerConfig(max_epochs=3, shuffle=False, **PLAIN), 5, tmp_path)  # type: ignore[arg-type]
    network, losses = plain_loop(iris, 3, lambda net: None, seed=None)
    assert history.history["train_loss"] == pytest.approx(losses, rel=1e-6)
    assert torch.equal(next(module.network.parameters()), next(network.parameters()))


def test_classes_are_balanced_where_one_is_rare(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"x": np.linspace(-1, 1, 200), "y": ["rare" if row % 20 == 0 else "often" for row in range(200)]}
    )
    data = load_rows(TableRows(frame=frame))
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    nn.init.constant_(network.bias, 5.0)  # so that "rare", the second class, is what is predicted
    module = CompiledModel(network, data.spec, SGD(lr=1e-12))
    rows = fit(module, data, TrainerConfig(max_epochs=20, class_balanced=True), 1, tmp_path).rows
    assert np.mean([row["train_accuracy"] for row in rows]) == pytest.approx(0.5, abs=0.05)
    assert rows[0]["val_accuracy"] == pytest.approx(np.mean(data.val.labels == "rare"))  # type: ignore[union-attr]


def test_classes_of_a_regression_are_not_balanced() -> None:
    data = load(Series(path="lifecycle:sequence.csv", target="value"), "sequence", "series", seed=1)
    module = CompiledModel(define(MLP(), "mlp", data.spec, seed=1), data.spec, Adam())
    sentence = r"^trainer\.class_balanced=true needs classes, got a regression of value\. Leave it out\.$"
    with pytest.raises(RequestError, match=sentence):
        preflight.check(TrainerConfig(class_balanced=True), module, data)


def with_batch_norm(data: Dataset) -> CompiledModel:
    return CompiledModel(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)), data.spec, Adam())


@pytest.mark.parametrize(
    ("size", "devices", "cure"), [(1, 1, 2), (89, 1, 90), (30, 30, 90), (44, 2, 45), (29, 2, 30)], ids=str
)
def test_a_batch_of_one_row_does_not_go_with_batch_normalisation(
    iris: Dataset, size: int, devices: int, cure: int
) -> None:
    config = TrainerConfig(batch_size=size, devices=devices)
    sentence = (
        f"trainer.batch_size={size} leaves a process with one row of the 90 training rows in a batch, and batch "
        f"normalisation needs two or more. Use trainer.batch_size={cure}."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        preflight.check(config, with_batch_norm(iris), iris)
    preflight.check(dataclasses.replace(config, batch_size=cure), with_batch_norm(iris), iris)
    preflight.check(config, compiled(iris, Adam()), iris)  # a network without it


def test_the_suggested_batch_size_for_batch_normalisation_trains(iris: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        fit(with_batch_norm(iris), iris, TrainerConfig(max_epochs=1, batch_size=89), 1, tmp_path)
    fit(with_batch_norm(iris), iris, TrainerConfig(max_epochs=1, batch_size=90), 1, tmp_path)


def test_batch_normalisation_of_images_takes_a_batch_of_one_row_and_is_left_as_it_was(iris: Dataset) -> None:
    network = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 3))
    before = copy.deepcopy(network.state_dict())
    preflight.check(TrainerConfig(batch_size=1), CompiledModel(network, iris.spec, Adam()), iris)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


class Scripted(pl.Callback):
    """Gives the validation loss the values that a test is about; the network continues to learn."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = losses

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        scores = pl_module.val_scores
        compute = type(scores).compute
        value = self.losses[trainer.current_epoch]
        scores.compute = lambda: {**compute(scores), "loss": value}


def scripted(data: Dataset, folder: Path, losses: list[float], **fields: object) -> History:
    config = TrainerConfig(max_epochs=len(losses), **fields)  # type: ignore[arg-type]
    return fit(compiled(data, Adam()), data, config, 1, folder, callbacks=[Scripted(losses)])


def test_patience_is_the_epochs_that_may_pass_without_a_better_value(iris: Dataset, tmp_path: Path) -> None:
    losses = [1.0, 0.9, 0.95, 0.8, 0.85, 0.9, 0.95, 0.7]
    impatient = scripted(iris, tmp_path, losses, patience=1)
    assert (len(impatient.rows), impatient.best_epoch) == (3, 2)
    assert impatient.stopped == "val_loss had not improved for 1 epoch"
    patient = scripted(iris, tmp_path, losses, patience=2)
    assert (len(patient.rows), patient.best_epoch) == (6, 4)
    assert len(scripted(iris, tmp_path, losses, early_stopping=False, patience=1).rows) == 8


def test_min_delta_is_the_smallest_change_that_counts(iris: Dataset, tmp_path: Path) -> None:
    losses = [1.0, 0.95, 0.9, 0.85, 0.6]
    assert len(scripted(iris, tmp_path, losses, patience=2).rows) == 5
    history = scripted(iris, tmp_path, losses, patience=2, min_delta=0.2)
    assert (len(history.rows), history.weights_epoch) == (3, 3)  # the best weights are kept all the same
    assert len(scripted(iris, tmp_path, losses, patience=3, min_delta=0.1).rows) == 5


def test_the_monitor_decides_when_to_stop_and_which_epoch_is_best(iris: Dataset, tmp_path: Path) -> None:
    losses = [1.0, 2.0, 3.0, 4.0, 5.0]  # worse and worse, while the training loss improves
    by_val, by_train = (
        scripted(iris, tmp_path, losses, patience=1, monitor=monitor) for monitor in ("val_loss", "train_loss")
    )
    assert (len(by_val.rows), by_val.weights_epoch) == (2, 1)
    assert (len(by_train.rows), by_train.weights_epoch) == (5, 5)


def test_the_history_has_the_attributes_of_keras(iris: Dataset, tmp_path: Path) -> None:
    history = fit(compiled(iris, Adam()), iris, TrainerConfig(max_epochs=3), 1, tmp_path)
    assert history.epoch == [1, 2, 3]
    assert history.history["val_loss"] == history.frame["val_loss"].tolist()
    assert list(history.history) == ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "epoch_seconds"]


COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++, which is not here")


def graphs() -> int:
    """Return how many graphs torch.compile has made so far."""
    return int(counters["stats"]["unique_graphs"])


@pytest.mark.longest
@COMPILER
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
def test_a_compiled_network_learns_the_same_and_is_saved_as_if_it_were_not(iris: Dataset, tmp_path: Path) -> None:
    modules, histories, made = [compiled(iris, Adam(lr=0.01)) for _ in range(2)], [], [graphs()]
    torch.compiler.reset()
    for module, switch in zip(modules, (False, True), strict=True):
        # One shape of batch, as each takes seconds to compile.
        config = TrainerConfig(max_epochs=3, batch_size=30, torch_compile=switch, early_stopping=False)
        histories.append(fit(module, iris, config, 1, tmp_path).history)
        made.append(graphs())
    assert made[0] == made[1] < made[2]
    for name in ("train_loss", "val_loss"):
        assert histories[1][name] == pytest.approx(histories[0][name], rel=1e-4)
    states = [module.network.state_dict() for module in modules]
    assert list(states[0]) == list(states[1])
    for key in states[0]:
        torch.testing.assert_close(states[1][key], states[0][key], rtol=1e-3, atol=1e-5)
    assert set(checkpoints.read(tmp_path / layout.BEST_CHECKPOINT)["state_dict"]) == {
        f"network.{key}" for key in states[0]
    }
    modules[1].eval()(iris.train.inputs[:5, None])  # of a new shape
    assert graphs() == made[2]  # once it is fitted it is called as it is


@pytest.mark.filterwarnings("ignore")
def test_a_missing_compiler_is_reported(iris: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    torch.compiler.reset()
    sentence = (
        r"^trainer\.torch_compile=true but torch\.compile fails: .*\. Install a C\+\+ "
        r"compiler \(g\+\+\) if there is none, or leave trainer\.torch_compile out\.$"
    )
    with fresh_cache(), pytest.raises(TrainingError, match=sentence):
        fit(compiled(iris, Adam()), iris, TrainerConfig(max_epochs=1, torch_compile=True), 1, tmp_path)


def test_a_batch_larger_than_the_training_rows_is_all_of_them(iris: Dataset, tmp_path: Path) -> None:
    weights = []
    for size in (90, 91, 1_000_000):
        config, module = TrainerConfig(batch_size=size, max_epochs=2), compiled(iris, Adam())
        preflight.check(config, module, iris)
        fit(module, iris, config, 0, tmp_path / str(size))
        weights.append(torch.cat([value.flatten() for value in module.network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_a_reduced_batch_size_is_printed_and_recorded(
    job: Command, runs: Callable[[], list[Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    note = "trainer.batch_size=512 is more than the 90 training rows: each step takes all 90"
    ended = job("data=iris", "trainer.batch_size=512", "trainer.max_epochs=1", "verbose=2")
    assert (ended.code, ended.err) == (0, "")
    assert f"Batches   {note}\n" in ended.out
    (run,) = runs()
    assert (run.data.params["trainer.batch_size"], run.data.tags["lifecycle.batch_size"]) == ("512", "90")
    fits = job("data=iris", "trainer.batch_size=90", "trainer.max_epochs=1", "verbose=2")
    assert "Batches" not in fits.out
    assert "lifecycle.batch_size" not in runs()[1].data.tags
    X = np.arange(20.0).reshape(10, 2)  # noqa: N806
    for verbose in (0, 2):
        Model("mlp").fit(X, X[:, 0], epochs=1, batch_size=512, verbose=verbose)
    out = capfd.readouterr().out
    assert out.count("batch_size=512 is more than the 10 training rows: each step takes all 10\n") == 1
    assert "trainer." not in out


def test_batches_of_two_rows_and_more_are_enough_for_batch_normalisation(iris: Dataset, tmp_path: Path) -> None:
    config, module = TrainerConfig(batch_size=88, max_epochs=1), compiled(iris, Adam(), batch_norm=True)
    preflight.check(config, module, iris)
    assert len(fit(module, iris, config, 0, tmp_path).rows) == 1


def test_a_monitor_that_nothing_measures_is_refused(iris: Dataset) -> None:
    with pytest.raises(RequestError, match=r"trainer.monitor=val_acc is not measured. Did you mean val_accuracy\?"):
        preflight.check(TrainerConfig(monitor="val_acc"), compiled(iris, Adam()), iris)


def test_a_monitor_without_validation_rows_is_refused(iris: Dataset) -> None:
    data = load(Table(path="sklearn:iris", target="species", val_size=0.0), "iris", "table", seed=1)
    with pytest.raises(
        RequestError, match=r"needs validation rows, got data.val_size=0. Add trainer.early_stopping=false"
    ):
        preflight.check(TrainerConfig(), compiled(iris, Adam()), data)


def test_r2_of_a_single_row_is_refused(tmp_path: Path) -> None:
    data = load(Series(path="lifecycle:sequence.csv", target="value", window=6), "sequence", "series", seed=1)
    assert (len(data.train), len(data.test)) == (2, 1)
    module = CompiledModel(define(MLP(), "mlp", data.spec, seed=1), data.spec, Adam(), metrics=["r2"])
    with pytest.raises(RequestError, match=r"metrics=r2 needs two rows or more in each part, got one. Hold out more"):
        preflight.check(TrainerConfig(), module, data)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_reported() -> None:
    sentence = "trainer.accelerator=gpu but torch sees no GPU. Use trainer.accelerator=cpu or auto."
    with pytest.raises(RequestError, match=sentence):
        preflight.check_devices(TrainerConfig(accelerator="gpu"))


def test_the_history_is_a_table(iris: Dataset, tmp_path: Path) -> None:
    seen: list[float] = []
    listeners = [lambda row: seen.append(row["epoch"])]
    history = fit(compiled(iris, Adam()), iris, TrainerConfig(max_epochs=3), 1, tmp_path, listeners)
    columns = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "epoch_seconds"]
    assert list(history.frame) == columns
    assert seen == history.frame["epoch"].tolist() == [1, 2, 3]


class ScriptedAccuracy(pl.Callback):
    """Gives the accuracy of validation the values that a test is about."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        scores = pl_module.val_scores
        compute = type(scores).compute
        value = self.values[trainer.current_epoch]
        scores.compute = lambda: {**compute(scores), "accuracy": value}


NONE = float("nan")


@pytest.mark.parametrize(
    ("values", "patience", "epochs", "best", "stopped"),
    [
        ([NONE, 0.5, NONE, 0.7, 0.6], 2, 5, 4, "max_epochs=5 was reached"),
        ([0.5, NONE, 0.7, NONE, NONE, 0.9], 2, 5, 3, "val_accuracy had not improved for 2 epochs"),
        ([NONE, 0.5, 0.6], 1, 1, 1, "val_accuracy had not improved for 1 epoch"),
        ([0.5, NONE, 0.9], 1, 2, 1, "val_accuracy had not improved for 1 epoch"),
    ],
)
def test_a_monitored_metric_that_an_epoch_does_not_have_is_no_better_and_no_end(
    iris: Dataset, tmp_path: Path, values: list[float], patience: int, epochs: int, best: int, stopped: str
) -> None:
    config = TrainerConfig(max_epochs=len(values), monitor="val_accuracy", patience=patience)
    history = fit(compiled(iris, Adam()), iris, config, 1, tmp_path, callbacks=[ScriptedAccuracy(values)])
    assert (len(history.rows), history.best_epoch, history.stopped) == (epochs, best, stopped)


CALLBACKS = """\
from pytorch_lightning import Callback


class Added(Callback):
    pass


def added():
    return Added()
"""


def test_a_package_that_adds_callbacks_to_each_trainer_is_found_when_it_is_installed(
    site: Site, tmp_path: Path
) -> None:
    def names() -> list[str]:
        trainer = trainer_for(TrainerConfig(accelerator="cpu"), devices=1, folder=tmp_path)
        return [type(callback).__name__ for callback in trainer.callbacks]  # type: ignore[attr-defined]

    assert "Added" not in names()
    site.install("callback-adder", {"added": "added"}, CALLBACKS, group="pytorch_lightning.callbacks_factory")
    assert "Added" in names()
