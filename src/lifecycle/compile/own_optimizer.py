"""An optimizer of a Python caller, which no configuration names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import torch
from torch import nn

from lifecycle.errors import RequestError, first_line
from lifecycle.optimizers import OPTIMIZERS, OptimizerConfig, OwnOptimizer

Factory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def of_torch(cls: Any, arguments: dict[str, Any]) -> OptimizerConfig | None:
    """Return the configuration of a class of ``torch.optim``; ``None``: it has no field for one of the arguments.

    Args:
        cls: the class, or another one.
        arguments: those that differ from its defaults, which are torch's own.
    """
    known = next((one for one in OPTIMIZERS.values() if getattr(torch.optim, one.torch_name, None) is cls), None)
    if known is None:
        return None
    parameters = inspect.signature(cls).parameters
    values = {name: one.default for name, one in parameters.items() if one.default is not one.empty} | arguments
    names = {item.name for item in fields(known)}
    for name, value in arguments.items():
        if name not in names and (name not in parameters or value != parameters[name].default):
            return None
    chosen = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    config: Any = known
    found: OptimizerConfig = config(**{name: value for name, value in chosen.items() if name in names})
    return found


def own(make: Factory, path: str) -> OwnOptimizer:
    """Return the configuration of an optimizer that a function makes of parameters.

    Raises:
        RequestError: the function fails, or returns no optimizer.
    """
    try:
        # A matrix, which some optimizers need.
        made = make([nn.Parameter(torch.zeros(2, 2))])
    except Exception as error:  # the caller's code may raise anything
        problem = f"cannot be made: {type(error).__name__}: {first_line(error)}"
        remedy = "Give a class, a partial, or a function of the parameters: lambda p: torch.optim.Adam(p, lr=0.01)."
        raise RequestError("optimizer", problem, remedy=remedy) from error
    if not isinstance(made, torch.optim.Optimizer):
        problem = "must be made by a function that returns a torch.optim.Optimizer"
        raise RequestError("optimizer", problem, type(made).__name__, "Return the optimizer.")
    rate = float(made.param_groups[0].get("lr", 1.0))
    config = OwnOptimizer(lr=rate if rate > 0 else 1.0, path=path)
    config.make = make  # type: ignore[misc]
    return config
