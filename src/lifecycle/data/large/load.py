"""Load a table that does not fit into memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.contract import Fold, Split, Target
from lifecycle.data.assembly import as_targets, spec_of
from lifecycle.data.audit import sentinels
from lifecycle.data.audit.audit import hashes_of_audit, look_at, not_repeated
from lifecycle.data.audit.findings import Audit, named
from lifecycle.data.audit.table_checks import Whole
from lifecycle.data.columns import missing_values, targets, weights
from lifecycle.data.columns.meaning.report import task_choice
from lifecycle.data.dataset import Dataset, Part
from lifecycle.data.large.learn import held_out_gaps, learn, transform
from lifecycle.data.large.table import LargeTable
from lifecycle.data.large.targets import Labels
from lifecycle.data.large.targets import labels as labels_of
from lifecycle.data.large.targets import split as split_of
from lifecycle.data.large.texts import TextColumn
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.errors import Text
from lifecycle.runtime import memory

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
    target = Target(table.plugin.target, table.plugin.task or table.task, table.plugin.scale_target)
    found = labels_of(table, target)
    of_rows = None if table.weights is None else weights.checked(table.weights, weights.key_of(table.plugin))
    drawn = _draw(table, found, target, seed, of_rows, fold)
    of_train = None if of_rows is None else of_rows[drawn.train]
    task, encoder = found.learn(drawn.train, target, of_train)
    notes = _notes(table, name, drawn.train, target.task)
    audit = _audit(table, found, drawn, target) if audited else None
    _trim(table)
    transformer, texts = learn(table, drawn.train, of_train)
    preprocessing = Preprocessing(transformer, encoder, table.gaps)
    train, val, test = _parts(table, found, drawn, preprocessing, texts, task, name, of_rows)
    assert train is not None  # noqa: S101 - for the types: no split is without training rows
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
        notes=not_repeated(notes, audit, table.blocks.num_rows),
        weight=table.plugin.weight,
        plugin=table.plugin,
        task_choice=_choice(table, target),
        split_report=(*_left_out(table), *drawn.report),
        audit=audit,
        shards=table.shards,
    )


def _choice(table: LargeTable, target: Target) -> Text | None:
    return task_choice(table.plugin, target, pd.Series(table.target, copy=False) if table.classes is None else None)


def _trim(table: LargeTable) -> None:
    """Free what the split needed: it would stay in the heap, whose memory the new rows do not use."""
    table.hashes = None
    memory.trim()


def _parts(
    table: LargeTable,
    found: Labels,
    drawn: Split,
    preprocessing: Preprocessing,
    texts: list[TextColumn],
    task: str,
    name: str,
    of_rows: np.ndarray[Any, Any] | None,
) -> list[Part | None]:
    """Return the preprocessed training, validation and test rows; ``of_rows`` are weights."""
    parts = [drawn.train, drawn.val, drawn.test]
    inputs = transform(table, preprocessing.inputs, texts, parts, name)  # of all parts: it frees the blocks as it goes
    return [
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
    ]


def _audit(table: LargeTable, found: Labels, drawn: Split, target: Target) -> Audit | None:
    """Return what is to be known of a sample of the rows; ``None``: another process prints it."""
    if table.team is not None and not table.team.is_main:
        return None

    def read(rows: np.ndarray[Any, Any]) -> pd.DataFrame:
        columns = {}
        for place, name in enumerate(table.features):
            if name in table.texts:
                continue
            values = table.blocks.column(place, rows).astype(np.float64) + table.blocks.offset(place)
            columns[name] = values
            if name in table.codes:
                texts = np.array([*table.codes[name].texts, None], dtype=object)
                columns[name] = texts[np.nan_to_num(values, nan=len(texts) - 1).astype(np.int64)]
        return pd.DataFrame(columns)

    hashes, among = hashes_of_audit(table.plugin, table.hashes), table.blocks.of_some_blocks(MOST_BLOCKS)
    found_in = look_at(read, found.values, drawn, target, hashes, found.texts, among, _wholes(table))
    missing = {name: round(count / found_in.total, 6) for name, count in table.missing.items() if count}
    not_checked = list(found_in.not_checked)
    if found_in.rows < found_in.total:
        looked_at = f"{found_in.rows:,} of {found_in.total:,} rows"
        not_checked.append(f"copies, identifiers, leaks and drift in more than {looked_at}")
    if table.texts:
        not_checked.append(f"free text: {named(list(table.texts))}")
    return replace(found_in, missing=missing, not_checked=tuple(not_checked))


def _wholes(table: LargeTable) -> dict[str, Whole]:
    """Return what is known of all rows of the features."""
    found, rows = {}, table.blocks.num_rows
    for name, count in table.missing.items():
        varies, may_identify = False, not count
        if name in table.codes:
            # Of a column that has been read as texts: how many different ones there are.
            varies, may_identify = len(table.codes[name].texts) > 1, len(table.codes[name].texts) >= rows
        elif ends := table.limits.get(name):
            varies = len(ends) > 1
            may_identify = may_identify and max(ends) - min(ends) + 1 >= rows  # of whole numbers
        found[name] = Whole(count / rows, varies, may_identify)
    return found


def _notes(table: LargeTable, name: str, train: np.ndarray[Any, Any], task: str) -> list[Text]:
    missing_values.check_empty(name, table.missing, table.blocks.num_rows)
    marks = _marks(table)
    return missing_values.notes_on(*held_out_gaps(table, train)) + table.rounded(task) + marks + table.readings


def _marks(table: LargeTable) -> list[Text]:
    """Return the warnings about numbers such as -999; only columns that end with one are read once more."""
    plain = [name for name in table.numbers if table.limits.get(name, set()) & set(sentinels.SENTINELS)]
    every = np.arange(table.blocks.num_rows) if plain else np.empty(0, dtype=np.int64)
    found = {}
    for name in plain:
        place = table.features.index(name)
        values = table.blocks.column(place, every).astype(np.float64) + table.blocks.offset(place)
        found[name] = sentinels.sentinel(pd.Series(values))
    return [sentinels.note(name, *one) for name, one in found.items() if one is not None]


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
