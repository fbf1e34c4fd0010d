"""What rows to be predicted have and no training row had, counted and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

MOST_NAMED = 8
"""Categories that a line names; of more it says that there are others."""

MOST_KEPT = 10_000
"""Different categories of a column that are kept: one that is new in each row would fill memory."""


class Unseen:
    """Categories that are none of the known, for which a network sees zeros in each of these; and numbers filled.

    Args:
        numbers: columns of numbers.
        known: whether it is known that these columns had a value in each training row.
    """

    def __init__(self, numbers: Collection[str] = (), known: bool = True) -> None:
        self._numbers, self._known = numbers, known
        self.notes: list[str] = []  # what else is to be said
        self._rows: Counter[str] = Counter()  # of a column, those with an unseen category
        self._missing: Counter[str] = Counter()  # of a column, those without one
        self._names: dict[str, dict[str, None]] = {}  # of a column, each once and in order

    def add(self, found: Mapping[str, Counter[str | None]]) -> None:
        """Count more rows: by column, how often each unseen category stands in them; ``None``: how often none does."""
        for column, counts in found.items():
            self._missing[column] += counts[None]
            self._rows[column] += counts.total() - counts[None]
            names = self._names.setdefault(column, {})
            names.update(dict.fromkeys([name for name in counts if name is not None][: MOST_KEPT - len(names)]))

    def lines(self) -> list[str]:
        """Return a line a column, as a person reads them."""
        found = list(self.notes)
        for column, names in self._names.items():
            if names:
                more = ", ..." if len(names) > MOST_NAMED else ""
                values = _number(len(names), "value") + (" or more" if len(names) == MOST_KEPT else "")
                found.append(
                    f"{column}: {values} in {_number(self._rows[column], 'row')} {_were(len(names))} never seen in "
                    f"training ({', '.join(list(names)[:MOST_NAMED])}{more}): counted as none of the known"
                )
            rows = self._missing[column]
            if rows and column in self._numbers:
                since = ", and no training row was without one" if self._known else ""
                found.append(f"{column}: no value in {_number(rows, 'row')}{since}: filled with the training median")
            elif rows:
                found.append(
                    f"{column}: no value in {_number(rows, 'row')}, and no training row was without one: counted as "
                    "none of the known"
                )
        return found


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
