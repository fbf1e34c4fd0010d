"""Turns a composed configuration into the plugins and checked fields of a run."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lifecycle import registry
from lifecycle.config.choices import TYPED
from lifecycle.config.request import Job, Request, build
from lifecycle.config.schema import AUDITS, RunConfig, TrainerConfig
from lifecycle.config.tasks import check_names
from lifecycle.contract import SAMPLE_SHAPES
from lifecycle.errors import Either, RequestError, Setting, Text, field_error, unknown_field
from lifecycle.optimizers import OptimizerConfig
from lifecycle.schedules import ScheduleConfig


def resolve(request: Request) -> Job:
    """Turn a composed configuration into objects, and check everything that needs no data.

    Raises:
        RequestError: a group has no option, or a value does not fit.
    """
    config, choices = request.config, request.choices
    for name in (*registry.GROUPS, *TYPED):
        if OmegaConf.is_missing(config, name):
            raise RequestError(name, "is not chosen", remedy=f"Add {name}=<name>; `lifecycle --help` lists them.")
    # OmegaConf would set extra keys as attributes of the objects, which have no effect.
    _refuse_extra_keys(config, RunConfig)
    optimizer, trainer = build(config, "optimizer"), build(config, "trainer")
    job = Job(
        request=request,
        model_name=registry.name_of("model", _type(config, "model")),
        model=build(config, "model"),
        data_name=choices["data"],
        data_kind=registry.name_of("data", _type(config, "data")),
        data=build(config, "data"),
        optimizer_name=choices["optimizer"],
        optimizer=optimizer,
        schedule_name=choices["schedule"],
        schedule=_schedule(config, trainer, optimizer),
        loss=config.loss,
        class_weights=_class_weights(config.class_weights),
        label_smoothing=config.label_smoothing,
        metrics=None if config.metrics is None else list(config.metrics),
        trainer=trainer,
        seed=config.seed,
        fold=build(config, "cv").of_run,
        audit=_audit(config.audit),
    )
    _ = request.tracking  # built only to be checked: the run reads it from the request
    _check_values(job)
    check_names(job.loss, job.metrics)
    check_sample_dims(job.model_name, type(job.model), job.data.sample_dim, Setting("data", job.data_name))
    return job


def _check_values(job: Job) -> None:
    """Check the fields at the root of the configuration, and combinations of fields of several groups."""
    verbose = job.request.config.verbose
    if not 0 <= job.seed < 2**32:  # what numpy.random.seed accepts
        raise RequestError("seed", f"must be from 0 to {2**32 - 1}", job.seed, "Use a seed such as 1.")
    if not 0 <= job.label_smoothing < 1:
        problem = "must be 0 or more and below 1"
        raise RequestError("label_smoothing", problem, job.label_smoothing, "The default is 0.0.")
    if verbose not in (0, 1, 2):
        raise RequestError("verbose", "must be 0, 1 or 2", verbose, "Use 0 silent, 1 bar, 2 a line an epoch.")
    if job.class_weights == "balanced" and job.trainer.class_balanced:
        both: Text = [Setting("class_weights", "balanced"), " and ", Setting("trainer.class_balanced", True)]
        raise RequestError(both, "would balance the classes twice", remedy="Leave one out.")


def _audit(value: str) -> str:
    # YAML reads on and off as truth values.
    audit = {"true": "on", "false": "off"}.get(str(value).lower(), str(value))
    if audit not in AUDITS:
        raise RequestError("audit", f"must be one of {', '.join(AUDITS)}", value, "The default is on.")
    return audit


def _schedule(config: DictConfig, trainer: TrainerConfig, optimizer: OptimizerConfig) -> ScheduleConfig:
    schedule: ScheduleConfig = build(config, "schedule")
    try:
        return schedule.complete(trainer.max_epochs, trainer.monitor, optimizer)
    except ValueError as error:
        raise field_error("schedule", error) from error


def _class_weights(value: Any) -> str | dict[str, float] | None:
    """Return the weights as given, with the names of the classes as texts."""
    if value is None or value == "balanced":
        return value  # type: ignore[no-any-return]
    example = Either(
        command="Write class_weights=balanced, or a weight for each class as in 'class_weights={good: 1, bad: 3}'.",
        python='Write class_weights="balanced" or {"good": 1, "bad": 3}.',
    )
    if not isinstance(value, DictConfig):
        raise RequestError("class_weights", "must be balanced or weights by class", value, example)
    for name, weight in value.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < float("inf"):
            raise RequestError("class_weights", "must be numbers above 0", f"{weight} for {name!s}", example)
    return {str(name): float(weight) for name, weight in value.items()}


def check_sample_dims(model_name: str, plugin: type, dims: int, source: Text, shape: str | None = None) -> None:
    """Refuse samples with a number of axes that the model plugin does not accept.

    Args:
        model_name: name of the plugin.
        plugin: its class; without ``sample_dims`` it accepts any number.
        dims: axes of a sample, without the batch axis.
        source: where the samples come from, for the message.
        shape: of a sample, where it is known.
    """
    accepted: tuple[int, ...] = getattr(plugin, "sample_dims", ())
    if accepted and dims not in accepted:
        wanted = " or ".join(SAMPLE_SHAPES[dim] for dim in accepted)
        found = shape or SAMPLE_SHAPES.get(dims, str(dims))
        raise RequestError(
            Setting("model", model_name),
            [f"needs samples of shape {wanted}, got {found} from ", source],
            remedy=["Use ", Setting("model", "mlp"), ", which takes any shape, or other data."],
        )


def _refuse_extra_keys(node: DictConfig, cls: Any, prefix: str = "") -> None:
    """Refuse a key that ``+key=value`` added to the typed fields; Hydra allows that."""
    if not is_dataclass(cls):
        return  # a mapping with keys of the user's, such as class_weights
    known = [item.name for item in fields(cls)]
    for key in map(str, node):
        if key not in known:
            raise unknown_field(f"{prefix}{key}", str(node[key]), known)
        if OmegaConf.is_missing(node, key):
            continue  # build() reports it
        if isinstance(node[key], DictConfig):
            _refuse_extra_keys(node[key], OmegaConf.get_type(node, key), f"{prefix}{key}.")


def _type(config: DictConfig, key: str) -> type:
    found = OmegaConf.get_type(config, key)
    if not (isinstance(found, type) and registry.name_of(key, found)):
        remedy = "Begin its YAML file with defaults: [<plugin>, _self_]."
        raise RequestError(key, "has no plugin that defines its fields", remedy=remedy)
    return found
