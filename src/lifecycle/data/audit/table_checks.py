"""Checks of the columns of a table: identifiers, constants, copies, missing values, leaks of the target, drift."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.data.audit.findings import OF_IDENTIFIERS, Finding, named
from lifecycle.data.columns.meaning import categories
from lifecycle.data.columns.remedies import drop_only
from lifecycle.errors import Either, Text

AnyArray = np.ndarray[Any, Any]

LEAK = 0.98
"""A tree of one column that scores more predicts the target too well to be true."""

PROMISING = 0.9
"""Score of a column in bins below which no tree of it is fitted."""

BINS, LEAVES = 64, 256
FEWEST_HELD_OUT = 10
"""Held-out rows without which a perfect prediction may be luck."""
MOST_TREE_ROWS = 2000

FEWEST_IDENTIFIED = 20
"""In fewer rows, whole numbers that are all different are no sign of an identifier."""
IDENTIFIER = re.compile(
    r"(^|[^a-z])(id|ids|uuid|guid|index|idx|key|row|nr|no|number|unnamed: \d+)($|[^a-z])", re.IGNORECASE
)

SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Unit of times -> how many make a second."""
MOST_TEXTS = 1000
"""Texts whose words are counted, as those of free text are no identifiers."""

MUCH_MISSING = 0.2
"""Share of missing values from which a column is mentioned."""

SURE = 0.001
"""Probability of a false alarm about drift, of all columns together."""
DRIFT = 0.2
"""Smallest difference of two distributions that counts: Kolmogorov-Smirnov's D, or the total variation of shares."""
FEWEST_COMPARED = 10
MOST_CATEGORIES = 50


@dataclass(frozen=True)
class Column:
    """A feature of the rows that are looked at.

    Attributes:
        name: of the column.
        values: ``(rows,) float64`` numbers, times in seconds, or codes of categories; NaN where one is missing.
        is_number: whether they are numbers or times.
        is_whole: whether all numbers are whole; of categories and times ``False``.
        distinct: number of different values.
        levels: of categories the different values, in the order of their codes.
        share_missing: of all rows, where ``values`` are some of them; ``None``: these are all that is known.
        may_identify: whether each of all rows may have another value.
    """

    name: str
    values: AnyArray
    is_number: bool
    is_whole: bool
    distinct: int
    levels: tuple[Any, ...] = ()
    share_missing: float | None = None
    may_identify: bool = True

    @property
    def missing(self) -> float:
        """The share of missing values."""
        return float(np.isnan(self.values).mean()) if self.share_missing is None else self.share_missing


@dataclass(frozen=True)
class Whole:
    """What is known of all rows of a column of which some are looked at.

    Attributes:
        missing: share of missing values.
        varies: whether it has two different values or more.
        may_identify: whether each row may have another value.
    """

    missing: float
    varies: bool
    may_identify: bool


@dataclass(frozen=True)
class Sample:
    """Rows that are looked at.

    Attributes:
        columns: the features.
        labels: ``(rows,)`` classes, or values of a regression.
        parts: name of a part -> positions of its rows; those without rows are left out.
        is_regression: whether labels are values.
    """

    columns: Sequence[Column]
    labels: AnyArray
    parts: Mapping[str, AnyArray]
    is_regression: bool


def column_of(name: str, values: pd.Series[Any]) -> Column:
    """Return a column of a frame."""
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        present = numbers[~np.isnan(numbers)]
        return Column(name, numbers, True, bool((present == np.round(present)).all()), len(np.unique(present)))
    if values.dtype.kind in "mM":
        ticks = values.to_numpy().astype(np.int64)
        seconds = np.where(values.isna(), np.nan, ticks / SECOND[np.datetime_data(values.to_numpy().dtype)[0]])
        return Column(name, seconds, True, False, len(np.unique(ticks[~np.isnan(seconds)])))
    codes, levels = pd.factorize(values)
    is_text = categories.are_free_texts([str(text) for text in levels[:MOST_TEXTS]])  # which are seldom equal
    coded = np.where(codes < 0, np.nan, codes)
    return Column(name, coded, False, False, len(levels), tuple(levels), may_identify=not is_text)


def with_whole(column: Column, whole: Whole | None) -> Column:
    """Return a column of some rows with what is known of all of them."""
    if whole is None:
        return column
    # One that is constant, or empty, in these rows only.
    distinct = max(2, column.distinct) if whole.varies else column.distinct
    return replace(
        column, distinct=distinct, share_missing=whole.missing, may_identify=column.may_identify and whole.may_identify
    )


