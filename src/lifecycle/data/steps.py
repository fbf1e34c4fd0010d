"""The steps that turn the columns of a table into inputs: scikit-learn's transformers, fitted to the training rows."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lifecycle.data import scaling as scaling_of
from lifecycle.data.columns import features, weights
from lifecycle.data.columns.features import BOOLEANS, CATEGORIES, NUMBERS, ORDERED, TEXTS, TIMES
from lifecycle.data.columns.meaning import categories, dates
from lifecycle.data.columns.meaning import meaning as kinds
from lifecycle.data.columns.meaning.meaning import Meaning
from lifecycle.data.scaling import scaler
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PART = "\t"
"""Between a column and a part of its times, in the names of columns that a step takes; names of files have none."""

SCALED = (NUMBERS, BOOLEANS, ORDERED, TIMES)
"""Steps that begin with an imputer and end with a scaler."""

TEXT_FEATURES = 32
"""Inputs of a column of free text: components of the truncated singular value decomposition of its TF-IDF matrix."""

MOST_WORDS = 5000
"""Words that are counted, the most frequent ones of the training rows."""

WORD = r"(?u)\b\w+\b"
"""A word; scikit-learn's own pattern leaves out words of one letter."""

Known = set[str | None]
Clean = Callable[[str], str]


@dataclass(frozen=True)
class Columns:
    """The columns that each step takes.

    Attributes:
        numbers: plain numbers, and numbers with units.
        booleans: truth values that are written in words.
        ordered: column -> its categories, the lowest first.
        times: columns of times.
        texts: columns of free text.
        categories: all others.
        clean: changes the spelling of a category, such as the spaces around it.
    """

    numbers: list[str]
    booleans: list[str] = field(default_factory=list)
    ordered: dict[str, tuple[str, ...]] = field(default_factory=dict)
    times: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    clean: Clean | None = None


def columns_of(inputs: pd.DataFrame, meanings: Mapping[str, Meaning], clean: Clean | None = None) -> Columns:
    """Return which step each column of training rows belongs to.

    Args:
        inputs: as :func:`lifecycle.data.columns.meaning.convert.converted` returns columns.
        meanings: of columns that are more than plain numbers or categories.
        clean: see :class:`Columns`.
    """
    kind = {name: meanings[name].kind if name in meanings else "" for name in inputs.columns}
    rest = [name for name in inputs.columns if kind[name] in ("", kinds.NUMBER, kinds.CATEGORY)]
    numeric = [name for name in features.numeric(inputs[rest]) if kind[name] != kinds.CATEGORY]

    def of_kind(wanted: str) -> list[str]:
        return [name for name in inputs.columns if kind[name] == wanted]

    return Columns(
        numbers=numeric,
        booleans=of_kind(kinds.BOOLEAN),
        ordered={name: meanings[name].order for name in of_kind(kinds.ORDERED)},
        times=of_kind(kinds.TIME),
        texts=of_kind(kinds.TEXT),
        categories=[name for name in rest if name not in numeric],
        clean=clean,
    )


def columns_in(transformer: Any, meanings: Mapping[str, Meaning], clean: Clean | None = None) -> Columns:
    """Return which step each column belongs to, by a fitted transformer."""
    steps = {step: names for step, _, names in transformer.transformers}
    return Columns(
        numbers=list(steps.get(NUMBERS, [])),
        booleans=list(steps.get(BOOLEANS, [])),
        ordered={name: meanings[name].order for name in steps.get(ORDERED, [])},
        times=list(dict.fromkeys(name.rpartition(PART)[0] for name in steps.get(TIMES, []))),
        texts=[str(names) for step, names in steps.items() if step.startswith(TEXTS)],
        categories=list(steps.get(CATEGORIES, [])),
        clean=clean,
    )


