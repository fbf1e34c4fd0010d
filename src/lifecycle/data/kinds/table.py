"""The data plugin ``table``: a row is a sample, its columns are features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import in_range, one_of
from lifecycle.contract import MULTILABEL, Samples, Target
from lifecycle.data.columns import features, label_sets, targets, weights
from lifecycle.data.columns.features import CATEGORIES, NUMBERS
from lifecycle.data.columns.label_sets import SeveralLabels
from lifecycle.data.columns.meaning import categories
from lifecycle.data.columns.meaning.fields import Typed
from lifecycle.data.columns.meaning.meaning import NUMBER
from lifecycle.data.columns.names import Renamed
from lifecycle.data.encoder import RowEncoder
from lifecycle.data.formats.reading import Reading
from lifecycle.data.kinds.card import Card
from lifecycle.data.scaling import SCALINGS
from lifecycle.data.sources import files, test_file
from lifecycle.data.sources.source_fields import SourceFields
from lifecycle.data.splits import ByColumns
from lifecycle.data.splits.rules import FILES
from lifecycle.errors import RequestError, Setting, Text, did_you_mean
from lifecycle.runtime import team as teams

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    import pandas as pd

    from lifecycle.data.large.table import LargeTable

TASKS = ("classification", MULTILABEL, "regression")


@dataclass
class Table(Card, Reading, Renamed, ByColumns, SourceFields, SeveralLabels, Typed):
    """Rows of a table: numbers are scaled, categories one-hot.  CLI: data=table data.path=a.csv data.target=y."""

    sample_dim: ClassVar[int] = 1

    path: str = ""  # a file, folder or pattern, an address, a database, or sklearn:, openml: or hf:<name>; docs/data.md
    target: Any = ""  # column to predict, or a list of columns of 0 and 1, a label each
    task: str | None = None  # classification, multilabel or regression; null: from the target's type
    missing_target: str = targets.REFUSE  # rows without a value of the target: refuse the file, or drop these rows
    weight: str | None = None  # column of how much each row counts in losses and scores; no feature. null: all the same
    drop: list[str] = field(default_factory=list)  # columns that are no features, such as an identifier
    missing_zeros: list[str] = field(default_factory=list)  # columns in which 0 stands for a missing value
    scaling: str = "standard"  # of numbers: standard (mean 0, deviation 1), minmax (0 to 1) or none
    scale_target: bool = True  # regression: train on the standardised target; scores are in its own units
    memory_gb: float | None = None  # most memory for rows, in 10^9 bytes; more stay on disk. null: half of what is free

    def __post_init__(self) -> None:
        self.check_labels()
        super().__post_init__()
        targets.check_named(self)
        weights.check_field(self.weight, self.target_columns)
        one_of(self, "task", TASKS)
        one_of(self, "missing_target", (targets.REFUSE, targets.DROP))
        one_of(self, "scaling", SCALINGS)
        in_range(self, "memory_gb", above=0)
        self.check_types()

    def read(self) -> pd.DataFrame:
        """Return the raw rows, checked."""
        frame = self.raw()
        self._check_named(frame, self.path)
        if self.has_sets:
            self.check_label_columns(frame, self.path, has_sets=True)
        self.check(frame)
        return test_file.appended(self, frame, self.raw, self._check_named)

    def _check_named(self, frame: pd.DataFrame, path: str) -> None:
        """Check that fields name columns, of which none misses a value that is needed."""
        named = dict(self._others if self.has_sets else self._named)
        target = self.target_columns[0]
        if self.missing_target == targets.DROP and target in frame and frame[target].notna().any():
            named.pop("target", None)
        targets.check_columns(frame, path, named, self._as_sets(frame) or targets.LEAVING_OUT)

    @property
    def has_sets(self) -> bool:
        """Whether rows may have several labels."""
        return self.has_label_columns or self.task == MULTILABEL or self.label_separator is not None

    def raw(self, path: str | None = None) -> pd.DataFrame:
        """Return the raw rows as the source has them, with renamed columns.

        Args:
            path: of a separate file of test rows; ``None``: that of the data.
        """
        path = self.path if path is None else path
        return self.renamed(self.cleaned(files.read(path, self), path), path)

    def _as_sets(self, frame: pd.DataFrame) -> list[str | Setting]:
        """Return what reads the cells of the target as several labels, where they look like that."""
        if self.has_sets or self.task is not None or self.target not in frame.columns:
            return []
        column = frame[self.target]
        is_text = column.dtype.kind not in "biufcmM"
        found = is_text and label_sets.looks_like_sets(label_sets.texts(column))
        return [Setting("data.task", MULTILABEL), " to read several labels in a cell, or none"] if found else []

    @property
    def _others(self) -> dict[str, str]:
        """Field -> column, of the columns that are neither features nor the target."""
        weight = {} if self.weight is None else {"weight": self.weight}
        return {**weight, **self.columns_of_split}

    @property
    def _named(self) -> dict[str, str]:
        """Field -> column, of the columns that are not features, and of the first column of the target."""
        return {"target": self.target_columns[0], **self._others}

    @property
    def _not_features(self) -> set[str]:
        return {*self.target_columns, *self._others.values()}

    def check(self, frame: pd.DataFrame) -> None:
        """Check that the fields name columns of the rows."""
        used = frame[self.feature_columns(list(frame.columns))]
        self.check_typed([*used.columns, *self.target_columns])
        numeric = features.numeric(used)
        self.check_numbers(list(frame.columns), [*numeric, *self._numbers_as_texts(used, numeric)])
        features.check(used, numeric, self.path)

    def _numbers_as_texts(self, used: pd.DataFrame, numeric: list[str]) -> list[str]:
        """Return those columns of ``missing_zeros`` that hold numbers with units and the like."""
        from lifecycle.data.columns import types
        from lifecycle.data.columns.meaning import infer

        names = [name for name in self.missing_zeros if name in used.columns and name not in numeric]
        if not names:
            return []
        found = infer.infer(types.plain_frame(used[names]), self.meanings, self.hints)
        return [name for name in names if (one := found[name].meaning) is not None and one.kind == NUMBER]

    def resolved(self, frame: pd.DataFrame) -> Self:
        """Return a copy whose ``types`` are those that the training rows show.

        Raises:
            RequestError: a column cannot be used; names column, row and remedy.
        """
        from lifecycle.data.columns import types

        if self._found is not None:
            return self
        target = [self.target] if not self.has_sets and self.target in frame else []
        used = types.plain_frame(frame[[*self.feature_columns(list(frame.columns)), *target]])
        found = self.with_meanings(self.found_in(used, "" if self.has_sets else self.target))
        if not self.has_sets:
            return found
        separated = found.with_separator(frame)
        vars(separated)["_found"] = found._found
        return separated

    def resolved_like(self, other: Any) -> Self:
        """Return a copy that reads columns and labels as the plugin of a trained model."""
        return super().resolved_like(other).separator_like(other)

    def inferred(self, configured: Any, frame: pd.DataFrame) -> tuple[str, str] | None:
        """Return how several labels are read; ``None``: a row has one."""
        return label_sets.described(self, configured, frame) if self.has_sets else None

    def notes(self, frame: pd.DataFrame) -> list[Text]:
        """Return warnings about how columns are read."""
        notes: list[Text] = [note for one in (self._found or {}).values() for note in one.notes]
        if instead := self._as_sets(frame):
            notes.append([f"{self.target}: each cell is one class; add ", *instead])
        return notes

    def large(self) -> LargeTable | None:
        """Return the raw rows where they are too many for a frame; ``None``: use :meth:`read`."""
        if (team := teams.current()) is not None:
            from lifecycle.data.large import shards

            return shards.read(self, team)
        file = self.large_file()
        if file is None:
            return None
        from lifecycle.data.large import read

        return read.read(self, file)

    def large_file(self) -> Path | tuple[Path, ...] | None:
        """Return the file where its rows are too many for a frame; its digest is then that of the rows."""
        if self.rule == FILES or self.has_sets:
            return None
        return files.large_file(self.path, None if self.memory_gb is None else int(self.memory_gb * 1e9), self)

    def feature_columns(self, columns: list[str]) -> list[str]:
        """Return those of a file's columns that are features.

        Raises:
            RequestError: a column to drop does not exist, or none is left.
        """
        named = self._not_features
        self._check_names(columns, "drop", "Columns to drop", [name for name in columns if name not in named])
        left_out = {*self.drop, *self.typed_out}
        found = [name for name in columns if name not in named and name not in left_out]
        if not found:
            problem = f"has no column other than {', '.join(self.target_columns)} to learn from"
            remedy: Text = "Add features."
            if len(columns) == 1:
                remedy = ["Add features, or use ", Setting("data", "series"), " for values in order of time."]
            raise RequestError(Setting("data.path", self.path), problem, remedy=remedy)
        return found

    def check_numbers(self, columns: list[str], numbers: list[str]) -> None:
        """Check that ``missing_zeros`` lists features of numbers."""
        self._check_names(columns, "missing_zeros", "Columns of numbers", numbers)

    def _check_names(self, columns: list[str], key: str, what: str, fitting: list[str]) -> None:
        """Check that a field lists columns that it may contain.

        Args:
            columns: all columns of the file.
            key: the field.
            what: what the field lists, for the message.
            fitting: the columns that it may contain.
        """
        named = self.columns_of_split.values()
        for name in getattr(self, key):
            if name in fitting:
                continue
            problem: Text = f"is no column of {self.path}"
            hint = did_you_mean(name, fitting) if name not in columns else ""
            if name in self.target_columns:
                problem = "is the target"
            elif name == self.weight:
                problem = "is the weight of the rows"
            elif name in named:
                problem = "says how the rows are divided, and is no feature"
            elif name in self.drop and key != "drop":
                problem = ["is dropped by ", Setting("data.drop")]
            elif name in columns:
                problem = "holds no numbers"
            remedy = f"{hint} {what}: {', '.join(map(str, fitting))}."
            raise RequestError(Setting(f"data.{key}", name), problem, remedy=remedy)

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target's name and task: numbers with units, fractions or many values are a regression."""
        if self.has_sets:
            return Target(
                self.target_name, MULTILABEL, columns=tuple(self.target_columns) if self.has_label_columns else ()
            )
        return Target(self.target, self.task or self._task(frame), self.scale_target)

    def _task(self, frame: pd.DataFrame) -> str:
        meaning = self.meanings.get(self.target)
        if meaning is None:
            return targets.infer_task(frame[self.target])
        if meaning.kind != NUMBER:
            return "classification"
        # Amounts are values to predict, however few there are.
        return "regression" if meaning.unit or not meaning.decimal else targets.infer_task(self._target(frame))

    def _target(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """Return the target's column, as numbers where its texts are numbers and values are to be predicted."""
        from lifecycle.data.columns import types
        from lifecycle.data.columns.meaning import convert

        meaning = self.meanings.get(self.target)
        if meaning is None or meaning.kind != NUMBER or self.task == "classification":
            column: pd.Series[Any] = frame[self.target]
            return column
        return convert.converted(types.plain(frame[self.target]), meaning)

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the features."""
        left_out = {*self._not_features, *self.drop, *self.typed_out}
        return [name for name in frame.columns if name not in left_out]

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return one sample for each row; zeros of ``missing_zeros`` are missing values in it."""
        import numpy as np
        import pandas as pd

        from lifecycle.data.columns import types
        from lifecycle.data.columns.meaning import convert

        if self.has_sets:
            labels = self.label_sets(frame)
        else:
            labels = targets.labels_of(self._target(frame)) if self.target in frame.columns else None
        inputs = types.plain_frame(frame[self.columns(frame)])
        meanings = {name: meaning for name, meaning in self.meanings.items() if name in inputs.columns}
        if meanings:
            inputs = inputs.assign(**{name: convert.converted(inputs[name], meanings[name]) for name in meanings})
        zeros = {name: pd.to_numeric(inputs[name], errors="coerce") == 0 for name in self.missing_zeros}
        inputs = inputs.assign(**{name: inputs[name].mask(zeros[name]) for name in zeros}) if zeros else inputs
        samples = Samples(inputs, labels, np.arange(len(frame)), weights=weights.column(self, frame))
        return self.with_split(samples, frame)

    def learn(self, inputs: pd.DataFrame, weights: np.ndarray[Any, Any] | None = None) -> Any:
        """Fit the steps of each kind of column to the training rows; weights count for imputers and scalers."""
        from lifecycle.data import steps
        from lifecycle.data.columns.step_inputs import columns_of

        columns = columns_of(inputs, self.meanings, self._clean)
        return steps.learn(inputs, columns, self.scaling, self.rare, weights)

    @property
    def _clean(self) -> Callable[[str], str] | None:
        """How categories are spelled; ``None``: as they are, in models of versions without ``types``."""
        return None if self.types is None else partial(categories.cleaned, fold_case=self.fold_case)

    def apply(self, transformer: Any, inputs: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return ``(rows, features) float32``.

        The transformer determines which columns are numbers, not the values of these rows.
        """
        from lifecycle.data import steps

        return steps.apply(transformer, inputs, steps.columns_in(transformer, self.meanings, self._clean))

    def encoder(self, transformer: Any, columns: Sequence[str]) -> RowEncoder | None:
        """Return a fast equivalent of :meth:`samples` and :meth:`apply` for rows of ordinary cells; or ``None``."""
        plain = {step for step, _, _ in transformer.transformers} <= {NUMBERS, CATEGORIES}
        if not plain or any(name in columns for name in self.meanings) or self.rare is not None:
            return None
        return RowEncoder(transformer, NUMBERS, CATEGORIES, self.missing_zeros)

    def numbers(self, transformer: Any, columns: Sequence[str]) -> list[str]:
        """Return the columns of plain numbers, as in the training rows; those with units are texts to a reader."""
        meanings = self.meanings
        found = next((list(names) for step, _, names in transformer.transformers if step == NUMBERS), [])
        return [name for name in found if name not in meanings] if meanings else found

    def filled(self, transformer: Any) -> list[str]:
        """Return the columns whose missing values are filled: of numbers, truth values, orders and times."""
        from lifecycle.data import steps

        columns = steps.columns_in(transformer, self.meanings)
        return [*columns.numbers, *columns.booleans, *columns.ordered, *columns.times]

    def unseen(self, transformer: Any, inputs: pd.DataFrame) -> dict[str, Counter[str | None]]:
        """Return column -> count of each category that no training row had; ``None`` is a missing value."""
        from lifecycle.data import steps

        return steps.unseen(transformer, inputs, steps.columns_in(transformer, self.meanings, self._clean))

    def feature_names(self, transformer: Any) -> tuple[str, ...]:
        """Return the names of the inputs: ``width``, ``colour_red``, ``when_month_sin``, ``note_svd3``."""
        from lifecycle.data import steps

        return steps.feature_names(transformer)
