"""How a text file writes a table: encoding, separator, quotes, comments, header and missing marks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.data.formats.text import cells as cells_of
from lifecycle.data.formats.text import encodings

if TYPE_CHECKING:
    import pandas as pd

SPACE = " "
"""The separator of columns that are separated by any white space."""

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", SPACE: "white space"}

MOST_UNITS = 5
"""Cells of a line below the header that are shown."""

DIALECT = "dialect"
"""The entry of a frame's ``attrs`` with the dialect of its file, in words."""

WORD = re.compile(r"\"(?:[^\"\\]|\"\"|\\.)*\"(?=\s|$)|\"[^\"]*\"|'[^']*'(?=\s|$)|\S+")
"""A cell of a line whose cells are separated by white space."""


@dataclass(frozen=True)
class Declared:
    """What a user says of a text file; ``None`` and empty: it is detected.

    Attributes:
        header: whether the first row names the columns.
        names: of the columns.
        sep: one of :data:`SEPARATORS`, or another sign.
        decimal: mark of decimals.
        thousands: separator of thousands.
        missing: marks of missing values in any column, in addition to those that are detected; with an empty text
            among them, none is detected among words.
        encoding: as Python calls it.
        comment: first sign of comment lines.
    """

    header: bool | None = None
    names: tuple[str, ...] = ()
    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    missing: tuple[str, ...] = ()
    encoding: str | None = None
    comment: str | None = None

    def with_marks(self, detected: Iterable[str]) -> tuple[str, ...]:
        """Return the declared marks of missing values and those that were detected, as far as these count."""
        return tuple(dict.fromkeys([*self.missing, *(() if "" in self.missing else detected)]))


@dataclass(frozen=True)
class Known:
    """The columns that rows to predict are to have.

    Attributes:
        names: of all columns of the training file, in order.
        target: the one that may be absent; "" if none may be.
        header: the training file has one.
        needed: those that a prediction reads.
        encoding: of the training file, for text that is not UTF-8; "" where it was detected.
        replaced: the names in its header, in place of which ``names`` were declared; empty: none were.
    """

    names: tuple[str, ...] = ()
    target: str = ""
    header: bool = True
    needed: tuple[str, ...] = ()
    encoding: str = ""
    replaced: tuple[str, ...] = ()

    def names_for(self, header: Sequence[str]) -> tuple[str, ...]:
        """Return the names of columns that a header calls by those of the training file's; empty: it does not.

        >>> Known(("a", "b", "y"), "y", replaced=("x", "x", "price")).names_for(["x", "x"])
        ('a', 'b')
        """
        pairs = list(zip(self.replaced, self.names, strict=True)) if self.replaced else []
        without = [pair for pair in pairs if pair[1] != self.target]
        for some in (pairs, without):
            if some and [old for old, _ in some] == list(header):
                return tuple(new for _, new in some)
        new_of = dict(pairs)
        if len(new_of) < len(pairs) or not set(header) & set(new_of):
            return ()
        found = tuple(new_of.get(name, name) for name in header)
        return found if len(set(found)) == len(found) else ()


