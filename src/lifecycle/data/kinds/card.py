"""The data card: source, licence and notes of a data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Card:
    """The fields of a data card that an author writes. `lifecycle data` adds what it computes from the rows."""

    source: str = ""  # who collected the data, when, and where they were published
    licence: str = ""  # what may be done with them
    note: str = ""  # what to know before using them
