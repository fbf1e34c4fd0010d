"""External evaluation data: labelled rows that a model was not fitted with, under its own preprocessing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.capabilities import (
    PredictsRowByRow,
    ReportsUnseenCategories,
    dropped_by,
    filled_by,
    large_file_of,
    optional_columns,
    path_of,
    split_columns_of,
    weight_of,
)
from lifecycle.contract import DataPlugin, DataSpec
from lifecycle.data.assembly import part_of
from lifecycle.data.audit.unseen_categories import Unseen
from lifecycle.data.columns import missing_values, targets, weights
from lifecycle.data.columns.kinds import column_kinds
from lifecycle.data.columns.names import of_plugin, place
from lifecycle.data.dataset import Dataset, Part
from lifecycle.data.digests import digest
from lifecycle.data.formats.names import is_elsewhere, is_pattern
from lifecycle.data.formats.reading import declared_of, named
from lifecycle.data.formats.text.dialect import Known, dialect_of
from lifecycle.data.preprocessing import Preprocessing, labels_like
from lifecycle.data.sources import files, streams
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime.files.digests import sha256


def load(
    plugin: DataPlugin,
    name: str,
    kind: str,
    spec: DataSpec,
    preprocessing: Preprocessing,
    columns: Sequence[str],
    missing: str = missing_values.REFUSE,
) -> Dataset:
    """Return all rows of a data plugin as rows to score; nothing is fitted to them.

    Args:
        plugin: reads the rows.
        name: of the rows, for messages.
        kind: name of the plugin.
        spec: of the model.
        preprocessing: of the model.
        columns: those that a prediction of the model needs.
        missing: how to treat a value that is missing in a column without missing values in training.

    Raises:
        RequestError: the target or a column is missing, a class is unknown, or the samples have another shape.
    """
    plugin = _without_absent_columns(plugin)
    frame = plugin.read()
    used = _columns_of_model(plugin, name, frame, columns)
    part = part_of_frame(plugin, preprocessing, spec, used, missing)
    if tuple(part.inputs.shape[1:]) != spec.input_shape:
        got, wanted = (" x ".join(map(str, shape)) for shape in (part.inputs.shape[1:], spec.input_shape))
        problem = f"has samples of {got}, and the model takes {wanted}"
        raise RequestError(Setting("data", name), problem, remedy="Give such rows.")
    return Dataset(
        name=name,
        kind=kind,
        spec=spec,
        preprocessing=preprocessing,
        train=part,  # never trained on; baselines of external data are fitted to the same rows
        val=None,
        test=part,
        num_rows=len(frame),
        num_missing=int(used[list(columns)].isna().to_numpy().sum()),
        digest=_digest(plugin, frame),
        columns=tuple(columns),
        column_kinds=column_kinds(plugin, frame),
        is_external=True,
        weight=weight_of(plugin),
        notes=_notes(plugin, preprocessing, used, columns),
        dialect=dialect_of(frame),
    )


def with_names(plugin: Any, known: Known) -> Any:
    """Return a data plugin with names for the columns of a text file without a header: those of the training file.

    Args:
        plugin: reads the rows.
        known: the columns of the training file.

    Raises:
        RequestError: the file has another number of columns.
    """
    try:
        return named(plugin, files.csv_file(path_of(plugin)), known)
    except ValueError as error:
        raise files.unreadable(path_of(plugin), error) from error


def _columns_of_model(plugin: DataPlugin, name: str, frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the columns that the model needs, in its order, and those of the target, times and weights."""
    lacking = [column for column in columns if column not in frame.columns]
    if lacking:
        problem, got = f"has no column {', '.join(lacking)}", ", ".join(map(str, frame.columns))
        raise RequestError(Setting("data", name), problem, got, f"The model needs {', '.join(columns)}.")
    if tuple(plugin.columns(frame)) == tuple(columns):
        return frame
    others = [*optional_columns(plugin), weight_of(plugin)]
    optional = [column for column in others if column in frame.columns]
    return frame[list(dict.fromkeys([*columns, *optional, *plugin.describe_target(frame).in_columns]))]


