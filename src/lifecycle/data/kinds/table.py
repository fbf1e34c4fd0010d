"""The kind ``table``: a row is a sample, its columns are features."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import in_range, one_of
from lifecycle.contract import Samples, Target
from lifecycle.data.columns import features, targets, weights
from lifecycle.data.columns.features import CATEGORIES, NUMBERS
from lifecycle.data.columns.names import Renamed
from lifecycle.data.encoder import RowEncoder
from lifecycle.data.kinds.card import Card
from lifecycle.data.scaling import SCALINGS, scaler
from lifecycle.data.sources import files
from lifecycle.data.splits import Shuffled
from lifecycle.errors import RequestError, Setting, Text, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.data.large.table import LargeTable

TASKS = ("classification", "regression")


@dataclass
class Table(Card, Renamed, Shuffled):
    """Rows of a table: numbers are scaled, categories one-hot.  CLI: data=table data.path=a.csv data.target=y."""

    sample_dim: ClassVar[int] = 1

    path: str = ""  # a CSV or Parquet file, sklearn:<name>, lifecycle:<file> or download:<name>
    target: str = ""  # column to predict
    task: str | None = None  # classification or regression; null: from the target's type
    weight: str | None = None  # column of how much each row counts in losses and scores; no feature. null: all the same
    drop: list[str] = field(default_factory=list)  # columns that are no features, such as an identifier
    missing_zeros: list[str] = field(default_factory=list)  # columns in which 0 stands for a missing value
    scaling: str = "standard"  # of numbers: standard (mean 0, deviation 1), minmax (0 to 1) or none
    scale_target: bool = True  # regression: train on the standardised target; scores are in its own units
    memory_gb: float | None = None  # most memory for rows, in 10^9 bytes; more stay on disk. null: half of what is free

    def __post_init__(self) -> None:
        super().__post_init__()
        targets.check_named(self)
        weights.check_field(self.weight, self.target)
        one_of(self, "task", TASKS)
        one_of(self, "scaling", SCALINGS)
        in_range(self, "memory_gb", above=0)

    def read(self) -> pd.DataFrame:
        """Return the raw rows."""
        frame = self.renamed(files.read(self.path), self.path)
        targets.check_columns(frame, self.path, self._named)
        self.check(frame)
        return frame

    @property
    def _named(self) -> dict[str, str]:
        """The columns that are no features, by field."""
        return {"target": self.target} if self.weight is None else {"target": self.target, "weight": self.weight}

    def check(self, frame: pd.DataFrame) -> None:
        """Refuse rows with features that cannot be learnt from as they are."""
        used = frame[self.feature_columns(list(frame.columns))]
        self.check_numbers(list(frame.columns), features.numeric(used))
        features.check(used, self.path)

    def large(self) -> LargeTable | None:
        """Return the raw rows where they are too many for a frame, which :meth:`read` would make; else ``None``."""
        file = self.large_file()
        if file is None:
            return None
        from lifecycle.data.large import read

        return read.read(self, file)

    def large_file(self) -> Path | None:
        """Return the file, where its rows are too many for a frame; then its digest is that of the rows."""
        return files.large_file(self.path, None if self.memory_gb is None else int(self.memory_gb * 1e9))

    def feature_columns(self, columns: list[str]) -> list[str]:
        """Return those of a file's columns that are features.

        Raises:
            RequestError: a column to drop is none, or nothing is left.
        """
        named = self._named.values()
        self._check_names(columns, "drop", "Columns to drop", [name for name in columns if name not in named])
        found = [name for name in columns if name not in named and name not in self.drop]
        if not found:
            problem = f"has no column other than {self.target} to learn from"
            raise RequestError(Setting("data.path", self.path), problem, remedy="Add features.")
        return found

    def check_numbers(self, columns: list[str], numbers: list[str]) -> None:
        """Refuse ``missing_zeros`` of what is none of the features that are numbers."""
        self._check_names(columns, "missing_zeros", "Columns of numbers", numbers)

    def _check_names(self, columns: list[str], key: str, what: str, fitting: list[str]) -> None:
        """Refuse a field that lists a column which does not fit it."""
        for name in getattr(self, key):
            if name in fitting:
                continue
            problem: Text = f"is no column of {self.path}"
            hint = did_you_mean(name, fitting) if name not in columns else ""
            if name == self.target:
                problem = "is the target"
            elif name == self.weight:
                problem = "is the weight of the rows"
            elif name in self.drop and key != "drop":
                problem = ["is dropped by ", Setting("data.drop")]
            elif name in columns:
                problem = "holds no numbers"
            remedy = f"{hint} {what}: {', '.join(map(str, fitting))}."
            raise RequestError(Setting(f"data.{key}", name), problem, remedy=remedy)

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target's name and task: numbers with fractions or many values are a regression."""
        return Target(self.target, self.task or targets.infer_task(frame[self.target]), self.scale_target)

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the features."""
        return [name for name in frame.columns if name not in self._named.values() and name not in self.drop]

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return one sample a row; zeros that stand for a missing value are missing in it."""
        import numpy as np
        import pandas as pd

        from lifecycle.data.columns import types

        labels = targets.labels_of(frame[self.target]) if self.target in frame.columns else None
        inputs = types.plain_frame(frame[self.columns(frame)])
        zeros = {name: pd.to_numeric(inputs[name], errors="coerce") == 0 for name in self.missing_zeros}
        inputs = inputs.assign(**{name: inputs[name].mask(zeros[name]) for name in zeros}) if zeros else inputs
        return Samples(inputs, labels, np.arange(len(frame)), weights=weights.column(self, frame))

    def learn(self, inputs: pd.DataFrame, weights: np.ndarray[Any, Any] | None = None) -> Any:
        """Fit scales, fill values and categories to the training rows, scales and fill values by their weights."""
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        numeric = features.numeric(inputs)
        other = [name for name in inputs.columns if name not in numeric]
        steps = []
        if numeric:
            fill = SimpleImputer(strategy="median", keep_empty_features=True)
            steps.append((NUMBERS, make_pipeline(fill, scaler(self.scaling)), numeric))
        if other:
            steps.append((CATEGORIES, OneHotEncoder(handle_unknown="ignore", sparse_output=False), other))
        transformer = ColumnTransformer(steps).fit(_plain(inputs, numeric))
        if numeric and weights is not None:
            _learn_by_weight(transformer.named_transformers_[NUMBERS], _plain(inputs[numeric], numeric), weights)
        return transformer

    def apply(self, transformer: Any, inputs: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return ``(rows, features) float32``. What is a number is as it was while learning, not as these rows look."""
        import numpy as np

        plain = _plain(inputs, self.numbers(transformer, list(inputs.columns)), _categories(transformer))
        numbers = transformer.transform(plain)
        with np.errstate(over="ignore"):  # what is too large for single precision is refused by those who asked
            return np.asarray(numbers, dtype=np.float32)

    def encoder(self, transformer: Any, columns: Sequence[str]) -> RowEncoder:
        """Return what makes of cells that need no care the same as :meth:`samples` and :meth:`apply`, in few steps."""
        return RowEncoder(transformer, NUMBERS, CATEGORIES, self.missing_zeros)

    def numbers(self, transformer: Any, columns: Sequence[str]) -> list[str]:
        """Return the columns that were numbers while learning."""
        return next((list(names) for step, _, names in transformer.transformers if step == NUMBERS), [])

    def unseen(self, transformer: Any, inputs: pd.DataFrame) -> dict[str, Counter[str | None]]:
        """Return how often columns have categories that no training row had; ``None`` stands for a missing one."""
        import numpy as np

        found = {}
        for name, known in _categories(transformer).items():
            codes, texts = _coded(inputs[name], known)
            counts = np.bincount(codes + 1, minlength=len(texts) + 1)  # the missing ones first
            pairs = zip([None, *texts], counts.tolist(), strict=True)
            if others := {text: count for text, count in pairs if count and text not in known}:
                found[name] = Counter(others)
        return found

    def feature_names(self, transformer: Any) -> tuple[str, ...]:
        """Return the columns' names, a category's as ``column_value``."""
        whole = [str(name) for name in transformer.get_feature_names_out()]  # numbers__width, categories__colour_red
        short = [name.partition("__")[2] for name in whole]
        return tuple(short if len(set(short)) == len(short) else whole)


def _learn_by_weight(pipeline: Any, numbers: pd.DataFrame, of_rows: np.ndarray[Any, Any]) -> None:
    """Give scikit-learn's objects what they learn from rows that count by their weights."""
    import numpy as np

    fill, scaling = pipeline[0], pipeline[1]
    present = numbers.notna().to_numpy()
    for place, (name, known) in enumerate(zip(numbers.columns, present.T, strict=True)):
        if known.any() and not known.all():
            fill.statistics_[place] = weights.median(numbers[name].to_numpy()[known], of_rows[known])
    filled = fill.transform(numbers)
    if "sample_weight" in inspect.signature(scaling.fit).parameters:
        scaling.fit(filled, sample_weight=of_rows)
    else:
        scaling.fit(np.asarray(filled))


def _categories(transformer: Any) -> dict[str, set[str | None]]:
    """Return the categories that each column of them had while learning."""
    encoder = transformer.named_transformers_.get(CATEGORIES)
    names = next((list(names) for step, _, names in transformer.transformers if step == CATEGORIES), [])
    return {name: set(known) for name, known in zip(names, encoder.categories_, strict=True)} if names else {}


def _plain(inputs: pd.DataFrame, numeric: list[str], known: Mapping[str, set[str | None]] = {}) -> pd.DataFrame:
    """Return numbers as float64 and all else as texts, missing ones as None, whatever file the rows came from."""
    import numpy as np
    import pandas as pd

    plain = {}
    for name in inputs.columns:
        column = inputs[name]
        if name in numeric:
            column = column.astype(object) if features.is_temporal(column.dtype) else column  # or pandas would count
            numbers = pd.to_numeric(column, errors="coerce")
            wrong = column[numbers.isna() & column.notna()]
            if len(wrong):
                raise _no_number(name, repr(wrong.iloc[0]), wrong.index[0])
            plain[name] = numbers.astype("float64")
            endless = np.flatnonzero(np.isinf(plain[name]))
            if len(endless):
                raise _no_number(name, plain[name].iloc[endless[0]], inputs.index[endless[0]])
        else:
            plain[name] = _texts(column, known.get(name))
    return pd.DataFrame(plain, index=inputs.index)


def _no_number(name: str, got: Any, row: Any) -> RequestError:
    return RequestError(f"column {name}", "holds numbers", f"{got} in row {row}", "Fix the value.")


def _texts(column: pd.Series[Any], known: set[str | None] | None = None) -> Any:
    """Return values as texts, those that are known as they are known, missing ones as None."""
    import numpy as np
    import pandas as pd

    codes, different = _coded(column, known)
    texts = np.array([*different, None], dtype=object)[codes]  # -1, a missing one, is the last
    return pd.Series(texts, index=column.index, dtype=object)


def _coded(column: pd.Series[Any], known: set[str | None] | None) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Return the different values as texts, each made but once, and the place of each row's among them, -1: none."""
    import pandas as pd

    if not isinstance(column.dtype, pd.StringDtype):
        column = column.map(str).astype(object).where(column.notna(), None)
    codes, found = pd.factorize(column)
    return codes, list(found) if known is None else [features.as_known(text, known) for text in found]
