"""The combinations of values that a multirun asks for, by Hydra's grammar, and the runs of each for seeds and folds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import OmegaConf, open_dict

from lifecycle.config.request import Request, build
from lifecycle.config.schema import CvConfig
from lifecycle.config.structured import copied
from lifecycle.errors import RequestError, Setting

MOST_SEED = 2**32 - 1
"""The largest seed that NumPy accepts."""


def combinations(overrides: Sequence[Any]) -> list[list[str]]:
    """Return the overrides of each job: every combination of the values of the swept ones, the last varying fastest.

    Args:
        overrides: ``hydra.core.override_parser.types.Override``, parsed.

    Raises:
        RequestError: an override has a range of real numbers, of which there is no list.
    """
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise RequestError(
                key,
                "is an interval, whose values cannot be listed",
                str(override.input_line).partition("=")[2],
                f"List values, as in {key}=0.001,0.01, or add sweep=optuna sweep.trials=50 to search it.",
            )
        listed = override.sweep_string_iterator() if override.is_sweep_override() else None
        if override.is_delete():  # as typed: with null for no value, Hydra would delete only what is null
            values[key] = [str(override.input_line)]
            continue
        found = [override.get_value_element_as_str()] if listed is None else list(listed)
        values[key] = [f"{key}={value}" for value in found]
    return [list(words) for words in itertools.product(*values.values())]


def runs_of(request: Request) -> list[tuple[Request, dict[str, int]]]:
    """Return the requests of the runs of one configuration: one for each seed, repetition and fold.

    Args:
        request: whose ``seeds`` and ``cv`` say how many.

    Returns:
        The requests, each with the values in which it differs from the others: ``{"seed": 3}``, ``{"fold": 0}``.

    Raises:
        RequestError: ``seeds`` or ``cv`` cannot be met.
    """
    config = request.config
    cv: CvConfig = build(config, "cv")
    seeds: int | None = config.seeds
    if seeds is not None and seeds < 1:
        raise RequestError("seeds", "must be 1 or more", seeds, "Use for instance seeds=10.")
    first: int = config.seed
    if seeds is not None and first + seeds - 1 > MOST_SEED:
        raise RequestError("seeds", f"would go beyond the largest seed, {MOST_SEED}", seeds, "Begin with a lower seed.")
    places: list[tuple[int, int] | None] = [None]
    if cv.has_many:
        places = list(itertools.product(range(cv.repeats), range(cv.folds or 0)))
    found = []
    for seed, place in itertools.product(range(first, first + (seeds or 1)), places):
        values: dict[str, int] = {}
        own: dict[str, Any] = {"seeds": None}
        if seeds is not None:
            values["seed"] = seed
            own |= {"seed": seed, **_one_split(config, first)}
        if place is not None:
            repeat, fold = place
            values |= {"fold": fold} if cv.repeats == 1 else {"repeat": repeat, "fold": fold}
            own |= {"cv.fold": fold, "cv.repeat": repeat}
        found.append((_changed(request, own), values))
    return found


def _one_split(config: Any, seed: int) -> Mapping[str, int]:
    """Return the split seed for runs that differ in their seed; the split of a series has none."""
    if "split_seed" not in config.data or config.data.split_seed is not None:
        return {}
    return {"data.split_seed": seed}


def _changed(request: Request, values: Mapping[str, Any]) -> Request:
    """Return a copy of a request with other values."""
    config = copied(request.config)
    with open_dict(config):
        for key, value in values.items():
            OmegaConf.update(config, key, value)
    # The overrides that run this job alone.
    kept = [
        word for word in request.overrides if word.partition("=")[0] not in values and not word.startswith("sweep.")
    ]
    own = [f"{key}={value}" for key, value in values.items() if value is not None]
    return replace(request, config=config, overrides=(*kept, *own))


def check(requests: Sequence[Request]) -> None:
    """Refuse what the jobs of one sweep cannot have: several processes each, or different places for their runs.

    Raises:
        RequestError: names the key.
    """
    for request in requests:
        if request.config.trainer.devices > 1:
            raise RequestError(
                Setting("trainer.devices", request.config.trainer.devices),
                "cannot be used in a multirun: each process would start the whole sweep",
                remedy="Run the jobs one by one.",
            )
    for node in ("tracking", "sweep"):
        for key in map(str, requests[0].config[node]):
            values = [request.config[node][key] for request in requests]
            # The names of runs may differ.
            if key != "run_name" and any(value != values[0] for value in values):
                got = ", ".join(dict.fromkeys(repr(value) for value in values))
                raise RequestError(f"{node}.{key}", "must be the same in all jobs of a sweep", got, "Use one value.")