def learn(
    inputs: pd.DataFrame,
    columns: Columns,
    scaling: str,
    rare: float | None = None,
    of_rows: np.ndarray[Any, Any] | None = None,
    parts: list[str] | None = None,
) -> Any:
    """Fit a ``ColumnTransformer`` to training rows.

    Args:
        inputs: of the training rows.
        columns: which step each belongs to.
        scaling: of numbers.
        rare: rows, or below 1 a share of them, that a category needs; ``None``: each is one of its own.
        of_rows: ``(rows,)`` sample weights, for imputers and scalers.
        parts: of the times to learn from; ``None``: those that vary in these rows.

    Raises:
        RequestError: a column of texts has no word.
    """
    from sklearn.compose import ColumnTransformer

    frame = plain(inputs, columns)
    if rare is not None:
        frame = frame.assign(**{name: _with_rare(frame[name], rare) for name in columns.categories})
    parts = _varying_parts(frame, columns.times) if parts is None else parts
    of_steps = {
        NUMBERS: columns.numbers,
        CATEGORIES: columns.categories,
        BOOLEANS: columns.booleans,
        ORDERED: list(columns.ordered),
        TIMES: parts,
    }
    steps: list[tuple[str, Any, Any]] = [
        (step, _unfitted(step, scaling), names) for step, names in of_steps.items() if names
    ]
    steps += [(f"{TEXTS}{place}", _dense(frame[name], scaling), name) for place, name in enumerate(columns.texts)]
    transformer = ColumnTransformer(steps).fit(frame)
    named = transformer.named_transformers_
    for place, _ in enumerate(columns.texts):
        scaling_of.spread_evenly(named[f"{TEXTS}{place}"][-1])
    if parts:
        set_origin(named[TIMES], parts, frame[parts].min().to_numpy())
        _fit_scaler(named[TIMES], frame[parts], None)
    if of_rows is not None:
        for step, _, names in steps:
            if step in SCALED:
                _learn_by_weight(named[step], frame[names], of_rows)
    return transformer


def scaled_in(transformer: Any) -> dict[str, list[str]]:
    """Return the steps that fill and scale numbers, and the columns of each."""
    return {step: list(names) for step, _, names in transformer.transformers if step in SCALED}


def set_origin(pipeline: Any, parts: Sequence[str], first: np.ndarray[Any, Any]) -> None:
    """Have days counted from the first training row.

    Args:
        pipeline: of times; its scaler has to be fitted afterwards.
        parts: the names of its columns.
        first: ``(columns,)`` the least value of each in the training rows, NaN where all are missing.
    """
    import numpy as np

    are_days = np.array([name.endswith(f"{PART}{dates.ELAPSED}") for name in parts])
    pipeline[1].mean_ = np.where(are_days, np.nan_to_num(first), 0.0)


def _unfitted(step: str, scaling: str) -> Any:
    """Return the transformer of a step."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if step == CATEGORIES:
        return OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    # A column without values in the training rows stays an input: validation rows may have some.
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    shift = [StandardScaler(with_std=False)] if step == TIMES else []
    return make_pipeline(fill, *shift, scaler(scaling))


def _dense(texts: pd.Series[Any], scaling: str) -> Any:
    """Return the unfitted steps of a column of free text."""
    from sklearn.base import clone
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    count = TfidfVectorizer(max_features=MOST_WORDS, token_pattern=WORD, sublinear_tf=True)
    try:
        counted = clone(count).fit_transform(texts)
    except ValueError as error:
        problem = "is a column of texts, and no training row has a word"
        raise RequestError(f"column {texts.name}", problem, remedy=f"Add data.drop=[{texts.name}].") from error
    return make_pipeline(count, TruncatedSVD(min(TEXT_FEATURES, *counted.shape), random_state=0), scaler(scaling))


def _varying_parts(frame: pd.DataFrame, times: Sequence[str]) -> list[str]:
    found = []
    for name in times:
        parts = {part: frame[f"{name}{PART}{part}"].to_numpy() for part in dates.PARTS}
        found += [f"{name}{PART}{part}" for part in dates.varying(parts)]
    return found


def _with_rare(column: pd.Series[Any], least: float) -> pd.Series[Any]:
    counts = column.value_counts(dropna=False)
    pairs = [(text if isinstance(text, str) else None, count) for text, count in counts.items()]
    rare = categories.rare(pairs, least)
    return column.mask(column.isin(rare), categories.RARE) if rare else column


def _learn_by_weight(pipeline: Any, numbers: pd.DataFrame, of_rows: np.ndarray[Any, Any]) -> None:
    """Refit the imputer and the scaler with sample weights, which scikit-learn's ``SimpleImputer`` does not take."""
    fill = pipeline[0]
    # Columns without gaps keep scikit-learn's median, so that weights of 1 change no bit.
    present = numbers.notna().to_numpy()
    for place, (name, known) in enumerate(zip(numbers.columns, present.T, strict=True)):
        if known.any() and not known.all():
            fill.statistics_[place] = weights.median(numbers[name].to_numpy()[known], of_rows[known])
    _fit_scaler(pipeline, numbers, of_rows)


