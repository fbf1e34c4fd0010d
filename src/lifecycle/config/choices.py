"""The groups of the configuration whose options are dataclasses of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle.optimizers import OPTIMIZERS
from lifecycle.schedules import SCHEDULES

TYPED: Mapping[str, Mapping[str, type]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
"""Hydra group -> name -> dataclass. ``RunConfig`` has a field, and ``conf/config.yaml`` a default, for each."""


def name_of(group: str, cls: Any) -> str:
    """Return the name of a class in a group; "" where the group does not have it."""
    return next((name for name, known in TYPED[group].items() if known is cls), "")
