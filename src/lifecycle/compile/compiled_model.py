"""Step 2, compile: a LightningModule of a network with its loss, optimizer, schedule and metrics."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, Literal

import pytorch_lightning as pl
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lifecycle.compile import losses, metrics
from lifecycle.compile.metrics import higher_is_better
from lifecycle.compile.optimization import build_optimizer, build_schedule
from lifecycle.compile.output_units import Units
from lifecycle.compile.precision import with_channels_last
from lifecycle.compile.scores import Scorer
from lifecycle.compile.stepping import StepOptions
from lifecycle.config.tasks import link_of, loss_of, metrics_of
from lifecycle.contract import DataSpec
from lifecycle.data.batches import Batch, Chunk
from lifecycle.optimizers import OptimizerConfig
from lifecycle.schedules import NoSchedule, OneCycle, Plateau, ScheduleConfig


class CompiledModel(pl.LightningModule):
    """A network with its loss, optimizer, schedule and metrics.

    Outputs stay on the device and are scored once per epoch, in float64 on the CPU, so that no step waits for a number.
    A ``training_step`` takes the optimizer's steps over all mini-batches of a chunk (Lightning's manual optimization):
    for a small network, what Lightning does around each step costs more than the step.

    Attributes:
        train_scores, val_scores, test_scores: compute loss and metrics of one pass over the rows.
        loss_name, metric_names: as chosen, or the task's defaults.
        step_options: how the optimizer's steps are taken.
        channels_last: whether images are in channels-last order; see :mod:`lifecycle.compile.precision`.
        frozen: layers whose weights stay as they are.
        call_network: calls the network, where that is not the network itself, such as ``torch.compile``'s module.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: DataSpec,
        optimizer: OptimizerConfig,
        loss: str | None = None,
        metrics: list[str] | None = None,
        target_scale: tuple[float, float] = (0.0, 1.0),
        schedule: ScheduleConfig | None = None,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
        target_transform: str = "",
    ) -> None:
        """Compile a network.

        Args:
            network: ``(batch, *input_shape) -> (batch, num_outputs)`` logits or values.
            spec: the task and its classes.
            optimizer: hyper-parameters of the optimizer.
            loss: name; ``None``: the task's default.
            metrics: names; ``None``: the task's defaults.
            target_scale: ``(offset, scale)`` from outputs to the user's units, in which metrics are computed.
            schedule: of the learning rate, completed; ``None``: a constant rate.
            class_weights: ``(classes,) float32`` of the training loss; see :mod:`lifecycle.compile.losses`.
            label_smoothing: share of each label that is spread evenly over the classes.
            target_transform: of a regression's target; see :class:`lifecycle.compile.output_units.Units`.

        Raises:
            RequestError: the loss, a metric or label smoothing is not for the task.
        """
        super().__init__()
        self.network = network
        self.spec = spec
        self.optimizer_config = optimizer
        self.schedule_config = schedule or NoSchedule()
        self.loss_name = loss_of(spec.task, loss)
        self.metric_names = metrics_of(spec.task, metrics)
        _check(spec, self.loss_name, label_smoothing, self.metric_names)
        self.loss = losses.Loss(self.loss_name, label_smoothing, class_weights)
        self.units = Units(spec.task, *target_scale, link_of(self.loss_name), target_transform)
        # Training scores have the weighted loss that is minimised; the others the plain loss, as in Keras.
        self.train_scores, self.val_scores, self.test_scores = (
            Scorer(spec, self.metric_names, self.units, self.loss, weighted) for weighted in (True, False, False)
        )
        self.call_network: Callable[[Tensor], Tensor] | None = None
        self.step_options = StepOptions()
        self.channels_last = False
        self.frozen: tuple[nn.Module, ...] = ()
        # training_step() takes the steps itself.
        self.automatic_optimization = False

    def train(self, mode: bool = True) -> CompiledModel:
        """Set the mode; frozen layers stay in that of evaluation, so that batch normalisation does not move."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the network's logits or values: ``(batch, num_outputs)``."""
        inputs = with_channels_last(inputs) if self.channels_last else inputs
        outputs: Tensor = (self.call_network or self.network)(inputs)
        return outputs

    def training_step(self, chunk: Chunk, _index: int) -> None:
        """Take a step of the optimizer for each mini-batch of a chunk."""
        stepper = self.step_options.begin(self)
        for batch in chunk:
            stepper.take(batch)
        stepper.count(len(chunk))

    def training_loss(self, batch: Batch, scored: bool) -> Tensor:
        """Return the loss to be differentiated: the mean over a batch, weighted for this process's share of it.

        Args:
            batch: of training rows.
            scored: whether it is added to the training scores.
        """
        # Only the network: the loss and the scores are computed in float32.
        with self.step_options.autocast(batch[0].device):
            outputs = self(batch[0])
        outputs = outputs.float()  # a loss in bfloat16 would lose most digits of small differences
        loss: Tensor = self.loss(outputs, batch[1], weighted=True, row_weights=batch[4])
        if scored:
            self._score(outputs, batch, self.train_scores)
        # A multiplication by 1 would be one more kernel in each step.
        return loss if batch[2] == 1.0 else loss * batch[2]

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Add a batch to the validation scores."""
        # Without autocast: the scores are those of the float32 weights, which are saved.
        self._score(self(batch[0]), batch, self.val_scores)

    def test_step(self, batch: Batch, _index: int) -> None:
        """Add a batch to the test scores."""
        self._score(self(batch[0]), batch, self.test_scores)

    def predict_step(self, batch: Batch, _index: int) -> Tensor:
        """Return logits or values, ``(batch, num_outputs)``."""
        outputs: Tensor = self(batch[0])
        return outputs

    def configure_optimizers(self) -> Any:
        """Return the optimizer, and its schedule if it has one."""
        config, optimizer = self.schedule_config, build_optimizer(self.optimizer_config, self.network)
        if isinstance(config, NoSchedule):
            return optimizer
        monitor = config.monitor if isinstance(config, Plateau) else None
        # Lightning's estimate counts its own batches, each of which is a chunk of several steps here.
        steps = self.step_options.total or int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(config, optimizer, steps, self.mode(monitor) if monitor else "min")
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": monitor or "train_loss"}}

    def end_epoch(self, scores: dict[str, float]) -> None:
        """Update a schedule that changes with each epoch; ``one_cycle`` changes with each step."""
        schedule, config = self.lr_schedulers(), self.schedule_config
        if isinstance(schedule, ReduceLROnPlateau) and isinstance(config, Plateau):
            schedule.step(scores[str(config.monitor)])
        elif isinstance(schedule, LRScheduler) and not isinstance(config, OneCycle):
            schedule.step()

    def mode(self, monitor: str) -> Literal["min", "max"]:
        """Return ``"max"`` if a higher value of a score such as ``val_accuracy`` is better, else ``"min"``."""
        name = monitor.partition("_")[2]
        return "max" if name != "loss" and higher_is_better(name, self.val_scores.metrics[name]) else "min"

    def _score(self, outputs: Tensor, batch: Batch, scores: Scorer) -> None:
        """Add a batch to the scores, unless its weight is 0: it then pads the shares of several processes."""
        if batch[2]:
            scores.add(outputs.detach(), batch[1], batch[3])


# Lightning asks for the parameters of a step in each epoch; Python takes them from here instead of from the code.
for _step in (CompiledModel.training_step, CompiledModel.validation_step):
    vars(_step)["__signature__"] = signature(_step)


def _check(spec: DataSpec, loss: str, label_smoothing: float, names: tuple[str, ...]) -> None:
    losses.check(loss, label_smoothing, spec)
    metrics.check(spec, names)
