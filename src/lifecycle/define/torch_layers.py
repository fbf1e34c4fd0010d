"""Writes networks of torch's own layers as plain values, and builds them again, for saved models."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from lifecycle.contract import DataSpec

RECURRENT = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
"""Arguments of ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN``, whose constructors only declare ``*args``."""

PLACEMENT = ("device", "dtype")
"""Arguments of layers that say where their weights are."""

MOST_DEPTH = 50
"""Most containers within one another."""


def describe(network: nn.Module, spec: DataSpec) -> dict[str, Any] | None:
    """Return a network of ``torch.nn`` layers in ``nn.Sequential`` as plain values; ``None``: it has anything else.

    The values are returned only if a network that :func:`build` makes of them has the same outputs.

    Args:
        network: with its weights.
        spec: of the data, whose sample shape the network takes.
    """
    try:
        found = _described(network, 0)
        return found if found is not None and _is_equal(network, build(found, "meta"), spec) else None
    except (ValueError, TypeError, RuntimeError, NotImplementedError):  # of a layer whose arguments are not kept in it
        return None


def build(described: Any, device: str | None = None) -> nn.Module:
    """Return the network that :func:`describe` described; its weights are drawn anew.

    Args:
        described: plain values, which may come from a file: only classes of ``torch.nn`` are built.
        device: where; ``None``: torch's default device.

    Raises:
        ValueError: the values describe no such network.
    """
    if device is None:
        return _built(described, 0)
    with torch.device(device):
        return _built(described, 0)


def known_class(name: Any) -> type[nn.Module] | None:
    """Return the class of ``torch.nn`` of a name; ``None``: it has no such layer."""
    found = getattr(nn, name, None) if isinstance(name, str) else None
    is_layer = isinstance(found, type) and issubclass(found, nn.Module)
    return found if is_layer and found.__module__.startswith("torch.nn.modules.") else None


def _described(module: nn.Module, depth: int) -> dict[str, Any] | None:
    cls = type(module)
    if depth > MOST_DEPTH or known_class(cls.__name__) is not cls:
        return None
    if cls is nn.Sequential:
        children = [(name, _described(child, depth + 1)) for name, child in module.named_children()]
        # named_children() leaves out a layer that occurs twice.
        if len(children) != len(module._modules) or any(child is None for _, child in children):
            return None
        return {"type": "Sequential", "layers": [[name, child] for name, child in children]}
    if list(module.children()):
        return None
    values = {}
    for name, parameter in _parameters(cls).items():
        if hasattr(module, name):
            value = getattr(module, name)
            values[name] = value is not None if name == "bias" and not isinstance(value, bool) else _plain(value)
        elif parameter.default is parameter.empty:
            return None
    return {"type": cls.__name__, "arguments": values}


def _parameters(cls: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """Return the arguments of a layer by name."""
    if issubclass(cls, nn.RNNBase):
        names = (*RECURRENT, *{nn.LSTM: ["proj_size"], nn.RNN: ["nonlinearity"]}.get(cls, []))
        return {name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(cls).parameters
    return {name: one for name, one in found.items() if one.kind in named and name not in PLACEMENT}


def _plain(value: Any) -> Any:
    """Return a value of JSON.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{value!r} is no plain value")


def _built(described: Any, depth: int) -> nn.Module:
    if not isinstance(described, dict) or depth > MOST_DEPTH:
        raise ValueError("layers must be described by a type with its arguments")
    cls = known_class(described.get("type"))
    if cls is None:
        raise ValueError(f"layers must be of torch.nn, got {described.get('type')!r}")
    if cls is nn.Sequential:
        pairs = [(str(name), _built(layer, depth + 1)) for name, layer in described["layers"]]
        return nn.Sequential(OrderedDict(pairs))
    known, values = _parameters(cls), described.get("arguments", {})
    if not isinstance(values, dict) or not set(values) <= set(known):
        raise ValueError(f"layers must have arguments of {cls.__name__}, got {values!r}")
    return cls(**{name: _tuples(_plain(value)) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _is_equal(network: nn.Module, twin: nn.Module, spec: DataSpec) -> bool:
    """Return whether a network on the device ``meta`` is the same but for its weights."""
    twin.load_state_dict(network.state_dict(), assign=True)
    tensors = [*twin.parameters(), *twin.buffers()]
    # Layers that share weights would be trained apart.
    shared = len(list(network.parameters())) != len(list(twin.parameters()))
    if shared or any(tensor.is_meta for tensor in tensors) or repr(network) != repr(twin):
        return False
    inputs = torch.rand(2, *spec.input_shape, generator=torch.Generator().manual_seed(0))
    return bool(torch.equal(_outputs(network, inputs), _outputs(twin, inputs)))


def _outputs(network: nn.Module, inputs: Tensor) -> Tensor:
    training = network.training
    with torch.no_grad():
        outputs: Tensor = network.eval()(inputs)
    network.train(training)
    return outputs
