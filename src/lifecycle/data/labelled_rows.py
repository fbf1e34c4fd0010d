"""Labelled rows that a model was not made with: read, and brought into its form by what its own rows taught."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lifecycle.capabilities import (
    PredictsRowByRow,
    ReportsUnseenCategories,
    dropped_by,
    large_file_of,
    optional_columns,
    path_of,
    weight_of,
)
from lifecycle.contract import DataPlugin, DataSpec
from lifecycle.data.assembly import as_column, as_targets, check_finite
from lifecycle.data.audit.unseen_categories import Unseen
from lifecycle.data.columns import missing_values, weights
from lifecycle.data.columns.kinds import column_kinds
from lifecycle.data.columns.names import of_plugin
from lifecycle.data.dataset import Dataset, Part
from lifecycle.data.formats import readers
from lifecycle.data.preprocessing import Preprocessing, labels_like
from lifecycle.data.sources import files
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime.digests import digest, sha256


def load(
    plugin: DataPlugin,
    name: str,
    kind: str,
    spec: DataSpec,
    preprocessing: Preprocessing,
    columns: Sequence[str],
    missing: str = missing_values.REFUSE,
) -> Dataset:
    """Return all rows of a data plugin as rows to be scored; nothing is learnt from them, and none is left out.

    Args:
        plugin: which rows.
        name: what they are called, for messages.
        kind: name of the plugin.
        spec: of the model.
        preprocessing: what the model's training rows taught.
        columns: those that a prediction of the model needs.
        missing: what becomes of a value that is missing where each training row had one.

    Raises:
        RequestError: the target or a column is missing, a class is not known, or the samples are of another shape.
    """
    plugin = _without_columns_that_are_gone(plugin)
    frame = plugin.read()
    target = plugin.describe_target(frame).name
    lacking = [column for column in columns if column not in frame.columns]
    if lacking:
        problem, got = f"has no column {', '.join(lacking)}", ", ".join(map(str, frame.columns))
        raise RequestError(Setting("data", name), problem, got, f"The model needs {', '.join(columns)}.")
    used = frame
    if tuple(plugin.columns(frame)) != tuple(columns):  # others beside them, or in another order
        others = [*optional_columns(plugin), weight_of(plugin)]
        optional = [column for column in others if column in frame.columns]
        used = frame[list(dict.fromkeys([*columns, *optional, target]))]
    part = labelled(plugin, preprocessing, spec, used, missing)
    if tuple(part.inputs.shape[1:]) != spec.input_shape:
        got, wanted = (" x ".join(map(str, shape)) for shape in (part.inputs.shape[1:], spec.input_shape))
        problem = f"has samples of {got}, and the model takes {wanted}"
        raise RequestError(Setting("data", name), problem, remedy="Give such rows.")
    return Dataset(
        name=name,
        kind=kind,
        spec=spec,
        preprocessing=preprocessing,
        train=part,
        val=None,
        test=part,
        num_rows=len(frame),
        num_missing=int(used[list(columns)].isna().to_numpy().sum()),
        digest=_digest(plugin, frame),
        columns=tuple(columns),
        column_kinds=column_kinds(plugin, frame),
        given=True,
        weight=weight_of(plugin),
        notes=_notes(plugin, preprocessing, used, columns),
    )


def _notes(plugin: DataPlugin, learnt: Preprocessing, used: pd.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    """Return what the rows have that no training row had."""
    if not isinstance(plugin, ReportsUnseenCategories) or not isinstance(plugin, PredictsRowByRow):
        return ()
    inputs, numbers = plugin.samples(used).inputs, plugin.numbers(learnt.inputs, columns)
    unseen = Unseen(numbers, known=learnt.gaps is not None)
    unseen.add(plugin.unseen(learnt.inputs, inputs) | missing_values.filled(inputs, learnt.gaps, numbers))
    return tuple(unseen.lines())


def _without_columns_that_are_gone(plugin: Any) -> Any:
    """Return a plugin that does not ask for columns to drop, or for weights, which its file does not have."""
    path, drop, weight = path_of(plugin), dropped_by(plugin), weight_of(plugin)
    if not (drop or weight) or path.partition(":")[0] in files.SCHEMES or not Path(path).expanduser().is_file():
        return plugin
    names = readers.read(path).schema.names
    names = [of_plugin(plugin).get(name, name) for name in names]
    fields: dict[str, Any] = {"weight": None} if weight and weight not in names else {}
    if drop:
        fields["drop"] = [column for column in drop if column in names]
    return dataclasses.replace(plugin, **fields)


def _digest(plugin: DataPlugin, frame: pd.DataFrame) -> str:
    large = large_file_of(plugin)
    return digest(frame) if large is None else sha256(large)


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
        missing: what becomes of a value that is missing for the first time, see
            :mod:`lifecycle.data.columns.missing_values`.
        row_weights: ``(rows,)``: how much each counts; ``None``: as the plugin says. Rows of no weight are left out.

    Raises:
        RequestError: they lack the target or a value, or hold an unknown class or what is no number.
    """
    samples = plugin.samples(frame)
    if samples.targets is None:
        problem = f"have no target column {spec.target_name} to compare with"
        raise RequestError("the rows", problem, remedy="Give it, or predict.")
    if row_weights is not None:
        samples = replace(samples, weights=row_weights[samples.rows])
    samples, _ = weights.kept(samples, None, weights.key_of(plugin))
    assert samples.targets is not None  # noqa: S101 - for the types
    missing_values.check(samples.inputs, preprocessing.gaps, missing)
    labels = labels_like(samples.targets, preprocessing, spec)
    inputs = plugin.apply(preprocessing.inputs, samples.inputs)
    check_finite(inputs, samples.rows, "the data")
    learnt = labels if samples.base is None else labels - samples.base
    return Part(
        inputs=torch.from_numpy(inputs),
        targets=as_targets(preprocessing.encode(learnt), spec.task),
        labels=labels,
        rows=samples.rows,
        base=None if samples.base is None else as_column(samples.base),
        naive=dict(samples.naive),
        times=samples.times,
        files=samples.files,
        weights=samples.weights,
    )
