"""The data plugin ``table``: a row is a sample, its columns are features."""

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
from lifecycle.data.sources import files, test_file
from lifecycle.data.splits import ByColumns
from lifecycle.data.splits.rules import FILES
from lifecycle.errors import RequestError, Setting, Text, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.data.large.table import LargeTable

TASKS = ("classification", "regression")


@dataclass
class Table(Card, Renamed, ByColumns):
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
        return test_file.appended(self, frame, lambda path: self.renamed(files.read(path), path), self._named)

    @property
    def _named(self) -> dict[str, str]:
        """Field -> column, of the columns that are not features."""
        weight = {} if self.weight is None else {"weight": self.weight}
        return {"target": self.target, **weight, **self.columns_of_split}

    def check(self, frame: pd.DataFrame) -> None:
        """Check that all features are numbers or categories."""
        used = frame[self.feature_columns(list(frame.columns))]
        self.check_numbers(list(frame.columns), features.numeric(used))
        features.check(used, self.path)

    def large(self) -> LargeTable | None:
        """Return the raw rows where they are too many for a frame; ``None``: use :meth:`read`."""
        file = self.large_file()
        if file is None:
            return None
        from lifecycle.data.large import read

        return read.read(self, file)

    def large_file(self) -> Path | None:
        """Return the file where its rows are too many for a frame; its digest is then that of the rows."""
        if self.rule == FILES:
            return None
        return files.large_file(self.path, None if self.memory_gb is None else int(self.memory_gb * 1e9))

    def feature_columns(self, columns: list[str]) -> list[str]:
        """Return those of a file's columns that are features.

        Raises:
            RequestError: a column to drop does not exist, or none is left.
        """
        named = self._named.values()
        self._check_names(columns, "drop", "Columns to drop", [name for name in columns if name not in named])
        found = [name for name in columns if name not in named and name not in self.drop]
        if not found:
            problem = f"has no column other than {self.target} to learn from"
            raise RequestError(Setting("data.path", self.path), problem, remedy="Add features.")
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
            if name == self.target:
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
        """Return the target's name and task: numbers with fractions or many values are a regression."""
        return Target(self.target, self.task or targets.infer_task(frame[self.target]), self.scale_target)

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the features."""
        return [name for name in frame.columns if name not in self._named.values() and name not in self.drop]

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Return one sample for each row; zeros of ``missing_zeros`` are missing values in it."""
        import numpy as np
        import pandas as pd

        from lifecycle.data.columns import types

        labels = targets.labels_of(frame[self.target]) if self.target in frame.columns else None
        inputs = types.plain_frame(frame[self.columns(frame)])
        zeros = {name: pd.to_numeric(inputs[name], errors="coerce") == 0 for name in self.missing_zeros}
        inputs = inputs.assign(**{name: inputs[name].mask(zeros[name]) for name in zeros}) if zeros else inputs
        samples = Samples(inputs, labels, np.arange(len(frame)), weights=weights.column(self, frame))
        return self.with_split(samples, frame)

    def learn(self, inputs: pd.DataFrame, weights: np.ndarray[Any, Any] | None = None) -> Any:
        """Fit imputer, scaler and one-hot encoder to the training rows; weights count for the imputer and scaler."""
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        numeric = features.numeric(inputs)
        other = [name for name in inputs.columns if name not in numeric]
        steps = []
        if numeric:
            # A column without values in the training rows stays an input: validation rows may have some.
            fill = SimpleImputer(strategy="median", keep_empty_features=True)
            steps.append((NUMBERS, make_pipeline(fill, scaler(self.scaling)), numeric))
        if other:
            steps.append((CATEGORIES, OneHotEncoder(handle_unknown="ignore", sparse_output=False), other))
        transformer = ColumnTransformer(steps).fit(_plain(inputs, numeric))
        if numeric and weights is not None:
            _learn_by_weight(transformer.named_transformers_[NUMBERS], _plain(inputs[numeric], numeric), weights)
        return transformer

    def apply(self, transformer: Any, inputs: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return ``(rows, features) float32``.

        The transformer determines which columns are numbers, not the values of these rows.
        """
        import numpy as np

        plain = _plain(inputs, self.numbers(transformer, list(inputs.columns)), _categories(transformer))
        numbers = transformer.transform(plain)
        with np.errstate(over="ignore"):  # overflow in single precision becomes inf, which the caller refuses
            return np.asarray(numbers, dtype=np.float32)

    def encoder(self, transformer: Any, columns: Sequence[str]) -> RowEncoder:
        """Return a fast equivalent of :meth:`samples` and :meth:`apply` for rows of ordinary cells."""
        return RowEncoder(transformer, NUMBERS, CATEGORIES, self.missing_zeros)

    def numbers(self, transformer: Any, columns: Sequence[str]) -> list[str]:
        """Return the columns of numbers, as in the training rows."""
        return next((list(names) for step, _, names in transformer.transformers if step == NUMBERS), [])

    def unseen(self, transformer: Any, inputs: pd.DataFrame) -> dict[str, Counter[str | None]]:
        """Return column -> count of each category that no training row had; ``None`` is a missing value."""
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
        """Return the names of the inputs; that of a category is ``column_value``."""
        whole = [str(name) for name in transformer.get_feature_names_out()]  # numbers__width, categories__colour_red
        short = [name.partition("__")[2] for name in whole]
        # A column of numbers called colour_red next to a category red of colour: keep the prefixes.
        return tuple(short if len(set(short)) == len(short) else whole)


def _learn_by_weight(pipeline: Any, numbers: pd.DataFrame, of_rows: np.ndarray[Any, Any]) -> None:
    """Refit the imputer and the scaler with sample weights, which scikit-learn's ``SimpleImputer`` does not take."""
    import numpy as np

    fill, scaling = pipeline[0], pipeline[1]
    # Columns without gaps keep scikit-learn's median, so that weights of 1 change no bit.
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
    """Return column -> its categories in the training rows."""
    encoder = transformer.named_transformers_.get(CATEGORIES)
    names = next((list(names) for step, _, names in transformer.transformers if step == CATEGORIES), [])
    return {name: set(known) for name, known in zip(names, encoder.categories_, strict=True)} if names else {}


def _plain(inputs: pd.DataFrame, numeric: list[str], known: Mapping[str, set[str | None]] = {}) -> pd.DataFrame:
    """Return numbers as float64 and all else as texts, with None for missing ones.

    Args:
        inputs: features of any dtype.
        numeric: the columns of numbers.
        known: column -> its categories in the training rows.

    Raises:
        RequestError: a column of numbers contains something else.
    """
    import numpy as np
    import pandas as pd

    if set(inputs.columns) <= set(numeric) and all(_is_number(dtype) for dtype in inputs.dtypes):
        return _plain_numbers(inputs)
    plain = {}
    for name in inputs.columns:
        column = inputs[name]
        if name in numeric:
            # pd.to_numeric would turn times into nanoseconds since 1970.
            column = column.astype(object) if features.is_temporal(column.dtype) else column
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


def _is_number(dtype: Any) -> bool:
    """Return whether the values of a column are numbers or truth values as NumPy has them."""
    import numpy as np

    return isinstance(dtype, np.dtype) and dtype.kind in "biuf"


def _plain_numbers(inputs: pd.DataFrame) -> pd.DataFrame:
    """Return what :func:`_plain` does for columns of NumPy's numbers, in a tenth of the time."""
    import numpy as np
    import pandas as pd

    values = inputs.to_numpy("float64")
    endless = np.argwhere(np.isinf(values.T))  # by column
    if len(endless):
        column, row = endless[0]
        raise _no_number(inputs.columns[column], values[row, column], inputs.index[row])
    return pd.DataFrame(values, index=inputs.index, columns=inputs.columns)


def _no_number(name: str, got: Any, row: Any) -> RequestError:
    """Return the error of a value that is not a number."""
    return RequestError(f"column {name}", "holds numbers", f"{got} in row {row}", "Fix the value.")


def _texts(column: pd.Series[Any], known: set[str | None] | None = None) -> Any:
    """Return values as texts in the spelling of the training rows, missing ones as None."""
    import numpy as np
    import pandas as pd

    codes, different = _coded(column, known)
    texts = np.array([*different, None], dtype=object)[codes]  # -1, a missing one, is the last
    return pd.Series(texts, index=column.index, dtype=object)


def _coded(column: pd.Series[Any], known: set[str | None] | None) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Return the position of each row's value among the different texts, -1 where it is missing; and these texts."""
    import pandas as pd

    # str() for each row only where it is needed: texts of a file are a StringDtype already.
    if not isinstance(column.dtype, pd.StringDtype):
        column = column.map(str).astype(object).where(column.notna(), None)
    codes, found = pd.factorize(column)
    return codes, list(found) if known is None else [features.as_known(text, known) for text in found]
