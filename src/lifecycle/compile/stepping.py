"""Takes the optimizer's steps over mini-batches: loss, gradients, clipping, update and schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lifecycle.compile.precision import is_bf16
from lifecycle.config.schema import TrainerConfig
from lifecycle.runtime.threads import limited
from lifecycle.schedules import OneCycle, ScheduleConfig

if TYPE_CHECKING:
    from lifecycle.data.batches import Batch, Batches


SMALL_STEP = 10_000_000
"""Rows times parameters of a step; smaller steps run on one thread."""

MANY_STEPS, SOME_STEPS = 256, 8
"""Stepper in one of Lightning's ``training_step``: of small steps, and of others. In between a bar may move."""

MOST_BYTES = 32 * 1024**2
"""Largest size of the inputs of these steps, in bytes; more would gain nothing."""

HOOKS_OF_A_STEP = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
)
"""Hooks of callbacks that Lightning documents as called at each step."""


class TrainableModule(Protocol):
    """The part of a compiled model that steps use; it is a LightningModule."""

    network: nn.Module
    schedule_config: ScheduleConfig
    trainer: Any

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters of the optimizer."""
        ...

    @property
    def optimizers(self) -> Callable[..., Any]:
        """Return the optimizer."""
        ...

    def lr_schedulers(self) -> Any:
        """Return the schedule."""
        ...

    def training_loss(self, batch: Batch, scored: bool) -> Tensor:
        """Return the loss of a batch."""
        ...

    @property
    def manual_backward(self) -> Callable[..., None]:
        """Compute gradients through Lightning."""
        ...


@dataclass(frozen=True)
class StepOptions:
    """Options of the optimizer's steps.

    Attributes:
        gradient_clip_val: largest gradient; ``None``: no clipping.
        gradient_clip_algorithm: ``"norm"``: of all gradients together; ``"value"``: of each one.
        total: steps in all epochs; 0: as estimated by Lightning.
        hooks: whether Lightning's hooks run around each backward pass and step: they average the gradients of several
            processes, and call callbacks. They cost more than the step of a small network.
        bf16: whether the network computes in bfloat16 where ``torch.autocast`` does.
    """

    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str = "norm"
    total: int = 0
    hooks: bool = True
    bf16: bool = False

    def begin(self, module: TrainableModule) -> Stepper:
        """Return the stepper of a module that a Trainer is fitting."""
        return Stepper(self, module)

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Return the context in which the training loss of one mini-batch is computed.

        A new one for each: autocast caches the rounded weights until it ends, and a step changes the weights.
        """
        return torch.autocast(device.type, torch.bfloat16) if self.bf16 else nullcontext()


class Stepper:
    """Takes the steps of one ``training_step``, one for each mini-batch of its chunk."""

    def __init__(self, options: StepOptions, module: TrainableModule) -> None:
        self.options, self.module = options, module
        # With its wrapper, Lightning does more work around each step than a small network takes for it.
        self.optimizer: Any = module.optimizers(use_pl_optimizer=options.hooks)
        self.schedule: Any = module.lr_schedulers() if isinstance(module.schedule_config, OneCycle) else None
        self.parameters = list(module.parameters()) if options.gradient_clip_val is not None else []

    def take(self, batch: Batch) -> None:
        """Take the step of a batch.

        An optimizer may evaluate the batch more than once, as L-BFGS does. Only the first evaluation is scored, which
        is at the weights before the step.
        """
        evaluated = False

        def evaluate() -> Tensor:
            nonlocal evaluated
            # Within the closure, as L-BFGS evaluates it several times.
            self.optimizer.zero_grad()
            loss = self.module.training_loss(batch, scored=not evaluated)
            evaluated = True
            # With several processes, DDP averages the gradients in this call.
            if self.options.hooks:
                self.module.manual_backward(loss)
            else:
                loss.backward()  # type: ignore[no-untyped-call]
            # Within the closure, so that L-BFGS gets clipped gradients at each evaluation.
            self._clip()
            return loss

        self.optimizer.step(evaluate)
        if self.schedule is not None:
            self.schedule.step()

    def count(self, steps: int) -> None:
        """Add steps to the Trainer's ``global_step``, which without hooks it does not count itself."""
        if self.options.hooks:
            return
        progress = self.module.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        # What Lightning's wrapper of the optimizer would count, which is bypassed without hooks.
        for counted in (progress.total, progress.current):
            counted.ready += steps
            counted.completed += steps

    def _clip(self) -> None:
        if not self.parameters:
            return
        if self.options.gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(self.parameters, self.options.gradient_clip_val or 0.0)
        else:
            nn.utils.clip_grad_norm_(self.parameters, self.options.gradient_clip_val or 0.0)


def plan(
    config: TrainerConfig, module: TrainableModule, train: Batches, callbacks: Sequence[pl.Callback]
) -> tuple[StepOptions, int]:
    """Return the options of steps, and the number of steps in one ``training_step``.

    Args:
        config: clipping, precision, devices, epochs.
        module: the compiled model.
        train: the mini-batches.
        callbacks: if one of them has a hook for each step, a ``training_step`` has one step.
    """
    # Without hooks steps are faster, but neither DDP nor a callback would know of them.
    hooks = config.devices > 1 or any(map(_watches_steps, callbacks))
    options = StepOptions(
        config.gradient_clip_val,
        config.gradient_clip_algorithm,
        len(train) * config.max_epochs,
        hooks,
        is_bf16(config, module.network),
    )
    # 4 bytes for each float32.
    room = MOST_BYTES // (4 * train.batch_size * math.prod(train.inputs.shape[1:]))
    most = MANY_STEPS if _is_small(module, train.batch_size) else SOME_STEPS
    return options, 1 if hooks else max(1, min(room, most))


@contextmanager
def threads(module: TrainableModule, rows: int) -> Iterator[None]:
    """Use one thread for small steps within the block: more gain nothing, and on a busy CPU take 3 times as long."""
    with limited(1 if _is_small(module, rows) else torch.get_num_threads()):
        yield


def _is_small(module: TrainableModule, rows: int) -> bool:
    """Return whether a step over so many rows is so short that its overhead matters."""
    return rows * sum(parameter.numel() for parameter in module.parameters()) < SMALL_STEP


def _watches_steps(callback: pl.Callback) -> bool:
    """Return whether a callback has a hook for each step, rather than for epochs only."""
    return any(getattr(type(callback), hook) is not getattr(pl.Callback, hook) for hook in HOOKS_OF_A_STEP)
