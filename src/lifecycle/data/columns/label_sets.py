"""Targets of several labels: the labels of a row as one text, such as ``cat|dog``.

A set of labels is one value of one target, so that everything that treats rows by their target (parts, folds, tables of
predictions) needs no second form. The text has each label once, sorted, between signs :data:`JOIN`; a row without a
label has the empty text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lifecycle.contract import MULTILABEL
from lifecycle.data.columns.meaning import numbers
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    import pandas as pd

JOIN = "|"
"""Between the labels of a set, as predictions write them."""

SEPARATORS = ("|", ";", ",", " ")
"""What may separate labels in a cell, the first that occurs."""

WORDS = {"pipe": "|", "semicolon": ";", "comma": ",", "space": " ", "tab": "\t", "none": ""}
"""Names of separators; none: a cell is one label."""

NAME = "labels"
"""What a target is called whose labels have a column of 0 and 1 each."""

YES, NO = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no", ""}
"""Values of a column of one label, in lower case: the row has it or not."""


@dataclass
class SeveralLabels:
    """The field of data plugins whose rows may have several labels each, and what ``target`` and ``task`` mean then."""

    label_separator: str | None = None  # of labels in a cell: pipe, semicolon, comma, space or none; null: detected

    @property
    def target_columns(self) -> list[str]:
        """The columns of the target: one, or one of 0 and 1 for each label."""
        target = getattr(self, "target", "")
        return list(target) if isinstance(target, list) else [target]

    @property
    def target_name(self) -> str:
        """What the target is called."""
        columns = self.target_columns
        return NAME if len(columns) > 1 else columns[0]

    @property
    def has_label_columns(self) -> bool:
        """Whether the target is a column of 0 and 1 for each label."""
        return len(self.target_columns) > 1

    def check_labels(self) -> None:
        """Check the fields, and write ``target`` as a text or as a list of two texts or more.

        Raises:
            ValueError: names the field.
        """
        target: Any = getattr(self, "target", "")
        names = [str(name) for name in target] if isinstance(target, Sequence) and not isinstance(target, str) else None
        vars(self)["target"] = ("" if target is None else str(target)) if names is None else names
        if names is not None and len(names) < 2:
            vars(self)["target"] = names[0] if names else ""
        if names and len(set(names)) < len(names):
            raise ValueError(f"target must name different columns, got {', '.join(names)}. Name each label once.")
        task = getattr(self, "task", None)
        if self.has_label_columns and task not in (None, MULTILABEL):
            raise ValueError(
                f"task must be {MULTILABEL} for the target {', '.join(names or ())}, got {task}. Leave it out."
            )
        if self.label_separator is None:
            return
        if len(WORDS.get(self.label_separator, self.label_separator)) > 1 or not self.label_separator:
            known = ", ".join(WORDS)
            raise ValueError(f"label_separator must be one sign, got {self.label_separator!r}. Or write {known}.")
        if self.has_label_columns or task not in (None, MULTILABEL):
            raise ValueError(
                f"label_separator must be left out, got {self.label_separator!r}: it separates labels within a cell of "
                f"one column, with data.task={MULTILABEL}. Leave it out."
            )

    def separator_in(self, cells: Sequence[str]) -> str:
        """Return the separator of labels within cells, as it is set or the first that occurs; ``""``: none does."""
        if self.label_separator is not None:
            return WORDS.get(self.label_separator, self.label_separator)
        found = "\n".join(set(cells))
        # A space also separates the words of a label.
        return next((sign for sign in SEPARATORS[:-1] if sign in found), "") or looks_like_sets(cells)

    def check_label_columns(self, frame: pd.DataFrame, path: str, has_sets: bool) -> None:
        """Check that the columns of the target exist and have no missing values; a row of several labels may have none.

        Args:
            frame: raw rows.
            path: of the rows, for messages.
            has_sets: whether rows may have several labels.
        """
        from lifecycle.data.columns import targets

        for name in self.target_columns:
            targets.check_name(list(frame.columns), path, "target", name)
            if not has_sets or self.has_label_columns:
                targets.check_columns(frame, path, {"target": name})

    def with_separator(self, frame: pd.DataFrame) -> Self:
        """Return a copy that says how the labels of rows are separated; see :meth:`separator_in`."""
        if self.has_label_columns or self.label_separator is not None or self.target_name not in frame.columns:
            return self
        separator = self.separator_in(texts(frame[self.target_name]))
        return replace(self, task=MULTILABEL, label_separator=word_of(separator))  # type: ignore[call-arg]

    def separator_like(self, other: Any) -> Self:
        """Return a copy that separates labels as the plugin of a trained model."""
        if not isinstance(other, SeveralLabels) or self.has_label_columns or other.label_separator is None:
            return self
        return replace(self, task=MULTILABEL, label_separator=other.label_separator)  # type: ignore[call-arg]

    def label_sets(self, frame: pd.DataFrame) -> Any:
        """Return the labels of raw rows, ``(rows,)`` texts; ``None``: the rows have no target.

        Raises:
            RequestError: a column of a label holds something else than 0 and 1; or a label has the sign ``|``.
        """
        columns = self.target_columns
        if self.has_label_columns and all(name in frame.columns for name in columns):
            return of_columns(frame, columns)
        if self.target_name not in frame.columns:
            return None
        cells = texts(frame[self.target_name])
        # Labels given in place of columns are written as predictions are.
        return of_cells(cells, JOIN if self.has_label_columns else self.separator_in(cells), self.target_name)


def check_one_label(plugin: Any, kind: str) -> None:
    """Check that the target of a data plugin without sets of labels is one column, and write it as a text.

    Args:
        plugin: with the fields ``target`` and ``task``.
        kind: its name, for the message.

    Raises:
        ValueError: names the field.
    """
    target: Any = plugin.target
    columns = list(target) if isinstance(target, Sequence) and not isinstance(target, str) else [target]
    remedy = f"Rows of data={kind} have one target: name one, or use data=table or data=images for several labels."
    if len(columns) > 1:
        raise ValueError(f"target must be one column, got [{','.join(map(str, columns))}]. {remedy}")
    plugin.target = str(columns[0]) if columns and columns[0] is not None else ""
    if plugin.task == MULTILABEL:
        raise ValueError(f"task must be classification or regression, got {MULTILABEL}. {remedy}")


def word_of(separator: str) -> str:
    """Return a separator as ``label_separator`` names it: ``"pipe"`` of ``"|"``."""
    return next((word for word, sign in WORDS.items() if sign == separator), separator)


def texts(column: pd.Series[Any]) -> list[str]:
    """Return the cells of a column of labels; a missing cell is empty."""
    return ["" if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]


def split(labels: Any) -> list[str]:
    """Return the labels of a set.

    >>> split("cat|dog"), split("")
    (['cat', 'dog'], [])
    """
    return [label for label in str(labels).split(JOIN) if label]


def joined(labels: Iterable[str]) -> str:
    """Return labels as a set.

    >>> joined(["dog", "cat", "dog"])
    'cat|dog'
    """
    return JOIN.join(sorted(set(labels)))


def of_cells(cells: Sequence[str], separator: str, name: str) -> np.ndarray[Any, Any]:
    """Return the set of labels of each cell, ``(rows,)``.

    Args:
        cells: texts.
        separator: between labels; ``""``: a cell is one label.
        name: of the column.

    Raises:
        RequestError: a label has the sign that joins labels.
    """
    import numpy as np

    known: dict[str, str] = {}
    for row, cell in enumerate(cells):
        if cell not in known:
            parts = [part.strip() for part in (cell.split(separator) if separator else [cell])]
            if any(JOIN in part for part in parts):
                problem = f"has a label with the sign {JOIN} in row {row}, which joins the labels of predictions"
                raise RequestError(Setting("data.target", name), problem, cell, "Rename the label.")
            known[cell] = joined(part for part in parts if part)
    return np.array([known[cell] for cell in cells], dtype=object)


def of_columns(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return the set of labels of each row, ``(rows,)``, from columns of 0 and 1.

    Raises:
        RequestError: a column holds something else, or has a name with the sign that joins labels.
    """
    import numpy as np

    held = []
    for name in names:
        if JOIN in name:
            problem = f"has the sign {JOIN}, which joins the labels of predictions"
            raise RequestError(Setting("data.target", name), problem, remedy="Rename the column with data.rename.")
        cells = [cell.strip().lower() for cell in texts(frame[name])]
        for row, (cell, value) in enumerate(zip(cells, frame[name], strict=True)):
            if cell not in YES and (cell not in NO or not cell):
                problem, got = (
                    "must hold 0 or 1 for each row where several columns are the target",
                    f"{value} in row {row}",
                )
                raise RequestError(Setting("data.target", name), problem, got, "Fix the row, or name one column.")
        held.append([cell in YES for cell in cells])
    return np.array(
        [joined(name for name, has in zip(names, row, strict=True) if has) for row in zip(*held, strict=True)],
        dtype=object,
    )


