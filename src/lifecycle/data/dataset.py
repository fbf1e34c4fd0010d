"""A data set ready for a network: read, split, and preprocessed by what the training rows alone teach."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lifecycle.contract import MULTICLASS, DataPlugin, DataSpec, Split, Target
from lifecycle.data import missing_values, rounding, weights
from lifecycle.data.columns import column_kinds, num_missing
from lifecycle.data.fitting import held_out_gaps, learn, transform
from lifecycle.data.given import Given
from lifecycle.data.labels import Labels
from lifecycle.data.labels import labels as labels_of
from lifecycle.data.labels import split as split_of
from lifecycle.data.large import LargeTable
from lifecycle.data.parts import Dataset, Part
from lifecycle.data.preprocessing import Preprocessing, class_values, clean_targets, labels_like, learn_target
from lifecycle.data.rows import Rows
from lifecycle.errors import RequestError
from lifecycle.profiling.clock import phase
from lifecycle.runtime import memory
from lifecycle.runtime.digests import digest

__all__ = ["Dataset", "Part", "as_column", "labelled", "large_table", "load"]


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
            return _load_large(table, name, kind, seed)
    frame = _read(plugin, given)
    target = plugin.describe_target(frame)
    all_samples = plugin.samples(frame)
    if all_samples.targets is None:
        raise RequestError(f"data={name} has no target column {target.name}. Name one with data.target.")
    samples, fixed = weights.kept(all_samples, None if given is None else given.split, weights.key_of(plugin))
    assert samples.targets is not None  # noqa: S101 - for the types
    labels = clean_targets(samples.targets, target)
    split = fixed or plugin.split(replace(samples, targets=labels), target.task, seed)
    learnt = labels if samples.base is None else labels - samples.base
    of_train = None if samples.weights is None else samples.weights[split.train]
    task, encoder = learn_target(learnt, split.train, target, of_train)
    gaps = missing_values.gaps(all_samples.inputs)
    notes = missing_values.notes(name, samples.inputs, missing_values.gaps(samples.inputs), split.train)
    notes += rounding.notes_on(plugin, frame, target, given is not None)
    learnt_inputs = _learn(plugin, _take(samples.inputs, split.train), of_train)
    preprocessing = Preprocessing(learnt_inputs, encoder, gaps)

    def part(positions: np.ndarray[Any, Any]) -> Part:
        inputs = plugin.apply(preprocessing.inputs, _take(samples.inputs, positions))
        _check_finite(inputs, samples.rows[positions], f"data={name} has")
        return Part(
            inputs=torch.from_numpy(inputs),
            targets=_as_targets(preprocessing.encode(learnt[positions]), task),
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
        spec=_spec(plugin, task, target, preprocessing, train.inputs),
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
        weight=getattr(plugin, "weight", None),
        time_step=plugin.time_step(frame) if hasattr(plugin, "time_step") else None,
    )


def labelled(
    plugin: DataPlugin,
    preprocessing: Preprocessing,
    spec: DataSpec,
    frame: pd.DataFrame,
    missing: str = missing_values.REFUSE,
    row_weights: np.ndarray[Any, Any] | None = None,
) -> Part:
    """Return labelled rows as a trained model takes them; nothing is learnt from them.

    Args:
        plugin: how rows become samples.
        preprocessing: what the training rows taught.
        spec: of the model.
        frame: raw rows, the target among the columns.
        missing: what becomes of a value that is missing for the first time; see :mod:`lifecycle.data.missing_values`.
        row_weights: ``(rows,)``: how much each counts; ``None``: as the plugin says. Rows of no weight are left out.

    Raises:
        RequestError: they lack the target or a value, or hold an unknown class or what is no number.
    """
    samples = plugin.samples(frame)
    if samples.targets is None:
        raise RequestError(f"the rows have no target column {spec.target_name} to compare with. Give it, or predict.")
    if row_weights is not None:
        samples = replace(samples, weights=row_weights[samples.rows])
    samples, _ = weights.kept(samples, None, weights.key_of(plugin))
    assert samples.targets is not None  # noqa: S101 - for the types
    missing_values.check(samples.inputs, preprocessing.gaps, missing)
    labels = labels_like(samples.targets, preprocessing, spec)
    inputs = plugin.apply(preprocessing.inputs, samples.inputs)
    _check_finite(inputs, samples.rows, "the rows have")
    learnt = labels if samples.base is None else labels - samples.base
    return Part(
        inputs=torch.from_numpy(inputs),
        targets=_as_targets(preprocessing.encode(learnt), spec.task),
        labels=labels,
        rows=samples.rows,
        base=None if samples.base is None else as_column(samples.base),
        naive=dict(samples.naive),
        times=samples.times,
        files=samples.files,
        weights=samples.weights,
    )


def _check_finite(inputs: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], what: str) -> None:
    if not np.isfinite(inputs).all():
        row = rows[np.flatnonzero(~np.isfinite(inputs.reshape(len(inputs), -1)).all(axis=1))[0]]
        raise RequestError(f"{what} a value that is no finite number in row {row}. Fix or remove the row.")


def _learn(plugin: DataPlugin, inputs: Any, of_rows: np.ndarray[Any, Any] | None) -> Any:
    """Return what a plugin learns from training rows, by their weights where it takes such."""
    if of_rows is None or "weights" not in inspect.signature(plugin.learn).parameters:
        return plugin.learn(inputs)
    learn_by_weight: Callable[..., Any] = plugin.learn
    return learn_by_weight(inputs, weights=of_rows)


def _read(plugin: DataPlugin, given: Given | None) -> pd.DataFrame:
    """Return the raw rows; those that were given are checked as the plugin checks its own."""
    if given is None:
        return plugin.read()
    check: Callable[[pd.DataFrame], None] = getattr(plugin, "check", lambda frame: None)
    check(given.frame)
    return given.frame


def large_table(plugin: DataPlugin) -> LargeTable | None:
    """Return the rows of a plugin that are too many for a frame; ``None``: :meth:`DataPlugin.read` returns them."""
    large: Callable[[], LargeTable | None] = getattr(plugin, "large", lambda: None)
    return large()


def _load_large(table: LargeTable, name: str, kind: str, seed: int) -> Dataset:
    """Do the same with rows that are never all in memory twice."""
    plugin = table.plugin
    target = Target(plugin.target, plugin.task or table.task, plugin.scale_target)
    found = labels_of(table, target)
    of_rows = None if table.weights is None else weights.checked(table.weights, f"data.weight={plugin.weight}")
    drawn = _drawn(table, found, target, seed, of_rows)
    of_train = None if of_rows is None else of_rows[drawn.train]
    task, encoder = found.learn(drawn.train, target, of_train)
    missing_values.check_empty(name, table.missing, table.blocks.num_rows)
    gaps = frozenset(column for column, count in table.missing.items() if count)
    notes = missing_values.notes_on(*held_out_gaps(table, drawn.train)) + table.rounded(target.task)
    preprocessing = Preprocessing(learn(table, drawn.train, of_train), encoder, gaps)
    parts = [drawn.train, drawn.val, drawn.test]
    inputs = transform(table, preprocessing.inputs, parts, name)

    def part(number: int) -> Part:
        return Part(
            inputs=inputs[number],
            targets=_as_targets(found.encoded(preprocessing, parts[number]), task),
            labels=found.of(parts[number]),
            rows=parts[number],
            weights=None if of_rows is None else of_rows[parts[number]],
        )

    return Dataset(
        name=name,
        kind=kind,
        spec=_spec(plugin, task, target, preprocessing, inputs[0]),
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
        weight=plugin.weight,
    )


def _drawn(table: LargeTable, found: Labels, target: Target, seed: int, of_rows: np.ndarray[Any, Any] | None) -> Split:
    """Divide the rows that have a weight above 0, as if there were no others."""
    if of_rows is None or of_rows.all():
        return split_of(table, found, target, seed)
    there = np.flatnonzero(of_rows)
    drawn = split_of(table, found.take(there), target, seed)
    return Split(there[drawn.train], there[drawn.val], there[drawn.test])


def _as_targets(encoded: np.ndarray[Any, Any], task: str) -> Tensor:
    codes = torch.from_numpy(encoded)
    return codes if task == MULTICLASS else codes.to(torch.float32).reshape(-1, 1)


def _spec(plugin: DataPlugin, task: str, target: Target, preprocessing: Preprocessing, inputs: Rows) -> DataSpec:
    return DataSpec(
        task=task,
        input_shape=tuple(inputs.shape[1:]),
        num_outputs=len(preprocessing.class_names) if task == MULTICLASS else 1,
        target_name=target.name,
        class_names=preprocessing.class_names,
        feature_names=plugin.feature_names(preprocessing.inputs),
    )


def as_column(values: np.ndarray[Any, Any]) -> Tensor:
    """Return ``(samples, 1) float64``."""
    return torch.from_numpy(values.astype(np.float64)).reshape(-1, 1)


def _take(inputs: pd.DataFrame | np.ndarray[Any, Any], positions: np.ndarray[Any, Any]) -> Any:
    return inputs.iloc[positions] if isinstance(inputs, pd.DataFrame) else inputs[positions]
