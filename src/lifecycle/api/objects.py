"""Optimizers, losses and metrics that a Python caller gives as objects rather than by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torchmetrics
from torch import nn
from torch.nn import functional as F

from lifecycle.api import hints
from lifecycle.compile import own_optimizer
from lifecycle.config.tasks import SYNONYMS, TASKS, OwnName, snake
from lifecycle.define.own_network import import_path
from lifecycle.errors import RequestError
from lifecycle.optimizers import OptimizerConfig, OwnOptimizer

NAMED_LOSSES: dict[Any, str] = {
    nn.BCEWithLogitsLoss: "binary_crossentropy",
    F.binary_cross_entropy_with_logits: "binary_crossentropy",
    nn.MSELoss: "mse",
    F.mse_loss: "mse",
    nn.L1Loss: "mae",
    F.l1_loss: "mae",
    nn.HuberLoss: "huber",
    F.huber_loss: "huber",
    nn.SmoothL1Loss: "huber",
    F.smooth_l1_loss: "huber",
    nn.PoissonNLLLoss: "poisson",
    F.poisson_nll_loss: "poisson",
}
"""Losses of torch by our names of them."""

CROSS_ENTROPY = (nn.CrossEntropyLoss, F.cross_entropy)
"""The loss of classes, two or more; ours is chosen by the task."""

OF_PROBABILITIES: dict[Any, str] = {
    nn.BCELoss: "nn.BCEWithLogitsLoss()",
    F.binary_cross_entropy: "nn.BCEWithLogitsLoss()",
    nn.NLLLoss: "nn.CrossEntropyLoss()",
    F.nll_loss: "nn.CrossEntropyLoss()",
}
"""Losses of probabilities, which networks do not return -> the one of logits."""


@dataclass(frozen=True)
class ReadLoss:
    """A loss as a request has it.

    Attributes:
        loss: name; ``None``: the task's default.
        task: that the loss decides; ``None``: it does not.
        label_smoothing: that the object holds.
    """

    loss: str | None
    task: str | None = None
    label_smoothing: float = 0.0


def optimizer(given: Any, fields: dict[str, Any]) -> OptimizerConfig | None:
    """Return the configuration of an optimizer of torch; ``None``: ``given`` is a name or a configuration.

    Args:
        given: a class, a ``functools.partial``, an optimizer, or a function of the parameters.
        fields: further arguments, ``lr=0.01``.

    Raises:
        RequestError: it cannot be made.
    """
    if isinstance(given, str | OptimizerConfig) or given is None:
        return None
    if isinstance(given, functools.partial):
        if given.args:
            raise RequestError("optimizer", "must be a partial with named arguments", repr(given), "Name each one.")
        return optimizer(given.func, {**given.keywords, **fields})
    if isinstance(given, torch.optim.Optimizer):
        return _of_instance(given, fields)
    if not callable(given):
        return None
    found = own_optimizer.of_torch(given, fields)
    make = functools.partial(given, **fields) if fields else given
    return found or own_optimizer.own(make, import_path(given))


def _of_instance(given: torch.optim.Optimizer, fields: dict[str, Any]) -> OptimizerConfig:
    """Return the configuration of an optimizer that was made for the parameters of another network."""
    if len(given.param_groups) > 1:
        problem = "has several groups of parameters, which belong to a network that exists"
        remedy = "Give a function of the parameters of the network that is fitted: lambda parameters: ..."
        raise RequestError("optimizer", problem, type(given).__name__, remedy)
    group = {
        name: value for name, value in given.param_groups[0].items() if name in given.defaults and name != "params"
    }
    return optimizer(type(given), {**group, **fields}) or OptimizerConfig()


def loss(given: Any) -> ReadLoss:
    """Return a loss by its name, or with the object that computes it.

    Raises:
        RequestError: it takes probabilities, or has settings that are arguments of ``compile``.
    """
    if given is None or isinstance(given, str):
        return ReadLoss(hints.loss(given))
    if isinstance(given, type) and issubclass(given, nn.Module):
        given = given()
    kind = type(given) if isinstance(given, nn.Module) else given
    if not callable(given):
        raise RequestError("loss", "must be a name, a function or a loss of torch", repr(given), 'Such as "mse".')
    hashed = kind if isinstance(kind, type) or callable(kind) else None
    if hashed in OF_PROBABILITIES:
        problem = f"{_name(kind)} takes probabilities, and networks return logits"
        raise RequestError("loss", problem, remedy=f"Use loss={OF_PROBABILITIES[hashed]}.")
    if isinstance(given, nn.Module):
        _check_module(given)
        if type(given) is nn.CrossEntropyLoss:
            return ReadLoss(None, "classification", float(given.label_smoothing))
    if hashed in CROSS_ENTROPY:
        return ReadLoss(None, "classification")
    if hashed in NAMED_LOSSES and _is_usual(given):
        return ReadLoss(NAMED_LOSSES[hashed])
    name = _name(kind)
    taken = {*SYNONYMS, *(known for task in TASKS.values() for known in task.losses)}
    _check_name("loss", name, taken)
    return ReadLoss(OwnName(name, given))


def _check_module(given: nn.Module) -> None:
    """Refuse settings of a loss of torch that ``compile`` has arguments for, and weights to train."""
    if any(parameter.requires_grad for parameter in given.parameters()):
        problem = "has weights to train, and the optimizer trains those of the network"
        raise RequestError("loss", problem, type(given).__name__, "Make them part of the network.")
    for name in ("weight", "pos_weight"):
        if isinstance(given, nn.CrossEntropyLoss | nn.BCEWithLogitsLoss) and getattr(given, name, None) is not None:
            values = getattr(given, name).flatten().tolist()
            remedy = 'Give compile(class_weights={"no": 1, "yes": 3}) or fit(class_weight={0: 1, 1: 3}).'
            raise RequestError("loss", f"has {name}={values}, which here is the weight of a class", remedy=remedy)
    if getattr(given, "reduction", "mean") == "sum":
        problem = 'has reduction="sum", whose gradients depend on the size of a batch'
        raise RequestError("loss", problem, remedy='Leave it out, or use reduction="mean".')


def _is_usual(given: Any) -> bool:
    """Return whether a loss of torch has no setting that ours has not."""
    if isinstance(given, nn.HuberLoss):
        return given.delta == 1.0
    if isinstance(given, nn.SmoothL1Loss):
        return given.beta == 1.0
    return not isinstance(given, nn.PoissonNLLLoss) or (given.log_input and not given.full)


def metrics(given: Any) -> list[str] | None:
    """Return metrics by name, those of functions and objects with these.

    Args:
        given: a name, function or object of torchmetrics; several in a list; or a mapping of names to them.

    Raises:
        RequestError: one is none of these, or has a name that is taken.
    """
    if given is None:
        return None
    if isinstance(given, torchmetrics.MetricCollection):
        given = dict(given.items())
    if isinstance(given, Mapping):
        return [_metric(one, str(name)) for name, one in given.items()]
    several = list(given) if isinstance(given, list | tuple | set) else [given]
    found = [_metric(one) for one in several]
    twice = next((name for name in found if found.count(name) > 1 and isinstance(name, OwnName)), None)
    if twice is not None:
        remedy = "Name them: metrics={'first': ..., 'second': ...}."
        raise RequestError("metrics", f"has two called {twice}", remedy=remedy)
    return found


def _metric(given: Any, name: str = "") -> str:
    if isinstance(given, str):
        return hints.metric(given)
    if isinstance(given, type) and issubclass(given, torchmetrics.Metric):
        return given.__name__
    if isinstance(given, torchmetrics.Metric):
        name = name or snake(type(given).__name__)
    elif callable(given):
        name = name or _name(given)
    else:
        remedy = "Give a name, a function of y_true and y_pred, or an object of torchmetrics."
        raise RequestError("metrics", "has an element that is no metric", repr(given), remedy)
    _check_name("metrics", name, {"loss"})
    return OwnName(name, given)


def _name(given: Any) -> str:
    """Return the name of a function or class; of a lambda "lambda"."""
    given = given.func if isinstance(given, functools.partial) else given
    return str(getattr(given, "__name__", type(given).__name__)).strip("<>")


def _check_name(key: str, name: str, taken: set[str]) -> None:
    if name in taken:
        example = f"metrics={{'my_{name}': {name}}}" if key == "metrics" else f"my_{name}"
        remedy = f"Rename it, as in {example}."
        raise RequestError(key, f"has a function called {name}, which is a name here too", remedy=remedy)


def sentences(config: OptimizerConfig, loss: str | None, names: list[str] | None) -> list[str]:
    """Return which objects of a compilation no configuration holds."""
    found = []
    if isinstance(config, OwnOptimizer):
        found.append(f"the optimizer is made by {config.path or 'a function'}")
    if isinstance(loss, OwnName):
        found.append(f"the loss is {_shown(loss)}")
    own = [_shown(name) for name in names or () if isinstance(name, OwnName)]
    if own:
        found.append(f"the metric{'s are' if len(own) > 1 else ' is'} {', '.join(own)}")
    return found


def _shown(name: OwnName) -> str:
    given: Callable[..., Any] = name.given
    is_object = isinstance(given, nn.Module | torchmetrics.Metric)
    return f"{name} ({import_path(type(given) if is_object else given) or 'a function without an import path'})"
