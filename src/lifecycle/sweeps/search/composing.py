"""Plans a search: composes its bases, checks the ends of its space, and makes the jobs of a suggested trial."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lifecycle.config.options import CHOICES, EXPERIMENT
from lifecycle.config.records import request_record
from lifecycle.config.request import Request
from lifecycle.config.resolve import resolve
from lifecycle.config.schema import SweepConfig
from lifecycle.config.structured import copied
from lifecycle.errors import RequestError, Setting
from lifecycle.sweeps import grid, planning, signature
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.plan import Plan, PlannedJob, folder_of
from lifecycle.sweeps.planning import Compose, Signatures
from lifecycle.sweeps.search import objectives, study
from lifecycle.sweeps.search.space import CATEGORICAL, FLOAT, INT, Base, Dimension, Search
from lifecycle.tracking import ranking

NOT_SEARCHED = (
    "tracking",
    "sweep",
    "seeds",
    "cv",
    "verbose",
    "profile",
    "audit",
    "trainer.devices",
    "trainer.accelerator",
)
"""Groups and fields that are no settings of a configuration."""

OTHER_ROWS = ("data", "data.path", "data.target", *ranking.SIZES)
"""Settings whose values have other rows: their scores cannot be compared."""

MOST_BASES = 200

EXAMPLE = "'optimizer.lr=tag(log,interval(1e-4,0.1))'"


def plan(parsed: Sequence[Any], compose: Compose, command: str, settings: SweepConfig) -> Plan:
    """Return a search, with the jobs that it had before if it was started before.

    Args:
        parsed: ``hydra.core.override_parser.types.Override``.
        compose: composes a configuration from overrides.
        command: the command line, for the record.
        settings: of the search.

    Raises:
        RequestError: the space is empty or has values that no run can have, or no run logs an objective.
    """
    study.check_installed(settings.sampler)
    fixed = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
    dimensions = [_dimension(override) for override in parsed if override.is_sweep_override()]
    if not dimensions:
        problem = "has no setting to search: each setting has one value"
        raise RequestError(Setting("sweep", "optuna"), problem, remedy=f"Add for instance {EXAMPLE}.")
    signed, groups = Signatures(), [one for one in dimensions if one.is_group]
    if math.prod(len(one.choices) for one in groups) > MOST_BASES:
        keys = ", ".join(one.key for one in groups)
        raise RequestError(keys, f"have more than {MOST_BASES} combinations", remedy="List fewer names.")
    combinations = [list(names) for names in itertools.product(*(one.choices for one in groups))]
    words = [[*fixed, *(one.word(name) for one, name in zip(groups, names, strict=True))] for names in combinations]
    requests = planning.composed(words, compose, command)
    fields = [_typed(one, requests) for one in dimensions if not one.is_group]
    _check_fields(fields, requests, words, compose, command)
    grid.check(requests)
    bases = []
    for request, names, own in zip(requests, combinations, words, strict=True):
        record = request_record.record_of(request)
        data, code = signed.of(request, record)
        having = tuple(one.key for one in fields if _has(request.config, one.key))
        of_groups = dict(zip((one.key for one in groups), names, strict=True))
        bases.append(Base(of_groups, having, record, tuple(own), data, code))
    seeds = requests[0].config.seeds
    search = Search((*groups, *fields), tuple(bases), (), seeds, len(grid.runs_of(requests[0])))
    for base in bases:
        _check_values(search, base, compose, command)
    search = replace(search, objectives=objectives.objectives_of(settings, resolve(requests[0])))
    if settings.sampler == "grid" and search.size is None:
        keys = ", ".join(one.key for one in fields if one.values is None)
        problem = f"needs values that can be listed, and {keys} is an interval"
        raise RequestError(Setting("sweep.sampler", "grid"), problem, remedy="List values, or use sweep.sampler=tpe.")
    return _with_earlier_jobs(search, requests[0], settings, command)


def _with_earlier_jobs(search: Search, request: Request, settings: SweepConfig, command: str) -> Plan:
    """Return the plan under its name, which a larger number of trials does not change."""
    signatures = [signature.signature_of(base.record, base.data, base.code) for base in search.bases]
    space = [*map(asdict, search.dimensions), *map(asdict, search.objectives)]
    name = signature.name_of([signatures, space, search.seeds, search.runs, settings.sampler, settings.prune])
    folder, verbose = folder_of(request.tracking, name), request.config.verbose
    found = Plan(name, command, request.tracking, settings, verbose, folder, (), search)
    return replace(found, jobs=plans.read(folder).jobs) if plans.is_stored(found) else found


def _dimension(override: Any) -> Dimension:
    """Return the dimension of a swept override; whether a number is an integer is seen later."""
    key, value = str(override.key_or_group), override.value()
    typed = str(override.input_line).partition("=")[2]
    is_group = key in (*CHOICES, EXPERIMENT)
    _check_key(key, typed, bool(override.package) or (override.is_add() and key != EXPERIMENT))
    log = "log" in getattr(value, "tags", ())
    if isinstance(value, IntervalSweep):
        low, high = float(value.start or 0), float(value.end or 0)
        if low >= high or (log and low <= 0):
            problem = "must begin above 0 with tag(log, ...)" if low < high else "must begin below its end"
            raise RequestError(key, problem, typed, f"Write for instance {EXAMPLE}.")
        kind = INT if isinstance(value.start, int) and isinstance(value.end, int) else FLOAT
        return Dimension(key, kind, low, high, log=log)
    if isinstance(value, ChoiceSweep) and any(isinstance(one, IntervalSweep | RangeSweep) for one in value.list):
        raise RequestError(key, "mixes a range with other values", typed, "Write one interval, or list values.")
    texts = list(dict.fromkeys(override.sweep_string_iterator()))
    if isinstance(value, RangeSweep) and len(texts) > 1 and not log:
        low, high = sorted((float(texts[0]), float(texts[-1])))
        kind = INT if isinstance(value.start, int) and isinstance(value.step, int) else FLOAT
        return Dimension(key, kind, low, high, abs(float(value.step)))
    return Dimension(key, CATEGORICAL, choices=tuple(texts), is_group=is_group, added=override.is_add())


def _check_key(key: str, typed: str, is_special: bool) -> None:
    if key in ("seed", "data.split_seed", "cv.fold", "cv.repeat"):
        remedy = "Use seeds=3 or cv=5: the score of a trial is then the mean over its runs."
        raise RequestError(key, "is no setting to search: its best value is luck", typed, remedy)
    if key in OTHER_ROWS:
        problem = "cannot be searched: scores of other rows are not comparable"
        raise RequestError(key, problem, typed, "Search on each of them by itself.")
    if any(key == name or key.startswith(f"{name}.") for name in NOT_SEARCHED):
        raise RequestError(key, "is no setting of a model that could be searched", typed, "Use one value.")
    if is_special:
        raise RequestError(key, "cannot be searched with + or @", typed, "Write <key>=<values>.")


def _has(config: DictConfig, key: str) -> bool:
    """Return whether a configuration has a field."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in list(node.keys()):
            return False
        node = None if OmegaConf.is_missing(node, part) else node[part]
    return True


