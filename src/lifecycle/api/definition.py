"""Step 1 from Python: what ``Model`` was given as a network, and how a request is completed with objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from lifecycle import registry
from lifecycle.api import hints, objects, request
from lifecycle.api.request import Compiled
from lifecycle.config.request import Job, Request
from lifecycle.config.resolve import resolve
from lifecycle.config.tasks import OwnName
from lifecycle.define import own_network
from lifecycle.define.own_network import OwnNetwork
from lifecycle.errors import RequestError
from lifecycle.optimizers import OwnOptimizer
from lifecycle.predict.trained_model import OWN_NAMES, TrainedModel


def read(network: Any, fields: dict[str, Any]) -> tuple[str, Any]:
    """Return the name and the dataclass of a model plugin.

    Args:
        network: as :class:`lifecycle.Model` takes it.
        fields: hyper-parameters, or arguments of a class or function.

    Raises:
        RequestError: it is no network, or a field is unknown or out of range.
    """
    if isinstance(network, list | tuple):
        network, fields = _of_layers(list(network), fields)
    if isinstance(network, str):
        known = [item.name for item in dataclasses.fields(registry.load("model", network))]
        hints.check_fields(fields, known)
        return network, request.plugin("model", network, fields, f'Model("{network}")')
    registry.load("model", own_network.NAME)
    if dataclasses.is_dataclass(network) and not isinstance(network, type) and hasattr(network, "build"):
        name = registry.name_of("model", type(network))
        if name and not fields:
            return name, network
    if not isinstance(network, nn.Module) and not callable(network):
        problem = "must be given a name, a network, a class or function that returns one, or a list of layers"
        raise RequestError("Model", problem, repr(network), 'Such as Model("mlp") or Model(nn.Sequential(...)).')
    return own_network.NAME, own_network.read(network, fields)


def _of_layers(layers: list[Any], fields: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the network and the fields of a list of layers."""
    foreign = next((one for one in layers if type(one).__module__.split(".")[0] in ("keras", "tensorflow")), None)
    if foreign is not None:
        name, units = type(foreign).__name__, getattr(foreign, "units", 64)
        remedy = f'Write the layers as words, ["dense: {units}", "relu", "output"], or with torch.nn.'
        raise RequestError("Model", f"has a layer of Keras, {name}", remedy=remedy)
    if layers and all(isinstance(one, nn.Module) for one in layers):
        return nn.Sequential(*layers), fields
    if any(isinstance(one, nn.Module) for one in layers):
        problem = "has words and modules of torch in one list of layers"
        raise RequestError("Model", problem, remedy='Write all as words, "dense: 64", or as modules, nn.Linear(4, 64).')
    return "sequential", {"layers": layers, **fields}


def not_recorded(plugin: Any, compiled: Compiled, more: Sequence[str] = ()) -> list[str]:
    """Return which objects a fit depends on that no record holds, a clause each."""
    own = [own_network.sentence(plugin)] if isinstance(plugin, OwnNetwork) else []
    return [*own, *objects.sentences(compiled.optimizer, compiled.loss, compiled.metrics), *more]


def job(config: Request, plugin: Any, compiled: Compiled) -> Job:
    """Return a checked request, with the objects that its configuration only names.

    Raises:
        RequestError: a value does not fit.
    """
    own = {name: name for name in (compiled.loss, *(compiled.metrics or ())) if isinstance(name, OwnName)}
    root = config.config
    if own:  # resolve() knows the names of this package only
        root = root.copy()
        root.loss = None if isinstance(compiled.loss, OwnName) else root.loss
        root.metrics = (
            None if compiled.metrics is None else [name for name in map(str, compiled.metrics) if name not in own]
        )
    found = resolve(replace(config, config=root))
    found = replace(found, request=config, loss=compiled.loss, metrics=compiled.metrics)
    if isinstance(plugin, OwnNetwork):
        found = replace(found, model=plugin)
    if isinstance(compiled.optimizer, OwnOptimizer):
        found = replace(found, optimizer=compiled.optimizer)
    return found


def completed(trained: TrainedModel | None, compiled: Compiled) -> TrainedModel | None:
    """Return a loaded model with those of its functions and objects of loss and metrics that were compiled again."""
    known: dict[str, OwnName] = {
        str(name): name for name in (compiled.loss, *(compiled.metrics or ())) if isinstance(name, OwnName)
    }
    if trained is None or not known:
        return trained
    settings, own = trained.settings, trained.settings.get(OWN_NAMES, ())
    metrics = [known.get(str(name), name) if name in own else name for name in settings["metrics"]]
    loss = known.get(str(settings["loss"]), settings["loss"]) if settings["loss"] in own else settings["loss"]
    return replace(trained, settings={**settings, "loss": loss, "metrics": metrics})


def shown(name: str, plugin: Any) -> str:
    """Return the call that defines a model, for ``repr``."""
    if isinstance(plugin, OwnNetwork):
        given = plugin.given
        path = plugin.path.rpartition(":")[2]
        called = type(given).__name__ if isinstance(given, nn.Module) else getattr(given, "__name__", path or "layers")
        values = "".join(f", {key}={value!r}" for key, value in plugin.arguments_given.items())
        return f"Model({called}(...))" if isinstance(given, nn.Module) else f"Model({called}{values})"
    fields = ", ".join(f"{key}={value!r}" for key, value in dataclasses.asdict(plugin).items())
    return f'Model("{name}", {fields})'