def checked(sample: Sample) -> list[Finding]:
    """Return the findings about the columns; a column is mentioned by the first check that finds it."""
    found: list[Finding] = []
    columns = list(sample.columns)
    for check in (empty, constant, copies, identifiers, leaks, missing, drift):
        some = check(sample, columns)
        found += some
        if check in (empty, constant, copies, identifiers):
            mentioned = {name for one in some for name in one.columns}
            columns = [column for column in columns if column.name not in mentioned]
    return found


def empty(sample: Sample, columns: Sequence[Column]) -> list[Finding]:
    """Find columns without values."""
    names = [column.name for column in columns if not column.distinct and column.missing == 1]
    return _dropped("empty", names, "no value in any row")


def constant(sample: Sample, columns: Sequence[Column]) -> list[Finding]:
    """Find columns with one value in all rows."""
    names = [column.name for column in columns if column.distinct == 1 and not column.missing and len(columns) > 1]
    return _dropped("constant", names, "the same value in all rows, from which nothing is learnt")


def copies(sample: Sample, columns: Sequence[Column]) -> list[Finding]:
    """Find columns that repeat another one: its values, or a name for each of its values."""
    of_values: dict[bytes, Column] = {}
    found: list[Finding] = []
    for column in columns:
        known = of_values.setdefault((column.values + 0.0).tobytes(), column)
        if known is column or column.distinct <= 2 or known.is_number != column.is_number:
            continue
        if known.levels == column.levels:
            what = f"{column.name}: the same values as {known.name}"
        elif 2 * column.distinct <= len(column.values):
            what = f"{column.name}: always the same value for a value of {known.name}, and the reverse"
        else:  # of two columns with another value in each row this says nothing
            continue
        found.append(Finding("copy", what, drop_only(column.name), (column.name,)))
    return found


def identifiers(sample: Sample, columns: Sequence[Column]) -> list[Finding]:
    """Find columns that number or name the rows."""
    names = [column.name for column in columns if _identifies(column)] if len(columns) > 1 else []
    return _dropped(OF_IDENTIFIERS, names, "another value in each row, as of an identifier")


def _identifies(column: Column) -> bool:
    rows = len(column.values)
    if (
        rows < FEWEST_IDENTIFIED
        or not column.may_identify
        or column.distinct < rows
        or (column.is_number and not column.is_whole)
    ):
        return False
    if not column.is_number or IDENTIFIER.search(column.name):
        return True
    # Also in a sample: its rows are in the order of the source.
    return bool((np.diff(column.values) > 0).all() or column.values.max() - column.values.min() == rows - 1)


def missing(sample: Sample, columns: Sequence[Column]) -> list[Finding]:
    """Find columns of which many values are missing."""
    shares = {column.name: column.missing for column in columns if column.missing >= MUCH_MISSING and column.distinct}
    listed = [f"{name} ({share:.0%})" for name, share in shares.items()]
    if not listed:
        return []
    what = f"{named(listed)}: missing values, which are filled"
    return [Finding("missing", what, [drop_only(*shares), " to do without"], tuple(shares))]