@dataclass(frozen=True)
class Dialect:
    """How a text file writes a table.

    Attributes:
        names: of the columns, in order.
        encoding: as Python calls it.
        sep: one of :data:`SEPARATORS`, or another sign.
        quote: of cells that contain the separator.
        header: a row names the columns.
        skip: lines before the first row of values.
        comment: first sign of comment lines; "": there are none.
        decimal, thousands: of numbers, as far as they show it.
        missing: marks of missing values in any column.
        among_numbers: marks that were found in columns of numbers, where each of ``MARKS`` is missing.
        index: the first column has no name in the file.
        kept: the first row that is not blank names the columns as they are: the file can be read without ``names``.
        above: the names are from a comment line.
        titles: lines above the header that are no part of the table.
        units: the cells of a line below the header that has no values; empty: there is none.
        padded: spaces around cells are no part of them.
        file: its name, for display.
        replaced: the names in its header, in place of which ``names`` were declared; empty: none were.
    """

    names: tuple[str, ...] = ()
    encoding: str = encodings.UTF8
    sep: str = ","
    quote: str = '"'
    header: bool = True
    skip: int = 0
    comment: str = ""
    decimal: str = "."
    thousands: str = ""
    missing: tuple[str, ...] = ()
    among_numbers: tuple[str, ...] = ()
    index: bool = False
    kept: bool = True
    above: bool = False
    titles: int = 0
    units: tuple[str, ...] = ()
    padded: bool = False
    file: str = ""
    replaced: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the file is comma-separated UTF-8 with a header, which every parser reads as it is."""
        as_it_is = self.kept and not self.missing and not self.comment and not self.titles and not self.units
        return as_it_is and (self.encoding, self.sep, self.quote) == (encodings.UTF8, ",", '"')

    @property
    def is_native(self) -> bool:
        """Whether pyarrow reads the bytes of the file; else they must be transcoded."""
        return self.encoding == encodings.UTF8 and self.sep != SPACE and not self.comment and not self.padded

    @property
    def delimiter(self) -> str:
        """The separator of cells for a parser, after transcoding."""
        return "\t" if self.sep == SPACE else self.sep

    @property
    def nulls(self) -> list[str]:
        """The cells that are missing in any column."""
        return ["", *cells_of.spellings(self.missing)]

    @property
    def what_names(self) -> str:
        """What tells how many cells a row has, for messages."""
        return "the header has" if self.header and not self.above else "the first row has"

    def described(self) -> str:
        """Return the dialect in words; "" for a plain file in which nothing is missing by a mark.

        >>> Dialect(("c0", "c1"), header=False, kept=False, missing=("?",)).described()
        'comma, no header (columns c0 to c1), ? is missing'
        """
        marks = list(dict.fromkeys(mark for mark in (*self.missing, *self.among_numbers) if mark))
        if self.is_plain and not marks and self.decimal == "." and not self.thousands and not self.index:
            return ""
        parts = [SEPARATORS.get(self.sep, repr(self.sep)), *([] if self.encoding == "utf-8" else [self.encoding])]
        if self.quote != '"':
            parts.append(f"quotes {self.quote}")
        if self.padded:
            parts.append("spaces around cells left out")
        if self.comment:
            parts.append(f"lines that begin with {self.comment} are comments")
        if self.titles:
            parts.append(f"{self.titles} line{'s' if self.titles != 1 else ''} above the header left out")
        parts.append(self._names())
        if self.index:
            parts.append(f"the first column has no name: {self.names[0]}")
        if self.decimal != ".":
            parts.append("decimal comma" if self.decimal == "," else f"decimals after {self.decimal}")
        if self.thousands:
            parts.append(f"thousands separated by {self.thousands if self.thousands.strip() else 'a space'}")
        if marks:
            parts.append(f"{', '.join(marks)} {'is' if len(marks) == 1 else 'are'} missing")
        return ", ".join(parts)

    def _names(self) -> str:
        if self.above:
            return "header in a comment"
        if self.units:
            shown = [unit for unit in self.units if unit.strip()]
            more = ", ..." if len(shown) > MOST_UNITS else ""
            return f"header, the line below it left out ({', '.join(shown[:MOST_UNITS])}{more})"
        if self.header:
            return "header"
        between = self.names[0] if len(self.names) == 1 else f"{self.names[0]} to {self.names[-1]}"
        return f"no header (column{'s' if len(self.names) != 1 else ''} {between})"


class Words(str):
    """A dialect in words, as pandas writes ``attrs`` into files as JSON; with the dialect itself."""

    __slots__ = ("dialect",)
    dialect: Dialect

    def __deepcopy__(self, memo: Any) -> Words:
        """Return the same object: pandas copies ``attrs`` with each column."""
        return self


def attach(frame: pd.DataFrame, dialect: Dialect) -> None:
    """Note on a frame how its file was read."""
    words = Words(dialect.described())
    words.dialect = dialect
    frame.attrs[DIALECT] = words


def dialect_of(frame: pd.DataFrame) -> Dialect | None:
    """Return the dialect of the text file that a frame was read from; ``None``: it is from something else."""
    words = frame.attrs.get(DIALECT)
    return words.dialect if isinstance(words, Words) else None
