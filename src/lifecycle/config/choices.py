"""The groups of the configuration whose options are dataclasses of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle.optimizers import OPTIMIZERS, OwnOptimizer
from lifecycle.schedules import SCHEDULES

TYPED: Mapping[str, Mapping[str, type]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
"""Hydra group -> name -> dataclass. ``RunConfig`` has a field, and ``conf/config.yaml`` a default, for each."""


OWN = "custom"
"""The recorded name of an optimizer that a Python caller's function makes."""


def name_of(group: str, cls: Any) -> str:
    """Return the name of a class in a group; "" where the group does not have it."""
    if cls is OwnOptimizer:
        return OWN
    return next((name for name, known in TYPED[group].items() if known is cls), "")


def class_of(group: str, name: str) -> type:
    """Return the class of a name that :func:`name_of` returned, for a record.

    Raises:
        KeyError: the group does not have it.
    """
    return OwnOptimizer if (group, name) == ("optimizer", OWN) else TYPED[group][name]