def _fit_scaler(pipeline: Any, numbers: pd.DataFrame, of_rows: np.ndarray[Any, Any] | None) -> None:
    """Fit the last step of a pipeline to what the fitted steps before it return."""
    import numpy as np

    filled, last = pipeline[:-1].transform(numbers), pipeline[-1]
    if of_rows is not None and "sample_weight" in inspect.signature(last.fit).parameters:
        last.fit(filled, sample_weight=of_rows)
    else:
        last.fit(np.asarray(filled) if of_rows is not None else filled)


def apply(transformer: Any, inputs: pd.DataFrame, columns: Columns) -> np.ndarray[Any, Any]:
    """Return ``(rows, features) float32``.

    The transformer determines which columns are numbers, not the values of these rows.
    """
    import numpy as np

    numbers = transformer.transform(plain(inputs, columns, known_categories(transformer)))
    with np.errstate(over="ignore"):  # overflow in single precision becomes inf, which the caller refuses
        return np.asarray(numbers, dtype=np.float32)


def feature_names(transformer: Any) -> tuple[str, ...]:
    """Return the names of the inputs: ``width``, ``colour_red``, ``when_month_sin``, ``note_svd3``."""
    names = list(transformer.get_feature_names_out())  # numbers__width, categories__colour_red
    for step, _, column in transformer.transformers:
        if step.startswith(TEXTS):
            of_step = range(*transformer.output_indices_[step].indices(len(names)))
            for number, place in enumerate(of_step):
                names[place] = f"{step}__{column}_svd{number}"
    whole = [str(name).replace(PART, "_") for name in names]
    short = [name.partition("__")[2] for name in whole]
    # A column of numbers called colour_red next to a category red of colour: keep the prefixes.
    return tuple(short if len(set(short)) == len(short) else whole)


def unseen(transformer: Any, inputs: pd.DataFrame, columns: Columns) -> dict[str, Counter[str | None]]:
    """Return column -> count of each category that no training row had; ``None`` is a missing value."""
    import numpy as np

    found = {}
    known_of = known_categories(transformer) | {name: set(order) for name, order in columns.ordered.items()}
    for name, known in known_of.items():
        if categories.RARE in known:
            continue  # encoded as a rare category, which the training rows had
        codes, texts = _coded(inputs[name], known, columns.clean)
        counts = np.bincount(codes + 1, minlength=len(texts) + 1)  # the missing ones first
        pairs = zip([None, *texts], counts.tolist(), strict=True)
        is_filled = name in columns.ordered
        others: Counter[str | None] = Counter()
        for text, count in pairs:
            if count and text not in known and not (text is None and is_filled):
                others[text] += count
        if others:
            found[name] = others
    return found


def known_categories(transformer: Any) -> dict[str, Known]:
    """Return column -> its categories in the training rows."""
    encoder = transformer.named_transformers_.get(CATEGORIES)
    names = next((list(names) for step, _, names in transformer.transformers if step == CATEGORIES), [])
    return {name: set(known) for name, known in zip(names, encoder.categories_, strict=True)} if names else {}


