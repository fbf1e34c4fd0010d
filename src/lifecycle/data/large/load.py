"""Load a table that does not fit into memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lifecycle.contract import Fold, Split, Target
from lifecycle.data.assembly import as_targets, spec_of
from lifecycle.data.audit.audit import hashes_of_audit, look_at
from lifecycle.data.audit.findings import Audit
from lifecycle.data.columns import missing_values, targets, weights
from lifecycle.data.columns.meaning.report import task_choice
from lifecycle.data.dataset import Dataset, Part
from lifecycle.data.large.learn import held_out_gaps, learn, transform
from lifecycle.data.large.table import LargeTable
from lifecycle.data.large.targets import Labels
from lifecycle.data.large.targets import labels as labels_of
from lifecycle.data.large.targets import split as split_of
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.errors import Text

MOST_BLOCKS = 8
"""Blocks on disk that are read for an audit."""


def load_large(
    table: LargeTable, name: str, kind: str, seed: int, fold: Fold | None = None, audited: bool = False
) -> Dataset:
    """Split and preprocess a large table, like :func:`lifecycle.data.load.load`, without a second copy in memory.

    Args:
        table: the raw rows; its blocks are freed.
        name: of the data set, for messages and the record.
        kind: name of the data plugin.
        seed: of the split.
        fold: of a cross-validation; ``None``: one split.
        audited: whether to look for leaks, identifiers and the like in a sample of the rows.

    Raises:
        RequestError: the rows cannot be used.
    """
    plugin = table.plugin
    target = Target(plugin.target, plugin.task or table.task, plugin.scale_target)
    found = labels_of(table, target)
    of_rows = None if table.weights is None else weights.checked(table.weights, weights.key_of(plugin))
    drawn = _draw(table, found, target, seed, of_rows, fold)
    of_train = None if of_rows is None else of_rows[drawn.train]
    task, encoder = found.learn(drawn.train, target, of_train)
    notes = _notes(table, name, drawn.train, target.task)
    audit = _audit(table, found, drawn, target) if audited else None
    table.hashes = None
    preprocessing = Preprocessing(learn(table, drawn.train, of_train), encoder, table.gaps)
    train, val, test = _parts(table, found, drawn, preprocessing, task, name, of_rows)
    return Dataset(
        name=name,
        kind=kind,
        spec=spec_of(table.plugin, task, target, preprocessing, train.inputs),
        preprocessing=preprocessing,
        train=train,
        val=val,
        test=test,
        num_rows=table.blocks.num_rows,
        num_missing=sum(table.missing.values()),
        digest=table.digest,
        columns=tuple(table.features),
        column_kinds=table.column_kinds,
        notes=tuple(notes),
        weight=plugin.weight,
        plugin=table.plugin,
        task_choice=task_choice(plugin, target, pd.Series(table.target) if table.classes is None else None),
        split_report=(*_left_out(table), *drawn.report),
        audit=audit,
    )


def _parts(
    table: LargeTable,
    found: Labels,
    drawn: Split,
    preprocessing: Preprocessing,
    task: str,
    name: str,
    of_rows: np.ndarray[Any, Any] | None,
) -> tuple[Part, Part | None, Part | None]:
    """Return the preprocessed training, validation and test rows; ``of_rows`` are weights."""
    parts = [drawn.train, drawn.val, drawn.test]
    inputs = transform(table, preprocessing.inputs, parts, name)  # one for all parts: it frees the blocks as it goes
    train, val, test = (
        None
        if not len(rows)
        else Part(
            inputs=of_part,
            targets=as_targets(found.encoded(preprocessing, rows), task),
            labels=found.of(rows),
            rows=rows,
            weights=None if of_rows is None else of_rows[rows],
        )
        for rows, of_part in zip(parts, inputs, strict=True)
    )
    assert train is not None  # noqa: S101 - for the types: no split is without training rows
    return train, val, test


def _audit(table: LargeTable, found: Labels, drawn: Split, target: Target) -> Audit:
    """Return what is to be known of a sample of the rows."""

    def read(rows: np.ndarray[Any, Any]) -> pd.DataFrame:
        columns = {}
        for place, name in enumerate(table.features):
            values = table.blocks.column(place, rows).astype(np.float64) + table.blocks.offset(place)
            columns[name] = values
            if name in table.codes:
                texts = np.array([*table.codes[name].texts, None], dtype=object)
                columns[name] = texts[np.nan_to_num(values, nan=len(texts) - 1).astype(np.int64)]
        return pd.DataFrame(columns)

    hashes, among = hashes_of_audit(table.plugin, table.hashes), table.blocks.of_some_blocks(MOST_BLOCKS)
    return look_at(read, found.values, drawn, target, hashes, found.texts, among)


def _notes(table: LargeTable, name: str, train: np.ndarray[Any, Any], task: str) -> list[Text]:
    missing_values.check_empty(name, table.missing, table.blocks.num_rows)
    return missing_values.notes_on(*held_out_gaps(table, train)) + table.rounded(task) + table.readings


def _left_out(table: LargeTable) -> tuple[Text, ...]:
    if table.labelled is None:
        return ()
    return targets.left_out(table.plugin.target, len(table.labelled), int(table.labelled.sum()))


def _draw(
    table: LargeTable,
    found: Labels,
    target: Target,
    seed: int,
    of_rows: np.ndarray[Any, Any] | None,
    fold: Fold | None,
) -> Split:
    """Split the rows with a target and a weight above 0."""
    used = np.ones(len(found.values), dtype=bool) if table.labelled is None else table.labelled
    used = used if of_rows is None else used & (of_rows > 0)
    if used.all():
        return split_of(table, found, target, seed, fold)
    positions = np.flatnonzero(used)
    drawn = split_of(table, found.take(positions), target, seed, fold, positions)
    return Split(positions[drawn.train], positions[drawn.val], positions[drawn.test], drawn.report)
