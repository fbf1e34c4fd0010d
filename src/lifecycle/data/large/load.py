"""Load a table that does not fit into memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from lifecycle.contract import Fold, Split, Target
from lifecycle.data.assembly import as_targets, spec_of
from lifecycle.data.columns import missing_values, weights
from lifecycle.data.dataset import Dataset, Part
from lifecycle.data.large.learn import held_out_gaps, learn, transform
from lifecycle.data.large.table import LargeTable
from lifecycle.data.large.targets import Labels
from lifecycle.data.large.targets import labels as labels_of
from lifecycle.data.large.targets import split as split_of
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.errors import Text


def load_large(table: LargeTable, name: str, kind: str, seed: int, fold: Fold | None = None) -> Dataset:
    """Split and preprocess a large table, like :func:`lifecycle.data.load.load`, without a second copy in memory.

    Args:
        table: the raw rows; its blocks are freed.
        name: of the data set, for messages and the record.
        kind: name of the data plugin.
        seed: of the split.
        fold: of a cross-validation; ``None``: one split.

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
    preprocessing = Preprocessing(learn(table, drawn.train, of_train), encoder, table.gaps)
    parts = [drawn.train, drawn.val, drawn.test]
    inputs = transform(table, preprocessing.inputs, parts, name)  # one for all parts: it frees the blocks as it goes

    def part(number: int) -> Part:
        return Part(
            inputs=inputs[number],
            targets=as_targets(found.encoded(preprocessing, parts[number]), task),
            labels=found.of(parts[number]),
            rows=parts[number],
            weights=None if of_rows is None else of_rows[parts[number]],
        )

    return Dataset(
        name=name,
        kind=kind,
        spec=spec_of(table.plugin, task, target, preprocessing, inputs[0]),
        preprocessing=preprocessing,
        train=part(0),
        val=part(1) if len(drawn.val) else None,
        test=part(2) if len(drawn.test) else None,
        num_rows=table.blocks.num_rows,
        num_missing=sum(table.missing.values()),
        digest=table.digest,
        columns=tuple(table.features),
        column_kinds=table.column_kinds,
        notes=tuple(notes),
        weight=table.plugin.weight,
        plugin=table.plugin,
    )


def _notes(table: LargeTable, name: str, train: np.ndarray[Any, Any], task: str) -> list[Text]:
    missing_values.check_empty(name, table.missing, table.blocks.num_rows)
    return missing_values.notes_on(*held_out_gaps(table, train)) + table.rounded(task) + table.readings


def _draw(
    table: LargeTable,
    found: Labels,
    target: Target,
    seed: int,
    of_rows: np.ndarray[Any, Any] | None,
    fold: Fold | None,
) -> Split:
    """Split the rows with a weight above 0."""
    if of_rows is None or of_rows.all():
        return split_of(table, found, target, seed, fold)
    positions = np.flatnonzero(of_rows)
    drawn = split_of(table, found.take(positions), target, seed, fold)
    return Split(positions[drawn.train], positions[drawn.val], positions[drawn.test])
