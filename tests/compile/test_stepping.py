"""Chunks of steps give the weights of Lightning's automatic optimization, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.optimization import build_optimizer, build_schedule
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.batches import Batch, Batches, Chunks, Truth
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.define.network import define
from lifecycle.fit.trainer import fit
from lifecycle.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, OptimizerConfig
from lifecycle.plugins.mlp import MLP
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.runtime.seeds import epoch_seed, seed_all
from lifecycle.schedules import SCHEDULES, NoSchedule, OneCycle, Plateau, ScheduleConfig

SEED, EPOCHS, ROWS = 3, 3, 13


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As the pipeline runs it; and with as many threads for Lightning as we take, as sums depend on these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with quiet_libraries():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load(Table(path="sklearn:iris", target="species"), "iris", "table", seed=1)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load(Table(path="sklearn:digits", target="digit"), "digits", "table", seed=1)


class Ordinary(pl.LightningModule):
    """What Lightning's documentation tells one to write: a loss is returned, and the Trainer does the rest."""

    def __init__(self, module: CompiledModel) -> None:
        super().__init__()
        self.module = module

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        inputs, targets, *_ = batch
        loss: Tensor = self.module.loss(self.module.network(inputs), targets, weighted=True)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(inputs))
        return loss

    def configure_optimizers(self) -> Any:
        config = self.module.schedule_config
        optimizer = build_optimizer(self.module.optimizer_config, self.module.network)
        schedule = build_schedule(config, optimizer, int(self.trainer.estimated_stepping_batches))
        if schedule is None:
            return optimizer
        interval = "step" if isinstance(config, OneCycle) else "epoch"
        config = {"scheduler": schedule, "interval": interval, "monitor": "train_loss"}
        return {"optimizer": optimizer, "lr_scheduler": config}


class Order(pl.Callback):
    """The order of rows and the random numbers that an epoch has in ours."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.batches.set_epoch(trainer.current_epoch)
        seed_all(epoch_seed(SEED, trainer.current_epoch, stream=1))


def compiled(data: Dataset, optimizer: OptimizerConfig, schedule: ScheduleConfig | None, **more: Any) -> CompiledModel:
    network = define(MLP(hidden=[8, 6], dropout=0.3, batch_norm=True), "mlp", data.spec, seed=1)
    completed = (schedule or NoSchedule()).complete(EPOCHS, "train_loss", optimizer)
    return CompiledModel(network, data.spec, optimizer, schedule=completed, **more)


def ordinary(module: CompiledModel, data: Dataset, folder: Path, **trainer: Any) -> None:
    """Fit as Lightning does by itself."""
    batches = Batches(data.train.inputs, data.train.targets, ROWS, shuffle_seed=SEED)
    pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[Order(batches)],
        **trainer,
    ).fit(Ordinary(module), batches)


def check(data: Dataset, folder: Path, optimizer: OptimizerConfig, **more: Any) -> None:
    """Compare ours with Lightning's; ``clip`` and ``algorithm`` are the Trainer's, all else is compiled in."""
    schedule, clip = more.pop("schedule", None), more.pop("clip", None)
    algorithm = more.pop("algorithm", "norm")
    ours, theirs = (compiled(data, optimizer, schedule, **more) for _ in range(2))
    before = [value.clone() for value in theirs.network.state_dict().values()]
    config = TrainerConfig(
        max_epochs=EPOCHS,
        batch_size=ROWS,
        early_stopping=False,
        restore_best=False,
        gradient_clip_val=clip,
        gradient_clip_algorithm=algorithm,
    )
    fit(ours, data, config, SEED, folder)
    ordinary(theirs, data, folder, gradient_clip_val=clip, gradient_clip_algorithm=algorithm if clip else None)
    same(ours, theirs)
    assert not all(map(torch.equal, before, theirs.network.state_dict().values()))


def same(ours: CompiledModel, theirs: CompiledModel) -> None:
    for key, value in theirs.network.state_dict().items():
        assert torch.equal(ours.network.state_dict()[key], value), key


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"sparse_adam", "muon"}))
def test_every_optimizer_gives_lightnings_weights(name: str, iris: Dataset, tmp_path: Path) -> None:
    check(iris, tmp_path, OPTIMIZERS[name]())


def test_muon_gives_lightnings_weights(iris: Dataset, tmp_path: Path) -> None:
    check(iris, tmp_path, OPTIMIZERS["muon"](lr=0.02), schedule=SCHEDULES["cosine"]())


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"none"}))
def test_every_schedule_gives_lightnings_weights(name: str, iris: Dataset, tmp_path: Path) -> None:
    schedule = Plateau(factor=0.1, patience=0, threshold=0.5) if name == "plateau" else SCHEDULES[name]()
    check(iris, tmp_path, Adam(lr=0.05), schedule=schedule)


@pytest.mark.parametrize(("algorithm", "clip"), [("norm", 0.1), ("value", 0.01)])
def test_clipping_gives_lightnings_weights(algorithm: str, clip: float, iris: Dataset, tmp_path: Path) -> None:
    check(iris, tmp_path, SGD(lr=0.5, momentum=0.9), clip=clip, algorithm=algorithm)


def test_clipping_with_several_evaluations_a_step_gives_lightnings_weights(iris: Dataset, tmp_path: Path) -> None:
    check(iris, tmp_path, LBFGS(max_iter=3), clip=0.05)


def test_class_weights_and_label_smoothing_give_lightnings_weights(iris: Dataset, tmp_path: Path) -> None:
    check(iris, tmp_path, Adam(lr=0.05), class_weights=torch.tensor([1.0, 2.0, 0.5]), label_smoothing=0.1)


def test_rows_that_begin_anywhere_in_memory_give_lightnings_weights(digits: Dataset, tmp_path: Path) -> None:
    check(digits, tmp_path, Adam(), clip=1.0)


class Watching(pl.Callback):
    """Sees the gradients of each step."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        self.norms.append(float(nn.utils.get_total_norm(gradients)))


