"""A table too large for a frame: its columns in single precision, its target, and what each is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from lifecycle.contract import DataPlugin
from lifecycle.data.columns import targets
from lifecycle.data.columns.kinds import CATEGORY, DROPPED, NUMBER, TARGET, WEIGHT
from lifecycle.data.large.blocks import Blocks
from lifecycle.data.large.codes import MOST_TEXTS, Codes
from lifecycle.errors import RequestError, Setting, Text

Array = np.ndarray[Any, Any]

ROWS_AT_ONCE = 2**20


class TableFields(DataPlugin, Protocol):
    """What is used of :class:`lifecycle.data.kinds.table.Table`."""

    path: str
    target: str
    task: str | None
    weight: str | None
    scale_target: bool
    missing_zeros: list[str]
    memory_gb: float | None

    def feature_columns(self, columns: list[str]) -> list[str]:
        """Return the columns that a network learns from."""
        ...

    def check_numbers(self, columns: list[str], numbers: list[str]) -> None:
        """Refuse fields that name columns which are no numbers."""
        ...


@dataclass
class LargeTable:
    """The columns of a large table.

    Attributes:
        plugin: the fields that say how it is read.
        most: bytes of rows that may be in memory.
        names: all columns.
        features: those that a network learns from.
        blocks: the features, in that order; of a category its codes, NaN where it is missing.
        codes: what the codes of each category mean.
        target: ``(rows,)`` values, or the places of the texts in ``classes``.
        classes: the texts of the target, where it is one of texts.
        missing: values that each feature lacks.
        digest: SHA-256 of the file.
        weights: ``(rows,) float64`` of the column of weights; ``None``: there is none.
        notes: of columns whose whole numbers are rounded, what a person must know.
    """

    plugin: TableFields
    most: int
    names: list[str]
    features: list[str]
    blocks: Blocks
    codes: dict[str, Codes]
    target: Array
    classes: Array | None
    missing: dict[str, int]
    digest: str
    weights: Array | None = None
    notes: dict[str, Text] = field(default_factory=dict)

    def rounded(self, task: str) -> list[Text]:
        """Return the notes that matter: labels of a classification are not rounded."""
        return [note for name, note in self.notes.items() if name != self.plugin.target or task == "regression"]

    @property
    def numbers(self) -> list[str]:
        """The features that are numbers."""
        return [name for name in self.features if name not in self.codes]

    @property
    def column_kinds(self) -> dict[str, str]:
        """What each column is taken for; see :func:`lifecycle.data.columns.kinds.column_kinds`."""
        kinds = dict.fromkeys(self.names, DROPPED) | dict.fromkeys(self.features, NUMBER)
        for name, codes in self.codes.items():
            values = len(codes.texts)
            kinds[name] = f"{CATEGORY} ({values} value{'s' if values != 1 else ''})"
        return kinds | {self.plugin.target: TARGET, **({self.plugin.weight: WEIGHT} if self.plugin.weight else {})}

    @property
    def task(self) -> str:
        """The task that the target sets; see :func:`lifecycle.data.columns.targets.infer_task`."""
        if self.classes is not None or self.target.dtype.kind == "b":
            return "classification"
        whole = all(np.isfinite(some).all() and (some == np.round(some)).all() for some in self._target_in_parts())
        return "classification" if whole and self._distinct(targets.MOST_CLASSES) is not None else "regression"

    def _target_in_parts(self) -> list[Array]:
        return [self.target[start : start + ROWS_AT_ONCE] for start in range(0, len(self.target), ROWS_AT_ONCE)]

    def _distinct(self, most: int) -> Array | None:
        """Return the different values of the target, sorted, if they are no more than so many."""
        found = self.target[:0]
        for some in self._target_in_parts():
            found = np.unique(np.concatenate([found, some]))
            if len(found) > most:
                return None
        return found

    def labels(self) -> tuple[Array, Array]:
        """Return the classes as texts, sorted as texts, and the place of each row's among them, ``(rows,) int32``.

        Raises:
            RequestError: there are too many.
        """
        values = np.arange(len(self.classes)) if self.classes is not None else self._distinct(MOST_TEXTS)
        if values is None:
            raise too_many_classes(self.plugin.target)
        texts = np.array([str(value) for value in (values if self.classes is None else self.classes)], dtype=object)
        order = np.argsort(texts, kind="stable")
        places = np.argsort(order).astype(np.int32)
        codes = np.empty(len(self.target), dtype=np.int32)
        for start, some in zip(range(0, len(codes), ROWS_AT_ONCE), self._target_in_parts(), strict=True):
            codes[start : start + len(some)] = places[np.searchsorted(values, some)]
        return texts[order], codes


def too_many_classes(name: str) -> RequestError:
    """Return the refusal of a target with more values than a network could have outputs."""
    return RequestError(
        Setting("data.target", name),
        f"has more than {MOST_TEXTS} different values, which are too many for classes",
        remedy=["Name another column, or add ", Setting("data.task", "regression"), " if these are numbers."],
    )
