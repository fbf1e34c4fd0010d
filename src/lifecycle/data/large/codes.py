"""Encode a column of texts as codes, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_TEXTS = 100_000
"""Different texts that a column may have: one-hot encoding needs an input for each."""


MISSING_HASH = 0x7FF8000000000000
"""Hash of a missing text: that of a missing number, see :func:`lifecycle.data.splits.duplicates.bits_of`."""


class TooManyTextsError(Exception):
    """A column has more than :data:`MOST_TEXTS` different texts."""


class Codes:
    """The different texts of a column, in order of appearance.

    Attributes:
        texts: each once; the position of a text is its code.
        counts: number of rows with each text.
        first: the first row with each text.
    """

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self.texts = list(texts)
        self.counts = [0] * len(texts)
        self.first = [0] * len(texts)
        self._codes = {text: code for code, text in enumerate(texts)}
        self._hashed: np.ndarray[Any, Any] | None = None

    @property
    def hashes(self) -> np.ndarray[Any, Any]:
        """``(texts + 1,) uint64`` of the texts, equal for equal ones in all processes; the last is a missing one's."""
        import numpy as np
        import pandas as pd

        known = 0 if self._hashed is None else len(self._hashed) - 1
        if self._hashed is None or known < len(self.texts):
            new = pd.util.hash_array(np.array(self.texts[known:], dtype=object), categorize=False)
            before = self._hashed[:-1] if self._hashed is not None else np.empty(0, dtype=np.uint64)
            self._hashed = np.concatenate([before, new, np.full(1, MISSING_HASH, dtype=np.uint64)])
        return self._hashed

    def joined(self, texts: Sequence[str], counts: Sequence[int], first: Sequence[int]) -> np.ndarray[Any, Any]:
        """Add the texts of later rows, and return the code of each.

        Args:
            texts: in order of appearance.
            counts: rows with each.
            first: the first row with each.

        Raises:
            TooManyTextsError: there are more than :data:`MOST_TEXTS`.
        """
        import numpy as np

        for text, count, row in zip(texts, counts, first, strict=True):
            if text not in self._codes:
                self._new(text, row)
            self.counts[self._codes[text]] += count
        return np.array([self._codes[text] for text in texts], dtype=np.int64)

    def add(self, column: pa.ChunkedArray, row: int) -> np.ndarray[Any, Any]:
        """Return the codes of the next rows, ``(rows,) float64``, NaN where a text is missing.

        Args:
            column: texts, or values that are converted to texts.
            row: the number of the first of these rows.

        Raises:
            TooManyTextsError: there are more than :data:`MOST_TEXTS`.
        """
        import numpy as np
        import pyarrow as pa

        # pyarrow finds the different texts of a block; Python then handles each of them once, not each row.
        array = column.combine_chunks()
        array = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        places = array.indices.to_numpy(zero_copy_only=False).astype(np.float64)  # NaN: missing
        # Only texts that occur: the dictionary of a slice is that of the whole column.
        present = places[~np.isnan(places)].astype(np.int64)
        texts = [None if text is None else str(text) for text in array.dictionary.to_pylist()]
        codes = np.full(len(texts) + 1, np.nan)
        counts = np.bincount(present, minlength=len(texts))
        for place in np.flatnonzero(counts):
            text = texts[place]
            if text is None:
                continue
            if text not in self._codes:
                self._new(text, row + int(np.flatnonzero(places == place)[0]))
            codes[place] = self._codes[text]
            self.counts[self._codes[text]] += int(counts[place])
        return codes[np.where(np.isnan(places), len(texts), places).astype(np.int64)]

    def _new(self, text: str, row: int) -> None:
        if len(self.texts) == MOST_TEXTS:
            raise TooManyTextsError
        self._codes[text] = len(self.texts)
        self.texts.append(text)
        self.counts.append(0)
        self.first.append(row)