def _typed(one: Dimension, requests: Sequence[Request]) -> Dimension:
    """Return a range of real numbers as one of integers where the field takes integers only."""
    config = next((request.config for request in requests if _has(request.config, one.key)), None)
    if config is None or one.kind != FLOAT or one.step is not None:
        return one
    try:
        OmegaConf.update(copied(config), one.key, 1.5)
    except OmegaConfBaseException:
        return replace(one, kind=INT, low=math.ceil(one.low), high=math.floor(one.high))
    return one


def _check_fields(
    fields: Sequence[Dimension], requests: Sequence[Request], words: Sequence[list[str]], compose: Compose, command: str
) -> None:
    """Refuse a field that no base has."""
    for one in fields:
        if not any(_has(request.config, one.key) for request in requests):
            planning.composed([[*words[0], one.word(one.ends[0])]], compose, command)  # raises the usual error
            raise RequestError(one.key, "is no field of these configurations", remedy="Leave it out.")


def _check_values(search: Search, base: Base, compose: Compose, command: str) -> None:
    """Check the ends of each range and all choices, and that setting a value is all that Hydra would do.

    A field that an expression elsewhere refers to would change that too, which a recorded base has resolved.
    """
    fields = [one for one in search.dimensions if one.key in base.fields]
    rows = [
        {one.key: one.ends[min(at, len(one.ends) - 1)] for one in fields}
        for at in range(max((len(one.ends) for one in fields), default=0))
    ]
    for at, values in enumerate(rows):
        request = request_of(search, base, values)
        resolve(request)
        if at not in (0, len(rows) - 1):
            continue
        words = [*base.words, *(one.word(values[one.key]) for one in fields)]
        (by_hydra,) = planning.composed([words], compose, command)
        if (key := _difference(by_hydra.recorded, request.recorded)) is not None:
            problem = "follows from a searched setting by an expression"
            raise RequestError(key, problem, remedy="Write its value, or use a grid: leave out sweep=optuna.")


