"""Rows of a fit that continues, under the preprocessing of the first ones."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lifecycle.capabilities import weight_of
from lifecycle.data import external
from lifecycle.data.columns.kinds import column_kinds
from lifecycle.data.dataset import Dataset
from lifecycle.data.digests import digest
from lifecycle.layout import TEST_DIGEST, VALIDATION_DIGEST
from lifecycle.runs import pipeline

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.config.request import Job
    from lifecycle.data.dataset import Part
    from lifecycle.data.sources.in_memory import MemoryRows
    from lifecycle.predict.trained_model import TrainedModel


def load(job: Job, rows: MemoryRows, trained: TrainedModel) -> Dataset:
    """Load rows under the preprocessing of a trained model, which is not learnt again.

    Args:
        job: the checked request.
        rows: in memory.
        trained: the model.

    Raises:
        RequestError: the rows have other columns, shapes or classes.
    """
    if rows.split is None and getattr(job.data, "validation_split", None):
        data = pipeline.loaded(job, rows)
        names = (VALIDATION_DIGEST, TEST_DIGEST)
        same = data.digest == trained.provenance.get("data_sha256") and data.spec == trained.spec
        if same and all(trained.provenance.get(name) == data.split_digests[name] for name in names):
            return data
        train, val = data.train.rows, None if data.val is None else data.val.rows
    else:  # without learning from them: they may lack a class, or be a single row
        split = rows.split
        train = np.arange(len(rows.frame)) if split is None else split.train
        val = None if split is None else split.val
    return _dataset(job, rows.frame, trained, train, val)


def _dataset(
    job: Job, frame: pd.DataFrame, trained: TrainedModel, train: np.ndarray[Any, Any], val: np.ndarray[Any, Any] | None
) -> Dataset:
    """Return training and validation rows, by number, under the preprocessing of a model."""
    plugin: Any = trained.data
    given = {name: getattr(job.data, name) for name in ("target", "weight", "group") if hasattr(plugin, name)}
    plugin = dataclasses.replace(plugin, **given)

    def part(numbers: np.ndarray[Any, Any]) -> Part:
        rows = frame.iloc[numbers].reset_index(drop=True)
        found = external.part_of_frame(plugin, trained.preprocessing, trained.spec, rows, trained.missing)
        return replace(found, rows=numbers[found.rows])

    return Dataset(
        name=job.data_name,
        kind=job.data_kind,
        spec=trained.spec,
        preprocessing=trained.preprocessing,
        train=part(train),
        val=None if val is None or not len(val) else part(val),
        test=None,
        num_rows=len(frame),
        num_missing=int(frame[list(trained.columns)].isna().to_numpy().sum()),
        digest=digest(frame),
        columns=trained.columns,
        column_kinds=column_kinds(plugin, frame),
        class_values=tuple(trained.settings.get("class_values") or ()),
        weight=weight_of(plugin),
        plugin=plugin,
    )
