"""Step 1, define: build a network from a plugin's fields and a DataSpec."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from lifecycle.config.resolve import check_sample_dims
from lifecycle.contract import DataSpec, ModelPlugin
from lifecycle.define.probe import probe
from lifecycle.errors import Either, RequestError, Setting, Text, field_error, first_line
from lifecycle.runtime import memory
from lifecycle.runtime.faults import explanation
from lifecycle.runtime.memory import free_memory
from lifecycle.runtime.seeds import seed_all


def define(plugin: ModelPlugin, name: str, spec: DataSpec, seed: int, source: Text = "the data") -> nn.Module:
    """Build the network that a plugin describes, with initial weights drawn by ``seed``.

    Args:
        plugin: hyper-parameters.
        name: name of the plugin, for messages.
        spec: shape of the samples, the task and its classes.
        seed: of the initial weights.
        source: where the samples come from, for messages, such as ``Setting("data", "iris")``.

    Raises:
        RequestError: the network cannot be built, or does not fit the data.
    """
    check_sample_dims(name, type(plugin), len(spec.input_shape), source, shape=str(spec.input_shape))
    # All generators: a plugin may draw initial weights with NumPy.
    seed_all(seed)
    network = _build(plugin, name, spec)
    if not isinstance(network, nn.Module):
        problem = "built no torch.nn.Module"
        raise RequestError(Setting("model", name), problem, type(network).__name__, "Fix its build().")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        problem = "built a network without a weight to train"
        raise RequestError(Setting("model", name), problem, remedy="Fix its build().")
    _check_outputs(network, name, spec, source)
    return network


def begin(network: nn.Module, weights: Mapping[str, Tensor] | None, frozen: Sequence[str]) -> list[nn.Module]:
    """Give a network its first weights, and freeze some of its layers.

    Args:
        network: as defined.
        weights: by name; ``None``: it keeps the drawn ones.
        frozen: names of layers, as its summary has them.

    Returns:
        The frozen layers.

    Raises:
        RequestError: the weights are those of another network, there is no such layer, or none is left to train.
    """
    if weights is not None:
        check_weights(network, weights)
        network.load_state_dict(dict(weights))
    known = dict(network.named_modules())
    layers = []
    for name in frozen:
        if name not in known or not name:
            names = ", ".join(key for key, module in known.items() if key and list(module.parameters()))
            raise RequestError(["the layer ", repr(name)], "is not in the network", remedy=f"Choose from: {names}.")
        layers.append(known[name].requires_grad_(requires_grad=False))
    if not any(parameter.requires_grad for parameter in network.parameters()):
        problem = "leaves no weight to train"
        raise RequestError(["freeze(", ", ".join(map(repr, frozen)), ")"], problem, remedy="Freeze fewer layers.")
    return layers


def check_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights of another network.

    Raises:
        RequestError: names the first that differs.
    """
    own = network.state_dict()
    for name in {**own, **weights}:
        there, given = own.get(name), weights.get(name)
        if there is None or given is None or there.shape != given.shape:
            shapes = [None if one is None else tuple(one.shape) for one in (given, there)]
            problem = f"are of another network: {name} has the shape {shapes[0]}, and needs {shapes[1]}"
            raise RequestError(["the weights"], problem, remedy="Give those of a network with the same layers.")


def _build(plugin: ModelPlugin, name: str, spec: DataSpec) -> Any:
    """Call the plugin's ``build``, and report what it refuses under the key of the model."""
    try:
        with memory.bounded(_available_bytes()):
            return plugin.build(spec)
    except ValueError as error:
        # "layers must ..." or, of an element of a list, "layers[2] ..."
        names = [item.name for item in fields(plugin)]  # type: ignore[arg-type]
        if str(error).startswith(tuple(f"{field}{sign}" for field in names for sign in " [")):
            raise field_error("model", error) from error
        reason, _, remedy = str(error).partition(". ")
        problem = f"cannot be built: {reason.removesuffix('.')}"
        raise RequestError(Setting("model", name), problem, remedy=remedy) from error
    except SystemExit as error:  # would end the process with the plugin's code, as if the run had chosen it
        problem = f"called sys.exit({error.code}) in build()"
        raise RequestError(Setting("model", name), problem, remedy="Fix the plugin.") from error


def _check_outputs(network: nn.Module, name: str, spec: DataSpec, source: Text) -> None:
    """Run two samples of zeros through the network, and check the shape of its outputs."""
    wanted = (2, spec.num_outputs)
    try:
        outputs = probe(network, spec, samples=2)
    except RuntimeError as error:  # torch's own for shapes that do not match, but also for memory
        if explanation(error) is not None:
            raise
        reason = first_line(error)
        raise RequestError(
            Setting("model", name),
            [f"cannot take samples of shape {spec.input_shape} from ", source, f": {reason}"],
            remedy=Either(
                command="Choose other data. A plugin with sample_dims is refused before they are loaded.",
                python=f"Let its first layer take {' x '.join(map(str, spec.input_shape))} numbers a sample.",
            ),
        ) from error
    found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    if found != wanted:
        raise RequestError(
            Setting("model", name),
            [f"returned outputs of shape {found} for 2 samples, and ", source, f" needs {wanted}"],
            remedy=Either(
                command="Let build() end in a layer of spec.num_outputs.",
                python=f"Let the last layer have {spec.num_outputs} output{'s' * (spec.num_outputs > 1)}.",
            ),
        )


def _available_bytes() -> int | None:
    """Return the memory that a network may take; on a CPU its gradients need as much again."""
    free = free_memory()
    return free if free is None or torch.cuda.is_available() else free // 2


def learns_from_one_row(network: nn.Module, spec: DataSpec) -> bool:
    """Return whether a training step may have a single row; batch normalisation needs a variance, that is two."""
    twin = copy.deepcopy(network).train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            twin(torch.zeros(1, *spec.input_shape))
        except ValueError:
            return False
    return True
