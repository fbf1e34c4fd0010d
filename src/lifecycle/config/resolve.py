"""From a composed configuration to the plugins and checked fields of a run."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lifecycle import registry
from lifecycle.config.choices import TYPED
from lifecycle.config.schema import Job, Request, RunConfig, TrainerConfig, _build
from lifecycle.config.tasks import check_names
from lifecycle.contract import SAMPLE_SHAPES
from lifecycle.errors import RequestError, unknown_field
from lifecycle.optimizers import OptimizerConfig
from lifecycle.schedules import ScheduleConfig


def resolve(request: Request) -> Job:
    """Turn a composed configuration into objects, and check all that the configuration alone shows.

    Raises:
        RequestError: names key, value and cure.
    """
    config, choices = request.config, request.choices
    for name in (*registry.GROUPS, *TYPED):
        if OmegaConf.is_missing(config, name):
            raise RequestError(f"{name} is not chosen. Add {name}=<name>; `lifecycle --help` lists them.")
    _refuse_extra_keys(config, RunConfig)
    optimizer, trainer = _build(config, "optimizer"), _build(config, "trainer")
    job = Job(
        request=request,
        model_name=registry.name_of("model", _type(config, "model")),
        model=_build(config, "model"),
        data_name=choices["data"],
        data_kind=registry.name_of("data", _type(config, "data")),
        data=_build(config, "data"),
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
    )
    _ = request.tracking  # checked by being made
    if not 0 <= job.seed < 2**32:
        raise RequestError(f"seed must be from 0 to {2**32 - 1}, got {job.seed}. Use a seed such as 1.")
    if not 0 <= job.label_smoothing < 1:
        raise RequestError(
            f"label_smoothing must be 0 or more and below 1, got {job.label_smoothing}. The default is 0.0."
        )
    if config.verbose not in (0, 1, 2):
        raise RequestError(f"verbose must be 0, 1 or 2, got {config.verbose}. Use 0 silent, 1 bar, 2 a line an epoch.")
    if request.sweep and job.trainer.devices > 1:
        raise RequestError(
            f"trainer.devices={job.trainer.devices} cannot go with a multirun: each process would start "
            "the whole sweep. Run the jobs one by one."
        )
    if job.class_weights == "balanced" and job.trainer.class_balanced:
        raise RequestError(
            "class_weights=balanced and trainer.class_balanced=true would balance the classes twice. Leave one out."
        )
    check_names(job.loss, job.metrics)
    check_sample_dims(job.model_name, type(job.model), job.data.sample_dim, f"data={job.data_name}")
    return job


def _schedule(config: DictConfig, trainer: TrainerConfig, optimizer: OptimizerConfig) -> ScheduleConfig:
    schedule: ScheduleConfig = _build(config, "schedule")
    try:
        return schedule.complete(trainer.max_epochs, trainer.monitor, optimizer)
    except ValueError as error:
        raise RequestError(f"schedule.{error}") from error


def _class_weights(asked: Any) -> str | dict[str, float] | None:
    """Return the weights as typed, the classes as texts."""
    if asked is None or asked == "balanced":
        return asked  # type: ignore[no-any-return]
    example = "Write class_weights=balanced, or a weight for each class as in 'class_weights={good: 1, bad: 3}'."
    if not isinstance(asked, DictConfig):
        raise RequestError(f"class_weights must be balanced or weights by class, got {asked}. {example}")
    for name, weight in asked.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < float("inf"):
            raise RequestError(f"class_weights must be numbers above 0, got {weight} for {name!s}. {example}")
    return {str(name): float(weight) for name, weight in asked.items()}


def check_sample_dims(model_name: str, plugin: type, dims: int, source: str, shape: str | None = None) -> None:
    """Refuse samples with a number of axes that the model plugin does not take."""
    accepted: tuple[int, ...] = getattr(plugin, "sample_dims", ())
    if accepted and dims not in accepted:
        wanted = " or ".join(SAMPLE_SHAPES[dim] for dim in accepted)
        raise RequestError(
            f"model={model_name} needs samples of shape {wanted}, got {shape or SAMPLE_SHAPES.get(dims, dims)} "
            f"from {source}. Use model=mlp, which takes any shape, or other data."
        )


def _refuse_extra_keys(node: DictConfig, cls: Any, prefix: str = "") -> None:
    """Refuse what ``+key=value`` added beside the typed fields."""
    if not is_dataclass(cls):
        return  # a mapping whose keys are the user's
    known = [item.name for item in fields(cls)]
    for key in map(str, node):
        if key not in known:
            raise RequestError(unknown_field(f"{prefix}{key}", str(node[key]), known))
        if OmegaConf.is_missing(node, key):
            continue  # told where the object is made
        if isinstance(node[key], DictConfig):
            _refuse_extra_keys(node[key], OmegaConf.get_type(node, key), f"{prefix}{key}.")


def _type(config: DictConfig, key: str) -> type:
    found = OmegaConf.get_type(config, key)
    if not (isinstance(found, type) and registry.name_of(key, found)):
        raise RequestError(f"{key} has no plugin behind it. Begin its YAML file with defaults: [<plugin>, _self_].")
    return found
