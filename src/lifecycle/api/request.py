"""A request in Python's words: arguments become the typed fields that Hydra composes from the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf, open_dict

from lifecycle import registry
from lifecycle.api.messages import GROUPS
from lifecycle.config.choices import TYPED, name_of
from lifecycle.config.request_record import FROM_PYTHON
from lifecycle.config.schema import Request, RunConfig, TrackingConfig, TrainerConfig
from lifecycle.config.tasks import TASKS
from lifecycle.contract import REGRESSION
from lifecycle.data.sources.in_memory import PATH
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.optimizers import OptimizerConfig
from lifecycle.schedules import ScheduleConfig


@dataclass(frozen=True)
class Compiled:
    """What :meth:`lifecycle.Model.compile` was told."""

    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    loss: str | None
    metrics: list[str] | None
    class_weights: Any
    label_smoothing: float


def plugin(kind: str, name: str, fields: dict[str, Any], owner: str) -> Any:
    """Return a plugin's dataclass with some of its fields set, each of the type that it declares.

    Args:
        kind: ``"model"`` or ``"data"``.
        name: of the plugin.
        fields: by name.
        owner: whose fields they are, for messages.

    Raises:
        RequestError: there is no such plugin or field, or a value does not fit.
    """
    return _made(registry.load(kind, name), fields, owner, kind)


def typed(group: str, chosen: Any, fields: dict[str, Any]) -> Any:
    """Return an optimizer or schedule: the dataclass of a name with some fields set, or the object that was given.

    Raises:
        RequestError: there is no such name or field, a value does not fit, or fields were given beside an object.
    """
    known = TYPED[group]
    if not isinstance(chosen, str):
        if name_of(group, type(chosen)) and not fields:
            return chosen
        got = f"{', '.join(fields)} with {type(chosen).__name__}(...)" if name_of(group, type(chosen)) else repr(chosen)
        raise RequestError(
            group,
            f"must be a name with its fields, or an object of lifecycle.{group}s",
            got,
            ["Write for instance ", Setting(group, next(iter(known))), "."],
        )
    if chosen not in known:
        hint = did_you_mean(chosen, known)
        raise RequestError(Setting(group, chosen), "is unknown", remedy=f"{hint} Known: {', '.join(known)}.")
    return _made(known[chosen], fields, f'{group}="{chosen}"', group)


def trainer(fields: dict[str, Any]) -> TrainerConfig:
    """Return how fitting is to proceed.

    Raises:
        RequestError: there is no such field, a value does not fit, or the caller's script would be run again.
    """
    for name in ("devices", "strategy"):
        if name in fields:
            raise RequestError(
                name,
                "is for the command",
                f"{fields[name]!r}: each process would run this whole script",
                f"Write the rows to a file and use `lifecycle trainer.devices=2`, or leave {name} out.",
            )
    if "max_epochs" in fields:
        raise RequestError("max_epochs", "is called epochs here", repr(fields["max_epochs"]), "Write epochs=.")
    known = [field.name for field in dataclasses.fields(TrainerConfig)]
    names = ["epochs", *(name for name in known if name not in ("max_epochs", "devices", "strategy"))]
    for name, value in fields.items():
        if name not in names:
            raise _unknown_field(name, value, names, "fit()")
    fields = {"max_epochs" if name == "epochs" else name: value for name, value in fields.items()}
    made: TrainerConfig = _made(TrainerConfig, fields, "fit()", "trainer")
    return made


def task_of(loss: str | None) -> str | None:
    """Return the task that a loss is for: ``"regression"``, ``"classification"``; ``None``: nothing says."""
    if loss is None:
        return None
    tasks = {task for task, known in TASKS.items() if loss in known.losses}
    return REGRESSION if tasks == {REGRESSION} else "classification" if tasks and REGRESSION not in tasks else None


def split(share: float) -> float | None:
    """Return the share of rows that validate; ``None``: there are none.

    Raises:
        RequestError: it is no number.
    """
    if isinstance(share, bool) or not isinstance(share, int | float | np.number):
        raise RequestError("validation_split", "must be a share of the rows", repr(share), "Use for instance 0.2.")
    return float(share) or None


def data(
    shape: tuple[int, ...],
    target: str,
    task: str | None,
    validation_split: float | None,
    scaling: str,
    scale_target: bool,
    split_seed: int | None,
    weight: str | None = None,
) -> Any:
    """Return the kind of data that samples of a shape are: a table's rows, or arrays."""
    fields: dict[str, Any] = {
        "path": PATH,
        "target": target,
        "task": task,
        "test_size": 0.0,
        "val_size": 0.0,
        "validation_split": validation_split,
        "scaling": scaling,
        "scale_target": scale_target,
        "split_seed": split_seed,
        "weight": weight,
    }
    if len(shape) == 1:
        return plugin("data", "table", fields, "fit()")
    return plugin("data", "array", {**fields, "shape": list(shape)}, "fit()")


