"""What the values of one column mean, in plain values that a model is saved with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lifecycle.errors import did_you_mean

NUMBER, BOOLEAN, CATEGORY, TIME, TEXT, DROP, ORDERED = (
    "number",
    "boolean",
    "category",
    "time",
    "text",
    "drop",
    "ordered",
)

ISO, DAY_FIRST, MONTH_FIRST, MONTH_NAME, YYYYMMDD, YYYYMM, QUARTER, WEEK, CLOCK, EPOCH = (
    "iso",
    "day_first",
    "month_first",
    "month_name",
    "yyyymmdd",
    "yyyymm",
    "quarter",
    "week",
    "clock",
    "epoch",
)
NOTATIONS = (ISO, DAY_FIRST, MONTH_FIRST, MONTH_NAME, YYYYMMDD, YYYYMM, QUARTER, WEEK, CLOCK, EPOCH)
"""Ways to write a date or a time. ``epoch``, seconds since 1970, is only ever declared."""

DURATION = "duration"
"""A way to write numbers: durations such as ``1:02:03``, in seconds."""

DECIMAL_COMMA, DECIMAL_POINT = "decimal_comma", "decimal_point"

KINDS = (NUMBER, BOOLEAN, CATEGORY, TIME, TEXT, DROP)
WORDS = (*KINDS, *NOTATIONS, DURATION, DECIMAL_COMMA, DECIMAL_POINT)
"""What ``data.types`` takes for a column, in addition to a list of ordered categories."""

DECIMALS, THOUSANDS = (".", ","), (".", ",", "'", " ")


@dataclass(frozen=True)
class Meaning:
    """The meaning of a column.

    Attributes:
        kind: one of :data:`KINDS`, or ``ordered``.
        unit: of numbers, or their currency, such as ``kg`` or ``CHF``; empty: they have none.
        decimal: the decimal mark of numbers as texts; empty: it is inferred.
        thousands: the separator of groups of three digits; empty: there is none.
        notation: of times, one of :data:`NOTATIONS`; of numbers, ``duration``; empty: it is inferred.
        order: the categories of an ordered column, the lowest first.
    """

    kind: str
    unit: str = ""
    decimal: str = ""
    thousands: str = ""
    notation: str = ""
    order: tuple[str, ...] = ()

    @property
    def plain(self) -> Any:
        """The value of ``data.types`` that means the same: a word, a list, or a mapping."""
        if self.kind == ORDERED:
            return list(self.order)
        if self == DURATIONS:
            return DURATION
        found = {"unit": self.unit, "decimal": self.decimal, "thousands": self.thousands, "notation": self.notation}
        found = {key: value for key, value in found.items() if value}
        return {"kind": self.kind, **found} if found else self.kind

    def __str__(self) -> str:
        """Return the meaning in words, such as ``numbers in kg`` or ``times, day first``."""
        if self.kind == NUMBER and self.notation == DURATION:
            return f"durations in {self.unit}"
        if self.kind == NUMBER:
            return f"numbers in {self.unit}" if self.unit else "numbers"
        if self.kind == TIME:
            return f"times ({self.notation})" if self.notation else "times"
        if self.kind == ORDERED:
            return f"the ordered categories {', '.join(self.order)}"
        return {BOOLEAN: "truth values", CATEGORY: "categories", TEXT: "texts", DROP: "nothing to learn"}[self.kind]


DURATIONS = Meaning(NUMBER, unit="s", notation=DURATION)
"""Durations as texts, or of a type of their own, as seconds."""


def of_types(types: Any) -> dict[str, Meaning]:
    """Return column -> meaning for a value of ``data.types``; ``None``: nothing is declared.

    Raises:
        ValueError: it is no mapping, or a meaning is unknown.
    """
    if types is None:
        return {}
    if not isinstance(types, Mapping):
        example = "{zip: category, when: time, size: [S, M, L]}"
        message = f"types must map columns to their types, got {types}. Write for instance {example}."
        raise ValueError(message)  # noqa: TRY004 - as all checks of fields
    return {str(name): _meaning(str(name), value) for name, value in types.items()}


def _meaning(name: str, value: Any) -> Meaning:
    if isinstance(value, list | tuple):
        order = tuple(str(one).strip() for one in value)
        if len(order) < 2 or len(set(order)) < len(order):
            raise ValueError(
                f"types must list two or more different categories for {name}, the lowest first, got {list(value)}. "
                "Write for instance {size: [S, M, L]}."
            )
        return Meaning(ORDERED, order=order)
    if isinstance(value, Mapping):
        return _detailed(name, {str(key): one for key, one in value.items()})
    word = str(value)
    if word in KINDS:
        return Meaning(word)
    if word in NOTATIONS:
        return Meaning(TIME, notation=word)
    if word == DURATION:
        return DURATIONS
    if word in (DECIMAL_COMMA, DECIMAL_POINT):
        return _with_decimal("," if word == DECIMAL_COMMA else ".")
    hint = did_you_mean(word, WORDS).strip() or f"Notations: {', '.join((*NOTATIONS, DURATION))}."
    raise ValueError(
        f"types must be {', '.join(KINDS)}, a notation of times or a list of ordered categories, got {word} for "
        f"{name}. {hint}"
    )


def _with_decimal(decimal: str) -> Meaning:
    return Meaning(NUMBER, decimal=decimal, thousands="." if decimal == "," else ",")


def _detailed(name: str, value: Mapping[str, Any]) -> Meaning:
    """Return the meaning of a mapping such as ``{kind: number, unit: kg, decimal: ","}``."""
    known = ("kind", "unit", "decimal", "thousands", "notation")
    wrong = next((key for key in value if key not in known), None)
    if wrong is not None or value.get("kind") not in KINDS:
        got = f"{wrong}" if wrong is not None else f"kind={value.get('kind')}"
        raise ValueError(
            f"types must have the keys {', '.join(known)}, and a kind among {', '.join(KINDS)}, got {got} for {name}. "
            "Write for instance {kind: number, unit: kg}."
        )
    texts = {key: str(one) for key, one in value.items() if one not in (None, "")}
    notations = (*NOTATIONS, DURATION)
    for key, choices in {"decimal": DECIMALS, "thousands": THOUSANDS, "notation": notations}.items():
        if texts.get(key, choices[0]) not in choices:
            shown = " ".join(choices).strip()
            raise ValueError(
                f"types must have one of {shown} as {key}, got {texts[key]} for {name}. Leave it out to infer it."
            )
    parts = {key: texts.get(key, "") for key in known[1:]}
    return Meaning(texts["kind"], parts["unit"], parts["decimal"], parts["thousands"], parts["notation"])
