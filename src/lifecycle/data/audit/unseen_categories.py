"""Warnings about categories and missing values that no training row had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

MOST_NAMED = 8
"""Categories that a warning lists; more are abbreviated."""

MOST_KEPT = 10_000
"""Different categories of a column that are kept, because a column of identifiers would fill memory."""


class Unseen:
    """Counts unknown categories, which are encoded as zeros, and missing values, which are filled.

    Args:
        numbers: columns of numbers.
        known: whether it was recorded which columns had a value in every training row.

    Attributes:
        notes: other warnings, which :meth:`lines` returns first.
    """

    def __init__(self, numbers: Collection[str] = (), known: bool = True) -> None:
        self._numbers, self._known = numbers, known
        self.notes: list[str] = []
        self._rows: Counter[str] = Counter()  # column -> rows with an unseen category
        self._missing: Counter[str] = Counter()  # column -> rows without a value
        self._names: dict[str, dict[str, None]] = {}  # column -> its unseen categories, each once, in order

    def add(self, found: Mapping[str, Counter[str | None]]) -> None:
        """Count more rows.

        Args:
            found: column -> how many rows have each unseen category; ``None`` stands for a missing value.
        """
        for column, counts in found.items():
            self._missing[column] += counts[None]
            self._rows[column] += counts.total() - counts[None]
            names = self._names.setdefault(column, {})
            names.update(dict.fromkeys([name for name in counts if name is not None][: MOST_KEPT - len(names)]))

    def lines(self) -> list[str]:
        """Return the warnings, one or two lines for each column."""
        found = list(self.notes)
        for column, names in self._names.items():
            if names:
                more = ", ..." if len(names) > MOST_NAMED else ""
                values = _number(len(names), "value") + (" or more" if len(names) == MOST_KEPT else "")
                found.append(
                    f"{column}: {values} in {_number(self._rows[column], 'row')} {_were(len(names))} never seen in "
                    f"training ({', '.join(list(names)[:MOST_NAMED])}{more}): encoded as no known category"
                )
            rows = self._missing[column]
            if rows and column in self._numbers:
                since = ", and every training row had one" if self._known else ""
                found.append(f"{column}: no value in {_number(rows, 'row')}{since}: filled with the training median")
            elif rows:
                found.append(
                    f"{column}: no value in {_number(rows, 'row')}, and every training row had one: encoded as no "
                    "known category"
                )
        return found


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
