"""The steps that turn the columns of a table into inputs: scikit-learn's transformers, fitted to the training rows."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lifecycle.data import scaling as scaling_of
from lifecycle.data.columns import weights
from lifecycle.data.columns.features import BOOLEANS, CATEGORIES, NUMBERS, ORDERED, TEXTS, TIMES
from lifecycle.data.columns.meaning import categories, dates
from lifecycle.data.columns.meaning.meaning import Meaning
from lifecycle.data.columns.remedies import drop_only
from lifecycle.data.columns.step_inputs import PART, Clean, Columns, Known, coded, plain
from lifecycle.data.scaling import scaler
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SCALED = (NUMBERS, BOOLEANS, ORDERED, TIMES)
"""Steps that begin with an imputer and end with a scaler."""

TEXT_FEATURES = 32
"""Inputs of a column of free text: components of the truncated singular value decomposition of its TF-IDF matrix."""

MOST_WORDS = 5000
"""Words that are counted, the most frequent ones of the training rows."""

WORD = r"(?u)\b\w+\b"
"""A word; scikit-learn's own pattern leaves out words of one letter."""


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


def word_counter() -> Any:
    """Return the unfitted step that counts the words of a column of free text."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(max_features=MOST_WORDS, token_pattern=WORD, sublinear_tf=True)


def no_words(name: str) -> RequestError:
    """Return the error of a column of texts of which no training row has a word."""
    problem = "is a column of texts, and no training row has a word"
    return RequestError(f"column {name}", problem, remedy=[drop_only(name), "."])


def _dense(texts: pd.Series[Any], scaling: str) -> Any:
    """Return the unfitted steps of a column of free text."""
    from sklearn.base import clone
    from sklearn.decomposition import TruncatedSVD
    from sklearn.pipeline import make_pipeline

    count = word_counter()
    try:
        counted = clone(count).fit_transform(texts)
    except ValueError as error:
        raise no_words(str(texts.name)) from error
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
        codes, texts = coded(inputs[name], known, columns.clean)
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
