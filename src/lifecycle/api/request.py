"""Builds a request from Python arguments: the same typed configuration that Hydra composes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf, flag_override, open_dict

from lifecycle import registry
from lifecycle.api.training_rows import TrainingRows
from lifecycle.config.choices import TYPED, name_of
from lifecycle.config.records.request_record import FROM_PYTHON
from lifecycle.config.request import Request
from lifecycle.config.schema import RunConfig, TrackingConfig, TrainerConfig
from lifecycle.config.structured import structured, structured_object, template
from lifecycle.config.tasks import TASKS
from lifecycle.config.tracking_address import is_server
from lifecycle.contract import REGRESSION
from lifecycle.data.sources.in_memory import PATH
from lifecycle.errors import RequestError, Setting, did_you_mean, field_error, first_line, unknown_field
from lifecycle.optimizers import OptimizerConfig
from lifecycle.schedules import ScheduleConfig


@dataclass(frozen=True)
class Compiled:
    """Arguments of :meth:`lifecycle.Model.compile`, optimizer and schedule as dataclasses."""

    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    loss: str | None
    metrics: list[str] | None
    class_weights: Any
    label_smoothing: float
    task: str | None = None  # that the loss decides; None: it does not


def plugin(kind: str, name: str, fields: dict[str, Any], owner: str) -> Any:
    """Return a plugin's dataclass with some of its fields set and converted to their declared types.

    Args:
        kind: ``"model"`` or ``"data"``.
        name: of the plugin.
        fields: by name.
        owner: of the fields, for messages.

    Raises:
        RequestError: there is no such plugin or field, or a value does not fit.
    """
    return _built(registry.load(kind, name), fields, owner, kind)


def typed(group: str, chosen: Any, fields: dict[str, Any]) -> Any:
    """Return an optimizer or schedule: the dataclass of a name with some fields set, or an object as it is.

    Raises:
        RequestError: there is no such name or field, a value does not fit, or an object comes with fields.
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
    return _built(known[chosen], fields, f'{group}="{chosen}"', group)


def trainer(fields: dict[str, Any]) -> TrainerConfig:
    """Return the configuration of the Trainer.

    Raises:
        RequestError: there is no such field, a value does not fit, or several processes would run the caller's script.
    """
    for name in ("devices", "strategy"):
        if name in fields:
            raise RequestError(
                name,
                "is for the command",
                f"{fields[name]!r}: each process would run this whole script",
                f"Write the rows to a file and use `lifecycle trainer.devices=2`, or leave {name} out.",
            )
    known = [field.name for field in dataclasses.fields(TrainerConfig)]
    names = ["epochs", *(name for name in known if name not in ("max_epochs", "devices", "strategy"))]
    for name, value in fields.items():
        if name not in names:
            raise unknown_field(name, repr(value), names, "fit()")
    fields = {"max_epochs" if name == "epochs" else name: value for name, value in fields.items()}
    config: TrainerConfig = _built(TrainerConfig, fields, "fit()", "trainer")
    return config


def task_of(loss: str | None) -> str | None:
    """Return the task of a loss, ``"regression"`` or ``"classification"``; ``None``: it does not decide."""
    if loss is None:
        return None
    # A loss of both binary and multiclass classification still decides between classification and regression.
    tasks = {task for task, known in TASKS.items() if loss in known.losses}
    return REGRESSION if tasks == {REGRESSION} else "classification" if tasks and REGRESSION not in tasks else None


def data(
    rows: TrainingRows,
    task: str | None,
    scaling: str,
    scale_target: bool,
    split_seed: int | None,
    types: Mapping[str, Any] | None = None,
) -> Any:
    """Return the data plugin for rows: ``table`` for flat samples, ``array`` for samples of more axes."""
    fields: dict[str, Any] = {
        "path": PATH,  # data plugins require one; messages word it as X
        "target": rows.target,
        **({"label_separator": "pipe"} if rows.has_sets and isinstance(rows.target, str) else {}),
        "task": task,
        # The plugins hold out a fifth for the test by default. In Python test rows are given to evaluate().
        "test_size": 0.0,
        "val_size": 0.0,
        "validation_split": rows.validation_split,
        "scaling": scaling,
        "scale_target": scale_target,
        "split_seed": split_seed,
        "weight": rows.weight,
        "group": rows.group,
    }
    if rows.has_sets and len(rows.shape) > 1:
        remedy = "Give X of the shape (rows, features); of images write the files and use `lifecycle data=images`."
        raise RequestError("y", "has several labels a row, and X has samples of more axes", rows.shape, remedy)
    if len(rows.shape) == 1:
        return plugin("data", "table", {**fields, "types": None if types is None else dict(types)}, "fit()")
    if types is not None:
        raise RequestError("types", "are those of columns, and X has samples of more axes", remedy="Leave them out.")
    return plugin("data", "array", {**fields, "shape": list(rows.shape)}, "fit()")


