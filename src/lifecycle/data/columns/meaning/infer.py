"""Infer from its values what each column means."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import features, targets
from lifecycle.data.columns.meaning import categories, convert, dates, durations, numbers
from lifecycle.data.columns.meaning.meaning import (
    BOOLEAN,
    CATEGORY,
    DURATIONS,
    EPOCH,
    ISO,
    MONTH_FIRST,
    NUMBER,
    ORDERED,
    TEXT,
    TIME,
    Meaning,
)
from lifecycle.data.columns.remedies import typed
from lifecycle.errors import RequestError, Setting, Text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Hints:
    """What is known of all columns of a file.

    Attributes:
        decimal: the decimal mark; empty: it is inferred.
        thousands: the separator of groups; empty: it is inferred.
        fold_case: whether categories are in lower case.
        path: of the file, for messages.
        others: the decimal mark that other columns show, which decides where two fit.
        missing: the declared marks of missing values.
        are_classes: a target of texts holds classes, also where most of them are numbers.
    """

    decimal: str = ""
    thousands: str = ""
    fold_case: bool = False
    path: str = ""
    others: str = ""
    missing: tuple[str, ...] = ()
    are_classes: bool = False


@dataclass(frozen=True)
class Found:
    """What was found of a column.

    Attributes:
        meaning: ``None``: plain numbers, truth values or categories.
        notes: warnings, a sentence each.
        certain: the decimal mark that its texts show; empty: they show none.
        is_ambiguous: whether another decimal mark fits as well.
    """

    meaning: Meaning | None = None
    notes: list[Text] = field(default_factory=list)
    certain: str = ""
    is_ambiguous: bool = False


def infer(frame: pd.DataFrame, types: Mapping[str, Meaning], hints: Hints, target: str = "") -> dict[str, Found]:
    """Return what the columns of a frame mean.

    Args:
        frame: the columns, of dtypes of :mod:`lifecycle.data.columns.types`.
        types: column -> its declared meaning.
        hints: of the file.
        target: the column that is predicted, whose texts may all differ.

    Raises:
        RequestError: a column cannot be used, or a value does not fit a declared meaning.
    """
    found = {
        name: declared(frame[name], types[name], hints)
        if name in types
        else of_column(frame[name], hints, is_target=name == target)
        for name in frame.columns
    }
    again = [name for name, one in found.items() if one.is_ambiguous and name not in types]
    marks = {one.certain for one in found.values() if one.certain}
    # The other columns show the decimal mark; those of numbers have a point.
    if again and marks == {","} and not any(_has_fractions(frame[name]) for name in frame.columns):
        hints = replace(hints, others=",")
        found |= {name: of_column(frame[name], hints, is_target=name == target) for name in again}
    return found


def _has_fractions(column: pd.Series[Any]) -> bool:
    return column.dtype.kind == "f" and bool((column.dropna() % 1 != 0).any())


def of_column(column: pd.Series[Any], hints: Hints, is_target: bool = False) -> Found:
    """Return what one column means; see :func:`infer`."""
    import pandas as pd

    if column.dtype.kind == "M" or isinstance(column.dtype, pd.PeriodDtype):
        return Found() if is_target else Found(Meaning(TIME, notation=ISO))
    if column.dtype.kind == "m":
        return Found(DURATIONS)
    if pd.api.types.is_bool_dtype(column):
        return Found()
    if pd.api.types.is_numeric_dtype(column):
        notation = None if is_target else packed(column)
        return Found(None if notation is None else Meaning(TIME, notation=notation))
    present = column.dropna()
    are_dates = column.dtype != "str" and len(present) and all(isinstance(value, datetime.date) for value in present)
    if are_dates and not is_target:
        return Found(Meaning(TIME, notation=ISO))
    return of_texts(str(column.name), Texts.of(present), hints, len(column), is_target)


def packed(column: pd.Series[Any]) -> str | None:
    """Return the notation of dates that are whole numbers; ``None``: they are numbers."""
    # The first values suffice for nearly all columns of numbers, whose different values take long to find.
    first = column.iloc[:100].dropna()
    some = (first if len(first) else column.dropna().iloc[:100]).to_numpy(dtype=float)
    if not len(some) or not ((some > 190_000) & (some < 21_010_000) & (some % 1 == 0)).all():
        return None
    return dates.infer_packed(column.dropna().unique().astype(float))


@dataclass(frozen=True)
class Texts:
    """The texts of a column.

    Attributes:
        texts: the different texts.
        counts: rows with each.
        first: the first row with each.
    """

    texts: Sequence[str]
    counts: Sequence[int]
    first: Sequence[Any]

    @classmethod
    def of(cls, present: pd.Series[Any]) -> Texts:
        """Return those of a column without missing values."""
        import numpy as np
        import pandas as pd

        texts = present if present.dtype == "str" else present.map(str)
        codes, different = pd.factorize(texts)
        first = np.zeros(len(different), dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]  # the last value that is set is that of the first row
        rows = present.index.to_numpy()[first]
        return cls(list(map(str, different)), np.bincount(codes, minlength=len(different)).tolist(), list(rows))

    @property
    def present(self) -> int:
        """Rows with a text."""
        return sum(self.counts)


def of_texts(name: str, column: Texts, hints: Hints, rows: int, is_target: bool = False) -> Found:
    """Return what a column of texts means.

    Args:
        name: of the column.
        column: its texts.
        hints: of the file.
        rows: of the column, those without a value included.
        is_target: whether it is predicted.

    Raises:
        RequestError: it holds numbers with a few texts among them, or too many identifiers.
    """
    different = [text for text in column.texts if text.strip() not in convert.MISSING]
    # A gap among truth values stays a category of its own.
    complete = column.present == rows and len(different) == len(column.texts)
    if not is_target and complete and convert.are_truths(different):
        return Found(Meaning(BOOLEAN))
    found = number_or_time(name, different, hints, is_target)
    if found is not None:
        return found
    if is_target:
        if not hints.are_classes:
            targets.check_words(name, column.texts, column.counts, column.first, hints.missing)
        return Found(notes=categories.notes(name, column.texts, column.present, hints.fold_case, True))
    return _categories(name, column, hints)


def number_or_time(name: str, different: Sequence[str], hints: Hints, is_target: bool = False) -> Found | None:
    """Return what a column means that holds numbers or times; ``None``: it holds something else.

    Args:
        name: of the column.
        different: its different texts, without missing ones.
        hints: of the file.
        is_target: whether it is predicted; times are then classes.
    """
    if not different:
        return None
    if durations.are_durations(different, is_target):
        return Found(DURATIONS)
    if not is_target and (times := dates.infer(different)) is not None:
        return Found(Meaning(TIME, notation=times.notation), _date_notes(name, different, times))
    reading = None if _are_plain(different) else numbers.infer(different, hints.decimal, hints.thousands, hints.others)
    if reading is None:
        return None
    notes = [] if hints.decimal else _number_notes(name, different, reading)
    return Found(reading.meaning, notes, reading.meaning.decimal if reading.is_certain else "", bool(reading.other))


def _are_plain(texts: Sequence[str]) -> bool:
    """Return whether texts are numbers as every parser reads them; a frame then has them as texts for a reason."""
    import re

    plain = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
    return all(plain.fullmatch(text) for text in texts)


def _categories(name: str, column: Texts, hints: Hints) -> Found:
    """Return what a column means that holds neither numbers, truth values nor times."""
    import pandas as pd

    texts = pd.Series(list(column.texts), dtype=object)
    wrong = pd.to_numeric(texts, errors="coerce").isna().to_numpy().nonzero()[0].tolist()
    # A message names a text that is no mark such as NA, if there is one.
    named = [place for place in wrong if column.texts[place].strip() not in convert.MISSING] or wrong
    first = min(((column.first[place], column.texts[place]) for place in named), default=None)
    number = sum(column.counts[place] for place in wrong)
    if first is not None and number < column.present / 2:
        words = list(dict.fromkeys(column.texts[place].strip() for place in named))
        raise features.mixed(name, hints.path, first[1], first[0], words, hints.missing)
    distinct, present = len(column.texts), column.present
    if first is not None and categories.is_nearly_unique(distinct, present):
        if categories.are_free_texts(column.texts):
            return Found(Meaning(TEXT))
        if distinct * present > categories.MOST_CELLS:
            raise features.too_many(name, hints.path, distinct, present)
    return Found(notes=categories.notes(name, column.texts, present, hints.fold_case, is_declared=first is None))


def _number_notes(name: str, texts: Sequence[str], reading: numbers.Reading) -> list[Text]:
    if not reading.other:
        return []
    text = next(text for text in texts if set(",.") & set(text))
    as_number = numbers.parse(text, reading.meaning)
    word = "decimal_comma" if reading.other == "," else "decimal_point"
    return [[f"{name}: {text} is read as {as_number:g}. Otherwise add ", typed(name, word)]]


def _date_notes(name: str, texts: Sequence[str], reading: dates.Reading) -> list[Text]:
    if not reading.other:
        return []
    moment = dates.parse(texts[0], reading.notation)
    assert moment is not None  # noqa: S101 - for the types
    sentence = f"{name}: {texts[0]} is read as {moment:%Y-%m-%d}. If the month is first, add "
    return [[sentence, typed(name, MONTH_FIRST)]]


def declared(column: pd.Series[Any], meaning: Meaning, hints: Hints) -> Found:
    """Return a declared meaning with what is inferred of it: the unit, the notation of times.

    Raises:
        RequestError: a value does not fit.
    """
    import pandas as pd

    present = column.dropna()
    is_number = pd.api.types.is_numeric_dtype(column)
    if column.dtype.kind in "mM" or isinstance(column.dtype, pd.PeriodDtype):
        meaning = replace(meaning, notation=ISO) if meaning.kind == TIME else meaning
    elif meaning.kind == TIME or (meaning.kind == NUMBER and not is_number):
        texts = Texts.of(convert.as_texts(present)).texts
        meaning = completed(
            str(column.name), [text for text in texts if text.strip() not in convert.MISSING], meaning, hints
        )
    if meaning.kind == ORDERED:
        check_order(convert.converted(column, meaning), meaning)
    convert.converted(column, meaning, at_training=True)
    notes: list[Text] = []
    if meaning.kind == CATEGORY:
        texts = Texts.of(convert.as_texts(column).dropna()).texts
        notes = categories.notes(str(column.name), texts, len(present), hints.fold_case, is_declared=True)
    return Found(meaning, notes)


def completed(name: str, different: Sequence[str], meaning: Meaning, hints: Hints) -> Meaning:
    """Return declared numbers or times with what their texts show: the unit, the decimal mark, the notation.

    Args:
        name: of the column.
        different: its different texts, without missing ones.
        meaning: as declared.
        hints: of the file.

    Raises:
        RequestError: none of the texts is a time.
    """
    if meaning.kind == NUMBER:
        return numbers.declared(different, replace(meaning, decimal=meaning.decimal or hints.decimal))
    if meaning.notation:
        return meaning
    found = dates.infer(different)
    if found is not None:
        return replace(meaning, notation=found.notation)
    packed = next((notation for notation in dates.PACKED if dates.fits(different, notation)), None)
    if packed is not None:
        return replace(meaning, notation=packed)
    # The notation of most texts shows which one does not fit.
    fitting = {one: sum(dates.parse(text, one) is not None for text in different) for one in dates.INFERRED}
    notation = max(fitting, key=fitting.__getitem__)
    if not fitting[notation]:
        problem = f"is declared as times, and holds {different[0]}" if different else "has no value"
        remedy = f"Write times as 2024-01-31 12:00, or name their notation: {', '.join((*dates.PATTERNS, EPOCH))}."
        raise RequestError(f"column {name}", problem, remedy=remedy)
    return replace(meaning, notation=notation)


def check_order(column: pd.Series[Any], meaning: Meaning) -> None:
    """Refuse a category that a declared order does not have.

    Raises:
        RequestError: names the value and its row.
    """
    present = column.dropna()
    wrong = present[~present.isin(meaning.order)]
    if len(wrong):
        raise RequestError(
            f"column {column.name}",
            f"holds {meaning}",
            f"{wrong.iloc[0]!s} in row {wrong.index[0]}",
            ["Add it to ", Setting("data.types"), ", or fix the value."],
        )