def config(
    model: Any,
    rows: Any,
    compiled: Compiled,
    trainer: TrainerConfig,
    tracking: TrackingConfig,
    seed: int,
    verbose: int,
) -> Any:
    """Return the configuration of a run, as Hydra would have composed it."""
    root = OmegaConf.structured(RunConfig)
    with open_dict(root):
        root.model, root.data = OmegaConf.structured(model), OmegaConf.structured(rows)
        root.optimizer, root.schedule = (
            OmegaConf.structured(compiled.optimizer),
            OmegaConf.structured(compiled.schedule),
        )
        root.trainer, root.tracking = OmegaConf.structured(trainer), OmegaConf.structured(tracking)
    weights = compiled.class_weights
    plainly = {
        "loss": compiled.loss,
        "metrics": compiled.metrics,
        "label_smoothing": compiled.label_smoothing,
        "class_weights": {str(name): value for name, value in weights.items()}
        if isinstance(weights, dict)
        else weights,
        "seed": seed,
        "verbose": verbose,
    }
    for name, value in plainly.items():
        _set(root, name, plain(value))
    return root


def _set(root: Any, name: str, value: Any) -> None:
    try:
        root[name] = value
    except ValueError as error:
        raise _unfit(name, value, error) from error


def request(config: Any, model_name: str) -> Request:
    """Return the request of a configuration that :func:`config` made."""
    types: dict[str, Any] = {group: OmegaConf.get_type(config, group) for group in ("data", *TYPED)}
    choices = {
        "model": model_name,
        "data": registry.name_of("data", types["data"]),
        **{group: name_of(group, types[group]) for group in TYPED},
        "trainer": "default",
        "tracking": "default",
    }
    return Request(config, choices, FROM_PYTHON)


def _made(cls: Any, fields: dict[str, Any], owner: str, prefix: str) -> Any:
    known = [field.name for field in dataclasses.fields(cls)]
    for name, value in fields.items():
        if name not in known:
            raise _unknown_field(name, value, known, owner)
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), plain(fields)))
    except ValueError as error:  # OmegaConf's own are ValueErrors too
        key = getattr(error, "full_key", None)
        if key is None:
            raise _out_of_range(prefix, error) from error
        raise _unfit(f"{prefix}.{key}", fields.get(key.split("[")[0]), error) from error


def _out_of_range(group: str, error: ValueError) -> RequestError:
    """Return the error of a dataclass of a group: ``ValueError("<field> must ..., got <value>. <remedy>")``."""
    # A remedy may name another field of the group, as it is typed on the command line.
    text = str(error).replace(f"{group}.", "") if group in GROUPS else str(error)
    field, _, rest = text.partition(" ")
    problem, _, remedy = rest.partition(". ")
    return RequestError(f"{group}.{field}", problem.rstrip("."), remedy=remedy)


def _unfit(key: str, value: Any, error: ValueError) -> RequestError:
    """Return the error of a value that OmegaConf does not take for a field."""
    reason = str(error).splitlines()[0].rstrip(".")
    return RequestError(key, f"cannot be {value!r}: {reason}", remedy="Give a value of its type.")


def _unknown_field(name: str, value: Any, known: Sequence[str], owner: str) -> RequestError:
    fields = f"Fields: {', '.join(known)}." if known else "It has none."
    return RequestError(name, f"is not a field of {owner}", repr(value), f"{did_you_mean(name, known)} {fields}")


def plain(value: Any) -> Any:
    """Return NumPy's numbers, arrays and texts, within lists and mappings too, as Python's own."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [plain(found) for found in value]
    return str(value) if isinstance(value, Path) else value


def where(tracking: TrackingConfig | str | Path | None) -> TrackingConfig:
    """Return where runs are recorded: as it is, in a folder, or, for ``None``, in ``mlruns/``.

    Raises:
        RequestError: it is none of these.
    """
    if tracking is None or isinstance(tracking, TrackingConfig):
        return tracking or TrackingConfig()
    if not isinstance(tracking, str | Path):
        raise RequestError(
            "tracking", "must be a folder or a TrackingConfig", repr(tracking), "Write tracking='mlruns'."
        )
    made: TrackingConfig = _made(TrackingConfig, {"dir": str(tracking)}, "tracking", "tracking")
    return made
