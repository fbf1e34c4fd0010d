"""Dropout of many networks at once: each draws the numbers that it would draw alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lifecycle.runtime.seeds import epoch_seed

DROPOUT_STREAM = 1
"""Random stream of an epoch that dropout draws from; see :class:`lifecycle.fit.epochs.Epochs`."""


class Masked(nn.Module):
    """In place of ``nn.Dropout``: multiplies by a factor that is given with the inputs."""

    def __init__(self, masks: Masks, name: str) -> None:
        super().__init__()
        self._masks, self._name = masks, name

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs times the next mask; in evaluation mode, the inputs."""
        return inputs * self._masks.take(self._name, inputs) if self.training else inputs


@dataclass
class Call:
    """A call of a dropout layer in a forward pass: which layer, and the shape of its inputs for one network."""

    layer: str
    shape: torch.Size


class Masks:
    """The masks of a forward pass, in the order of its calls of dropout layers.

    Args:
        networks: of one shape; their dropout layers give the rates.
        device: of the masks.
    """

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        self._device = device
        self.rates = {
            name: [dict(network.named_modules())[name].p for network in networks]
            for name, module in networks[0].named_modules()
            if isinstance(module, nn.Dropout)
        }
        self._generators: list[torch.Generator] = []
        self._given: list[Tensor] = []
        self._calls: list[Call] | None = None

    def __deepcopy__(self, _: dict[int, Any]) -> Masks:
        return self  # a copy of a network draws from the same masks

    def replaced(self, network: nn.Module) -> nn.Module:
        """Return a network with its dropout layers replaced, in place."""
        for name in self.rates:
            parent, _, own = name.rpartition(".")
            if not name:
                return Masked(self, name)
            setattr(network.get_submodule(parent), own, Masked(self, name))
        return network

    def calls(self, network: nn.Module, inputs: Tensor) -> list[Call]:
        """Return the calls of a forward pass of a network whose layers were replaced."""
        if not self.rates:
            return []
        self._calls = []
        try:
            with torch.no_grad():
                network(inputs)
            return self._calls
        finally:
            self._calls = None

    def begin(self, seeds: Sequence[int], epoch: int) -> None:
        """Seed the generators of an epoch (from 0)."""
        if self.rates:
            drawn = [epoch_seed(seed, epoch, DROPOUT_STREAM) for seed in seeds]
            self._generators = [torch.Generator(self._device).manual_seed(seed) for seed in drawn]

    def draw(self, calls: Sequence[Call], copies: Sequence[int], places: Sequence[int]) -> list[Tensor]:
        """Return the masks of a step, ``(copies, *shape) float32`` each.

        Args:
            calls: of the step.
            copies: the number of each copy among the networks.
            places: of the copies among the seeds that :meth:`begin` was given.
        """
        masks = [torch.empty(len(copies), *call.shape, device=self._device) for call in calls]
        for row, (copy, place) in enumerate(zip(copies, places, strict=True)):
            for call, mask in zip(calls, masks, strict=True):
                rate = self.rates[call.layer][copy]
                if rate == 0.0:
                    mask[row].fill_(1.0)
                elif rate == 1.0:
                    mask[row].zero_()
                elif self._device.type == "cuda":
                    mask[row] = _drawn_on_gpu(call.shape, rate, self._generators[place])
                else:  # as torch's dropout does
                    mask[row].bernoulli_(1 - rate, generator=self._generators[place]).div_(1 - rate)
        return masks

    def give(self, masks: Sequence[Tensor]) -> None:
        """Give the masks of the next forward pass."""
        self._given = list(masks)

    def take(self, layer: str, inputs: Tensor) -> Tensor:
        """Return the mask of the next call."""
        if self._calls is not None:
            self._calls.append(Call(layer, inputs.shape))
            return torch.ones_like(inputs)
        return self._given.pop(0)


def _drawn_on_gpu(shape: torch.Size, rate: float, generator: torch.Generator) -> Tensor:
    """Return the mask that torch's dropout on a GPU draws with a generator, as factors.

    Its kernel reads random numbers in an order of its own, and from torch's own generator of the device only: that one
    is given the state for the call.
    """
    own = torch.cuda.default_generators[generator.device.index or 0]
    own.manual_seed(generator.initial_seed())
    own.set_offset(generator.get_offset())
    factors, _ = torch.native_dropout(torch.ones(shape, device=generator.device), rate, True)
    generator.set_offset(own.get_offset())
    return factors
