"""Traces the flow of samples through a network: its layers, and the layers from which each takes its inputs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

SETTINGS = {
    "kernel_size": "kernel",
    "stride": "stride",
    "padding": "padding",
    "dilation": "dilation",
    "groups": "groups",
    "num_layers": "layers",
    "bidirectional": "bidirectional",
    "num_heads": "heads",
    "num_groups": "groups",
    "p": "p",
    "negative_slope": "slope",
    "output_size": "to",
}
"""Attributes of torch layers that a diagram shows, with their labels."""

USUAL = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "num_layers": 1, "bidirectional": False}
"""Default values, which are not shown."""

WEIGHT = "accumulategrad"  # what autograd calls a weight
INPUT, OUTPUT = "<input>", "<output>"  # names that no layer has


@dataclass
class Node:
    """One layer.

    Attributes:
        name: within the network.
        type: its class.
        settings: such as ``"kernel 3, padding same"``; mostly empty.
        shape: of its output, ``(None, ...)``.
        num_params: number of its parameters; shared ones are counted at their first layer.
        calls: how often a sample passes through it.
        is_join: not a layer, but the operation that combines the outputs of several layers.
    """

    name: str
    type: str
    settings: str
    num_params: int
    shape: str = ""
    calls: int = 0
    is_join: bool = False


@dataclass
class Graph:
    """The layers and joins of a network in the order of their first use, and the edges between them.

    Attributes:
        nodes: layers and joins.
        edges: ``(from, to)`` by name; ``INPUT`` and ``OUTPUT`` are ends of edges as well.
        guessed: edges that follow the order of execution, since the network detaches its tensors and the flow of data
            is not recorded.
        num_params: of the network.
    """

    nodes: list[Node] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)
    guessed: list[tuple[str, str]] = field(default_factory=list)
    num_params: int = 0


def trace(network: nn.Module, shape: tuple[int, ...]) -> Graph:
    """Pass one sample of zeros through a network, and follow it through the graph that autograd records.

    Operations between layers (slicing, reshaping, functions) are followed and are not nodes; an operation that combines
    the outputs of several layers is a join.

    Args:
        network: is not changed.
        shape: of a sample.
    """
    training = network.training
    # In training mode, batch normalisation may refuse a single sample, and updates its running statistics.
    network.eval()
    device = next(network.parameters()).device
    try:
        try:
            return _Tracer(network).run(torch.zeros(1, *shape, device=device, requires_grad=True))
        except RuntimeError:  # the network is not differentiable by its input, so only its layers are known
            with torch.no_grad():
                return _Tracer(network).run(torch.zeros(1, *shape, device=device))
    finally:
        network.train(training)


class _Tracer:
    """Records the layer that returned each tensor, by the tensor's ``grad_fn``, which identifies it."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.here = network, threading.get_ident()
        self.graph = Graph(num_params=sum(parameter.numel() for parameter in network.parameters()))
        self.by_name: dict[str, Node] = {}
        self.makers: dict[Any, str] = {}
        self.edges: dict[tuple[str, str], bool] = {}  # whether autograd recorded it, else guessed
        self.counted: set[Tensor] = set()

    def run(self, inputs: Tensor) -> Graph:
        handles = []
        for name, module in _layers(self.network, ""):
            handles += [
                module.register_forward_pre_hook(self._before(name, module), with_kwargs=True),
                module.register_forward_hook(self._after(name)),
            ]
        try:
            with torch.set_grad_enabled(inputs.requires_grad):
                inputs = inputs.clone()  # an in-place layer may not change a leaf
                if inputs.grad_fn is not None:
                    self.makers[inputs.grad_fn] = INPUT
                outputs = self.network(inputs)
        finally:
            for handle in handles:
                handle.remove()
        self._enter(outputs, OUTPUT, self._last())
        entered = {target for (_, target), seen in self.edges.items() if seen}
        self.graph.guessed = [edge for edge, seen in self.edges.items() if not seen and edge[1] not in entered]
        self.graph.edges = [edge for edge, seen in self.edges.items() if seen] + self.graph.guessed
        return self.graph

    def _before(self, name: str, module: nn.Module) -> Any:
        def hook(_module: nn.Module, arguments: Any, named: Any) -> None:
            if threading.get_ident() != self.here:
                return  # another thread is predicting with the network
            key, last = name or "network", self._last()
            self._enter((arguments, named), key, last)
            if key not in self.by_name:
                # A layer that is used twice, or shares weights, is counted once.
                fresh = [p for p in module.parameters() if p not in self.counted]
                self.counted.update(fresh)
                size = sum(p.numel() for p in fresh)
                self._add(Node(key, type(module).__name__, settings_of(module), size))
            self.by_name[key].calls += 1

        return hook

    def _last(self) -> str:
        return self.graph.nodes[-1].name if self.graph.nodes else INPUT

    def _add(self, node: Node) -> None:
        self.by_name[node.name] = node
        self.graph.nodes.append(node)

    def _after(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if threading.get_ident() != self.here:
                return
            node = self.by_name[name or "network"]
            tensors = list(_tensors(output))
            node.shape = str((None, *tensors[0].shape[1:])) if tensors else ""
            for tensor in tensors:
                if tensor.grad_fn is not None:
                    self.makers[tensor.grad_fn] = node.name

        return hook

    def _enter(self, value: Any, name: str, last: str) -> None:
        """Add edges to a layer from the layers of its inputs; several layers of one input are joined first."""
        is_recorded = False
        for number, tensor in enumerate(_tensors(value)):
            sources, step = self._sources(tensor)
            if len(sources) > 1:
                sources = [self._joined(sources, tensor, step, f"{name}<{number}")]
            for source in sources:
                is_recorded = True
                if source != name:
                    self.edges[source, name] = True
        if not is_recorded and last != name:
            self.edges.setdefault((last, name), False)

    def _joined(self, sources: list[str], tensor: Tensor, step: str, name: str) -> str:
        if name not in self.by_name:
            self._add(Node(name, step, "", 0, str((None, *tensor.shape[1:])), is_join=True))
        self.edges |= {(source, name): True for source in sources if source != name}
        self.makers[tensor.grad_fn] = name
        return name

    def _sources(self, tensor: Tensor) -> tuple[list[str], str]:
        """Return the nearest layers from whose outputs a tensor was computed, and the operation that combined them."""
        stack, sources, operation = [tensor.grad_fn], set[str](), ""
        visited = set(stack)
        while stack:
            step = stack.pop()
            if step in self.makers:
                sources.add(self.makers[step])
            elif step is not None:
                before = [one for one, _ in step.next_functions if one is not None and _operation(one) != WEIGHT]
                if len(before) > 1 and not operation:
                    operation = _operation(step)
                stack += [one for one in dict.fromkeys(before) if one not in visited]
                visited.update(before)
        order = [INPUT, *self.by_name]
        # A set of texts has another order in each process, and the diagram must be the same each time.
        return sorted(sources, key=order.index), operation


def _operation(step: Any) -> str:
    """Return the operation of an autograd node, such as ``add`` or ``cat``."""
    return str(step.name()).removeprefix("torch::autograd::").rstrip("0123456789").removesuffix("Backward").lower()


def settings_of(module: nn.Module) -> str:
    """Return the settings of a layer that differ from the defaults, such as ``"kernel 3, padding same"``."""
    settings = []
    for attribute, word in SETTINGS.items():
        value = getattr(module, attribute, None)
        if isinstance(value, tuple) and len(set(value)) == 1:
            value = value[0]
        if not isinstance(value, int | float | str | tuple) or value == USUAL.get(attribute):
            continue
        if attribute == "stride" and value == getattr(module, "kernel_size", None):
            continue  # the default of pooling
        text = f"{value:g}" if isinstance(value, float) else str(value)
        settings.append(word if value is True else f"{word} {text}")
    return ", ".join(settings)


def _layers(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that are drawn: those without children, and torch's own with parameters.

    Layers such as ``nn.MultiheadAttention`` have children whose ``forward`` they do not call.
    """
    own = type(module).__module__.startswith("torch.nn.") and list(module.parameters(recurse=False))
    children = list(module.named_children())
    if own or not children:
        yield prefix, module
        return
    for name, child in children:
        yield from _layers(child, f"{prefix}.{name}" if prefix else name)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