def plain(inputs: pd.DataFrame, columns: Columns, known: Mapping[str, Known] = {}) -> pd.DataFrame:
    """Return numbers as float64, parts of times as columns, and all else as texts, with None for missing ones.

    Args:
        inputs: features of any dtype.
        columns: which step each belongs to.
        known: column -> its categories in the training rows.

    Raises:
        RequestError: a column of numbers contains something else.
    """
    import pandas as pd

    numeric = [*columns.numbers, *columns.booleans]
    if set(inputs.columns) <= set(numeric) and all(_is_number(dtype) for dtype in inputs.dtypes):
        return _plain_numbers(inputs)
    found: dict[str, Any] = {}
    for name in inputs.columns:
        column = inputs[name]
        if name in numeric:
            found[name] = _numbers(column)
        elif name in columns.ordered:
            found[name] = _places(column, columns.ordered[name])
        elif name in columns.times:
            parts = dates.expand(column.to_numpy(dtype="datetime64[us]"))
            found |= {f"{name}{PART}{part}": values for part, values in parts.items()}
        elif name in columns.texts:
            found[name] = column.astype(object).where(column.notna(), "").map(str)
        else:
            found[name] = _texts(column, known.get(name), columns.clean)
    return pd.DataFrame(found, index=inputs.index)


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    # pd.to_numeric would turn times into nanoseconds since 1970.
    column = column.astype(object) if features.is_temporal(column.dtype) else column
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[numbers.isna() & column.notna()]
    if len(wrong):
        raise _no_number(str(column.name), repr(wrong.iloc[0]), wrong.index[0])
    found = numbers.astype("float64")
    endless = np.flatnonzero(np.isinf(found))
    if len(endless):
        raise _no_number(str(column.name), found.iloc[endless[0]], column.index[endless[0]])
    return found


def _places(column: pd.Series[Any], order: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return the place of each category in its order, ``(rows,) float64``, NaN where it is missing or unknown."""
    import numpy as np

    codes, texts = _coded(column, set(order), str.strip)
    places = {text: place for place, text in enumerate(order)}
    return np.asarray(np.array([*(places.get(text, np.nan) for text in texts), np.nan])[codes])


def _is_number(dtype: Any) -> bool:
    """Return whether the values of a column are numbers or truth values as NumPy has them."""
    import numpy as np

    return isinstance(dtype, np.dtype) and dtype.kind in "biuf"


def _plain_numbers(inputs: pd.DataFrame) -> pd.DataFrame:
    """Return what :func:`plain` does for columns of NumPy's numbers, in a tenth of the time."""
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


def _texts(column: pd.Series[Any], known: Known | None, clean: Clean | None) -> pd.Series[Any]:
    """Return values as texts in the spelling of the training rows, missing ones as None."""
    import numpy as np
    import pandas as pd

    codes, different = _coded(column, known, clean)
    if known is not None and categories.RARE in known:
        different = [text if text in known else categories.RARE for text in different]
    texts = np.array([*different, None], dtype=object)[codes]  # -1, a missing one, is the last
    return pd.Series(texts, index=column.index, dtype=object)


def _coded(column: pd.Series[Any], known: Known | None, clean: Clean | None) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Return the position of each row's value among texts, -1 where it is missing; and these texts."""
    import pandas as pd

    # str() for each row only where it is needed: texts of a file are a StringDtype already.
    if not isinstance(column.dtype, pd.StringDtype):
        column = column.map(str).astype(object).where(column.notna(), None)
    codes, found = pd.factorize(column)
    texts = list(found)
    if known is not None:
        texts = [features.as_known(text, known) for text in texts]
    if clean is not None:
        texts = [text if known and text in known else clean(text) for text in texts]
    return codes, texts if known is None or clean is None else [features.as_known(text, known) for text in texts]
