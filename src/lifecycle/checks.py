"""Checks of the fields of a configuration dataclass, for ``__post_init__``; plugins use them too.

Each raises ``FieldError("<field> must be ..., got <value>. <remedy>")``, to which the reader of the configuration adds
the group: ``optimizer.lr must be ...``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any

from lifecycle.errors import FieldError, did_you_mean

MOST = 1_000_000_000
"""Largest integer: of epochs or rows a larger one is a mistake, and torch's integers have 64 bits."""

TOO_MANY = 1_000_001
"""Number of features of a layer that no machine has memory for."""


def in_range(
    config: Any, name: str, low: float | None = None, above: float | None = None, below: float | None = None
) -> None:
    """Check that a field, or each number of a list, is finite, ``>= low``, ``> above`` and ``< below``; null passes.

    An integer is at most :data:`MOST`.

    Raises:
        FieldError: it is not.
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
            # Python refuses to convert integers of more than 4300 digits to a text.
            got = value if not too_many or abs(number) < MOST**9 else f"an integer of {number.bit_length()} bits"
            raise FieldError(name, f"must be {_range(number, low, above, below)}", got, _remedy(config, name))


def _range(number: float, low: float | None, above: float | None, below: float | None) -> str:
    """Return the range that a number is outside of: ``0 or more and below 1``."""
    start = f"{low:g} or more" if low is not None else f"above {above:g}" if above is not None else "a number"
    if below is not None:
        return f"{start} and below {below:.12g}"
    if isinstance(number, int) and abs(number) > MOST:
        return f"{start} and at most {MOST:,}"
    return f"{start} and finite" if math.isinf(number) else start


def count(config: Any, name: str, number: int, example: str) -> None:
    """Check that a field is a list of ``number`` numbers, two or three."""
    if len(value := getattr(config, name)) != number:
        word = "two" if number == 2 else "three"
        raise FieldError(name, f"must be {word} numbers", value, f"Use for instance {example}.")


def one_of(config: Any, name: str, known: Iterable[str]) -> None:
    """Check that a field has one of the known values, or null."""
    value, known = getattr(config, name), list(known)
    if value is not None and value not in known:
        remedy = did_you_mean(str(value), known).strip() or _remedy(config, name)
        raise FieldError(name, f"must be one of {', '.join(known)}", value, remedy)


def _remedy(config: Any, name: str) -> str:
    spec = next(item for item in fields(config) if item.name == name)
    default = spec.default if spec.default_factory is MISSING else spec.default_factory()
    if default is MISSING:
        return "It has no default."
    return "Leave it out for the default." if default is None else f"The default is {default}."
