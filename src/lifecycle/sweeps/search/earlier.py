"""Earlier runs that a search begins with: on the same data, of the same settings but for those that are searched."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from lifecycle import layout
from lifecycle.sweeps import grid
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.search import composing
from lifecycle.sweeps.search.space import CATEGORICAL, Base, Dimension, Search
from lifecycle.sweeps.signature import CODE, FILE, NO_RESULTS, signature_of
from lifecycle.tracking import ranking, sweep_runs
from lifecycle.tracking.sweep_runs import SweepRun

MOST = 1000
"""Runs that are read, the latest ones."""

Unit = tuple[Any, ...]
"""Seed, split seed, repetition and fold."""

Trial = tuple[Mapping[str, str], list[float], str]
"""Values of the searched settings, a score for each objective, and the id of a run."""


def trials_of(plan: Plan) -> list[Trial]:
    """Return the trials that finished runs amount to, in the order of their start.

    Only configurations with a run for each seed and fold of the search count, with the same seeds and folds.
    """
    assert plan.search is not None  # noqa: S101 - its callers have checked it
    search = plan.search
    runs = sweep_runs.finished(plan.place, plan.tracking.experiment, {base.data for base in search.bases})[-MOST:]
    units = _units(search)
    families = [(base, _family(base.record, base.fields)) for base in search.bases]
    by_values: dict[str, dict[Unit, tuple[Mapping[str, str], SweepRun]]] = {}
    for run in runs:
        for values, unit in _fitting(search, run, families):
            if unit in units:
                by_values.setdefault(json.dumps(values, sort_keys=True), {})[unit] = values, run
    found = []
    for of_units in by_values.values():
        values, first = next(iter(of_units.values()))
        scores = [[run.metrics.get(one.metric) for _, run in of_units.values()] for one in search.objectives]
        known = [[value for value in of if value is not None and math.isfinite(value)] for of in scores]
        if set(of_units) == units and all(len(of) == len(units) for of in known):
            found.append((values, [sum(of) / len(of) for of in known], first.id))
    return found


def _fitting(
    search: Search, run: SweepRun, families: list[tuple[Base, str]]
) -> Iterator[tuple[Mapping[str, str], Unit]]:
    """Yield the values and the unit of a run that is of the settings of a base, and within the space."""
    try:
        record = json.loads((run.artifacts / layout.REQUEST).read_bytes())
        config, _ = record["config"], record["types"]
    except (OSError, ValueError, KeyError):  # of another version, or deleted
        return
    for base, family in families:
        if run.tags.get(layout.DATA_DIGEST) != base.data or _family(record, base.fields) != family:
            continue
        if not _has_code(run, record, base):
            continue
        values: dict[str, str] = dict(base.names)
        for one in search.dimensions:
            if one.key in base.fields and (text := _text(one, _at(config, one.key))) is not None:
                values[one.key] = text
        if len(values) == len(base.names) + len(base.fields):
            yield values, _unit(config)
            return


def _has_code(run: SweepRun, record: Mapping[str, Any], base: Base) -> bool:
    """Return whether a run had the code that the trials of a search will have, as far as it has recorded it."""
    recorded = run.tags.get(layout.SIGNATURE)
    if recorded is not None:
        return recorded == signature_of(record, base.data, base.code)
    # A single run has versions of packages, and says nothing of the file of a plugin.
    if any(name.endswith(FILE) for name in base.code):
        return False
    return all(run.tags.get(f"version.{name}", base.code.get(name)) == base.code.get(name) for name in CODE)


def _family(record: Mapping[str, Any], searched: tuple[str, ...]) -> str:
    """Return a text that is equal for runs that differ in searched settings, seed and fold only."""
    flat = dict(_leaves(record["config"]))
    left_out = {*searched, *ranking.UNITS, "cv.repeats"}
    kept = {
        key: value for key, value in flat.items() if key not in left_out and key.partition(".")[0] not in NO_RESULTS
    }
    return json.dumps([kept, record["types"]], sort_keys=True, default=str)


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _at(config: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key; ``None``: there is none."""
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _text(one: Dimension, value: Any) -> str | None:
    """Return the text of a recorded value; ``None``: it is not in the space."""
    if one.kind != CATEGORICAL:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        text = repr(value)
        return text if is_number and one.contains(text) else None
    return next((text for text in one.choices if _plain(one.key, text) == value), None)


def _plain(key: str, text: str) -> Any:
    try:
        return OverridesParser.create().parse_override(f"{key}={text}").value()
    except HydraException:
        return text


def _units(search: Search) -> set[Unit]:
    base = search.bases[0]
    values = {key: next(one for one in search.dimensions if one.key == key).ends[0] for key in base.fields}
    request = composing.request_of(search, base, values)
    return {_unit(one.recorded) for one, _ in grid.runs_of(request)}


def _unit(config: Mapping[str, Any]) -> Unit:
    cv = config.get("cv") or {}
    # null: the split is that of the seed.
    split = config["data"].get("split_seed")
    return config["seed"], config["seed"] if split is None else split, cv.get("repeat"), cv.get("fold")
