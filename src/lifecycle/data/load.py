"""Load a data set: read the rows, split them, and preprocess them as fitted to the training rows."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle.capabilities import (
    ChecksRows,
    ReadsLargeFiles,
    augmentation_of,
    notes_of,
    time_step_of,
    transform_of,
    weight_of,
)
from lifecycle.contract import DataPlugin, Fold, Samples, Split, Target
from lifecycle.data.assembly import learn, part_of, spec_of
from lifecycle.data.audit import rounded_numbers, sentinels
from lifecycle.data.audit.audit import audit_of, not_repeated
from lifecycle.data.audit.findings import Audit
from lifecycle.data.columns import missing_values, targets, weights
from lifecycle.data.columns.kinds import column_kinds, num_missing
from lifecycle.data.columns.meaning.report import task_choice
from lifecycle.data.columns.names import place
from lifecycle.data.dataset import Dataset, Part
from lifecycle.data.digests import digest, rows_digest
from lifecycle.data.formats.text.dialect import dialect_of
from lifecycle.data.preprocessing import Preprocessing, class_values, clean_targets, differences, learn_target, strata
from lifecycle.data.resolving import inferred, resolved
from lifecycle.data.selection import select
from lifecycle.data.sources.in_memory import MemoryRows
from lifecycle.data.sources.test_file import test_digest
from lifecycle.data.splits import draw
from lifecycle.errors import RequestError, Setting, Text
from lifecycle.profiling.clock import phase
from lifecycle.runtime import memory

if TYPE_CHECKING:
    from lifecycle.data.large.table import LargeTable

MOST_AUDITS = 64
"""Audits that are kept, of as many folds and splits."""

_audits: dict[tuple[str, ...], Audit] = {}


@phase("data")
def load(
    plugin: DataPlugin,
    name: str,
    kind: str,
    seed: int,
    in_memory: MemoryRows | None = None,
    fold: Fold | None = None,
    frame: pd.DataFrame | None = None,
    audited: bool = False,
) -> Dataset:
    """Read the rows, split them, fit the preprocessing to the training rows and apply it to all.

    Args:
        plugin: reads the rows and turns them into samples.
        name: of the data set, for messages and the record.
        kind: name of the data plugin.
        seed: of the split.
        in_memory: rows to use in place of those that the plugin reads.
        fold: of a cross-validation; ``None``: one split.
        frame: what the plugin has read before, of the same source; ``None``: it is read now.
        audited: whether to look for leaks, identifiers and the like, see :mod:`lifecycle.data.audit`.

    Raises:
        RequestError: the rows cannot be used.
    """
    if in_memory is not None:
        if isinstance(plugin, ChecksRows):
            plugin.check(in_memory.frame)
        return _load_frame(plugin, name, kind, seed, in_memory.frame, fold, True, in_memory.split, audited)
    if (table := large_table(plugin)) is not None:
        from lifecycle.data.large.load import load_large  # most tables fit into memory

        memory.trim()  # the heap keeps the memory of the parts that the reader has joined
        # Not for rows on disk: freed memory that is kept would count in the limit that the user has set.
        with nullcontext() if table.blocks.on_disk else memory.kept():
            return replace(load_large(table, name, kind, seed, fold, audited), dialect=table.dialect)
    frame = plugin.read() if frame is None else frame
    place(plugin, list(map(str, frame.columns)))  # where another plugin read the frame
    return _load_frame(plugin, name, kind, seed, frame, fold, audited=audited)


def _load_frame(
    plugin: DataPlugin,
    name: str,
    kind: str,
    seed: int,
    frame: pd.DataFrame,
    fold: Fold | None,
    in_memory: bool = False,
    fixed_split: Split | None = None,
    audited: bool = False,
) -> Dataset:
    configured, plugin = plugin, resolved(plugin, frame, fold)
    target = plugin.describe_target(frame)
    all_samples = _with_targets(plugin.samples(frame), target, name)
    labelled = targets.labelled(plugin, all_samples)
    samples, split = weights.kept(labelled, fixed_split, weights.key_of(plugin))
    labels = clean_targets(np.asarray(samples.targets), target)
    split = split or draw(plugin, replace(samples, targets=strata(labels, target)), target.task, seed, fold)
    # Rows of weight 0 count for missing values: they may be predicted later like any other row.
    task, preprocessing = _fit(plugin, samples, labels, split.train, target, missing_values.gaps(all_samples.inputs))
    train, val, test = _parts(plugin, samples, labels, split, preprocessing, task, Setting("data", name))
    found_digest = digest(frame)
    notes = _notes(plugin, name, frame, samples, split, target, in_memory)
    audit = _audit(plugin, samples, labels, split, target, found_digest) if audited else None
    return Dataset(
        name=name,
        kind=kind,
        spec=spec_of(plugin, task, target, preprocessing, train.inputs),
        preprocessing=preprocessing,
        train=train,
        val=val,
        test=test,
        num_rows=len(frame),
        num_missing=num_missing(plugin, frame, all_samples),
        digest=found_digest,
        columns=tuple(plugin.columns(frame)),
        column_kinds=column_kinds(plugin, frame),
        class_values=class_values(np.asarray(samples.targets), preprocessing.class_names),
        notes=not_repeated(notes, audit, len(frame)),
        weight=weight_of(plugin),
        time_step=time_step_of(plugin, frame),
        dialect=dialect_of(frame),
        plugin=plugin,
        inferred=inferred(configured, plugin, frame),
        task_choice=task_choice(plugin, target, frame.get(target.name)),
        split_report=(*targets.left_out(target.name, len(all_samples.rows), len(labelled.rows)), *split.report),
        audit=audit,
        test_digest=test_digest(frame),
        augmentation=augmentation_of(plugin),
    )


def _with_targets(samples: Samples, target: Target, name: str) -> Samples:
    if samples.targets is None:
        problem = f"has no target column {target.name}"
        raise RequestError(Setting("data", name), problem, remedy=["Name one with ", Setting("data.target"), "."])
    return samples


def _parts(
    plugin: DataPlugin,
    samples: Samples,
    labels: np.ndarray[Any, Any],
    split: Split,
    preprocessing: Preprocessing,
    task: str,
    key: Setting,
) -> tuple[Part, Part | None, Part | None]:
    """Return the preprocessed training, validation and test samples."""
    train, val, test = (
        part_of(plugin, select(samples, rows), labels[rows], preprocessing, task, key) if len(rows) else None
        for rows in (split.train, split.val, split.test)
    )
    assert train is not None  # noqa: S101 - for the types: no split is without training rows
    return train, val, test


def _audit(
    plugin: DataPlugin, samples: Samples, labels: np.ndarray[Any, Any], split: Split, target: Target, of_rows: str
) -> Audit:
    """Return the audit of rows, which the jobs of a sweep have in common."""
    key = (of_rows, repr(plugin), *map(rows_digest, (split.train, split.val, split.test)))
    if key not in _audits:
        if len(_audits) >= MOST_AUDITS:
            _audits.clear()
        _audits[key] = audit_of(plugin, samples, labels, split, target)
    return _audits[key]


def _notes(
    plugin: DataPlugin,
    name: str,
    frame: pd.DataFrame,
    samples: Samples,
    split: Split,
    target: Target,
    in_memory: bool,
) -> tuple[Text, ...]:
    """Return the warnings about the rows."""
    gaps = missing_values.notes(name, samples.inputs, missing_values.gaps(samples.inputs), split.train)
    return (*gaps, *_notes_on_values(plugin, frame, target, in_memory), *notes_of(plugin, frame))


def _notes_on_values(plugin: DataPlugin, frame: pd.DataFrame, target: Target, in_memory: bool) -> list[Text]:
    """Return the warnings about single values of the rows."""
    marks = [] if in_memory else sentinels.notes_on(plugin, frame)
    return rounded_numbers.notes_on(plugin, frame, target, in_memory) + marks


def large_table(plugin: DataPlugin) -> LargeTable | None:
    """Return the rows of a plugin that are too many for a frame; ``None``: :meth:`DataPlugin.read` returns them."""
    return plugin.large() if isinstance(plugin, ReadsLargeFiles) else None


def _fit(
    plugin: DataPlugin,
    samples: Samples,
    labels: np.ndarray[Any, Any],
    train: np.ndarray[Any, Any],
    target: Target,
    gaps: frozenset[str] | None,
) -> tuple[str, Preprocessing]:
    """Return the task of the network, and the preprocessing fitted to the training samples.

    Args:
        plugin: fits the preprocessing of inputs.
        samples: all samples.
        labels: ``(samples,)`` clean targets.
        train: positions of the training samples.
        target: its task, and whether to scale it.
        gaps: the columns with missing values.
    """
    transform = transform_of(plugin)
    training = select(samples, train)
    task, encoder = learn_target(differences(labels, samples.base, transform), train, target, training.weights)
    return task, Preprocessing(learn(plugin, training.inputs, training.weights), encoder, gaps, transform)