class Epochs(pl.Callback):
    """Sees the ends of epochs, and what the Trainer then says."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.metrics: list[set[str]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seen.append((trainer.global_step, trainer.num_training_batches))
        self.metrics.append(set(trainer.callback_metrics))


def fitted(data: Dataset, folder: Path, *callbacks: pl.Callback) -> CompiledModel:
    module = compiled(data, Adam(lr=0.05), OneCycle())
    config = TrainerConfig(max_epochs=EPOCHS, batch_size=ROWS, early_stopping=False, restore_best=False)
    fit(module, data, config, SEED, folder, callbacks=callbacks)
    return module


def test_a_callback_that_watches_steps_is_called_at_each_and_changes_nothing(iris: Dataset, tmp_path: Path) -> None:
    watching, steps = Watching(), EPOCHS * -(-len(iris.train) // ROWS)
    same(fitted(iris, tmp_path / "watched", watching), fitted(iris, tmp_path))
    assert len(watching.norms) == steps
    assert all(norm > 0 for norm in watching.norms)


def test_without_one_a_short_epoch_is_a_single_batch_of_lightnings_and_all_steps_are_counted(
    iris: Dataset, tmp_path: Path
) -> None:
    epochs, both = Epochs(), Epochs()
    steps = -(-len(iris.train) // ROWS)
    fitted(iris, tmp_path, epochs)
    assert epochs.seen == [((epoch + 1) * steps, 1) for epoch in range(EPOCHS)]
    fitted(iris, tmp_path, both, Watching())
    assert both.seen == [((epoch + 1) * steps, steps) for epoch in range(EPOCHS)]


def test_a_callback_finds_all_scores_in_the_trainers_metrics(iris: Dataset, tmp_path: Path) -> None:
    epochs = Epochs()
    fitted(iris, tmp_path, epochs)
    assert epochs.metrics[-1] >= {"train_loss", "train_accuracy", "val_loss", "val_accuracy"}


@pytest.mark.parametrize("steps", [1, 2, 3, 100])
@pytest.mark.parametrize("rows", [1, 7, 12, 13])
def test_chunks_are_the_same_mini_batches_several_at_once(steps: int, rows: int) -> None:
    inputs = torch.arange(30.0).reshape(-1, 1)
    for seed in (None, 5):
        batches = Batches(inputs, 2 * inputs, rows, seed, truth=Truth(3 * inputs, 4 * inputs))
        chunks = list(Chunks(batches, steps))
        assert len(chunks) == len(Chunks(batches, steps))
        assert [len(chunk) for chunk in chunks[:-1]] == [steps] * (len(chunks) - 1)
        found = [batch for chunk in chunks for batch in chunk.to("cpu")]
        for mine, other in zip(found, batches, strict=True):
            for index in (0, 1):
                assert torch.equal(mine[index], other[index])  # type: ignore[arg-type]
            assert mine[2] == other[2] == 1.0
            truth = mine[3]
            assert isinstance(truth, Truth)
            assert truth.base is not None
            assert torch.equal(truth.values, 3 * mine[0])
            assert torch.equal(truth.base, 4 * mine[0])
