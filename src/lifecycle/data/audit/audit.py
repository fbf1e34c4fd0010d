"""The audit of a data set before training: one pass over its rows, or over a sample of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.contract import MULTILABEL, DataPlugin, Samples, Split, Target
from lifecycle.data.audit import table_checks, totals
from lifecycle.data.audit.findings import Audit, Finding, named
from lifecycle.data.columns import label_sets
from lifecycle.data.columns.meaning import categories
from lifecycle.data.splits import RANDOM, Shuffled, duplicates
from lifecycle.data.splits.duplicates import SINGLE, sets_of
from lifecycle.data.splits.rules import NONE, STRATIFIED
from lifecycle.errors import Either, Text

AnyArray = np.ndarray[Any, Any]

MOST_ROWS = 10_000
"""Rows of each part that are looked at."""

ROWS_AT_ONCE = 2**20
"""Values of a target that are compared together, which bounds the memory."""

MOST_COLUMNS = 1000
"""Columns that are looked at."""

FEW_ROWS = 10
"""A class with fewer rows is mentioned."""

FAR = 10.0
"""Distance of an outlier from the median, in standard deviations as the interquartile range gives them."""

NORMAL_RANGE = 1.349
"""Interquartile range of a normal distribution, in standard deviations."""


def audit_of(plugin: DataPlugin, samples: Samples, labels: AnyArray, split: Split, target: Target) -> Audit:
    """Return what is to be known of rows in memory.

    Args:
        plugin: that read them.
        samples: before any preprocessing.
        labels: ``(samples,)`` clean targets.
        split: the parts.
        target: name and task.
    """
    inputs = samples.inputs

    def read(rows: AnyArray) -> pd.DataFrame | None:
        return inputs.iloc[rows] if isinstance(inputs, pd.DataFrame) else None

    hashes = hashes_of_audit(plugin, lambda: duplicates.hashes(inputs) if samples.hashes is None else samples.hashes)
    found = look_at(read, labels, split, target, hashes)
    if isinstance(inputs, pd.DataFrame) and inputs.shape[1] <= MOST_COLUMNS and len(inputs):
        sums = totals.totals(inputs, labels, target.name, int(samples.rows[-1]))
        return replace(found, findings=(*sums, *found.findings))
    return found


def not_repeated(notes: Iterable[Text], audit: Audit | None, rows: int) -> tuple[Text, ...]:
    """Return the notes on columns without those that say of one column what the audit says of several in one line.

    Args:
        notes: as the data plugin returns them.
        audit: of the same rows; ``None``: there is none.
        rows: number of rows.
    """
    said = [categories.identifier(name, rows, rows) for name in audit.identifiers] if audit is not None else []
    return tuple(note for note in notes if note not in said)


def hashes_of_audit(plugin: Any, known: Any) -> AnyArray | None:
    """Return the hashes of the features, or ``None`` where equal rows are together, may be divided, or are windows.

    Args:
        plugin: the data plugin.
        known: the hashes, or a function that computes them.
    """
    if not isinstance(plugin, Shuffled) or not plugin.keep_duplicates_together:
        return None
    if plugin.rule in (None, RANDOM, STRATIFIED, NONE) and plugin.test_rows == RANDOM:
        return None
    found: AnyArray | None = known() if callable(known) else known
    return found


def look_at(
    read: Callable[[AnyArray], pd.DataFrame | None],
    labels: AnyArray,
    split: Split,
    target: Target,
    hashes: AnyArray | None = None,
    classes: AnyArray | None = None,
    among: AnyArray | None = None,
    wholes: Mapping[str, table_checks.Whole] | None = None,
) -> Audit:
    """Return what is to be known of a data set.

    Args:
        read: returns the features of some rows, by their positions in increasing order; ``None``: they are no columns.
        labels: ``(rows,)`` classes, or values of a regression.
        split: the parts.
        target: name and task.
        hashes: ``(rows,)`` of the features, where equal rows may be in different parts; ``None``: they are not.
        classes: the names of the classes where labels are positions among them.
        among: ``(rows,) bool``, whose features are quick to read; ``None``: all.
        wholes: column -> what is known of all rows, where only some are read.
    """
    is_regression = target.task == "regression"
    parts = {"train": split.train, "validation": split.val, "test": split.test}
    parts = {name: rows for name, rows in parts.items() if len(rows)}
    found = [*_duplicates(hashes, labels, parts)]
    found += _of_target(labels, parts, target, classes)
    some = {name: _some(rows if among is None else rows[among[rows]]) for name, rows in parts.items()}
    some = {name: rows for name, rows in some.items() if len(rows)}
    if "train" not in some:
        return Audit(tuple(found), 0, len(labels))
    rows = np.sort(np.concatenate(list(some.values())))
    frame = read(rows)
    if frame is None:
        return Audit(tuple(found), len(labels), len(labels))
    places = {name: np.searchsorted(rows, of_part) for name, of_part in some.items()}
    columns = [
        table_checks.with_whole(table_checks.column_of(str(name), frame[name]), (wholes or {}).get(str(name)))
        for name in frame.columns[:MOST_COLUMNS]
    ]
    sample = table_checks.Sample(columns, labels[rows], places, is_regression)
    found += table_checks.checked(sample)
    missing = {column.name: round(column.missing, 6) for column in columns if column.missing}
    more = frame.shape[1] - MOST_COLUMNS
    not_checked = (f"{more} of {frame.shape[1]} columns",) if more > 0 else ()
    return Audit(tuple(found), len(rows), len(labels), missing, not_checked)


def _of_target(labels: AnyArray, parts: dict[str, AnyArray], target: Target, classes: AnyArray | None) -> list[Finding]:
    """Return what is found in the target alone."""
    if target.task == MULTILABEL:
        return [*_labels(labels, parts, target.name)]
    if target.task == "regression":
        return [*_outliers(labels, parts, target.name)]
    return [*_classes(labels, parts, target.name, classes)]


def _some(rows: AnyArray) -> AnyArray:
    """Return at most MOST_ROWS of some rows, by chance and always the same."""
    if len(rows) <= MOST_ROWS:
        return np.sort(rows)
    return np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))


def _duplicates(hashes: AnyArray | None, labels: AnyArray, parts: dict[str, AnyArray]) -> list[Finding]:
    """Find rows of validation and test whose features a training row has too."""
    found = None if hashes is None else sets_of(hashes, labels, len(labels))
    if found is None:
        return []
    of_train = found.number[parts["train"]]
    known = np.zeros(found.number.max() + 2, dtype=bool)
    known[of_train[of_train != SINGLE]] = True
    counts = {
        name: int((known[found.number[rows]] & (found.number[rows] != SINGLE)).sum())
        for name, rows in parts.items()
        if name != "train"
    }
    listed = [f"{count} of {len(parts[name])} {name} rows" for name, count in counts.items() if count]
    if not listed:
        return []
    what = f"{' and '.join(listed)} have the features of a training row, so their scores are too good"
    remedy: Text = Either(
        "Add data.split=random, which keeps equal rows in one part, or remove the copies", "Remove the copies"
    )
    return [Finding("duplicates", what, remedy)]


def _classes(
    labels: AnyArray, parts: dict[str, AnyArray], target: str, classes: AnyArray | None = None
) -> list[Finding]:
    codes, names = pd.factorize(labels, sort=True)
    names = names if classes is None else classes[names]
    sizes = np.bincount(codes, minlength=len(names))
    in_train = np.bincount(codes[parts["train"]], minlength=len(names))
    return _rare(target, "class", names, sizes, in_train)


def _labels(labels: AnyArray, parts: dict[str, AnyArray], target: str) -> list[Finding]:
    names = np.array(label_sets.labels_in(labels), dtype=object)
    held = np.array([[name in one for name in names] for one in map(label_sets.split, labels)])
    return _rare(target, "label", names, held.sum(axis=0), held[parts["train"]].sum(axis=0))


def _rare(target: str, noun: str, names: AnyArray, sizes: AnyArray, in_train: AnyArray) -> list[Finding]:
    """Find classes, or labels, without training rows or with few rows."""
    plural = "classes" if noun == "class" else f"{noun}s"
    absent = [str(name) for name, count in zip(names, in_train, strict=True) if not count]
    found = []
    if absent:
        what = f"{target}: no training row has the {noun} {named(absent)}, which cannot be learnt"
        remedy = Either(
            f"Add data.split=stratified, or correct the names of the {plural}", f"Correct the names of the {plural}"
        )
        found.append(Finding("classes", what, remedy, (target,)))
    few = [
        f"{name} ({size})"
        for name, size in zip(names, sizes, strict=True)
        if size < FEW_ROWS and str(name) not in absent
    ]
    if few:
        which = plural if len(few) > 1 else noun
        what = f"{target}: fewer than {FEW_ROWS} rows of the {which} {named(few)}, of which scores say little"
        remedy = Either("Add cv=5 to test on every row, or class_weights=balanced", 'Use class_weights="balanced"')
        found.append(Finding("classes", what, [remedy, ", or add rows"], (target,)))
    return found


def _outliers(labels: AnyArray, parts: dict[str, AnyArray], target: str) -> list[Finding]:
    used = np.zeros(len(labels), dtype=bool)
    for rows in parts.values():
        used[rows] = True
    # Of millions of rows, each copy takes as much memory as a feature: one is made, in which the quantiles are found.
    low, median, high = np.quantile(labels[used], [0.25, 0.5, 0.75], overwrite_input=True)
    spread = (high - low) / NORMAL_RANGE
    if not spread:
        return []
    count, worst, distance = 0, median, 0.0
    for start in range(0, len(labels), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        values = labels[some][used[some]]
        far = np.abs(values - median)
        count += int((far > FAR * spread).sum())
        if len(far) and far.max() > distance:
            worst, distance = values[far.argmax()], far.max()
    if not count:
        return []
    what = (
        f"{target}: {count} value{'s' * (count > 1)} far from all others, such as {worst:.6g} where half are "
        f"between {low:.6g} and {high:.6g}"
    )
    remedy = Either("Add loss=huber, on which they weigh less, or correct them", 'Use loss="huber", or correct them')
    return [Finding("outliers", what, remedy, (target,))]
