"""The summary of a network: its layers, their output shapes and numbers of parameters."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lifecycle.contract import DataSpec
from lifecycle.define.probe import probe


@dataclass(frozen=True)
class Layer:
    """One row of a summary."""

    name: str
    type: str
    output_shape: str  # None is the batch axis, as in Keras's summary
    num_params: int
    num_frozen: int = 0  # parameters that are not trained


def summarize(network: nn.Module, spec: DataSpec) -> list[Layer]:
    """Return the layers in the order in which a sample passes them, with output shapes and numbers of parameters."""
    layers: list[Layer] = []
    seen: set[Tensor] = set()
    here = threading.get_ident()

    def record(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if threading.get_ident() != here:
                return  # another thread predicts with the same network
            new = [p for p in module.parameters() if p not in seen]  # shared weights are counted once
            seen.update(new)
            layers.append(Layer(name, type(module).__name__, _shape(output), *_counts(new)))

        hooks.append(module.register_forward_hook(hook))

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    for name, module in network.named_modules():
        if not list(module.children()):
            record(name or "network", module)
    try:
        probe(network, spec, samples=1)
    finally:
        for handle in hooks:
            handle.remove()
    outside = [p for p in network.parameters() if p not in seen]  # those of a module with children, such as a token
    if outside:
        layers.append(Layer("(other)", type(network).__name__, "", *_counts(outside)))
    return layers


def _counts(parameters: list[nn.Parameter]) -> tuple[int, int]:
    """Return the number of parameters, and of those that are not trained."""
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if not p.requires_grad)


def _shape(output: object) -> str:
    while isinstance(output, tuple) and output:
        output = output[0]  # a recurrent layer returns (output, state)
    return str((None, *output.shape[1:])) if isinstance(output, Tensor) else ""
