"""Configurations of dataclasses: what ``OmegaConf.structured`` makes of each, which takes milliseconds, is kept."""

from __future__ import annotations

import copy
from dataclasses import MISSING, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

_known: dict[type, tuple[dict[str, Any], DictConfig]] = {}


def structured(cls: type) -> DictConfig:
    """Return the configuration of a dataclass, with the defaults of its fields; the caller may change it."""
    return copy.deepcopy(template(cls))


def template(cls: type) -> DictConfig:
    """Return the same, to be read only."""
    found = _known.get(cls)
    values = defaults(cls)
    if found is None or found[0] != values:
        found = _known[cls] = values, OmegaConf.structured(cls)
    return found[1]


def defaults(cls: type) -> dict[str, Any]:
    """Return the default of each field of a dataclass; some are made by a call, and may be others each time."""
    return {
        item.name: getattr(cls, item.name, None) if item.default_factory is MISSING else item.default_factory()
        for item in fields(cls)
    }