def leaks(sample: Sample, columns: Sequence[Column]) -> list[Finding]:
    """Find columns of which each alone predicts the target."""
    held_out = np.concatenate([[], *(rows for name, rows in sample.parts.items() if name != "train")]).astype(np.int64)
    train = sample.parts["train"]
    if len(held_out) < FEWEST_HELD_OUT:
        return []
    train, held_out = (rows[:: max(1, len(rows) // MOST_TREE_ROWS)] for rows in (train, held_out))
    labels = sample.labels if sample.is_regression else pd.factorize(sample.labels)[0]
    scores = {}
    for column in columns:
        if column.distinct > 1 and _promising(column, labels, train, sample.is_regression):
            score = _of_tree(column, labels, train, held_out, sample.is_regression)
            if score > LEAK:
                scores[column.name] = score
    measure = "R2" if sample.is_regression else "balanced accuracy"
    return [
        Finding(
            "leak",
            f"{name}: alone predicts the target of held-out rows ({measure} {score:.3f} of a tree), as a copy or a "
            "consequence of it",
            [drop_only(name), " unless it is known when predicting"],
            (name,),
        )
        for name, score in scores.items()
    ]


def _promising(column: Column, labels: AnyArray, rows: AnyArray, is_regression: bool) -> bool:
    """Return whether a column, in bins, predicts the target of the rows nearly as a copy does."""
    values, truth = np.nan_to_num(column.values[rows], nan=np.inf), labels[rows]
    if column.distinct > BINS:
        edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="lower")
        values = np.searchsorted(edges, values)
    bins = np.unique(values, return_inverse=True)[1]
    if is_regression:
        means = np.bincount(bins, truth) / np.maximum(np.bincount(bins), 1)
        spread = float(((truth - truth.mean()) ** 2).sum())
        return spread > 0 and 1 - float(((truth - means[bins]) ** 2).sum()) / spread > PROMISING
    counts = np.zeros((bins.max() + 1, truth.max() + 1))
    np.add.at(counts, (bins, truth), 1)
    sizes = counts.sum(axis=0)
    # Weighted by class, or the most frequent class alone would score the share that it has.
    weighed = counts / np.maximum(sizes, 1)
    return float(weighed.max(axis=1).sum()) / max(int((sizes > 0).sum()), 1) > PROMISING


def _of_tree(column: Column, labels: AnyArray, train: AnyArray, held_out: AnyArray, is_regression: bool) -> float:
    """Return the lower of two scores of a tree: of the rows that it is fitted to, and of the held-out ones."""
    from sklearn.metrics import balanced_accuracy_score, r2_score
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    inputs = column.values.reshape(-1, 1)
    if is_regression:
        tree = DecisionTreeRegressor(max_leaf_nodes=LEAVES, random_state=0)
        score: Callable[..., Any] = r2_score
    else:
        # Few leaves: a tree with one for each row knows all classes of the rows that it is fitted to.
        leaves = max(2 * (int(labels.max()) + 1), column.distinct if column.distinct <= MOST_CATEGORIES else 2)
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves, class_weight="balanced", random_state=0)
        score = balanced_accuracy_score
    tree.fit(inputs[train], labels[train])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class without rows in a part
        return min(float(score(labels[rows], tree.predict(inputs[rows]))) for rows in (train, held_out))


def drift(sample: Sample, columns: Sequence[Column]) -> list[Finding]:
    """Find columns whose values in validation or test rows differ from those in training rows."""
    train = sample.parts["train"]
    others = {name: rows for name, rows in sample.parts.items() if name != "train" and len(rows) >= FEWEST_COMPARED}
    tests = max(1, len(columns) * len(others))
    found: list[Finding] = []
    for part, rows in others.items():
        names = [
            column.name for column in columns if len(train) >= FEWEST_COMPARED and _drifts(column, train, rows, tests)
        ]
        if names:
            remedy: Text = Either("Add data.split=random if the rows are independent", "Shuffle the rows first")
            found.append(
                Finding(
                    "drift", f"{named(names)}: other values in {part} rows than in training rows", remedy, tuple(names)
                )
            )
    return found


def _drifts(column: Column, train: AnyArray, rows: AnyArray, tests: int) -> bool:
    one, other = column.values[train], column.values[rows]
    # Of missing values the share counts.
    if abs(np.isnan(one).mean() - np.isnan(other).mean()) > _bound(len(one), len(other), tests):
        return True
    one, other = one[~np.isnan(one)], other[~np.isnan(other)]
    if min(len(one), len(other)) < FEWEST_COMPARED:
        return False
    if column.is_number:
        return _distance(one, other) > _bound(len(one), len(other), tests)
    return _categories_drift(one, other, tests)


def _bound(one: int, other: int, tests: int) -> float:
    """Return Kolmogorov-Smirnov's bound of the distance of two samples of one distribution, and no less than DRIFT."""
    return max(DRIFT, float(np.sqrt(-np.log(SURE / tests / 2) / 2 * (one + other) / (one * other))))


def _distance(one: AnyArray, other: AnyArray) -> float:
    """Return the largest difference of two empirical distribution functions."""
    one, other = np.sort(one), np.sort(other)
    values = np.concatenate([one, other])
    shares = [np.searchsorted(sample, values, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def _categories_drift(one: AnyArray, other: AnyArray, tests: int) -> bool:
    """Return whether a chi-squared test finds that categories have other shares; rare ones count as one."""
    from scipy.special import chdtrc

    size = int(max(one.max(), other.max())) + 1
    counts = np.array(
        [np.bincount(sample.astype(np.int64), minlength=size) for sample in (one, other)], dtype=np.float64
    )
    expected = counts.sum(axis=0) * min(len(one), len(other)) / (len(one) + len(other))
    rare = expected < 5  # with fewer, the statistic is not that of the test
    counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2:
        return False
    shares = counts / counts.sum(axis=1, keepdims=True)
    if np.abs(shares[0] - shares[1]).sum() / 2 <= DRIFT:
        return False
    wanted = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    statistic = float(((counts - wanted) ** 2 / wanted).sum())
    return float(chdtrc(counts.shape[1] - 1, statistic)) < SURE / tests


def _dropped(check: str, names: list[str], what: str) -> list[Finding]:
    return [Finding(check, f"{named(names)}: {what}", drop_only(*names), tuple(names))] if names else []
