"""The weights of many networks of one shape in one tensor, and their optimizer."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from lifecycle.compile.optimization import has_fused_kernel
from lifecycle.optimizers import OptimizerConfig

Tensors = dict[str, Tensor]


class Copies:
    """The parameters and buffers of networks of one shape.

    Attributes:
        flat: ``(copies, weights) float32``: the trainable parameters of each network, one after the other.
        weights: name -> ``(copies, *shape)`` views of :attr:`flat`.
        others: name -> ``(copies, *shape)`` of parameters that are not trained, and of buffers.

    Args:
        networks: of one shape, on the CPU.
        device: of the tensors.
    """

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        trainable = {name: value for name, value in networks[0].named_parameters() if value.requires_grad}
        self._shapes = {name: value.shape for name, value in trainable.items()}
        self.flat = torch.stack([_flat(network, trainable) for network in networks]).to(device)
        states = [_tensors(network) for network in networks]
        self.others = {
            name: torch.stack([state[name] for state in states]).to(device)
            for name in states[0]
            if name not in trainable
        }
        self.weights = self.split(self.flat)

    def split(self, flat: Tensor) -> Tensors:
        """Return the views of each parameter, ``(copies, *shape)``, in a tensor like :attr:`flat`."""
        parts = torch.split(flat, [shape.numel() for shape in self._shapes.values()], dim=1)
        return {name: part.view(-1, *shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def keep(self, rows: Tensor) -> None:
        """Keep some of the copies only, by their numbers."""
        self.flat = self.flat[rows].contiguous()
        self.others = {name: value[rows] for name, value in self.others.items()}
        self.weights = self.split(self.flat)

    def part(self, rows: Tensor) -> Copies:
        """Return some of the copies, by their numbers; with tensors of their own."""
        found = copy.copy(self)
        found.keep(rows)
        return found

    def write_others(self, part: Copies, rows: Tensor) -> None:
        """Take the buffers of a :meth:`part`, which a step has changed."""
        for name, value in self.others.items():
            value[rows] = part.others[name]

    def snapshot(self, row: int) -> tuple[Tensor, Tensors]:
        """Return copies of the weights and of the other tensors of one network."""
        return self.flat[row].clone(), {name: value[row].clone() for name, value in self.others.items()}

    def load(self, network: nn.Module, snapshot: tuple[Tensor, Tensors]) -> None:
        """Write a snapshot into a network."""
        weights, others = snapshot
        values = {name: part[0] for name, part in self.split(weights.unsqueeze(0)).items()} | others
        with torch.no_grad():
            for name, tensor in _tensors(network).items():
                tensor.copy_(values[name])


def _tensors(network: nn.Module) -> Tensors:
    """Return parameters and buffers by name; those that layers share once."""
    return {name: value.detach() for name, value in (*network.named_parameters(), *network.named_buffers())}


def _flat(network: nn.Module, trainable: Mapping[str, Tensor]) -> Tensor:
    values = dict(network.named_parameters())
    return torch.cat([values[name].detach().reshape(-1) for name in trainable])


class StackedOptimizer:
    """One optimizer of ``torch.optim`` for all copies: a parameter group for consecutive copies of equal settings.

    Args:
        flat: ``(copies, weights)``; it is changed in place.
        configs: of each copy; all of one class.
    """

    def __init__(self, flat: Tensor, configs: Sequence[OptimizerConfig]) -> None:
        groups, start = [], 0
        for settings, equal in groupby(configs, key=_settings):
            stop = start + len(list(equal))
            groups.append({"params": [flat[start:stop]], **dict(settings)})
            start = stop
        name = configs[0].torch_name
        # Contiguous rows: the fused kernels of torch ignore strides. The settings of the first copy are given to the
        # constructor too: Adagrad reads the initial value of its accumulator from there only.
        of_first = dict(_settings(configs[0]))
        # A single fit uses the fused kernel, too, so that the digits agree.
        if has_fused_kernel(name, flat.device):
            of_first["fused"] = True
        self.optimizer: torch.optim.Optimizer = getattr(torch.optim, name)(groups, **of_first)
        # Some versions of torch's Adagrad begin with a state, which others make in the first step.
        self._first_state = {rows: _copied(state) for rows, state in self.optimizer.state.items()}
        # Without the hooks and profiling that torch wraps around step(): they take longer than the step.
        self._bare_step = inspect.unwrap(type(self.optimizer).step)

    def step(self, gradients: Tensor, is_scheduled: bool = False) -> None:
        """Take a step.

        Args:
            gradients: ``(copies, weights)``, contiguous.
            is_scheduled: whether a schedule changes the rates.
        """
        start = 0
        for group in self.optimizer.param_groups:
            (rows,) = group["params"]
            rows.grad = gradients[start : start + len(rows)]
            start += len(rows)
        if is_scheduled:  # a schedule counts the calls
            self.optimizer.step()
        else:
            self._bare_step(self.optimizer)

    def forget(self) -> None:
        """Forget all steps."""
        self.optimizer.state.clear()
        self.optimizer.state.update({rows: _copied(state) for rows, state in self._first_state.items()})

    def keep(self, flat: Tensor, kept: Tensor) -> None:
        """Continue with some of the copies.

        Args:
            flat: ``(kept, weights)``.
            kept: their numbers among the copies so far, ascending.
        """
        groups, start, done = [], 0, 0
        for group in self.optimizer.param_groups:
            (rows,) = group["params"]
            state = self.optimizer.state.pop(rows, {})
            own = kept[(kept >= start) & (kept < start + len(rows))] - start
            start += len(rows)
            if len(own):
                group["params"] = [flat[done : done + len(own)]]
                self.optimizer.state[group["params"][0]] = {
                    # Moments have the shape of the weights; numbers of steps are scalars.
                    name: value[own] if isinstance(value, Tensor) and value.shape == rows.shape else value
                    for name, value in state.items()
                }
                groups.append(group)
                done += len(own)
        self.optimizer.param_groups = groups


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in state.items()}


def ordered(configs: Sequence[OptimizerConfig]) -> list[int]:
    """Return the numbers of the copies so that equal settings are consecutive."""
    return sorted(range(len(configs)), key=lambda number: str(_settings(configs[number])))


def _settings(config: OptimizerConfig) -> list[tuple[str, Any]]:
    return [(item.name, getattr(config, item.name)) for item in fields(config)]