def _notes(
    plugin: DataPlugin, preprocessing: Preprocessing, used: pd.DataFrame, columns: Sequence[str]
) -> tuple[str, ...]:
    """Return warnings about categories and missing values that no training row had."""
    if not isinstance(plugin, ReportsUnseenCategories) or not isinstance(plugin, PredictsRowByRow):
        return ()
    inputs, numbers = plugin.samples(used).inputs, filled_by(plugin, preprocessing.inputs, columns)
    unseen = Unseen(numbers, known=preprocessing.gaps is not None)
    unseen.add(plugin.unseen(preprocessing.inputs, inputs) | missing_values.filled(inputs, preprocessing.gaps, numbers))
    return tuple(unseen.lines())


def _without_absent_columns(plugin: Any) -> Any:
    """Return the plugin without the columns to drop, of weights and of the split that its file does not have."""
    path, drop, weight, of_split = path_of(plugin), dropped_by(plugin), weight_of(plugin), split_columns_of(plugin)
    if getattr(plugin, "test_path", None) is not None:
        plugin = dataclasses.replace(plugin, test_path=None, split=None)
    exists = is_elsewhere(path) or is_pattern(path) or Path(path).expanduser().exists()
    if not (drop or weight or of_split) or path.partition(":")[0] in files.SETS or not exists:
        return plugin
    # Of most formats it reads the header only.
    names = streams.read(path, fields=plugin, key="data.path", declared=declared_of(plugin)).schema.names
    names = [of_plugin(plugin).get(name, name) for name in names]
    place(plugin, names)
    drop, weight = dropped_by(plugin), weight_of(plugin)
    fields: dict[str, Any] = {"weight": None} if weight and weight not in names else {}
    absent = [name for name, column in of_split.items() if column not in names]
    if absent:
        fields |= {**dict.fromkeys(absent), "split": None}
    if drop:
        fields["drop"] = [column for column in drop if column in names]
    return dataclasses.replace(plugin, **fields)


def _digest(plugin: DataPlugin, frame: pd.DataFrame) -> str:
    # In the way of the loader that trains on these rows, so that equal digests mean the rows of the run.
    large = large_file_of(plugin)
    return digest(frame) if large is None else sha256(large)


def part_of_frame(
    plugin: DataPlugin,
    preprocessing: Preprocessing,
    spec: DataSpec,
    frame: pd.DataFrame,
    missing: str = missing_values.REFUSE,
    row_weights: np.ndarray[Any, Any] | None = None,
) -> Part:
    """Preprocess labelled rows for a trained model; rows of weight 0 are left out.

    Args:
        plugin: turns rows into samples.
        preprocessing: of the model.
        spec: of the model.
        frame: raw rows, including the target.
        missing: how to treat a value that is missing in a column without missing values in training, see
            :mod:`lifecycle.data.columns.missing_values`.
        row_weights: ``(rows,)`` sample weights; ``None``: those of the plugin.

    Raises:
        RequestError: the target or a value is missing, a class is unknown, or a value is not a number.
    """
    samples = plugin.samples(frame)
    if samples.targets is None:
        problem = f"have no target column {spec.target_name} to compare with"
        raise RequestError("the rows", problem, remedy="Give it, or predict.")
    if row_weights is not None:  # by row, while a series has fewer samples than rows
        samples = replace(samples, weights=row_weights[samples.rows])
    samples, _ = weights.kept(targets.labelled(plugin, samples), None, weights.key_of(plugin))
    missing_values.check(samples.inputs, preprocessing.gaps, missing)
    labels = labels_like(np.asarray(samples.targets), preprocessing, spec)
    return part_of(plugin, samples, labels, preprocessing, spec.task, "the data")
