"""A network of a Python caller: a ``torch.nn.Module``, or a class or function that builds one."""

from __future__ import annotations

import copy
import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from lifecycle.contract import BINARY, DataSpec
from lifecycle.define import torch_layers
from lifecycle.define.probe import probe
from lifecycle.errors import Either, RequestError

NAME = "network"
"""Of the plugin, which no command lists or chooses."""

PROBABILITIES = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.Sigmoid, nn.LogSigmoid, nn.Hardsigmoid)
"""Layers that would turn logits into probabilities, whereas the loss and the predictions expect logits."""

_known: dict[str, Any] = {}
"""Classes and functions that were given to ``Model`` in this process, by import path."""


class TwoLogits(nn.Module):
    """Turns two logits into the one of the second class: their difference has the same probabilities and the same loss.

    A network for two classes has one output here, and often two in PyTorch.
    """

    def forward(self, logits: Tensor) -> Tensor:
        """Map ``(batch, 2)`` to ``(batch, 1)``."""
        return logits[:, 1:] - logits[:, :1]


@dataclass
class OwnNetwork:
    """The network of a Python caller.  Python: Model(nn.Sequential(...)), Model(MyNetwork, width=8)."""

    sample_dims: ClassVar[tuple[int, ...]] = ()

    path: str = ""  # import path of the class or function, my_package.nets:MyNetwork; empty: it has none
    arguments: dict[str, Any] = field(default_factory=dict)  # that the class or function was called with
    layers: Any = None  # of a network of torch's own layers: plain values; see lifecycle.define.torch_layers

    given: ClassVar[Any] = None
    """What the caller gave; an instance sets it. It is no field, as no record can hold it."""

    def build(self, spec: DataSpec) -> nn.Module:
        """Return the network, with outputs of the shape ``(batch, spec.num_outputs)`` where that is possible.

        Raises:
            ValueError: it ends in a layer of probabilities, or a file describes it in part only.
        """
        network = self._made(spec)
        if not isinstance(network, nn.Module):
            return cast(nn.Module, network)  # define() refuses it
        last = _last(network)
        if isinstance(last, PROBABILITIES) and spec.class_names:
            raise ValueError(
                f"it ends in {type(last).__name__}, and a network returns logits. Leave it out: the loss and the "
                "predictions convert logits to probabilities."
            )
        fitting = _fitting(network, spec)
        # Also of a function: a network of torch's own layers is loaded without the function.
        if self.given is not None and self.layers is None:
            self.layers = torch_layers.describe(network, spec)
        return fitting

    def _made(self, spec: DataSpec) -> Any:
        if self.given is not None:
            if isinstance(self.given, nn.Module):
                # A copy, so that each fit begins with the weights that the network was given with.
                return copy.deepcopy(self.given)
            return call(self.given, spec, self.arguments_given)
        if self.layers is not None:
            return torch_layers.build(self.layers)
        raise ValueError(f"{self.missing()}.")

    @property
    def arguments_given(self) -> dict[str, Any]:
        """The arguments of the class or function, also those that are no plain values."""
        found: dict[str, Any] = getattr(self, "_arguments", self.arguments)
        return found

    def with_network(self, given: Any = None) -> OwnNetwork:
        """Return the plugin of a saved model with what builds its network.

        A file never chooses code: a class or function is used only if the caller names it, or has given it to
        ``Model`` in this process.

        Args:
            given: a network, or the class or function; ``None``: one that this process knows.

        Raises:
            RequestError: none was given, and the file does not describe the layers.
        """
        if given is None and self.layers is not None:
            return self
        given = _known.get(self.path) if given is None else given
        if given is None:
            raise RequestError("the network", self.missing(), remedy=self.remedy())
        found = OwnNetwork(self.path, self.arguments, self.layers)
        found.given = given  # type: ignore[misc]
        return found

    def missing(self) -> str:
        """Return what a record of the network lacks, as a clause."""
        if self.layers is not None:
            return "is recorded as layers of torch.nn, without the weights that it began with"
        if self.path:
            return f"is made by {self.path}, and a saved model holds its weights and no code"
        return "is made by code without an import path, and a saved model holds its weights and no code"

    def remedy(self) -> Either:
        """Return how to load the network."""
        name = self.path.rpartition(":")[2]
        module = self.path.partition(":")[0]
        first = f"from {module} import {name}" if module not in ("", "__main__") else "Define it"
        values = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        shown = f"{name}({values or '...'})" if name else "my_network"
        python = f"{first}, then Model.load(folder, network={shown})."
        return Either(command=f"In Python: {python}", python=python)


