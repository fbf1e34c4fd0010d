"""What the columns of a large table mean: decided by their first block, while the rows are read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lifecycle.data.columns import types
from lifecycle.data.columns.meaning import categories, convert, durations, infer, numbers
from lifecycle.data.columns.meaning.infer import Found, Texts
from lifecycle.data.columns.meaning.meaning import (
    BOOLEAN,
    CATEGORY,
    CLOCK,
    DECIMAL_COMMA,
    DECIMAL_POINT,
    DURATION,
    DURATIONS,
    ISO,
    NUMBER,
    ORDERED,
    TEXT,
    TIME,
    Meaning,
)
from lifecycle.data.columns.remedies import typed
from lifecycle.data.formats.csv_blocks import NUMBER as NUMBER_TYPE
from lifecycle.data.formats.csv_blocks import TEXT as TEXT_TYPE
from lifecycle.data.formats.csv_blocks import TIME as TIME_TYPE
from lifecycle.data.formats.csv_blocks import kind_of
from lifecycle.data.large.blocks import AnyArray
from lifecycle.data.large.codes import Codes
from lifecycle.errors import RequestError

ORIGIN = np.datetime64("2000-01-01", "us")
"""Times are stored as minutes since then, which single precision holds exactly for 31 years before and after."""

AS_TEXTS = (CATEGORY, ORDERED, BOOLEAN, TEXT)
"""Declared kinds whose columns are read as texts."""


def minutes(moments: AnyArray) -> AnyArray:
    """Return ``datetime64`` as minutes since :data:`ORIGIN`, ``float64``, NaN where a time is missing."""
    passed = (moments.astype("datetime64[us]") - ORIGIN).astype("timedelta64[us]")
    return np.where(np.isnat(passed), np.nan, passed.astype(np.int64) / 60_000_000)


def moments(stored: AnyArray) -> AnyArray:
    """Return minutes since :data:`ORIGIN` as ``datetime64``."""
    gaps = np.isnan(stored)
    found = ORIGIN + np.round(np.where(gaps, 0, stored) * 60).astype("timedelta64[s]").astype("timedelta64[us]")
    found[gaps] = np.datetime64("NaT")
    return np.asarray(found)


class Meanings:
    """The meanings of the columns of a file.

    Args:
        plugin: a table, whose fields may declare some.

    Attributes:
        found: column -> what was found of it.
        of_blocks: column -> its meaning by the first block with a value; see :meth:`of_block`.
    """

    def __init__(self, plugin: Any) -> None:
        self._plugin, self._declared, self._hints = plugin, plugin.meanings, plugin.hints
        self.found: dict[str, Found] = {}
        self.of_blocks: dict[str, Meaning | None] = {}

    def of_block(self, name: str, column: pa.ChunkedArray, row: int) -> Meaning | None:
        """Return the meaning of a column that is converted block by block: numbers with units, and times.

        It is decided by the first block with a value. All else is decided when all rows have been read.

        Args:
            name: of the column.
            column: the next rows.
            row: number of the first of them.
        """
        if name not in self.of_blocks and column.null_count < len(column):
            self.of_blocks[name] = self._decided(name, column)
            if (meaning := self.of_blocks[name]) is not None and name not in self.found:
                self.found[name] = Found(meaning)
        return self.of_blocks.get(name)

    def _decided(self, name: str, column: pa.ChunkedArray) -> Meaning | None:
        kind, declared, is_target = kind_of(column.type), self._declared.get(name), name == self._plugin.target
        if declared is not None and declared.kind not in (NUMBER, TIME):
            return None
        if kind == TIME_TYPE and not is_target:
            return DURATIONS if pa.types.is_duration(column.type) else Meaning(TIME, notation=ISO)
        if kind not in (TEXT_TYPE, NUMBER_TYPE) or (kind == NUMBER_TYPE and is_target):
            return None
        if kind == NUMBER_TYPE and (declared is None or declared.kind == NUMBER):
            packed = None if declared else infer.packed(pd.Series(column.drop_null().to_numpy()))
            return None if packed is None else Meaning(TIME, notation=packed)
        different = [text for text in _different(column) if text.strip() not in convert.MISSING]
        if declared is not None:
            return infer.completed(name, different, declared, self._hints)
        found = infer.number_or_time(name, different, self._hints, is_target)
        if found is not None:
            self.found[name] = found
        return None if found is None else found.meaning

    def values(self, name: str, meaning: Meaning, column: pa.ChunkedArray, row: int) -> AnyArray:
        """Return the next rows of a column as numbers, ``(rows,) float64``; times as :func:`minutes`.

        Args:
            name: of the column.
            meaning: that :meth:`of_block` returned.
            column: the next rows.
            row: number of the first of them.

        Raises:
            RequestError: a value contradicts the rows before; names ``data.types``.
        """
        if kind_of(column.type) == TIME_TYPE:
            plain = types.plain(column.to_pandas(types_mapper=pd.ArrowDtype).rename(name))
            read = convert.converted(plain, meaning)
        else:
            texts = column.cast(pa.string()) if kind_of(column.type) == NUMBER_TYPE else column
            series = pd.Series(texts.to_pandas(), name=name).set_axis(range(row, row + len(column)))
            try:
                read = convert.converted(series, meaning)
            except RequestError as error:
                raise self._contradiction(name, meaning, series, error) from error
        return minutes(read.to_numpy()) if meaning.kind == TIME else read.to_numpy(dtype=np.float64)

    def _contradiction(self, name: str, meaning: Meaning, column: pd.Series[Any], error: RequestError) -> RequestError:
        instead = CATEGORY
        if meaning.kind == NUMBER and not self._declared.get(name):
            other, word = (",", DECIMAL_COMMA) if meaning.decimal == "." else (".", DECIMAL_POINT)
            texts = list(map(str, column.dropna().unique()))
            if numbers.infer(texts, other) is not None:
                instead = word
        if meaning.notation == CLOCK and all(durations.token(str(text)) for text in column.dropna().unique()):
            instead = DURATION  # times of day have 24 hours
        problem = f"{error.problem} in the first rows" if name not in self._declared else error.problem
        return RequestError(error.key, problem, error.got, ["Fix the value, or add ", typed(name, instead), "."])

    def of_codes(self, name: str, codes: Codes, rows: int) -> tuple[Meaning | None, AnyArray | None]:
        """Return what a column of texts means once all rows have been read, and the number of each text.

        Args:
            name: of the column.
            codes: its texts.
            rows: of the table.

        Returns:
            The meaning and ``(texts,) float64``; ``None``: it holds categories or free text.

        Raises:
            RequestError: a value does not fit its declared type.
        """
        texts = pd.Series(codes.texts, name=name, dtype=object).set_axis(codes.first)
        declared = self._declared.get(name)
        if declared is not None:
            found = infer.declared(texts.astype("str"), declared, self._hints)
        else:
            counted = Texts(codes.texts, codes.counts, codes.first)
            found = infer.of_texts(name, counted, self._hints, rows, is_target=name == self._plugin.target)
        self.found[name] = found
        meaning = found.meaning
        if meaning is None or meaning.kind in (CATEGORY, TEXT):
            return meaning, None
        if meaning.kind == ORDERED:
            spelled = convert.converted(texts.astype("str"), meaning)
            return meaning, np.array([meaning.order.index(text) for text in spelled], dtype=np.float64)
        read = convert.converted(texts.astype("str"), meaning)
        return meaning, minutes(read.to_numpy()) if meaning.kind == TIME else read.to_numpy(dtype=np.float64)

    def is_free_text(self, name: str, texts: Sequence[str], rows: int) -> bool:
        """Return whether a feature holds free text, by different texts of some rows that are too many for memory."""
        declared = self._declared.get(name)
        if declared is not None:
            return bool(declared.kind == TEXT)
        return categories.is_nearly_unique(len(texts), rows) and categories.are_free_texts(texts)

    def set_free_text(self, name: str) -> None:
        """Record that a feature holds free text."""
        self.found[name] = Found(self._declared.get(name) or Meaning(TEXT))

    def reads_as_texts(self) -> list[str]:
        """Return the columns that are declared as something that is read as texts."""
        return [name for name, meaning in self._declared.items() if meaning.kind in AS_TEXTS]


def _different(column: pa.ChunkedArray) -> list[str]:
    """Return the different values of a column as texts."""
    column = column.cast(pa.string()) if kind_of(column.type) == NUMBER_TYPE else column
    return [str(text) for text in column.unique().to_pylist() if text is not None]