def check_known(sets: Iterable[Any], names: Sequence[str], name: str) -> None:
    """Check that all labels of rows are those of a model.

    Args:
        sets: ``(rows,)``.
        names: labels of the model.
        name: of the target, for the message.

    Raises:
        RequestError: a label is not.
    """
    known = set(names)
    for row, one in enumerate(sets):
        if unknown := [label for label in split(one) if label not in known]:
            problem = f"has {unknown[0]} in row {row}, which is no label of the model"
            raise RequestError(name, problem, remedy=f"Its labels: {', '.join(names)}.")


def as_columns(sets: Iterable[Any], names: Sequence[str]) -> dict[str, list[int]]:
    """Return a column of 0 and 1 for each label.

    >>> as_columns(["cat|dog", ""], ["dog", "cat"])
    {'dog': [1, 0], 'cat': [1, 0]}
    """
    held = [set(split(one)) for one in sets]
    return {name: [int(name in row) for row in held] for name in names}


def labels_in(sets: Iterable[Any]) -> list[str]:
    """Return the different labels of sets, sorted as classes are."""
    import numpy as np

    from lifecycle.data.columns.targets import classes

    return classes(np.array([label for one in set(sets) for label in split(one)], dtype=object))


def of_files(files: Iterable[Any], sets: Iterable[Any]) -> list[str]:
    """Return the labels of all rows of each file, in the order of their first rows.

    Args:
        files: ``(rows,)``, which may be repeated.
        sets: ``(rows,)`` sets of labels.
    """
    found: dict[Any, list[str]] = {}
    for file, one in zip(files, sets, strict=True):
        found.setdefault(file, []).extend(split(one))
    return [joined(labels) for labels in found.values()]


