"""The fields of data plugins that say how a text file is read; what is not set is detected."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.credentials import masked
from lifecycle.data.columns import names
from lifecycle.data.formats.text import detection, encodings
from lifecycle.data.formats.text.cells import PLAIN, spellings
from lifecycle.data.formats.text.dialect import SEPARATORS, SPACE, Declared, Dialect, Known, attach, dialect_of
from lifecycle.errors import FieldError, RequestError, Setting

if TYPE_CHECKING:
    import pandas as pd

AUTO = "auto"

WORDS = {word: sign for sign, word in SEPARATORS.items()} | {
    "space": SPACE,
    "spaces": SPACE,
    "whitespace": SPACE,
    "\\t": "\t",
    "\\s+": SPACE,
}
"""Names of separators, also those of pandas."""

POINTS = {"comma": ",", "point": ".", "dot": ".", "space": " ", "apostrophe": "'", "none": ""}
"""Names of the marks within numbers."""


@dataclass
class Reading:
    """The fields of data plugins that read text files."""

    header: str = AUTO  # the first row names the columns: true or false; auto: judged by the types below it
    names: list[str] = field(
        default_factory=list
    )  # of the columns, in order; by default those of the header, or c0, c1
    sep: str | None = None  # comma, semicolon, tab, pipe, space (any white space) or another sign; null: detected
    decimal: str | None = None  # mark of decimals: point or comma; null: detected
    thousands: str | None = None  # separator of thousands: comma, point, space, apostrophe or none; null: detected
    missing: list[str] = field(default_factory=list)  # further marks of missing values, such as [?,-,-999]
    encoding: str | None = None  # of the text, such as utf-8 or cp1252; null: detected
    comment: str | None = None  # first sign of lines to leave out; null: #, % and @ above the table

    def __post_init__(self) -> None:
        parent = getattr(super(), "__post_init__", None)  # the other fields of the data plugin
        if parent is not None:
            parent()
        self.header = str(self.header).lower()
        if self.header not in (AUTO, "true", "false"):
            raise FieldError("header", "must be auto, true or false", self.header, "The default is auto.")
        if len(set(self.names)) < len(self.names) or not all(name.strip() for name in self.names):
            raise FieldError("names", "must be different names", ", ".join(self.names), "Give one for each column.")
        if self.sep is not None and len(WORDS.get(self.sep, self.sep)) != 1:
            known = ", ".join(dict.fromkeys(word for word in WORDS if word.isalpha()))
            raise FieldError("sep", "must be one sign", repr(self.sep), f"Or write one of {known}.")
        if self.comment is not None and len(self.comment) != 1:
            raise FieldError("comment", "must be one sign", repr(self.comment), "Write for instance '#'.")
        self._check_marks()
        if self.encoding is not None:
            try:
                self.encoding = encodings.name_of(self.encoding)
            except LookupError:
                remedy = "Write for instance utf-8, utf-16, cp1252 or latin-1."
                raise FieldError("encoding", "is not known", self.encoding, remedy) from None

    def _check_marks(self) -> None:
        """Check the marks of decimals and thousands."""
        decimal, thousands = _mark(self.decimal), _mark(self.thousands)
        if decimal not in (None, ".", ","):
            raise FieldError("decimal", "must be point or comma", repr(self.decimal), "The default is detected.")
        if thousands not in (None, "", ".", ",", "'", " "):
            remedy = "Write comma, point, space, apostrophe or none."
            raise FieldError("thousands", "is no separator of thousands", repr(self.thousands), remedy)
        if decimal is not None and decimal == thousands:
            raise FieldError("thousands", "is the mark of decimals too", repr(self.thousands), "Leave one out.")
        # As characters, which the conversion of texts into numbers reads.
        self.decimal, self.thousands = decimal, thousands

    @property
    def declared(self) -> Declared:
        """What is said of the file; the rest is detected."""
        return Declared(
            header=None if self.header == AUTO else self.header == "true",
            names=tuple(self.names),
            sep=None if self.sep is None else WORDS.get(self.sep, self.sep),
            decimal=self.decimal,
            thousands=self.thousands,
            missing=tuple(self.missing),
            encoding=self.encoding,
            comment=self.comment,
        )

    def cleaned(self, frame: pd.DataFrame, path: str) -> pd.DataFrame:
        """Return the rows of a file with missing values in place of declared marks.

        Raises:
            RequestError: a field is set that is for text files, and the file is none.
        """
        if (found := dialect_of(frame)) is not None:
            attach(frame, dataclasses.replace(found, file=name_of(path)))
            return frame
        for field_of_texts in ("names", "sep", "encoding", "comment"):
            if value := getattr(self, field_of_texts):
                key = Setting(f"data.{field_of_texts}", value)
                problem = f"is for text files, and {name_of(path)} is none"
                raise RequestError(key, problem, remedy="Leave it out.")
        return without_marks(frame, self.missing)


def name_of(path: str) -> str:
    """Return the name of the file at a path, for display."""
    return masked(path).rstrip("/").replace("\\", "/").rpartition("/")[2]


def declared_of(plugin: Any) -> Declared | None:
    """Return what a data plugin says of its text file; ``None`` for a plugin without the fields."""
    if isinstance(plugin, Declared):
        return plugin
    return plugin.declared if isinstance(plugin, Reading) else None


def declared_for(plugin: Any) -> Declared | None:
    """Return what holds for files to predict as well: what no detection finds."""
    found = declared_of(plugin)
    if found is None:
        return None
    return Declared(sep=None if found.sep in SEPARATORS else found.sep, comment=found.comment)


def record(found: Dialect) -> dict[str, Any]:
    """Return what a saved model keeps of the dialect of its training file."""
    kept = {"names": list(found.names), "header": found.header, "missing": list(found.missing)}
    return kept | ({"replaced": list(found.replaced)} if found.replaced else {})


def named(plugin: Any, file: Path | None, known: Known) -> Any:
    """Return a data plugin that reads a text file by the columns of a model; see :class:`Known`.

    Raises:
        ValueError: the file cannot be read.
    """
    if not isinstance(plugin, Reading) or file is None or plugin.names:
        return plugin
    found = detection.of_file(file, plugin.declared, known)
    if found.above or found.header:
        return plugin
    return dataclasses.replace(plugin, header="false", names=list(found.names))


def known_of(plugin: Any, recorded: Mapping[str, Any] | None, needed: Sequence[str]) -> Known:
    """Return the columns that files to predict are to have.

    Args:
        plugin: the data plugin of the model.
        recorded: what :func:`record` returned; ``None``: the training file was no text, or the model is an earlier one.
        needed: the columns that a prediction reads.
    """
    old = {new: name for name, new in names.of_plugin(plugin).items()}
    needed = tuple(old.get(name, name) for name in needed)
    if recorded is None:
        return Known(names=needed, needed=needed)
    target = getattr(plugin, "target", "")
    target = target if isinstance(target, str) else ""  # several columns are all there, or all absent
    declared = declared_of(plugin)
    return Known(
        names=tuple(recorded["names"]),
        target=old.get(target, target),
        header=bool(recorded["header"]),
        needed=needed,
        encoding="" if declared is None else declared.encoding or "",
        replaced=tuple(recorded.get("replaced", ())),
    )


def without_marks(frame: pd.DataFrame, marks: Sequence[str]) -> pd.DataFrame:
    """Return rows with missing values in place of marks; the same frame where there are none."""
    if not marks:
        return frame
    import pandas as pd

    texts = spellings(marks)
    numbers = [float(mark) for mark in marks if PLAIN.fullmatch(mark.strip())]
    changed = {}
    for name in frame.columns:
        column = frame[name]
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        found = column.isin(numbers if is_number else texts)
        if found.any():
            changed[name] = column.mask(found)
    return frame.assign(**changed) if changed else frame


def _mark(value: str | None) -> str | None:
    return None if value is None else POINTS.get(value, value)
