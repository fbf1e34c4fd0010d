"""Load a data set: read the rows, split them, and preprocess them by what the training rows teach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from lifecycle.capabilities import ChecksRows, HasTimes, ReadsLargeFiles, weight_of
from lifecycle.contract import DataPlugin
from lifecycle.data.assembly import as_column, as_targets, check_finite, learn, spec_of, take
from lifecycle.data.audit import rounded_numbers
from lifecycle.data.columns import missing_values, weights
from lifecycle.data.columns.kinds import column_kinds, num_missing
from lifecycle.data.dataset import Dataset, Part
from lifecycle.data.large.load import load_large
from lifecycle.data.large.table import LargeTable
from lifecycle.data.preprocessing import Preprocessing, class_values, clean_targets, learn_target
from lifecycle.data.sources.in_memory import Given
from lifecycle.errors import RequestError, Setting, Text
from lifecycle.profiling.clock import phase
from lifecycle.runtime import memory
from lifecycle.runtime.digests import digest


@phase("data")
def load(plugin: DataPlugin, name: str, kind: str, seed: int, given: Given | None = None) -> Dataset:
    """Read the rows, split them, learn from the training rows and apply that to all.

    Args:
        plugin: which rows, and how they become samples.
        name: name of the data set, for messages and the record.
        kind: name of the data plugin.
        seed: of the split.
        given: rows in memory, in place of those that the plugin reads.

    Raises:
        RequestError: the rows cannot be used as they are; says why.
    """
    if given is None and (table := large_table(plugin)) is not None:
        with memory.kept():
            return load_large(table, name, kind, seed)
    frame = _read(plugin, given)
    target = plugin.describe_target(frame)
    all_samples = plugin.samples(frame)
    if all_samples.targets is None:
        problem = f"has no target column {target.name}"
        raise RequestError(Setting("data", name), problem, remedy=["Name one with ", Setting("data.target"), "."])
    samples, fixed = weights.kept(all_samples, None if given is None else given.split, weights.key_of(plugin))
    assert samples.targets is not None  # noqa: S101 - for the types
    labels = clean_targets(samples.targets, target)
    split = fixed or plugin.split(replace(samples, targets=labels), target.task, seed)
    learnt = labels if samples.base is None else labels - samples.base
    of_train = None if samples.weights is None else samples.weights[split.train]
    task, encoder = learn_target(learnt, split.train, target, of_train)
    gaps = missing_values.gaps(all_samples.inputs)
    notes: list[Text] = missing_values.notes(name, samples.inputs, missing_values.gaps(samples.inputs), split.train)
    notes += rounded_numbers.notes_on(plugin, frame, target, given is not None)
    learnt_inputs = learn(plugin, take(samples.inputs, split.train), of_train)
    preprocessing = Preprocessing(learnt_inputs, encoder, gaps)

    def part(positions: np.ndarray[Any, Any]) -> Part:
        inputs = plugin.apply(preprocessing.inputs, take(samples.inputs, positions))
        check_finite(inputs, samples.rows[positions], Setting("data", name))
        return Part(
            inputs=torch.from_numpy(inputs),
            targets=as_targets(preprocessing.encode(learnt[positions]), task),
            labels=labels[positions],
            rows=samples.rows[positions],
            base=None if samples.base is None else as_column(samples.base[positions]),
            naive={name: values[positions] for name, values in samples.naive.items()},
            times=None if samples.times is None else samples.times[positions],
            files=None if samples.files is None else samples.files[positions],
            weights=None if samples.weights is None else samples.weights[positions],
        )

    train = part(split.train)
    return Dataset(
        name=name,
        kind=kind,
        spec=spec_of(plugin, task, target, preprocessing, train.inputs),
        preprocessing=preprocessing,
        train=train,
        val=part(split.val) if len(split.val) else None,
        test=part(split.test) if len(split.test) else None,
        num_rows=len(frame),
        num_missing=num_missing(plugin, frame, all_samples),
        digest=digest(frame),
        columns=tuple(plugin.columns(frame)),
        column_kinds=column_kinds(plugin, frame),
        class_values=class_values(samples.targets, preprocessing.class_names),
        notes=tuple(notes),
        weight=weight_of(plugin),
        time_step=plugin.time_step(frame) if isinstance(plugin, HasTimes) else None,
    )


def _read(plugin: DataPlugin, given: Given | None) -> pd.DataFrame:
    """Return the raw rows; those that were given are checked as the plugin checks its own."""
    if given is None:
        return plugin.read()
    if isinstance(plugin, ChecksRows):
        plugin.check(given.frame)
    return given.frame


def large_table(plugin: DataPlugin) -> LargeTable | None:
    """Return the rows of a plugin that are too many for a frame; ``None``: :meth:`DataPlugin.read` returns them."""
    return plugin.large() if isinstance(plugin, ReadsLargeFiles) else None
