"""Builds optimizers and learning rate schedules from their configurations, and checks them before a run."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from lifecycle.errors import RequestError, Setting, Text
from lifecycle.optimizers import OptimizerConfig, OwnOptimizer
from lifecycle.schedules import OneCycle, ScheduleConfig, Warmed

SPARSE = ("SparseAdam", "SGD", "Adagrad")
"""Classes of ``torch.optim`` that accept sparse gradients; the first accepts no others."""


def build_optimizer(config: OptimizerConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of ``torch.optim`` for the network's parameters, or the one of a caller's function."""
    if isinstance(config, OwnOptimizer):
        assert config.make is not None  # noqa: S101 - set where it is created
        own: torch.optim.Optimizer = config.make(network.parameters())
        return own
    arguments: dict[str, Any] = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    if config.torch_name == "Muon":
        return MuonAndAdamW(network.parameters(), **arguments)
    make = getattr(torch.optim, config.torch_name)
    devices = {parameter.device for parameter in network.parameters()}
    if not _sparse(network) and all(has_fused_kernel(config.torch_name, device) for device in devices):
        arguments["fused"] = True  # one kernel per step instead of several per parameter; it rejects sparse gradients
    optimizer: torch.optim.Optimizer = make(network.parameters(), **arguments)
    return optimizer


def has_fused_kernel(torch_name: str, device: torch.device) -> bool:
    """Return whether a class of ``torch.optim`` has a fused kernel on a device."""
    if "fused" not in inspect.signature(getattr(torch.optim, torch_name)).parameters:
        return False
    # Several versions of torch have a fused Adagrad for CPUs only, and say so in the first step.
    return torch_name != "Adagrad" or device.type == "cpu"


def check(config: OptimizerConfig, name: str, network: nn.Module, devices: int = 1) -> None:
    """Check that an optimizer can train a network.

    Args:
        config: its hyper-parameters.
        name: of the optimizer, for messages.
        network: with the weights to be trained.
        devices: processes that train it.

    Raises:
        RequestError: it needs other parameters, gradients or devices.
    """
    if config.torch_name == "LBFGS" and devices > 1:
        # Its line search ends after a different number of evaluations in each process, which then wait for each other.
        raise RequestError(
            Setting("optimizer", name),
            "evaluates the loss a different number of times in each process",
            Setting("trainer.devices", devices),
            ["Use ", Setting("trainer.devices", 1), "."],
        )
    if config.torch_name == "Muon" and all(parameter.ndim != 2 for parameter in network.parameters()):
        remedy: Text = ["Use ", Setting("optimizer", "adamw"), "."]
        raise RequestError(Setting("optimizer", name), "trains matrices, and the network has none", remedy=remedy)
    if not isinstance(config, OwnOptimizer):
        _check_sparse(config, name, network)


def _check_sparse(config: OptimizerConfig, name: str, network: nn.Module) -> None:
    parameters = {key for key, parameter in network.named_parameters() if parameter.requires_grad}
    sparse = _sparse(network)
    if config.torch_name == "SparseAdam" and (dense := sorted(parameters - sparse)):
        raise RequestError(
            Setting("optimizer", name),
            f"needs sparse gradients, such as those of nn.Embedding(sparse=True), and {dense[0]} has dense ones",
            remedy=["Use ", Setting("optimizer", "adam"), "."],
        )
    if not (found := sorted(sparse & parameters)):
        return
    if config.torch_name not in SPARSE:
        problem = f"takes no sparse gradients, and {found[0]} has them"
        raise RequestError(Setting("optimizer", name), problem, remedy=["Use ", Setting("optimizer", "sgd"), "."])
    if getattr(config, "weight_decay", 0):
        problem = f"must be 0 with sparse gradients, which {found[0]} has"
        raise RequestError("optimizer.weight_decay", problem, remedy="Leave it out.")


def _sparse(network: nn.Module) -> set[str]:
    """Return the names of the parameters whose gradients are sparse."""
    return {
        f"{key}.weight" if key else "weight"
        for key, module in network.named_modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.sparse
    }


class MuonAndAdamW(torch.optim.Optimizer):
    """Muon for matrices, and AdamW with the same learning rate and weight decay for biases, kernels and all others.

    ``torch.optim.Muon`` accepts matrices only; its documentation recommends a standard optimizer for the rest.

    Args:
        parameters: of a network, with at least one matrix.
        lr: learning rate.
        weight_decay: decoupled.
        more: further arguments of ``torch.optim.Muon``.
    """

    def __init__(self, parameters: Any, lr: float, weight_decay: float, **more: Any) -> None:
        parameters = list(parameters)
        matrices = [parameter for parameter in parameters if parameter.ndim == 2]
        others = [parameter for parameter in parameters if parameter.ndim != 2]
        self.parts: list[torch.optim.Optimizer] = [torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, **more)]
        if others:
            self.parts.append(torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay))
        super().__init__(parameters, self.parts[0].defaults)  # for what Lightning and schedules expect of an optimizer
        self._share()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure once, if there is one, and take a step of both optimizers."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # The closure has computed the gradients of both; each would otherwise evaluate it again.
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both optimizers."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the states of both optimizers."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            # torch replaces the dictionaries of the groups, so that they are shared again below.
            part.load_state_dict(state)
        self._share()

    def _share(self) -> None:
        """Expose the parameter groups of both, which schedules and clipping change in place."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def build_schedule(
    config: ScheduleConfig, optimizer: torch.optim.Optimizer, steps: int, mode: Literal["min", "max"] = "min"
) -> lr_scheduler.LRScheduler | None:
    """Return the schedule of ``torch.optim.lr_scheduler``; ``None`` for a constant rate.

    Args:
        config: completed, so that no field is null.
        optimizer: whose rate it changes.
        steps: of the optimizer in all epochs, for ``one_cycle``; the other schedules change with each epoch.
        mode: whether ``plateau`` monitors a score that should fall ("min") or rise ("max").
    """
    arguments = config.arguments()
    if isinstance(config, OneCycle):
        return lr_scheduler.OneCycleLR(optimizer, total_steps=steps, **arguments)
    if config.torch_name == "ReduceLROnPlateau":
        return lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, **arguments)
    epochs = config.warmup_epochs if isinstance(config, Warmed) else 0
    if not epochs:
        return getattr(lr_scheduler, config.torch_name)(optimizer, **arguments) if config.torch_name else None
    # From 1/(n + 1) of the rate, so that the epoch after the warmup is the first with all of it.
    rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / (epochs + 1), total_iters=epochs)
    if not config.torch_name:
        return rise
    then = getattr(lr_scheduler, config.torch_name)(optimizer, **arguments)
    return lr_scheduler.SequentialLR(optimizer, [rise, then], milestones=[epochs])


def learning_rate(optimizer: torch.optim.Optimizer) -> float:
    """Return the learning rate of the next step."""
    rate: float | Tensor = optimizer.param_groups[0]["lr"]
    return float(rate)
