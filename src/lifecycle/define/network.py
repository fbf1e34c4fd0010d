"""Step 1, define: a plugin's fields and a DataSpec become a network; its summary."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from lifecycle.config.resolve import check_sample_dims
from lifecycle.contract import DataSpec, ModelPlugin
from lifecycle.errors import RequestError
from lifecycle.runtime import memory
from lifecycle.runtime.faults import explanation
from lifecycle.runtime.memory import free_memory
from lifecycle.runtime.seeds import seed_all


def define(plugin: ModelPlugin, name: str, spec: DataSpec, seed: int, source: str = "the data") -> nn.Module:
    """Build the network that a plugin describes, its initial weights drawn by ``seed``.

    Args:
        plugin: hyper-parameters.
        name: name of the plugin, for messages.
        spec: what the data ask of the network.
        seed: of the initial weights.
        source: where the samples come from, for messages, such as ``data=iris``.

    Raises:
        RequestError: the network does not fit the data.
    """
    check_sample_dims(name, type(plugin), len(spec.input_shape), source, shape=str(spec.input_shape))
    seed_all(seed)
    try:
        with memory.bounded(_room()):
            network = plugin.build(spec)
    except ValueError as error:
        # "layers must ..." or, of an element of a list, "layers[2] ..."
        names = [item.name for item in fields(plugin)]  # type: ignore[arg-type]
        named = str(error).startswith(tuple(f"{name}{sign}" for name in names for sign in " ["))
        raise RequestError(f"model.{error}" if named else f"model={name} cannot be built: {error}") from error
    except SystemExit as error:
        raise RequestError(f"model={name} called sys.exit({error.code}) in build(). Mend the plugin.") from error
    if not isinstance(network, nn.Module):
        raise RequestError(f"model={name} built no torch.nn.Module, got {type(network).__name__}. Mend its build().")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise RequestError(f"model={name} built a network without a weight to train. Mend its build().")
    wanted = (2, spec.num_outputs)
    try:
        outputs = _probe(network, spec, samples=2)
    except RuntimeError as error:  # torch's own, on shapes that do not go together
        if explanation(error) is not None:
            raise
        why = str(error).splitlines()[0]
        raise RequestError(
            f"model={name} cannot take samples of shape {spec.input_shape} from {source}: {why}. Choose other data; "
            "the plugin's sample_dims can say so before they are loaded."
        ) from error
    found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    if found != wanted:
        raise RequestError(
            f"model={name} returned outputs of shape {found} for 2 samples, and {source} needs {wanted}. "
            "Let build() end in a layer of spec.num_outputs."
        )
    return network


def _room() -> int | None:
    """Return the bytes that a network may take: on a processor its gradients need as many again."""
    free = free_memory()
    return free if free is None or torch.cuda.is_available() else free // 2


def learns_from_one_row(network: nn.Module, spec: DataSpec) -> bool:
    """Tell whether a training step may have a single row; batch normalisation of features has no spread there."""
    twin = copy.deepcopy(network).train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            twin(torch.zeros(1, *spec.input_shape))
        except ValueError:
            return False
    return True


@dataclass(frozen=True)
class Layer:
    """One row of a summary."""

    name: str
    type: str
    output_shape: str  # with None for the batch axis, as Keras prints it
    num_params: int


def summarize(network: nn.Module, spec: DataSpec) -> list[Layer]:
    """Return the layers that a sample passes through, in that order, with output shapes and numbers of parameters."""
    layers: list[Layer] = []
    seen: set[Tensor] = set()
    here = threading.get_ident()

    def record(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if threading.get_ident() != here:
                return  # another thread predicts with the network meanwhile
            fresh = [p for p in module.parameters() if p not in seen]  # shared weights are counted once
            seen.update(fresh)
            layers.append(Layer(name, type(module).__name__, _shape(output), sum(p.numel() for p in fresh)))

        hooks.append(module.register_forward_hook(hook))

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    for name, module in network.named_modules():
        if not list(module.children()):
            record(name or "network", module)
    try:
        _probe(network, spec, samples=1)
    finally:
        for handle in hooks:
            handle.remove()
    outside = [p for p in network.parameters() if p not in seen]  # parameters that belong to no leaf
    if outside:
        layers.append(Layer("(other)", type(network).__name__, "", sum(p.numel() for p in outside)))
    return layers


def _probe(network: nn.Module, spec: DataSpec, samples: int) -> Tensor:
    """Run zeros through the network without leaving a trace in it."""
    training = network.training
    network.eval()
    with torch.no_grad():
        outputs: Tensor = network(torch.zeros(samples, *spec.input_shape))
    network.train(training)
    return outputs


def _shape(output: object) -> str:
    while isinstance(output, tuple) and output:
        output = output[0]  # a recurrent layer returns (output, state)
    return str((None, *output.shape[1:])) if isinstance(output, Tensor) else ""
