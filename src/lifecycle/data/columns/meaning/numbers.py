"""Numbers as people write them: with units, percent signs, currencies, thousands separators and decimal commas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lifecycle.data.columns.meaning import durations
from lifecycle.data.columns.meaning.meaning import DURATION, NUMBER, Meaning

CODES = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY|KRW|MAD|MXN|MYR|NGN|NOK|"
    "NZD|PEN|PHP|PKR|PLN|RON|RSD|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
"""The ISO codes of currencies, as a pattern."""

SYMBOLS = "$€£¥₹₽₩₪₺₴฿₫₦₱¢"

CURRENCY = rf"(?:(?:US|CA|AU|A|C|R|HK|NZ|S)?\$|[{SYMBOLS}]|Fr\.?|Rs\.?|kr\.?|zł|{CODES})"

GAPS = " \u00a0\u202f\u2009"
"""Spaces that separate groups of digits, some of which do not break a line."""

APOSTROPHES = "'\u2019"

FORM = re.compile(
    r"(?P<open>\()?\s*(?P<sign>[+\-\u2212])?\s*"
    rf"(?P<before>{CURRENCY})?\s*(?P<inner>[+\-\u2212])?\s*"
    rf"(?P<body>\d(?:[\d.,{GAPS}{APOSTROPHES}]*\d)?|[.,]\d+)(?P<exponent>[eE][+-]?\d+)?(?:[.,][-\u2013\u2014]{{1,2}})?"
    rf"(?P<space>\s*)(?P<after>[^\W\d_][^\d(),;]{{0,30}}[23]?|[{SYMBOLS}%‰°/²³][^\d(),;]{{0,30}}[23]?)?\s*(?P<close>\))?"
)
"""A number, with what may stand around it."""

ORDINALS = ("st", "nd", "rd", "th")
MOST_WORDS = 3
"""Words of a unit, such as ``EUR per night``."""

ATTACHED = set("mgshlLKCFVWANJtkMBGdyYa%")
"""Units of one letter that may follow a number without a space; other letters make a code, such as 12X."""


@dataclass(frozen=True)
class Token:
    """A number as it is written.

    Attributes:
        body: digits with their separators.
        unit: what stands before or after it.
        negative: whether it is below zero.
        exponent: such as ``e-3``.
    """

    body: str
    unit: str
    negative: bool
    exponent: str = ""


@dataclass(frozen=True)
class Reading:
    """How texts are read as numbers.

    Attributes:
        meaning: unit, decimal mark and thousands separator.
        other: another decimal mark that fits all texts as well; empty: there is none.
        is_certain: the texts show the decimal mark: a fraction with another number of digits than three.
    """

    meaning: Meaning
    other: str = ""
    is_certain: bool = False


CONVENTIONS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", "'"), (",", "'"), (".", " "), (",", " "))
"""Decimal marks and thousands separators, in the order in which they are tried."""


def token(text: str) -> Token | None:
    """Return a text as a number with a unit; ``None``: it is none.

    >>> token("CHF -1'234.50"), token("(12)"), token("Basel")
    (Token(body="1'234.50", unit='CHF', negative=True, exponent=''), Token(body='12', unit='', negative=True, exponent=''), None)
    """  # noqa: E501
    found = FORM.fullmatch(text.strip())
    if found is None or (found["open"] is None) != (found["close"] is None):
        return None
    before, after, signs = found["before"] or "", (found["after"] or "").strip(), (found["sign"], found["inner"])
    if all(signs) or not _is_unit(after, attached=not found["space"] and not before):
        return None
    body = found["body"]
    for sign in GAPS[1:]:
        body = body.replace(sign, " ")
    negative = found["open"] is not None or any(sign not in (None, "+") for sign in signs)
    return Token(body.replace(APOSTROPHES[1], "'"), before + after, negative, found["exponent"] or "")


def _is_unit(text: str, attached: bool) -> bool:
    if attached and text in ORDINALS:
        return False
    if attached and len(text) == 1 and text.isalpha() and text not in ATTACHED and text not in "µΩ":
        return False
    return len(text.split()) <= MOST_WORDS


def value(found: Token, decimal: str, thousands: str) -> float | None:
    """Return the number of a token; ``None``: its separators are not these.

    >>> value(Token("1.234,5", "", True), ",", "."), value(Token("1,23", "", False), ".", ",")
    (-1234.5, None)
    """
    if _form(decimal, thousands).fullmatch(found.body) is None:
        return None
    digits = found.body.replace(thousands, "") if thousands else found.body
    number = float(digits.replace(decimal, ".") + found.exponent)
    return -number if found.negative else number


def _form(decimal: str, thousands: str) -> re.Pattern[str]:
    if (decimal, thousands) not in _FORMS:
        mark, group = re.escape(decimal), re.escape(thousands)
        grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+(?:{mark}\d+)?|" if thousands else ""
        if thousands == ",":  # lakh and crore, such as 12,34,567
            grouped += rf"[1-9]\d?(?:,\d\d)+,\d{{3}}(?:{mark}\d+)?|"
        _FORMS[decimal, thousands] = re.compile(rf"{grouped}\d+(?:{mark}\d*)?|{mark}\d+")
    return _FORMS[decimal, thousands]


_FORMS: dict[tuple[str, str], re.Pattern[str]] = {}


def infer(texts: Sequence[str], decimal: str = "", thousands: str = "", hint: str = "") -> Reading | None:
    """Return how the different texts of a column are read as numbers; ``None``: they are no numbers of one unit.

    Args:
        texts: the different texts.
        decimal: the declared decimal mark; empty: it is inferred.
        thousands: the declared separator of groups.
        hint: the decimal mark of the other columns, which decides where both fit; empty: unknown.
    """
    tokens = tokens_of(texts)
    if tokens is None:
        return None
    unit = _one_unit(tokens)
    # A code such as 007 is no number, unless it has a unit.
    if unit is None or (not unit and any(re.fullmatch(r"0\d+", one.body) for one in tokens)):
        return None
    fitting = [
        (mark, group)
        for mark, group in CONVENTIONS
        if decimal in ("", mark) and thousands in ("", group) and all(value(t, mark, group) is not None for t in tokens)
    ]
    if not fitting and (decimal, thousands) != ("", "") and not any(set(",' ") & set(t.body) for t in tokens):
        fitting = [(decimal or ".", thousands)]
    if not fitting:
        return None
    marks = list(dict.fromkeys(mark for mark, _ in fitting))
    by_mark = {mark: next(pair for pair in fitting if pair[0] == mark) for mark in marks}
    # Where both fit, a comma before three digits in every number separates thousands.
    chosen = hint if hint in by_mark else "." if "." in by_mark else marks[0]
    plain = not any(set(".,' ") & set(one.body) for one in tokens)
    other = "" if plain else next((mark for mark in marks if mark != chosen), "")
    mark, group = by_mark[chosen]
    certain = not other and any(mark in one.body for one in tokens)
    return Reading(Meaning(NUMBER, unit=unit, decimal=mark, thousands=group), other, certain)


def tokens_of(texts: Iterable[str]) -> list[Token] | None:
    """Return texts as numbers with units; ``None``: one is none, which is found at the first."""
    found = []
    for text in texts:
        one = token(text)
        if one is None:
            return None
        found.append(one)
    return found or None


def units(texts: Iterable[str]) -> list[str]:
    """Return the different units of texts that are all numbers, in order of appearance; empty: they are not."""
    return list(dict.fromkeys(one.unit for one in tokens_of(texts) or []))


def _one_unit(tokens: Iterable[Token]) -> str | None:
    """Return the unit that all numbers have; a zero needs none. ``None``: there are several."""
    found = {one.unit for one in tokens if one.unit or one.body.strip("0.,")}
    return next(iter(found), "") if len(found) < 2 else None


def parse(text: str, meaning: Meaning) -> float | None:
    """Return the number of a text as training texts were read, with or without the unit; ``None``: it is none."""
    if meaning.notation == DURATION and (seconds := durations.parse(text)) is not None:
        return seconds
    found = token(text)
    if found is None or (found.unit and meaning.unit and found.unit != meaning.unit):
        return None
    if found.unit and not meaning.unit and meaning.decimal:
        return None
    for mark, group in ((meaning.decimal or ".", meaning.thousands), (meaning.decimal or ".", "")):
        number = value(found, mark, group)
        if number is not None:
            return number
    # A number that JSON or a frame wrote has a point, whatever the file of the training rows had.
    return value(found, ".", "")


def declared(texts: Sequence[str], meaning: Meaning, hint: str = "") -> Meaning:
    """Return a declared number with its unit and separators, as the texts have them."""
    if meaning.notation == DURATION:
        return meaning
    found = infer(texts, meaning.decimal, meaning.thousands, hint) or infer(texts, meaning.decimal, "", hint)
    if found is not None:
        return replace(found.meaning, unit=meaning.unit or found.meaning.unit)
    most = [one for one in (token(text) for text in texts) if one is not None and one.unit]
    unit = meaning.unit or (most[0].unit if most else "")
    return replace(meaning, unit=unit, decimal=meaning.decimal or hint or ".", thousands=meaning.thousands)
