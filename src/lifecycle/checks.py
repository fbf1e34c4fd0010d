"""Range checks for the fields of a configuration dataclass; plugins use them in ``__post_init__`` too.

Each raises ``ValueError("<field> must be ..., got <value>. <cure>")``; whoever reads the configuration puts the
key's first part before it (``optimizer.lr must be ...``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any

from lifecycle.errors import did_you_mean

MOST = 1_000_000_000
"""Epochs, rows or whatever else is counted: an integer above is a mistake, and torch computes with 64 bits."""

TOO_MANY = 1_000_001
"""Features of a layer that no machine has room for."""


def in_range(
    config: Any, name: str, low: float | None = None, above: float | None = None, below: float | None = None
) -> None:
    """Check that a field, or each number of a list, is finite, ``>= low``, ``> above`` and ``< below``; null passes.

    An integer is at most :data:`MOST`.
    """
    value = getattr(config, name)
    for number in value if isinstance(value, list) else [value]:
        if number is None:
            continue
        too_many = isinstance(number, int) and abs(number) > MOST
        fits = (
            not too_many
            and math.isfinite(number)
            and (low is None or number >= low)
            and (above is None or number > above)
            and (below is None or number < below)
        )
        if not fits:
            start = f"{low:g} or more" if low is not None else f"above {above:g}" if above is not None else "a number"
            until = (
                f" and below {below:.12g}"
                if below is not None
                else f" and at most {MOST:,}"
                if too_many
                else " and finite"
                if math.isinf(number)
                else ""
            )
            got = value if not too_many or abs(number) < MOST**9 else f"an integer of {number.bit_length()} bits"
            raise ValueError(f"{name} must be {start}{until}, got {got}. {_cure(config, name)}")


def count(config: Any, name: str, number: int, example: str) -> None:
    """Check that a field is a list of two or three numbers."""
    if len(value := getattr(config, name)) != number:
        word = "two" if number == 2 else "three"
        raise ValueError(f"{name} must be {word} numbers, got {value}. Use for instance {example}.")


def one_of(config: Any, name: str, known: Iterable[str]) -> None:
    """Check that a field is one of the known words, or null."""
    value, known = getattr(config, name), list(known)
    if value is not None and value not in known:
        cure = did_you_mean(str(value), known).strip() or _cure(config, name)
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value}. {cure}")


def _cure(config: Any, name: str) -> str:
    spec = next(item for item in fields(config) if item.name == name)
    default = spec.default if spec.default_factory is MISSING else spec.default_factory()
    if default is MISSING:
        return "It has no default."
    return "Leave it out for the default." if default is None else f"The default is {default}."
