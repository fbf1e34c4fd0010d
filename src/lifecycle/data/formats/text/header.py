"""Tells the first row of a table that names its columns from one that is data."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Sequence

from lifecycle.data.formats.text.cells import PLAIN, is_missing, is_number, shape

FEWEST_NAMES = 5
"""Whole numbers in a row, such as 0, 1, 2, 3, 4, that are taken for the names that pandas gives to columns."""

FEWEST_FRACTIONS = 20
"""Rows of fractions below fewer of such names."""

MOSTLY = 0.9
"""Share of numbers from which on a column is one of numbers."""

FEWEST_ROWS, FEWEST_UNITS = 3, 2
"""Rows below a line of units, and columns of numbers that have one: fewer say too little."""

PRIOR = 1.0
"""Log odds of a header before any evidence: most files have one."""


def is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first of some rows names the columns.

    A column that holds numbers below its first cell decides: a number there is data, a text a name. Names that are
    numbers (``24.00`` next to ``price``) are names where another column has a text above its numbers. Only where no
    column of numbers decides are texts compared.

    Args:
        rows: the cells of the first rows, all of one length; blank lines are left out.
    """
    first, rest = rows[0], rows[1:]
    if not rest:
        # A line alone: names, unless a cell is a number.
        return not any(is_number(cell) for cell in first)
    columns = [[cell for cell in column if not is_missing(cell)] for column in zip(*rest, strict=True)]
    shares = [sum(map(is_number, column)) / len(column) if column else 0.0 for column in columns]
    present = [(cell, share) for cell, share in zip(first, shares, strict=True) if not is_missing(cell)]
    data = any(is_number(cell) for cell, share in present if share >= MOSTLY)
    # A text next to numbers in the same row must be above nothing but numbers to be a name.
    if any(_is_word(cell) for cell, share in present if share >= (1 if data else MOSTLY)):
        return True
    if data:
        return _counts(first, rest, [share >= MOSTLY for share in shares])
    # Parsers name columns by position where names repeat, so these are no names.
    filled = [cell for cell in first if cell.strip()]
    if len(set(filled)) < len(filled):
        return False
    if any(is_number(cell) for cell, column in zip(first, columns, strict=True) if not column):
        return False  # a number above nothing
    scores = [_score(cell, column) for cell, column in zip(first, columns, strict=True) if not is_missing(cell)]
    return PRIOR + sum(scores) > 0


def is_second(rows: Sequence[Sequence[str]], marks: Collection[str] = ()) -> bool:
    """Return whether the first row below the names holds no values, but units of the columns or names once more.

    It has texts in two columns or more that hold nothing but numbers further below, and no number.

    Args:
        rows: the cells of the first rows below the names, all of one length.
        marks: of missing values.
    """
    return _words_above_numbers(rows, marks) >= FEWEST_UNITS


def repeats(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row groups the columns, whose names are in the second: it has a text twice, or gaps."""
    first, second = ([cell.strip() for cell in row] for row in rows[:2])
    filled = [cell for cell in first if cell]
    return (
        (len(set(filled)) < len(filled) or not first[-1])
        and all(second)
        and len(set(second)) == len(second)
        and not any(map(is_number, filled))
        and _words_above_numbers(rows[1:]) > 0
    )


def _words_above_numbers(rows: Sequence[Sequence[str]], marks: Collection[str] = ()) -> int:
    """Return the number of columns with a text in the first row and nothing but numbers below; 0: a number is there."""
    first, rest = rows[0], rows[1:]
    if len(rest) < FEWEST_ROWS or any(map(is_number, first)):
        return 0
    words = [place for place, cell in enumerate(first) if _is_word(cell) and not is_missing(cell) and cell not in marks]
    below = [[row[place] for row in rest if not is_missing(row[place]) and row[place] not in marks] for place in words]
    return sum(bool(column) and all(map(is_number, column)) for column in below)


def _is_word(cell: str) -> bool:
    """Return whether a cell is a text that does not begin with a number, as ``<5`` and ``3 (estimated)`` do."""
    return not is_number(cell) and not cell.strip().lstrip("+-<>=~$€£ .,(")[:1].isdigit()


def _counts(first: Sequence[str], rest: Sequence[Sequence[str]], numeric: Sequence[bool]) -> bool:
    """Return whether the numbers of the first row count the columns, as pandas names those of an array."""
    places = [place for place, found in enumerate(numeric) if found]
    if not _consecutive([first[place] for place in places]):
        return False
    others = [[row[place] for place in places] for row in rest]
    if len(places) >= FEWEST_NAMES:
        return len(rest) >= 2 and not any(map(_consecutive, others))
    # Few numbers may be consecutive by chance. A fraction in every other row of every column shows that they are not.
    return len(rest) >= FEWEST_FRACTIONS and all(
        PLAIN.fullmatch(cell.strip()) and "." in cell for row in others for cell in row
    )


def _consecutive(cells: Sequence[str]) -> bool:
    texts = [cell.strip() for cell in cells]
    if len(texts) < 2 or not all(text.isascii() and text.isdigit() for text in texts):
        return False
    numbers = [int(text) for text in texts]
    return all(after - before == 1 for before, after in itertools.pairwise(numbers))


def _score(cell: str, column: Sequence[str]) -> float:
    """Return the log odds that a cell names a column of texts rather than being one of its values."""
    if not column:
        return 0.0
    text, texts = cell.strip(), [value.strip() for value in column]
    counts = Counter(texts)
    if counts[text]:
        return -3.0 if len(texts) > 1 else -1.0
    # Good and Turing: the probability that a further value is a new one is the share of values that occur once.
    once = sum(1 for count in counts.values() if count == 1)
    score = math.log(0.97) - math.log(min(0.97, (once + 0.5) / (len(texts) + 1)))
    return score + _score_of_shape(text, texts)


def _score_of_shape(text: str, texts: Sequence[str]) -> float:
    """Return the log odds of a name by how it is written: values of a column are written alike."""
    shapes = Counter(map(shape, texts))
    common, count = shapes.most_common(1)[0]
    with_digits = sum("9" in found for found in shapes.elements()) / len(texts)
    if count >= 0.8 * len(texts) and "9" in common:
        if shape(text) == common:
            return -4.0 if common[0] == "9" else -1.5
        return 1.5 if any(sign.isdigit() for sign in text) else 4.0
    if with_digits >= 0.9 and not any(sign.isdigit() for sign in text):
        return 2.0
    lengths = sorted(map(len, texts))
    longest = lengths[-1]
    score = 0.0
    # Values of fixed length (codes of one letter, of countries) below a longer or shorter name.
    if lengths[0] == longest and len(texts) >= 3:
        score += -1.0 if len(text) == longest else 3.0
    elif len(text) > 1.5 * longest and len(texts) >= 3:
        score += 1.5
    with_spaces = sum(" " in value for value in texts) / len(texts)
    if with_spaces > 0.8 and len(texts) >= 3:
        score += -1.0 if " " in text else 1.0
    return score + _score_of_case(text, texts)


def _score_of_case(text: str, texts: Sequence[str]) -> float:
    cases = Counter(map(_case, texts))
    common, count = cases.most_common(1)[0]
    if count < 0.8 * len(texts) or len(texts) < 3:
        return 0.0
    return -0.7 if _case(text) == common else 1.5


def _case(text: str) -> str:
    return "lower" if text.islower() else "upper" if text.isupper() else "title" if text.istitle() else "mixed"