def read(given: Any, arguments: dict[str, Any]) -> OwnNetwork:
    """Return the plugin of a network, or of a class or function that builds one.

    Args:
        given: a ``torch.nn.Module``, a class of them, a function, or a ``functools.partial``.
        arguments: of the class or function.

    Raises:
        RequestError: arguments come with a network that is built already, or do not fit.
    """
    if isinstance(given, functools.partial):
        if given.args:
            raise RequestError("Model", "takes a partial with named arguments", repr(given.args), "Name each argument.")
        return read(given.func, {**given.keywords, **arguments})
    made = isinstance(given, nn.Module)
    _check_steps(type(given) if made else given)
    if made and arguments:
        name = next(iter(arguments))
        problem = f"is no argument of a network that is built already, {type(given).__name__}(...)"
        raise RequestError(name, problem, repr(arguments[name]), "Give the class or a function, with its arguments.")
    if not made:
        _check_arguments(given, arguments)
    maker = type(given) if made else given
    path = import_path(maker)
    plain = _plain(arguments) if not made else _attributes(given)
    plugin = OwnNetwork(path, plain)
    plugin.given = given  # type: ignore[misc]
    plugin._arguments = arguments  # type: ignore[attr-defined]
    if path:
        _known[path] = maker
    return plugin


def _check_steps(maker: Any) -> None:
    """Refuse a LightningModule with steps of its own, which would not be called.

    Raises:
        RequestError: names them, and what to give instead.
    """
    mro = maker.__mro__ if isinstance(maker, type) else ()
    base = next((one for one in mro if one.__name__ == "LightningModule"), None)
    steps = ("training_step", "validation_step", "test_step", "configure_optimizers")
    own = [name for name in steps if base and getattr(maker, name) is not getattr(base, name, None)]
    if own:
        problem = f"would not call {', '.join(own)} of a LightningModule"
        remedy = (
            "Give its network, a torch.nn.Module: Model(network).compile(optimizer=torch.optim.Adam, "
            "loss=nn.CrossEntropyLoss())."
        )
        raise RequestError("Model", problem, f"{maker.__name__}(...)", remedy)


def import_path(made_by: Any) -> str:
    """Return ``module:name`` of a class or function at the top level of a module; "": it has none, or is torch's.

    >>> import_path(OwnNetwork), import_path(nn.Linear), import_path(lambda: None)
    ('lifecycle.define.own_network:OwnNetwork', '', '')
    """
    name = getattr(made_by, "__qualname__", "")
    module = getattr(made_by, "__module__", None) or ""
    # Of a torch.nn.Sequential the class says nothing.
    has_path = module and name and "<" not in name and not module.startswith("torch.nn.")
    return f"{module}:{name}" if has_path else ""


def call(function: Callable[..., Any], spec: DataSpec, arguments: dict[str, Any]) -> Any:
    """Call a class or function; one with a required first argument gets the ``DataSpec``."""
    return function(spec, **arguments) if _takes_spec(function, arguments) else function(**arguments)


def _takes_spec(function: Callable[..., Any], arguments: dict[str, Any]) -> bool:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        known = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # a builtin without a signature
        return False
    first = next((one for one in known if one.name not in arguments), None)
    return first is not None and first.kind in positional and first.default is first.empty


def _check_arguments(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Refuse arguments that a class or function does not take, before any data are read."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return
    try:
        signature.bind(*([None] if _takes_spec(function, arguments) else []), **arguments)
    except TypeError as error:
        name = getattr(function, "__name__", repr(function))
        raise RequestError(
            f"Model({name})", f"cannot be called: {error}", remedy="Give its arguments by name, as in width=8."
        ) from error


def _last(network: nn.Module) -> nn.Module:
    while isinstance(network, nn.Sequential) and len(network):
        network = network[-1]
    return network


def _fitting(network: nn.Module, spec: DataSpec) -> nn.Module:
    """Return a network whose outputs have the shape that losses take; those that cannot are refused by define()."""
    try:
        outputs = probe(network, spec, samples=2)  # also gives lazy layers their sizes
    except (RuntimeError, ValueError, TypeError, IndexError):
        return network
    shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else ()
    if shape == (2,) and spec.num_outputs == 1:
        return nn.Sequential(OrderedDict(network=network, column=nn.Unflatten(0, (-1, 1))))
    if shape == (2, 2) and spec.task == BINARY:
        return nn.Sequential(OrderedDict(network=network, logit=TwoLogits()))
    return network


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that are plain values."""
    kinds = (bool, int, float, str, type(None), list, tuple)
    return {name: value for name, value in arguments.items() if isinstance(value, kinds)}


def _attributes(network: nn.Module) -> dict[str, Any]:
    """Return the arguments that a network was made with, as far as it keeps them as attributes of the same name."""
    try:
        names = inspect.signature(type(network)).parameters
    except (ValueError, TypeError):
        return {}
    return _plain({name: getattr(network, name) for name in names if hasattr(network, name)})


def sentence(plugin: OwnNetwork) -> str:
    """Return what a record of the network lacks, for a run."""
    if plugin.given is None or isinstance(plugin.given, nn.Module):
        return "the network was given as an object, whose initial weights are not recorded"
    made_by = plugin.path or getattr(plugin.given, "__name__", "a function")
    return f"the network is made by {made_by}, and no configuration names code"
