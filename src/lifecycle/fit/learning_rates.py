"""Searches a learning rate with Lightning's tuner: the loss of mini-batches while the rate rises."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.tuner.tuning import Tuner
from torch import Tensor

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.optimization import build_optimizer
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.batches import Batch, Batches
from lifecycle.data.dataset import Dataset
from lifecycle.errors import RequestError, Setting
from lifecycle.fit.rising_rates import SKIPPED, LearningRates, suggested
from lifecycle.fit.trainer import trainer_for, training_batches
from lifecycle.runtime.quiet import ignored
from lifecycle.runtime.seeds import seed_all

LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 100
"""Rates of the first and the last step, and the number of steps."""

BETA = 0.98
"""Weight of the past in Lightning's running mean of the loss."""


class _Plain(pl.LightningModule):
    """A compiled model as the tuner expects one: Lightning takes its steps, one for each mini-batch."""

    def __init__(self, module: CompiledModel) -> None:
        super().__init__()
        self.module = module
        self.lr = module.optimizer_config.lr

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of a mini-batch."""
        return self.module.training_loss(batch, scored=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer without its schedule."""
        return build_optimizer(self.module.optimizer_config, self.module.network)


class _Epoch:
    """The mini-batches of one epoch after the other."""

    def __init__(self, batches: Batches) -> None:
        self.batches, self.epoch = batches, -1

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        self.epoch += 1
        self.batches.set_epoch(self.epoch)
        return iter(self.batches)


def find(
    module: CompiledModel,
    data: Dataset,
    config: TrainerConfig,
    seed: int,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
) -> LearningRates:
    """Train while the learning rate rises from step to step, and return the losses.

    Args:
        module: the compiled model; its weights are as before afterwards.
        data: its training rows.
        config: batch size and device.
        seed: of the order of rows and of dropout.
        lowest: rate of the first step.
        highest: rate of the last step.
        steps: number of steps.

    Raises:
        RequestError: the rates or their number cannot be used.
    """
    _check(module, lowest, highest, steps)
    batches = training_batches(config, data, seed)
    epochs = math.ceil(steps / len(batches)) + 1
    seed_all(seed)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        config = replace(config, max_epochs=epochs)
        trainer = trainer_for(config, devices=1, folder=Path(folder), enable_checkpointing=False)
        plain = _Plain(module)
        loader: Any = _Epoch(batches)
        found = Tuner(trainer).lr_find(
            plain, loader, min_lr=lowest, max_lr=highest, num_training=steps, update_attr=False
        )
    assert found is not None  # noqa: S101 - only a trial run of Lightning's returns none
    pairs = zip(found.results["lr"], _unbiased(found.results["loss"]), strict=False)
    rates, losses = zip(*[(rate, loss) for rate, loss in pairs if math.isfinite(loss)], strict=True)
    return LearningRates(rates, losses, suggested(rates, losses), plain.lr)


def _unbiased(smoothed: Sequence[float]) -> list[float]:
    """Return the running means of the losses; Lightning's begin at half of the first loss.

    Its divisor of step k, from 1, is that of the next step: ``1 - beta ** (k + 1)``.
    """
    return [loss * (1 - BETA ** (k + 1)) / (1 - BETA**k) for k, loss in enumerate(smoothed, start=1)]


def _check(module: CompiledModel, lowest: float, highest: float, steps: int) -> None:
    if not 0 < lowest < highest:
        raise RequestError("lowest", f"must be above 0 and below highest={highest:g}", lowest, "Such as 1e-6.")
    if steps < 4 * SKIPPED:
        raise RequestError("steps", f"must be {4 * SKIPPED} or more", steps, f"The default is {STEPS}.")
    if module.optimizer_config.torch_name == "LBFGS":
        raise RequestError(Setting("optimizer", "lbfgs"), "searches the length of its steps itself", remedy="Use lr=1.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's bar and notes of the search off the screen."""
    finder: Any = import_module("pytorch_lightning.tuner.lr_finder")

    class NoBar:
        def __init__(self, *_: object, **__: object) -> None: ...

        def update(self) -> None: ...

        def close(self) -> None: ...

    log, bar = logging.getLogger("pytorch_lightning"), finder.tqdm
    level = log.level
    log.setLevel(logging.CRITICAL)
    finder.tqdm = NoBar
    try:
        with ignored():
            yield
    finally:
        finder.tqdm = bar
        log.setLevel(level)
