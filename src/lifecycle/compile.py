"""Step 2, compile: task, loss, optimizer and metrics make a network something that Lightning can fit."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lifecycle.contract import DataSpec
from lifecycle.data.batches import Batch
from lifecycle.evaluate import Scores
from lifecycle.optimizers import OptimizerConfig
from lifecycle.tasks import TASKS, loss_of, metrics_of
from lifecycle.units import Units


class CompiledModel(pl.LightningModule):
    """A network with its loss, optimizer and metrics.

    Scores are gathered on the device and read once an epoch: no step waits for a number.

    Attributes:
        train_scores, val_scores, test_scores: loss and metrics of one pass over the rows.
        loss_name, metric_names: the choices, those that came from the task included.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: DataSpec,
        optimizer: OptimizerConfig,
        loss: str | None = None,
        metrics: list[str] | None = None,
        target_scale: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Compile a network.

        Args:
            network: ``(batch, *input_shape) -> (batch, num_outputs)`` logits or values.
            spec: the task and its classes.
            optimizer: which, and its hyper-parameters.
            loss: name, or ``None`` for the task's own.
            metrics: names, or ``None`` for the task's own.
            target_scale: ``(offset, scale)`` from outputs to the user's units, in which metrics are given.

        Raises:
            RequestError: the loss or a metric is not for the task.
        """
        super().__init__()
        self.network = network
        self.spec = spec
        self.optimizer_config = optimizer
        self.loss_name = loss_of(spec.task, loss)
        self.metric_names = metrics_of(spec.task, metrics)
        self.loss: nn.Module = getattr(nn, TASKS[spec.task].losses[self.loss_name])()
        self.units = Units(spec.task, *target_scale)
        self.train_scores, self.val_scores, self.test_scores = (
            Scores(spec, self.metric_names, self.units) for _ in range(3)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the network's logits or values: ``(batch, num_outputs)``."""
        outputs: Tensor = self.network(inputs)
        return outputs

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss that is differentiated: the mean over the batch, weighted for this process's share of it."""
        loss, weight = self._step(batch, self.train_scores)
        weighted: Tensor = loss * weight
        return weighted

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Add a batch to the validation scores."""
        self._step(batch, self.val_scores)

    def test_step(self, batch: Batch, _index: int) -> None:
        """Add a batch to the test scores."""
        self._step(batch, self.test_scores)

    def predict_step(self, batch: Batch, _index: int) -> Tensor:
        """Return logits or values ``(batch, num_outputs)``; :func:`lifecycle.predict.as_frame` makes them readable."""
        outputs: Tensor = self(batch[0])
        return outputs

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer that the configuration names."""
        return build_optimizer(self.optimizer_config, self.network)

    def _step(self, batch: Batch, scores: Scores) -> tuple[Tensor, float]:
        inputs, targets, weight, base = batch
        outputs = self(inputs)
        loss: Tensor = self.loss(outputs, targets)
        if weight:
            scores.add(loss.detach(), outputs.detach(), targets, base)
        return loss, weight


def build_optimizer(config: OptimizerConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of ``torch.optim`` that ``config`` names, over the network's parameters."""
    arguments: dict[str, Any] = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    optimizer: torch.optim.Optimizer = getattr(torch.optim, config.torch_name)(network.parameters(), **arguments)
    return optimizer