def _difference(config: Any, other: Any, key: str = "") -> str | None:
    """Return the first key in which two configurations differ."""
    if isinstance(config, Mapping) and isinstance(other, Mapping):
        for name in {**config, **other}:
            below = f"{key}.{name}" if key else str(name)
            if (found := _difference(config.get(name), other.get(name), below)) is not None:
                return found
        return None
    return None if config == other else key


def request_of(search: Search, base: Base, values: Mapping[str, str]) -> Request:
    """Return the request of a trial: a base with values set in it.

    Raises:
        RequestError: a value does not fit.
    """
    request = request_record.request_of(dict(base.record))
    words = [f"{key}={values[key]}" for key in base.fields]
    request_record.override(request.config, words)
    with open_dict(request.config):
        request.config.seeds = search.seeds
    kept = [word for word in base.words if not word.startswith(("sweep=", "sweep."))]
    return replace(request, overrides=(*kept, *words))


def jobs_of(plan: Plan, values: Mapping[str, str], signed: Signatures) -> list[PlannedJob]:
    """Return the jobs of a trial, one for each seed and fold, numbered after those that the plan has.

    Raises:
        RequestError: a value does not fit.
    """
    assert plan.search is not None  # noqa: S101 - its callers have checked it
    search = plan.search
    request = request_of(search, search.base(values), values)
    words = [one.word(values[one.key]) for one in search.dimensions if one.key in values]
    return [
        signed.job(len(plan.jobs) + at, replace(one, command=plan.command), (*words, *planning.typed(varied)), varied)
        for at, (one, varied) in enumerate(grid.runs_of(request))
    ]


def check_unchanged(plan: Plan, signed: Signatures) -> None:
    """Refuse to continue a search whose data or code have changed: new trials could not be compared with the others.

    Raises:
        RequestError: names what has changed.
    """
    assert plan.search is not None  # noqa: S101
    for base in plan.search.bases:
        request = request_of(plan.search, base, {key: _first(plan.search, key) for key in base.fields})
        data, code = signed.of(request, request_record.record_of(request))
        changed = [name for name in {**base.code, **code} if base.code.get(name) != code.get(name)]
        if data != base.data and not any(key.startswith("data.") for key in base.fields):
            changed.append("data")
        if changed:
            problem = f"has changed since search {plan.name} was planned"
            raise RequestError(changed[0], problem, remedy="Type its command again, which begins another search.")


def _first(search: Search, key: str) -> str:
    return next(one for one in search.dimensions if one.key == key).ends[0]
