"""Precision: bfloat16 in steps only, weights that are not rounded twice, and images with channels last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.precision import is_bf16, with_channels_last
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.batches import Batches
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.images import Images
from lifecycle.data.load import load
from lifecycle.define.network import define
from lifecycle.evaluate.scoring import evaluate
from lifecycle.fit import trainer
from lifecycle.optimizers import Adam
from lifecycle.plugins.cnn import CNN
from lifecycle.plugins.mlp import MLP
from lifecycle.runtime.quiet import quiet_libraries


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As the pipeline runs it."""
    with quiet_libraries():
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return 60 images of 2 x 6 x 5 in three classes."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.random((60, 60)), columns=[f"p{number}" for number in range(60)])
    file = tmp_path_factory.mktemp("images") / "images.csv"
    frame.assign(kind=["a", "b", "c"] * 20).to_csv(file, index=False)
    plugin = Images(path=str(file), target="kind", shape=[2, 6, 5])
    return load(plugin, "made", "images", seed=1)


def compiled(data: Dataset, network: nn.Module | None = None) -> CompiledModel:
    built = network or define(CNN(channels=[3], hidden=[4], dropout=0.2, pool=2), "cnn", data.spec, seed=1)
    return CompiledModel(built, data.spec, Adam(lr=0.01))


def config(**fields: Any) -> TrainerConfig:
    common: dict[str, Any] = {"max_epochs": 2, "batch_size": 7, "early_stopping": False, "restore_best": False}
    return TrainerConfig(accelerator="cpu", **common, **fields)


def weights(module: CompiledModel) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


class Watching(pl.Callback):
    """Wants to see each step."""

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Do nothing."""


class DTypes:
    """Notes in which precision a layer answers while it is trained, and while it is not."""

    def __init__(self, layer: nn.Module) -> None:
        self.seen: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
        layer.register_forward_hook(self)

    def __call__(self, layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        self.seen[layer.training].add(output.dtype)


def test_only_the_steps_compute_in_bfloat16(images: Dataset, tmp_path: Path) -> None:
    module = compiled(images)
    seen = DTypes(module.network[0]).seen  # type: ignore[index]
    trainer.fit(module, images, config(precision="bf16-mixed"), 1, tmp_path)
    assert images.test is not None
    alone = trainer.trainer_for(config(), devices=1, folder=tmp_path)
    evaluate(module, Batches(images.test.inputs, images.test.targets, 1024), alone)
    assert seen == {True: {torch.bfloat16}, False: {torch.float32}}
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_weights_that_a_step_has_changed_are_rounded_anew_in_the_next(images: Dataset, tmp_path: Path) -> None:
    many, single = compiled(images), compiled(images)
    trainer.fit(many, images, config(precision="bf16-mixed"), 1, tmp_path / "many")
    trainer.fit(single, images, config(precision="bf16-mixed"), 1, tmp_path / "single", callbacks=[Watching()])
    assert torch.equal(weights(many), weights(single))
    full = compiled(images)
    trainer.fit(full, images, config(), 1, tmp_path / "full")
    torch.testing.assert_close(weights(many), weights(full), rtol=0.05, atol=0.03)
    assert not torch.equal(weights(many), weights(full))


class Layout:
    """Notes the strides of what a layer is given."""

    def __init__(self, layer: nn.Module) -> None:
        self.seen: set[bool] = set()
        layer.register_forward_pre_hook(self)

    def __call__(self, _layer: nn.Module, inputs: tuple[Tensor]) -> None:
        self.seen.add(inputs[0].stride(1) == 1)


def test_channels_are_last_while_a_network_is_fitted_and_not_afterwards(images: Dataset, tmp_path: Path) -> None:
    module = compiled(images)
    layout = Layout(module.network[0])  # type: ignore[index]
    trainer.fit(module, images, config(), 1, tmp_path)
    assert layout.seen == {True}
    assert all(parameter.is_contiguous() for parameter in module.parameters())
    layout.seen.clear()
    assert images.test is not None
    module(images.test.inputs)
    assert layout.seen == {False}


def test_gradients_reach_a_pool_with_channels_last_and_no_hook_stays(images: Dataset, tmp_path: Path) -> None:
    module = compiled(images)
    pool = next(layer for layer in module.network.modules() if isinstance(layer, nn.MaxPool2d))
    seen: list[bool] = []

    def note(_layer: nn.Module, _inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
        seen.append(len(outputs[0]) == 1 or outputs[0].stride(1) == 1)  # one image alone may lie either way

    hook = pool.register_full_backward_hook(note)
    trainer.fit(module, images, config(), 1, tmp_path)
    hook.remove()
    assert seen
    assert all(seen)
    assert not pool._backward_pre_hooks


class Viewing(nn.Module):
    """A network of a kind that is often written: ``view`` needs the order in memory that images have by default."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(90, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.convolution(inputs)
        outputs: Tensor = self.head(maps.view(len(maps), -1))
        return outputs


def test_a_network_that_relies_on_the_order_in_memory_is_left_alone(images: Dataset, tmp_path: Path) -> None:
    module = compiled(images, Viewing())
    layout = Layout(module.network.convolution)  # type: ignore[arg-type]
    history = trainer.fit(module, images, config(), 1, tmp_path)
    assert len(history.rows) == 2
    layout.seen.clear()
    module(images.train.inputs)
    assert layout.seen == {False}


@pytest.mark.parametrize("shape", [(4, 1, 6, 5), (4, 3, 6, 5), (1, 1, 1, 1)])
def test_the_values_are_the_same_whatever_comes_last(shape: tuple[int, ...]) -> None:
    images = torch.rand(2, *shape)[1]  # not at the beginning of its memory
    last = with_channels_last(images)
    assert torch.equal(last, images)
    assert last.stride(1) == 1
    assert last.permute(0, 2, 3, 1).is_contiguous()


def test_auto_is_for_networks_that_convolve_on_a_device_that_is_made_for_it(images: Dataset) -> None:
    known = torch.cpu.get_capabilities()
    able = bool(known.get("avx512_bf16") or known.get("amx_bf16") or known.get("bf16"))
    cnn, mlp = compiled(images).network, define(MLP(), "mlp", images.spec, seed=1)
    assert is_bf16(config(precision="auto"), cnn) is able
    assert not is_bf16(config(precision="auto"), mlp)
    assert not is_bf16(config(), cnn)
    assert is_bf16(config(precision="bf16-mixed"), mlp)


def test_a_run_records_its_precision(job: Any, runs: Any) -> None:
    words = ("data=digits", "model=cnn", "trainer.max_epochs=1", "trainer.precision=bf16-mixed", "verbose=1")
    ended = job(*words, "tracking.figures=false")
    assert ended.code == 0, ended.err
    assert "metrics accuracy, precision bf16-mixed\n" in ended.out
    (run,) = runs()
    assert run.data.tags["precision"] == "bf16-mixed"
    assert run.data.params["trainer.precision"] == "bf16-mixed"


def test_another_precision_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^precision must be one of 32, bf16-mixed, auto, got 16\. The default is 32"):
        TrainerConfig(precision="16")
