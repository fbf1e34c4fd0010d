"""The steps of the optimizer over mini-batches: each a loss, its gradients, clipping, the step, and the schedule's."""

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
"""Rows times parameters of a step, under which one thread does the work."""

MANY_STEPS, SOME_STEPS = 256, 8
"""Steps in one of Lightning's ``training_step``: of small steps, and of others. In between a bar may move."""

MOST_BYTES = 32 * 1024**2
"""Of the inputs of these steps; more would only fill memory."""

HOOKS_OF_A_STEP = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
)
"""A callback with one of these is called at each step, as Lightning's documentation has it."""


class Stepped(Protocol):
    """What steps need of a compiled model, which is a LightningModule."""

    network: nn.Module
    schedule_config: ScheduleConfig
    trainer: Any

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return what the optimizer changes."""
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
        """Compute gradients as Lightning does."""
        ...


@dataclass(frozen=True)
class Stepping:
    """How steps are taken.

    Attributes:
        gradient_clip_val: largest gradient; ``None``: any.
        gradient_clip_algorithm: ``"norm"``: of all gradients together; ``"value"``: of each one.
        total: steps of the whole of fitting; 0: as many as Lightning counts.
        hooks: let Lightning do what it does around each backward pass and each step: gradients of several processes
            are averaged there, and callbacks may watch. It costs more than the step of a small network.
        bf16: compute the network in bfloat16 where ``torch.autocast`` holds that to be safe.
    """

    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str = "norm"
    total: int = 0
    hooks: bool = True
    bf16: bool = False

    def begin(self, module: Stepped) -> Steps:
        """Return what takes the next steps of a module that a Trainer is fitting."""
        return Steps(self, module)

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Return the context in which a training loss is computed.

        One for each mini-batch: it keeps weights that it has rounded until it ends, and a step changes them.
        """
        return torch.autocast(device.type, torch.bfloat16) if self.bf16 else nullcontext()


class Steps:
    """Takes steps, one a mini-batch, over the chunk of one ``training_step``."""

    def __init__(self, how: Stepping, module: Stepped) -> None:
        self.how, self.module = how, module
        self.optimizer: Any = module.optimizers(use_pl_optimizer=how.hooks)
        self.schedule: Any = module.lr_schedulers() if isinstance(module.schedule_config, OneCycle) else None
        self.parameters = list(module.parameters()) if how.gradient_clip_val is not None else []

    def take(self, batch: Batch) -> None:
        """Take the step of a batch.

        An optimizer may evaluate the batch more than once (L-BFGS does); the first time alone, at the weights that the
        step begins with, is scored.
        """
        evaluated = False

        def evaluate() -> Tensor:
            nonlocal evaluated
            self.optimizer.zero_grad()
            loss = self.module.training_loss(batch, scored=not evaluated)
            evaluated = True
            if self.how.hooks:
                self.module.manual_backward(loss)
            else:
                loss.backward()  # type: ignore[no-untyped-call]
            self._clip()
            return loss

        self.optimizer.step(evaluate)
        if self.schedule is not None:
            self.schedule.step()

    def count(self, steps: int) -> None:
        """Tell the Trainer of steps that it has not seen, so that ``global_step`` counts all."""
        if self.how.hooks:
            return
        progress = self.module.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for counted in (progress.total, progress.current):
            counted.ready += steps
            counted.completed += steps

    def _clip(self) -> None:
        if not self.parameters:
            return
        if self.how.gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(self.parameters, self.how.gradient_clip_val or 0.0)
        else:
            nn.utils.clip_grad_norm_(self.parameters, self.how.gradient_clip_val or 0.0)


def plan(
    config: TrainerConfig, module: Stepped, train: Batches, callbacks: Sequence[pl.Callback]
) -> tuple[Stepping, int]:
    """Return how steps are taken, and how many in one ``training_step`` of Lightning's.

    Args:
        config: clipping, precision, devices, epochs.
        module: the compiled model.
        train: the mini-batches.
        callbacks: those that may want to see each step; then there is one at a time.
    """
    hooks = config.devices > 1 or any(map(_watches_steps, callbacks))
    how = Stepping(
        config.gradient_clip_val,
        config.gradient_clip_algorithm,
        len(train) * config.max_epochs,
        hooks,
        is_bf16(config, module.network),
    )
    room = MOST_BYTES // (4 * train.batch_size * math.prod(train.inputs.shape[1:]))
    most = MANY_STEPS if _is_small(module, train.batch_size) else SOME_STEPS
    return how, 1 if hooks else max(1, min(room, most))


@contextmanager
def threads(module: Stepped, rows: int) -> Iterator[None]:
    """Use one thread where a step is small: more gain nothing there, and lose up to 3 times beside a busy neighbour."""
    with limited(1 if _is_small(module, rows) else torch.get_num_threads()):
        yield


def _is_small(module: Stepped, rows: int) -> bool:
    """Tell whether a step over so many rows is short: what is done around it then counts."""
    return rows * sum(parameter.numel() for parameter in module.parameters()) < SMALL_STEP


def _watches_steps(callback: pl.Callback) -> bool:
    """Tell whether a callback wants to see each step, rather than each of Lightning's batches or epochs."""
    return any(getattr(type(callback), hook) is not getattr(pl.Callback, hook) for hook in HOOKS_OF_A_STEP)
