"""What a cell of a text file looks like: a number, a quantity, a missing mark, or a text of a certain shape."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_WORDS = ("NA", "N/A", "nan", "NaN", "null", "NULL", "None")
_SIGNS = ("?", "-", "--", ".", "#N/A", "<NA>", "n/a")

MARKS = (*_WORDS, *_SIGNS)
"""What stands for a missing number. Among texts they are texts, as ``-`` is the opposite of ``+``; but see
:func:`marks_among_words`."""

UNKNOWN = "?"
"""The mark that is missing in all columns if it stands among words or numbers."""

NO_WORDS = ("N/A", "n/a", "nan", "NaN", "null", "NULL", "#N/A", "<NA>")
"""Marks that are missing in all columns if they stand among words. ``NA`` and ``None`` may be words, such as the code
of Namibia, and ``-`` a sign: they are missing in all columns if they stand among numbers too."""

_DIGITS = r"(\d+|\d{1,3}([.,' \u00a0]\d{3})+)"
NUMBER = re.compile(rf"[+-]?({_DIGITS}([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
"""A number in any notation: 12, -1.5e3, 1,234.5, 1'234, 12,5."""

PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
"""A number as Python writes it."""

QUANTITY = re.compile(
    rf"([$€£¥]|[A-Z]{{3}} )?\s?{NUMBER.pattern}\s?(%|[$€£¥]|[A-Za-zµ°²³/]{{1,6}})?|[+-]?(inf|Inf|INF|infinity|Infinity)"
)
"""A number with a unit, a currency or a percent sign."""

COMMA_DECIMAL = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d{1,3}([' \u00a0]\d{3})+|\d*),\d+([eE][+-]?\d+)?")
POINT_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
GROUPS = {",": POINT_THOUSANDS}
GROUPS |= {sign: re.compile(rf"[+-]?\d{{1,3}}({re.escape(sign)}\d{{3}})+([.,]\d+)?") for sign in ".' \u00a0"}
"""Separator of thousands -> numbers that are written with it."""

_MARKS = frozenset(MARKS)

_DIGIT_RUN, _LETTER_RUN = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")


def is_missing(cell: str) -> bool:
    """Return whether a cell is empty or a missing mark."""
    text = cell.strip()
    return not text or text in _MARKS


def is_number(cell: str) -> bool:
    """Return whether a cell is a number, in any notation and with any unit."""
    text = cell.strip()
    return PLAIN.fullmatch(text) is not None or QUANTITY.fullmatch(text) is not None  # the common case first


def shape(cell: str) -> str:
    """Return a cell with each run of digits as 9, and each run of letters as a.

    >>> shape("2021-02-03"), shape("Jan 2020")
    ('9-9-9', 'a 9')
    """
    return _LETTER_RUN.sub("a", _DIGIT_RUN.sub("9", cell.strip()))


def marks_among_words(columns: Iterable[Collection[str]], among_numbers: Collection[str] = ()) -> tuple[str, ...]:
    """Return the marks that are missing in all columns of a file, in the order of :data:`MARKS`.

    Args:
        columns: the cells of each column, or the different ones.
        among_numbers: marks that stand among numbers of other columns.

    >>> marks_among_words([["1", "NA"], ["York", "NA"]]), marks_among_words([["York", "NA"]])
    (('NA',), ())
    >>> marks_among_words([["York", "?"]]), marks_among_words([["+", "-", "?"], ["1", "-"]])
    (('?',), ())
    """
    of_words: set[str] = set()
    of_numbers, of_signs = set(among_numbers), set[str]()
    for column in columns:
        texts = {cell.strip() for cell in column}
        marks, others = texts & _MARKS, texts - _MARKS - {""}
        if not marks or not others:
            continue
        numbers = sum(map(is_number, others))
        if 2 * numbers > len(others):
            of_numbers |= marks
        if numbers == len(others):
            continue
        if all(any(map(str.isalnum, text)) for text in others):
            of_words |= marks
        else:  # among signs such as + and !, a question mark is one of them
            of_signs |= marks
    found = of_words & ({*NO_WORDS} | of_numbers) - of_signs
    if UNKNOWN in of_words | of_numbers:
        found.add(UNKNOWN)
    return tuple(mark for mark in MARKS if mark in found)


def spellings(marks: Iterable[str]) -> list[str]:
    """Return the cells that missing marks stand for: -999 is also -999.0, and a space may stand before a mark.

    >>> spellings(["?"])
    ['?', ' ?']
    """
    found: list[str] = []
    for mark in marks:
        text = mark.strip()
        variants = [text]
        if PLAIN.fullmatch(text) and "e" not in text.lower():
            whole = text.rstrip("0").rstrip(".") if "." in text else text
            digits = whole.partition(".")[2]
            variants += [whole, *(f"{whole}{'' if digits else '.'}{'0' * zeros}" for zeros in range(7 - len(digits)))]
        found += [*variants, *(f" {variant}" for variant in variants)]
    return list(dict.fromkeys(found))


def decimal_mark(cells: Iterable[str]) -> tuple[str, str]:
    """Return the decimal mark and the separator of thousands of a column's numbers; "" where no cell shows it.

    >>> decimal_mark(["1.234,5", "7"]), decimal_mark(["1,234", "56,789"])
    ((',', '.'), ('', ','))
    """
    texts = [cell.strip() for cell in cells]
    together = "".join(texts)
    if not any(sign in together for sign in GROUPS if sign != "."):
        return "", ""  # the common case: numbers as Python writes them
    numbers = [text for text in texts if NUMBER.fullmatch(text)]
    if not numbers or len(numbers) < len(texts):
        return "", ""
    commas = [text for text in numbers if COMMA_DECIMAL.fullmatch(text)]
    points = [text for text in numbers if "." in text and text.count(".") == 1 and "," not in text.partition(".")[2]]
    # 1,234 alone may be either: it is one thousand where all numbers with a comma have three digits after it.
    clear = [text for text in commas if not POINT_THOUSANDS.fullmatch(text)]
    decimal = "," if clear else "." if points and not commas else ""
    rest = numbers if decimal != "," else [text for text in numbers if "." in text or "'" in text or " " in text]
    for sign, pattern in GROUPS.items():
        if sign == decimal or (sign == "." and decimal != ","):
            continue
        if any(pattern.fullmatch(text) for text in rest):
            return decimal, sign
    return decimal, ""
