"""What an audit of the data found, in sentences, and as a file and a tag of the run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lifecycle.errors import COMMAND_LINE, RequestError, Text

CLEAN = "no findings"
"""The tag of a run whose data have nothing to report."""

MOST_TAG_CHARACTERS = 400

OF_IDENTIFIERS = "identifier"
"""Name of the check for columns with another value in each row."""

MOST_NAMED = 6
"""Columns that a line names; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """Something about the data that a user should know before training.

    Attributes:
        check: its name, such as ``"identifier"``.
        what: a sentence without its full stop.
        remedy: what to do about it, with the option to add; a sentence without its full stop. May be empty.
        columns: that it is about.
    """

    check: str
    what: Text
    remedy: Text = ""
    columns: tuple[str, ...] = ()

    @property
    def text(self) -> Text:
        """The finding and its remedy, in sentences."""
        return [self.what, ". ", self.remedy, "."] if self.remedy else [self.what]


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        findings: what was found.
        rows: number of rows that were looked at; of many rows, a sample.
        total: number of all rows.
        missing: share of missing values of each column that has some.
        not_checked: what could not be looked at, a sentence each.
    """

    findings: tuple[Finding, ...] = ()
    rows: int = 0
    total: int = 0
    missing: Mapping[str, float] = field(default_factory=dict)
    not_checked: tuple[str, ...] = ()

    @property
    def identifiers(self) -> list[str]:
        """Columns with another value in each row."""
        return [name for one in self.findings if one.check == OF_IDENTIFIERS for name in one.columns]

    def json(self, notes: Iterable[Text] = ()) -> str:
        """Return the content of ``audit.json``; ``notes`` are other warnings about the rows."""
        found = [
            {
                "check": one.check,
                "columns": list(one.columns),
                "message": COMMAND_LINE.text(one.what),
                "option": COMMAND_LINE.text(one.remedy),
            }
            for one in self.findings
        ]
        found += [
            {"check": "values", "columns": [], "message": COMMAND_LINE.text(note), "option": ""} for note in notes
        ]
        content = {
            "findings": found,
            "rows": self.total,
            "rows_checked": self.rows,
            "missing": dict(self.missing),
            "not_checked": list(self.not_checked),
        }
        return json.dumps(content, indent=2) + "\n"

    def tag(self, notes: Sequence[Text] = ()) -> str:
        """Return the findings in one line, for a tag."""
        number = len(self.findings) + len(notes)
        if not number:
            return CLEAN
        sentences = "; ".join(COMMAND_LINE.text(text) for text in (*(one.what for one in self.findings), *notes))
        text = f"{number} finding{'s' * (number > 1)}: {sentences}"
        return text if len(text) <= MOST_TAG_CHARACTERS else f"{text[: MOST_TAG_CHARACTERS - 3]}..."


class AuditError(RequestError):
    """The data have findings, and ``audit=strict`` asks for none. The message lists all of them."""

    is_table = True


def check_strict(audit: Audit, notes: Iterable[Text] = ()) -> None:
    """Refuse data with findings.

    Args:
        audit: of the data.
        notes: other warnings about the rows.

    Raises:
        AuditError: there are some.
    """
    texts = [*(one.text for one in audit.findings), *notes]
    if not texts:
        return
    lines = "\n".join(f"  {COMMAND_LINE.text(text)}" for text in texts)
    problem = f"found {len(texts)} thing{'s' * (len(texts) > 1)} in the data:\n{lines}\n"
    raise AuditError(f"audit=strict {problem}Change the data or add the options, or leave audit=strict out.")


def named(names: Sequence[str]) -> str:
    """Return the names of columns, of many the first ones."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
