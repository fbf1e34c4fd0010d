"""A data set ready for a network: read, split, and preprocessed by what the training rows alone teach."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lifecycle.contract import MULTICLASS, DataPlugin, DataSpec
from lifecycle.data.columns import column_kinds, num_missing
from lifecycle.data.digest import digest
from lifecycle.data.preprocessing import Preprocessing, clean_targets, learn_target
from lifecycle.errors import RequestError
from lifecycle.profiling import phase


@dataclass(frozen=True)
class Part:
    """One of the three parts.

    Attributes:
        inputs: ``(samples, *input_shape) float32``.
        targets: ``(samples,) int64`` class codes (multiclass), else ``(samples, 1) float32``.
        labels: the same targets in the user's own terms.
        rows: the row of the source that each target stands in.
        base: ``(samples, 1) float32`` in the user's units: what is added to a restored output; or ``None``.
        naive: forecasts without a network, by name: ``(samples,)`` in the user's units.
        times: when each target is; or ``None``.
        files: the file that each sample is; or ``None``.
    """

    inputs: Tensor
    targets: Tensor
    labels: np.ndarray[Any, Any]
    rows: np.ndarray[Any, Any]
    base: Tensor | None = None
    naive: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    times: np.ndarray[Any, Any] | None = None
    files: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Dataset:
    """What flows from data to network."""

    name: str
    kind: str
    spec: DataSpec
    preprocessing: Preprocessing
    train: Part
    val: Part | None
    test: Part | None
    num_rows: int
    num_missing: int  # values that the columns lack, and that are filled
    digest: str  # sha256 of names, types and values of the raw rows
    columns: tuple[str, ...]  # those of the raw rows that a prediction needs
    column_kinds: dict[str, str]  # what each column of the raw rows is taken for

    @property
    def scored(self) -> Part:
        """The rows that the finished model is scored on: the test rows; the training rows where none are held out."""
        return self.train if self.test is None else self.test

    @property
    def scored_on(self) -> str:
        """What begins the names of those scores: ``"test"`` or ``"training_set"``."""
        return "training_set" if self.test is None else "test"


@phase("data")
def load(plugin: DataPlugin, name: str, kind: str, seed: int) -> Dataset:
    """Read the rows, split them, learn from the training rows and apply that to all.

    Args:
        plugin: which rows, and how they become samples.
        name: name of the data set, for messages and the record.
        kind: name of the data plugin.
        seed: of the split.

    Raises:
        RequestError: the rows cannot be used as they are; says why.
    """
    frame = plugin.read()
    target = plugin.describe_target(frame)
    samples = plugin.samples(frame)
    if samples.targets is None:
        raise RequestError(f"data={name} has no target column {target.name}. Name one with data.target.")
    labels = clean_targets(samples.targets, target)
    split = plugin.split(replace(samples, targets=labels), target.task, seed)
    learnt = labels if samples.base is None else labels - samples.base
    task, encoder = learn_target(learnt, split.train, target)
    preprocessing = Preprocessing(plugin.learn(_take(samples.inputs, split.train)), encoder)

    def part(positions: np.ndarray[Any, Any]) -> Part:
        inputs = plugin.apply(preprocessing.inputs, _take(samples.inputs, positions))
        if not np.isfinite(inputs).all():
            row = samples.rows[positions[np.flatnonzero(~np.isfinite(inputs.reshape(len(inputs), -1)).all(axis=1))[0]]]
            raise RequestError(
                f"data={name} has a value that is no finite number in row {row}. Mend or remove the row."
            )
        codes = torch.from_numpy(preprocessing.encode(learnt[positions]))
        return Part(
            inputs=torch.from_numpy(inputs),
            targets=codes if task == MULTICLASS else codes.to(torch.float32).reshape(-1, 1),
            labels=labels[positions],
            rows=samples.rows[positions],
            base=None if samples.base is None else as_column(samples.base[positions]),
            naive={name: values[positions] for name, values in samples.naive.items()},
            times=None if samples.times is None else samples.times[positions],
            files=None if samples.files is None else samples.files[positions],
        )

    train = part(split.train)
    spec = DataSpec(
        task=task,
        input_shape=tuple(train.inputs.shape[1:]),
        num_outputs=len(preprocessing.class_names) if task == MULTICLASS else 1,
        target_name=target.name,
        class_names=preprocessing.class_names,
        feature_names=plugin.feature_names(preprocessing.inputs),
    )
    return Dataset(
        name=name,
        kind=kind,
        spec=spec,
        preprocessing=preprocessing,
        train=train,
        val=part(split.val) if len(split.val) else None,
        test=part(split.test) if len(split.test) else None,
        num_rows=len(frame),
        num_missing=num_missing(plugin, frame, samples),
        digest=digest(frame),
        columns=tuple(plugin.columns(frame)),
        column_kinds=column_kinds(plugin, frame),
    )


def as_column(values: np.ndarray[Any, Any]) -> Tensor:
    """Return ``(samples, 1) float32``."""
    return torch.from_numpy(values.astype(np.float32)).reshape(-1, 1)


def _take(inputs: pd.DataFrame | np.ndarray[Any, Any], positions: np.ndarray[Any, Any]) -> Any:
    return inputs.iloc[positions] if isinstance(inputs, pd.DataFrame) else inputs[positions]