def described(plugin: SeveralLabels, configured: SeveralLabels, frame: pd.DataFrame) -> tuple[str, str]:
    """Return how the labels of rows are read: a title and a sentence for the report.

    Args:
        plugin: as it was resolved.
        configured: as it was configured.
        frame: the raw rows.
    """
    sets = plugin.label_sets(frame)
    held = [] if sets is None else list(map(split, sets))
    names = labels_in(joined(one) for one in held)
    if plugin.has_label_columns:
        how = "a column each"
    else:
        separator = plugin.label_separator
        how = (
            f"of {plugin.target_name}, one a cell"
            if separator == "none"
            else f"of {plugin.target_name}, separated by {separator}"
        )
    number = sum(map(len, held)) / max(1, len(held))
    text = f"{len(names)} labels {how}; {number:.2f} a row"
    if none := sum(not one for one in held):
        text += f"; {none} rows have none"
    if not plugin.has_label_columns and getattr(configured, "task", None) is None:
        text += "; data.task=classification reads each cell as one class"
    return "Labels", text


def strata(sets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the rarest label of each row, ``(rows,)``, by which rows are divided in proportion; "" of none."""
    import numpy as np

    counts: dict[str, int] = {}
    for one in sets:
        for label in split(one):
            counts[label] = counts.get(label, 0) + 1
    rarest = {one: min(split(one), key=lambda label: (counts[label], label), default="") for one in set(sets)}
    return np.array([rarest[one] for one in sets], dtype=object)


def looks_like_sets(cells: Sequence[str]) -> str:
    """Return the separator where cells are sets of labels rather than classes: its parts are fewer than the cells.

    A space separates words too, so that the parts must be fewer than half of the cells.

    >>> looks_like_sets(["cat", "dog", "cat|dog"]), looks_like_sets(["Paris, France", "Lyon, France"])
    ('|', '')
    >>> looks_like_sets(["1,5", "5,1", "1,1", "5,5"])
    ''
    """
    different = {cell for cell in cells if cell.strip()}
    if numbers.infer(list(different)) is not None:  # such as 1,5 and 2,25
        return ""
    for sign in SEPARATORS:
        parts = {part.strip() for cell in different for part in cell.split(sign)} - {""}
        if any(sign in cell.strip() for cell in different) and len(parts) * (2 if sign == " " else 1) < len(different):
            return sign
    return ""
