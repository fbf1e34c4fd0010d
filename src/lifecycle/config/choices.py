"""The groups whose choices are typed dataclasses of ours; a table beside which a new group is one more line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle.optimizers import OPTIMIZERS
from lifecycle.schedules import SCHEDULES

TYPED: Mapping[str, Mapping[str, type]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
"""Hydra group -> name -> dataclass. ``RunConfig`` has a field, and ``conf/config.yaml`` a default, for each."""


def name_of(group: str, cls: Any) -> str:
    """Return the name under which a class stands in a group; "" where it does not."""
    return next((name for name, known in TYPED[group].items() if known is cls), "")
