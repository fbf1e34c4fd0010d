"""Categories: spaces around them, capitals, rare ones, and columns of identifiers or of free text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from lifecycle.data.columns.features import MOST_CATEGORIES
from lifecycle.data.columns.meaning import numbers
from lifecycle.data.columns.remedies import drop_only
from lifecycle.errors import Setting, Text

RARE = "(rare)"
"""The category of all that are rare in the training rows, and of those that no training row has."""

FEWEST_WORDS = 3
"""Words that a text has on average, from which on a column of different texts is free text."""

FEWEST_ROWS = 20
"""With fewer rows, many different texts say little."""

MOST_CELLS = 2**25
"""Inputs of a column of identifiers, rows times different values, beyond which it is refused: 256 MB in float64."""


def is_nearly_unique(distinct: int, present: int) -> bool:
    """Return whether so many rows with so many different texts are identifiers or free text."""
    return present >= FEWEST_ROWS and distinct > present / 2 and distinct > min(MOST_CATEGORIES, present / 2)


def are_free_texts(texts: Sequence[str]) -> bool:
    """Return whether texts have many words.

    >>> are_free_texts(["a very nice flat", "near the lake"]), are_free_texts(["id1", "id2"])
    (True, False)
    """
    some = texts[:1000]
    return sum(len(text.split()) for text in some) >= FEWEST_WORDS * len(some)


def cleaned(text: str, fold_case: bool) -> str:
    """Return a category without the spaces around it, in lower case on request."""
    return text.strip().lower() if fold_case else text.strip()


def rare(counts: Iterable[tuple[str | None, float]], limit: float) -> set[str]:
    """Return the categories that are rare in the training rows; a missing value is never one of them.

    Args:
        counts: of each category.
        limit: rows, or below 1 a share of them, that a category needs.
    """
    pairs = list(counts)
    least = limit * sum(count for _, count in pairs) if limit < 1 else limit
    found = {text for text, count in pairs if text is not None and count < least}
    return found if len(found) > 1 else set()  # a single one would only change its name


def notes(name: str, texts: Collection[str], present: int, fold_case: bool, is_declared: bool) -> list[Text]:
    """Return warnings about a column of categories.

    Args:
        name: of the column.
        texts: its different values, as they are written.
        present: rows with a value.
        fold_case: whether capitals count.
        is_declared: whether the user said that these are categories.
    """
    found: list[Text] = []
    if merged := _merged(texts, str.strip):
        found.append(f"{name}: {merged[0]!r} and {merged[1]!r} are one category, without the spaces around it")
    stripped = dict.fromkeys(text.strip() for text in texts)
    if not fold_case and (merged := _merged(stripped, str.lower)):
        setting = Setting("data.fold_case", True)
        found.append(
            [f"{name}: {merged[0]} and {merged[1]} differ in capitals only. Add ", setting, " to make them one"]
        )
    if not is_declared:
        found += _doubts(name, list(stripped), present)
    return found


def _doubts(name: str, texts: list[str], present: int) -> list[Text]:
    """Return warnings that a column may be something else than categories."""
    if len(units := [unit for unit in numbers.units(texts) if unit]) > 1:
        shown = ", ".join(units[:4])
        return [f"{name}: numbers of several units ({shown}) are categories. Give one unit to make them numbers"]
    if is_nearly_unique(len(texts), present):
        return [identifier(name, len(texts), present)]
    return []


def identifier(name: str, distinct: int, present: int) -> Text:
    """Return the warning that the texts of a column are identifiers.

    Args:
        name: of the column.
        distinct: different texts.
        present: rows with a text.
    """
    sentence = f"{name}: {distinct} different texts in {present} rows, an identifier rather than categories. "
    return [sentence, drop_only(name)]


def _merged(texts: Iterable[str], change: object) -> tuple[str, str] | None:
    """Return the first two texts that are the same after a change; ``None``: there are none."""
    assert callable(change)  # noqa: S101 - for the types
    seen: dict[str, str] = {}
    for text in texts:
        key = change(text)
        if key in seen:
            return seen[key], text
        seen[key] = text
    return None
