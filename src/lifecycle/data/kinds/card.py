"""What a data set says of itself: where it comes from, what may be done with it, what to know before using it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Card:
    """The fields of a data card, in words; the rest of the card is worked out from the rows. See `lifecycle data`."""

    source: str = ""  # who collected the data, when, and where they were published
    licence: str = ""  # what may be done with them
    note: str = ""  # what to know before using them