@dataclass(frozen=True)
class FitArguments:
    """The first three steps of :class:`lifecycle.Model`: define, compile and fit.

    Attributes:
        model_name: of the model plugin.
        model: its dataclass.
        compiled: arguments of :meth:`lifecycle.Model.compile`.
        trainer: epochs, batch size, early stopping, devices.
    """

    model_name: str
    model: Any
    compiled: Compiled
    trainer: TrainerConfig


def compose(
    steps: FitArguments,
    data: Any,
    tracking: TrackingConfig | str | Path | None,
    seed: int,
    verbose: int,
    audited: bool = True,
    not_recorded: Sequence[str] = (),
) -> Request:
    """Return the request that Hydra would compose of the same settings.

    Args:
        steps: model, compile and trainer settings.
        data: what :func:`data` returned.
        tracking: as :func:`tracking_config` takes it.
        seed: of the run.
        verbose: 0, 1 or 2.
        audited: whether to look at the rows first; nobody sees the findings of a fit that is not recorded.
        not_recorded: objects that the fit depends on and no record holds, a clause each.

    Raises:
        RequestError: a value is not of its field's type.
    """
    compiled = steps.compiled
    groups = {
        "model": steps.model,
        "data": data,
        "optimizer": compiled.optimizer,
        "schedule": compiled.schedule,
        "trainer": steps.trainer,
        "tracking": tracking_config(tracking),
    }
    root = structured(RunConfig)
    with open_dict(root), flag_override(root, "no_deepcopy_set_nodes", True):
        for name, config in groups.items():
            root[name] = structured_object(config)
    values = {
        "loss": None if compiled.loss is None else str(compiled.loss),
        "metrics": None if compiled.metrics is None else [*map(str, compiled.metrics)],
        "label_smoothing": compiled.label_smoothing,
        "class_weights": _with_texts(compiled.class_weights),
        "seed": seed,
        "verbose": verbose,
        "audit": "on" if audited else "off",
    }
    for name, value in values.items():
        _set(root, name, plain(value))
    return Request(root, _choices(root, steps.model_name), FROM_PYTHON, not_recorded=tuple(not_recorded))


def _with_texts(weights: Any) -> Any:
    """Return weights by class with texts as keys, as those of a configuration are."""
    return {str(name): value for name, value in weights.items()} if isinstance(weights, dict) else weights


def _choices(root: Any, model_name: str) -> dict[str, str]:
    """Return the name that would choose each group on the command line."""
    types: dict[str, Any] = {group: OmegaConf.get_type(root, group) for group in ("data", *TYPED)}
    return {
        "model": model_name,
        "data": registry.name_of("data", types["data"]),
        **{group: name_of(group, types[group]) for group in TYPED},
        "trainer": "default",
        "tracking": "default",
    }


def _set(root: Any, name: str, value: Any) -> None:
    try:
        root[name] = value
    except ValueError as error:
        raise _unfit(name, value, error) from error


def _built(cls: Any, fields: dict[str, Any], owner: str, prefix: str) -> Any:
    known = [field.name for field in dataclasses.fields(cls)]
    for name, value in fields.items():
        if name not in known:
            raise unknown_field(name, repr(value), known, owner)
    # Through OmegaConf, which converts and checks values as for the command line.
    try:
        return OmegaConf.to_object(OmegaConf.merge(template(cls), plain(fields)))
    except ValueError as error:  # OmegaConf's own are ValueErrors too
        key = getattr(error, "full_key", None)
        if key is None:  # raised by __post_init__
            raise field_error(prefix, error) from error
        # OmegaConf names an element with its position, such as hidden[1]; `fields` has only hidden.
        raise _unfit(f"{prefix}.{key}", fields.get(key.split("[")[0]), error) from error


def _unfit(key: str, value: Any, error: ValueError) -> RequestError:
    """Return the error of a value that OmegaConf does not take for a field."""
    if "ListConfig" in str(error) and isinstance(value, str | float | int):
        return RequestError(key, "must be a list", repr(value), ["Write ", Setting(key, [value]), "."])
    # On further lines OmegaConf writes its own names of the key and of the type.
    reason = first_line(error)
    return RequestError(key, f"cannot be {value!r}: {reason}", remedy="Give a value of its type.")


def plain(value: Any) -> Any:
    """Return NumPy numbers, arrays and texts as Python's own, also within lists and mappings.

    OmegaConf refuses NumPy types.
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [plain(found) for found in value]
    return str(value) if isinstance(value, Path) else value


def tracking_config(tracking: TrackingConfig | str | Path | None) -> TrackingConfig:
    """Return where runs are recorded: a given configuration, a folder, a server, or, for ``None``, ``mlruns/``.

    Raises:
        RequestError: it is none of these.
    """
    if tracking is None or isinstance(tracking, TrackingConfig):
        return tracking or TrackingConfig()
    if not isinstance(tracking, str | Path):
        raise RequestError(
            "tracking", "must be a folder or a TrackingConfig", repr(tracking), "Write tracking='mlruns'."
        )
    # As MLflow's users write it. A Path is a folder.
    key = "uri" if isinstance(tracking, str) and is_server(tracking) else "dir"
    config: TrackingConfig = _built(TrackingConfig, {key: str(tracking)}, "tracking", "tracking")
    return config
