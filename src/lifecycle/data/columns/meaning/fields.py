"""The fields of a table that say what its columns mean; the types of all others are inferred from the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import in_range
from lifecycle.data.columns.meaning.meaning import DROP, Meaning, of_types
from lifecycle.errors import RequestError, Setting, did_you_mean

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd

    from lifecycle.data.columns.meaning.infer import Found, Hints


@dataclass
class Typed:
    """The fields. In a resolved plugin, ``types`` has each column that is more than plain numbers or categories."""

    types: Any = None  # what columns mean: {zip: category, when: time, note: text, size: [S, M, L]}; null: inferred
    fold_case: bool = False  # categories that differ in capitals only are one
    rare: float | None = None  # categories in fewer training rows, or below 1 a share of them, are one. null: none

    _found: ClassVar[Any] = None  # what was found of each column, in a resolved plugin; not saved

    def check_types(self) -> None:
        """Check the fields.

        Raises:
            ValueError: names the field.
        """
        of_types(self.types)
        in_range(self, "rare", above=0)

    @property
    def meanings(self) -> dict[str, Meaning]:
        """Column -> meaning, of columns whose meaning is declared or was found."""
        return of_types(self.types)

    @property
    def typed_out(self) -> list[str]:
        """Columns that are no features by their declared type."""
        return [name for name, meaning in self.meanings.items() if meaning.kind == DROP]

    @property
    def hints(self) -> Hints:
        """What the fields say of all columns."""
        from lifecycle.data.columns.meaning.infer import Hints

        decimal, thousands = (getattr(self, name, None) or "" for name in ("decimal", "thousands"))
        decimal, thousands = (text if len(text) == 1 else "" for text in (decimal, thousands))  # auto: inferred
        are_classes = getattr(self, "task", "classification") not in (None, "regression")
        missing = tuple(getattr(self, "missing", ()))
        path = str(getattr(self, "path", ""))
        return Hints(decimal, thousands, self.fold_case, path, missing=missing, are_classes=are_classes)

    def with_meanings(self, found: dict[str, Found]) -> Self:
        """Return a copy in which the types that were found are set."""
        types = dict(self.types or {}) | {
            name: one.meaning.plain for name, one in found.items() if one.meaning is not None
        }
        copy = replace(self, types=types)
        vars(copy)["_found"] = found  # no field, since it is not saved
        return copy

    def resolved_like(self, other: Any) -> Self:
        """Return a copy that reads columns as the plugin of a trained model."""
        if not isinstance(other, Typed):
            return self
        return replace(self, types=other.types, fold_case=other.fold_case, rare=other.rare)

    def found_in(self, used: pd.DataFrame, target: str) -> dict[str, Found]:
        """Return what columns mean.

        Args:
            used: features and target.
            target: the name of the column that is predicted.

        Raises:
            RequestError: a column that is typed does not exist, or a column cannot be used.
        """
        from lifecycle.data.columns.meaning.infer import infer

        self.check_typed(list(used.columns))
        return infer(used, self.meanings, self.hints, target)

    def check_typed(self, columns: Sequence[str]) -> None:
        """Check that the columns that are typed exist."""
        for name, meaning in self.meanings.items():
            if name not in columns and meaning.kind != DROP:
                raise RequestError(
                    [Setting("data.types"), f"={{{name}: ...}}"],
                    f"is no feature of {self.hints.path}",
                    remedy=f"{did_you_mean(name, columns)} Columns: {', '.join(map(str, columns))}.",
                )
