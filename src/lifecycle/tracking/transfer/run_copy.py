"""What MLflow's database has of one run, in plain values; its files are next to it, see :mod:`.files`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any

from lifecycle import layout
from lifecycle.tracking.database.tables import Point

RUN_ID, MODEL_ID = re.compile(r"[0-9a-f]{32}"), re.compile(r"m-[0-9a-f]{32}")
ENDED = ("FINISHED", "FAILED", "KILLED")
READY = 2
"""MLflow's status of a logged model that is complete."""


@dataclass(frozen=True)
class DatasetCopy:
    """A data set of a run; ``tags`` are those of its use, such as ``mlflow.data.context``."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelCopy:
    """A logged model of a run.

    Attributes:
        id: ``m-`` and 32 hexadecimal digits.
        name: of the model.
        created, updated: milliseconds since 1970.
        status: a number, see :data:`READY`.
        type: MLflow's model type.
        step: of the run at which it was logged.
        params, tags: texts by name.
        points: scores of the model.
    """

    id: str
    name: str
    created: int
    updated: int
    status: int = READY
    type: str | None = None
    step: int = 0
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)


@dataclass(frozen=True)
class RunCopy:
    """A run.

    Attributes:
        id: 32 hexadecimal digits, the same in all stores.
        name: of the run.
        experiment: its name.
        status: MLflow's.
        started, ended: milliseconds since 1970; ``None``: it has not ended.
        user: who started it.
        params, tags: texts by name.
        points: of all metrics.
        datasets, models: of the run.
    """

    id: str
    name: str
    experiment: str
    status: str
    started: int
    ended: int | None
    user: str = ""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    datasets: list[DatasetCopy] = field(default_factory=list)
    models: list[ModelCopy] = field(default_factory=list)

    def content(self) -> dict[str, Any]:
        """Return the run in JSON's types; equal for equal runs. NaN is ``null``."""
        values = asdict(self)
        values["points"] = _plain(self.points)
        values["datasets"].sort(key=lambda one: (one["name"], one["digest"]))
        values["models"].sort(key=lambda one: one["id"])
        for model in values["models"]:
            model["points"] = _plain(model["points"])
        return values


def _plain(points: list[Point]) -> list[list[Any]]:
    ordered = sorted(points, key=lambda point: (point[0], point[3], point[2], str(point[1])))
    return [[name, None if math.isnan(value) else value, when, step] for name, value, when, step in ordered]


def read(content: Any) -> RunCopy:
    """Return the run of :meth:`RunCopy.content`, which may be anybody's.

    Raises:
        ValueError: it is none; the message says why, without a full stop.
    """
    values = _values(RunCopy, content, "the run")
    values["points"] = _points(values["points"])
    values["datasets"] = [DatasetCopy(**_values(DatasetCopy, one, "a data set")) for one in values["datasets"]]
    models = [_values(ModelCopy, one, "a model") for one in values["models"]]
    values["models"] = [ModelCopy(**{**one, "points": _points(one["points"])}) for one in models]
    run = RunCopy(**values)
    if run.status not in ENDED:
        raise ValueError(f"{run.status[:40]!r} is no status of a run that has ended")
    check_names(run)
    return run


def check_names(run: RunCopy) -> None:
    """Refuse a run of which a folder would have a name that leads elsewhere.

    Raises:
        ValueError: an id or a name cannot be used; the message says why, without a full stop.
    """
    if not RUN_ID.fullmatch(run.id):
        raise ValueError(f"{run.id[:40]!r} is no id of a run")
    for model in run.models:
        if not MODEL_ID.fullmatch(model.id):
            raise ValueError(f"{model.id[:40]!r} is no id of a model")
    check_experiment(run.experiment)


def check_experiment(name: str) -> None:
    """Refuse the name of an experiment whose folder would not be one within the store.

    Raises:
        ValueError: the name cannot be used.
    """
    parts = PurePosixPath(layout.folder_of_experiment(name)).parts
    if not parts or ".." in parts or "\\" in name or not name.isprintable():
        raise ValueError(f"{name[:40]!r} is no name of an experiment")


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "dict[str, str]": (dict,),
}


def _values(cls: type[Any], content: Any, what: str) -> dict[str, Any]:
    """Return the fields of a dataclass from JSON, with their types checked; a missing one has its default."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{what} is no mapping")  # noqa: TRY004 - as for all else that is wrong with it
    known = {item.name: item for item in fields(cls)}
    if unknown := set(content) - set(known):
        raise ValueError(f"{what} has an unknown field {str(min(unknown))[:40]!r}")
    values = {name: content[name] for name in known if name in content}
    values |= {name: [] for name in ("points", "datasets", "models") if name in known and name not in content}
    for name, value in values.items():
        allowed = _TYPES.get(str(known[name].type), (list,))
        texts = [*value, *value.values()] if isinstance(value, dict) else []
        if (
            not isinstance(value, allowed)
            or isinstance(value, bool)
            or not all(isinstance(text, str) for text in texts)
        ):
            raise ValueError(f"{what} has a {name} of another type")
    try:
        cls(**values)
    except TypeError as error:
        raise ValueError(f"{what} lacks a field") from error
    return values


def _points(listed: list[Any]) -> list[Point]:
    found: list[Point] = []
    for point in listed:
        try:
            name, value, when, step = point
            number = math.nan if value is None else float(value)
        except (TypeError, ValueError) as error:
            raise ValueError("a point of a metric is no list of four values") from error
        if not isinstance(name, str) or type(when) is not int or type(step) is not int or math.isinf(number):
            raise ValueError("a point of a metric has a value of another type")
        found.append((name, number, when, step))
    return found
